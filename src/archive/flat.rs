//! Columns of one number or truth value a row on their way into a column chunk: candidates, and most of what steps add to an alert.
//!
//! They are many: a hundred of a ZTF candidate, four more for each catalogue. A general encoder copies each into the order of the
//! file, works out the level of each value, looks each up in a table of those that were seen, and sets up a codec for each
//! column, which takes longer than compressing a page of it. Here a column is read once, in the order of the file, and written as
//! a plain page, by a codec that is kept. What does not compress is stored as it is.
//!
//! May depend on: arrow arrays, parquet. **Invariant:** a reader finds what the encoder of the parquet crate would have written.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrowNativeTypeOp, BooleanArray, PrimitiveArray, StructArray};
use arrow_buffer::{BooleanBufferBuilder, ToByteSlice};
use arrow_schema::DataType;
use parquet::basic::{LogicalType, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::page::{Layout, PAGE, Pages, append_levels, general};

/// Rows of a page, at most.
const ROWS: usize = PAGE / 8;

/// Whether a column can be laid out so: numbers that Parquet has as they are, and truth values, that no list repeats.
pub(super) fn suits(column: &ColumnDescriptor) -> bool {
    let number = |bits| match column.logical_type_ref() {
        None => true,
        Some(LogicalType::Integer(integer)) => integer.is_signed && integer.bit_width == bits,
        Some(_) => false,
    };
    let plain = match column.physical_type() {
        Type::BOOLEAN | Type::FLOAT | Type::DOUBLE => column.logical_type_ref().is_none(),
        Type::INT32 => number(32),
        Type::INT64 => number(64),
        _ => false,
    };
    column.max_rep_level() == 0 && plain
}

/// Whether values of such a column are those of the file.
pub(super) fn lie_plain(leaf: &DataType) -> bool {
    matches!(leaf, DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64)
}

/// A column of a batch, which may lie in records that may be missing.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub array: &'a dyn Array,
    /// Of each row the definition level of the records that hold it; `None` where none of them is missing.
    above: Option<Arc<Vec<u8>>>,
}

