//! Columns of a binary table: what TFORM says, and big-endian bytes into arrow arrays, column by column.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use arrow_schema::DataType;

use super::header::Cards;

/// A column with one value in each row.
#[derive(Clone, Debug)]
pub struct Cell {
    offset: usize,
    kind: Raw,
    /// Value as stored that means "none" (TNULL).
    null: Option<i64>,
    /// TSCAL and TZERO, where they make a real number of what is stored.
    scale: Option<(f64, f64)>,
}

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raw {
    Logical,
    Bit,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Text(usize),
}

/// A readable cell with its type, or why it is none.
type Found = Result<(Cell, DataType), String>;

/// Reads TFORM and what belongs to it: the width in bytes, and the cell.
///
/// # Errors
/// When the form is none of the standard: the width of the rows is not known then.
pub fn cell(cards: &Cards, n: u64, form: &str, offset: u64) -> Result<(u64, Found), String> {
    let form = form.trim();
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let repeat: u64 = if digits == 0 { 1 } else { form[..digits].parse().map_err(|_| "its count is too large".to_owned())? };
    let letter = form[digits..].chars().next().ok_or("it has no type")?;
    let rest = form[digits..].get(letter.len_utf8()..).unwrap_or_default().trim();
    let size = match letter {
        'L' | 'B' | 'A' => 1,
        'I' => 2,
        'J' | 'E' => 4,
        'K' | 'D' | 'C' | 'P' => 8,
        'M' | 'Q' => 16,
        'X' => 0,
        other => return Err(format!("`{other}` is no type of a binary table")),
    };
    let width = if letter == 'X' { repeat.div_ceil(8) } else { repeat.checked_mul(size).ok_or("it is too large")? };
    if width > super::WIDEST {
        return Err("it is too large".to_owned());
    }
    let no = |reason: &str| Ok((width, Err(reason.to_owned())));
    let kind = match letter {
        'C' | 'M' => return no("its numbers are complex"),
        'P' | 'Q' => return no("its values are of varying length (stored in the heap)"),
        _ if repeat == 0 => return no("it holds nothing"),
        'A' => {
            let parts = rest.parse::<u64>().is_ok_and(|part| part > 0 && part < repeat);
            let shape = cards.text(&format!("TDIM{n}")).map_or(0, |shape| shape.matches(',').count());
            if parts || shape > 0 {
                return no("it holds several texts in each row");
            }
            Raw::Text(width as usize)
        }
        _ if repeat > 1 => return no(&format!("it holds {repeat} values in each row")),
        'L' => Raw::Logical,
        'X' => Raw::Bit,
        'B' => Raw::Byte,
        'I' => Raw::Short,
        'J' => Raw::Int,
        'K' => Raw::Long,
        'E' => Raw::Float,
        _ => Raw::Double,
    };
    let scale = (cards.number(&format!("TSCAL{n}")).unwrap_or(1.0), cards.number(&format!("TZERO{n}")).unwrap_or(0.0));
    let whole = matches!(kind, Raw::Byte | Raw::Short | Raw::Int | Raw::Long);
    let null = if whole { cards.integer(&format!("TNULL{n}")) } else { None };
    let (data_type, scaled) = match (kind, scale) {
        (Raw::Logical | Raw::Bit, _) => (DataType::Boolean, false),
        (Raw::Text(_), _) => (DataType::Utf8, false),
        (Raw::Byte, (1.0, 0.0)) => (DataType::UInt8, false),
        (Raw::Short, (1.0, 0.0)) => (DataType::Int16, false),
        (Raw::Int, (1.0, 0.0)) => (DataType::Int32, false),
        (Raw::Long, (1.0, 0.0)) => (DataType::Int64, false),
        // The other sign, by the convention of section 5.2.5.
        (Raw::Byte, (1.0, -128.0)) => (DataType::Int8, false),
        (Raw::Short, (1.0, 32_768.0)) => (DataType::UInt16, false),
        (Raw::Int, (1.0, 2_147_483_648.0)) => (DataType::UInt32, false),
        (Raw::Long, (1.0, 9_223_372_036_854_775_808.0)) => (DataType::UInt64, false),
        (Raw::Float, (1.0, 0.0)) => (DataType::Float32, false),
        (Raw::Double, (1.0, 0.0)) => (DataType::Float64, false),
        _ => (DataType::Float64, true),
    };
    let cell = Cell { offset: offset as usize, kind, null, scale: scaled.then_some(scale) };
    Ok((width, Ok((cell, data_type))))
}

impl Cell {
    /// An empty column of these cells.
    pub fn column(&self, data_type: &DataType) -> Filling {
        let values = match (self.kind, data_type) {
            (Raw::Text(_), _) => Values::Text(StringBuilder::new()),
            (_, DataType::Boolean) => Values::Bool(BooleanBuilder::new()),
            (_, DataType::UInt8) => Values::U8(Vec::new()),
            (_, DataType::Int8) => Values::I8(Vec::new()),
            (_, DataType::UInt16) => Values::U16(Vec::new()),
            (_, DataType::Int16) => Values::I16(Vec::new()),
            (_, DataType::UInt32) => Values::U32(Vec::new()),
            (_, DataType::Int32) => Values::I32(Vec::new()),
            (_, DataType::UInt64) => Values::U64(Vec::new()),
            (_, DataType::Int64) => Values::I64(Vec::new()),
            (_, DataType::Float32) => Values::F32(Vec::new()),
            _ => Values::F64(Vec::new()),
        };
        Filling { cell: self.clone(), values, nulls: NullBufferBuilder::new(0) }
    }
}

