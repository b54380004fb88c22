//! `skysluice config schema` and `skysluice config reference`: the keys of the configuration, for editors and for people.

use std::process::ExitCode;

use super::print;
use crate::config;

/// Prints the JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> ExitCode {
    print(&format!("{:#}\n", config::schema()))
}

/// Prints every key with its type, its default and what it means.
#[must_use]
pub fn reference() -> ExitCode {
    print(&config::reference())
}
