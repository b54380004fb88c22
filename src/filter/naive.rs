//! The evaluator against an interpreter that takes one row at a time and knows nothing of columns.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::Field;
use proptest::prelude::*;

use super::Expression;

#[derive(Clone, Debug)]
struct Row {
    /// The record `c` is there; else all of its fields are null.
    c: bool,
    i: Option<i32>,
    l: Option<i64>,
    f: Option<f32>,
    d: Option<f64>,
    t: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Num {
    I,
    L,
    F,
    D,
    Int(i64),
    Float(f64),
    Op(char, Box<Num>, Box<Num>),
    Abs(Box<Num>),
    Neg(Box<Num>),
}

#[derive(Clone, Debug)]
enum Cond {
    Cmp(&'static str, Num, Num),
    Text(&'static str, &'static str),
    In(bool, Num, Vec<Option<f64>>),
    Between(bool, Num, Num, Num),
    Null(bool, Num),
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    IsTrue(Box<Cond>),
}

impl Num {
    fn sql(&self) -> String {
        match self {
            Num::I => "c.i".to_owned(),
            Num::L => "l".to_owned(),
            Num::F => "c.f".to_owned(),
            Num::D => "d".to_owned(),
            Num::Int(i) => format!("({i})"),
            Num::Float(f) => format!("({f:?})"),
            Num::Op(o, a, b) => format!("({} {o} {})", a.sql(), b.sql()),
            Num::Abs(a) => format!("abs({})", a.sql()),
            Num::Neg(a) => format!("(- {})", a.sql()),
        }
    }

    fn constant(&self) -> bool {
        match self {
            Num::Int(_) | Num::Float(_) => true,
            Num::Op(_, a, b) => a.constant() && b.constant(),
            Num::Abs(a) | Num::Neg(a) => a.constant(),
            _ => false,
        }
    }

    fn is_32_bit(&self) -> bool {
        match self {
            Num::F => true,
            Num::Abs(a) | Num::Neg(a) => a.is_32_bit(),
            _ => false,
        }
    }

