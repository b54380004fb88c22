//! What files say together: ranges that overlap, rows that are there twice.

use std::collections::BTreeMap;

use super::super::footer::OffsetRange;
use super::super::list::{Listed, Origin, origin};
use super::inspect::Inspected;
use super::{Finding, Verdict};

/// Whether the times of the messages speak against one being the other: the topic was deleted and created again, and its offsets
/// began anew.
fn created_anew(a: &OffsetRange, b: &OffsetRange) -> bool {
    let span = |range: &OffsetRange| range.min_timestamp.zip(range.max_timestamp);
    match (span(a), span(b)) {
        (Some((a_low, a_high)), Some((b_low, b_high))) => a_high < b_low || b_high < a_low,
        _ => false,
    }
}

/// Ranges of one component, schema, hour and partition have no offset in common.
pub fn overlaps(files: &[Listed], verdict: &mut Verdict) {
    let mut groups: BTreeMap<_, Vec<(&OffsetRange, &Listed)>> = BTreeMap::new();
    for listed in files {
        for range in &listed.file.ranges {
            let key = (origin(&listed.file, range), &listed.file.fingerprint, listed.hour);
            groups.entry(key).or_default().push((range, listed));
        }
    }
    for group in groups.values_mut() {
        group.sort_by_key(|(range, _)| (range.first, range.last));
        for (i, (range, listed)) in group.iter().enumerate() {
            let meets = |(other, _): &&(&OffsetRange, &Listed)| other.first <= range.last;
            for (other, other_listed) in group[i + 1..].iter().take_while(meets) {
                let other_records = matches!((range.record, other.record), (Some(a), Some(b)) if a != b);
                if other_records || created_anew(range, other) {
                    continue;
                }
                let OffsetRange { topic, partition, .. } = range;
                let what = format!(
                    "offset ranges of {topic}[{partition}] overlap: {}..{} and {}..{}",
                    range.first, range.last, other.first, other.last
                );
                let place = format!("{} and {}", listed.file.path.display(), other_listed.file.path.display());
                let advice = "one of them was copied in, or two processes wrote one partition: if one holds nothing of its own, move it out";
                verdict.findings.push(Finding::new(what, place, advice));
            }
        }
    }
}

/// A run of rows, and where it is.
struct Placed {
    first: i64,
    last: i64,
    file: usize,
    range: usize,
}

/// No row is there twice, in whatever file.
pub fn doubles(files: &[Listed], inspected: &[Inspected], verdict: &mut Verdict) {
    let mut runs: BTreeMap<(Origin, i32), Vec<Placed>> = BTreeMap::new();
    for (file, (listed, seen)) in files.iter().zip(inspected).enumerate() {
        for run in &seen.runs {
            let origin = origin(&listed.file, &listed.file.ranges[run.range]);
            let placed = Placed { first: run.first, last: run.last, file, range: run.range };
            runs.entry((origin, run.record)).or_default().push(placed);
        }
    }
    // Rows and the first offset by pair of files.
    let mut twice: BTreeMap<(Origin, usize, usize, bool), (u64, i64)> = BTreeMap::new();
    for ((origin, _), mut runs) in runs {
        runs.sort_by_key(|run| (run.first, run.last));
        for (i, run) in runs.iter().enumerate() {
            for other in runs[i + 1..].iter().take_while(|other| other.first <= run.last) {
                let range = |placed: &Placed| &files[placed.file].file.ranges[placed.range];
                let anew = created_anew(range(run), range(other));
                let rows = (run.last.min(other.last) - other.first + 1).unsigned_abs();
                let pair = (origin.clone(), run.file.min(other.file), run.file.max(other.file), anew);
                let (sum, first) = twice.entry(pair).or_insert((0, other.first));
                *sum += rows;
                *first = other.first.min(*first);
            }
        }
    }
    for ((Origin { topic, partition, .. }, a, b, anew), (rows, first)) in twice {
        let place = match (files[a].file.path.display(), files[b].file.path.display()) {
            (path, _) if a == b => path.to_string(),
            (one, other) => format!("{one} and {other}"),
        };
        if anew {
            let what = format!("{rows} offsets of {topic}[{partition}] were used twice, at other times, from {first}");
            verdict.notes.push(Finding::new(what, place, "nothing to do: the topic was created anew"));
        } else {
            let what = format!("{rows} rows of {topic}[{partition}] are there twice, from offset {first}");
            let advice = "leave one out when you read; where one file holds nothing of its own, move it out of the archive";
            verdict.findings.push(Finding::new(what, place, advice));
        }
    }
}
