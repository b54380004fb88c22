//! A schema as a tree of fields: what the producer wrote of each, beside the column that it becomes.

use std::collections::HashMap;
use std::ops::Range;

use arrow_schema::DataType;
use serde_json::Value;

use super::words::{fits, leaf_words};
use crate::avro::AlertSchema;

/// A schema for people.
#[derive(Debug)]
pub struct Tree {
    /// Full name of the record.
    pub name: String,
    /// What the producer says of it.
    pub doc: Option<String>,
    /// CRC-64-AVRO.
    pub fingerprint: u64,
    /// Columns (leaves) that an alert takes.
    pub columns: usize,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

/// A field, or a member of a union.
#[derive(Debug)]
pub struct Field {
    /// Its name as it is archived.
    pub name: String,
    /// Its name as the producer wrote it, where that is another: the name comes twice.
    pub written: Option<String>,
    /// Path from the record, such as `candidate.ra`; `[]` stands for the items of an array and `{}` for the values of a map.
    pub path: String,
    /// Its type in plain words, without null and without the names of types.
    pub words: String,
    /// Full name of its type, or of the type of its items, where that has a name.
    pub type_name: Option<String>,
    /// Whether it can be null.
    pub nullable: bool,
    /// Its default as the producer wrote it.
    pub default: Option<Value>,
    /// Whether the default is a value of its type.
    pub default_fits: bool,
    /// What the producer says of it.
    pub doc: Option<String>,
    /// Full name of the record that it is defined in.
    pub owner: String,
    /// The column that it becomes.
    pub arrow: DataType,
    /// Leaves of it, counted over the whole schema from 0.
    pub leaves: Range<usize>,
    /// Fields of the record, of the items, of the values, or members of the union.
    pub fields: Vec<Field>,
}

/// What was made of a type.
struct Shape {
    words: String,
    type_name: Option<String>,
    fields: Vec<Field>,
}

impl Shape {
    fn leaf(words: String) -> Shape {
        Shape { words, type_name: None, fields: Vec::new() }
    }
}

impl Tree {
    /// The tree of a schema.
    #[must_use]
    pub fn of(schema: &AlertSchema) -> Tree {
        // It has been parsed before; where it could not be now, the columns are shown without what the producer wrote.
        let json: Value = serde_json::from_str(&schema.json).unwrap_or_default();
        let mut names = HashMap::new();
        collect(&json, "", &mut names);
        let mut walk = Walk { names, leaves: 0 };
        let (record, space) = unwrap(&json, "", &walk.names);
        let fields = walk.record(record, space, &schema.name, schema.arrow.fields(), "");
        Tree {
            name: schema.name.clone(),
            doc: text(record, "doc"),
            fingerprint: schema.fingerprint,
            columns: walk.leaves,
            fields,
        }
    }

    /// All fields, each before those inside it.
    pub fn all(&self) -> Vec<&Field> {
        fn below<'a>(fields: &'a [Field], all: &mut Vec<&'a Field>) {
            for field in fields {
                all.push(field);
                below(&field.fields, all);
            }
        }
        let mut all = Vec::new();
        below(&self.fields, &mut all);
        all
    }
}

/// What `type` can say besides the name of a type.
const BUILTIN: [&str; 14] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "error", "enum", "fixed", "array", "map"];

/// Types with a name, by their full name, with the namespace that names inside them are in.
pub(super) type Names<'a> = HashMap<String, (&'a Value, String)>;

pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The full name of a type that defines one, and the namespace inside it.
fn named(value: &Value, space: &str) -> Option<(String, String)> {
    if !matches!(kind(value), "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let name = value.get("name")?.as_str()?;
    let own = value.get("namespace").and_then(Value::as_str).unwrap_or(space);
    let full = if name.contains('.') || own.is_empty() { name.to_owned() } else { format!("{own}.{name}") };
    let inner = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
    Some((full, inner))
}

/// Finds the definitions of all types with a name. As deep as the JSON is nested, which is bounded.
fn collect<'a>(value: &'a Value, space: &str, names: &mut Names<'a>) {
    match value {
        Value::Array(branches) => branches.iter().for_each(|b| collect(b, space, names)),
        Value::Object(all) => {
            let own = named(value, space);
            let inner = own.as_ref().map_or(space, |(_, inner)| inner).to_owned();
            if let Some((full, inner)) = own {
                names.entry(full).or_insert((value, inner));
            }
            for key in ["type", "items", "values"] {
                if let Some(below) = all.get(key).filter(|v| !v.is_string()) {
                    collect(below, &inner, names);
                }
            }
            if let Some(Value::Array(fields)) = all.get("fields") {
                fields.iter().for_each(|f| collect(f.get("type").unwrap_or(&Value::Null), &inner, names));
            }
        }
        _ => {}
    }
}

