//! Why an index could not be made of tables.

use std::path::PathBuf;

use crate::catalog::table::TableError;
use crate::catalog::zones::ZoneError;

/// An index could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A table cannot be read, or one of its rows is refused.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The index cannot be written.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// There is already a file of that name.
    #[error("{} exists already: remove it, or allow that it is replaced (--force)", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What is given stands for no file.
    #[error("{}: {reason}", input.display())]
    Input {
        /// As it was given.
        input: PathBuf,
        /// Why it stands for none.
        reason: String,
    },
    /// The tables do not fit each other.
    #[error("{} and {} are no parts of one catalogue: {what}", first.display(), other.display())]
    Mixed {
        /// The table that all others are held against.
        first: PathBuf,
        /// The one that differs.
        other: PathBuf,
        /// In what, and what to do.
        what: String,
    },
    /// What was asked for contradicts itself.
    #[error("{0}")]
    Asked(String),
    /// A file of the input could not be read for its checksum.
    #[error("{}: its checksum cannot be made: {source}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A thread that reads has ended without a word: a defect of the program.
    #[error("reading has ended before its end; please report this")]
    Lost,
}
