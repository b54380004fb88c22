//! Rows and values as they are printed: aligned columns that fit the line, and JSON.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use serde_json::{Map, Value, json};

use crate::catalog::zones::{Id, ZoneIndex};
use crate::inspect::visible;

/// Characters of a line.
const WIDTH: usize = 118;
/// Characters of a cell.
const CELL: usize = 36;

/// A column to be printed.
pub struct Shown {
    name: String,
    cells: Vec<String>,
    /// Numbers stand at the right.
    right: bool,
}

impl Shown {
    pub fn texts(name: &str, cells: impl IntoIterator<Item = String>) -> Shown {
        Shown { name: name.to_owned(), cells: cells.into_iter().map(|cell| clipped(&cell)).collect(), right: false }
    }

    pub fn numbers(name: &str, cells: impl IntoIterator<Item = String>) -> Shown {
        Shown { right: true, ..Shown::texts(name, cells) }
    }

    /// A column of a table, under its name.
    pub fn array(name: &str, array: &ArrayRef) -> Shown {
        let cells = (0..array.len()).map(|row| match value(array, row) {
            Value::Null => "-".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        });
        Shown { right: array.data_type().is_numeric(), ..Shown::texts(name, cells) }
    }

    fn width(&self) -> usize {
        self.cells.iter().chain([&self.name]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

fn clipped(cell: &str) -> String {
    let cell = visible(cell);
    if cell.chars().count() <= CELL {
        return cell;
    }
    cell.chars().take(CELL - 3).chain("...".chars()).collect()
}

/// Columns beside each other, as many as a line holds; how many are left out is said.
pub fn table(columns: &[Shown]) -> String {
    let mut width = 0;
    let fitting = columns
        .iter()
        .take_while(|column| {
            width += column.width() + 2;
            width <= WIDTH + 2
        })
        .count()
        .max(1);
    let shown = &columns[..fitting.min(columns.len())];
    let rows = shown.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let mut out = String::new();
    let mut line = |cell: &dyn Fn(&Shown) -> String| {
        let mut text = String::new();
        for column in shown {
            let (cell, width) = (cell(column), column.width());
            let pad = " ".repeat(width - cell.chars().count().min(width));
            text += &if column.right { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
        }
        out += text.trim_end();
        out.push('\n');
    };
    line(&|column| column.name.clone());
    for row in 0..rows {
        line(&|column| column.cells.get(row).cloned().unwrap_or_default());
    }
    if shown.len() < columns.len() {
        let names: Vec<&str> = columns[shown.len()..].iter().take(8).map(|column| column.name.as_str()).collect();
        let more = columns.len() - shown.len();
        let tail = if more > names.len() { ", ..." } else { "" };
        out += &format!("({more} more columns with --json: {}{tail})\n", names.join(", "));
    }
    out
}

/// A value of a column; what is missing or no number is null.
pub fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    macro_rules! numbers {
        ($($kind:ident => $type:ty),*) => { match array.data_type() {
            $(DataType::$kind => json!(array.as_primitive::<$type>().value(row)),)*
            DataType::Boolean => json!(array.as_boolean().value(row)),
            // Its own digits, not those of the nearest double.
            DataType::Float32 => {
                let value = array.as_primitive::<Float32Type>().value(row);
                value.to_string().parse::<f64>().map_or(Value::Null, |v| json!(v))
            }
            DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
            other => json!(format!("a value of type {other}")),
        } };
    }
    numbers!(
        Int8 => Int8Type,
        Int16 => Int16Type,
        Int32 => Int32Type,
        Int64 => Int64Type,
        UInt8 => UInt8Type,
        UInt16 => UInt16Type,
        UInt32 => UInt32Type,
        UInt64 => UInt64Type,
        Float64 => Float64Type
    )
}

/// The columns of a row.
pub fn columns(batch: &RecordBatch, row: usize) -> Value {
    let schema = batch.schema();
    let pairs = schema.fields().iter().zip(batch.columns());
    Value::Object(pairs.map(|(field, array)| (field.name().clone(), value(array, row))).collect::<Map<_, _>>())
}

/// An id.
pub fn id(id: Id<'_>) -> Value {
    match id {
        Id::Number(number) => json!(number),
        Id::Text(text) => json!(text),
    }
}

/// Degrees, to a third of a milliarcsecond.
pub fn degrees(value: f64) -> String {
    format!("{value:.7}")
}

/// Rows of an index, as columns.
pub fn rows(index: &ZoneIndex, rows: &[u32]) -> Vec<Shown> {
    let carried = index.carried(rows);
    let place = |of: fn((f64, f64)) -> f64| rows.iter().map(move |row| degrees(of(index.position(*row)))).collect::<Vec<_>>();
    let mut columns = vec![
        Shown::texts("id", rows.iter().map(|row| index.id(*row).to_string())),
        Shown::numbers("ra", place(|p| p.0)),
        Shown::numbers("dec", place(|p| p.1)),
    ];
    if rows.first().is_some_and(|row| index.radius(*row).is_some()) {
        let radius = |row: &u32| index.radius(*row).map_or_else(String::new, |radius| radius.to_string());
        columns.push(Shown::numbers("radius", rows.iter().map(radius)));
    }
    columns.extend(carried.schema().fields().iter().zip(carried.columns()).map(|(f, array)| Shown::array(f.name(), array)));
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_those_that_do_not_fit_are_named() {
        let wide = "x".repeat(50);
        let columns =
            [Shown::texts("id", ["a".to_owned(), "bcd".to_owned()]), Shown::numbers("n", ["1".to_owned(), "200".to_owned()])];
        assert_eq!(table(&columns), "id     n\na      1\nbcd  200\n");
        let many: Vec<Shown> = (0..5).map(|i| Shown::texts(&format!("c{i}"), [wide.clone()])).collect();
        let text = table(&many);
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.contains("(2 more columns with --json: c3, c4)"), "{text}");
    }
}
