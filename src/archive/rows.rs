//! Which rows other components have in the archive, row by row.
//!
//! The ranges of a service cover its dead letters. Where these are processed again, only the rows themselves tell whether the
//! service has archived one after all: it was killed before it had committed, and could decode it when it came again. Where a range
//! of the stream is replayed, they tell which of it are missing.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::OWN;
use super::contents::component_prefix;
use super::footer::{self, FileSummary};
use super::hour::Hour;
use super::writer::guarded;
use crate::alert::{Fault, RowOrigin, TopicPartition};
use crate::config::Layout;

/// Files whose rows are kept in memory: some megabytes.
const FILES_KEPT: usize = 64;

/// Partition, offset, record and time of a row.
type Row = (TopicPartition, i64, i64, Option<i64>);

/// The rows of some components.
#[derive(Debug)]
pub(super) struct Rows {
    root: PathBuf,
    layout: Layout,
    components: Vec<String>,
    prefixes: Vec<String>,
    footers: HashMap<PathBuf, FileSummary>,
    rows: HashMap<PathBuf, HashSet<Row>>,
}

impl Rows {
    /// Rows of the files that `components` have below `root`.
    pub fn new(root: &Path, layout: Layout, components: &[String]) -> Rows {
        let prefixes = components.iter().map(|component| component_prefix(component)).collect();
        let (root, components) = (root.to_path_buf(), components.to_vec());
        Rows { root, layout, components, prefixes, footers: HashMap::new(), rows: HashMap::new() }
    }

    /// For each of these rows of an hour and a partition, whether it is there.
    ///
    /// # Errors
    /// When the folder or a file in it can't be read.
    pub fn held(&mut self, hour: Hour, origin: &TopicPartition, rows: &[RowOrigin]) -> Result<Vec<bool>, Fault> {
        let mut held = vec![false; rows.len()];
        for (path, is_folder) in footer::entries(&self.root.join(hour.folder(self.layout)))? {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let ours = self.prefixes.iter().any(|prefix| name.starts_with(prefix));
            if is_folder || !ours || path.extension().is_none_or(|e| e != "parquet") {
                continue;
            }
            if !self.footers.contains_key(&path) {
                self.footers.insert(path.clone(), footer::read_footer(&path)?);
            }
            let Some(file) = self.footers.get(&path).filter(|file| self.components.contains(&file.component)) else { continue };
            let touched = |row: &RowOrigin| {
                let of = |r: &&footer::OffsetRange| *r.topic == *origin.topic && r.partition == origin.partition;
                file.ranges.iter().filter(of).any(|range| range.has_row(row))
            };
            if !rows.iter().any(touched) {
                continue;
            }
            if !self.rows.contains_key(&path) {
                if self.rows.len() >= FILES_KEPT {
                    self.rows.clear();
                }
                self.rows.insert(path.clone(), read(&path)?);
            }
            let there = self.rows.get(&path);
            for (held, row) in held.iter_mut().zip(rows) {
                let row = (origin.clone(), row.offset, i64::from(row.record), row.timestamp);
                *held |= there.is_some_and(|there| there.contains(&row));
            }
        }
        Ok(held)
    }
}

/// The rows of a file.
fn read(path: &Path) -> Result<HashSet<Row>, Fault> {
    let doing = format!("reading {}", path.display());
    let broken = |what: &str| Fault::environment(format!("{doing}: {what}; it is no file that this version has written"));
    let file = File::open(path).map_err(|e| Fault::environment(format!("{doing}: {e}")))?;
    let batches: Vec<RecordBatch> = guarded(&doing, || {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let own: Vec<usize> = reader.schema().index_of(OWN).into_iter().collect();
        let mask = ProjectionMask::roots(reader.parquet_schema(), own);
        Ok(reader.with_projection(mask).build()?.collect::<Result<_, _>>()?)
    })?;
    let mut rows = HashSet::new();
    for batch in &batches {
        let own = batch.column_by_name(OWN).and_then(|column| column.as_struct_opt()).ok_or_else(|| broken("no origins"))?;
        let column = |name: &str| own.column_by_name(name).ok_or_else(|| broken(name));
        let topic = arrow_cast::cast(column("topic")?, &DataType::Utf8).map_err(|e| broken(&e.to_string()))?;
        let topic = topic.as_string_opt::<i32>().ok_or_else(|| broken("topic"))?;
        let partition = column("partition")?.as_primitive_opt::<Int32Type>().ok_or_else(|| broken("partition"))?;
        let offset = column("offset")?.as_primitive_opt::<Int64Type>().ok_or_else(|| broken("offset"))?;
        let record = column("record")?.as_primitive_opt::<Int32Type>().ok_or_else(|| broken("record"))?;
        let received = column("received")?.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(|| broken("received"))?;
        for row in 0..batch.num_rows() {
            let origin = TopicPartition { topic: topic.value(row).into(), partition: partition.value(row) };
            let time = received.is_valid(row).then(|| received.value(row));
            rows.insert((origin, offset.value(row), i64::from(record.value(row)), time));
        }
    }
    Ok(rows)
}
