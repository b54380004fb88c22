//! Why a table could not be read: what, where in the file, and what to do next.

use std::path::{Path, PathBuf};

use super::place::Place;

/// A table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file or folder could not be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Reading stopped in the middle: the disk failed, or what is compressed is broken off.
    #[error("{}: reading stopped at {at}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// How far it came.
        at: String,
        /// Why.
        source: std::io::Error,
    },
    /// The content is of no format that can be read.
    #[error(
        "{}: {seen}; tables can be CSV and the like, FITS (binary table) or VOTable, each also as .gz, and Parquet (a file, a \
         folder of files or a HATS directory)",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        seen: String,
    },
    /// The file breaks the rules of its format, or uses a part of it that is not read.
    #[error("{}, {at}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Line, keyword or byte.
        at: String,
        /// What is wrong and, where it can be told, what to do.
        reason: String,
    },
    /// A row or one of its cells cannot be read.
    #[error("{}, {place}: {reason}", path.display())]
    Row {
        /// The file or folder.
        path: PathBuf,
        /// Which row.
        place: Place,
        /// Which column, what it holds and what was expected.
        reason: String,
    },
    /// There is no such column.
    #[error("{}: there is no column {wanted}{near}; there are {found}", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The name, in backticks, or what the column would hold.
        wanted: String,
        /// The nearest name as a question, or nothing.
        near: String,
        /// The names that there are.
        found: String,
    },
    /// The column is there, but cannot be read.
    #[error("{}: the column `{column}` cannot be read: {reason}", path.display())]
    LeftOut {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Why it is left out of the table.
        reason: String,
    },
    /// What was asked of the table contradicts itself or the table.
    #[error("{}: {reason}", path.display())]
    Asked {
        /// The file.
        path: PathBuf,
        /// What cannot be.
        reason: String,
    },
}

impl TableError {
    pub(super) fn format(path: &Path, at: impl Into<String>, reason: impl Into<String>) -> TableError {
        TableError::Format { path: path.to_owned(), at: at.into(), reason: reason.into() }
    }

    pub(super) fn read(path: &Path, at: impl Into<String>, source: std::io::Error) -> TableError {
        TableError::Read { path: path.to_owned(), at: at.into(), source }
    }
}
