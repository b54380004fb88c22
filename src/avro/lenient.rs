//! What is done to the JSON text of a schema before apache-avro sees it.
//!
//! apache-avro recurses without limit, so depth and length are bounded here. It also refuses schemas that real producers
//! send: defaults of the wrong type (`null` for an int), which matter only to readers with a schema of their own. Only what
//! decides how bytes are read is kept.

use serde_json::{Map, Value};

use super::{AvroError, MAX_DEPTH, MAX_SCHEMA_BYTES};

/// Longest name of a type or a field, bytes: a name is repeated wherever its type is used.
const MAX_NAME: usize = 512;

/// Refuses text that is too long or nested too deep to be parsed safely.
pub(super) fn guard(json: &str) -> Result<(), AvroError> {
    if json.len() > MAX_SCHEMA_BYTES {
        return Err(AvroError::TooLong { bytes: json.len() });
    }
    let (mut depth, mut text, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' | b'[' if !text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(AvroError::TooDeep);
                }
            }
            b'}' | b']' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// A copy with nothing but what decides how bytes are read.
pub(super) fn essentials(schema: &Value) -> Result<Value, AvroError> {
    Ok(match schema {
        Value::Object(all) => {
            let mut kept = Map::new();
            for (key, value) in all {
                let value = match key.as_str() {
                    "type" | "items" | "values" => essentials(value)?,
                    "fields" => fields(value)?,
                    "name" | "namespace" if value.as_str().is_some_and(|name| name.len() > MAX_NAME) => {
                        return Err(AvroError::Field(format!("a {key} of more than {MAX_NAME} bytes")));
                    }
                    "name" | "namespace" | "symbols" | "size" | "precision" | "scale" => value.clone(),
                    "logicalType" if value.is_string() => value.clone(),
                    _ => continue,
                };
                kept.insert(key.clone(), value);
            }
            Value::Object(kept)
        }
        Value::Array(branches) => Value::Array(branches.iter().map(essentials).collect::<Result<_, _>>()?),
        other => other.clone(),
    })
}

/// apache-avro passes over entries of `fields` that are no objects, and would then read every later field from the wrong place.
fn fields(list: &Value) -> Result<Value, AvroError> {
    let Value::Array(list) = list else { return Err(AvroError::Field("`fields` is not a list".to_owned())) };
    list.iter()
        .map(
            |field| {
                if field.is_object() { essentials(field) } else { Err(AvroError::Field("an entry is not an object".to_owned())) }
            },
        )
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
}
