//! A bound expression and its evaluation, column by column.

use std::borrow::Cow;

use arrow_arith::boolean::{and_kleene, not, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, Scalar as ArrowScalar};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType};

use super::compute::{self, Column, Operand, Scalar};
use super::error::FilterError;
use super::like::Pattern;
use super::path::{Input, Slot};
use super::tree::{Comparison, Operator};

/// An expression tied to a schema: fields are found, types are checked.
#[derive(Clone, Debug)]
pub struct Bound {
    pub(super) root: Condition,
    pub(super) floats: Vec<Slot>,
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Constant(Option<bool>),
    Column(Slot),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    NumberIs(Comparison, Scalar, Number),
    Numbers(Comparison, Number, Number),
    TextIs(Comparison, ArrowScalar<ArrayRef>, Slot),
    Texts(Comparison, Slot, Slot),
    Same(Box<Condition>, Box<Condition>),
    InInts(Number, Vec<i64>, bool),
    InFloats(Number, Vec<f64>, bool),
    InTexts(Slot, Vec<String>, bool),
    Missing(Box<Value>),
    Is(Box<Condition>, Option<bool>),
    Like(Slot, Pattern),
}

#[derive(Clone, Debug)]
pub(super) enum Number {
    Column(Slot),
    Literal(Scalar),
    Arithmetic(Operator, Box<Number>, Box<Number>),
    Negate(Box<Number>),
    Abs(Box<Number>),
}

#[derive(Clone, Debug)]
pub(super) enum Text {
    Column(Slot),
    Literal(String),
}

/// Any value. `Other` is what has no comparison: arrays, records, bytes, times.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Condition(Box<Condition>),
    Number(Number),
    Text(Text),
    Other(Slot),
    Null,
}

/// How precise a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Integer,
    Single,
    Double,
}

impl Number {
    pub fn precision(&self) -> Precision {
        match self {
            Number::Column(slot) => match slot.data_type {
                DataType::Float32 => Precision::Single,
                DataType::Float64 => Precision::Double,
                _ => Precision::Integer,
            },
            Number::Literal(Scalar::Int(_)) => Precision::Integer,
            Number::Literal(Scalar::Float(_)) | Number::Arithmetic(Operator::Divide, ..) => Precision::Double,
            Number::Arithmetic(_, a, b) if a.precision() == Precision::Integer && b.precision() == Precision::Integer => {
                Precision::Integer
            }
            Number::Arithmetic(..) => Precision::Double,
            Number::Negate(x) | Number::Abs(x) => x.precision(),
        }
    }

    fn evaluate<'a>(&self, input: Input<'a>) -> Result<Operand<'a>, FilterError> {
        Ok(match self {
            Number::Literal(scalar) => Operand::Scalar(*scalar),
            Number::Column(slot) => {
                let read = slot.read(input)?;
                Operand::Column(compute::widen(read.array, read.nulls)?)
            }
            Number::Arithmetic(op, a, b) => {
                Operand::Column(compute::combine(*op, a.evaluate(input)?, b.evaluate(input)?, input.records.num_rows()))
            }
            Number::Negate(x) => Operand::Column(compute::map(x.column(input)?, i64::checked_neg, |f| -f)),
            Number::Abs(x) => Operand::Column(compute::map(x.column(input)?, i64::checked_abs, f64::abs)),
        })
    }

    fn column<'a>(&self, input: Input<'a>) -> Result<Column<'a>, FilterError> {
        Ok(match self.evaluate(input)? {
            Operand::Column(column) => column,
            Operand::Scalar(scalar) => Column::filled(scalar, input.records.num_rows()),
        })
    }
}

impl Value {
    pub fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Value::Condition(_) => "true or false",
            Value::Text(_) => "text",
            Value::Null => "null",
            Value::Number(n) if n.precision() == Precision::Integer => "an integer",
            Value::Number(_) => "a float",
            Value::Other(slot) => match &slot.data_type {
                DataType::Struct(_) => "a record",
                DataType::Map(..) => "a map",
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytes",
                t if t.is_temporal() => "a time",
                t if t.is_nested() => "an array",
                t => return Cow::Owned(format!("of type {t}")),
            },
        })
    }
}

