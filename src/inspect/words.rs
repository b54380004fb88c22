//! Types in plain words, and whether a default is a value of its type.

use arrow_schema::{DataType, TimeUnit};
use serde_json::Value;

use super::tree::{Names, unwrap};

/// Symbols of an enum that are written out.
const SYMBOLS: usize = 8;

/// A leaf in plain words. `json` is the type as the producer wrote it: the symbols of an enum are there alone.
pub(super) fn leaf_words(column: &DataType, json: &Value) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "seconds",
        TimeUnit::Millisecond => "milliseconds",
        TimeUnit::Microsecond => "microseconds",
        TimeUnit::Nanosecond => "nanoseconds",
    };
    match column {
        DataType::Null => "null".to_owned(),
        DataType::Boolean if json.get("fields").is_some() => "record without fields".to_owned(),
        DataType::Boolean => "true or false".to_owned(),
        DataType::Int32 => "32-bit integer".to_owned(),
        DataType::Int64 => "64-bit integer".to_owned(),
        DataType::Float32 => "32-bit float".to_owned(),
        DataType::Float64 => "64-bit float".to_owned(),
        DataType::Utf8View | DataType::Utf8 => "text".to_owned(),
        DataType::BinaryView | DataType::Binary => "bytes".to_owned(),
        DataType::FixedSizeBinary(size) => format!("{size} bytes"),
        DataType::Dictionary(..) => {
            let symbols = json.get("symbols").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let mut shown: Vec<&str> = symbols.iter().filter_map(Value::as_str).take(SYMBOLS).collect();
            if symbols.len() > SYMBOLS {
                shown.push("...");
            }
            format!("one of the words {}", shown.join(", "))
        }
        DataType::Date32 => "date".to_owned(),
        DataType::Time32(u) | DataType::Time64(u) => format!("time of day in {}", unit(u)),
        DataType::Timestamp(u, Some(_)) => format!("time in {}, UTC", unit(u)),
        DataType::Timestamp(u, None) => format!("local time in {}", unit(u)),
        DataType::Decimal128(precision, scale) => format!("decimal of {precision} digits, {scale} of them after the point"),
        other => other.to_string(),
    }
}

/// Whether a default is a value of a type (Avro specification 1.12, "Schema Record": of one of the branches where it is a
/// union). Recurses as deep as the default is nested.
pub(super) fn fits(default: &Value, kind: &Value, space: &str, names: &Names<'_>) -> bool {
    let (value, space) = unwrap(kind, space, names);
    let name = match value {
        Value::Array(branches) => return branches.iter().any(|branch| fits(default, branch, &space, names)),
        Value::String(name) => name.as_str(),
        other => other.get("type").and_then(Value::as_str).unwrap_or_default(),
    };
    match name {
        "null" => default.is_null(),
        "boolean" => default.is_boolean(),
        "int" => default.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "long" => default.is_i64(),
        // JSON has no NaN; writers of schemas put it into quotes, and readers take it.
        "float" | "double" => default.is_number() || matches!(default.as_str(), Some("NaN" | "Infinity" | "-Infinity")),
        "string" => default.is_string(),
        "bytes" => default.as_str().is_some_and(|text| text.chars().all(|c| u32::from(c) < 256)),
        "fixed" => {
            let size = value.get("size").and_then(Value::as_u64);
            default.as_str().is_some_and(|text| Some(text.chars().count() as u64) == size)
        }
        "enum" => value.get("symbols").and_then(Value::as_array).is_some_and(|symbols| symbols.contains(default)),
        "array" => {
            let items = value.get("items").unwrap_or(&Value::Null);
            default.as_array().is_some_and(|all| all.iter().all(|item| fits(item, items, &space, names)))
        }
        "map" => {
            let values = value.get("values").unwrap_or(&Value::Null);
            default.as_object().is_some_and(|all| all.values().all(|item| fits(item, values, &space, names)))
        }
        "record" | "error" => {
            let fields = value.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            default.as_object().is_some_and(|all| {
                fields.iter().all(|field| {
                    let kind = field.get("type").unwrap_or(&Value::Null);
                    let given = field.get("name").and_then(Value::as_str).and_then(|name| all.get(name));
                    given.map_or(field.get("default").is_some(), |given| fits(given, kind, &space, names))
                })
            })
        }
        // A type that is not known here is not judged.
        _ => true,
    }
}
