//! The data folder as a whole (`service.data`): in which format what lies in it is written.
//!
//! The file `format` in it holds a number. A folder without it is new, or of a program from before there was the number, whose
//! files are those of format 1: it is taken over as it is. A higher number is of a newer program, and nothing in the folder is
//! touched then. May depend on: `durable`, `alert` (faults).
//!
//! **Invariant:** the number is durable before anything else is written to a new folder.
//! **Invariant:** whoever changes what is written to the folder, so that the program before would misread it, raises [`FORMAT`] and
//! says here how a folder of the format before is carried over.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::durable::{self, DurableError, Staged, Way};

/// The format that this program writes.
pub const FORMAT: u32 = 1;

/// Name of the file.
const FILE: &str = "format";
const UNFINISHED: &str = "format.part";

/// The data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The file can't be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Someone else wrote into it.
    #[error("{} should hold one number, the format of the folder, and holds {found:?}; write {FORMAT} to it if the folder is of this program, or give another folder as service.data", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Its beginning.
        found: String,
    },
    /// A newer program was here.
    #[error(
        "{} is of format {found}, made by a newer Skysluice; this one knows formats up to {FORMAT} and leaves it untouched: run the \
         newer one, or give another folder as service.data", folder.display()
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// Whether this program may use the folder; changes nothing. A folder that is not there may be made.
///
/// # Errors
/// When it is of a newer program, or does not say what it is.
pub fn check(folder: &Path) -> Result<(), StateError> {
    format_of(folder).map(drop)
}

/// Takes the folder in use: checks it, and writes the number where there is none.
///
/// # Errors
/// As [`check`], and when the number can't be written.
pub fn take(folder: &Path) -> Result<(), StateError> {
    if format_of(folder)?.is_some() {
        return Ok(());
    }
    durable::create_folders(folder)?;
    let before = fs::read_dir(folder).map_err(|source| StateError::File { what: "list", path: folder.to_owned(), source })?;
    if before.count() > 0 {
        let folder = folder.display();
        tracing::info!(%folder, format = FORMAT, "the data folder of an earlier version is taken over as it is");
    }
    let path = folder.join(FILE);
    let mut staged = Staged::create(folder, UNFINISHED, Way::Cached)?;
    staged.write_all(format!("{FORMAT}\n").as_bytes()).map_err(|source| StateError::File { what: "write", path, source })?;
    // Whoever is faster writes the same.
    staged.publish_as(folder, FILE)?;
    Ok(())
}

fn format_of(folder: &Path) -> Result<Option<u32>, StateError> {
    let path = folder.join(FILE);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(StateError::File { what: "read", path, source }),
    };
    match text.trim().parse() {
        Ok(found @ 1..=FORMAT) => Ok(Some(found)),
        Ok(found) if found > FORMAT => Err(StateError::Newer { folder: folder.to_owned(), found }),
        _ => Err(StateError::Unknown { path, found: text.chars().take(40).collect() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_a_newer_one_is_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        check(&folder).unwrap();
        assert!(!folder.exists());
        take(&folder).unwrap();
        take(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join(FILE)).unwrap(), "1\n");
        for (text, said) in [
            ("2\n", "format 2, made by a newer"),
            ("0\n", "should hold one number"),
            ("", "should hold one number"),
            ("one", "\"one\""),
            ("-1", "\"-1\""),
            ("99999999999", "99999999999"),
        ] {
            fs::write(folder.join(FILE), text).unwrap();
            let error = take(&folder).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("service.data"), "{error}");
            assert_eq!(check(&folder).unwrap_err().to_string(), error);
            assert_eq!(fs::read_to_string(folder.join(FILE)).unwrap(), text);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_folder_of_before_there_were_formats_is_taken_over() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("ztf")).unwrap();
        take(home.path()).unwrap();
        assert_eq!(fs::read_to_string(home.path().join(FILE)).unwrap(), "1\n");
    }
}
