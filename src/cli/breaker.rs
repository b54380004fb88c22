//! `skysluice breaker status FILE` and `skysluice breaker reset FILE`: which components are held, and letting them go on.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{exit, fail};
use crate::config::{self, Settings};
use crate::hold;
use crate::pipeline::{names, replay_name};

/// What to do with the breakers of a configuration file.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Tell of each component whether its breaker holds the stream, and why.
    Status {
        /// The configuration file.
        file: PathBuf,
    },
    /// Let held components go on where they stand: a running process within two seconds, otherwise with the next start.
    Reset {
        /// The configuration file.
        file: PathBuf,
        /// Only this component; all of the file when absent.
        #[arg(long, value_name = "NAME")]
        component: Option<String>,
    },
}

/// Runs the subcommand.
#[must_use]
pub fn run(command: &Command) -> ExitCode {
    let (Command::Status { file } | Command::Reset { file, .. }) = command;
    let settings = match config::load(file) {
        Ok(settings) => settings,
        Err(problem) => {
            eprint!("{problem}");
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    let told = match command {
        Command::Status { .. } => status(&settings),
        Command::Reset { component, .. } => reset(&settings, component.as_deref()),
    };
    match told {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => fail(&message),
    }
}

fn status(settings: &Settings) -> Result<String, String> {
    let mut text = String::new();
    for name in names(settings) {
        let held = hold::read(&settings.service.home(&name)).map_err(|e| e.to_string())?;
        text += &match held {
            Some(record) if record.configuration != settings.fingerprint => {
                format!("{name}: {record}; the configuration has changed since: the next start goes on\n")
            }
            Some(record) => format!("{name}: {record}\n"),
            None => format!("{name}: not held\n"),
        };
    }
    Ok(text)
}

fn reset(settings: &Settings, wanted: Option<&str>) -> Result<String, String> {
    let mut names = names(settings);
    // A replay may be held as well; only by its name it is let go on.
    let replayed = names.iter().map(|name| replay_name(name)).find(|name| wanted == Some(name.as_str()));
    names.extend(replayed);
    if let Some(wanted) = wanted.filter(|wanted| !names.iter().any(|name| name == wanted)) {
        return Err(format!("{} has no component `{wanted}`; it has {}", settings.file.display(), names.join(", ")));
    }
    let mut text = String::new();
    for name in names.iter().map(String::as_str).filter(|name| wanted.is_none_or(|wanted| wanted == *name)) {
        let released = hold::release(&settings.service.home(name)).map_err(|e| e.to_string())?;
        text += &format!("{name}: {}\n", if released { "goes on" } else { "was not held" });
    }
    Ok(text)
}
