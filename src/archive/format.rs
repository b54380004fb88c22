//! What tells one kind of archive file from another. All that is the same for every kind (hours, marks, rolling, sealing,
//! acknowledging) is in `sink`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};

use super::columns::Columns;
use super::context::ArchiveContext;
use super::footer::{FileSummary, OffsetRange, ReadError, read_footer};
use super::own;
use super::writer::{FileWriter, Means};
use crate::alert::{AlertBatch, Fault, Permit, TopicPartition};
use crate::durable::Staged;

/// A file of one kind, being written. Nothing of it has to be on disk before [`Format::finish`].
///
/// Whenever a call fails the file must be dropped, which leaves nothing of it behind.
pub trait Format: Sized + Send {
    /// Ending of the files' names, without the dot.
    const ENDING: &'static str;
    /// Bytes of JSON that a file has room for to list its ranges of offsets.
    const RANGES: usize;
    /// What the configuration says of files of this kind alone.
    type Settings: fmt::Debug + Clone + Send;
    /// What is common to all files of a schema: made once, not for each file.
    type Shape: Send + Sync;
    /// Rows of a part in the way in which they are written, from which those of an hour are chosen.
    type Rows<'a>;

    /// The shape of files for rows as those of `part`.
    ///
    /// # Errors
    /// When such rows can't be stored.
    fn shape(settings: &Self::Settings, part: &AlertBatch, context: &ArchiveContext) -> Result<Self::Shape, Fault>;

    /// Whether the rows of `part` have this shape.
    fn fits(shape: &Self::Shape, part: &AlertBatch) -> bool;

    /// The rows of `part`, which has the shape. Whoever keeps what they point to in memory keeps the permit of its batch.
    ///
    /// # Errors
    /// When they are not what the batch promised.
    fn rows<'a>(
        shape: &Self::Shape,
        part: &'a AlertBatch,
        origin: &TopicPartition,
        permit: &Arc<Permit>,
    ) -> Result<Self::Rows<'a>, Fault>;

    /// Begins a file that may be called `name` in the staging folder.
    ///
    /// # Errors
    /// When it can't be created.
    fn create(staging: &Path, name: &str, shape: &Arc<Self::Shape>) -> Result<Self, Fault>;

    /// The shape it was begun with.
    fn shaped(&self) -> &Arc<Self::Shape>;

    /// Appends the rows that `keep` has true for, or all.
    ///
    /// # Errors
    /// When the disk refuses, or the rows can't be stored.
    fn write(&mut self, rows: &Self::Rows<'_>, keep: Option<&BooleanArray>) -> Result<(), Fault>;

    /// Writes out what is held in memory, so that [`Format::memory`] is small.
    ///
    /// # Errors
    /// As [`Format::write`].
    fn flush(&mut self) -> Result<(), Fault>;

    /// Bytes of memory that it holds.
    fn memory(&self) -> u64;

    /// Bytes that the file will have about.
    fn bytes(&self) -> u64;

    /// Whether a file on disk has been begun.
    fn on_disk(&self) -> bool;

    /// Completes the file, which is then published.
    ///
    /// # Errors
    /// As [`Format::write`].
    fn finish(self, ranges: &[OffsetRange]) -> Result<Staged, Fault>;

    /// What a file of this kind says of itself.
    ///
    /// # Errors
    /// When it can't be read, or is none.
    fn read(path: &Path) -> Result<FileSummary, ReadError>;
}

/// Rows as columns, which point into the batch that they came in.
pub struct Rows {
    columns: RecordBatch,
    permit: Arc<Permit>,
    /// Bytes of what they point into.
    bytes: u64,
}

/// Parquet: columns, of the survey and of the steps.
impl Format for FileWriter {
    const ENDING: &'static str = "parquet";
    const RANGES: usize = usize::MAX;
    type Settings = Means;
    type Shape = Columns;
    type Rows<'a> = Rows;

    fn shape(settings: &Means, part: &AlertBatch, context: &ArchiveContext) -> Result<Columns, Fault> {
        Columns::of(part, context, settings)
    }

    fn fits(shape: &Columns, part: &AlertBatch) -> bool {
        shape.fit(part)
    }

    fn rows(shape: &Columns, part: &AlertBatch, origin: &TopicPartition, permit: &Arc<Permit>) -> Result<Rows, Fault> {
        let columns = shape
            .assemble(part, &origin.topic, origin.partition)
            .map_err(|e| Fault::defect(format!("alerts of {origin} do not fit their columns: {e}")))?;
        // What the rows keep from others: a group that counted less than the budget is charged would wait for alerts that the source
        // cannot read.
        let bytes = part.buffers.iter().map(|buffer| buffer.len() as u64).sum::<u64>().max(permit.bytes());
        Ok(Rows { columns, permit: permit.clone(), bytes })
    }

    fn create(staging: &Path, name: &str, shape: &Arc<Columns>) -> Result<Self, Fault> {
        Ok(FileWriter::new(staging.join(name), shape.clone()))
    }

    fn shaped(&self) -> &Arc<Columns> {
        &self.columns
    }

    fn write(&mut self, rows: &Rows, keep: Option<&BooleanArray>) -> Result<(), Fault> {
        let failed = |e| Fault::defect(format!("choosing the alerts of an hour: {e}"));
        let Some(mask) = keep else { return self.push(rows.columns.clone(), &rows.permit, rows.bytes) };
        // They get bytes of their own: a few late rows must not hold the whole batch until their hour is written.
        let chosen = arrow_select::filter::filter_record_batch(&rows.columns, mask).map_err(failed)?;
        let chosen = own::copy(&chosen).map_err(failed)?;
        let bytes = chosen.get_array_memory_size() as u64;
        self.push(chosen, &Arc::new(Permit::unbounded()), bytes)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        FileWriter::flush(self)
    }

    fn memory(&self) -> u64 {
        FileWriter::memory(self)
    }

    fn bytes(&self) -> u64 {
        FileWriter::bytes(self)
    }

    fn on_disk(&self) -> bool {
        FileWriter::on_disk(self)
    }

    fn finish(self, ranges: &[OffsetRange]) -> Result<Staged, Fault> {
        FileWriter::finish(self, ranges)
    }

    fn read(path: &Path) -> Result<FileSummary, ReadError> {
        read_footer(path)
    }
}