impl<'a> Place<'a> {
    /// A column that is in no record.
    pub fn top(array: &'a dyn Array) -> Place<'a> {
        Place { array, above: None }
    }

    /// What lies in this column of records: all columns share where they are missing. `above` is the definition level of records all
    /// of whose holders are there, `nullable` whether these may be missing.
    pub fn within(&self, records: &'a StructArray, above: u8, nullable: bool) -> impl Fn(usize) -> Place<'a> + use<'a> {
        let level = |row| match &self.above {
            Some(levels) if levels[row] < above => levels[row],
            _ => above + u8::from(nullable && records.is_valid(row)),
        };
        let levels =
            (self.above.is_some() || records.null_count() > 0).then(|| Arc::new((0..records.len()).map(level).collect()));
        move |number| Place { array: records.column(number).as_ref(), above: levels.clone() }
    }
}

/// Lays out a `column` that suits, with its rows in this `order` (batch and row of it).
///
/// # Errors
/// When the batches are not of the column's type, or values are missing that may not.
pub(super) fn lay_out(
    column: &ColumnDescPtr,
    batches: &[Place<'_>],
    order: &[(usize, usize)],
) -> Result<(Pages, ColumnCloseResult)> {
    match column.physical_type() {
        Type::BOOLEAN => truths(column, batches, order),
        Type::INT32 => {
            numbers::<Int32Type>(column, batches, order, |(min, max), nulls, _| Statistics::int32(min, max, None, nulls, false))
        }
        Type::INT64 => {
            numbers::<Int64Type>(column, batches, order, |(min, max), nulls, _| Statistics::int64(min, max, None, nulls, false))
        }
        Type::FLOAT => numbers::<Float32Type>(column, batches, order, |(min, max), nulls, nans| {
            Statistics::Float(ValueStatistics::new(min, max, None, nulls, false).with_nan_count(nans))
        }),
        _ => numbers::<Float64Type>(column, batches, order, |(min, max), nulls, nans| {
            Statistics::Double(ValueStatistics::new(min, max, None, nulls, false).with_nan_count(nans))
        }),
    }
}

fn wrong(column: &ColumnDescPtr) -> ParquetError {
    general(format!("column {} was given values of another type", column.path().string()))
}

/// Whether each of some rows has a value, and a page that begins with the levels that say so. `None` where all have one.
fn begin(column: &ColumnDescPtr, batches: &[Place<'_>], rows: &[(usize, usize)]) -> Result<(Vec<u8>, Option<Vec<bool>>)> {
    let most = u8::try_from(column.max_def_level()).map_err(general)?;
    let mut body = Vec::with_capacity(64 + 9 * rows.len());
    if batches.iter().all(|place| place.above.is_none() && place.array.null_count() == 0) {
        append_levels(&vec![most; rows.len()], most, &mut body)?;
        return Ok((body, None));
    }
    let optional = column.self_type().is_optional();
    let (full, mut missing) = (most - u8::from(optional), false);
    let nulls: Vec<_> = batches.iter().map(|place| place.array.nulls()).collect();
    let level = |&(batch, row): &(usize, usize)| match &batches[batch].above {
        Some(above) if above[row] < full => above[row],
        _ => {
            let null = nulls[batch].is_some_and(|nulls| nulls.is_null(row));
            missing |= null && !optional;
            most - u8::from(null && optional)
        }
    };
    let levels: Vec<u8> = rows.iter().map(level).collect();
    if missing {
        return Err(general(format!("column {} lacks values that may not be missing", column.path().string())));
    }
    append_levels(&levels, most, &mut body)?;
    Ok((body, Some(levels.into_iter().map(|level| level == most).collect())))
}

/// Those of some rows that have a value.
fn there<'a>(rows: &'a [(usize, usize)], there: Option<&'a [bool]>) -> impl Iterator<Item = (usize, usize)> + 'a {
    rows.iter().enumerate().filter(move |(at, _)| there.is_none_or(|there| there[*at])).map(|(_, row)| *row)
}

/// `statistics` is told the least and the largest number, how many values are missing, and how many are not numbers.
fn numbers<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(
    column: &ColumnDescPtr,
    batches: &[Place<'_>],
    order: &[(usize, usize)],
    statistics: impl FnOnce((Option<T::Native>, Option<T::Native>), Option<u64>, Option<u64>) -> Statistics,
) -> Result<(Pages, ColumnCloseResult)> {
    let numbers: Option<Vec<&PrimitiveArray<T>>> = batches.iter().map(|place| place.array.as_primitive_opt::<T>()).collect();
    let numbers = numbers.ok_or_else(|| wrong(column))?;
    let (mut layout, mut values) = (Layout::new(), 0);
    // What is not a number is in no range, and equal to nothing.
    let (mut range, mut nans): (Option<(T::Native, T::Native)>, _) = (None, 0);
    let mut widen = |value: T::Native| match &mut range {
        _ if value.partial_cmp(&value).is_none() => nans += 1,
        None => range = Some((value, value)),
        Some((min, _)) if value < *min => *min = value,
        Some((_, max)) if value > *max => *max = value,
        _ => {}
    };
    for rows in order.chunks(ROWS) {
        let (mut body, there) = begin(column, batches, rows)?;
        for (batch, row) in self::there(rows, there.as_deref()) {
            let value = numbers[batch].value(row);
            widen(value);
            body.extend_from_slice(value.to_byte_slice());
            values += 1;
        }
        layout.page(body, rows.len(), rows.len())?;
    }
    // Of the two zeros of a float a range has both: the format says so for readers that do not tell them apart.
    let zero = T::Native::ZERO;
    let both = |(min, max): (T::Native, T::Native)| {
        (if min.is_zero() { zero.neg_wrapping() } else { min }, if max.is_zero() { zero } else { max })
    };
    let statistics = statistics(range.map(both).unzip(), Some(order.len() as u64 - values), (values > 0).then_some(nans));
    layout.close(column, Some(statistics))
}

fn truths(column: &ColumnDescPtr, batches: &[Place<'_>], order: &[(usize, usize)]) -> Result<(Pages, ColumnCloseResult)> {
    let truths: Option<Vec<&BooleanArray>> = batches.iter().map(|place| place.array.as_boolean_opt()).collect();
    let truths = truths.ok_or_else(|| wrong(column))?;
    let (mut layout, mut values) = (Layout::new(), 0);
    let (mut some, mut all) = (false, true);
    for rows in order.chunks(ROWS) {
        let (mut body, there) = begin(column, batches, rows)?;
        let mut bits = BooleanBufferBuilder::new(rows.len());
        for (batch, row) in self::there(rows, there.as_deref()) {
            let value = truths[batch].value(row);
            (some, all) = (some || value, all && value);
            bits.append(value);
        }
        values += bits.len() as u64;
        body.extend_from_slice(bits.as_slice());
        layout.page(body, rows.len(), rows.len())?;
    }
    let (min, max) = (values > 0).then_some((all, some)).unzip();
    layout.close(column, Some(Statistics::boolean(min, max, None, Some(order.len() as u64 - values), false)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch};
    use arrow_buffer::NullBuffer;
    use arrow_schema::{Field, Fields, Schema};
    use arrow_select::interleave::interleave;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<bool>, Option<i32>, Option<i64>, Option<f32>, Option<f64>);

    /// The only column of a file, as a reader finds it, and what the footer says of it.
    fn read(file: Vec<u8>) -> (ArrayRef, Statistics) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        let statistics = reader.metadata().row_group(0).column(0).statistics().unwrap().clone();
        let batch = reader.with_batch_size(1 << 20).build().unwrap().next().unwrap().unwrap();
        (batch.column(0).clone(), statistics)
    }

    /// `there`: for columns in records, which may be in others, whether these are missing in some rows.
    fn is_read_as_the_crate_writes_it(batches: &[ArrayRef], order: &[(usize, usize)], there: Option<[bool; 2]>, nullable: bool) {
        let record = |array: &ArrayRef, name: &str, nullable: bool, all: bool| -> ArrayRef {
            let field = Field::new(name, array.data_type().clone(), nullable);
            let missing = (!all).then(|| (0..array.len()).map(|row| row % 3 > 0).collect::<NullBuffer>());
            Arc::new(StructArray::try_new(Fields::from(vec![field]), vec![array.clone()], missing).unwrap())
        };
        let leaf = batches[0].data_type().clone();
        let (batches, optional): (Vec<ArrayRef>, bool) = match there {
            None => (batches.to_vec(), nullable),
            Some([outer, inner]) => {
                let inner = batches.iter().map(|array| record(array, "value", nullable, inner));
                (inner.map(|array| record(&array, "inner", true, outer)).collect(), !outer)
            }
        };
        let batches: Vec<&dyn Array> = batches.iter().map(AsRef::as_ref).collect();
        let mut places: Vec<Place<'_>> = batches.iter().map(|array| Place::top(*array)).collect();
        if there.is_some() {
            for (above, nullable) in [(0, optional), (u8::from(optional), true)] {
                places = places.iter().map(|place| place.within(place.array.as_struct(), above, nullable)(0)).collect();
            }
        }
        let whole = interleave(&batches, order).unwrap();
        let field = Field::new("column", whole.data_type().clone(), optional);
        let schema = Arc::new(Schema::new(vec![field]));
        let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_compression(parquet::basic::Compression::UNCOMPRESSED)
            .build();
        let mut theirs = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties.clone())).unwrap();
        theirs.write(&RecordBatch::try_new(schema, vec![whole.clone()]).unwrap()).unwrap();
        let theirs = read(theirs.into_inner().unwrap());
        let column = parquet.column(0);
        assert!(suits(&column) && lie_plain(&leaf));
        let (pages, close) = lay_out(&column, &places, order).unwrap();
        let mut ours = SerializedFileWriter::new(Vec::new(), parquet.root_schema_ptr(), Arc::new(properties)).unwrap();
        let mut group = ours.next_row_group().unwrap();
        group.append_column(&pages, close).unwrap();
        group.close().unwrap();
        let ours = read(ours.into_inner().unwrap());
        assert_eq!(ours.0.to_data(), theirs.0.to_data());
        let numbers = ours.1.min_bytes_opt().is_some();
        if numbers || ours.1.null_count_opt() == Some(order.len() as u64) {
            assert_eq!(ours.1, theirs.1);
        } else {
            // Where nothing is a number theirs ranges from NaN to NaN, which older readers trip over.
            assert_eq!((ours.1.null_count_opt(), ours.1.nan_count_opt()), (theirs.1.null_count_opt(), theirs.1.nan_count_opt()));
            assert!(ours.1.nan_count_opt() > Some(0));
        }
    }

    proptest! {
        #[test]
        fn columns_are_read_as_the_encoder_of_the_crate_writes_them(
            batches in prop::collection::vec(prop::collection::vec(any::<Row>(), 1..40), 1..5),
            special in prop::sample::select(vec![f64::NAN, 0.0, -0.0, f64::INFINITY, 1.5]),
            missing in any::<bool>(),
            nested in prop::option::of(any::<[bool; 2]>()),
            few in any::<bool>(),
            times in prop_oneof![Just(1usize), Just(1), Just(300)],
            seed in any::<usize>(),
        ) {
            let mut columns: [Vec<ArrayRef>; 5] = Default::default();
            for rows in &batches {
                let rows: Vec<&Row> = rows.iter().cycle().take(rows.len() * times).collect();
                let special = |value: f64| if few { special } else { value };
                columns[0].push(Arc::new(rows.iter().map(|r| r.0.or((!missing).then_some(few))).collect::<BooleanArray>()));
                columns[1].push(Arc::new(rows.iter().map(|r| r.1.map(|v| if few { v % 3 } else { v }).or((!missing).then_some(7))).collect::<Int32Array>()));
                columns[2].push(Arc::new(rows.iter().map(|r| r.2.or((!missing).then_some(7))).collect::<Int64Array>()));
                columns[3].push(Arc::new(rows.iter().map(|r| r.3.map(|v| special(v.into()) as f32).or((!missing).then_some(0.0))).collect::<Float32Array>()));
                columns[4].push(Arc::new(rows.iter().map(|r| r.4.map(special).or((!missing).then_some(-0.0))).collect::<Float64Array>()));
            }
            let mut order: Vec<(usize, usize)> =
                columns[0].iter().enumerate().flat_map(|(number, array)| (0..array.len()).map(move |row| (number, row))).collect();
            order.sort_by_key(|(number, row)| (number * 31 + row).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            for column in &columns {
                is_read_as_the_crate_writes_it(column, &order, nested, missing);
            }
        }
    }

    #[test]
    fn values_that_may_not_be_missing_are_missed() {
        let column =
            ArrowSchemaConverter::new().convert(&Schema::new(vec![Field::new("n", DataType::Int32, false)])).unwrap().column(0);
        let missing = Int32Array::from(vec![Some(1), None]);
        assert!(lay_out(&column, &[Place::top(&missing)], &[(0, 0), (0, 1)]).is_err_and(|e| e.to_string().contains("column n")));
        let other = Int64Array::from(vec![1]);
        assert!(lay_out(&column, &[Place::top(&other)], &[(0, 0)]).is_err_and(|e| e.to_string().contains("another type")));
    }
}
