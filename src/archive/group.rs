//! The rows of a row group: gathered as they come, then sorted by place and encoded at once, each column by itself, on all
//! cores.
//!
//! What is gathered are columns that point into the messages, so nothing is copied before it is encoded; a batch is held,
//! with its share of the byte budget, until its row group is written. Column by column, some hundred rows at a time, the
//! working set stays in the caches of a core, and little memory is taken and given back.
//!
//! May depend on: arrow, parquet, rayon. **Invariant:** every row that was pushed is in the encoded group exactly once.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StructArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::interleave::interleave;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use rayon::ThreadPool;

use super::columns::{HEALPIX, OWN};
use super::history::History;
use super::page::general;
use super::points::Points;
use super::stamps::Stamps;
use crate::alert::Permit;
use crate::durable::Staged;

/// Values that are gathered and encoded at a time, of all leaf columns of a column: what the caches of a core hold.
const VALUES: usize = 1 << 15;
/// Rows that are, at least.
const ROWS: usize = 256;

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
    Points(Points, ColumnCloseResult),
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
        let mut leaves = plan.parquet.columns().iter().zip(writers).enumerate();
        let mut work: Vec<Work<'_>> = Vec::with_capacity(plan.parquet.num_columns());
        for (index, field) in plan.schema.fields().iter().enumerate() {
            let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(index).as_ref()).collect();
            let mut leaves = leaves.by_ref().take(leaf_count(field.data_type()));
            if let Some(history) = History::of(field, &arrays, &order)? {
                let history = Arc::new(history);
                work.extend(leaves.enumerate().map(|(number, (leaf, first))| Work {
                    leaf,
                    weight: history.values(),
                    task: Task::History(history.clone(), number, Box::new(first)),
                }));
            } else if let Some((leaf, first)) = leaves.next() {
                let weight = arrays.iter().map(|array| weight(*array)).sum();
                let leaves = std::iter::once(first).chain(leaves.map(|(_, leaf)| leaf)).collect();
                work.push(Work { leaf, weight, task: Task::Column(Column { field, arrays, leaves }) });
            }
        }
        // The heaviest is begun first, or it would be left over for one core at the end.
        work.sort_by_key(|work| Reverse(work.weight));
        let (done, encoded) = crossbeam_channel::unbounded();
        pool.in_place_scope_fifo(|scope| {
            for work in work {
                let (done, order) = (done.clone(), &order);
                scope.spawn_fifo(move |_| {
                    let chunks = match work.task {
                        Task::History(history, number, leaf) => history.encode(number, leaf.0, leaf.1).map(|chunk| vec![chunk]),
                        Task::Column(column) => column.encode(plan, order),
                    };
                    // The other end is there until all are done.
                    let _ = done.send((work.leaf, chunks));
                });
            }
        });
        drop(done);
        let mut chunks: Vec<(usize, Result<Vec<Chunk>>)> = encoded.iter().collect();
        chunks.sort_by_key(|(leaf, _)| *leaf);
        let chunks = chunks.into_iter().map(|(_, chunks)| chunks).collect::<Result<Vec<_>>>()?;
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

/// What one thread encodes at a time, begins with this leaf column of the file, and has about so many values.
struct Work<'a> {
    leaf: usize,
    weight: usize,
    task: Task<'a>,
}

enum Task<'a> {
    /// One of the columns of a history, by its number.
    History(Arc<History<'a>>, usize, Box<Leaf<'a>>),
    Column(Column<'a>),
}

/// A column of the rows, with all of the batches.
struct Column<'a> {
    field: &'a Field,
    arrays: Vec<&'a dyn Array>,
    leaves: Vec<Leaf<'a>>,
}

impl Column<'_> {
    fn encode(self, plan: &Plan<'_>, order: &[(usize, usize)]) -> Result<Vec<Chunk>> {
        let mut types = Vec::with_capacity(self.leaves.len());
        leaf_types(self.field.data_type(), &mut types);
        let through = |column: &ColumnDescPtr, leaf: &DataType| {
            plan.properties.compression(column.path()) == Compression::UNCOMPRESSED && Stamps::suit(column, leaf)
        };
        let stamps: Vec<bool> = self.leaves.iter().zip(&types).map(|((column, _), leaf)| through(column, leaf)).collect();
        let mut laid_out = Vec::new();
        if stamps.contains(&true) {
            let whole = interleave(&self.arrays, order)?;
            for ((column, _), _) in self.leaves.iter().zip(&stamps).filter(|(_, stamp)| **stamp) {
                let (stamps, close) = Stamps::lay_out(column, self.field, &whole)?;
                laid_out.push(Chunk::Stamps(stamps, close));
            }
        }
        let mut writers: Vec<ArrowColumnWriter> = self.leaves.into_iter().map(|(_, writer)| writer).collect();
        if !stamps.iter().all(|stamp| *stamp) {
            for rows in order.chunks(ROWS.max(VALUES / writers.len())) {
                // Levels of stamps are made with the others of their struct and dropped: they are one run.
                let leaves = compute_leaves(self.field, &gather(&self.arrays, rows)?)?;
                for ((writer, leaf), _) in writers.iter_mut().zip(&leaves).zip(&stamps).filter(|(_, stamp)| !**stamp) {
                    writer.write(leaf)?;
                }
            }
        }
        let mut laid_out = laid_out.into_iter();
        let close = |(writer, stamp): (ArrowColumnWriter, &bool)| match stamp {
            true => laid_out.next().ok_or_else(|| general("a column of cut-outs was not laid out")),
            false => Ok(Chunk::Encoded(writer.close()?)),
        };
        writers.into_iter().zip(&stamps).map(close).collect()
    }
}

