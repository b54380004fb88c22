//! `skysluice archive ls`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::DecimalBytes;
use serde_json::{Value, json};

use super::Scope;
use crate::cli::{exit, print};
use crate::pipeline::Hour;
use crate::pipeline::list::{Listing, Origin, Share};

/// Partitions that are told of one by one in a line.
const PARTITIONS: usize = 8;
/// Gaps that are told of one by one.
const GAPS: usize = 50;

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Root of an archive, a folder or a file in it, or a configuration file.
    #[arg(value_name = "PATH|CONFIG")]
    path: PathBuf,
    #[command(flatten)]
    scope: Scope,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Lists an archive.
pub fn run(args: &Args) -> ExitCode {
    let (archive, listing) = match args.scope.list(&args.path) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let printed = match args.json {
        true => print(&format!("{:#}\n", as_json(&archive.root.display().to_string(), &listing))),
        false => print(&as_text(&archive.root.display().to_string(), &listing)),
    };
    if !args.json {
        listing.damaged.iter().for_each(|(_, error)| eprintln!("error: {error}"));
    }
    if listing.damaged.is_empty() { printed } else { ExitCode::from(exit::FAILED) }
}

/// The hour of a folder as it is shown.
fn shown(hour: Option<Hour>) -> String {
    hour.map_or_else(|| "no hour".to_owned(), |hour| hour.to_string())
}

fn as_text(root: &str, listing: &Listing) -> String {
    let mut out = format!("{root}\n{:<13} {:>6} {:>11} {:>11}  offsets\n", "hour", "files", "rows", "bytes");
    let several = listing.components().len() > 1;
    let mut line = |name: &str, share: &Share| {
        let bytes = DecimalBytes(share.bytes).to_string();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<13} {:>6} {:>11} {bytes:>11}  {}", share.files, share.rows, offsets(share, several));
    };
    for (hour, share) in listing.by(|listed| listed.hour) {
        line(&shown(hour), &share);
    }
    line("all", &listing.total());
    for (name, share) in listing.by(|listed| listed.file.component.clone()) {
        let name = if name.is_empty() { "no component: not written by skysluice" } else { &name };
        let _ = writeln!(out, "component {name}: {}", sums(&share));
    }
    for ((name, fingerprint), share) in listing.by(|listed| (listed.schema.clone(), listed.file.fingerprint.clone())) {
        let _ = writeln!(out, "schema {name} {fingerprint}: {}", sums(&share));
    }
    let gaps = listing.gaps();
    for (origin, first, last) in gaps.iter().take(GAPS) {
        let Origin { component, topic, partition } = origin;
        let of = if several { format!(" of component {component}") } else { String::new() };
        let _ = writeln!(out, "not in the archive: {topic}[{partition}]{of} {first}..{last} ({})", last - first + 1);
    }
    if gaps.len() > GAPS {
        let _ = writeln!(out, "not in the archive: {} more ranges; --json tells of all", gaps.len() - GAPS);
    }
    if !gaps.is_empty() {
        out += "(dead letters, offsets that a producer's transaction took, and hours that are not listed leave such gaps)\n";
    }
    for path in &listing.unfinished {
        let _ = writeln!(out, "unfinished: {}", path.display());
    }
    out
}

fn sums(share: &Share) -> String {
    format!("{} files, {} rows, {}", share.files, share.rows, DecimalBytes(share.bytes))
}

/// First and last offset of each partition: `topic[0] 0..99 [1] 5..80`.
fn offsets(share: &Share, several: bool) -> String {
    let mut out = String::new();
    let mut before: Option<(&str, &str)> = None;
    for (origin, (first, last, _)) in share.partitions.iter().take(PARTITIONS) {
        let Origin { component, topic, partition } = origin;
        if before != Some((component, topic)) {
            let separator = if before.is_some() { "; " } else { "" };
            let of = if several { format!("{component}: ") } else { String::new() };
            let _ = write!(out, "{separator}{of}{topic}");
        } else {
            out.push(' ');
        }
        before = Some((component, topic));
        let _ = write!(out, "[{partition}] {first}..{last}");
    }
    if share.partitions.len() > PARTITIONS {
        let _ = write!(out, "; {} more partitions", share.partitions.len() - PARTITIONS);
    }
    out
}

fn as_json(root: &str, listing: &Listing) -> Value {
    let share = |share: &Share| json!({ "files": share.files, "rows": share.rows, "bytes": share.bytes });
    let partition = |origin: &Origin, more: Value| {
        let mut value = json!({ "component": origin.component, "topic": origin.topic, "partition": origin.partition });
        for (key, given) in more.as_object().into_iter().flatten() {
            value[key] = given.clone();
        }
        value
    };
    let with = |mut value: Value, key: &str, more: Value| {
        value[key] = more;
        value
    };
    let partitions = |of: &Share| -> Vec<Value> {
        let one = |(origin, (first, last, rows)): (&Origin, &(i64, i64, u64))| {
            partition(origin, json!({ "first": first, "last": last, "rows": rows }))
        };
        of.partitions.iter().map(one).collect()
    };
    let hours: Vec<Value> = listing
        .by(|listed| listed.hour)
        .iter()
        .map(|(hour, of)| {
            let hour = hour.map(|hour| hour.to_string());
            with(with(share(of), "hour", json!(hour)), "partitions", json!(partitions(of)))
        })
        .collect();
    let components: Vec<Value> = listing
        .by(|listed| listed.file.component.clone())
        .iter()
        .map(|(name, of)| with(share(of), "name", json!(name)))
        .collect();
    let schemas: Vec<Value> = listing
        .by(|listed| (listed.schema.clone(), listed.file.fingerprint.clone()))
        .iter()
        .map(|((name, fingerprint), of)| with(with(share(of), "name", json!(name)), "fingerprint", json!(fingerprint)))
        .collect();
    let gaps: Vec<Value> = listing
        .gaps()
        .iter()
        .map(|(origin, first, last)| partition(origin, json!({ "first": first, "last": last, "offsets": last - first + 1 })))
        .collect();
    let damaged: Vec<Value> =
        listing.damaged.iter().map(|(path, error)| json!({ "path": path, "error": error.to_string() })).collect();
    json!({
        "root": root, "total": share(&listing.total()), "hours": hours, "components": components, "schemas": schemas,
        "not_in_archive": gaps, "damaged": damaged, "unfinished": listing.unfinished,
    })
}
