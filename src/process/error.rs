//! Why a chain cannot be built.

use crate::catalog::CatalogError;
use crate::filter::FilterError;
use crate::sky::region::RegionError;

/// A chain could not be built or does not fit a schema. `index` counts steps from 0.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A condition does not parse or does not fit the schema.
    #[error("step {} (`{name}`): {source}", index + 1)]
    Condition {
        /// The step.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong, and where in the text.
        source: FilterError,
    },
    /// A catalogue could not be loaded.
    #[error("step {} (`{name}`): {source}", index + 1)]
    Catalog {
        /// The step.
        index: usize,
        /// Its name.
        name: String,
        /// Why.
        source: Box<CatalogError>,
    },
    /// A file of a region could not be read.
    #[error("step {} (`{name}`): {source}", index + 1)]
    Region {
        /// The step.
        index: usize,
        /// Its name.
        name: String,
        /// Which, and why.
        source: Box<RegionError>,
    },
    /// Columns of catalogues do not fit together.
    #[error("step {}: {reason}", index + 1)]
    Columns {
        /// The last step with a catalogue.
        index: usize,
        /// Which, and what to do.
        reason: String,
    },
    /// A step reads an annotation that only a later step makes.
    #[error("step {} (`{name}`): `{annotation}` is not known before the step `{matcher}`; move this step after it", index + 1)]
    TooEarly {
        /// The step.
        index: usize,
        /// Its name.
        name: String,
        /// The annotation.
        annotation: String,
        /// The step that makes it.
        matcher: String,
    },
    /// More steps than a verdict can name.
    #[error("a chain has at most 65535 steps, this one has {steps}")]
    TooMany {
        /// Their number.
        steps: usize,
    },
}

impl ChainError {
    /// The step that it is about, from 0.
    #[must_use]
    pub fn step(&self) -> Option<usize> {
        match self {
            ChainError::Condition { index, .. }
            | ChainError::Catalog { index, .. }
            | ChainError::Columns { index, .. }
            | ChainError::Region { index, .. }
            | ChainError::TooEarly { index, .. } => Some(*index),
            ChainError::TooMany { .. } => None,
        }
    }
}
