//! The rows of a row group: gathered as they come, then sorted by place and encoded at once, each column by itself, on all
//! cores.
//!
//! What is gathered are columns that point into the messages, so nothing is copied before it is encoded; a batch is held,
//! with its share of the byte budget, until its row group is written. Column by column keeps the working set of a core small:
//! one encoder and one compression context at a time.
//!
//! May depend on: arrow, parquet, rayon. **Invariant:** every row that was pushed is in the encoded group exactly once.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::columns::{HEALPIX, OWN};
use super::stamps::Stamps;
use crate::alert::Permit;
use crate::durable::Staged;

/// Rows that wait to become a row group.
#[derive(Default)]
pub(super) struct Group {
    batches: Vec<RecordBatch>,
    /// Shares of the byte budget, of the batches that the rows point into.
    held: Vec<Arc<Permit>>,
    /// Bytes that are kept in memory by it.
    pub memory: u64,
}

/// A column of a row group, encoded.
pub(super) enum Chunk {
    Encoded(ArrowColumnChunk),
    Stamps(Stamps, ColumnCloseResult),
}

/// How the columns of a file are laid out in Parquet.
pub(super) struct Plan<'a> {
    pub schema: &'a Schema,
    pub parquet: &'a SchemaDescriptor,
    pub properties: &'a WriterProperties,
}

impl Group {
    /// Adds rows that point into a batch of `memory` bytes.
    pub fn push(&mut self, batch: RecordBatch, held: &Arc<Permit>, memory: u64) {
        self.batches.push(batch);
        if !self.held.last().is_some_and(|last| Arc::ptr_eq(last, held)) {
            self.held.push(held.clone());
            self.memory += memory;
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Encodes the rows with `writers`, one per leaf column in the order of the file.
    ///
    /// # Errors
    /// When a column is not of its type.
    pub fn encode(&self, plan: &Plan<'_>, writers: Vec<ArrowColumnWriter>, pool: &ThreadPool) -> Result<Vec<Chunk>> {
        let order = self.order();
        let mut leaves = plan.parquet.columns().iter().zip(writers);
        let fields: Vec<_> = plan
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| (index, field, leaves.by_ref().take(leaf_count(field.data_type())).collect::<Vec<_>>()))
            .collect();
        let encode = |(index, field, leaves): (usize, &Arc<Field>, Vec<Leaf<'_>>)| {
            let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(index).as_ref()).collect();
            let array = arrow_select::interleave::interleave(&arrays, &order)?;
            encode_field(plan, field, &array, leaves)
        };
        let chunks: Vec<Vec<Chunk>> = pool.install(|| fields.into_par_iter().map(encode).collect::<Result<_>>())?;
        Ok(chunks.into_iter().flatten().collect())
    }

    /// Where the rows come from (batch and row of it), by their HEALPix cells; those without a place are the last. Rows of a
    /// cell keep the order in which they came.
    fn order(&self) -> Vec<(usize, usize)> {
        let mut keyed = Vec::with_capacity(self.batches.iter().map(RecordBatch::num_rows).sum());
        for (number, batch) in self.batches.iter().enumerate() {
            let own = batch.column_by_name(OWN).and_then(|own| own.as_struct_opt());
            let cells = own.and_then(|own| own.column_by_name(HEALPIX)?.as_primitive_opt::<Int64Type>());
            for row in 0..batch.num_rows() {
                let cell = cells.filter(|cells| cells.is_valid(row)).map_or(i64::MAX, |cells| cells.value(row));
                keyed.push((cell, number, row));
            }
        }
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, number, row)| (number, row)).collect()
    }
}

type Leaf<'a> = (&'a ColumnDescPtr, ArrowColumnWriter);

fn encode_field(plan: &Plan<'_>, field: &Field, array: &ArrayRef, leaves: Vec<Leaf<'_>>) -> Result<Vec<Chunk>> {
    let plain = |column: &ColumnDescPtr| plan.properties.compression(column.path()) == Compression::UNCOMPRESSED;
    let mut types = Vec::with_capacity(leaves.len());
    leaf_types(field.data_type(), &mut types);
    // Levels of stamps are made with the others of their struct and dropped: they are one run.
    let arrays = compute_leaves(field, array)?;
    let work: Vec<_> = leaves.into_iter().zip(types).zip(arrays).collect();
    work.into_par_iter()
        .map(|(((column, mut writer), data_type), leaf)| {
            if plain(column) && Stamps::suit(column, data_type) {
                drop(writer);
                let (stamps, close) = Stamps::lay_out(column, field, array)?;
                return Ok(Chunk::Stamps(stamps, close));
            }
            writer.write(&leaf)?;
            Ok(Chunk::Encoded(writer.close()?))
        })
        .collect()
}

impl Chunk {
    /// Writes the chunk as the next column of a row group.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append_to(self, group: &mut SerializedRowGroupWriter<'_, Staged>) -> Result<()> {
        match self {
            Chunk::Encoded(chunk) => chunk.append_to_row_group(group),
            Chunk::Stamps(stamps, close) => group.append_column(&stamps, close),
        }
    }
}

/// Leaf columns that a column becomes in Parquet.
fn leaf_count(data_type: &DataType) -> usize {
    let mut types = Vec::new();
    leaf_types(data_type, &mut types);
    types.len()
}

/// The types of the leaf columns, in their order in the file.
fn leaf_types<'a>(data_type: &'a DataType, types: &mut Vec<&'a DataType>) {
    match data_type {
        DataType::Struct(fields) => fields.iter().for_each(|field| leaf_types(field.data_type(), types)),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            leaf_types(item.data_type(), types);
        }
        DataType::Map(entries, _) => leaf_types(entries.data_type(), types),
        leaf => types.push(leaf),
    }
}
