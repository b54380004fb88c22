//! Appending annotation fields to a producer's record schema.
//!
//! May depend on: arrow's types, serde_json. Pure.
//!
//! The fields that were there stay as they were written: a datum of the producer followed by the encoded annotations (see
//! [`super::Encoder`]) is a datum of the appended schema. One thing is taken out: a default that does not fit the type of its
//! field (some producers publish `null` for an `int`), because strict readers (Java, fastavro) refuse the whole schema for it
//! and no reader needs a writer's defaults. A default of a union may fit any of its branches, as Avro 1.12 has it.

use std::collections::{HashMap, HashSet};

use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use serde_json::{Map, Value, json};

/// A record schema with annotation fields at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The schema (JSON).
    pub json: String,
    /// Paths of the fields whose defaults were left out because they do not fit the type.
    pub dropped_defaults: Vec<String>,
}

/// Why annotations cannot be written behind a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The text is not JSON.
    #[error("the schema is not JSON: {0}")]
    Json(String),
    /// The schema is not a record.
    #[error("the schema is not a record with fields, so that nothing can be appended to it")]
    NotRecord,
    /// The record has a field of that name.
    #[error("the schema has a field named `{0}` already; give the step that adds it another name")]
    Clash(String),
    /// The name is not one that Avro allows.
    #[error("`{0}` is no Avro name (letters, digits and _, not beginning with a digit); give the step that adds it another name")]
    Name(String),
    /// There is no Avro type for the annotation.
    #[error("annotation `{field}` has the type {data_type}, which cannot be published")]
    Type {
        /// Path of the field.
        field: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// The values are not those of the field.
    #[error("annotation `{field}`: {reason}")]
    Values {
        /// Name of the field.
        field: String,
        /// What does not fit.
        reason: String,
    },
}

/// The record schema `schema_json` with `fields` appended at its end. A nullable field becomes `["null", T]` with default
/// null; the metadata keys `doc` and `unit` become its `doc`. Records inside annotations get names that the schema has not.
///
/// # Errors
/// When the schema is not a record, has a field of that name, or a field has no Avro type.
pub fn append(schema_json: &str, fields: &[FieldRef]) -> Result<Appended, AppendError> {
    let mut schema: Value = serde_json::from_str(schema_json).map_err(|e| AppendError::Json(e.to_string()))?;
    if schema.get("type").and_then(Value::as_str) != Some("record") {
        return Err(AppendError::NotRecord);
    }
    let mut named = Named::default();
    named.collect(&schema, "");
    let mut dropped_defaults = Vec::new();
    named.mend(&mut schema, "", "", &mut dropped_defaults);

    let mut taken: HashSet<String> = named.types.keys().map(|full| simple(full).to_owned()).collect();
    let list = schema.get_mut("fields").and_then(Value::as_array_mut).ok_or(AppendError::NotRecord)?;
    let mut names: HashSet<String> = list.iter().filter_map(|f| f.get("name")?.as_str().map(str::to_owned)).collect();
    for field in fields {
        if !names.insert(field.name().clone()) {
            return Err(AppendError::Clash(field.name().clone()));
        }
        list.push(field_schema(field, field.name(), &mut taken)?);
    }
    Ok(Appended { json: schema.to_string(), dropped_defaults })
}

/// Whether a time zone is UTC, as Avro's timestamps are.
pub(super) fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Z")
}

fn field_schema(field: &Field, path: &str, taken: &mut HashSet<String>) -> Result<Value, AppendError> {
    let name = field.name();
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !good || name.is_empty() {
        return Err(AppendError::Name(path.to_owned()));
    }
    let mut out = Map::new();
    out.insert("name".into(), json!(name));
    out.insert("type".into(), type_schema(field, path, taken)?);
    let of = |key: &str| field.metadata().get(key).filter(|text| !text.is_empty());
    match (of("doc"), of("unit")) {
        (Some(doc), Some(unit)) => out.insert("doc".into(), json!(format!("{doc} [{unit}]"))),
        (Some(doc), None) => out.insert("doc".into(), json!(doc)),
        (None, Some(unit)) => out.insert("doc".into(), json!(format!("[{unit}]"))),
        (None, None) => None,
    };
    if field.is_nullable() {
        out.insert("default".into(), Value::Null);
    }
    Ok(Value::Object(out))
}

