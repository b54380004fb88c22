//! What a run did, for people (printed at exit) and for programs (`--report FILE`, JSON).

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};

use super::usage;
use crate::actor::End;
use crate::alert::Span;
use crate::ledger::Percentiles;
use crate::pipeline::{ArchiveCounts, Summary};

/// A run of all components of a file.
pub struct Report {
    /// One per component, in the order of the file.
    pub components: Vec<Summary>,
    /// Wall-clock time of the run.
    pub time: Duration,
    /// Processor seconds of the process.
    pub cpu_seconds: f64,
    /// What was used up before the first alert was asked for.
    pub ready: Ready,
}

/// What preparing took: catalogues are loaded and schemas compiled before `Report::time` begins.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Wall-clock time of it.
    pub time: Duration,
    /// Processor seconds of the process until then.
    pub cpu_seconds: f64,
    /// Resident memory then, bytes: mostly catalogues.
    pub rss_bytes: u64,
}

impl Ready {
    /// After `time`, now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { time, cpu_seconds: usage::cpu_seconds(), rss_bytes: usage::rss_bytes() }
    }
}

impl Report {
    /// The report of a run that took `time` after it was ready.
    #[must_use]
    pub fn new(components: Vec<Summary>, time: Duration, ready: Ready) -> Self {
        Self { components, time, cpu_seconds: usage::cpu_seconds(), ready }
    }

    /// As JSON; the keys are part of the command line's promise.
    #[must_use]
    pub fn json(&self) -> Value {
        let components: Vec<Value> = self.components.iter().map(component).collect();
        json!({
            "components": components,
            "seconds": self.time.as_secs_f64(),
            "cpu_seconds": self.cpu_seconds,
            "max_rss_bytes": usage::max_rss_bytes(),
            "ready": {
                "seconds": self.ready.time.as_secs_f64(),
                "cpu_seconds": self.ready.cpu_seconds,
                "rss_bytes": self.ready.rss_bytes,
            },
            "generations": self.components.iter().map(|c| c.outcome.generations).max().unwrap_or(0),
            "first_fault": self.components.iter().find_map(|c| c.outcome.cause.clone()),
        })
    }

    /// Writes the JSON to a file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, format!("{:#}\n", self.json())).map_err(|e| format!("report {}: {e}", path.display()))
    }

    /// Prints the sums of every component.
    pub fn print(&self) {
        let seconds = self.time.as_secs_f64().max(1e-9);
        for c in &self.components {
            let t = &c.totals;
            let per_alert = if t.alerts == 0 { 0.0 } else { self.cpu_seconds * 1e6 / t.alerts as f64 };
            println!(
                "{}: {} alerts in {seconds:.1} s, {:.0}/s, {per_alert:.0} us of processor time an alert",
                c.name,
                t.alerts,
                t.alerts as f64 / seconds
            );
            println!("  {}", sums(c));
            for (what, counts) in [("archive", &c.archived), ("backup", &c.backed_up)] {
                if let Some(counts) = counts {
                    println!("  {what}: {}", kept(counts));
                }
            }
            for s in &c.steps.steps {
                println!("  {}", step(s));
            }
            for output in &c.published.outputs {
                println!("  published to {}: {} messages, {} bytes", output.topic, output.messages, output.bytes);
            }
            for (what, Percentiles { p50, p99, max }) in &c.latency {
                println!("  {what} after {p50:.1} ms at the median, {p99:.1} ms for 99 of 100, {max:.1} ms at most");
            }
            if let Some(cause) = &c.outcome.cause {
                println!(
                    "  generations: {}, stages rebuilt in place: {}, first fault: {cause}",
                    c.outcome.generations, c.outcome.rebuilt
                );
            }
            if t.expired > 0 {
                eprintln!("error: {}: {}", c.name, expired(c));
            }
            if c.outcome.end == End::Halted {
                eprintln!("error: {}: {}", c.name, c.outcome.cause.as_deref().unwrap_or_default());
            }
            if let Some(held) = &c.held {
                eprintln!("error: {}: {held}", c.name);
            }
            for (origin, p) in c.partitions.iter().filter(|(_, p)| p.imbalance > 0) {
                eprintln!("error: {origin}: {} alerts are not accounted for; please report this", p.imbalance);
            }
        }
    }

    /// The exit code that the run deserves.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let one = |c: &Summary| match c.outcome.end {
            End::GaveUp => super::exit::GAVE_UP,
            End::CutShort => super::exit::CUT_SHORT,
            End::Halted => super::exit::EXPIRED,
            End::Held => super::exit::FAILED,
            End::Finished | End::Stopped if c.totals.imbalance > 0 => super::exit::FAILED,
            End::Finished | End::Stopped => super::exit::OK,
        };
        self.components.iter().map(one).find(|code| *code != super::exit::OK).unwrap_or(super::exit::OK)
    }
}

/// The conservation sums of a component as one line.
fn sums(c: &Summary) -> String {
    let t = &c.totals;
    let holds = if t.imbalance == 0 { "balanced" } else { "NOT BALANCED" };
    format!(
        "in {} = archived {} + skipped {} + dead-lettered {} ({holds}; {} messages)",
        t.alerts, t.archived, t.skipped, t.dead, t.messages
    )
}

/// Ranges of lost messages that are printed of a component; the report as JSON has all that the ledger lists.
const RANGES: usize = 10;

