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
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
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
use super::flat::{self, Place};
use super::history::History;
use super::page::{Pages, general};
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
    Pages(Pages, ColumnCloseResult),
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
            let mut leaves = leaves.by_ref().take(leaf_count(field));
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
        let mut parts = Vec::with_capacity(self.leaves.len());
        let whole: Vec<Place<'_>> = self.arrays.iter().map(|array| Place::top(*array)).collect();
        leaf_parts(self.field, 0, Some(whole), &mut parts);
        let mut whole = None;
        let mut chunks: Vec<Option<Chunk>> = Vec::with_capacity(self.leaves.len());
        for ((column, _), (leaf, places)) in self.leaves.iter().zip(&parts) {
            chunks.push(match places {
                _ if plan.properties.compression(column.path()) != Compression::UNCOMPRESSED => None,
                _ if Stamps::suit(column, leaf) => {
                    let whole = match &whole {
                        Some(whole) => whole,
                        None => whole.insert(interleave(&self.arrays, order)?),
                    };
                    let (stamps, close) = Stamps::lay_out(column, self.field, whole)?;
                    Some(Chunk::Stamps(stamps, close))
                }
                Some(places) if flat::suits(column) && flat::lie_plain(leaf) => {
                    let (pages, close) = flat::lay_out(column, places, order)?;
                    Some(Chunk::Pages(pages, close))
                }
                _ => None,
            });
        }
        let mut writers: Vec<Option<ArrowColumnWriter>> =
            self.leaves.into_iter().zip(&chunks).map(|((_, writer), chunk)| chunk.is_none().then_some(writer)).collect();
        if let Some(rest) = Rest::of(self.field, &mut chunks.iter().map(Option::is_some)) {
            let count = writers.iter().flatten().count();
            for rows in order.chunks(ROWS.max(VALUES / count)) {
                let leaves = compute_leaves(&rest.field, &rest.gather(&self.arrays, rows)?)?;
                for (writer, leaf) in writers.iter_mut().flatten().zip(&leaves) {
                    writer.write(leaf)?;
                }
            }
        }
        let encoded = |(chunk, writer): (Option<Chunk>, Option<ArrowColumnWriter>)| match (chunk, writer) {
            (Some(chunk), _) => Ok(chunk),
            (None, Some(writer)) => Ok(Chunk::Encoded(writer.close()?)),
            (None, None) => Err(general("a column was neither laid out nor encoded")),
        };
        chunks.into_iter().zip(writers).map(encoded).collect()
    }
}

/// A column without those of its leaf columns that are laid out by themselves.
struct Rest {
    field: Field,
    /// Of a record, which of its columns remain.
    columns: Option<Vec<(usize, Rest)>>,
}

impl Rest {
    /// `laid_out` tells it of each leaf column, in their order in the file. `None` where nothing remains.
    fn of(field: &Field, laid_out: &mut impl Iterator<Item = bool>) -> Option<Rest> {
        let DataType::Struct(fields) = field.data_type() else {
            // Of lists and maps nothing is laid out so.
            let any = laid_out.take(leaf_count(field)).filter(|laid_out| *laid_out).count() > 0;
            return (!any).then(|| Rest { field: field.clone(), columns: None });
        };
        let columns: Vec<(usize, Rest)> =
            fields.iter().enumerate().filter_map(|(number, field)| Some((number, Rest::of(field, laid_out)?))).collect();
        let fields: Fields = columns.iter().map(|(_, rest)| rest.field.clone()).collect();
        let field = field.clone().with_data_type(DataType::Struct(fields));
        (!columns.is_empty()).then_some(Rest { field, columns: Some(columns) })
    }

    /// As `interleave`, but what is missing in all rows is not looked at row by row.
    fn gather(&self, arrays: &[&dyn Array], rows: &[(usize, usize)]) -> std::result::Result<ArrayRef, ArrowError> {
        let Some(columns) = &self.columns else {
            let null = arrays.iter().all(|array| array.null_count() == array.len());
            return if null && !self.field.data_type().is_nested() {
                Ok(new_null_array(self.field.data_type(), rows.len()))
            } else {
                interleave(arrays, rows)
            };
        };
        let records: Vec<&StructArray> = arrays.iter().map(|array| array.as_struct()).collect();
        let nulls = records.iter().any(|record| record.null_count() > 0);
        let nulls = nulls.then(|| rows.iter().map(|(batch, row)| records[*batch].is_valid(*row)).collect::<NullBuffer>());
        let column = |(number, rest): &(usize, Rest)| {
            let columns: Vec<&dyn Array> = records.iter().map(|record| record.column(*number).as_ref()).collect();
            rest.gather(&columns, rows)
        };
        let DataType::Struct(fields) = self.field.data_type() else { return interleave(arrays, rows) };
        let columns = columns.iter().map(column).collect::<std::result::Result<_, _>>()?;
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?))
    }
}