fn type_schema(field: &Field, path: &str, taken: &mut HashSet<String>) -> Result<Value, AppendError> {
    let bare = match field.data_type() {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("int"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 | DataType::Utf8View => json!("string"),
        DataType::Binary => json!("bytes"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if is_utc(zone) => {
            json!({ "type": "long", "logicalType": "timestamp-micros" })
        }
        DataType::List(item) => json!({ "type": "array", "items": type_schema(item, path, taken)? }),
        DataType::Struct(children) => {
            let stem = format!("annotation_{}", path.replace('.', "_"));
            let mut name = stem.clone();
            let mut number = 2;
            while !taken.insert(name.clone()) {
                name = format!("{stem}_{number}");
                number += 1;
            }
            let fields = children
                .iter()
                .map(|child| field_schema(child, &format!("{path}.{}", child.name()), taken))
                .collect::<Result<Vec<_>, _>>()?;
            json!({ "type": "record", "name": name, "fields": fields })
        }
        other => return Err(AppendError::Type { field: path.to_owned(), data_type: other.clone() }),
    };
    Ok(if field.is_nullable() { json!(["null", bare]) } else { bare })
}

fn simple(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

/// The named types of a schema, by full name, each with the namespace that holds inside it.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) types: HashMap<String, (Value, String)>,
}

/// Levels of a default that are looked at: a default may refer to itself through the fields that it leaves out.
const DEPTH: usize = 64;

impl Named {
    /// Full name of a named type and the namespace inside it (Avro 1.12, "Names").
    fn name(schema: &Value, enclosing: &str) -> Option<(String, String)> {
        let name = schema.get("name")?.as_str()?;
        let space = match (name.rsplit_once('.'), schema.get("namespace").and_then(Value::as_str)) {
            (Some((space, _)), _) => space,
            (None, Some(space)) => space,
            (None, None) => enclosing,
        };
        Some((Self::full(simple(name), space), space.to_owned()))
    }

    fn full(name: &str, space: &str) -> String {
        if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
    }

    pub(super) fn collect(&mut self, schema: &Value, enclosing: &str) {
        match schema {
            Value::Array(branches) => branches.iter().for_each(|b| self.collect(b, enclosing)),
            Value::Object(object) => match object.get("type") {
                Some(Value::String(kind)) if matches!(kind.as_str(), "record" | "error" | "enum" | "fixed") => {
                    let Some((full, space)) = Self::name(schema, enclosing) else { return };
                    for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                        field.get("type").into_iter().for_each(|t| self.collect(t, &space));
                    }
                    self.types.insert(full, (schema.clone(), space));
                }
                Some(inner @ (Value::Object(_) | Value::Array(_))) => self.collect(inner, enclosing),
                _ => ["items", "values"].iter().filter_map(|k| object.get(*k)).for_each(|t| self.collect(t, enclosing)),
            },
            _ => {}
        }
    }

    /// Takes out defaults that do not fit, all the way down.
    fn mend(&self, schema: &mut Value, enclosing: &str, path: &str, dropped: &mut Vec<String>) {
        let inside = Self::name(schema, enclosing).map_or_else(|| enclosing.to_owned(), |(_, space)| space);
        match schema {
            Value::Array(branches) => branches.iter_mut().for_each(|b| self.mend(b, enclosing, path, dropped)),
            Value::Object(object) => {
                for field in object.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
                    let Some(field) = field.as_object_mut() else { continue };
                    let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
                    let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    let Some(kind) = field.get_mut("type") else { continue };
                    self.mend(kind, &inside, &path, dropped);
                    let fits = match (field.get("default"), field.get("type")) {
                        (Some(default), Some(kind)) => self.fits(default, kind, &inside, DEPTH),
                        _ => true,
                    };
                    if !fits {
                        field.shift_remove("default");
                        dropped.push(path);
                    }
                }
                for key in ["type", "items", "values"] {
                    if let Some(inner @ (Value::Object(_) | Value::Array(_))) = object.get_mut(key) {
                        self.mend(inner, &inside, path, dropped);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether a default fits a type (Avro 1.12, "Complex Types", table of field defaults).
    fn fits(&self, default: &Value, schema: &Value, enclosing: &str, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        match schema {
            Value::Array(branches) => branches.iter().any(|b| self.fits(default, b, enclosing, depth)),
            Value::String(name) => match name.as_str() {
                "null" => default.is_null(),
                "boolean" => default.is_boolean(),
                "int" => default.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                "long" => default.as_i64().is_some(),
                "float" | "double" => default.is_number(),
                "string" | "bytes" => default.is_string(),
                _ => self
                    .types
                    .get(&Self::full(name, enclosing))
                    .or_else(|| self.types.get(name))
                    .is_some_and(|(definition, _)| self.fits(default, definition, enclosing, depth)),
            },
            Value::Object(object) => match object.get("type") {
                Some(Value::String(kind)) => match kind.as_str() {
                    "array" => match (default.as_array(), object.get("items")) {
                        (Some(items), Some(kind)) => items.iter().all(|item| self.fits(item, kind, enclosing, depth)),
                        _ => false,
                    },
                    "map" => match (default.as_object(), object.get("values")) {
                        (Some(entries), Some(kind)) => entries.values().all(|v| self.fits(v, kind, enclosing, depth)),
                        _ => false,
                    },
                    "enum" => object.get("symbols").and_then(Value::as_array).is_some_and(|symbols| symbols.contains(default)),
                    "fixed" => match (default.as_str(), object.get("size").and_then(Value::as_u64)) {
                        (Some(text), Some(size)) => text.chars().count() as u64 == size,
                        _ => false,
                    },
                    "record" | "error" => {
                        let space = Self::name(schema, enclosing).map_or_else(|| enclosing.to_owned(), |(_, space)| space);
                        let fields = object.get("fields").and_then(Value::as_array);
                        let (Some(given), Some(fields)) = (default.as_object(), fields) else { return false };
                        fields.iter().all(|field| {
                            let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
                            let value = given.get(name).or_else(|| field.get("default"));
                            value.zip(field.get("type")).is_some_and(|(v, kind)| self.fits(v, kind, &space, depth))
                        })
                    }
                    primitive => self.fits(default, &Value::String(primitive.to_owned()), enclosing, depth),
                },
                Some(inner) => self.fits(default, inner, enclosing, depth),
                None => false,
            },
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;

    const ALERT: &str = r#"{"type":"record","name":"alert","namespace":"a.b","doc":"kept","version":"3.3","fields":[
        {"name":"objectId","type":"string"},
        {"name":"position","type":{"type":"record","name":"annotation_match","fields":[{"name":"ra","type":"double","default":-999.0}]}},
        {"name":"before","type":["null",{"type":"array","items":"annotation_match"}],"default":null}]}"#;

    fn field(name: &str, data_type: DataType, nullable: bool) -> FieldRef {
        Arc::new(Field::new(name, data_type, nullable))
    }

    #[test]
    fn the_fields_stay_and_the_annotations_follow_with_doc_and_unit() {
        let metadata = [("doc", "Separation to the nearest source."), ("unit", "arcsec")];
        let metadata = HashMap::from(metadata.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let separation = Arc::new(Field::new("separation", DataType::Float64, true).with_metadata(metadata));
        let parts = vec![Field::new("id", DataType::Utf8View, false), Field::new("mag", DataType::Float32, true)];
        let item = Field::new("item", DataType::Struct(parts.into()), true);
        let found = field("match", DataType::List(Arc::new(item)), false);
        let appended = append(ALERT, &[separation, found]).unwrap();
        let (before, after): (Value, Value) = (ALERT.parse().unwrap(), appended.json.parse().unwrap());
        assert_eq!(before["fields"].as_array().unwrap()[..], after["fields"].as_array().unwrap()[..3]);
        assert_eq!(after["version"], "3.3");
        assert_eq!(
            after["fields"][3],
            json!({"name": "separation", "type": ["null", "double"], "doc": "Separation to the nearest source. [arcsec]", "default": null})
        );
        let record = json!({"type": "record", "name": "annotation_match_2", "fields": [
            {"name": "id", "type": "string"}, {"name": "mag", "type": ["null", "float"], "default": null}]});
        assert_eq!(after["fields"][4], json!({"name": "match", "type": {"type": "array", "items": ["null", record]}}));
        apache_avro::Schema::parse_str(&appended.json).unwrap();
    }

    #[test]
    fn clashes_and_what_cannot_be_written_are_named() {
        let clash = append(ALERT, &[field("objectId", DataType::Utf8, true)]);
        assert_eq!(clash, Err(AppendError::Clash("objectId".into())));
        let twice = field("a", DataType::Int32, true);
        assert_eq!(append(ALERT, &[twice.clone(), twice]), Err(AppendError::Clash("a".into())));
        assert_eq!(append(ALERT, &[field("4lac", DataType::Int32, true)]), Err(AppendError::Name("4lac".into())));
        assert!(matches!(append(ALERT, &[field("a", DataType::UInt64, true)]), Err(AppendError::Type { .. })));
        assert_eq!(append(r#"{"type":"array","items":"int"}"#, &[]), Err(AppendError::NotRecord));
        assert_eq!(append(r#""long""#, &[]), Err(AppendError::NotRecord));
        assert!(matches!(append("{", &[]), Err(AppendError::Json(_))));
    }

    #[test]
    fn defaults_that_do_not_fit_are_left_out_and_the_others_stay() {
        let schema = r#"{"type":"record","name":"t","namespace":"n","fields":[
            {"name":"bad_int","type":"int","default":null},
            {"name":"good_int","type":"int","default":-999},
            {"name":"second_branch","type":["float","null"],"default":null},
            {"name":"bad_union","type":["null","float"],"default":"none"},
            {"name":"colour","type":{"type":"enum","name":"c","symbols":["R","G"]},"default":"G"},
            {"name":"bad_colour","type":"n.c","default":"B"},
            {"name":"inner","type":{"type":"record","name":"i","fields":[{"name":"x","type":"long","default":"0"},{"name":"y","type":"long","default":0}]},"default":{"x":1}},
            {"name":"list","type":{"type":"array","items":"i"},"default":[]},
            {"name":"bad_list","type":{"type":"array","items":"i"},"default":[{}]}]}"#;
        let appended = append(schema, &[]).unwrap();
        assert_eq!(appended.dropped_defaults, ["bad_int", "bad_union", "bad_colour", "inner.x", "bad_list"]);
        let value: Value = appended.json.parse().unwrap();
        assert_eq!(value["fields"][1]["default"], -999);
        assert_eq!(value["fields"][2].get("default"), Some(&Value::Null));
        apache_avro::Schema::parse_str(&appended.json).unwrap();
    }

    #[test]
    fn a_default_that_leads_back_to_itself_ends() {
        let schema = r#"{"type":"record","name":"a","fields":[{"name":"next","type":"a","default":{}}]}"#;
        assert_eq!(append(schema, &[]).unwrap().dropped_defaults, ["next"]);
    }
}
