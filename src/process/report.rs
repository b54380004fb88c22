//! What the steps have done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What each step has done so far, in the order of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// One per step.
    pub steps: Vec<StepReport>,
}

/// What a step has done: `passed + skipped + errors` is the number of alerts that came to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Name of the step.
    pub name: String,
    /// `cut` or `crossmatch`.
    pub kind: &'static str,
    /// Name of the catalogue, for a cross-match.
    pub catalog: Option<String>,
    /// Alerts that went on.
    pub passed: u64,
    /// Alerts that the condition kept back.
    pub skipped: u64,
    /// Those of `skipped` for which the condition was unknown (a field was null) or a field that it reads was NaN.
    pub unknown: u64,
    /// Alerts kept back because the step does not fit their schema.
    pub errors: u64,
    /// Alerts with at least one match here.
    pub matched_alerts: u64,
    /// Matches here.
    pub matches: u64,
    /// Those of `passed` that could not be matched, for want of a valid position.
    pub not_tried: u64,
}

/// Counts of one batch at one step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub passed: u64,
    pub skipped: u64,
    pub unknown: u64,
    pub errors: u64,
    pub matched: u64,
    pub matches: u64,
    pub not_tried: u64,
}

/// Counts of all batches at one step.
#[derive(Debug, Default)]
pub(super) struct Counters {
    passed: AtomicU64,
    skipped: AtomicU64,
    unknown: AtomicU64,
    errors: AtomicU64,
    matched: AtomicU64,
    matches: AtomicU64,
    not_tried: AtomicU64,
}

impl Counters {
    pub fn add(&self, tally: &Tally) {
        for (counter, more) in [
            (&self.passed, tally.passed),
            (&self.skipped, tally.skipped),
            (&self.unknown, tally.unknown),
            (&self.errors, tally.errors),
            (&self.matched, tally.matched),
            (&self.matches, tally.matches),
            (&self.not_tried, tally.not_tried),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub fn report(&self, name: &str, kind: &'static str, catalog: Option<&str>) -> StepReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StepReport {
            name: name.to_owned(),
            kind,
            catalog: catalog.map(str::to_owned),
            passed: read(&self.passed),
            skipped: read(&self.skipped),
            unknown: read(&self.unknown),
            errors: read(&self.errors),
            matched_alerts: read(&self.matched),
            matches: read(&self.matches),
            not_tried: read(&self.not_tried),
        }
    }
}
