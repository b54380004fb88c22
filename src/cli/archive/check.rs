//! `skysluice archive check`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::DecimalBytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Archive, Scope, progress};
use crate::cli::{exit, fail, print};
use crate::pipeline::list::{Listing, Origin};
use crate::pipeline::verify::{self, Accounted, Check, Finding, Verdict};
use crate::{config as settings, pipeline};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Root of an archive, a folder or a file in it, or a configuration file.
    #[arg(value_name = "PATH|CONFIG")]
    path: PathBuf,
    #[command(flatten)]
    scope: Scope,
    /// What `skysluice run --report FILE` wrote: as many rows have to be in the archive as it counts, partition by partition.
    /// Give those of all runs that wrote to the archive; where their components have archives of their own, choose by --component.
    #[arg(long = "report", value_name = "FILE", conflicts_with = "hours")]
    reports: Vec<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks an archive.
pub fn run(args: &Args) -> ExitCode {
    let (archive, listing) = match args.scope.list(&args.path) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let verdict = match check(args, &archive, &listing) {
        Ok(verdict) => verdict,
        Err(message) => return fail(&message),
    };
    let printed = match args.json {
        true => print(&format!("{:#}\n", as_json(&verdict))),
        false => print(&as_text(&verdict)),
    };
    if verdict.findings.is_empty() { printed } else { ExitCode::from(exit::FAILED) }
}

fn check(args: &Args, archive: &Archive, listing: &Listing) -> Result<Verdict, String> {
    // Before the long work.
    let reported = args.reports.iter().map(|path| read_report(path)).collect::<Result<Vec<_>, _>>()?;
    let surveys = listing.files.iter().map(|listed| listed.survey.as_str()).collect::<std::collections::BTreeSet<_>>();
    let profile = |name: &str| match &archive.survey {
        Some(survey) if survey.name == name => Some(survey.clone()),
        _ => settings::builtin(name).ok(),
    };
    let surveys = surveys.into_iter().filter_map(|name| Some((name.to_owned(), profile(name)?))).collect();
    let observed = pipeline::observed(surveys);
    let bar = progress(listing.total().bytes);
    let mut verdict = verify::verify(listing, &Check { by: archive.by, observed: &observed, progress: &|bytes| bar.inc(bytes) });
    bar.finish_and_clear();
    verdict.notes.extend(verify::staged(&archive.staging).map_err(|e| e.to_string())?);
    if !reported.is_empty() {
        let mut sums: BTreeMap<Origin, Accounted> = BTreeMap::new();
        for (origin, counts) in reported.into_iter().flatten() {
            if archive.component.as_ref().is_none_or(|component| *component == origin.component) {
                let sum = sums.entry(origin).or_default();
                sum.archived += counts.archived;
                sum.skipped += counts.skipped;
            }
        }
        verify::hold_against(&mut verdict, &sums);
    }
    Ok(verdict)
}

fn read_report(path: &Path) -> Result<Vec<(Origin, Accounted)>, String> {
    #[derive(Deserialize)]
    struct Report {
        components: Vec<Component>,
    }
    #[derive(Deserialize)]
    struct Component {
        name: String,
        partitions: Vec<Partition>,
    }
    #[derive(Deserialize)]
    struct Partition {
        topic: String,
        partition: i32,
        archived: u64,
        skipped: u64,
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("report {}: {e}", path.display()))?;
    let wrong = |e| format!("{} is no report of `skysluice run --report` with its partitions: {e}", path.display());
    let report: Report = serde_json::from_str(&text).map_err(wrong)?;
    let of = |component: Component| {
        component.partitions.into_iter().map(move |p| {
            let origin = Origin { component: component.name.clone(), topic: p.topic, partition: p.partition };
            (origin, Accounted { archived: p.archived, skipped: p.skipped })
        })
    };
    Ok(report.components.into_iter().flat_map(of).collect())
}

fn as_text(verdict: &Verdict) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    for finding in &verdict.findings {
        let _ = writeln!(out, "{finding}");
    }
    for note in &verdict.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let Verdict { files, rows, bytes, findings, .. } = verdict;
    let result = match findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        n => format!("{n} things are wrong"),
    };
    let _ = writeln!(out, "{files} files, {rows} rows, {}: {result}", DecimalBytes(*bytes));
    out
}

fn as_json(verdict: &Verdict) -> Value {
    let told = |findings: &[Finding]| -> Vec<Value> {
        findings.iter().map(|f| json!({ "what": f.what, "where": f.place, "do": f.advice })).collect()
    };
    let partition = |(origin, rows): (&Origin, &u64)| json!({ "component": origin.component, "topic": origin.topic, "partition": origin.partition, "rows": rows });
    let partitions: Vec<Value> = verdict.partitions.iter().map(partition).collect();
    json!({
        "files": verdict.files, "rows": verdict.rows, "bytes": verdict.bytes, "partitions": partitions,
        "findings": told(&verdict.findings), "notes": told(&verdict.notes),
    })
}
