//! `skysluice run FILE`, and running prepared settings for other subcommands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::report::{Ready, Report};
use super::status::{Status, Watched};
use super::{exit, fail};
use crate::actor::StopSignal;
use crate::config::{self, KafkaSource, Settings, Source};
use crate::pipeline::{self, Pipeline, PrepareError};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    file: PathBuf,
    /// Write what the run did to this file as JSON when it ends.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs the components of a file.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let settings = match config::load(&args.file) {
        Ok(settings) => settings,
        Err(problem) => {
            eprint!("{problem}");
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    let report = match run_settings(&settings) {
        Ok(report) => report,
        Err(code) => return code,
    };
    report.print();
    if let Some(path) = &args.report
        && let Err(message) = report.write(path)
    {
        return fail(&message);
    }
    ExitCode::from(report.exit_code())
}

/// Runs the components of checked settings until all have ended.
///
/// # Errors
/// The exit code when nothing could be started; the reason has been printed.
pub fn run_settings(settings: &Settings) -> Result<Report, ExitCode> {
    let asked = Instant::now();
    let stop = StopSignal::listen().map_err(|e| fail(&format!("signals: {e}")))?;
    let pool = pipeline::pool(settings.service.threads).map_err(|e| refuse(settings, 0, &e))?;
    let settings = &pipeline::with_late(settings);
    let stops = stops(settings, &stop);
    let pipelines: Vec<Pipeline> = (0..settings.components.len())
        .map(|i| Pipeline::prepare(settings, i, stops[i].clone(), pool.clone()).map_err(|e| refuse(settings, i, &e)))
        .collect::<Result<_, _>>()?;
    let ready = Ready::after(asked.elapsed());
    let started = Instant::now();
    let watched = |p: &Pipeline| Watched { ledger: p.ledger(), hold: p.hold(), kept: p.kept(), registry: p.registry() };
    let status = Status::start(pipelines.iter().map(watched).collect());
    let summaries = std::thread::scope(|scope| {
        let one = |(p, stop): (_, &StopSignal)| {
            let summary = Pipeline::run(p);
            // A component without the reader of its backlog, or the other way round, would be half of what is configured.
            stop.end_together();
            summary
        };
        let threads: Vec<_> = pipelines.iter().zip(&stops).map(|pair| scope.spawn(move || one(pair))).collect();
        threads.into_iter().map(|t| t.join()).collect::<Result<Vec<_>, _>>()
    });
    drop(status);
    let summaries = summaries.map_err(|_| fail("a supervisor panicked; what is not committed will be read again"))?;
    Ok(Report::new(summaries, started.elapsed(), ready))
}

/// A signal for each component: one for both where a component has a reader of its backlog beside it.
fn stops(settings: &Settings, stop: &StopSignal) -> Vec<StopSignal> {
    let mut signals: BTreeMap<&str, StopSignal> = BTreeMap::new();
    let of = |component: &'_ config::Pipeline| match &component.source {
        Source::Kafka(KafkaSource { backlog: Some(backlog), .. }) => backlog.of.clone(),
        _ => component.name.clone(),
    };
    let names: Vec<String> = settings.components.iter().map(of).collect();
    names.iter().map(|name| signals.entry(name).or_insert_with(|| stop.together()).clone()).collect()
}

pub(super) fn refuse(settings: &Settings, component: usize, error: &PrepareError) -> ExitCode {
    if let PrepareError::Fault(fault) = error {
        return fail(&fault.to_string());
    }
    eprint!("{}", super::validate::at_its_place(settings, component, error));
    ExitCode::from(exit::CONFIGURATION)
}
