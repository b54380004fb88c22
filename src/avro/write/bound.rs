//! The columns of a batch, each beside the way it is written.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, StringViewArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::{FieldNode, Node, WriteError};
use crate::avro::{write_bytes, write_long};

/// A writer over the columns of one batch.
#[derive(Debug)]
pub struct BoundRecords {
    columns: Vec<(String, Column)>,
    rows: usize,
}

impl BoundRecords {
    pub(super) fn new(columns: Vec<(String, Column)>, rows: usize) -> Self {
        Self { columns, rows }
    }

    /// Appends the datum of `row` to `out`.
    ///
    /// # Errors
    /// When a value is null that the schema wants, or no value of its type. What was appended of the datum has to be dropped.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
        assert!(row < self.rows, "row {row} of {} rows", self.rows);
        record(&self.columns, row, out)
    }
}

#[derive(Debug)]
pub(super) struct Column {
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Nothing,
    Boolean(BooleanArray),
    Int(ScalarBuffer<i32>),
    Long(ScalarBuffer<i64>),
    Float(ScalarBuffer<f32>),
    Double(ScalarBuffer<f64>),
    Text(StringViewArray),
    Bytes(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
    /// A value that takes no bytes, but has to be there.
    Present,
    Enum(StringViewArray, Arc<HashMap<String, i64>>),
    Decimal(ScalarBuffer<i128>, Option<usize>),
    List(OffsetBuffer<i32>, Box<Column>),
    Map(OffsetBuffer<i32>, StringViewArray, Box<Column>),
    Record(Vec<(String, Column)>),
    Only(Box<Column>),
    Maybe(u8, Box<Column>),
    Union(Option<i64>, Vec<(i64, Column)>),
    /// The same bytes in every row.
    Constant(Vec<u8>),
}

impl FieldNode {
    pub(super) fn bind(&self, column: Option<&ArrayRef>) -> Result<(String, Column), WriteError> {
        let column = match column {
            Some(array) => self.node.bind(array),
            None => match self.fallback() {
                Some(bytes) => Ok(Column { nulls: None, values: Values::Constant(bytes) }),
                None => {
                    Err(WriteError::new("the column is not there, and the schema allows neither null nor has a default for it"))
                }
            },
        };
        Ok((self.name.clone(), column.map_err(|e| e.below(&self.name))?))
    }
}

impl Node {
    fn bind(&self, array: &ArrayRef) -> Result<Column, WriteError> {
        let wrong = || WriteError::new(format!("a column of {} does not hold what the schema says", array.data_type()));
        let values = match self {
            Node::Null => matches!(array.data_type(), DataType::Null).then_some(Values::Nothing).ok_or_else(wrong)?,
            Node::Boolean => Values::Boolean(array.as_boolean_opt().ok_or_else(wrong)?.clone()),
            Node::Int(data_type) => Values::Int(ints(array, data_type).ok_or_else(wrong)?),
            Node::Long(data_type) => Values::Long(longs(array, data_type).ok_or_else(wrong)?),
            Node::Float => Values::Float(plain::<Float32Type>(array).ok_or_else(wrong)?),
            Node::Double => Values::Double(plain::<Float64Type>(array).ok_or_else(wrong)?),
            Node::Text => Values::Text(texts(array).ok_or_else(wrong)?),
            Node::Bytes => Values::Bytes(bytes(array).ok_or_else(wrong)?),
            Node::Fixed(size) => {
                let fixed = array.as_fixed_size_binary_opt().filter(|fixed| fixed.value_length() == *size);
                Values::Fixed(fixed.ok_or_else(wrong)?.clone())
            }
            Node::Empty => bytes(array).map(|_| Values::Present).ok_or_else(wrong)?,
            Node::Present => array.as_boolean_opt().map(|_| Values::Present).ok_or_else(wrong)?,
            Node::Enum(symbols) => Values::Enum(texts(array).ok_or_else(wrong)?, symbols.clone()),
            Node::Decimal { data_type, size } => {
                let fits = (array.data_type() == data_type).then(|| plain::<Decimal128Type>(array)).flatten();
                Values::Decimal(fits.ok_or_else(wrong)?, *size)
            }
            Node::List(item) => {
                let list = array.as_list_opt::<i32>().ok_or_else(wrong)?;
                Values::List(list.offsets().clone(), Box::new(item.bind(list.values()).map_err(|e| e.below("item"))?))
            }
            Node::Map(value) => {
                let map = array.as_map_opt().ok_or_else(wrong)?;
                let keys = texts(map.keys()).ok_or_else(wrong)?;
                Values::Map(map.offsets().clone(), keys, Box::new(value.bind(map.values()).map_err(|e| e.below("value"))?))
            }
            Node::Record(fields) => {
                let record = array.as_struct_opt().ok_or_else(wrong)?;
                let columns = fields.iter().map(|field| field.bind(record.column_by_name(&field.name)));
                Values::Record(columns.collect::<Result<_, _>>()?)
            }
            // Null is told by the wrapper, so what it holds has the same nulls and never meets one.
            Node::Only(inner) => Values::Only(Box::new(inner.bind(array)?)),
            Node::Maybe(null_at, inner) => Values::Maybe(*null_at, Box::new(inner.bind(array)?)),
            Node::Union(null_at, members) => {
                let chosen = array.as_struct_opt().ok_or_else(wrong)?;
                let member = |(i, (number, node)): (usize, &(i64, Node))| bind_member(chosen, i, *number, node);
                Values::Union(*null_at, members.iter().enumerate().map(member).collect::<Result<_, _>>()?)
            }
        };
        Ok(Column { nulls: array.logical_nulls(), values })
    }
}

fn bind_member(chosen: &StructArray, index: usize, number: i64, node: &Node) -> Result<(i64, Column), WriteError> {
    let name = format!("member{index}");
    let absent = || WriteError::new("the column is not there: a union is kept with all its members").below(&name);
    let array = chosen.column_by_name(&name).ok_or_else(absent)?;
    Ok((number, node.bind(array).map_err(|e| e.below(&name))?))
}

fn plain<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<ScalarBuffer<T::Native>> {
    array.as_primitive_opt::<T>().map(|values| values.values().clone())
}

fn ints(array: &ArrayRef, wanted: &DataType) -> Option<ScalarBuffer<i32>> {
    match (array.data_type(), wanted) {
        (DataType::Int32, DataType::Int32) => plain::<Int32Type>(array),
        (DataType::Date32, DataType::Date32) => plain::<Date32Type>(array),
        (DataType::Time32(TimeUnit::Millisecond), DataType::Time32(_)) => plain::<Time32MillisecondType>(array),
        _ => None,
    }
}

/// A time zone is how a time is shown, not what it is.
fn longs(array: &ArrayRef, wanted: &DataType) -> Option<ScalarBuffer<i64>> {
    match (array.data_type(), wanted) {
        (DataType::Int64, DataType::Int64) => plain::<Int64Type>(array),
        (DataType::Time64(TimeUnit::Microsecond), DataType::Time64(_)) => plain::<Time64MicrosecondType>(array),
        (DataType::Timestamp(unit, _), DataType::Timestamp(same, _)) if unit == same => match unit {
            TimeUnit::Millisecond => plain::<TimestampMillisecondType>(array),
            TimeUnit::Microsecond => plain::<TimestampMicrosecondType>(array),
            TimeUnit::Nanosecond => plain::<TimestampNanosecondType>(array),
            TimeUnit::Second => None,
        },
        _ => None,
    }
}

/// Text, whatever holds it.
fn texts(array: &ArrayRef) -> Option<StringViewArray> {
    fn is_text(data_type: &DataType) -> bool {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
            DataType::Dictionary(_, values) => is_text(values),
            _ => false,
        }
    }
    let views = is_text(array.data_type()).then(|| arrow_cast::cast(array, &DataType::Utf8View))?;
    views.ok()?.as_string_view_opt().cloned()
}

