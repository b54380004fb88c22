//! Histories on their way into a row group: lists of points, such as the previous candidates of each alert.
//!
//! They are most of the values of an alert, and the rows of a row group are written in another order than they came. Taken row
//! by row, each piece of each column would be a miss of the caches. So one column is moved at a time: read in the order in which
//! it lies in memory, written to where the order of the file wants it, which is little enough to stay in a core's cache, where it
//! is encoded at once.
//!
//! May depend on: arrow, parquet. **Invariant:** a column comes out as `interleave` would make it.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, ListArray, PrimitiveArray, StructArray, downcast_primitive_array};
use arrow_buffer::bit_mask::set_bits;
use arrow_buffer::{BooleanBuffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::{DataType, Field, FieldRef, Fields};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::group::Chunk;
use super::page::general;
use super::points::{self, Lists};

/// A column of lists, with all of the batches.
pub(super) struct History<'a> {
    field: &'a Field,
    item: &'a FieldRef,
    lists: Vec<&'a ListArray>,
    /// For each batch, where in the new order the values of each row begin.
    starts: Vec<Vec<usize>>,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    pages: Lists,
}

/// The values of a column of lists of plain values, or of lists of records of such.
fn item(field: &Field) -> Option<&FieldRef> {
    let flat = |data_type: &DataType| !data_type.is_nested() && !matches!(data_type, DataType::Dictionary(..));
    let DataType::List(item) = field.data_type() else { return None };
    let all = match item.data_type() {
        DataType::Struct(fields) => fields.iter().all(|field| flat(field.data_type())),
        other => flat(other),
    };
    all.then_some(item)
}

