//! Rows of an archive back into Avro object containers, in the schema that their producer had.
//!
//! **Invariant:** a container with a visible name is whole, and none is ever replaced.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, FieldRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::OWN;
use super::footer::{self, ReadError, key};
use super::list::Listed;
use crate::avro::{self, AlertSchema, AppendError, AvroError, Encoder, RecordWriter, WriteError};
use crate::durable::{self, DurableError, Staged, Way, name_part};
use crate::filter::{Expression, FilterError};

/// Rows decoded at once: an alert with its history and cut-outs takes some 100 kB.
const BATCH: usize = 128;
/// Bytes at which a block of a container is closed.
const BLOCK: usize = 1 << 20;

/// What is exported.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Rows for which this is true; all without it.
    pub condition: Option<Expression>,
    /// The columns that the steps added follow the producer's fields, as in published alerts.
    pub annotated: bool,
}

/// Where containers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One per schema into this folder, named by the schema.
    Folder(PathBuf),
    /// Everything into this file; it has to be of one schema.
    File(PathBuf),
}

/// A container that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    /// Full name of its schema.
    pub schema: String,
    /// Records in it.
    pub records: u64,
    /// Its length.
    pub bytes: u64,
}

/// An export did not work; no container of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file of the archive can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A page of it can't.
    #[error("{} does not decode: {source}; restore it from a copy, or leave it out", path.display())]
    Decode {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ArrowError,
    },
    /// Its footer has no schema of a producer.
    #[error("{} was not written by Skysluice: its footer has no {}; leave it out", path.display(), key::SCHEMA)]
    NoSchema {
        /// Which.
        path: PathBuf,
    },
    /// Its schema is of no use.
    #[error("the schema in the footer of {} cannot be used: {source}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// Why.
        source: AvroError,
    },
    /// Its columns don't make alerts of the schema.
    #[error("{} cannot be written as its schema wants it: {source}; its alerts can only be had with all their columns", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
    /// The annotations have no place behind the schema.
    #[error("{}: {source}; leave out --annotated", path.display())]
    Annotations {
        /// Which.
        path: PathBuf,
        /// Why.
        source: AppendError,
    },
    /// The condition does not fit.
    #[error("--where, on {}: {source}", path.display())]
    Condition {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: FilterError,
    },
    /// One file for several schemas.
    #[error("the rows are of several schemas, {first} and {other}: one container has one; give a folder instead of {}", path.display())]
    Several {
        /// The file asked for.
        path: PathBuf,
        /// A schema.
        first: String,
        /// Another.
        other: String,
    },
    /// The name is taken.
    #[error("{} exists already and is not replaced: give another name, or move it away", path.display())]
    Exists {
        /// The name.
        path: PathBuf,
    },
    /// The disk.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The disk, in the middle.
    #[error("cannot write {}: {source}; free space there or see the system's log for the state of the disk", path.display())]
    Disk {
        /// The container.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the rows of the files, in their order, into one container per schema.
///
/// # Errors
/// At the first thing that does not work; then no container becomes visible.
pub fn export(files: &[Listed], target: &Target, what: &Export, progress: &dyn Fn(u64)) -> Result<Vec<Exported>, ExportError> {
    let mut containers: BTreeMap<String, Container> = BTreeMap::new();
    for listed in files {
        one_file(listed, target, what, &mut containers)?;
        progress(listed.file.bytes);
    }
    let mut done = Vec::new();
    for (_, mut container) in containers {
        container.close_block()?;
        done.push(container);
    }
    done.into_iter().map(Container::publish).collect()
}

fn one_file(
    listed: &Listed,
    target: &Target,
    what: &Export,
    containers: &mut BTreeMap<String, Container>,
) -> Result<(), ExportError> {
    let path = || listed.file.path.clone();
    let parquet = |source| ExportError::Read(ReadError::Parquet { path: path(), source });
    let decode = |source| ExportError::Decode { path: path(), source };
    let condition = |source| ExportError::Condition { path: path(), source };
    let annotations = |source| ExportError::Annotations { path: path(), source };
    let write = |source| ExportError::Write { path: path(), source };

    let (_, metadata, file) = footer::open(&listed.file.path)?;
    let json = footer::value(&metadata, key::SCHEMA).ok_or_else(|| ExportError::NoSchema { path: path() })?;
    let schema = |source| ExportError::Schema { path: path(), source };
    let alerts = AlertSchema::parse(json).map_err(schema)?;
    let writer = RecordWriter::new(&alerts).map_err(schema)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
    let all = reader.schema().clone();
    let added: Vec<FieldRef> = match what.annotated {
        true => {
            all.fields().iter().filter(|f| f.name() != OWN && !writer.names().any(|name| name == f.name())).cloned().collect()
        }
        false => Vec::new(),
    };
    let encoder = Encoder::new(&added);
    let json: Arc<str> = match added.is_empty() {
        true => alerts.json.clone(),
        false => avro::append(&alerts.json, &added).map_err(annotations)?.json.into(),
    };
    let bound = what.condition.as_ref().map(|e| e.bind(&all, &[])).transpose().map_err(condition)?;
    let needed = |name: &str| bound.is_some() || writer.names().any(|n| n == name) || added.iter().any(|f| f.name() == name);
    let roots = (0..all.fields().len()).filter(|&i| needed(all.field(i).name()));
    let mask = ProjectionMask::roots(reader.parquet_schema(), roots);

    if !containers.contains_key(&*json) {
        let names: Vec<String> = containers.values().map(|c| c.name.clone()).collect();
        if let (Target::File(path), Some(first)) = (target, containers.values().next()) {
            let (path, first, other) = (path.clone(), first.schema.clone(), told(&alerts));
            return Err(ExportError::Several { path, first, other });
        }
        containers.insert(json.to_string(), Container::begin(target, &alerts, &json, &names)?);
    }
    let Some(container) = containers.get_mut(&*json) else { return Ok(()) };
    for batch in reader.with_projection(mask).with_batch_size(BATCH).build().map_err(parquet)? {
        let mut batch = batch.map_err(decode)?;
        if let Some(bound) = &bound {
            let mask = bound.evaluate(&batch, &[]).map_err(condition)?;
            batch = arrow_select::filter::filter_record_batch(&batch, &mask).map_err(decode)?;
        }
        let rows = writer.bind(&batch).map_err(write)?;
        let annotated = encoder.bind(&columns(&batch, &added)).map_err(annotations)?;
        for row in 0..batch.num_rows() {
            rows.encode(row, &mut container.block).map_err(write)?;
            annotated.encode(row, &mut container.block);
            container.pending += 1;
            if container.block.len() >= BLOCK {
                container.close_block()?;
            }
        }
    }
    Ok(())
}

fn columns(batch: &RecordBatch, fields: &[FieldRef]) -> Vec<ArrayRef> {
    fields.iter().filter_map(|field| batch.column_by_name(field.name()).cloned()).collect()
}

/// A schema as an operator knows it.
fn told(schema: &AlertSchema) -> String {
    format!("{} ({:016x})", schema.name, schema.fingerprint)
}

/// A container being written.
struct Container {
    file: Staged,
    folder: PathBuf,
    name: String,
    schema: String,
    sync: [u8; 16],
    block: Vec<u8>,
    /// Records in the block.
    pending: usize,
    records: u64,
}

impl Container {
    fn begin(target: &Target, alerts: &AlertSchema, json: &str, taken: &[String]) -> Result<Container, ExportError> {
        let (folder, name) = match target {
            Target::Folder(folder) => {
                let stem = format!("{}-{:016x}", name_part(&alerts.name, 100), alerts.fingerprint);
                // Schemas that differ in words or in annotations alone have one fingerprint.
                let names = (1..).map(|n| if n == 1 { format!("{stem}.avro") } else { format!("{stem}-{n}.avro") });
                let name = names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
                (folder.clone(), name)
            }
            Target::File(path) => {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                (folder.to_path_buf(), path.file_name().unwrap_or_default().to_string_lossy().into_owned())
            }
        };
        if folder.join(&name).exists() {
            return Err(ExportError::Exists { path: folder.join(name) });
        }
        durable::create_folders(&folder)?;
        let file = Staged::create(&folder, &format!(".{name}.part"), Way::Cached)?;
        let sync = avro::sync_marker(json);
        let (block, schema) = (Vec::new(), told(alerts));
        let mut container = Container { file, folder, name, schema, sync, block, pending: 0, records: 0 };
        container.write(&avro::container_header(json, &sync))?;
        Ok(container)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| ExportError::Disk { path: self.file.path().to_path_buf(), source })
    }

    fn close_block(&mut self) -> Result<(), ExportError> {
        if self.pending == 0 {
            return Ok(());
        }
        let mut start = Vec::new();
        avro::write_block_start(&mut start, self.pending, self.block.len());
        let mut block = std::mem::take(&mut self.block);
        block.extend_from_slice(&self.sync);
        self.write(&start)?;
        self.write(&block)?;
        self.records += self.pending as u64;
        block.clear();
        (self.block, self.pending) = (block, 0);
        Ok(())
    }

    fn publish(self) -> Result<Exported, ExportError> {
        let (path, bytes) = (self.folder.join(&self.name), self.file.written());
        if !self.file.publish_as(&self.folder, &self.name)? {
            return Err(ExportError::Exists { path });
        }
        Ok(Exported { path, schema: self.schema, records: self.records, bytes })
    }
}
