//! What was read, and what is odd about it: counted, the first few named.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use xxhash_rust::xxh3::xxh3_64;

use super::Part;
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
pub(super) struct Ids {
    /// Line or row of the first with the hash.
    seen: HashMap<u64, u64>,
    most: usize,
}

impl Default for Ids {
    fn default() -> Self {
        Ids { seen: HashMap::new(), most: COMPARED }
    }
}

impl Ids {
    /// Compares no more than so many.
    pub fn at_most(&mut self, most: usize) {
        self.most = most.min(COMPARED);
    }

    /// Takes the ids of a part.
    pub fn take_all(&mut self, part: &Part, report: &mut Report) {
        if let Some(numbers) = &part.whole_ids {
            for (row, number) in numbers.values().iter().enumerate() {
                if self.seen.len() >= self.most {
                    break;
                }
                self.compare(xxh3_64(&number.to_le_bytes()), || number.to_string(), || part.place(row), report);
            }
            return;
        }
        for (row, id) in part.ids.iter().enumerate() {
            let id = id.unwrap_or_default();
            if id.is_empty() {
                report.empty_ids.add(|| part.place(row).to_string());
            } else if self.seen.len() < self.most {
                self.compare(xxh3_64(id.as_bytes()), || id.to_owned(), || part.place(row), report);
            }
        }
    }

    fn compare(&mut self, hash: u64, id: impl Fn() -> String, place: impl Fn() -> Place, report: &mut Report) {
        report.compared_ids += 1;
        match self.seen.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(place().number);
            }
            Entry::Occupied(earlier) => {
                let (number, place) = (*earlier.get(), place());
                let earlier = Place { number, ..place.clone() };
                report.duplicate_ids.add(|| format!("`{}` in {earlier} and {place}", id()));
            }
        }
    }
}
