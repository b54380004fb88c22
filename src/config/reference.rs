//! JSON Schema and reference, both made from the raw structs.

use std::fmt::Write;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw;

/// JSON Schema (2020-12) of a configuration file, for editors.
#[must_use]
pub fn schema() -> Value {
    schema_of::<raw::File>("Skysluice configuration")
}

/// JSON Schema (2020-12) of a survey profile.
#[must_use]
pub fn profile_schema() -> Value {
    schema_of::<raw::Profile>("Skysluice survey profile")
}

fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    schema["title"] = title.into();
    schema
}

/// A key may be left out, but `null` is not a value that anyone writes: it is taken out of what options generate.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(list)) = map.get_mut("enum") {
                list.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = choices.as_slice() {
                    let mut inner = only.clone();
                    map.remove("anyOf");
                    // The field's own words win over those of its type.
                    inner.extend(std::mem::take(map));
                    *map = inner;
                }
            }
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Every key with its type, its default and what it means, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::new();
    for (title, schema) in [("Configuration file", schema()), ("Survey profile", profile_schema())] {
        let heading = if out.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{heading}# {title}\n\n{}\n", words(&schema));
        walk(&schema, "", &mut out);
    }
    out
}

/// A key of the schema.
struct Key<'a> {
    name: &'a str,
    schema: &'a Value,
    required: bool,
}

/// Keys of an object: those of its properties, or, where there is a choice, those of each choice.
fn keys(schema: &Value) -> Vec<Key<'_>> {
    let required = schema.get("required").and_then(Value::as_array);
    let mut keys: Vec<Key<'_>> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let required = required.is_some_and(|names| names.iter().any(|required| required == name));
            Key { name, schema, required }
        })
        .collect();
    for choice in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        keys.extend(self::keys(choice).into_iter().map(|key| Key { required: false, ..key }));
    }
    keys
}

fn walk(schema: &Value, above: &str, out: &mut String) {
    for Key { name, schema, required } in keys(schema) {
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        let default = match schema.get("default") {
            Some(Value::String(text)) => format!(", default `{text}`"),
            Some(Value::Array(list)) if list.is_empty() => String::new(),
            Some(Value::Object(map)) if map.is_empty() => String::new(),
            Some(value) => format!(", default `{value}`"),
            None if required => ", required".to_owned(),
            None => String::new(),
        };
        let _ = write!(out, "\n`{path}` ({}{default})\n    {}\n", kind(schema), words(schema));
        walk(schema, &path, out);
        if let Some(items) = schema.get("items") {
            walk(items, &format!("{path}[]"), out);
        }
    }
}

/// What can be written for a key, in words.
fn kind(schema: &Value) -> String {
    let constants = |choices: &Vec<Value>| -> Option<Vec<String>> {
        choices.iter().map(|choice| choice.get("const")?.as_str().map(|text| format!("`{text}`"))).collect()
    };
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices.iter().filter_map(Value::as_str).map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        return constants(choices).map_or_else(|| "one of the keys below".to_owned(), |names| names.join(" or "));
    }
    if let Some(text) = schema.get("const").and_then(Value::as_str) {
        return format!("`{text}`");
    }
    if let Some(quantity) = schema.get("quantity").and_then(Value::as_str) {
        return quantity.to_owned();
    }
    let named = |name: &str| match name {
        "string" => "text",
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "true or false",
        "array" => "list",
        _ => "keys",
    };
    match schema.get("type") {
        Some(Value::String(name)) => named(name).to_owned(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(named).collect::<Vec<_>>().join(" or "),
        _ => "value".to_owned(),
    }
}

fn words(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every key of a schema by its path, for the tests that hold the documentation against it.
#[cfg(test)]
pub fn paths(schema: &Value) -> Vec<(String, Value)> {
    fn collect(schema: &Value, above: &str, out: &mut Vec<(String, Value)>) {
        for Key { name, schema, .. } in keys(schema) {
            let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
            collect(schema, &path, out);
            if let Some(items) = schema.get("items") {
                collect(items, &path, out);
            }
            out.push((path, schema.clone()));
        }
    }
    let mut out = Vec::new();
    collect(schema, "", &mut out);
    out
}
