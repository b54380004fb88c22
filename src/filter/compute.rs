//! Loops over numbers: what makes a cut fast. Each works on a whole column and makes a bitmap or a column.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, BooleanArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::DataType;

use super::error::FilterError;
use super::tree::{Comparison, Operator};

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Int(i64),
    Float(f64),
}

impl Scalar {
    #[allow(clippy::cast_precision_loss, reason = "integers compare with floats as 64-bit floats")]
    pub fn as_float(self) -> f64 {
        match self {
            Scalar::Int(i) => i as f64,
            Scalar::Float(f) => f,
        }
    }

    pub fn as_int(self) -> Option<i64> {
        match self {
            Scalar::Int(i) => Some(i),
            Scalar::Float(_) => None,
        }
    }
}

/// Numbers of all rows. Values under a null mean nothing.
#[derive(Clone, Debug)]
pub(super) struct Column<'a> {
    pub values: Values<'a>,
    pub nulls: Option<NullBuffer>,
}

#[derive(Clone, Debug)]
pub(super) enum Values<'a> {
    Int(Cow<'a, [i64]>),
    Float(Cow<'a, [f64]>),
}

/// A column or one number for all rows.
#[derive(Clone, Debug)]
pub(super) enum Operand<'a> {
    Scalar(Scalar),
    Column(Column<'a>),
}

impl Column<'_> {
    pub fn filled(scalar: Scalar, rows: usize) -> Self {
        let values = match scalar {
            Scalar::Int(i) => Values::Int(Cow::Owned(vec![i; rows])),
            Scalar::Float(f) => Values::Float(Cow::Owned(vec![f; rows])),
        };
        Column { values, nulls: None }
    }

    /// `test` on each integer; floats fail.
    pub fn test_ints(&self, test: impl Fn(i64) -> bool) -> BooleanBuffer {
        match &self.values {
            Values::Int(v) => pack(v, |x| test(*x)),
            Values::Float(v) => BooleanBuffer::new_unset(v.len()),
        }
    }

    /// `test` on each number as a float.
    pub fn test_floats(&self, test: impl Fn(f64) -> bool) -> BooleanBuffer {
        match &self.values {
            Values::Int(v) => pack(v, |x| test(Scalar::Int(*x).as_float())),
            Values::Float(v) => pack(v, |x| test(*x)),
        }
    }
}

/// Whether the type is an integer that fits 64 bits with its sign.
pub(super) fn is_integer(data_type: &DataType) -> bool {
    data_type.is_signed_integer() || matches!(data_type, DataType::UInt8 | DataType::UInt16 | DataType::UInt32)
}

/// A bitmap of `test` on each value, 64 at a time.
#[inline]
fn pack<T>(values: &[T], test: impl Fn(&T) -> bool) -> BooleanBuffer {
    let mut words = Vec::with_capacity(values.len().div_ceil(64));
    let mut chunks = values.chunks_exact(64);
    for chunk in &mut chunks {
        // In two loops, so that the first becomes vector instructions.
        let mut bytes = [0u8; 64];
        for (byte, value) in bytes.iter_mut().zip(chunk) {
            *byte = u8::from(test(value));
        }
        let (eights, _) = bytes.as_chunks::<8>();
        let mut word = 0u64;
        for (lane, eight) in eights.iter().enumerate() {
            // Eight bytes of 0 or 1; the product gathers them in its highest byte, the first lowest.
            word |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * lane);
        }
        words.push(word.to_le());
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let word = rest.iter().enumerate().fold(0u64, |word, (i, value)| word | u64::from(test(value)) << i);
        words.push(word.to_le());
    }
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

#[inline]
fn pack_against<T: Copy, W: PartialOrd + Copy>(
    op: Comparison,
    values: &[T],
    literal: W,
    widen: impl Fn(T) -> W,
) -> BooleanBuffer {
    match op {
        Comparison::Eq => pack(values, |v| widen(*v) == literal),
        // Not `!=`, which NaN would pass.
        Comparison::Ne => pack(values, |v| (widen(*v) < literal) | (widen(*v) > literal)),
        Comparison::Lt => pack(values, |v| widen(*v) < literal),
        Comparison::Le => pack(values, |v| widen(*v) <= literal),
        Comparison::Gt => pack(values, |v| widen(*v) > literal),
        Comparison::Ge => pack(values, |v| widen(*v) >= literal),
    }
}

