//! `skysluice deadletter requeue`: letters processed again.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::{exit, fail, run};
use super::{Chosen, find, load, wrong_usage};
use crate::actor::{End, StopSignal};
use crate::ledger::Totals;
use crate::pipeline::{self, Requeued};

/// Arguments of `requeue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    file: PathBuf,
    /// The component whose letters are processed; needed where there are several.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
}

/// Processes letters again.
///
/// # Errors
/// The exit code; the reason has been printed.
pub fn run(args: &Args) -> Result<ExitCode, ExitCode> {
    let settings = load(&args.file)?;
    let index = match &args.component {
        Some(name) => find(&settings, name)?,
        None if settings.components.len() == 1 => 0,
        None => return Err(wrong_usage("there are several components: say which by --component NAME")),
    };
    let stop = StopSignal::listen().map_err(|e| fail(&format!("signals: {e}")))?;
    let refuse = |error| run::refuse(&settings, index, &error);
    let pool = pipeline::pool(settings.service.threads).map_err(refuse)?;
    let requeued = pipeline::requeue(&settings, index, &args.chosen.selection(None), &stop, &pool).map_err(refuse)?;
    print(&requeued);
    Ok(ExitCode::from(exit_code(&requeued)))
}

fn print(requeued: &Requeued) {
    let taken_up = match requeued.taken_up {
        0 => String::new(),
        count => format!(", {count} of them left by an earlier attempt"),
    };
    println!("{} letters{taken_up}", requeued.letters);
    let sum = |part: fn(&Totals) -> u64| requeued.runs.iter().map(|run| part(&run.totals)).sum::<u64>();
    let (alerts, archived, skipped, dead) = (sum(|t| t.alerts), sum(|t| t.archived), sum(|t| t.skipped), sum(|t| t.dead));
    let holds = if sum(|t| t.imbalance) == 0 { "balanced" } else { "NOT BALANCED" };
    println!("requeued {alerts} = archived {archived} + skipped {skipped} + dead again {dead} ({holds})");
    for run in &requeued.runs {
        for output in run.published.outputs.iter().filter(|output| output.messages > 0) {
            println!("  published to {}: {} messages", output.topic, output.messages);
        }
        if let Some(cause) = &run.outcome.cause {
            println!("  generations: {}, first fault: {cause}", run.outcome.generations);
        }
    }
    for (stage, count) in &requeued.again {
        println!("  {count} became letters again in {stage}");
    }
    if requeued.left > 0 {
        println!("  {} letters are left: the next attempt takes them up", requeued.left);
    }
    if requeued.unfit > 0 {
        println!("  {} letters are of a sink (archive or output) that the component has no more", requeued.unfit);
    }
    if requeued.omitted > 0 {
        println!("  {} letters are without their bytes: read those messages from where they came", requeued.omitted);
    }
}

fn exit_code(requeued: &Requeued) -> u8 {
    if requeued.runs.iter().any(|run| run.outcome.end == End::GaveUp) {
        exit::GAVE_UP
    } else if requeued.left > 0 {
        exit::CUT_SHORT
    } else if !requeued.again.is_empty()
        || requeued.unfit + requeued.omitted > 0
        || requeued.runs.iter().any(|run| run.totals.imbalance + run.totals.dead > 0)
    {
        exit::FAILED
    } else {
        exit::OK
    }
}