impl Bound {
    /// The mask: true, false, or null where it is unknown. One entry per row.
    ///
    /// # Errors
    /// When the batch has another schema than the one bound to.
    pub fn evaluate(&self, records: &RecordBatch, annotations: &[ArrayRef]) -> Result<BooleanArray, FilterError> {
        self.root.evaluate(Input { records, annotations })
    }

    /// Rows where one of the fields that the expression reads is NaN; `None` when there is no such row.
    ///
    /// # Errors
    /// As [`Bound::evaluate`].
    pub fn nans(&self, records: &RecordBatch, annotations: &[ArrayRef]) -> Result<Option<BooleanBuffer>, FilterError> {
        let input = Input { records, annotations };
        let mut found: Option<BooleanBuffer> = None;
        for slot in &self.floats {
            let read = slot.read(input)?;
            let Some(mut nans) = compute::nans(read.array) else { continue };
            if let Some(nulls) = &read.nulls {
                nans = &nans & nulls.inner();
            }
            found = Some(match found {
                Some(others) => &others | &nans,
                None => nans,
            });
        }
        Ok(found)
    }
}

impl Condition {
    fn evaluate(&self, input: Input<'_>) -> Result<BooleanArray, FilterError> {
        let rows = input.records.num_rows();
        match self {
            Condition::Constant(value) => Ok(constant(*value, rows)),
            Condition::Column(slot) => {
                let read = slot.read(input)?;
                Ok(BooleanArray::new(read.array.as_boolean().values().clone(), read.nulls))
            }
            Condition::Not(x) => Ok(not(&x.evaluate(input)?)?),
            Condition::All(items) => fold(items, input, true, and_kleene),
            Condition::Any(items) => fold(items, input, false, or_kleene),
            Condition::NumberIs(op, literal, Number::Column(slot)) => {
                let read = slot.read(input)?;
                Ok(BooleanArray::new(compute::against(*op, read.array, *literal)?, read.nulls))
            }
            Condition::NumberIs(op, literal, number) => {
                let column = number.column(input)?;
                Ok(BooleanArray::new(compute::column_against(*op, &column.values, *literal), column.nulls))
            }
            Condition::Numbers(op, a, b) => Ok(compute::compare(*op, &a.column(input)?, &b.column(input)?)),
            Condition::TextIs(op, literal, slot) => {
                let read = slot.read(input)?;
                let mask = text_kernel(*op)(read.array, literal)?;
                Ok(BooleanArray::new(mask.values().clone(), read.nulls))
            }
            Condition::Texts(op, a, b) => {
                let (a, b) = (a.read(input)?, b.read(input)?);
                let nulls = NullBuffer::union(a.nulls.as_ref(), b.nulls.as_ref());
                let view = |x: &ArrayRef| arrow_cast::cast(x, &DataType::Utf8View);
                let mask = text_kernel(*op)(&view(a.array)?, &view(b.array)?)?;
                Ok(BooleanArray::new(mask.values().clone(), nulls))
            }
            Condition::Same(a, b) => {
                let (a, b) = (a.evaluate(input)?, b.evaluate(input)?);
                let nulls = NullBuffer::union(a.nulls(), b.nulls());
                Ok(BooleanArray::new(!&(a.values() ^ b.values()), nulls))
            }
            Condition::InInts(number, list, unknown) => {
                let column = number.column(input)?;
                let found = column.test_ints(|v| list.binary_search(&v).is_ok());
                Ok(contained(found, column.nulls, *unknown))
            }
            Condition::InFloats(number, list, unknown) => {
                let column = number.column(input)?;
                let found = column.test_floats(|v| list.binary_search_by(|x| x.total_cmp(&(v + 0.0))).is_ok());
                Ok(contained(found, column.nulls, *unknown))
            }
            Condition::InTexts(slot, list, unknown) => {
                let read = slot.read(input)?;
                let found = test_text(read.array, &|t| list.binary_search_by(|x| x.as_str().cmp(t)).is_ok())?;
                Ok(contained(found, read.nulls, *unknown))
            }
            Condition::Like(slot, pattern) => {
                let read = slot.read(input)?;
                Ok(BooleanArray::new(test_text(read.array, &|t| pattern.matches(t))?, read.nulls))
            }
            Condition::Is(x, truth) => {
                let x = x.evaluate(input)?;
                let known = x.nulls().map(NullBuffer::inner);
                let is = match (truth, known) {
                    (None, None) => BooleanBuffer::new_unset(rows),
                    (None, Some(known)) => !known,
                    (Some(true), None) => x.values().clone(),
                    (Some(true), Some(known)) => x.values() & known,
                    (Some(false), None) => !x.values(),
                    (Some(false), Some(known)) => &!x.values() & known,
                };
                Ok(BooleanArray::new(is, None))
            }
            Condition::Missing(value) => {
                let nulls = match &**value {
                    Value::Null => return Ok(constant(Some(true), rows)),
                    Value::Text(Text::Literal(_)) => None,
                    Value::Text(Text::Column(slot)) | Value::Other(slot) => slot.read(input)?.nulls,
                    Value::Condition(c) => c.evaluate(input)?.nulls().cloned(),
                    Value::Number(Number::Column(slot)) => slot.read(input)?.nulls,
                    Value::Number(n) => n.column(input)?.nulls,
                };
                Ok(BooleanArray::new(nulls.map_or_else(|| BooleanBuffer::new_unset(rows), |n| !n.inner()), None))
            }
        }
    }
}

