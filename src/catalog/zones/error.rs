//! Why a zone index could not be built, opened or believed.

use std::io;
use std::path::{Path, PathBuf};

/// A zone index could not be built, opened or believed.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The disk or the system refused something.
    #[error("zone index {}: cannot {doing}: {source}", path.display())]
    Io {
        /// What was tried, such as `open`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not a zone index: build one from the catalogue's files", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of the program.
    #[error("zone index {}: its format is {major}.{minor}, this program reads up to {}.x: update the program, or build the index again", path.display(), super::format::MAJOR)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Major version of its format.
        major: u16,
        /// Minor version of its format.
        minor: u16,
    },
    /// The file ends too early.
    #[error("zone index {}: {found} bytes of {expected}: copy or build it again", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Bytes that it says to have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The file contradicts itself or its checksums.
    #[error("zone index {}: {section} is damaged ({what}): copy or build it again, and look after the disk", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Section of the file.
        section: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// Another process builds the same index.
    #[error("zone index {}: another process is building it: wait for its end", path.display())]
    Busy {
        /// The file to be.
        path: PathBuf,
    },
    /// A row cannot be taken, and `strict` was asked for.
    #[error("row {row} (from 0) cannot be indexed: {kind}; repair it, or leave `strict` to have such rows counted and skipped")]
    Rejected {
        /// Row of the input, from 0.
        row: u64,
        /// What is wrong with it.
        kind: Reject,
    },
    /// A batch does not fit those before it, or itself.
    #[error("rows from {row} on (from 0): {what}")]
    Batch {
        /// First row of the batch in the input, from 0.
        row: u64,
        /// What does not fit.
        what: String,
    },
    /// More rows than an index can hold.
    #[error("a zone index holds at most {} sources: split the catalogue", u32::MAX)]
    TooMany,
    /// The memory does not suffice.
    #[error("{rows} sources need {needed} bytes of memory at once, {memory} are allowed: allow more")]
    Memory {
        /// Sources that must be in memory together.
        rows: u64,
        /// Bytes that they take.
        needed: u64,
        /// Bytes that were allowed.
        memory: u64,
    },
}

impl ZoneError {
    /// For `map_err` of what the system refused.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ZoneError {
        let path = path.to_path_buf();
        move |source| ZoneError::Io { doing, path, source }
    }
}

/// Why a row is not in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Right ascension or declination is NaN or infinite.
    NotFinite,
    /// The declination is not between -90 and 90 degrees, or the right ascension not between -360 and 720.
    OffSphere,
    /// The id is null.
    NoId,
    /// The radius is NaN, infinite, negative or beyond 180 degrees.
    Radius,
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reject::NotFinite => "its position is not finite",
            Reject::OffSphere => "its position is off the sphere",
            Reject::NoId => "it has no id",
            Reject::Radius => "its radius is not between 0 and 648000 arcseconds",
        })
    }
}
