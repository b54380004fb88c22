//! A Parquet file being written.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use super::columns::Columns;
use super::footer::{OffsetRange, key};
use super::late::Late;
use crate::alert::Fault;
use crate::durable::Staged;

/// A file being written.
pub struct FileWriter {
    out: ArrowWriter<Late>,
    path: PathBuf,
    /// The columns it was begun with.
    pub columns: Arc<Columns>,
    memory: u64,
}

impl FileWriter {
    /// Begins a file in the staging folder. It is not on disk before its first row group is written out.
    ///
    /// # Errors
    /// When the columns can't be stored.
    pub fn create(staging: &Path, name: &str, columns: &Arc<Columns>) -> Result<FileWriter, Fault> {
        let file = Late::new(staging, name);
        let path = file.path();
        let options = ArrowWriterOptions::new().with_properties(columns.properties.clone()).with_skip_arrow_metadata(true);
        let out = guarded("starting a file", || ArrowWriter::try_new_with_options(file, columns.file.clone(), options))?;
        Ok(FileWriter { out, path, columns: columns.clone(), memory: 0 })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When the disk refuses, or the rows can't be stored. The file must be dropped then.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        guarded(&format!("writing {}", self.path.display()), || self.out.write(batch))?;
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

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Bytes that the file will have about.
    pub fn bytes(&self) -> u64 {
        (self.out.bytes_written() + self.out.in_progress_size()) as u64
    }

    /// Whether it is on disk.
    pub fn on_disk(&self) -> bool {
        self.out.inner().begun()
    }

    /// Completes the file, with the ranges of its rows in the footer.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn finish(mut self, ranges: &[OffsetRange]) -> Result<Staged, Fault> {
        let json = serde_json::to_string(ranges).map_err(|e| Fault::defect(format!("offset ranges as JSON: {e}")))?;
        let out = &mut self.out;
        out.append_key_value_metadata(KeyValue::new(key::RANGES.to_owned(), json));
        guarded(&format!("writing {}", self.path.display()), || out.flush())?;
        // Only the footer is left: whatever fails now is the disk.
        let file = guarded(&format!("completing {}", self.path.display()), || self.out.into_inner())
            .map_err(|fault| Fault::environment(fault.message))?;
        Ok(file.into_staged()?)
    }
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
