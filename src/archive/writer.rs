//! One file being written: its Parquet writer, the ranges of its rows, the batches that wait for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use parquet::errors::ParquetError;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::Columns;
use super::footer::OffsetRange;
use super::parquet_file::{Means, ParquetFile};
use crate::alert::{Fault, Permit, RowOrigin, TopicPartition};
use crate::durable::name_part;

/// Ending of the names in the staging folder.
pub(super) const STAGING_SUFFIX: &str = ".part";

/// Longest part of a file name without its ending.
const NAME_LIMIT: usize = 180;

/// Longest part of a file name that a component or a topic may take.
const PART_LIMIT: usize = 40;

/// A file being written.
pub(super) struct FileWriter {
    out: ParquetFile,
    /// The columns it was begun with.
    pub columns: Arc<Columns>,
    ranges: Vec<Open>,
    /// Numbers of the batches that have rows in it, ascending.
    pub waiting: Vec<u64>,
    /// When the sink first saw it in a tick.
    pub opened: Option<Instant>,
    /// When it was last written to, counted in batches.
    pub used: u64,
    rows: u64,
}

struct Open {
    origin: Arc<TopicPartition>,
    epoch: u64,
    range: OffsetRange,
}

/// A file that was published.
#[derive(Debug)]
pub(super) struct Sealed {
    pub path: PathBuf,
    pub ranges: Vec<OffsetRange>,
    pub rows: u64,
    pub bytes: u64,
    pub waiting: Vec<u64>,
}

impl FileWriter {
    /// A file that will be written in the staging folder.
    pub fn create(staging: &Path, name: &str, columns: &Arc<Columns>, means: Means) -> FileWriter {
        FileWriter {
            out: ParquetFile::new(staging.join(name), columns.clone(), means),
            columns: columns.clone(),
            ranges: Vec::new(),
            waiting: Vec::new(),
            opened: None,
            used: 0,
            rows: 0,
        }
    }

    /// Appends rows, all of one partition, which came from `rows` (in order, at least one). They point into a batch of `memory`
    /// bytes, which is held until they are on the disk.
    ///
    /// # Errors
    /// When the disk refuses, or the rows can't be stored. The file must be dropped then.
    pub fn write<'a>(
        &mut self,
        origin: &Arc<TopicPartition>,
        epoch: u64,
        batch: RecordBatch,
        rows: impl Iterator<Item = &'a RowOrigin>,
        (held, memory): (&Arc<Permit>, u64),
    ) -> Result<(), Fault> {
        self.rows += batch.num_rows() as u64;
        let mut known = self.ranges.iter().rposition(|r| r.epoch == epoch && r.origin == *origin);
        for row in rows {
            let at = *known.get_or_insert_with(|| {
                self.ranges.push(Open { origin: origin.clone(), epoch, range: begin(origin, row) });
                self.ranges.len() - 1
            });
            let range = &mut self.ranges[at].range;
            range.last = row.offset;
            range.rows += 1;
            range.min_timestamp = [range.min_timestamp, row.timestamp].into_iter().flatten().min();
            range.max_timestamp = range.max_timestamp.max(row.timestamp);
        }
        self.out.push(batch, held, memory)
    }

    /// Writes out the row group in hand, which gives its memory back.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn flush(&mut self) -> Result<(), Fault> {
        self.out.flush()
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> u64 {
        self.out.memory()
    }

    /// Bytes that the file will have about.
    pub fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    /// Whether rows of the partition are in it.
    pub fn has(&self, origin: &TopicPartition) -> bool {
        self.ranges.iter().any(|r| *r.origin == *origin)
    }

    /// Whether rows of the partition and epoch are in it, so that the next ones follow without a gap.
    pub fn follows(&self, origin: &TopicPartition, epoch: u64) -> bool {
        self.ranges.iter().rev().any(|r| r.epoch == epoch && *r.origin == *origin)
    }

    /// Completes the file and publishes it in `folder`.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn seal(self, folder: &Path, prefix: &str) -> Result<Sealed, Fault> {
        let mut ranges: Vec<OffsetRange> = self.ranges.into_iter().map(|r| r.range).collect();
        ranges.sort_by(|a, b| (&a.topic, a.partition, a.first).cmp(&(&b.topic, b.partition, b.first)));
        let json = serde_json::to_string(&ranges).map_err(|e| Fault::defect(format!("offset ranges as JSON: {e}")))?;
        let staged = self.out.finish(json)?;
        let bytes = staged.written();
        let stem = stem(prefix, &ranges);
        let path = staged.publish(folder, |n| match n {
            0 => format!("{stem}.parquet"),
            n => format!("{stem}-{n}.parquet"),
        })?;
        Ok(Sealed { path, ranges, rows: self.rows, bytes, waiting: self.waiting })
    }
}

fn begin(origin: &TopicPartition, row: &RowOrigin) -> OffsetRange {
    OffsetRange {
        topic: origin.topic.to_string(),
        partition: origin.partition,
        first: row.offset,
        last: row.offset,
        rows: 0,
        min_timestamp: None,
        max_timestamp: None,
    }
}

/// First part of the names of a component's files.
pub(super) fn component_prefix(component: &str) -> String {
    name_part(component, PART_LIMIT) + "-"
}

/// Name of a file without its ending: component, schema, then topic, partition, first and last offset of each range, or of
/// the first one and a hash of all where that would be too long.
fn stem(prefix: &str, ranges: &[OffsetRange]) -> String {
    let part = |r: &OffsetRange| format!("-{}-{}-{}-{}", name_part(&r.topic, PART_LIMIT), r.partition, r.first, r.last);
    let parts: String = ranges.iter().map(part).collect();
    if prefix.len() + parts.len() <= NAME_LIMIT {
        return format!("{prefix}{parts}");
    }
    let first = ranges.first().map(part).unwrap_or_default();
    format!("{prefix}{first}-and-{}-more-{:016x}", ranges.len() - 1, xxh3_64(parts.as_bytes()))
}

/// Runs the Parquet writer. What the disk refuses is the world's fault; an error or a panic over data is ours.
pub(super) fn guarded<T>(doing: &str, work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ParquetError::External(source))) if source.is::<io::Error>() => Err(Fault::environment(format!(
            "{doing}: {source}; free space there or see the system's log for the state of the disk"
        ))),
        Ok(Err(error)) => Err(Fault::defect(format!("{doing}: {error}"))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Fault::defect(format!("{doing}: the Parquet writer panicked: {}", text.unwrap_or("no reason given"))))
        }
    }
}
