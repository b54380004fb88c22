//! A row of the payload: id, exact position, the columns that are carried. A fixed number of bytes, little-endian, packed.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | id: i64, or a reference into the heap |
//! | 8..16, 16..24 | right ascension and declination, f64, degrees |
//! | 24.. | the columns in their order, bool as a byte, text as a reference |
//! | at the end | a bit for each column, set where its value is missing; left out where no column may miss one |
//!
//! A reference is the length of a text (24 bits) above its place in the heap (40 bits).

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::ToByteSlice;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::format::{Column, part};
use super::heap::Heap;

/// Bytes before the columns.
const FIXED: usize = 24;
/// Longest text, bytes.
pub(super) const LONGEST_TEXT: usize = (1 << 24) - 1;
/// Bytes of texts, at most.
pub(super) const LARGEST_HEAP: u64 = 1 << 40;

/// The id of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id<'a> {
    /// A number, or the row number where the catalogue has no ids.
    Number(i64),
    /// A text.
    Text(&'a str),
}

impl std::fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Text(text) => text.fmt(f),
        }
    }
}

/// A text in the heap, as a number.
pub(super) fn reference(offset: u64, len: usize) -> u64 {
    (len as u64) << 40 | offset
}

/// The text of a reference; empty where there is none, or where the file is damaged.
pub(super) fn text(heap: &[u8], reference: u64) -> &str {
    let (start, len) = ((reference & (LARGEST_HEAP - 1)) as usize, (reference >> 40) as usize);
    heap.get(start..start + len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
}

/// The types that can be carried.
const TYPES: [(DataType, &str, usize); 12] = [
    (DataType::Boolean, "bool", 1),
    (DataType::Int8, "int8", 1),
    (DataType::Int16, "int16", 2),
    (DataType::Int32, "int32", 4),
    (DataType::Int64, "int64", 8),
    (DataType::UInt8, "uint8", 1),
    (DataType::UInt16, "uint16", 2),
    (DataType::UInt32, "uint32", 4),
    (DataType::UInt64, "uint64", 8),
    (DataType::Float32, "float32", 4),
    (DataType::Float64, "float64", 8),
    (DataType::Utf8, "utf8", 8),
];

/// Where rows of the payload are to be written: each begins at `base` in one of the records of `step` bytes.
pub(super) struct Slots<'a> {
    pub bytes: &'a mut [u8],
    pub step: usize,
    pub base: usize,
}

impl Slots<'_> {
    fn each(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let base = self.base;
        self.bytes.chunks_exact_mut(self.step).map(move |record| &mut record[base..])
    }
}

/// Where everything is in a row.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub schema: SchemaRef,
    /// Whether ids are texts.
    pub text_ids: bool,
    /// First byte of each column.
    offsets: Vec<usize>,
    /// First byte of the bits of what is missing, where there are any.
    nulls: Option<usize>,
    /// Bytes of a row.
    pub stride: usize,
}

impl Layout {
    /// The layout of columns; the error names one that cannot be carried.
    pub fn new(schema: SchemaRef, text_ids: bool) -> Result<Layout, String> {
        let (mut offsets, mut at) = (Vec::new(), FIXED);
        for field in schema.fields() {
            let Some((_, _, width)) = TYPES.iter().find(|(kind, _, _)| kind == field.data_type()) else {
                let kinds = TYPES.map(|(_, name, _)| name).join(", ");
                return Err(format!("column `{}` is {}; what can be carried is {kinds}", field.name(), field.data_type()));
            };
            offsets.push(at);
            at += width;
        }
        let nulls = schema.fields().iter().any(|f| f.is_nullable()).then_some(at);
        let stride = at + if nulls.is_some() { offsets.len().div_ceil(8) } else { 0 };
        Ok(Layout { schema, text_ids, offsets, nulls, stride })
    }

    /// The layout that a file has.
    pub fn of(columns: &[Column], id: &str) -> Result<Layout, String> {
        let mut fields = Vec::new();
        for column in columns {
            let Some((kind, _, _)) = TYPES.iter().find(|(_, name, _)| *name == column.kind) else {
                return Err(format!("column `{}` has the type `{}`, which is not known", column.name, column.kind));
            };
            fields.push(Field::new(&column.name, kind.clone(), column.nullable));
        }
        Layout::new(Arc::new(Schema::new(fields)), id == "utf8")
    }

    /// What META says of the columns.
    pub fn columns(&self, unit: impl Fn(&str) -> String) -> Vec<Column> {
        let name = |kind: &DataType| TYPES.iter().find(|(k, _, _)| k == kind).map_or("", |(_, name, _)| name).to_owned();
        let column = |f: &Arc<Field>| Column {
            name: f.name().clone(),
            kind: name(f.data_type()),
            unit: unit(f.name()),
            nullable: f.is_nullable(),
        };
        self.schema.fields().iter().map(column).collect()
    }

