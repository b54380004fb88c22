//! Tree and schema to a typed, bound expression.

use arrow_array::{ArrayRef, LargeStringArray, Scalar as ArrowScalar, StringArray, StringViewArray};
use arrow_schema::{DataType, FieldRef, Schema};
use std::sync::Arc;

use super::bound::{Bound, Condition, Number, Precision, Text, Value};
use super::compute::{self, Scalar};
use super::error::FilterError;
use super::like::Pattern;
use super::path::Slot;
use super::tree::{Comparison, Kind, Node};

/// Binds the expression whose root is `node`.
pub(super) fn bind(node: &Node, records: &Schema, annotations: &[FieldRef]) -> Result<Bound, FilterError> {
    if let Some(field) = annotations.iter().find(|a| records.column_with_name(a.name()).is_some()) {
        return Err(FilterError::Shadowed { name: field.name().clone() });
    }
    let mut binder = Binder { records, annotations, floats: Vec::new() };
    let root = binder.condition(node)?;
    Ok(Bound { root, floats: binder.floats })
}

struct Binder<'a> {
    records: &'a Schema,
    annotations: &'a [FieldRef],
    floats: Vec<Slot>,
}

impl Binder<'_> {
    fn condition(&mut self, node: &Node) -> Result<Condition, FilterError> {
        match self.value(node)? {
            Value::Condition(c) => Ok(*c),
            Value::Null => Ok(Condition::Constant(None)),
            other => Err(clash(node, &other, "a condition (true or false) is needed here")),
        }
    }

    fn conditions(&mut self, nodes: &[Node]) -> Result<Vec<Condition>, FilterError> {
        nodes.iter().map(|n| self.condition(n)).collect()
    }

    fn number(&mut self, node: &Node) -> Result<Option<Number>, FilterError> {
        match self.value(node)? {
            Value::Number(n) => Ok(Some(n)),
            Value::Null => Ok(None),
            other => Err(clash(node, &other, "a number is needed here")),
        }
    }

    fn value(&mut self, node: &Node) -> Result<Value, FilterError> {
        let condition = |c: Condition| Value::Condition(Box::new(c));
        let number = |n: Option<Number>| n.map_or(Value::Null, Value::Number);
        Ok(match &node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => condition(Condition::Constant(Some(*b))),
            Kind::Int(i) => Value::Number(Number::Literal(Scalar::Int(*i))),
            Kind::Float(f) => Value::Number(Number::Literal(Scalar::Float(*f))),
            Kind::Text(t) => Value::Text(Text::Literal(t.clone())),
            Kind::Path(parts) => self.field(parts, node.at)?,
            Kind::Not(x) => condition(Condition::Not(Box::new(self.condition(x)?))),
            Kind::All(items) => condition(Condition::All(self.conditions(items)?)),
            Kind::Any(items) => condition(Condition::Any(self.conditions(items)?)),
            Kind::Compare(op, x, y) => condition(self.compare(*op, x, y)?),
            Kind::Arithmetic(op, x, y) => match (self.number(x)?, self.number(y)?) {
                (Some(Number::Literal(a)), Some(Number::Literal(b))) => number(compute::apply(*op, a, b).map(Number::Literal)),
                (Some(a), Some(b)) => Value::Number(Number::Arithmetic(*op, Box::new(a), Box::new(b))),
                _ => Value::Null,
            },
            Kind::Negate(x) => match self.number(x)? {
                Some(Number::Literal(a)) => number(compute::negate(a).map(Number::Literal)),
                Some(n) => Value::Number(Number::Negate(Box::new(n))),
                None => Value::Null,
            },
            Kind::Abs(x) => match self.number(x)? {
                Some(Number::Literal(a)) => number(compute::abs(a).map(Number::Literal)),
                Some(n) => Value::Number(Number::Abs(Box::new(n))),
                None => Value::Null,
            },
            Kind::IsNull(x) => condition(Condition::Missing(Box::new(self.value(x)?))),
            Kind::Is(x, truth) => condition(Condition::Is(Box::new(self.condition(x)?), *truth)),
            Kind::In(x, list) => condition(self.contained(x, list)?),
            Kind::Like(x, pattern, escape) => match self.value(x)? {
                Value::Text(Text::Column(slot)) => condition(Condition::Like(slot, Pattern::new(pattern, *escape))),
                Value::Text(Text::Literal(t)) => condition(Condition::Constant(Some(Pattern::new(pattern, *escape).matches(&t)))),
                Value::Null => condition(Condition::Constant(None)),
                other => return Err(clash(x, &other, "LIKE takes text")),
            },
        })
    }

    fn field(&mut self, parts: &[String], at: usize) -> Result<Value, FilterError> {
        let slot = Slot::resolve(parts, at, self.records, self.annotations)?;
        Ok(match &slot.data_type {
            DataType::Boolean => Value::Condition(Box::new(Condition::Column(slot))),
            DataType::Float32 | DataType::Float64 => {
                self.floats.push(slot.clone());
                Value::Number(Number::Column(slot))
            }
            t if compute::is_integer(t) => Value::Number(Number::Column(slot)),
            t if is_text(t) => Value::Text(Text::Column(slot)),
            _ => Value::Other(slot),
        })
    }

    fn compare(&mut self, op: Comparison, x: &Node, y: &Node) -> Result<Condition, FilterError> {
        let (left, right) = (self.value(x)?, self.value(y)?);
        Ok(match (left, right) {
            (Value::Other(slot), _) => return Err(no_order(x, &slot)),
            (_, Value::Other(slot)) => return Err(no_order(y, &slot)),
            (Value::Null, _) | (_, Value::Null) => Condition::Constant(None),
            (Value::Number(a), Value::Number(b)) => match (a, b) {
                (Number::Literal(a), Number::Literal(b)) => Condition::Constant(Some(compute::holds(op, a, b))),
                (a, Number::Literal(b)) => Condition::NumberIs(op, literal_for(&a, b), a),
                (Number::Literal(a), b) => Condition::NumberIs(op.flipped(), literal_for(&b, a), b),
                (a, b) => Condition::Numbers(op, a, b),
            },
            (Value::Text(a), Value::Text(b)) => match (a, b) {
                (Text::Literal(a), Text::Literal(b)) => Condition::Constant(Some(compute::ordered(op, &a, &b))),
                (Text::Column(a), Text::Literal(b)) => Condition::TextIs(op, text_for(&a.data_type, &b), a),
                (Text::Literal(a), Text::Column(b)) => Condition::TextIs(op.flipped(), text_for(&b.data_type, &a), b),
                (Text::Column(a), Text::Column(b)) => Condition::Texts(op, a, b),
            },
            (Value::Condition(a), Value::Condition(b)) => match op {
                Comparison::Eq => Condition::Same(a, b),
                Comparison::Ne => Condition::Not(Box::new(Condition::Same(a, b))),
                _ => {
                    return Err(FilterError::Type {
                        message: format!("{} is true or false and has no order; use = or <>", x.describe()),
                        offset: Some(x.at),
                    });
                }
            },
            (a, b) => {
                return Err(FilterError::Type {
                    message: format!("{} is {}, {} is {}", x.describe(), a.type_name(), y.describe(), b.type_name()),
                    offset: Some(y.at),
                });
            }
        })
    }

    fn contained(&mut self, x: &Node, list: &[Node]) -> Result<Condition, FilterError> {
        let value = self.value(x)?;
        let unknown = list.iter().any(|n| matches!(n.kind, Kind::Null));
        let given = || list.iter().filter(|n| !matches!(n.kind, Kind::Null));
        let misfit = |item: &Node, value: &Value| FilterError::Type {
            message: format!("{} is {}, {} is not", x.describe(), value.type_name(), item.describe()),
            offset: Some(item.at),
        };
        Ok(match value {
            Value::Null => Condition::Constant(None),
            Value::Text(ref text) => {
                let mut items = given()
                    .map(|n| match &n.kind {
                        Kind::Text(t) => Ok(t.clone()),
                        _ => Err(misfit(n, &value)),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                items.sort_unstable();
                match text {
                    Text::Column(slot) => Condition::InTexts(slot.clone(), items, unknown),
                    Text::Literal(t) => constant_in(items.contains(t), unknown),
                }
            }
            Value::Number(ref column) => {
                let items = given()
                    .map(|n| match n.kind {
                        Kind::Int(i) => Ok(Scalar::Int(i)),
                        Kind::Float(f) => Ok(Scalar::Float(f)),
                        _ => Err(misfit(n, &value)),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                if let Number::Literal(a) = column {
                    return Ok(constant_in(items.iter().any(|b| compute::holds(Comparison::Eq, *a, *b)), unknown));
                }
                let whole: Option<Vec<i64>> = items.iter().map(|s| s.as_int()).collect();
                match whole {
                    Some(mut whole) if column.precision() == Precision::Integer => {
                        whole.sort_unstable();
                        Condition::InInts(column.clone(), whole, unknown)
                    }
                    _ => {
                        // Adding zero makes -0.0 into 0.0, which the order of the search tells apart.
                        let mut floats: Vec<f64> = items.iter().map(|s| literal_for(column, *s).as_float() + 0.0).collect();
                        floats.sort_unstable_by(f64::total_cmp);
                        Condition::InFloats(column.clone(), floats, unknown)
                    }
                }
            }
            other => return Err(clash(x, &other, "IN takes numbers or texts")),
        })
    }
}

fn constant_in(found: bool, unknown: bool) -> Condition {
    Condition::Constant(if found || !unknown { Some(found) } else { None })
}

/// A literal as it is compared with `number`: rounded to 32 bits beside a 32-bit float, unless that would make it zero or
/// infinite.
fn literal_for(number: &Number, literal: Scalar) -> Scalar {
    match number.precision() {
        Precision::Integer => literal,
        Precision::Double => Scalar::Float(literal.as_float()),
        Precision::Single => {
            let wide = literal.as_float();
            #[allow(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
            let narrow = f64::from(wide as f32);
            let faithful = narrow.is_finite() && (narrow != 0.0 || wide == 0.0);
            Scalar::Float(if faithful { narrow } else { wide })
        }
    }
}

/// The literal as an array of one, of the type that the column has.
fn text_for(data_type: &DataType, literal: &str) -> ArrowScalar<ArrayRef> {
    let array: ArrayRef = match data_type {
        DataType::Dictionary(_, values) => return text_for(values, literal),
        DataType::Utf8View => Arc::new(StringViewArray::from(vec![literal])),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(vec![literal])),
        _ => Arc::new(StringArray::from(vec![literal])),
    };
    ArrowScalar::new(array)
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn clash(node: &Node, value: &Value, needed: &str) -> FilterError {
    FilterError::Type { message: format!("{} is {}; {needed}", node.describe(), value.type_name()), offset: Some(node.at) }
}

fn no_order(node: &Node, slot: &Slot) -> FilterError {
    let value = Value::Other(slot.clone());
    FilterError::Type {
        message: format!("{} is {} and can only be tested with IS NULL", node.describe(), value.type_name()),
        offset: Some(node.at),
    }
}
