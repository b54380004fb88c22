//! `skysluice catalog`: indexes of catalogues made, looked at, searched, and tables of positions matched with them.

mod build;
mod check;
mod columns;
mod info;
mod list;
mod matching;
mod opened;
mod query;
mod show;

use std::io::IsTerminal;
use std::process::ExitCode;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{exit, fail, print};
use crate::catalog::make::Progress;
use crate::config::{ConfigError, UnitError};

/// What is done with catalogues.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make an index of tables: CSV and its kin, Parquet, HATS, FITS, VOTable, also as .gz.
    ///
    /// The index is one file that is searched where it lies, however large. It takes its name when it is whole; a build that was
    /// killed leaves nothing under that name, and the next one begins anew.
    #[command(after_help = build::EXAMPLES)]
    Build(Box<build::Args>),
    /// Show what an index holds: sources, columns, footprint, the files it was made of, its first rows.
    Info(info::Args),
    /// Check that indexes are whole: every byte against the checksums, the structure, and that sources are found where they are.
    ///
    /// Prints a line for each file. Exit code 1 where one is damaged or is no index.
    Check(check::Args),
    /// List the indexes, descriptions and tables of positions in folders.
    Ls(list::Args),
    /// Show the sources of a catalogue around a position, the nearest first.
    #[command(after_help = query::EXAMPLES)]
    Query(query::Args),
    /// Match a table of positions with catalogues: one row for each match.
    #[command(after_help = matching::EXAMPLES, after_long_help = matching::LONG)]
    Match(Box<matching::Args>),
}

/// Runs a subcommand.
#[must_use]
pub fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Build(args) => build::run(args),
        Command::Info(args) => info::run(args),
        Command::Check(args) => return check::run(args),
        Command::Ls(args) => list::run(args),
        Command::Query(args) => query::run(args),
        Command::Match(args) => matching::run(args),
    };
    match done {
        Ok(text) => print(&text),
        Err(Failure::Configuration(error)) => {
            eprint!("{error}");
            ExitCode::from(exit::CONFIGURATION)
        }
        Err(Failure::Said(message)) => fail(&message),
    }
}

/// Why a subcommand could not do its work.
enum Failure {
    /// A description is wrong: shown with its place.
    Configuration(ConfigError),
    Said(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Configuration(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Said(message)
    }
}

/// Every other error tells its story by itself.
macro_rules! said {
    ($($error:ty),*) => { $(impl From<$error> for Failure {
        fn from(error: $error) -> Failure {
            Failure::Said(error.to_string())
        }
    })* };
}
said!(
    crate::catalog::make::MakeError,
    crate::catalog::table::TableError,
    crate::catalog::table::WriteError,
    crate::catalog::zones::ZoneError
);

/// How far a search reaches, as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reach {
    /// Arcseconds.
    Radius(f64),
    /// As far as the radius of each source.
    Own,
}

fn told(error: &UnitError) -> String {
    format!("{}; {}", error.message, error.help)
}

fn reach(text: &str) -> Result<Reach, String> {
    if text == "own" {
        return Ok(Reach::Own);
    }
    let radius = crate::config::parse_angle(text).map_err(|e| told(&e))?;
    if radius > 0.0 && radius <= 648_000.0 {
        Ok(Reach::Radius(radius))
    } else {
        Err("a radius is more than 0 and at most 180 deg".to_owned())
    }
}

fn arcseconds(text: &str) -> Result<f64, String> {
    crate::config::parse_angle(text).map_err(|e| told(&e))
}

fn bytes(text: &str) -> Result<u64, String> {
    crate::config::parse_size(text).map_err(|e| told(&e))
}

fn year(text: &str) -> Result<f64, String> {
    let year: f64 = text.parse().map_err(|_| format!("`{text}` is no number; write a Julian year, such as 2026.5"))?;
    if (1800.0..2200.0).contains(&year) {
        Ok(year)
    } else {
        Err(format!("{year} is no epoch; write a Julian year, such as 2026.5"))
    }
}

/// A bar that is not shown where standard error is no terminal.
struct Bar {
    bar: ProgressBar,
    placing: bool,
}

const COUNTED: &str = "{msg} {wide_bar} {human_pos} of {human_len}, {rate}, {eta} left";

impl Bar {
    fn new(what: &'static str, of: Option<u64>) -> Bar {
        if !std::io::stderr().is_terminal() {
            return Bar { bar: ProgressBar::hidden(), placing: false };
        }
        let bar = ProgressBar::with_draw_target(of, ProgressDrawTarget::stderr());
        let template = if of.is_some() { COUNTED } else { "{msg} {spinner} {human_pos} rows, {rate}" };
        let bar = Bar { bar, placing: false };
        bar.style(template);
        bar.bar.set_message(what);
        bar
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // A line that cannot be written is left out.
                let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
            };
            self.bar.set_style(style.with_key("rate", rate));
        }
    }

    /// Shows how far the making of an index is.
    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Reading { rows, of } => {
                if let Some(of) = of.filter(|of| self.bar.length() != Some(*of)) {
                    self.bar.set_length(of);
                    self.style(COUNTED);
                }
                self.bar.set_position(rows);
            }
            Progress::Placing { done, total } => {
                if !std::mem::replace(&mut self.placing, true) {
                    self.bar.reset();
                    self.bar.set_length(total);
                    self.style(COUNTED);
                    self.bar.set_message("placed");
                }
                self.bar.set_position(done);
            }
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