type Kernel = fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>;

/// Stops as soon as every row is decided: all false under AND, all true under OR.
fn fold(items: &[Condition], input: Input<'_>, neutral: bool, kernel: Kernel) -> Result<BooleanArray, FilterError> {
    let mut all: Option<BooleanArray> = None;
    for item in items {
        let next = item.evaluate(input)?;
        let joined = match all {
            Some(before) => kernel(&before, &next)?,
            None => next,
        };
        let undecided = if neutral { joined.values().has_true() } else { joined.values().has_false() };
        if joined.null_count() == 0 && !undecided {
            return Ok(joined);
        }
        all = Some(joined);
    }
    Ok(all.unwrap_or_else(|| constant(Some(neutral), input.records.num_rows())))
}

fn constant(value: Option<bool>, rows: usize) -> BooleanArray {
    match value {
        Some(true) => BooleanArray::new(BooleanBuffer::new_set(rows), None),
        Some(false) => BooleanArray::new(BooleanBuffer::new_unset(rows), None),
        None => BooleanArray::new_null(rows),
    }
}

/// Membership in a list; with a null in the list, what is not found is unknown.
fn contained(found: BooleanBuffer, nulls: Option<NullBuffer>, unknown: bool) -> BooleanArray {
    let nulls = if unknown { NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(found.clone()))) } else { nulls };
    BooleanArray::new(found, nulls)
}

fn text_kernel(op: Comparison) -> fn(&dyn arrow_array::Datum, &dyn arrow_array::Datum) -> Result<BooleanArray, ArrowError> {
    match op {
        Comparison::Eq => cmp::eq,
        Comparison::Ne => cmp::neq,
        Comparison::Lt => cmp::lt,
        Comparison::Le => cmp::lt_eq,
        Comparison::Gt => cmp::gt,
        Comparison::Ge => cmp::gt_eq,
    }
}

/// `test` on each text; what it says of null entries means nothing.
fn test_text(array: &dyn Array, test: &dyn Fn(&str) -> bool) -> Result<BooleanBuffer, FilterError> {
    let rows = array.len();
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let values = test_text(dictionary.values(), test)?;
        let keys = dictionary.normalized_keys();
        return Ok(BooleanBuffer::collect_bool(rows, |i| keys[i] < values.len() && values.value(keys[i])));
    }
    if let Some(a) = array.as_string_view_opt() {
        return Ok(BooleanBuffer::collect_bool(rows, |i| test(a.value(i))));
    }
    if let Some(a) = array.as_string_opt::<i32>() {
        return Ok(BooleanBuffer::collect_bool(rows, |i| test(a.value(i))));
    }
    if let Some(a) = array.as_string_opt::<i64>() {
        return Ok(BooleanBuffer::collect_bool(rows, |i| test(a.value(i))));
    }
    Err(FilterError::Kernel(format!("{} is not text", array.data_type())))
}