/// A column compared with a literal, without copying it.
pub(super) fn against(op: Comparison, array: &dyn Array, literal: Scalar) -> Result<BooleanBuffer, FilterError> {
    Ok(match (array.data_type(), literal) {
        (DataType::Int32, Scalar::Int(l)) => {
            let values = array.as_primitive::<Int32Type>().values();
            match i32::try_from(l) {
                Ok(l) => pack_against(op, values, l, |v| v),
                Err(_) => pack_against(op, values, l, i64::from),
            }
        }
        (DataType::Int32, Scalar::Float(l)) => pack_against(op, array.as_primitive::<Int32Type>().values(), l, f64::from),
        (DataType::Int64, Scalar::Int(l)) => pack_against(op, array.as_primitive::<Int64Type>().values(), l, |v| v),
        (DataType::Int64, Scalar::Float(l)) => {
            pack_against(op, array.as_primitive::<Int64Type>().values(), l, |v| Scalar::Int(v).as_float())
        }
        (DataType::Float32, l) => {
            let values = array.as_primitive::<Float32Type>().values();
            let wide = l.as_float();
            #[allow(clippy::cast_possible_truncation, reason = "used only where nothing is lost")]
            let narrow = wide as f32;
            if f64::from(narrow) == wide {
                pack_against(op, values, narrow, |v| v)
            } else {
                pack_against(op, values, wide, f64::from)
            }
        }
        (DataType::Float64, l) => pack_against(op, array.as_primitive::<Float64Type>().values(), l.as_float(), |v| v),
        _ => {
            let wide = arrow_cast::cast(array, &DataType::Int64)?;
            against(op, &wide, literal)?
        }
    })
}

/// A numeric column in 64 bits.
pub(super) fn widen(array: &dyn Array, nulls: Option<NullBuffer>) -> Result<Column<'_>, FilterError> {
    let values = match array.data_type() {
        DataType::Float64 => Values::Float(Cow::Borrowed(array.as_primitive::<Float64Type>().values())),
        DataType::Float32 => Values::Float(array.as_primitive::<Float32Type>().values().iter().copied().map(f64::from).collect()),
        DataType::Int64 => Values::Int(Cow::Borrowed(array.as_primitive::<Int64Type>().values())),
        DataType::Int32 => Values::Int(array.as_primitive::<Int32Type>().values().iter().copied().map(i64::from).collect()),
        _ => {
            let wide = arrow_cast::cast(array, &DataType::Int64)?;
            Values::Int(Cow::Owned(wide.as_primitive::<Int64Type>().values().to_vec()))
        }
    };
    Ok(Column { values, nulls })
}

/// Two columns compared row by row.
pub(super) fn compare(op: Comparison, left: &Column<'_>, right: &Column<'_>) -> BooleanArray {
    fn each<T: PartialOrd>(op: Comparison, a: &[T], b: &[T]) -> BooleanBuffer {
        BooleanBuffer::collect_bool(a.len(), |i| ordered(op, &a[i], &b[i]))
    }
    let values = match (&left.values, &right.values) {
        (Values::Int(a), Values::Int(b)) => each(op, a, b),
        (a, b) => each(op, &floats(a), &floats(b)),
    };
    BooleanArray::new(values, NullBuffer::union(left.nulls.as_ref(), right.nulls.as_ref()))
}

/// A widened column compared with a literal.
pub(super) fn column_against(op: Comparison, values: &Values<'_>, literal: Scalar) -> BooleanBuffer {
    match (values, literal) {
        (Values::Int(v), Scalar::Int(l)) => pack_against(op, v, l, |v| v),
        (Values::Int(v), Scalar::Float(l)) => pack_against(op, v, l, |v| Scalar::Int(v).as_float()),
        (Values::Float(v), l) => pack_against(op, v, l.as_float(), |v| v),
    }
}

fn floats<'v>(values: &'v Values<'_>) -> Cow<'v, [f64]> {
    match values {
        Values::Int(v) => v.iter().map(|i| Scalar::Int(*i).as_float()).collect(),
        Values::Float(v) => Cow::Borrowed(v),
    }
}

/// Whether a comparison of two values holds; false where they have no order (NaN).
#[allow(clippy::double_comparisons, reason = "`!=` would hold for NaN")]
pub(super) fn ordered<T: PartialOrd + ?Sized>(op: Comparison, a: &T, b: &T) -> bool {
    match op {
        Comparison::Eq => a == b,
        Comparison::Ne => a < b || a > b,
        Comparison::Lt => a < b,
        Comparison::Le => a <= b,
        Comparison::Gt => a > b,
        Comparison::Ge => a >= b,
    }
}

/// Whether a comparison of two numbers holds.
pub(super) fn holds(op: Comparison, a: Scalar, b: Scalar) -> bool {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => ordered(op, &a, &b),
        (a, b) => ordered(op, &a.as_float(), &b.as_float()),
    }
}

fn on_ints(op: Operator, a: i64, b: i64) -> Option<i64> {
    match op {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        // Division is done on floats; it never comes here.
        Operator::Divide => None,
        Operator::Remainder => a.checked_rem(b),
    }
}

fn on_floats(op: Operator, a: f64, b: f64) -> Option<f64> {
    match op {
        Operator::Add => Some(a + b),
        Operator::Subtract => Some(a - b),
        Operator::Multiply => Some(a * b),
        Operator::Divide => (b != 0.0).then(|| a / b),
        Operator::Remainder => (b != 0.0).then(|| a % b),
    }
}

