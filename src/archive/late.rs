//! A staging file that comes to be with its first byte: what is gathered in memory needs no place on disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::durable::{DurableError, Staged, Way};

/// A staging file, once there is something to write.
#[derive(Debug)]
pub(super) struct Late {
    staging: PathBuf,
    name: String,
    staged: Option<Staged>,
}

impl Late {
    /// Will be the file `name` in the folder `staging`.
    pub fn new(staging: &Path, name: &str) -> Late {
        Late { staging: staging.to_path_buf(), name: name.to_owned(), staged: None }
    }

    /// Where it is, or will be.
    pub fn path(&self) -> PathBuf {
        self.staging.join(&self.name)
    }

    /// Whether it is on disk.
    pub fn begun(&self) -> bool {
        self.staged.is_some()
    }

    /// The file, also where nothing was written.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn into_staged(self) -> Result<Staged, DurableError> {
        match self.staged {
            Some(staged) => Ok(staged),
            None => Staged::create(&self.staging, &self.name, Way::Direct),
        }
    }
}

impl Write for Late {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => none.insert(Staged::create(&self.staging, &self.name, Way::Direct).map_err(io::Error::other)?),
        };
        staged.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.as_mut().map_or(Ok(()), Staged::flush)
    }
}
