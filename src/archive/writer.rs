//! One file being written: its Parquet writer, the ranges of its rows, the batches that wait for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::Columns;
use super::footer::{OffsetRange, key};
use crate::alert::{Fault, RowOrigin, TopicPartition};
use crate::durable::{Staged, Way, name_part};

/// Ending of the names in the staging folder.
pub(super) const STAGING_SUFFIX: &str = ".part";

/// Longest part of a file name without its ending.
const NAME_LIMIT: usize = 180;

/// Longest part of a file name that a component or a topic may take.
const PART_LIMIT: usize = 40;

/// A file being written.
pub(super) struct FileWriter {
    out: ArrowWriter<Staged>,
    path: PathBuf,
    /// The columns it was begun with.
    pub columns: Arc<Columns>,
    ranges: Vec<Open>,
    /// Numbers of the batches that have rows in it, ascending.
    pub waiting: Vec<u64>,
    /// When the sink first saw it in a tick.
    pub opened: Option<Instant>,
    /// When it was last written to, counted in batches.
    pub used: u64,
    /// Bytes of memory that it holds.
    pub memory: u64,
    rows: u64,
    /// Whether its ranges name exactly the rows that are in it.
    exact: bool,
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
    /// Begins a file in the staging folder. `exact` asks for ranges without a hole (see [`OffsetRange::record`]).
    ///
    /// # Errors
    /// When it can't be created, or the columns can't be stored.
    pub fn create(staging: &Path, name: &str, columns: &Arc<Columns>, exact: bool) -> Result<FileWriter, Fault> {
        let staged = Staged::create(staging, name, Way::Direct)?;
        let path = staged.path().to_path_buf();
        let options = ArrowWriterOptions::new().with_properties(columns.properties.clone()).with_skip_arrow_metadata(true);
        let out = guarded("starting a file", || ArrowWriter::try_new_with_options(staged, columns.file.clone(), options))?;
        Ok(FileWriter {
            out,
            path,
            columns: columns.clone(),
            ranges: Vec::new(),
            waiting: Vec::new(),
            opened: None,
            used: 0,
            memory: 0,
            rows: 0,
            exact,
        })
    }

    /// Appends rows, all of one partition, which came from `rows` (in order, at least one).
    ///
    /// # Errors
    /// When the disk refuses, or the rows can't be stored. The file must be dropped then.
    pub fn write<'a>(
        &mut self,
        origin: &Arc<TopicPartition>,
        epoch: u64,
        batch: &RecordBatch,
        rows: impl Iterator<Item = &'a RowOrigin>,
    ) -> Result<(), Fault> {
        guarded(&format!("writing {}", self.path.display()), || self.out.write(batch))?;
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
        }
        self.rows += batch.num_rows() as u64;
        self.memory = self.out.memory_size() as u64;
        Ok(())
    }

    /// Writes out the row group in hand, which gives its memory back.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn flush(&mut self) -> Result<(), Fault> {
        guarded(&format!("writing {}", self.path.display()), || self.out.flush())?;
        self.memory = 0;
        Ok(())
    }

    /// Bytes that the file will have about.
    pub fn bytes(&self) -> u64 {
        (self.out.bytes_written() + self.out.in_progress_size()) as u64
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
    pub fn seal(mut self, folder: &Path, prefix: &str) -> Result<Sealed, Fault> {
        let mut ranges: Vec<OffsetRange> = self.ranges.into_iter().map(|r| r.range).collect();
        ranges.sort_by(|a, b| (&a.topic, a.partition, a.first).cmp(&(&b.topic, b.partition, b.first)));
        let json = serde_json::to_string(&ranges).map_err(|e| Fault::defect(format!("offset ranges as JSON: {e}")))?;
        let out = &mut self.out;
        out.append_key_value_metadata(KeyValue::new(key::RANGES.to_owned(), json));
        guarded(&format!("writing {}", self.path.display()), || out.flush())?;
        // Only the footer is left: whatever fails now is the disk.
        let staged = guarded(&format!("completing {}", self.path.display()), || self.out.into_inner())
            .map_err(|fault| Fault::environment(fault.message))?;
        let bytes = staged.written();
        let stem = stem(prefix, &ranges);
        let path = staged.publish(folder, |n| match n {
            0 => format!("{stem}.parquet"),
            n => format!("{stem}-{n}.parquet"),
        })?;
        Ok(Sealed { path, ranges, rows: self.rows, bytes, waiting: self.waiting })
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
