//! Columns under construction, cell by cell: what the row-wise formats (texts, VOTable) fill.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::DataType;

/// A column of one of the types that a table can have.
pub(super) enum Cells {
    Bool(BooleanBuilder),
    I8(PrimitiveBuilder<Int8Type>),
    I16(PrimitiveBuilder<Int16Type>),
    I32(PrimitiveBuilder<Int32Type>),
    I64(PrimitiveBuilder<Int64Type>),
    U8(PrimitiveBuilder<UInt8Type>),
    U16(PrimitiveBuilder<UInt16Type>),
    U32(PrimitiveBuilder<UInt32Type>),
    U64(PrimitiveBuilder<UInt64Type>),
    F32(PrimitiveBuilder<Float32Type>),
    F64(PrimitiveBuilder<Float64Type>),
    Text(StringBuilder),
}

/// Does the same with the builder of each type.
macro_rules! each {
    ($cells:expr, $builder:ident => $what:expr) => {
        match $cells {
            Cells::Bool($builder) => $what,
            Cells::I8($builder) => $what,
            Cells::I16($builder) => $what,
            Cells::I32($builder) => $what,
            Cells::I64($builder) => $what,
            Cells::U8($builder) => $what,
            Cells::U16($builder) => $what,
            Cells::U32($builder) => $what,
            Cells::U64($builder) => $what,
            Cells::F32($builder) => $what,
            Cells::F64($builder) => $what,
            Cells::Text($builder) => $what,
        }
    };
}

impl Cells {
    /// An empty column; types other than those above are texts.
    pub fn new(kind: &DataType) -> Cells {
        match kind {
            DataType::Boolean => Cells::Bool(BooleanBuilder::new()),
            DataType::Int8 => Cells::I8(PrimitiveBuilder::new()),
            DataType::Int16 => Cells::I16(PrimitiveBuilder::new()),
            DataType::Int32 => Cells::I32(PrimitiveBuilder::new()),
            DataType::Int64 => Cells::I64(PrimitiveBuilder::new()),
            DataType::UInt8 => Cells::U8(PrimitiveBuilder::new()),
            DataType::UInt16 => Cells::U16(PrimitiveBuilder::new()),
            DataType::UInt32 => Cells::U32(PrimitiveBuilder::new()),
            DataType::UInt64 => Cells::U64(PrimitiveBuilder::new()),
            DataType::Float32 => Cells::F32(PrimitiveBuilder::new()),
            DataType::Float64 => Cells::F64(PrimitiveBuilder::new()),
            _ => Cells::Text(StringBuilder::new()),
        }
    }

    pub fn null(&mut self) {
        each!(self, builder => builder.append_null());
    }

    /// Appends a cell as it is written; `false`, with nothing appended, when it is not of the column's type.
    #[must_use]
    pub fn parse(&mut self, text: &str) -> bool {
        macro_rules! number {
            ($builder:expr, $parsed:expr) => {
                match $parsed {
                    Some(value) => $builder.append_value(value),
                    None => return false,
                }
            };
        }
        match self {
            Cells::Bool(builder) => number!(builder, truth(text)),
            Cells::I8(builder) => number!(builder, whole(text).and_then(|v| v.try_into().ok())),
            Cells::I16(builder) => number!(builder, whole(text).and_then(|v| v.try_into().ok())),
            Cells::I32(builder) => number!(builder, whole(text).and_then(|v| v.try_into().ok())),
            Cells::I64(builder) => number!(builder, whole(text)),
            Cells::U8(builder) => number!(builder, whole(text).and_then(|v| v.try_into().ok())),
            Cells::U16(builder) => number!(builder, whole(text).and_then(|v| v.try_into().ok())),
            Cells::U32(builder) => number!(builder, whole(text).and_then(|v| v.try_into().ok())),
            Cells::U64(builder) => number!(builder, text.parse().ok()),
            Cells::F32(builder) => number!(builder, text.parse().ok().or_else(|| fortran(text).map(|v| v as f32))),
            Cells::F64(builder) => number!(builder, text.parse().ok().or_else(|| fortran(text))),
            Cells::Text(builder) => builder.append_value(text),
        }
        true
    }

    pub fn finish(&mut self) -> ArrayRef {
        each!(self, builder => Arc::new(builder.finish()))
    }
}

/// `true` and `false` as tables write them.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "T" | "t" | "1" => Some(true),
        "false" | "False" | "FALSE" | "F" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number, also as VOTable's hexadecimal.
fn whole(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => i64::from_str_radix(text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?, 16).ok(),
    }
}

/// A number whose exponent is written as Fortran does: `1.5D+3`.
fn fortran(text: &str) -> Option<f64> {
    let at = text.find(['d', 'D'])?;
    let (mantissa, exponent) = (&text[..at], &text[at + 1..]);
    format!("{mantissa}e{exponent}").parse().ok()
}

/// What a cell of this type is called in messages.
pub(super) fn called(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "true or false",
        DataType::Float32 | DataType::Float64 => "a number",
        kind if kind.is_integer() => "a whole number of the column's range",
        _ => "a text",
    }
}

/// A value that can be shown: short, on one line.
pub(super) fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(&value[..value.len().min(4 * LONGEST)]);
    let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().count() > LONGEST || value.len() > 4 * LONGEST {
        short.push_str("...");
    }
    short
}
