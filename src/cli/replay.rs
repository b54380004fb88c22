//! `skysluice replay CONFIG NAME --from T --to T`: a range of time of a stream goes through its component once more.

use std::path::PathBuf;
use std::process::ExitCode;

use super::deadletter::{find, load, wrong_usage};
use super::{fail, run};
use crate::actor::End;
use crate::config::{self, Source, show_moment};
use crate::pipeline::{self, Range};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    file: PathBuf,
    /// The component whose stream is replayed.
    #[arg(value_name = "NAME")]
    name: String,
    /// The first time of the range: `2026-11-20T03:00:00Z`, or a date alone for its midnight, UTC.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: i64,
    /// The time that the range ends before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: i64,
    /// Use the steps, archive and outputs that the component of this name has in another configuration file.
    #[arg(long, value_name = "CONFIG2")]
    into: Option<PathBuf>,
    /// Write what the replay did to this file as JSON when it ends.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn moment(text: &str) -> Result<i64, String> {
    config::moment(text).map_err(|e| format!("{}; {}", e.message, e.help))
}

/// Replays the range.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    try_run(args).unwrap_or_else(|code| code)
}

fn try_run(args: &Args) -> Result<ExitCode, ExitCode> {
    let range = Range { from: args.from, to: args.to };
    let (from, to) = (show_moment(range.from), show_moment(range.to));
    if range.from >= range.to {
        return Err(wrong_usage(&format!(
            "the range ends at {to}, before it begins at {from}: --from has to be earlier than --to"
        )));
    }
    let settings = load(&args.file)?;
    let index = find(&settings, &args.name)?;
    let other = match &args.into {
        Some(file) => {
            let other = load(file)?;
            let place = find(&other, &args.name)?;
            Some((other, place))
        }
        None => None,
    };
    let into = other.as_ref().map(|(settings, place)| (settings, *place));
    let made = pipeline::replay(&settings, index, into, range).map_err(|e| wrong_usage(&e.to_string()))?;
    let report = run::run_settings(&made)?;
    report.print();
    let group = made
        .components
        .first()
        .and_then(|c| if let Source::Kafka(kafka) = &c.source { Some(kafka.group.as_str()) } else { None });
    if report.components.iter().all(|c| c.outcome.end == End::Finished && c.totals.messages == 0) {
        println!(
            "nothing was left of the range from {from} to {to}; what was replayed before is committed in group {}",
            group.unwrap_or_default()
        );
    }
    if let Some(path) = &args.report {
        report.write(path).map_err(|message| fail(&message))?;
    }
    Ok(ExitCode::from(report.exit_code()))
}
