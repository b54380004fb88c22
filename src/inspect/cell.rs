//! One alert as a tree of values, and that as JSON.
//!
//! What JSON has no words for: NaN and infinities are the texts `NaN`, `Infinity`, `-Infinity`, so that they are not taken for
//! null; bytes are an object with their number and what they are; times are ISO 8601 texts; decimals are texts. A 32-bit float
//! has the shortest digits that give the same 32 bits back.

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::as_datetime;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use serde_json::{Map, Number, Value, json};

use super::stamp::{Format, Stamp};

/// Bytes that are written out (in hexadecimal) where they are no image.
const WRITTEN_OUT: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// Text, or what is written as text in JSON: see the head of this file.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Items of an array.
    List(Vec<Cell>),
    /// Fields of a record or entries of a map, in order.
    Record(Vec<(String, Cell)>),
}

impl Cell {
    /// A row of a batch.
    ///
    /// # Errors
    /// When a column has a type that cannot be shown.
    pub fn of_row(batch: &RecordBatch, row: usize) -> Result<Cell, ArrowError> {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let fields = fields.map(|(field, column)| Ok((field.name().clone(), value(column.as_ref(), row)?)));
        fields.collect::<Result<_, ArrowError>>().map(Cell::Record)
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(value) => Value::Bool(*value),
            Cell::Number(value) => Value::Number(value.clone()),
            Cell::Text(value) => Value::String(value.clone()),
            Cell::Bytes(bytes) => described(bytes),
            Cell::List(items) => Value::Array(items.iter().map(Cell::json).collect()),
            Cell::Record(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), value.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The value at a path through records.
    #[must_use]
    pub fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Cell> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let Cell::Record(fields) = self else { return None };
        fields.iter().find(|(name, _)| name == first.as_ref())?.1.at(rest)
    }
}

fn described(bytes: &[u8]) -> Value {
    let stamp = Stamp::of(bytes);
    let mut out = json!({ "bytes": stamp.bytes });
    if stamp.format != Format::Unknown {
        out["format"] = json!(stamp.format.ending());
    } else if bytes.len() <= WRITTEN_OUT {
        out["hex"] = json!(hex(bytes));
    }
    if let Some((width, height)) = stamp.size {
        out["width"] = json!(width);
        out["height"] = json!(height);
    }
    out
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn float(value: f64) -> Cell {
    match Number::from_f64(value) {
        Some(number) => Cell::Number(number),
        None if value.is_nan() => Cell::Text("NaN".to_owned()),
        None if value > 0.0 => Cell::Text("Infinity".to_owned()),
        None => Cell::Text("-Infinity".to_owned()),
    }
}

fn value(array: &dyn Array, row: usize) -> Result<Cell, ArrowError> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(Cell::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            // The digits of the 32-bit value, not those of the 64-bit one that it would be widened to.
            float(value.to_string().parse().unwrap_or(f64::from(value)))
        }
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).to_owned()),
        DataType::Binary => Cell::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        DataType::BinaryView => Cell::Bytes(array.as_binary_view().value(row).to_vec()),
        DataType::FixedSizeBinary(_) => Cell::Bytes(array.as_fixed_size_binary().value(row).to_vec()),
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let key = usize::try_from(dictionary.keys().value(row)).unwrap_or(usize::MAX);
            if key >= dictionary.values().len() {
                return Err(ArrowError::InvalidArgumentError(format!("key {key} is not in the dictionary")));
            }
            value(dictionary.values().as_ref(), key)?
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Cell::List((0..items.len()).map(|i| value(items.as_ref(), i)).collect::<Result<_, _>>()?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let fields = fields.iter().zip(columns);
            Cell::Record(fields.map(|(f, c)| Ok((f.name().clone(), value(c.as_ref(), row)?))).collect::<Result<_, ArrowError>>()?)
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let [keys, values] = entries.columns() else {
                return Err(ArrowError::SchemaError("a map has keys and values".to_owned()));
            };
            let entry = |i: usize| {
                let key = match value(keys.as_ref(), i)? {
                    Cell::Text(key) => key,
                    other => other.json().to_string(),
                };
                Ok((key, value(values.as_ref(), i)?))
            };
            Cell::Record((0..entries.len()).map(entry).collect::<Result<_, ArrowError>>()?)
        }
        DataType::Timestamp(unit, zone) => {
            let zone = if zone.is_some() { "Z" } else { "" };
            let (instant, count) = match unit {
                TimeUnit::Second => instant::<TimestampSecondType>(array, row),
                TimeUnit::Millisecond => instant::<TimestampMillisecondType>(array, row),
                TimeUnit::Microsecond => instant::<TimestampMicrosecondType>(array, row),
                TimeUnit::Nanosecond => instant::<TimestampNanosecondType>(array, row),
            };
            instant.map_or(Cell::Number(count.into()), |text| Cell::Text(format!("{text}{zone}")))
        }
        integer if integer.is_integer() => {
            let text = ArrayFormatter::try_new(array, &FormatOptions::new())?.value(row).to_string();
            text.parse::<i64>()
                .map(Number::from)
                .or_else(|_| text.parse::<u64>().map(Number::from))
                .map_or(Cell::Text(text), Cell::Number)
        }
        _ => Cell::Text(ArrayFormatter::try_new(array, &FormatOptions::new())?.value(row).try_to_string()?),
    })
}

/// A time as ISO 8601 without its zone, where it is within the years that can be written so, and the count that it is.
fn instant<T: arrow_array::ArrowPrimitiveType<Native = i64>>(array: &dyn Array, row: usize) -> (Option<String>, i64) {
    let count = array.as_primitive::<T>().value(row);
    (as_datetime::<T>(count).map(|time| format!("{time:?}")), count)
}

/// The value at the first of several paths that is there and not null, as text: an id for the name of a file.
#[must_use]
pub fn find(alert: &Cell, paths: &[Vec<String>]) -> Option<String> {
    paths.iter().find_map(|path| match alert.at(path)? {
        Cell::Text(text) => Some(text.clone()),
        Cell::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The cut-outs of an alert: the bytes at the survey's paths, and whatever else is recognised as an image. Each has a name:
/// `science`, `template` or `difference` where its path says so, else the path.
#[must_use]
pub fn cut_outs<'a>(alert: &'a Cell, paths: &[Vec<String>]) -> Vec<(String, &'a [u8])> {
    fn below<'a>(cell: &'a Cell, path: &mut Vec<&'a str>, found: &mut Vec<(Vec<String>, &'a [u8])>) {
        match cell {
            Cell::Bytes(bytes) => found.push((path.iter().map(|s| (*s).to_owned()).collect(), bytes)),
            Cell::Record(fields) => {
                for (name, value) in fields {
                    path.push(name);
                    below(value, path, found);
                    path.pop();
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    below(alert, &mut Vec::new(), &mut found);
    found.retain(|(path, bytes)| !bytes.is_empty() && (paths.contains(path) || Stamp::of(bytes).format.is_image()));
    let mut names: Vec<String> = Vec::new();
    for (path, _) in &found {
        let whole = path.join("_");
        let lower = whole.to_lowercase();
        let known = ["science", "template", "difference"].into_iter().find(|kind| lower.contains(kind)).map(str::to_owned);
        let name = known.filter(|name| !names.contains(name)).unwrap_or(whole);
        names.push(name);
    }
    names.into_iter().zip(found).map(|(name, (_, bytes))| (name, bytes)).collect()
}
