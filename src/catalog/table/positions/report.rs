//! What was read, and what is odd about it: counted, the first few named.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::table::Place;

/// How many of a kind are named.
const NAMED: usize = 5;

/// Ids that are compared with each other; their hashes take about 72 MB.
const COMPARED: usize = 3_500_000;

/// Rows that share an oddity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddity {
    /// How many there are.
    pub count: u64,
    /// The first of them, where and why.
    pub first: Vec<String>,
}

impl Oddity {
    pub(super) fn add(&mut self, told: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(told());
        }
    }

    fn told(&self) -> String {
        let more = self.count - self.first.len() as u64;
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.first.join(", ") + &tail
    }
}

/// What was read so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Rows of the table.
    pub rows: u64,
    /// Rows with a position.
    pub kept: u64,
    /// Rows that were left out, with place and reason.
    pub rejected: Oddity,
    /// Cells of carried columns that could not be read and are null.
    pub unread_cells: Oddity,
    /// Kept rows without an id.
    pub empty_ids: Oddity,
    /// Kept rows whose id an earlier one has. Two ids of the same 64-bit hash count as one: of 3.5 million different ids, a
    /// false one is to be expected once in three million catalogues.
    pub duplicate_ids: Oddity,
    /// Ids that were compared: the first 3.5 million. What builds an index sorts all of them and finds the others.
    pub compared_ids: u64,
    /// Largest right ascension that was read as degrees without a unit; none when there was none.
    pub(super) unitless: Option<f64>,
}

impl Report {
    /// What an operator should know, in sentences; empty when all is well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.kept == 0 {
            all.push("it holds no source: nothing will match".to_owned());
        }
        for (odd, what) in [
            (&self.rejected, "rows left out"),
            (&self.unread_cells, "cells that could not be read, now without a value"),
            (&self.empty_ids, "sources without an id"),
            (&self.duplicate_ids, "ids used again"),
        ] {
            if odd.count > 0 {
                all.push(format!("{} {what}: {}", odd.count, odd.told()));
            }
        }
        if self.kept >= 100 && self.unitless.is_some_and(|largest| largest <= 24.0) {
            all.push("no right ascension is above 24, and no unit is given: if these are hours, give `unit: hours`".to_owned());
        }
        all
    }
}

/// Compares ids.
#[derive(Default)]
pub(super) struct Ids(HashMap<u64, u64>);

impl Ids {
    pub fn take(&mut self, id: &str, place: &Place, report: &mut Report) {
        if id.is_empty() {
            report.empty_ids.add(|| place.to_string());
            return;
        }
        if self.0.len() >= COMPARED {
            return;
        }
        report.compared_ids += 1;
        let earlier = *self.0.entry(xxh3_64(id.as_bytes())).or_insert(place.number);
        if report.compared_ids > self.0.len() as u64 + report.duplicate_ids.count {
            report.duplicate_ids.add(|| format!("`{id}` in {} and {place}", Place { number: earlier, ..place.clone() }));
        }
    }
}
