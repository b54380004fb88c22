//! Whether an archive is what it has to be: every page of every file is read, and what is read is held against the footers, the
//! folders and each other. Nothing is changed.

mod across;
mod inspect;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use rayon::prelude::*;

use super::contents::STAGING_SUFFIX;
use super::footer::{self, ReadError};
use super::list::{Listing, Origin};
use crate::config::HourBy;

/// The times of observation of the rows of a batch as the survey of this name has them, where that can be told.
pub type Observed<'a> = dyn Fn(&str, &RecordBatch) -> Option<TimestampMicrosecondArray> + Sync + 'a;

/// How a check is done.
pub struct Check<'a> {
    /// The time that decides the hour; either will do where it is not known.
    pub by: Option<HourBy>,
    /// Tells times of observation.
    pub observed: &'a Observed<'a>,
    /// Hears of every file that was read through, with its bytes.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// Something that is not as it has to be, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// Where.
    pub place: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    fn new(what: impl Into<String>, place: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self { what: what.into(), place: place.to_string(), advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.what, self.place, self.advice)
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Files read.
    pub files: u64,
    /// Rows read.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is not wrong, but worth knowing.
    pub notes: Vec<Finding>,
    /// Rows read, by partition.
    pub partitions: BTreeMap<Origin, u64>,
}

/// Checks everything that a listing found.
#[must_use]
pub fn verify(listing: &Listing, check: &Check) -> Verdict {
    let mut verdict = Verdict::default();
    for (_, error) in &listing.damaged {
        verdict.findings.push(damaged(error));
    }
    for path in &listing.unfinished {
        let advice = "nothing of it counts; if no skysluice has its staging folder here, remove it";
        verdict.findings.push(Finding::new("an unfinished file lies inside the archive", path.display(), advice));
    }
    let inspect = |listed| {
        let inspected = inspect::file(listed, check);
        (check.progress)(listed.file.bytes);
        inspected
    };
    let inspected: Vec<inspect::Inspected> = listing.files.par_iter().map(inspect).collect();
    for (listed, one) in listing.files.iter().zip(&inspected) {
        verdict.files += 1;
        verdict.bytes += listed.file.bytes;
        verdict.rows += one.rows;
        verdict.findings.extend(one.findings.iter().cloned());
        for (origin, rows) in &one.partitions {
            *verdict.partitions.entry(origin.clone()).or_default() += rows;
        }
    }
    across::overlaps(&listing.files, &mut verdict);
    across::doubles(&listing.files, &inspected, &mut verdict);
    verdict
}

fn damaged(error: &ReadError) -> Finding {
    match error {
        ReadError::Io { path, source } => {
            Finding::new(format!("cannot be read: {source}"), path.display(), "let this user read it, or see to the disk")
        }
        ReadError::Parquet { path, source } => Finding::new(format!("no whole Parquet file: {source}"), path.display(), RESTORE),
        ReadError::Avro { path, .. } | ReadError::Cut { path, .. } => Finding::new(error.to_string(), path.display(), RESTORE),
        ReadError::Ranges { path, source } => {
            Finding::new(format!("offset ranges of an unknown form: {source}"), path.display(), "check it with a newer version")
        }
    }
}

/// What to do about a file that is damaged.
const RESTORE: &str = "restore it from a copy, or move it out of the archive and archive its offsets again";

/// Unfinished files in a staging folder and the folders in it: what a running process writes, or what one that ended suddenly left.
///
/// # Errors
/// When a folder can't be read; one that is not there has none.
pub fn staged(staging: &Path) -> Result<Vec<Finding>, ReadError> {
    let mut found: Vec<PathBuf> = Vec::new();
    for (entry, is_folder) in footer::entries(staging)? {
        let inner = if is_folder { footer::entries(&entry)? } else { vec![(entry, false)] };
        found.extend(inner.into_iter().filter(|(_, is_folder)| !is_folder).map(|(path, _)| path));
    }
    found.retain(|path| path.to_string_lossy().ends_with(STAGING_SUFFIX));
    found.sort();
    let advice = "a running skysluice is writing it, or one that ended suddenly left it: the next start takes it away";
    Ok(found.iter().map(|path| Finding::new("an unfinished file", path.display(), advice)).collect())
}

/// What the reports of runs say of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounted {
    /// Rows archived.
    pub archived: u64,
    /// Rows not archived, because they were before.
    pub skipped: u64,
}

/// Holds the rows found against what runs have reported.
pub fn hold_against(verdict: &mut Verdict, reported: &BTreeMap<Origin, Accounted>) {
    let all: Vec<Origin> = verdict.partitions.keys().chain(reported.keys()).cloned().collect();
    for origin in all.into_iter().collect::<std::collections::BTreeSet<_>>() {
        let rows = verdict.partitions.get(&origin).copied().unwrap_or(0);
        let Accounted { archived, skipped } = reported.get(&origin).copied().unwrap_or_default();
        let place = format!("{}[{}] of component {}", origin.topic, origin.partition, origin.component);
        let counts = format!("{rows} rows in the archive, {archived} by the reports");
        if rows < archived {
            let advice = "files were taken away or damaged since: restore them from a copy";
            verdict.findings.push(Finding::new(format!("{} rows are missing: {counts}", archived - rows), place, advice));
        } else if rows > archived + skipped {
            let advice = "give the reports of all runs that wrote here (--report again); a run that was killed leaves none";
            let more = rows - archived - skipped;
            verdict.findings.push(Finding::new(format!("{more} rows are not accounted for: {counts}"), place, advice));
        } else if rows > archived {
            let before = rows - archived;
            let what = format!("{before} rows were archived before what the reports tell of");
            verdict.notes.push(Finding::new(what, place, "nothing to do: these runs met them again and left them out"));
        }
    }
}