/// The type of each leaf column, and where it lies in all batches if no list or map holds it. `above`: definition level of the records
/// that hold the field.
fn leaf_parts<'a>(
    field: &'a Field,
    above: u8,
    places: Option<Vec<Place<'a>>>,
    parts: &mut Vec<(&'a DataType, Option<Vec<Place<'a>>>)>,
) {
    match field.data_type() {
        DataType::Struct(fields) => {
            let nullable = field.is_nullable();
            let within = |place: &Place<'a>| Some(place.within(place.array.as_struct_opt()?, above, nullable));
            let records = places.and_then(|places| places.iter().map(within).collect::<Option<Vec<_>>>());
            for (number, field) in fields.iter().enumerate() {
                let column = records.as_ref().map(|records| records.iter().map(|record| record(number)).collect());
                leaf_parts(field, above + u8::from(nullable), column, parts);
            }
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => leaf_parts(item, 0, None, parts),
        DataType::Map(entries, _) => leaf_parts(entries, 0, None, parts),
        leaf => parts.push((leaf, places)),
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
            Chunk::Pages(pages, close) => group.append_column(&pages, close),
        }
    }
}

/// Leaf columns that a column becomes in Parquet.
fn leaf_count(field: &Field) -> usize {
    let mut parts = Vec::new();
    leaf_parts(field, 0, None, &mut parts);
    parts.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_array::{BooleanArray, Int32Array, StringViewArray};
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
            // No numbers, no texts; records that are all there.
            same in any::<[bool; 3]>(),
            // Leaf columns that are laid out by themselves: flag, number, text.
            laid_out in any::<[bool; 3]>(),
            from in 0usize..3,
            seed in any::<usize>(),
        ) {
            let rows = |rows: &Vec<Row>| -> Vec<Row> {
                let one = |(a, b, c, d): Row| (a, b.filter(|_| !same[0]), c.filter(|_| !same[1]), d);
                rows.iter().cloned().map(one).collect()
            };
            let whole: Vec<ArrayRef> = batches.iter().map(|batch| self::batch(&rows(batch), same[2])).collect();
            let sliced = |array: &ArrayRef| array.slice(from.min(array.len()), array.len() - from.min(array.len()));
            let arrays: Vec<ArrayRef> = whole.iter().map(sliced).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            let mut order: Vec<(usize, usize)> =
                arrays.iter().enumerate().flat_map(|(number, array)| (0..array.len()).map(move |row| (number, row))).collect();
            order.sort_by_key(|(number, row)| (number * 31 + row).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let field = Field::new("column", arrays[0].data_type().clone(), false);
            let rest = Rest::of(&field, &mut laid_out.into_iter());
            prop_assert_eq!(rest.is_none(), laid_out == [true; 3]);
            let Some(rest) = rest else { return Ok(()) };
            let gathered = rest.gather(&arrays, &order).unwrap();
            prop_assert_eq!(gathered.data_type(), rest.field.data_type());
            let expected = interleave(&arrays, &order).unwrap();
            let (gathered, expected) = (gathered.as_struct(), expected.as_struct());
            prop_assert_eq!(gathered.column_by_name("flag"), expected.column_by_name("flag").filter(|_| !laid_out[0]));
            let inner = |record: &StructArray| record.column_by_name("inner").map(|inner| inner.as_struct().clone());
            let (gathered, expected) = (inner(gathered), inner(expected).unwrap());
            prop_assert_eq!(gathered.is_none(), laid_out[1] && laid_out[2]);
            let Some(gathered) = gathered else { return Ok(()) };
            prop_assert_eq!(gathered.nulls().map_or(0, NullBuffer::null_count), expected.null_count());
            for (name, laid_out) in [("number", laid_out[1]), ("text", laid_out[2])] {
                prop_assert_eq!(gathered.column_by_name(name), expected.column_by_name(name).filter(|_| !laid_out));
            }
        }
    }
}
