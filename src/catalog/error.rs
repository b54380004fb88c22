//! Why a catalogue could not be opened.

use std::path::PathBuf;

use super::make::MakeError;
use super::table::TableError;
use super::zones::ZoneError;
use crate::config::ConfigError;

/// A catalogue could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Its table could not be read.
    #[error("catalogue {0}")]
    Table(#[from] TableError),
    /// Its zone index could not be opened or built.
    #[error("catalogue: {0}")]
    Zones(#[from] ZoneError),
    /// The index of its table could not be made.
    #[error("catalogue {0}")]
    Make(#[from] MakeError),
    /// Its description is wrong.
    #[error("{0}")]
    Description(#[from] ConfigError),
    /// Its description names no file.
    #[error("catalogue {}: the description names no `path`; add one, or build an index with `skysluice catalog build`", path.display())]
    NoPath {
        /// The description.
        path: PathBuf,
    },
    /// It could not be looked at.
    #[error("catalogue {}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The index in memory could not be built.
    #[error("catalogue of {rows} sources cannot be indexed: {reason}")]
    Index {
        /// Number of sources.
        rows: usize,
        /// Why.
        reason: String,
    },
    /// It is larger than what is kept in memory, and there is no place for an index.
    #[error(
        "catalogue {}: more than {rows} sources in a table; build an index once with `skysluice catalog build {}` and name that",
        path.display(), path.display()
    )]
    Large {
        /// The file.
        path: PathBuf,
        /// Sources that are kept in memory at most.
        rows: usize,
    },
    /// It is not what those who use it need.
    #[error("catalogue {}: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
}