/// Bytes, whatever holds them.
fn bytes(array: &ArrayRef) -> Option<BinaryViewArray> {
    let known = matches!(array.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let views = known.then(|| arrow_cast::cast(array, &DataType::BinaryView))?;
    views.ok()?.as_binary_view_opt().cloned()
}

fn record(columns: &[(String, Column)], row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
    columns.iter().try_for_each(|(name, column)| column.encode(row, out).map_err(|e| e.below(name)))
}

impl Column {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let null = self.is_null(row);
        match &self.values {
            Values::Nothing => {}
            Values::Constant(bytes) => out.extend_from_slice(bytes),
            Values::Only(inner) => {
                write_long(out, 0);
                inner.encode(row, out)?;
            }
            Values::Maybe(null_at, _) if null => out.push(null_at << 1),
            Values::Maybe(null_at, inner) => {
                out.push((1 - null_at) << 1);
                inner.encode(row, out)?;
            }
            Values::Union(Some(null_at), _) if null => write_long(out, *null_at),
            _ if null => return Err(WriteError::new("null, which the schema does not allow")),
            Values::Union(_, members) => {
                let mut there = members.iter().filter(|(_, member)| !member.is_null(row));
                let (Some((number, member)), None) = (there.next(), there.next()) else {
                    return Err(WriteError::new("not exactly one member of the union is set"));
                };
                write_long(out, *number);
                member.encode(row, out)?;
            }
            Values::Boolean(values) => out.push(u8::from(values.value(row))),
            Values::Int(values) => write_long(out, i64::from(values[row])),
            Values::Long(values) => write_long(out, values[row]),
            Values::Float(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Double(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Text(values) => write_bytes(out, values.value(row).as_bytes()),
            Values::Bytes(values) => write_bytes(out, values.value(row)),
            Values::Fixed(values) => out.extend_from_slice(values.value(row)),
            Values::Present => {}
            Values::Enum(values, symbols) => {
                let symbol = values.value(row);
                let unknown = || WriteError::new(format!("`{symbol}`, which is no symbol of the enum"));
                write_long(out, *symbols.get(symbol).ok_or_else(unknown)?);
            }
            Values::Decimal(values, size) => decimal(values[row], *size, out)?,
            Values::List(offsets, items) => {
                block(offsets, row, out, |item, out| items.encode(item, out).map_err(|e| e.below("item")))?
            }
            Values::Map(offsets, keys, values) => block(offsets, row, out, |entry, out| {
                write_bytes(out, keys.value(entry).as_bytes());
                values.encode(entry, out).map_err(|e| e.below(keys.value(entry)))
            })?,
            Values::Record(columns) => record(columns, row, out)?,
        }
        Ok(())
    }
}

/// Items of an array or a map: one block with its count, and the end.
fn block(
    offsets: &OffsetBuffer<i32>,
    row: usize,
    out: &mut Vec<u8>,
    mut item: impl FnMut(usize, &mut Vec<u8>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
    if start < end {
        write_long(out, (end - start) as i64);
        (start..end).try_for_each(|i| item(i, out))?;
    }
    write_long(out, 0);
    Ok(())
}

/// A decimal's unscaled number in two's complement, highest byte first.
fn decimal(value: i128, size: Option<usize>, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let all = value.to_be_bytes();
    let sign: u8 = if value < 0 { 0xff } else { 0 };
    // Bytes in front that only repeat the sign of the byte behind them say nothing.
    let needless = (0..15).take_while(|&i| all[i] == sign && (all[i + 1] ^ sign) < 0x80).count();
    let short = &all[needless..];
    match size {
        None => write_bytes(out, short),
        Some(size) if short.len() <= size => {
            out.extend(std::iter::repeat_n(sign, size - short.len()));
            out.extend_from_slice(short);
        }
        Some(size) => return Err(WriteError::new(format!("a decimal that does not fit {size} bytes"))),
    }
    Ok(())
}
