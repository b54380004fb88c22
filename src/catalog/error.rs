//! Why a catalogue could not be loaded.

use std::path::PathBuf;

/// A catalogue could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file could not be opened.
    #[error("catalogue {}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not CSV.
    #[error("catalogue {}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What and, where known, in which line.
        source: csv::Error,
    },
    /// A column is missing.
    #[error("catalogue {}: no column for {what}; its header has {found}, and one of {wanted} is needed", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What the column would hold.
        what: &'static str,
        /// Names that are understood.
        wanted: String,
        /// Names that there are.
        found: String,
    },
    /// A row is bad.
    #[error("catalogue {}, line {line}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The index could not be built.
    #[error("catalogue of {rows} sources cannot be indexed: {reason}")]
    Index {
        /// Number of sources.
        rows: usize,
        /// Why.
        reason: String,
    },
}