/// Arithmetic on two numbers; `None` is null (division by zero, overflow of integers).
pub(super) fn apply(op: Operator, a: Scalar, b: Scalar) -> Option<Scalar> {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) if op != Operator::Divide => on_ints(op, a, b).map(Scalar::Int),
        (a, b) => on_floats(op, a.as_float(), b.as_float()).map(Scalar::Float),
    }
}

/// The number with its sign changed; `None` where that overflows.
pub(super) fn negate(a: Scalar) -> Option<Scalar> {
    match a {
        Scalar::Int(i) => i.checked_neg().map(Scalar::Int),
        Scalar::Float(f) => Some(Scalar::Float(-f)),
    }
}

/// The number without its sign; `None` where that overflows.
pub(super) fn abs(a: Scalar) -> Option<Scalar> {
    match a {
        Scalar::Int(i) => i.checked_abs().map(Scalar::Int),
        Scalar::Float(f) => Some(Scalar::Float(f.abs())),
    }
}

enum Side<'v, T> {
    One(T),
    Many(&'v [T]),
}

impl<T: Copy> Side<'_, T> {
    #[inline]
    fn at(&self, row: usize) -> T {
        match self {
            Side::One(x) => *x,
            Side::Many(all) => all[row],
        }
    }
}

/// `f` on each row; rows where it has no answer are null.
fn rows_of<T: Default>(rows: usize, nulls: Option<NullBuffer>, f: impl Fn(usize) -> Option<T>) -> (Vec<T>, Option<NullBuffer>) {
    let mut missing = Vec::new();
    let values = (0..rows)
        .map(|row| {
            f(row).unwrap_or_else(|| {
                missing.push(row);
                T::default()
            })
        })
        .collect();
    if missing.is_empty() {
        return (values, nulls);
    }
    let mut valid = vec![true; rows];
    for row in missing {
        valid[row] = false;
    }
    (values, NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::from(valid))))
}

/// Arithmetic on two operands.
pub(super) fn combine(op: Operator, left: Operand<'_>, right: Operand<'_>, rows: usize) -> Column<'static> {
    let nulls_of = |o: &Operand<'_>| match o {
        Operand::Scalar(_) => None,
        Operand::Column(c) => c.nulls.clone(),
    };
    let nulls = NullBuffer::union(nulls_of(&left).as_ref(), nulls_of(&right).as_ref());
    if op != Operator::Divide
        && let (Some(a), Some(b)) = (int_side(&left), int_side(&right))
    {
        let (values, nulls) = rows_of(rows, nulls, |i| on_ints(op, a.at(i), b.at(i)));
        return Column { values: Values::Int(Cow::Owned(values)), nulls };
    }
    let (x, y) = (float_values(&left), float_values(&right));
    let (a, b) = (float_side(&left, &x), float_side(&right, &y));
    let (values, nulls) = rows_of(rows, nulls, |i| on_floats(op, a.at(i), b.at(i)));
    Column { values: Values::Float(Cow::Owned(values)), nulls }
}

fn int_side<'v>(operand: &'v Operand<'_>) -> Option<Side<'v, i64>> {
    match operand {
        Operand::Scalar(Scalar::Int(i)) => Some(Side::One(*i)),
        Operand::Column(Column { values: Values::Int(v), .. }) => Some(Side::Many(v)),
        _ => None,
    }
}

fn float_values<'v>(operand: &'v Operand<'_>) -> Cow<'v, [f64]> {
    match operand {
        Operand::Scalar(_) => Cow::Borrowed(&[]),
        Operand::Column(c) => floats(&c.values),
    }
}

fn float_side<'v>(operand: &Operand<'_>, values: &'v [f64]) -> Side<'v, f64> {
    match operand {
        Operand::Scalar(s) => Side::One(s.as_float()),
        Operand::Column(_) => Side::Many(values),
    }
}

/// `int` or `float` on each row; null where `int` has no answer.
pub(super) fn map(column: Column<'_>, int: fn(i64) -> Option<i64>, float: impl Fn(f64) -> f64) -> Column<'static> {
    match column.values {
        Values::Int(v) => {
            let (values, nulls) = rows_of(v.len(), column.nulls, |i| int(v[i]));
            Column { values: Values::Int(Cow::Owned(values)), nulls }
        }
        Values::Float(v) => {
            let mut values = v.into_owned();
            values.iter_mut().for_each(|x| *x = float(*x));
            Column { values: Values::Float(Cow::Owned(values)), nulls: column.nulls }
        }
    }
}

/// Which values are NaN; `None` when the column is not of floats or has none.
pub(super) fn nans(array: &dyn Array) -> Option<BooleanBuffer> {
    let found = match array.data_type() {
        DataType::Float32 => pack(array.as_primitive::<Float32Type>().values(), |v| v.is_nan()),
        DataType::Float64 => pack(array.as_primitive::<Float64Type>().values(), |v| v.is_nan()),
        _ => return None,
    };
    found.has_true().then_some(found)
}
