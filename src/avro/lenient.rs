//! What is done to the JSON text of a schema before apache-avro sees it.
//!
//! apache-avro recurses without limit, so depth and length are bounded here. It also refuses schemas that real producers
//! send: defaults of the wrong type (`null` for an int), which matter only to readers with a schema of their own. Only what
//! decides how bytes are read is kept.

use std::collections::HashSet;

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

/// apache-avro passes over entries of `fields` that are no objects, and would then read every later field from the wrong
/// place. It refuses a name that a record has twice, which WINTER sends: the last keeps it, as readers that make
/// dictionaries see it, and those before get a number.
fn fields(list: &Value) -> Result<Value, AvroError> {
    let Value::Array(list) = list else { return Err(AvroError::Field("`fields` is not a list".to_owned())) };
    let mut kept = list
        .iter()
        .map(|field| match field.is_object() {
            true => essentials(field),
            false => Err(AvroError::Field("an entry is not an object".to_owned())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut taken: HashSet<String> = HashSet::new();
    let all: HashSet<&str> = list.iter().filter_map(|field| field["name"].as_str()).collect();
    if all.len() < list.len() {
        for field in kept.iter_mut().rev() {
            let Some(name) = field["name"].as_str().map(str::to_owned) else { continue };
            if taken.insert(name.clone()) {
                continue;
            }
            let free = (1..=list.len()).map(|n| format!("{name}_{n}"));
            let free = free.into_iter().find(|n| !all.contains(n.as_str()) && !taken.contains(n)).unwrap_or(name);
            field["name"] = Value::String(free.clone());
            taken.insert(free);
        }
    }
    Ok(Value::Array(kept))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_inside_texts_do_not_count_as_depth() {
        let text = format!(r#"{{"doc": "\"{}\" \\"}}"#, "[{".repeat(500));
        guard(&text).unwrap();
        guard(&"[".repeat(MAX_DEPTH)).unwrap();
        assert!(matches!(guard(&"[".repeat(MAX_DEPTH + 1)), Err(AvroError::TooDeep)));
        assert!(matches!(guard(&" ".repeat(MAX_SCHEMA_BYTES + 1)), Err(AvroError::TooLong { .. })));
    }

    #[test]
    fn a_name_that_comes_twice_belongs_to_the_last() {
        let field = |name: &str| json!({"name": name, "type": "int", "default": null, "doc": "x"});
        let clean = |name: &str| json!({"name": name, "type": "int"});
        let schema = json!({"type": "record", "name": "r", "fields": [field("a"), field("a"), field("a_1"), field("a")]});
        let kept = json!({"type": "record", "name": "r", "fields": [clean("a_3"), clean("a_2"), clean("a_1"), clean("a")]});
        assert_eq!(essentials(&schema).unwrap(), kept);
    }

    #[test]
    fn fields_that_would_be_passed_over_are_refused() {
        for fields in [json!(["x"]), json!({}), json!([{"name": "n".repeat(1000), "type": "int"}])] {
            let schema = json!({"type": "record", "name": "r", "fields": fields});
            assert!(matches!(essentials(&schema), Err(AvroError::Field(_))));
        }
    }
}
