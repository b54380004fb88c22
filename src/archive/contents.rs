//! What is in a file being written, whatever its format: whose offsets, in which ranges, which batches wait for it; and the
//! name that follows from it.

use std::sync::Arc;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use super::footer::OffsetRange;
use crate::alert::{RowOrigin, TopicPartition};
use crate::durable::name_part;

/// Ending of the names in the staging folder.
pub(super) const STAGING_SUFFIX: &str = ".part";

/// Longest part of a file name without its ending.
const NAME_LIMIT: usize = 180;

/// Longest part of a file name that a component or a topic may take.
const PART_LIMIT: usize = 40;

/// Bytes that a range takes as JSON at most, without its topic: the keys and six numbers of up to twenty digits.
const RANGE_JSON: usize = 220;

/// What is in a file being written.
#[derive(Debug, Default)]
pub(super) struct Contents {
    ranges: Vec<Open>,
    /// Numbers of the batches that have rows in it, ascending.
    pub waiting: Vec<u64>,
    /// When the sink first saw it in a tick.
    pub opened: Option<Instant>,
    /// When it was last written to, counted in batches.
    pub used: u64,
    /// Rows in it.
    pub rows: u64,
    /// Whether its ranges name exactly the rows that are in it.
    exact: bool,
}

#[derive(Debug)]
struct Open {
    origin: Arc<TopicPartition>,
    epoch: u64,
    range: OffsetRange,
}

impl Contents {
    /// Nothing yet. `exact` asks for ranges without a hole (see [`OffsetRange::record`]).
    pub fn new(exact: bool) -> Contents {
        Contents { exact, ..Contents::default() }
    }

    /// Notes rows of one partition (in order).
    pub fn add<'a>(&mut self, origin: &Arc<TopicPartition>, epoch: u64, rows: impl Iterator<Item = &'a RowOrigin>) {
        let mut known = match self.exact {
            false => self.ranges.iter().rposition(|r| r.epoch == epoch && r.origin == *origin),
            true => self.ranges.len().checked_sub(1).filter(|last| self.ranges[*last].origin == *origin),
        };
        for row in rows {
            let at = known.filter(|at| !self.exact || self.ranges[*at].range.goes_on_with(row)).unwrap_or_else(|| {
                self.ranges.push(Open { origin: origin.clone(), epoch, range: begin(origin, row, self.exact) });
                self.ranges.len() - 1
            });
            known = Some(at);
            let range = &mut self.ranges[at].range;
            range.last = row.offset;
            range.rows += 1;
            range.min_timestamp = [range.min_timestamp, row.timestamp].into_iter().flatten().min();
            range.max_timestamp = range.max_timestamp.max(row.timestamp);
            self.rows += 1;
        }
    }

    /// Whether rows of the partition are in it.
    pub fn has(&self, origin: &TopicPartition) -> bool {
        self.ranges.iter().any(|r| *r.origin == *origin)
    }

    /// Whether rows of the partition and epoch are in it, so that the next ones follow without a gap.
    pub fn follows(&self, origin: &TopicPartition, epoch: u64) -> bool {
        self.ranges.iter().rev().any(|r| r.epoch == epoch && *r.origin == *origin)
    }

    /// Bytes that the ranges take as JSON at most, with one more for the partition.
    pub fn json_with(&self, origin: &TopicPartition) -> usize {
        // What a topic may be named needs no escapes; twice its length is for whoever names one otherwise.
        let topics = self.ranges.iter().map(|r| r.origin.topic.len()).sum::<usize>() + origin.topic.len();
        2 * topics + (self.ranges.len() + 1) * RANGE_JSON
    }

    /// The ranges, by topic, partition and offset.
    pub fn ranges(&self) -> Vec<OffsetRange> {
        let mut ranges: Vec<OffsetRange> = self.ranges.iter().map(|r| r.range.clone()).collect();
        ranges.sort_by(|a, b| (&a.topic, a.partition, a.first).cmp(&(&b.topic, b.partition, b.first)));
        ranges
    }
}

fn begin(origin: &TopicPartition, row: &RowOrigin, exact: bool) -> OffsetRange {
    OffsetRange {
        topic: origin.topic.to_string(),
        partition: origin.partition,
        first: row.offset,
        last: row.offset,
        rows: 0,
        min_timestamp: None,
        max_timestamp: None,
        record: exact.then_some(row.record),
    }
}

/// First part of the names of a component's files.
pub(super) fn component_prefix(component: &str) -> String {
    name_part(component, PART_LIMIT) + "-"
}

/// Name of a file without its ending: component, schema, then topic, partition, first and last offset of each range, or of
/// the first one and a hash of all where that would be too long.
pub(super) fn stem(prefix: &str, ranges: &[OffsetRange]) -> String {
    let part = |r: &OffsetRange| format!("-{}-{}-{}-{}", name_part(&r.topic, PART_LIMIT), r.partition, r.first, r.last);
    let parts: String = ranges.iter().map(part).collect();
    if prefix.len() + parts.len() <= NAME_LIMIT {
        return format!("{prefix}{parts}");
    }
    let first = ranges.first().map(part).unwrap_or_default();
    format!("{prefix}{first}-and-{}-more-{:016x}", ranges.len() - 1, xxh3_64(parts.as_bytes()))
}