    /// Writes the ids of the rows `taken` of a batch.
    pub fn put_ids(&self, ids: &ArrayRef, taken: &[u32], slots: &mut Slots, heap: &mut Heap) -> Result<(), String> {
        if self.text_ids {
            let ids = ids.as_string::<i32>();
            for (record, &row) in slots.each().zip(taken) {
                record[..8].copy_from_slice(&heap.add(ids.value(row as usize))?.to_le_bytes());
            }
        } else {
            let ids = ids.as_primitive::<Int64Type>().values();
            for (record, &row) in slots.each().zip(taken) {
                record[..8].copy_from_slice(&ids[row as usize].to_le_bytes());
            }
        }
        Ok(())
    }

    /// Writes the columns of the rows `taken` of a batch of this schema.
    pub fn put_columns(&self, batch: &RecordBatch, taken: &[u32], slots: &mut Slots, heap: &mut Heap) -> Result<(), String> {
        for (i, column) in batch.columns().iter().enumerate() {
            let at = self.offsets[i];
            macro_rules! numbers {
                ($($kind:ty),*) => { match column.data_type() {
                    $(t if *t == <$kind>::DATA_TYPE => put_numbers::<$kind>(column, taken, slots, at),)*
                    DataType::Boolean => {
                        let values = column.as_boolean();
                        for (record, &row) in slots.each().zip(taken) {
                            record[at] = u8::from(values.value(row as usize));
                        }
                    }
                    _ => {
                        let values = column.as_string::<i32>();
                        for (record, &row) in slots.each().zip(taken) {
                            let known = if values.is_null(row as usize) { "" } else { values.value(row as usize) };
                            record[at..at + 8].copy_from_slice(&heap.intern(i, known)?.to_le_bytes());
                        }
                    }
                } };
            }
            numbers!(
                Int8Type,
                Int16Type,
                Int32Type,
                Int64Type,
                UInt8Type,
                UInt16Type,
                UInt32Type,
                UInt64Type,
                Float32Type,
                Float64Type
            );
            if let (Some(nulls), Some(missing)) = (self.nulls, column.logical_nulls()) {
                for (record, &row) in slots.each().zip(taken) {
                    record[nulls + i / 8] |= u8::from(missing.is_null(row as usize)) << (i % 8);
                }
            }
        }
        Ok(())
    }

    /// The columns of rows, each given as its bytes.
    pub fn read<'a>(&self, rows: impl Iterator<Item = &'a [u8]> + Clone, heap: &[u8]) -> RecordBatch {
        let count = rows.clone().count();
        let column = |i: usize| -> ArrayRef {
            let at = self.offsets[i];
            let nulls = self.nulls.filter(|_| self.schema.field(i).is_nullable());
            let missing = |row: &[u8]| nulls.is_some_and(|n| row[n + i / 8] >> (i % 8) & 1 == 1);
            macro_rules! kinds {
                ($($kind:ty),*) => { match self.schema.field(i).data_type() {
                    $(t if *t == <$kind>::DATA_TYPE => {
                        let mut out = PrimitiveBuilder::<$kind>::with_capacity(count);
                        for row in rows.clone() {
                            let value = <<$kind as ArrowPrimitiveType>::Native>::from_le_bytes(part(row, at));
                            out.append_option((!missing(row)).then_some(value));
                        }
                        Arc::new(out.finish())
                    })*
                    DataType::Boolean => {
                        let mut out = BooleanBuilder::with_capacity(count);
                        rows.clone().for_each(|row| out.append_option((!missing(row)).then_some(row[at] != 0)));
                        Arc::new(out.finish())
                    }
                    _ => {
                        let mut out = StringBuilder::new();
                        for row in rows.clone() {
                            let text = text(heap, u64::from_le_bytes(part(row, at)));
                            out.append_option((!missing(row)).then_some(text));
                        }
                        Arc::new(out.finish())
                    }
                } };
            }
            kinds!(
                Int8Type,
                Int16Type,
                Int32Type,
                Int64Type,
                UInt8Type,
                UInt16Type,
                UInt32Type,
                UInt64Type,
                Float32Type,
                Float64Type
            )
        };
        let columns = (0..self.offsets.len()).map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .expect("each column has the type and the length that were asked for, and misses values only where it may")
    }
}

fn put_numbers<T: ArrowPrimitiveType>(column: &ArrayRef, taken: &[u32], slots: &mut Slots, at: usize) {
    let values = column.as_primitive::<T>().values();
    for (record, &row) in slots.each().zip(taken) {
        let bytes = &values[row as usize..=row as usize];
        record[at..at + size_of::<T::Native>()].copy_from_slice(bytes.to_byte_slice());
    }
}

/// Right ascension and declination (degrees) of a row of the payload; NaN where it ends too early.
#[inline(always)]
pub(super) fn position(payload: &[u8], row: usize, stride: usize) -> (f64, f64) {
    let at = row * stride;
    match payload.get(at + 8..at + FIXED) {
        Some(bytes) => (f64::from_le_bytes(part(bytes, 0)), f64::from_le_bytes(part(bytes, 8))),
        None => (f64::NAN, f64::NAN),
    }
}

/// Writes the exact position into a row of the payload.
pub(super) fn put_position(record: &mut [u8], ra: f64, dec: f64) {
    record[8..16].copy_from_slice(&ra.to_le_bytes());
    record[16..24].copy_from_slice(&dec.to_le_bytes());
}