/// The definition that a type stands for: names are followed, `{"type": X}` is X, and so is a union of one. Gives the
/// namespace of what is inside. A chain that does not end stops at the depth of a schema.
pub(super) fn unwrap<'a>(mut value: &'a Value, space: &str, names: &Names<'a>) -> (&'a Value, String) {
    let mut space = space.to_owned();
    for _ in 0..crate::avro::MAX_DEPTH {
        match value {
            Value::String(name) => {
                let full = format!("{space}.{name}");
                let Some((definition, inner)) = names.get(&full).or_else(|| names.get(name)) else { break };
                return (definition, inner.clone());
            }
            Value::Array(branches) => match branches.as_slice() {
                [only] => value = only,
                _ => break,
            },
            Value::Object(all) => match all.get("type") {
                Some(inner @ (Value::Object(_) | Value::Array(_))) => value = inner,
                Some(inner @ Value::String(name)) if !BUILTIN.contains(&name.as_str()) => value = inner,
                _ => {
                    if let Some((_, inner)) = named(value, &space) {
                        space = inner;
                    }
                    break;
                }
            },
            _ => break,
        }
    }
    (value, space)
}

struct Walk<'a> {
    names: Names<'a>,
    leaves: usize,
}

impl<'a> Walk<'a> {
    /// The fields of a record, which the columns have in the same order.
    fn record(
        &mut self,
        record: &'a Value,
        space: String,
        owner: &str,
        columns: &arrow_schema::Fields,
        path: &str,
    ) -> Vec<Field> {
        let fields = record.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut out = Vec::with_capacity(columns.len());
        for (i, column) in columns.iter().enumerate() {
            let field = fields.get(i).unwrap_or(&Value::Null);
            let kind = field.get("type").unwrap_or(&Value::Null);
            let default = field.get("default").cloned();
            let written = text(field, "name").filter(|name| name != column.name());
            let path = join(path, column.name());
            let (first, shape) = (self.leaves, self.shape(kind, &space, column.data_type(), &path));
            out.push(Field {
                name: column.name().clone(),
                written,
                default_fits: default.as_ref().is_none_or(|d| fits(d, kind, &space, &self.names)),
                default,
                doc: text(field, "doc"),
                owner: owner.to_owned(),
                nullable: column.is_nullable(),
                arrow: column.data_type().clone(),
                leaves: first..self.leaves,
                words: shape.words,
                type_name: shape.type_name,
                fields: shape.fields,
                path,
            });
        }
        out
    }

    /// What a type is, which has become `column`.
    fn shape(&mut self, kind: &'a Value, space: &str, column: &DataType, path: &str) -> Shape {
        let (mut value, mut space) = unwrap(kind, space, &self.names);
        if let Value::Array(branches) = value {
            let real: Vec<&'a Value> = branches.iter().filter(|b| b.as_str() != Some("null")).collect();
            match real.as_slice() {
                [only] => (value, space) = unwrap(only, &space, &self.names),
                _ => return self.union(&real, &space, column, path),
            }
        }
        match column {
            DataType::Struct(columns) => {
                let name = named(value, &space).map(|(full, _)| full);
                let owner = name.clone().unwrap_or_default();
                let fields = self.record(value, space, &owner, columns, path);
                Shape { words: "record".to_owned(), type_name: name, fields }
            }
            DataType::List(item) => {
                let inner = value.get("items").unwrap_or(&Value::Null);
                let shape = self.shape(inner, &space, item.data_type(), &format!("{path}[]"));
                let words = format!("array of {}", several(&shape.words, item.is_nullable()));
                Shape { words, ..shape }
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(pair) = entries.data_type() else { return Shape::leaf("map".to_owned()) };
                let Some(item) = pair.get(1) else { return Shape::leaf("map".to_owned()) };
                // The key is a column of its own.
                self.leaves += 1;
                let inner = value.get("values").unwrap_or(&Value::Null);
                let shape = self.shape(inner, &space, item.data_type(), &format!("{path}{{}}"));
                let words = format!("map from text to {}", several(&shape.words, item.is_nullable()));
                Shape { words, ..shape }
            }
            leaf => {
                self.leaves += 1;
                let name = named(value, &space).map(|(full, _)| full);
                Shape { words: leaf_words(leaf, value), type_name: name, fields: Vec::new() }
            }
        }
    }

    fn union(&mut self, branches: &[&'a Value], space: &str, column: &DataType, path: &str) -> Shape {
        let DataType::Struct(members) = column else {
            self.leaves += 1;
            return Shape::leaf(leaf_words(column, &Value::Null));
        };
        let mut fields = Vec::new();
        for (branch, member) in branches.iter().zip(members) {
            let path = join(path, member.name());
            let (first, shape) = (self.leaves, self.shape(branch, space, member.data_type(), &path));
            fields.push(Field {
                name: member.name().clone(),
                written: None,
                words: shape.words,
                type_name: shape.type_name,
                nullable: true,
                default: None,
                default_fits: true,
                doc: None,
                owner: String::new(),
                arrow: member.data_type().clone(),
                leaves: first..self.leaves,
                fields: shape.fields,
                path,
            });
        }
        Shape { words: format!("one of {} types", fields.len()), type_name: None, fields }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn several(words: &str, or_null: bool) -> String {
    let words = if words == "record" { "records" } else { words };
    if or_null { format!("{words} or null") } else { words.to_owned() }
}
