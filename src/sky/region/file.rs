//! Reads a MOC from a file: the only I/O of regions.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::RegionError;
use super::moc::{self, Moc};

impl Moc {
    /// Reads a file with a MOC, as [`Moc::parse`] does.
    ///
    /// # Errors
    /// What the system refuses, and what [`Moc::parse`] refuses, with the name of the file.
    pub fn read(path: &Path) -> Result<Moc, RegionError> {
        let failed = |source| RegionError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        // One byte more than is taken tells that there is more; a device without end does not fill the memory.
        let file = File::open(path).map_err(failed)?;
        file.take(moc::MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Moc::parse(&bytes).map_err(|error| error.of_file(path))
    }
}
