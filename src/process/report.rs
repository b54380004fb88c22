//! What the steps have done, counted.

use super::Step;
use super::matcher::Entry;
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
    /// `cut`, `crossmatch`, `watchlist`, `region` or `classify`.
    pub kind: &'static str,
    /// What each catalogue of a cross-match has found.
    pub catalogs: Vec<CatalogReport>,
    /// How many alerts are of each class, in the order of the table, the others last.
    pub classes: Vec<(String, u64)>,
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
    /// Those of `passed` that could not be matched, for want of a valid position; or that have no class, because no catalogue
    /// was asked about them.
    pub not_tried: u64,
}

/// What a catalogue has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogReport {
    /// Its name in annotations.
    pub id: String,
    /// Alerts with at least one match in it.
    pub matched_alerts: u64,
    /// Matches.
    pub matches: u64,
    /// Alerts where it has not looked.
    pub not_covered: u64,
    /// Alerts with more matches than are listed.
    pub capped: u64,
}

/// Numbers of a catalogue: those of [`CatalogReport`] in their order.
pub(super) const PER_CATALOG: usize = 4;

/// Counts of one batch at one step.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub passed: u64,
    pub skipped: u64,
    pub unknown: u64,
    pub errors: u64,
    pub matched: u64,
    pub matches: u64,
    pub not_tried: u64,
    /// What the kind of step counts besides; see [`Step::numbers`].
    pub more: Vec<u64>,
}

impl Tally {
    pub fn new(numbers: usize) -> Tally {
        Tally { more: vec![0; numbers], ..Tally::default() }
    }
}

/// Counts of all batches at one step.
#[derive(Debug)]
pub(super) struct Counters {
    passed: AtomicU64,
    skipped: AtomicU64,
    unknown: AtomicU64,
    errors: AtomicU64,
    matched: AtomicU64,
    matches: AtomicU64,
    not_tried: AtomicU64,
    more: Vec<AtomicU64>,
}

impl Counters {
    pub fn new(numbers: usize) -> Counters {
        let zero = AtomicU64::default;
        Counters {
            passed: zero(),
            skipped: zero(),
            unknown: zero(),
            errors: zero(),
            matched: zero(),
            matches: zero(),
            not_tried: zero(),
            more: (0..numbers).map(|_| zero()).collect(),
        }
    }

    pub fn add(&self, tally: &Tally) {
        let own = [
            (&self.passed, tally.passed),
            (&self.skipped, tally.skipped),
            (&self.unknown, tally.unknown),
            (&self.errors, tally.errors),
            (&self.matched, tally.matched),
            (&self.matches, tally.matches),
            (&self.not_tried, tally.not_tried),
        ];
        for (counter, more) in own.into_iter().chain(self.more.iter().zip(tally.more.iter().copied())) {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }
}

impl Step {
    /// Numbers that it counts besides those of all steps.
    pub(super) fn numbers(&self) -> usize {
        match self {
            Step::Cut { .. } => 0,
            Step::Region(_) => 0,
            Step::Crossmatch { entries: range } | Step::Watchlist { lists: range, .. } => PER_CATALOG * range.len(),
            Step::Classify(classes) => classes.names.len(),
        }
    }

    pub(super) fn report(&self, name: &str, counters: &Counters, entries: &[Entry], lists: &[Entry]) -> StepReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let more: Vec<u64> = counters.more.iter().map(read).collect();
        let catalog = |(entry, numbers): (&Entry, &[u64])| CatalogReport {
            id: entry.id.clone(),
            matched_alerts: numbers[0],
            matches: numbers[1],
            not_covered: numbers[2],
            capped: numbers[3],
        };
        let (kind, catalogs, classes) = match self {
            Step::Cut { .. } => ("cut", Vec::new(), Vec::new()),
            Step::Region(_) => ("region", Vec::new(), Vec::new()),
            Step::Crossmatch { entries: range } => {
                ("crossmatch", entries[range.clone()].iter().zip(more.chunks(PER_CATALOG)).map(catalog).collect(), Vec::new())
            }
            Step::Watchlist { lists: range, .. } => {
                ("watchlist", lists[range.clone()].iter().zip(more.chunks(PER_CATALOG)).map(catalog).collect(), Vec::new())
            }
            Step::Classify(classes) => ("classify", Vec::new(), classes.names.iter().cloned().zip(more).collect()),
        };
        StepReport {
            name: name.to_owned(),
            kind,
            catalogs,
            classes,
            passed: read(&counters.passed),
            skipped: read(&counters.skipped),
            unknown: read(&counters.unknown),
            errors: read(&counters.errors),
            matched_alerts: read(&counters.matched),
            matches: read(&counters.matches),
            not_tried: read(&counters.not_tried),
        }
    }
}