    /// Integers stay integers; `Err` is a float.
    fn value(&self, r: &Row) -> Option<Result<i64, f64>> {
        let float = |v: Result<i64, f64>| v.map_or_else(|f| f, |i| i as f64);
        match self {
            Num::I => r.i.filter(|_| r.c).map(|v| Ok(v.into())),
            Num::L => r.l.map(Ok),
            Num::F => r.f.filter(|_| r.c).map(|v| Err(v.into())),
            Num::D => r.d.map(Err),
            Num::Int(i) => Some(Ok(*i)),
            Num::Float(f) => Some(Err(*f)),
            Num::Abs(a) => match a.value(r)? {
                Ok(i) => i.checked_abs().map(Ok),
                Err(f) => Some(Err(f.abs())),
            },
            Num::Neg(a) => match a.value(r)? {
                Ok(i) => i.checked_neg().map(Ok),
                Err(f) => Some(Err(-f)),
            },
            Num::Op(o, a, b) => {
                let (a, b) = (a.value(r)?, b.value(r)?);
                if let (Ok(x), Ok(y), true) = (a, b, *o != '/') {
                    return match o {
                        '+' => x.checked_add(y),
                        '-' => x.checked_sub(y),
                        '*' => x.checked_mul(y),
                        _ => x.checked_rem(y),
                    }
                    .map(Ok);
                }
                let (x, y) = (float(a), float(b));
                match o {
                    '+' => Some(Err(x + y)),
                    '-' => Some(Err(x - y)),
                    '*' => Some(Err(x * y)),
                    _ if y == 0.0 => None,
                    '/' => Some(Err(x / y)),
                    _ => Some(Err(x % y)),
                }
            }
        }
    }
}

fn compare(op: &str, a: &Num, b: &Num, r: &Row) -> Option<bool> {
    let round = |v: Result<i64, f64>| {
        let wide = v.map_or_else(|f| f, |i| i as f64);
        let narrow = wide as f32;
        Err(if narrow.is_infinite() || (narrow == 0.0 && wide != 0.0) { wide } else { f64::from(narrow) })
    };
    let (mut x, mut y) = (a.value(r)?, b.value(r)?);
    if a.is_32_bit() && b.constant() {
        y = round(y);
    }
    if b.is_32_bit() && a.constant() {
        x = round(x);
    }
    let order = match (x, y) {
        (Ok(x), Ok(y)) => Some(x.cmp(&y)),
        (x, y) => x.map_or_else(|f| f, |i| i as f64).partial_cmp(&y.map_or_else(|f| f, |i| i as f64)),
    };
    Some(match (order, op) {
        (None, _) => false,
        (Some(o), "=") => o.is_eq(),
        (Some(o), "<>") => o.is_ne(),
        (Some(o), "<") => o.is_lt(),
        (Some(o), "<=") => o.is_le(),
        (Some(o), ">") => o.is_gt(),
        (Some(o), _) => o.is_ge(),
    })
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    if a == Some(false) || b == Some(false) { Some(false) } else { a.zip(b).map(|(a, b)| a && b) }
}

impl Cond {
    fn sql(&self) -> String {
        let not = |n: &bool| if *n { "NOT " } else { "" };
        match self {
            Cond::Cmp(o, a, b) => format!("{} {o} {}", a.sql(), b.sql()),
            Cond::Text(o, t) => format!("t {o} '{t}'"),
            Cond::In(n, a, l) => {
                let items: Vec<String> = l.iter().map(|v| v.map_or("NULL".to_owned(), |v| format!("{v:?}"))).collect();
                format!("{} {}IN ({})", a.sql(), not(n), items.join(", "))
            }
            Cond::Between(n, a, b, c) => format!("{} {}BETWEEN {} AND {}", a.sql(), not(n), b.sql(), c.sql()),
            Cond::Null(n, a) => format!("{} IS {}NULL", a.sql(), not(n)),
            Cond::Not(a) => format!("NOT ({})", a.sql()),
            Cond::And(a, b) => format!("({} AND {})", a.sql(), b.sql()),
            Cond::Or(a, b) => format!("({} OR {})", a.sql(), b.sql()),
            Cond::IsTrue(a) => format!("({}) IS TRUE", a.sql()),
        }
    }

    fn value(&self, r: &Row) -> Option<bool> {
        match self {
            Cond::Cmp(o, a, b) => compare(o, a, b, r),
            Cond::Text(o, t) => r.t.map(|v| match *o {
                "=" => v == *t,
                "<" => v < *t,
                _ => v >= *t,
            }),
            Cond::In(n, a, l) => {
                let one = |v: &Option<f64>| v.and_then(|v| compare("=", a, &Num::Float(v), r));
                let any = if l.iter().any(|v| one(v) == Some(true)) {
                    Some(true)
                } else {
                    l.iter().all(|v| one(v).is_some()).then_some(false)
                };
                let any = a.value(r).and(any);
                if *n { any.map(|b| !b) } else { any }
            }
            Cond::Between(n, a, b, c) => {
                let v = and(compare(">=", a, b, r), compare("<=", a, c, r));
                if *n { v.map(|b| !b) } else { v }
            }
            Cond::Null(n, a) => Some(a.value(r).is_none() != *n),
            Cond::Not(a) => a.value(r).map(|b| !b),
            Cond::And(a, b) => and(a.value(r), b.value(r)),
            Cond::Or(a, b) => and(a.value(r).map(|b| !b), b.value(r).map(|b| !b)).map(|b| !b),
            Cond::IsTrue(a) => Some(a.value(r) == Some(true)),
        }
    }
}

const FLOATS: [f64; 9] = [0.0, -0.0, 0.1, 0.65, -2.5, 1e-60, 1e300, 3.0, -1.0];
const TEXTS: [&str; 4] = ["", "a", "b", "a longer text than a view holds inline"];

fn number() -> impl Strategy<Value = Num> {
    let leaf = prop_oneof![
        Just(Num::I),
        Just(Num::L),
        Just(Num::F),
        Just(Num::D),
        (-3i64..4).prop_map(Num::Int),
        Just(Num::Int(i64::MAX)),
        proptest::sample::select(&FLOATS[..]).prop_map(Num::Float),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (proptest::sample::select(vec!['+', '-', '*', '/', '%']), inner.clone(), inner.clone())
                .prop_map(|(o, a, b)| Num::Op(o, Box::new(a), Box::new(b))),
            inner.clone().prop_map(|a| Num::Abs(Box::new(a))),
            inner.prop_map(|a| Num::Neg(Box::new(a))),
        ]
    })
}