/// What was gone before it was read.
fn expired(c: &Summary) -> String {
    let ranges: Vec<String> = c
        .expired
        .iter()
        .flat_map(|(origin, spans)| spans.iter().map(move |s| format!("{origin} offsets {} to {}", s.start, s.end - 1)))
        .collect();
    let more = ranges.len().saturating_sub(RANGES);
    let more = if more > 0 { format!(" and {more} more ranges") } else { String::new() };
    format!(
        "{} messages were lost: the broker no longer kept them when they were to be read ({}{more}); gaps.jsonl in the component's          folder lists them",
        c.totals.expired,
        ranges[..ranges.len().min(RANGES)].join(", ")
    )
}

/// What was written to an archive or a backup.
fn kept(counts: &ArchiveCounts) -> String {
    let megabytes = counts.bytes.load(Relaxed) as f64 / 1e6;
    let mut text =
        format!("{} alerts written in {} files, {megabytes:.1} MB", counts.rows.load(Relaxed), counts.files.load(Relaxed));
    for (number, what) in [
        (counts.skipped.load(Relaxed), "were there already"),
        (counts.quarantined.load(Relaxed), "in quarantine, without a usable time"),
        (counts.pauses.load(Relaxed), "pauses while the disk was full"),
    ] {
        if number > 0 {
            text += &format!("; {number} {what}");
        }
    }
    text
}

fn step(s: &crate::process::StepReport) -> String {
    let name = &s.name;
    match s.kind {
        "crossmatch" | "watchlist" => {
            let mut text = format!(
                "step {name}: {} alerts with a match, {} matches, {} not tried",
                s.matched_alerts, s.matches, s.not_tried
            );
            for c in &s.catalogs {
                text += &format!("\n    {}: {} alerts with a match, {} matches", c.id, c.matched_alerts, c.matches);
                for (number, what) in [(c.not_covered, "not covered"), (c.capped, "with more than are listed")] {
                    if number > 0 {
                        text += &format!(", {number} {what}");
                    }
                }
            }
            text
        }
        "region" => format!("step {name}: {} passed, {} skipped, {} without a position", s.passed, s.skipped, s.not_tried),
        "classify" => {
            let classes: Vec<String> = s.classes.iter().map(|(class, number)| format!("{number} {class}")).collect();
            format!("step {name}: {}, {} not tried", classes.join(", "), s.not_tried)
        }
        _ => format!("step {name}: {} passed, {} skipped, {} unknown, {} errors", s.passed, s.skipped, s.unknown, s.errors),
    }
}

fn component(c: &Summary) -> Value {
    let t = &c.totals;
    let published: serde_json::Map<String, Value> = c
        .published
        .outputs
        .iter()
        .map(|o| {
            (o.topic.clone(), json!({ "messages": o.messages, "bytes": o.bytes, "too_large": o.too_large, "errors": o.errors, "before": o.before }))
        })
        .collect();
    let steps: Vec<Value> = c
        .steps
        .steps
        .iter()
        .map(|s| {
            let catalogs: Vec<Value> = s
                .catalogs
                .iter()
                .map(|c| json!({ "id": c.id, "matched_alerts": c.matched_alerts, "matches": c.matches, "not_covered": c.not_covered, "capped": c.capped }))
                .collect();
            let classes: serde_json::Map<String, Value> = s.classes.iter().map(|(class, number)| (class.clone(), json!(number))).collect();
            json!({ "name": s.name, "kind": s.kind, "catalogs": catalogs, "classes": classes, "passed": s.passed, "skipped": s.skipped, "unknown": s.unknown, "errors": s.errors,
                "matched_alerts": s.matched_alerts, "matches": s.matches, "not_tried": s.not_tried })
        })
        .collect();
    let partitions: Vec<Value> = c
        .partitions
        .iter()
        .map(|(origin, t)| {
            json!({ "topic": &*origin.topic, "partition": origin.partition, "messages": t.messages, "alerts": t.alerts,
                "archived": t.archived, "skipped": t.skipped, "dead": t.dead, "expired": t.expired })
        })
        .collect();
    let gaps: Vec<Value> = c
        .expired
        .iter()
        .flat_map(|(origin, spans)| {
            let gap = |s: &Span| json!({ "topic": &*origin.topic, "partition": origin.partition, "from": s.start, "to": s.end });
            spans.iter().map(gap)
        })
        .collect();
    let archived = |of: fn(&ArchiveCounts) -> &AtomicU64| c.archived.as_ref().map_or(0, |counts| of(counts).load(Relaxed));
    let backup = c.backed_up.as_ref().map(|b| {
        json!({ "files": b.files.load(Relaxed), "bytes": b.bytes.load(Relaxed), "rows": b.rows.load(Relaxed),
            "skipped": b.skipped.load(Relaxed), "quarantined": b.quarantined.load(Relaxed), "pauses": b.pauses.load(Relaxed) })
    });
    let latency: serde_json::Map<String, Value> = c
        .latency
        .iter()
        .map(|(what, Percentiles { p50, p99, max })| ((*what).to_owned(), json!({ "p50": p50, "p99": p99, "max": max })))
        .collect();
    json!({
        "name": c.name,
        "held": c.held,
        "end": format!("{:?}", c.outcome.end).to_lowercase(),
        "messages": t.messages, "alerts": t.alerts, "archived": t.archived, "skipped": t.skipped, "dead": t.dead, "imbalance": t.imbalance,
        "expired": t.expired, "gaps": gaps,
        "generations": c.outcome.generations, "rebuilt": c.outcome.rebuilt, "first_fault": c.outcome.cause,
        "files": archived(|c| &c.files), "bytes": archived(|c| &c.bytes), "quarantined": archived(|c| &c.quarantined),
        "pauses": archived(|c| &c.pauses),
        "backup": backup,
        "published": published, "steps": steps, "partitions": partitions,
        "latency_ms": latency,
    })
}