/// As `interleave`, but what is the same in all rows is not looked at row by row: much of what steps say about catalogues is.
fn gather(arrays: &[&dyn Array], rows: &[(usize, usize)]) -> std::result::Result<ArrayRef, ArrowError> {
    let Some(data_type) = arrays.first().map(|array| array.data_type()) else { return interleave(arrays, rows) };
    let full = arrays.iter().all(|array| array.null_count() == 0);
    match data_type {
        DataType::Struct(fields) if full && !fields.is_empty() => {
            let records: Vec<&StructArray> = arrays.iter().map(|array| array.as_struct()).collect();
            let column = |number: usize| {
                let columns: Vec<&dyn Array> = records.iter().map(|record| record.column(number).as_ref()).collect();
                gather(&columns, rows)
            };
            let columns = (0..fields.len()).map(column).collect::<std::result::Result<_, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
        }
        DataType::Boolean if full => {
            let (set, all) =
                arrays.iter().fold((0, 0), |(set, all), array| (set + array.as_boolean().true_count(), all + array.len()));
            match set {
                0 => Ok(Arc::new(BooleanArray::new(BooleanBuffer::new_unset(rows.len()), None))),
                set if set == all => Ok(Arc::new(BooleanArray::new(BooleanBuffer::new_set(rows.len()), None))),
                _ => interleave(arrays, rows),
            }
        }
        flat if !flat.is_nested() && arrays.iter().all(|array| array.null_count() == array.len()) => {
            Ok(new_null_array(flat, rows.len()))
        }
        _ => interleave(arrays, rows),
    }
}

/// Values of an array, those of its lists and fields counted one by one.
fn weight(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| weight(column)).sum(),
        DataType::List(_) => weight(array.as_list::<i32>().values()),
        DataType::Map(..) => array.as_map().entries().columns().iter().map(|column| weight(column)).sum(),
        _ => array.len(),
    }
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
            Chunk::Points(points, close) => group.append_column(&points, close),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_array::{Int32Array, StringViewArray};
    use arrow_buffer::NullBuffer;
    use proptest::prelude::*;

    use super::*;

    /// Rows of a batch: a flag, a number, a text, and whether the record of the last two is there.
    type Row = (Option<bool>, Option<i32>, Option<String>, bool);

    fn batch(rows: &[Row], plain: bool) -> ArrayRef {
        let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
        let flags: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>());
        let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>());
        let texts: ArrayRef = Arc::new(rows.iter().map(|row| row.2.as_deref()).collect::<StringViewArray>());
        let there = (!plain).then(|| rows.iter().map(|row| row.3).collect::<NullBuffer>());
        let inner = vec![field("number", &numbers), field("text", &texts)].into();
        let inner: ArrayRef = Arc::new(StructArray::try_new(inner, vec![numbers, texts], there).unwrap());
        let outer = vec![field("flag", &flags), field("inner", &inner)].into();
        Arc::new(StructArray::try_new(outer, vec![flags, inner], None).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_gathered_is_what_interleave_makes(
            batches in prop::collection::vec(prop::collection::vec(any::<Row>(), 0..6), 1..5),
            // All flags one, all flags the other, no numbers, no texts; records that are all there.
            same in any::<[bool; 5]>(),
            from in 0usize..3,
            seed in any::<usize>(),
        ) {
            let rows = |rows: &Vec<Row>| -> Vec<Row> {
                let flag = |flag| if same[0] { Some(true) } else if same[1] { Some(false) } else { flag };
                let one = |(a, b, c, d): Row| (flag(a), b.filter(|_| !same[2]), c.filter(|_| !same[3]), d);
                rows.iter().cloned().map(one).collect()
            };
            let whole: Vec<ArrayRef> = batches.iter().map(|batch| self::batch(&rows(batch), same[4])).collect();
            let sliced = |array: &ArrayRef| array.slice(from.min(array.len()), array.len() - from.min(array.len()));
            let arrays: Vec<ArrayRef> = whole.iter().map(sliced).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            let mut order: Vec<(usize, usize)> =
                arrays.iter().enumerate().flat_map(|(number, array)| (0..array.len()).map(move |row| (number, row))).collect();
            order.sort_by_key(|(number, row)| (number * 31 + row).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            prop_assert_eq!(&gather(&arrays, &order).unwrap(), &interleave(&arrays, &order).unwrap());
        }
    }
}
