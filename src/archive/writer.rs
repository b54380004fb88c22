//! A Parquet file being written: a group of rows in memory, and the file in the staging folder, which is begun when the first
//! group is written to it.
//!
//! May depend on: `durable`, parquet. **Invariant:** nothing is on the disk before there is a whole row group.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use rayon::ThreadPool;

use super::columns::Columns;
use super::footer::{OffsetRange, key};
use super::group::{Group, Plan};
use crate::alert::{Fault, Permit};
use crate::avro::Wanted;
use crate::config::CutoutCodec;
use crate::durable::{Staged, Way};

/// Bytes of messages whose rows make a row group.
const ROW_GROUP: u64 = 96 << 20;

/// What Parquet files are written with.
#[derive(Clone, Debug)]
pub struct Means {
    /// Threads that encode.
    pub pool: Arc<ThreadPool>,
    /// How bytes reach the disk.
    pub way: Way,
    /// How columns of bytes are compressed.
    pub cutouts: CutoutCodec,
    /// Which of the survey's columns are archived.
    pub wanted: Wanted,
}

/// A file being written.
pub struct FileWriter {
    path: PathBuf,
    /// The columns it was begun with.
    pub(super) columns: Arc<Columns>,
    /// The editions of catalogues when it was begun.
    editions: Vec<String>,
    group: Group,
    out: Option<Out>,
}

struct Out {
    file: SerializedFileWriter<Staged>,
    factory: ArrowRowGroupWriterFactory,
    groups: usize,
}

impl FileWriter {
    /// A file that will be `path` in a staging folder.
    pub fn new(path: PathBuf, columns: Arc<Columns>) -> FileWriter {
        FileWriter { path, editions: columns.editions.now(), columns, group: Group::default(), out: None }
    }

    /// Adds rows that point into a batch of `memory` bytes.
    ///
    /// # Errors
    /// When the disk refuses, or the rows can't be stored. The file must be dropped then.
    pub fn push(&mut self, batch: RecordBatch, held: &Arc<Permit>, memory: u64) -> Result<(), Fault> {
        self.group.push(batch, held, memory);
        if self.group.memory >= ROW_GROUP { self.flush() } else { Ok(()) }
    }

    /// Writes out the rows in memory.
    ///
    /// # Errors
    /// As [`FileWriter::push`].
    pub fn flush(&mut self) -> Result<(), Fault> {
        if self.group.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.group);
        let out = match &mut self.out {
            Some(out) => out,
            None => self.out.insert(begin(&self.path, &self.columns, self.columns.means.way)?),
        };
        guarded(&format!("writing {}", self.path.display()), || {
            let columns = &self.columns;
            let plan = Plan { schema: &columns.file, parquet: &columns.parquet, properties: &columns.properties };
            let writers = out.factory.create_column_writers(out.groups)?;
            out.groups += 1;
            let chunks = group.encode(&plan, writers, &self.columns.means.pool)?;
            let mut row_group = out.file.next_row_group()?;
            for chunk in chunks {
                chunk.append_to(&mut row_group)?;
            }
            row_group.close().map(drop)
        })
    }

    /// Bytes that the rows in memory keep there.
    pub fn memory(&self) -> u64 {
        self.group.memory
    }

    /// Whether it is on disk.
    pub fn on_disk(&self) -> bool {
        self.out.is_some()
    }

    /// Bytes that the file will have about.
    pub fn bytes(&self) -> u64 {
        self.group.memory + self.out.as_ref().map_or(0, |out| out.file.bytes_written() as u64)
    }

    /// Writes all that is left, with `ranges` in the footer.
    ///
    /// # Errors
    /// As [`FileWriter::push`].
    pub fn finish(mut self, ranges: &[OffsetRange]) -> Result<Staged, Fault> {
        let ranges = serde_json::to_string(ranges).map_err(|e| Fault::defect(format!("offset ranges as JSON: {e}")))?;
        self.flush()?;
        let mut out = match self.out {
            Some(out) => out,
            None => begin(&self.path, &self.columns, self.columns.means.way)?,
        };
        out.file.append_key_value_metadata(KeyValue::new(key::RANGES.to_owned(), ranges));
        let mut editions = self.editions;
        editions.extend(self.columns.editions.now());
        editions.sort();
        editions.dedup();
        out.file.append_key_value_metadata(KeyValue::new(key::CATALOGS.to_owned(), editions.join("\n")));
        // Only the footer is left: whatever fails now is the disk.
        guarded(&format!("completing {}", self.path.display()), || out.file.into_inner())
            .map_err(|fault| Fault::environment(fault.message))
    }
}

fn begin(path: &Path, columns: &Columns, way: Way) -> Result<Out, Fault> {
    let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default().to_string_lossy());
    let staged = Staged::create(folder, &name, way)?;
    guarded(&format!("starting {}", path.display()), || {
        let file = SerializedFileWriter::new(staged, columns.parquet.root_schema_ptr(), columns.properties.clone())?;
        let factory = ArrowRowGroupWriterFactory::new(&file, columns.file.clone());
        Ok(Out { file, factory, groups: 0 })
    })
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