fn condition() -> impl Strategy<Value = Cond> {
    let op = proptest::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let list = proptest::collection::vec(proptest::option::weighted(0.9, proptest::sample::select(&FLOATS[..])), 1..4);
    let leaf = prop_oneof![
        4 => (op, number(), number()).prop_map(|(o, a, b)| Cond::Cmp(o, a, b)),
        1 => (proptest::sample::select(vec!["=", "<", ">="]), proptest::sample::select(&TEXTS[..])).prop_map(|(o, t)| Cond::Text(o, t)),
        1 => (any::<bool>(), number(), list).prop_map(|(n, a, l)| Cond::In(n, a, l)),
        1 => (any::<bool>(), number(), number(), number()).prop_map(|(n, a, b, c)| Cond::Between(n, a, b, c)),
        1 => (any::<bool>(), number()).prop_map(|(n, a)| Cond::Null(n, a)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Cond::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Cond::Or(Box::new(a), Box::new(b))),
            inner.clone().prop_map(|a| Cond::Not(Box::new(a))),
            inner.prop_map(|a| Cond::IsTrue(Box::new(a))),
        ]
    })
}

fn row() -> impl Strategy<Value = Row> {
    let float = prop_oneof![
        4 => proptest::sample::select(&FLOATS[..]),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ];
    let long = prop_oneof![4 => -3i64..4, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    (
        proptest::bool::weighted(0.9),
        proptest::option::weighted(0.9, -3i32..4),
        proptest::option::weighted(0.9, long),
        proptest::option::weighted(0.9, float.clone().prop_map(|f| f as f32)),
        proptest::option::weighted(0.9, float),
        proptest::option::weighted(0.9, proptest::sample::select(&TEXTS[..])),
    )
        .prop_map(|(c, i, l, f, d, t)| Row { c, i, l, f, d, t })
}

fn batch(rows: &[Row]) -> RecordBatch {
    let i: ArrayRef = Arc::new(Int32Array::from_iter(rows.iter().map(|r| r.i)));
    let f: ArrayRef = Arc::new(Float32Array::from_iter(rows.iter().map(|r| r.f)));
    let fields = vec![Field::new("i", i.data_type().clone(), true), Field::new("f", f.data_type().clone(), true)];
    let nulls = NullBuffer::from_iter(rows.iter().map(|r| r.c));
    RecordBatch::try_from_iter_with_nullable([
        ("c", Arc::new(StructArray::new(fields.into(), vec![i, f], Some(nulls))) as ArrayRef, true),
        ("l", Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.l))) as ArrayRef, true),
        ("d", Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.d))) as ArrayRef, true),
        ("t", Arc::new(StringViewArray::from_iter(rows.iter().map(|r| r.t))) as ArrayRef, true),
    ])
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn columns_and_rows_agree(cond in condition(), rows in proptest::collection::vec(row(), 1..150), skip in 0usize..3) {
        let skip = skip.min(rows.len() - 1);
        let records = batch(&rows).slice(skip, rows.len() - skip);
        let text = cond.sql();
        let mask = Expression::parse(&text).unwrap().bind(&records.schema(), &[]).unwrap().evaluate(&records, &[]).unwrap();
        for (row, got) in rows[skip..].iter().zip(mask.iter()) {
            prop_assert_eq!(got, cond.value(row), "{} on {:?}", text, row);
        }
    }
}
