//! `skysluice deadletter`: what became of messages that could not be handled, and what to do with them.
//!
//! Everything in a letter may come from anyone who can write to a topic: what is printed has no control characters, what is
//! written has names made of checked characters.

mod list;
mod purge;
mod requeue;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrow_array::temporal_conversions::timestamp_ms_to_datetime;

use super::{exit, fail};
use crate::config::{self, DeadLetters, Settings};
use crate::letters::{Selection, Shelf};
use crate::pipeline::LetterStore;

/// Arguments of `deadletter`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Count letters by reason, stage, topic and partition.
    Ls(list::Args),
    /// Show letters, or write their payloads into files.
    Show(show::Args),
    /// Process letters again: decode, steps, archive, outputs. What fails again becomes a letter again.
    ///
    /// The letters go through the pipeline of their component, not through its source topic, which has other readers. The archive
    /// gets each alert once; outputs get it once, and again where an attempt was cut short. A letter that only the archive or only
    /// an output has refused goes there alone. The service may run meanwhile. Letters of a topic are worked off as a whole, from
    /// where the last attempt ended to the end.
    ///
    /// Exit codes: 0 all letters are done; 1 some are letters again, or cannot be processed; 75 some are left for the next
    /// attempt; others as of `run`.
    Requeue(requeue::Args),
    /// Remove letters for good.
    Purge(purge::Args),
}

/// Runs the subcommand.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let done = match &args.command {
        Command::Ls(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Requeue(args) => requeue::run(args),
        Command::Purge(args) => purge::run(args),
    };
    done.unwrap_or_else(|code| code)
}

/// Which letters are meant.
#[derive(Clone, Debug, clap::Args)]
struct Chosen {
    /// Only letters with this text in their reason, as it is or as `ls` prints it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only letters of this stage: decode, process, archive, publish.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Only letters of messages of this topic.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Only letters of messages of this partition.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Only letters of the message with this offset.
    #[arg(long, value_name = "N")]
    offset: Option<i64>,
}

impl Chosen {
    fn selection(&self, before: Option<i64>) -> Selection {
        let Chosen { reason, stage, topic, partition, offset } = self.clone();
        Selection { reason, stage, topic, partition, offset, before }
    }
}

/// A place of letters with a name for people.
struct Place {
    /// The component, or those that share a folder, or the folder.
    name: String,
    store: LetterStore,
}

impl Place {
    fn shown(&self) -> String {
        match &self.store {
            LetterStore::Folder(shelf) => shelf.folder().display().to_string(),
            LetterStore::Topic(topic) => format!("topic {}", topic.name()),
        }
    }
}

/// The places of letters of a configuration file, or the folder itself. Two components may share a folder: it is one place.
fn places(path: &Path, component: Option<&str>) -> Result<Vec<Place>, ExitCode> {
    if path.is_dir() {
        if component.is_some() {
            return Err(wrong_usage("--component names one of a configuration file; this is a folder"));
        }
        return Ok(vec![Place { name: path.display().to_string(), store: LetterStore::Folder(Shelf::new(path)) }]);
    }
    let settings = load(path)?;
    let wanted: Vec<usize> = match component {
        Some(name) => vec![find(&settings, name)?],
        None => (0..settings.components.len()).collect(),
    };
    let mut places: Vec<(Option<PathBuf>, Place)> = Vec::new();
    for component in wanted.into_iter().map(|index| &settings.components[index]) {
        let folder = match &component.dead_letters {
            DeadLetters::Folder(folder) => Some(folder.clone()),
            DeadLetters::Topic { .. } => None,
        };
        match places.iter_mut().find(|(known, _)| folder.is_some() && *known == folder) {
            Some((_, place)) => place.name += &format!(", {}", component.name),
            None => places.push((folder, Place { name: component.name.clone(), store: LetterStore::of(component) })),
        }
    }
    Ok(places.into_iter().map(|(_, place)| place).collect())
}

pub(super) fn load(path: &Path) -> Result<Settings, ExitCode> {
    config::load(path).map_err(|problem| {
        eprint!("{problem}");
        ExitCode::from(exit::CONFIGURATION)
    })
}

pub(super) fn find(settings: &Settings, name: &str) -> Result<usize, ExitCode> {
    settings.components.iter().position(|component| component.name == name).ok_or_else(|| {
        let names: Vec<&str> = settings.components.iter().map(|component| component.name.as_str()).collect();
        wrong_usage(&format!("there is no component `{name}`; there are {}", names.join(", ")))
    })
}

pub(super) fn wrong_usage(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(2)
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    fail(&error.to_string())
}

/// A text without control characters: a terminal must not obey a letter.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A time in milliseconds since 1970 as people read it, UTC.
fn time(millis: i64) -> String {
    match timestamp_ms_to_datetime(millis) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        None => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_texts_obey_no_one() {
        assert_eq!(time(1_794_193_200_123), "2026-11-09T03:00:00.123Z");
        assert_eq!(time(i64::MAX), format!("{} ms", i64::MAX));
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}\u{e9}"), "a\\u{1b}[2Jb\\nc\\u{9b}\u{e9}");
    }
}
