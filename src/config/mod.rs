//! The configuration: as written (`raw`) and as used (`checked`), and the way between them (`check`).
//!
//! May depend on: serde, the vocabulary of `avro` (framings) and `filter` (the grammar of `where`). It reads files, starts
//! nothing. Invariants: what `load` returns can be started as far as the file alone can tell; what it refuses is shown with
//! file, line, column and what to write instead; nothing that is shown holds a secret.

mod at;
mod check;
mod checked;
mod moment;
mod problem;
mod raw;
mod reference;
mod registry;
mod secret;
mod spots;
mod survey;
mod units;
mod yaml;

use std::path::Path;

pub use at::{At, Place};
pub use check::security;
pub use checked::*;
pub use moment::{moment, show_moment};
pub use problem::{ConfigError, Problem, Shown, Span, nearest};
pub use raw::{Engine, Side};
pub use reference::{profile_schema, reference, schema};
pub use registry::{AfterWait, Registry, UnknownIds};
pub use spots::{Spot, Spots};
pub use survey::{builtin, named as survey};
pub use units::{UnitError, angle as parse_angle, show_size, size as parse_size, time as parse_time};
pub use yaml::parse as parse_yaml;

use check::Surroundings;

/// Reads a configuration file and checks it.
///
/// # Errors
///
/// Every problem that can be told from the file and from what it names.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let text = check::read(path).map_err(|problem| ConfigError::new(vec![problem]))?;
    load_text(&text, path)
}

/// As [`load`], of a text as if it were in the file `path`.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(text: &str, path: &Path) -> Result<Settings, ConfigError> {
    check::check(text, path, &Surroundings::here(path)?)
}

#[cfg(test)]
mod tests;