enum Values {
    Bool(BooleanBuilder),
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Text(StringBuilder),
}

/// A column while its rows are read.
pub struct Filling {
    cell: Cell,
    values: Values,
    nulls: NullBufferBuilder,
}

/// The bytes of the cell in each row.
fn each<const N: usize>(rows: &[u8], width: usize, offset: usize) -> impl Iterator<Item = [u8; N]> {
    rows.chunks_exact(width.max(1)).map(move |row| {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&row[offset..offset + N]);
        bytes
    })
}

impl Filling {
    /// Appends `count` rows of `width` bytes. The columns of a table lie inside its rows: this is looked at when it is opened.
    pub fn take(&mut self, rows: &[u8], width: usize, count: usize) {
        let Cell { offset, kind, null, scale } = self.cell;
        if let Some(null) = null {
            let is = |value: i64| value != null;
            match kind {
                Raw::Byte => each::<1>(rows, width, offset).for_each(|b| self.nulls.append(is(i64::from(b[0])))),
                Raw::Short => {
                    each::<2>(rows, width, offset).for_each(|b| self.nulls.append(is(i64::from(i16::from_be_bytes(b)))));
                }
                Raw::Int => {
                    each::<4>(rows, width, offset).for_each(|b| self.nulls.append(is(i64::from(i32::from_be_bytes(b)))));
                }
                _ => each::<8>(rows, width, offset).for_each(|b| self.nulls.append(is(i64::from_be_bytes(b)))),
            }
        } else {
            self.nulls.append_n_non_nulls(count);
        }
        match &mut self.values {
            Values::Bool(builder) if kind == Raw::Bit => {
                each::<1>(rows, width, offset).for_each(|b| builder.append_value(b[0] & 0x80 != 0));
            }
            Values::Bool(builder) => each::<1>(rows, width, offset).for_each(|b| match b[0] {
                b'T' => builder.append_value(true),
                b'F' => builder.append_value(false),
                _ => builder.append_null(),
            }),
            Values::U8(values) => values.extend(each::<1>(rows, width, offset).map(|b| b[0])),
            // The sign is turned by turning the highest bit.
            Values::I8(values) => values.extend(each::<1>(rows, width, offset).map(|b| (b[0] ^ 0x80).cast_signed())),
            Values::I16(values) => values.extend(each::<2>(rows, width, offset).map(i16::from_be_bytes)),
            Values::U16(values) => values.extend(each::<2>(rows, width, offset).map(|b| u16::from_be_bytes(b) ^ 1 << 15)),
            Values::I32(values) => values.extend(each::<4>(rows, width, offset).map(i32::from_be_bytes)),
            Values::U32(values) => values.extend(each::<4>(rows, width, offset).map(|b| u32::from_be_bytes(b) ^ 1 << 31)),
            Values::I64(values) => values.extend(each::<8>(rows, width, offset).map(i64::from_be_bytes)),
            Values::U64(values) => values.extend(each::<8>(rows, width, offset).map(|b| u64::from_be_bytes(b) ^ 1 << 63)),
            Values::F32(values) => values.extend(each::<4>(rows, width, offset).map(f32::from_be_bytes)),
            Values::F64(values) => {
                let (factor, zero) = scale.unwrap_or((1.0, 0.0));
                let real = |value: f64| value * factor + zero;
                match kind {
                    Raw::Byte => values.extend(each::<1>(rows, width, offset).map(|b| real(f64::from(b[0])))),
                    Raw::Short => values.extend(each::<2>(rows, width, offset).map(|b| real(f64::from(i16::from_be_bytes(b))))),
                    Raw::Int => values.extend(each::<4>(rows, width, offset).map(|b| real(f64::from(i32::from_be_bytes(b))))),
                    Raw::Long => values.extend(each::<8>(rows, width, offset).map(|b| real(i64::from_be_bytes(b) as f64))),
                    Raw::Float => values.extend(each::<4>(rows, width, offset).map(|b| real(f64::from(f32::from_be_bytes(b))))),
                    _ if scale.is_none() => values.extend(each::<8>(rows, width, offset).map(f64::from_be_bytes)),
                    _ => values.extend(each::<8>(rows, width, offset).map(|b| real(f64::from_be_bytes(b)))),
                }
            }
            Values::Text(builder) => {
                let Raw::Text(length) = kind else { return };
                for row in rows.chunks_exact(width.max(1)) {
                    let bytes = &row[offset..offset + length];
                    let bytes = &bytes[..memchr::memchr(0, bytes).unwrap_or(length)];
                    match std::str::from_utf8(bytes) {
                        Ok(text) => builder.append_value(text.trim_end()),
                        Err(_) => {
                            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
                            builder.append_value(text.trim_end());
                        }
                    }
                }
            }
        }
    }

    pub fn finish(mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        macro_rules! array {
            ($kind:ident, $values:expr) => {
                Arc::new($kind::new(ScalarBuffer::from($values), nulls))
            };
        }
        match self.values {
            Values::Bool(mut builder) => Arc::new(builder.finish()),
            Values::U8(values) => array!(UInt8Array, values),
            Values::I8(values) => array!(Int8Array, values),
            Values::U16(values) => array!(UInt16Array, values),
            Values::I16(values) => array!(Int16Array, values),
            Values::U32(values) => array!(UInt32Array, values),
            Values::I32(values) => array!(Int32Array, values),
            Values::U64(values) => array!(UInt64Array, values),
            Values::I64(values) => array!(Int64Array, values),
            Values::F32(values) => array!(Float32Array, values),
            Values::F64(values) => array!(Float64Array, values),
            Values::Text(mut builder) => Arc::new(builder.finish()),
        }
    }
}
