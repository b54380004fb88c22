//! `skysluice config schema` and `skysluice config reference`: the keys of the configuration, for editors and for people.

use std::io::{self, Write};
use std::process::ExitCode;

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

/// A reader that closes the pipe early, as `head` does, has what it wanted.
pub(super) fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("cannot write: {error}");
            ExitCode::from(74)
        }
        _ => ExitCode::SUCCESS,
    }
}
