//! Writing Avro: annotation columns row by row, and object containers around ready-made data.
//!
//! May depend on: arrow, `append` (which says which types there are). Pure.
//!
//! **Invariant:** [`BoundEncoder::encode`] writes exactly the types that [`super::append`] declares for the same fields, null
//! first where a field is nullable (Avro 1.12, "Binary Encoding").

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, StringArray, StringViewArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use xxhash_rust::xxh3::xxh3_128;

use super::append::{AppendError, is_utc};

/// Writes annotations behind a datum.
#[derive(Clone, Debug)]
pub struct Encoder {
    fields: Vec<FieldRef>,
}

/// An encoder over the columns of one batch. It shares their memory.
#[derive(Clone, Debug)]
pub struct BoundEncoder {
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Clone, Debug)]
struct Column {
    nullable: bool,
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Boolean(BooleanArray),
    Int(ScalarBuffer<i32>),
    Long(ScalarBuffer<i64>),
    Float(ScalarBuffer<f32>),
    Double(ScalarBuffer<f64>),
    Text(StringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    List(OffsetBuffer<i32>, Box<Column>),
    Record(Vec<Column>),
}

impl Encoder {
    /// An encoder for columns of these fields, in this order.
    #[must_use]
    pub fn new(fields: &[FieldRef]) -> Self {
        Self { fields: fields.to_vec() }
    }

    /// The encoder over the columns of a batch, one per field.
    ///
    /// # Errors
    /// When a column is not what its field says, or of a type that [`super::append`] refuses.
    pub fn bind(&self, annotations: &[ArrayRef]) -> Result<BoundEncoder, AppendError> {
        let rows = annotations.first().map_or(0, |a| a.len());
        if annotations.len() != self.fields.len() {
            let reason = format!("{} columns for {} fields", annotations.len(), self.fields.len());
            return Err(AppendError::Values { field: "*".into(), reason });
        }
        let bind = |(field, array): (&FieldRef, &ArrayRef)| {
            let wrong = |reason: String| Err(AppendError::Values { field: field.name().clone(), reason });
            if array.len() != rows {
                return wrong(format!("{} rows where the first column has {rows}", array.len()));
            }
            if !field.is_nullable() && array.null_count() > 0 {
                return wrong(format!("{} nulls in a column that has none by its type", array.null_count()));
            }
            Column::bind(field, array)
        };
        let columns = self.fields.iter().zip(annotations).map(bind).collect::<Result<_, _>>()?;
        Ok(BoundEncoder { columns, rows })
    }
}

impl BoundEncoder {
    /// Appends the annotations of `row` to `out`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        assert!(self.columns.is_empty() || row < self.rows, "row {row} of {} rows", self.rows);
        self.columns.iter().for_each(|column| column.encode(row, out));
    }
}

impl Column {
    fn bind(field: &Field, array: &ArrayRef) -> Result<Column, AppendError> {
        if array.data_type() != field.data_type() {
            let reason = format!("a column of {} where the field says {}", array.data_type(), field.data_type());
            return Err(AppendError::Values { field: field.name().clone(), reason });
        }
        let values = match field.data_type() {
            DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
            DataType::Int32 => Values::Int(array.as_primitive::<Int32Type>().values().clone()),
            DataType::Int64 => Values::Long(array.as_primitive::<Int64Type>().values().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if is_utc(zone) => {
                Values::Long(array.as_primitive::<TimestampMicrosecondType>().values().clone())
            }
            DataType::Float32 => Values::Float(array.as_primitive::<Float32Type>().values().clone()),
            DataType::Float64 => Values::Double(array.as_primitive::<Float64Type>().values().clone()),
            DataType::Utf8 => Values::Text(array.as_string::<i32>().clone()),
            DataType::Utf8View => Values::TextView(array.as_string_view().clone()),
            DataType::Binary => Values::Bytes(array.as_binary::<i32>().clone()),
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                Values::List(list.offsets().clone(), Box::new(Column::bind(item, list.values())?))
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().zip(array.as_struct().columns()).map(|(f, a)| Column::bind(f, a));
                Values::Record(columns.collect::<Result<_, _>>()?)
            }
            other => return Err(AppendError::Type { field: field.name().clone(), data_type: other.clone() }),
        };
        Ok(Column { nullable: field.is_nullable(), nulls: array.nulls().cloned(), values })
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.nullable {
            let null = self.nulls.as_ref().is_some_and(|n| n.is_null(row));
            write_long(out, i64::from(!null));
            if null {
                return;
            }
        }
        match &self.values {
            Values::Boolean(values) => out.push(u8::from(values.value(row))),
            Values::Int(values) => write_long(out, i64::from(values[row])),
            Values::Long(values) => write_long(out, values[row]),
            Values::Float(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Double(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Text(values) => write_bytes(out, values.value(row).as_bytes()),
            Values::TextView(values) => write_bytes(out, values.value(row).as_bytes()),
            Values::Bytes(values) => write_bytes(out, values.value(row)),
            Values::List(offsets, items) => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                if start < end {
                    write_long(out, (end - start) as i64);
                    (start..end).for_each(|item| items.encode(item, out));
                }
                write_long(out, 0);
            }
            Values::Record(columns) => columns.iter().for_each(|column| column.encode(row, out)),
        }
    }
}

/// Appends an Avro `int` or `long`.
pub fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut bits = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Appends an Avro `bytes` or `string`.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// The sync marker of containers of a schema: a hash of its text, so that the same run writes the same bytes.
#[must_use]
pub fn sync_marker(schema_json: &str) -> [u8; 16] {
    xxh3_128(schema_json.as_bytes()).to_be_bytes()
}

/// The header of an object container without compression. Blocks follow: [`write_block_start`], the data, the sync marker.
#[must_use]
pub fn container_header(schema_json: &str, sync: &[u8; 16]) -> Vec<u8> {
    container_start(&[("avro.schema", schema_json), ("avro.codec", "null")], sync)
}

/// The header of an object container with this metadata, among it `avro.schema` and `avro.codec`.
#[must_use]
pub fn container_start(metadata: &[(&str, &str)], sync: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + metadata.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>());
    out.extend_from_slice(b"Obj\x01");
    write_long(&mut out, metadata.len() as i64);
    for (key, value) in metadata {
        write_bytes(&mut out, key.as_bytes());
        write_bytes(&mut out, value.as_bytes());
    }
    write_long(&mut out, 0);
    out.extend_from_slice(sync);
    out
}

/// Begins a block of `records` data that are `bytes` long together.
pub fn write_block_start(out: &mut Vec<u8>, records: usize, bytes: usize) {
    write_long(out, records as i64);
    write_long(out, bytes as i64);
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
