//! Where a measurement works, and which program it runs.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Error;

/// A working folder and a program.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder, absolute.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) program: PathBuf,
    /// Removed with this.
    _temporary: Option<TempDir>,
}

impl Place {
    /// In this folder, or in a temporary one; with this program, or with the one beside ours.
    pub(crate) fn new(folder: Option<&Path>, program: Option<&Path>) -> Result<Self, Error> {
        let (folder, temporary) = match folder {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
                (std::path::absolute(folder).map_err(Error::file("find", folder))?, None)
            }
            None => {
                let temporary = tempfile::tempdir().map_err(Error::file("create a folder in", std::env::temp_dir()))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let program = match program {
            Some(program) => program.to_owned(),
            None => std::env::current_exe().map_err(Error::file("find", "this program"))?.with_file_name("skysluice"),
        };
        Ok(Self { folder, program, _temporary: temporary })
    }
}