impl<'a> History<'a> {
    /// The column `field` of all batches with its rows in this `order` (batch and row of it); `None` where it is not made of lists
    /// of plain values, or of lists of records of such.
    ///
    /// # Errors
    /// When it has more values than a column chunk can.
    pub fn of(field: &'a Field, arrays: &[&'a dyn Array], order: &[(usize, usize)]) -> Result<Option<History<'a>>> {
        let Some(item) = item(field) else { return Ok(None) };
        let Some(lists) = arrays.iter().map(|array| array.as_list_opt::<i32>()).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        if item.data_type().is_nested() && lists.iter().any(|list| list.values().null_count() > 0) {
            return Ok(None);
        }
        let mut starts: Vec<Vec<usize>> = lists.iter().map(|list| vec![0; list.len()]).collect();
        let mut end = 0;
        let mut offsets = Vec::with_capacity(order.len() + 1);
        offsets.push(0);
        for (batch, row) in order {
            starts[*batch][*row] = end;
            end += lists[*batch].value_length(*row) as usize;
            offsets.push(i32::try_from(end).map_err(general)?);
        }
        let nulls = lists.iter().any(|list| list.null_count() > 0);
        let nulls = nulls.then(|| order.iter().map(|(batch, row)| lists[*batch].is_valid(*row)).collect());
        let offsets = OffsetBuffer::new(offsets.into());
        let pages = Lists::new(&offsets, nulls.as_ref(), field.is_nullable())?;
        Ok(Some(History { field, item, lists, starts, offsets, nulls, pages }))
    }

    /// Whether a column is taken for one by its type.
    pub fn suits(field: &Field) -> bool {
        item(field).is_some()
    }

    /// Values of one of its columns.
    pub fn values(&self) -> usize {
        self.offsets.last() as usize
    }

    /// Encodes the column `number` of the records, or the values themselves.
    ///
    /// # Errors
    /// When it is not of its type.
    pub fn encode(&self, number: usize, leaf: &ColumnDescPtr, mut writer: ArrowColumnWriter) -> Result<Chunk> {
        let column = |list: &'a ListArray| match list.values().as_struct_opt() {
            Some(records) => records.column(number).as_ref(),
            None => list.values().as_ref(),
        };
        let columns: Vec<&dyn Array> = self.lists.iter().map(|list| column(list)).collect();
        let values = self.moved(&columns)?;
        if points::suit(leaf) && points::lie_plain(values.data_type()) {
            let (pages, close) = points::lay_out(leaf, &self.pages, &values)?;
            return Ok(Chunk::Pages(pages, close));
        }
        let (item, values): (FieldRef, ArrayRef) = match self.item.data_type() {
            DataType::Struct(fields) => {
                let fields = Fields::from(vec![fields[number].clone()]);
                let item = self.item.as_ref().clone().with_data_type(DataType::Struct(fields.clone()));
                (Arc::new(item), Arc::new(StructArray::try_new(fields, vec![values], None)?))
            }
            _ => (self.item.clone(), values),
        };
        let list = ListArray::try_new(item.clone(), self.offsets.clone(), values, self.nulls.clone())?;
        let field = self.field.clone().with_data_type(DataType::List(item));
        for leaf in compute_leaves(&field, &(Arc::new(list) as ArrayRef))? {
            writer.write(&leaf)?;
        }
        Ok(Chunk::Encoded(writer.close()?))
    }

    /// Where the values of each row lie in a batch, and where they go to: in the order in which they lie.
    fn moves(&self, batch: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let offsets = self.lists[batch].value_offsets();
        offsets.windows(2).zip(&self.starts[batch]).map(|(range, start)| (range[0] as usize..range[1] as usize, *start))
    }

    fn moved(&self, columns: &[&dyn Array]) -> Result<ArrayRef> {
        let Some(first) = columns.first().copied() else { return Ok(arrow_array::new_empty_array(self.item.data_type())) };
        Ok(downcast_primitive_array!(
            first => Arc::new(self.moved_values(first, columns)),
            _ => self.moved_texts(columns)?
        ))
    }

    fn moved_values<T: ArrowPrimitiveType>(&self, like: &PrimitiveArray<T>, columns: &[&dyn Array]) -> PrimitiveArray<T> {
        let mut values = vec![T::default_value(); self.values()];
        let mut valid: Option<MutableBuffer> = None;
        for (batch, column) in columns.iter().enumerate() {
            let column = column.as_primitive::<T>();
            for (from, to) in self.moves(batch) {
                values[to..to + from.len()].copy_from_slice(&column.values()[from]);
            }
        }
        if columns.iter().any(|column| column.null_count() > 0) {
            let bits = valid.insert(MutableBuffer::from_len_zeroed(self.values().div_ceil(8)));
            for (batch, column) in columns.iter().enumerate() {
                let here = column.nulls().cloned().unwrap_or_else(|| NullBuffer::new_valid(column.len()));
                for (from, to) in self.moves(batch) {
                    set_bits(bits.as_slice_mut(), here.validity(), to, here.offset() + from.start, from.len());
                }
            }
        }
        let nulls = valid.map(|bits| NullBuffer::new(BooleanBuffer::new(bits.into(), 0, self.values())));
        PrimitiveArray::new(ScalarBuffer::from(values), nulls).with_data_type(like.data_type().clone())
    }

    /// Anything else, piece by piece in the new order.
    fn moved_texts(&self, columns: &[&dyn Array]) -> Result<ArrayRef> {
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let mut pieces: Vec<_> = (0..columns.len())
            .flat_map(|batch| self.moves(batch).map(move |(from, to)| (to, batch, from)))
            .filter(|(_, _, from)| !from.is_empty())
            .collect();
        pieces.sort_unstable_by_key(|(to, _, _)| *to);
        let mut moved = MutableArrayData::new(data.iter().collect(), false, self.values());
        for (_, batch, from) in pieces {
            moved.try_extend(batch, from.start, from.end)?;
        }
        Ok(arrow_array::make_array(moved.freeze()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_array::{BooleanArray, Float32Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
    use arrow_select::interleave::interleave;
    use proptest::prelude::*;

    use super::*;

    type Point = (Option<f32>, Option<i64>, Option<String>, Option<bool>);

    fn lists(batches: &[Vec<Option<Vec<Point>>>], nulls: bool) -> Vec<ListArray> {
        let field = |name, data_type| Field::new(name, data_type, true);
        let time = TimestampMicrosecondArray::from(Vec::<i64>::new()).with_timezone("UTC");
        let fields = Fields::from(vec![
            field("magnitude", DataType::Float32),
            field("id", DataType::Int64),
            field("name", DataType::Utf8View),
            field("good", DataType::Boolean),
            field("time", time.data_type().clone()),
        ]);
        let item = Arc::new(Field::new("item", DataType::Struct(fields.clone()), false));
        let one = |rows: &Vec<Option<Vec<Point>>>| {
            let points: Vec<&Point> = rows.iter().flatten().flatten().collect();
            let time = points.iter().map(|p| p.1).collect::<TimestampMicrosecondArray>().with_timezone("UTC");
            let columns: Vec<ArrayRef> = vec![
                Arc::new(points.iter().map(|p| if nulls { p.0 } else { p.0.or(Some(0.5)) }).collect::<Float32Array>()),
                Arc::new(points.iter().map(|p| p.1).collect::<Int64Array>()),
                Arc::new(points.iter().map(|p| p.2.as_deref()).collect::<StringViewArray>()),
                Arc::new(points.iter().map(|p| p.3).collect::<BooleanArray>()),
                Arc::new(time),
            ];
            let values = StructArray::try_new(fields.clone(), columns, None).unwrap();
            let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
            let valid: NullBuffer = rows.iter().map(Option::is_some).collect();
            ListArray::try_new(item.clone(), OffsetBuffer::from_lengths(lengths), Arc::new(values), Some(valid)).unwrap()
        };
        batches.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn every_column_comes_out_as_interleave_makes_it(
            batches in prop::collection::vec(
                prop::collection::vec(prop::option::of(prop::collection::vec(any::<Point>(), 0..6)), 0..7), 1..5),
            nulls in any::<bool>(),
            first in 0usize..3,
            seed in any::<u64>(),
        ) {
            let whole = lists(&batches, nulls);
            // Sliced, as what remains of a batch may be.
            let lists: Vec<ListArray> = whole.iter().map(|l| { let from = first.min(l.len()); l.slice(from, l.len() - from) }).collect();
            let mut order: Vec<(usize, usize)> = (0..lists.len()).flat_map(|b| (0..lists[b].len()).map(move |row| (b, row))).collect();
            order.sort_by_key(|(b, row)| (*b as u64 * 31 + *row as u64).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let arrays: Vec<&dyn Array> = lists.iter().map(|list| list as &dyn Array).collect();
            let field = Field::new("history", lists[0].data_type().clone(), true);
            let history = History::of(&field, &arrays, &order).unwrap().unwrap();
            if order.is_empty() {
                return Ok(());
            }
            let expected = interleave(&arrays, &order).unwrap();
            let expected = expected.as_list::<i32>();
            let records: Vec<&StructArray> = lists.iter().map(|list| list.values().as_struct()).collect();
            for number in 0..5 {
                let columns: Vec<&dyn Array> = records.iter().map(|record| record.column(number).as_ref()).collect();
                let moved = history.moved(&columns).unwrap();
                let item = Arc::new(Field::new("item", moved.data_type().clone(), true));
                let moved = ListArray::try_new(item.clone(), history.offsets.clone(), moved, history.nulls.clone()).unwrap();
                let wanted = expected.values().as_struct().column(number).clone();
                let wanted = ListArray::try_new(item, expected.offsets().clone(), wanted, expected.nulls().cloned()).unwrap();
                prop_assert_eq!(moved, wanted);
            }
        }
    }
}
