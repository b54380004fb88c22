//! Writing alerts again: columns become data of the schema that their producer had.
//!
//! May depend on: apache-avro (the parsed schema), arrow. Pure. The reverse of decoding: the types are those of the table at
//! [`AlertSchema::parse`], and what other readers make of them (text and bytes that are no views, enums as text) is taken too.
//!
//! **Invariant:** what is decoded from a datum and written here is read alike. The bytes are the same where the producer
//! wrote every array and map as one block with its count, as nearly all do, and decimals without bytes that say nothing.
//! **Invariant:** a field that the columns lack is null where the schema allows it, else its default, else an error: nothing
//! is made up.

mod bound;

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, RecordSchema, UuidSchema};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, TimeUnit};
use serde_json::Value as Json;

use super::append::Named;
use super::{AlertSchema, AvroError, lenient, write_bytes, write_long};
pub use bound::BoundRecords;

/// Columns can't be written as data of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {path}: {what}")]
pub struct WriteError {
    /// Path of the field.
    pub path: String,
    /// What does not fit.
    pub what: String,
}

impl WriteError {
    fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    fn below(self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        Self { path, ..self }
    }
}

/// Writes rows as data of one schema.
#[derive(Debug)]
pub struct RecordWriter {
    fields: Vec<FieldNode>,
}

/// A field of a record.
#[derive(Debug)]
struct FieldNode {
    name: String,
    node: Node,
    default: Option<Json>,
}

/// How values of a type are written.
#[derive(Debug)]
enum Node {
    Null,
    Boolean,
    /// With the Arrow type that it is decoded to, here and below.
    Int(DataType),
    Long(DataType),
    Float,
    Double,
    Text,
    Bytes,
    Fixed(i32),
    /// A fixed of no bytes.
    Empty,
    /// A record without fields.
    Present,
    Enum(Arc<HashMap<String, i64>>),
    Decimal {
        data_type: DataType,
        /// Bytes; as many as are needed where there is none.
        size: Option<usize>,
    },
    List(Box<Node>),
    Map(Box<Node>),
    Record(Vec<FieldNode>),
    /// A union of one branch.
    Only(Box<Node>),
    /// A union of null, which is the branch of this number, and one other.
    Maybe(u8, Box<Node>),
    /// Any other union: the branch of null, and the other branches by their numbers.
    Union(Option<i64>, Vec<(i64, Node)>),
}

impl RecordWriter {
    /// A writer for a schema.
    ///
    /// # Errors
    /// As [`AlertSchema::parse`], which has taken the schema already.
    pub fn new(schema: &AlertSchema) -> Result<RecordWriter, AvroError> {
        let raw: Json = serde_json::from_str(&schema.json)?;
        let parsed = Schema::parse(&lenient::essentials(&raw)?).map_err(|e| AvroError::Avro(Box::new(e)))?;
        let mut defaults = Named::default();
        defaults.collect(&raw, "");
        let mut builder = Builder { names: HashMap::new(), defaults };
        match builder.node(&parsed)? {
            Node::Record(fields) => Ok(RecordWriter { fields }),
            _ => Err(AvroError::NotARecord(schema.name.clone())),
        }
    }

    /// The writer over the columns of a batch, found by their names. It shares their memory.
    ///
    /// # Errors
    /// When a column is of another type than the schema's, or is not there and can be neither null nor a default.
    pub fn bind(&self, records: &RecordBatch) -> Result<BoundRecords, WriteError> {
        let columns = self.fields.iter().map(|field| field.bind(records.column_by_name(&field.name)));
        Ok(BoundRecords::new(columns.collect::<Result<_, _>>()?, records.num_rows()))
    }

    /// Names of the columns that it writes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }
}

struct Builder<'a> {
    /// Named types, as far as they have been met: a name is always defined before it is used, and never inside itself.
    names: HashMap<String, &'a Schema>,
    defaults: Named,
}

impl<'a> Builder<'a> {
    fn node(&mut self, schema: &'a Schema) -> Result<Node, AvroError> {
        let time = |unit, utc: bool| Node::Long(DataType::Timestamp(unit, utc.then(|| Arc::from("UTC"))));
        Ok(match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int(DataType::Int32),
            Schema::Date => Node::Int(DataType::Date32),
            Schema::TimeMillis => Node::Int(DataType::Time32(TimeUnit::Millisecond)),
            Schema::Long => Node::Long(DataType::Int64),
            Schema::TimeMicros => Node::Long(DataType::Time64(TimeUnit::Microsecond)),
            Schema::TimestampMillis => time(TimeUnit::Millisecond, true),
            Schema::TimestampMicros => time(TimeUnit::Microsecond, true),
            Schema::TimestampNanos => time(TimeUnit::Nanosecond, true),
            Schema::LocalTimestampMillis => time(TimeUnit::Millisecond, false),
            Schema::LocalTimestampMicros => time(TimeUnit::Microsecond, false),
            Schema::LocalTimestampNanos => time(TimeUnit::Nanosecond, false),
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::Text,
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.names.insert(fixed.name.fullname(None), schema);
                fixed_node(fixed.size)
            }
            Schema::Decimal(decimal) => {
                let size = match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => {
                        self.names.insert(fixed.name.fullname(None), schema);
                        Some(fixed.size)
                    }
                };
                match (size, u8::try_from(decimal.precision).ok().filter(|p| *p <= 38)) {
                    (size, Some(precision)) => {
                        Node::Decimal { data_type: DataType::Decimal128(precision, decimal.scale as i8), size }
                    }
                    (None, None) => Node::Bytes,
                    (Some(size), None) => fixed_node(size),
                }
            }
            Schema::Enum(symbols) => {
                self.names.insert(symbols.name.fullname(None), schema);
                Node::Enum(Arc::new(symbols.symbols.iter().cloned().zip(0..).collect()))
            }
            Schema::Array(array) => Node::List(Box::new(self.node(&array.items)?)),
            Schema::Map(map) => Node::Map(Box::new(self.node(&map.types)?)),
            Schema::Union(union) => match union.variants() {
                [only] => Node::Only(Box::new(self.node(only)?)),
                [Schema::Null, other] => Node::Maybe(0, Box::new(self.node(other)?)),
                [other, Schema::Null] => Node::Maybe(1, Box::new(self.node(other)?)),
                branches => {
                    let (mut null_at, mut members) = (None, Vec::new());
                    for (number, branch) in (0..).zip(branches) {
                        match branch {
                            Schema::Null => null_at = Some(number),
                            other => members.push((number, self.node(other)?)),
                        }
                    }
                    Node::Union(null_at, members)
                }
            },
            Schema::Record(record) => {
                self.names.insert(record.name.fullname(None), schema);
                self.record(record)?
            }
            Schema::Ref { name } => {
                let name = name.fullname(None);
                let known = self.names.get(&name).copied();
                let unknown = || AvroError::Type { path: name.clone(), what: "the type is not defined".to_owned() };
                self.node(known.ok_or_else(unknown)?)?
            }
        })
    }

    fn record(&mut self, record: &'a RecordSchema) -> Result<Node, AvroError> {
        if record.fields.is_empty() {
            return Ok(Node::Present);
        }
        // By place and not by name: names that come twice have been mended.
        let written = self.defaults.types.get(&record.name.fullname(None)).map(|(json, _)| json.clone());
        let default = |i: usize| written.as_ref()?.get("fields")?.get(i)?.get("default").cloned();
        let field = |(i, field): (usize, &'a apache_avro::schema::RecordField)| {
            Ok(FieldNode { name: field.name.clone(), node: self.node(&field.schema)?, default: default(i) })
        };
        record.fields.iter().enumerate().map(field).collect::<Result<_, AvroError>>().map(Node::Record)
    }
}

fn fixed_node(size: usize) -> Node {
    match i32::try_from(size) {
        Ok(0) | Err(_) => Node::Empty,
        Ok(size) => Node::Fixed(size),
    }
}

impl FieldNode {
    /// What is written where the field is not among the columns.
    fn fallback(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let null = self.node.write_default(&Json::Null, &mut out);
        if null.is_none() {
            out.clear();
            self.node.write_default(self.default.as_ref()?, &mut out)?;
        }
        Some(out)
    }
}

impl Node {
    /// Appends a default as the schema gives it in JSON (Avro 1.12, "Complex Types"); `None` where it does not fit the type.
    fn write_default(&self, value: &Json, out: &mut Vec<u8>) -> Option<()> {
        // Bytes are given as a text of the code points U+0000 to U+00FF.
        let bytes = || value.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>();
        match self {
            Node::Null => value.is_null().then_some(())?,
            Node::Boolean => out.push(u8::from(value.as_bool()?)),
            Node::Int(_) => write_long(out, i64::from(i32::try_from(value.as_i64()?).ok()?)),
            Node::Long(_) => write_long(out, value.as_i64()?),
            Node::Float => out.extend_from_slice(&(value.as_f64()? as f32).to_le_bytes()),
            Node::Double => out.extend_from_slice(&value.as_f64()?.to_le_bytes()),
            Node::Text => write_bytes(out, value.as_str()?.as_bytes()),
            Node::Bytes | Node::Decimal { size: None, .. } => write_bytes(out, &bytes()?),
            Node::Fixed(size) => out.extend(bytes().filter(|b| b.len() == *size as usize)?),
            Node::Decimal { size: Some(size), .. } => out.extend(bytes().filter(|b| b.len() == *size)?),
            Node::Empty => bytes()?.is_empty().then_some(())?,
            Node::Present => value.is_object().then_some(())?,
            Node::Enum(symbols) => write_long(out, *symbols.get(value.as_str()?)?),
            Node::List(item) => {
                let items = value.as_array()?;
                if !items.is_empty() {
                    write_long(out, items.len() as i64);
                }
                items.iter().try_for_each(|value| item.write_default(value, out))?;
                write_long(out, 0);
            }
            Node::Map(node) => {
                let entries = value.as_object()?;
                if !entries.is_empty() {
                    write_long(out, entries.len() as i64);
                }
                for (key, value) in entries {
                    write_bytes(out, key.as_bytes());
                    node.write_default(value, out)?;
                }
                write_long(out, 0);
            }
            Node::Record(fields) => {
                let given = value.as_object()?;
                for field in fields {
                    let value = given.get(&field.name).or(field.default.as_ref())?;
                    field.node.write_default(value, out)?;
                }
            }
            Node::Only(inner) => {
                write_long(out, 0);
                inner.write_default(value, out)?;
            }
            Node::Maybe(null_at, _) if value.is_null() => out.push(null_at << 1),
            Node::Maybe(null_at, inner) => {
                out.push((1 - null_at) << 1);
                inner.write_default(value, out)?;
            }
            Node::Union(null_at, _) if value.is_null() => write_long(out, (*null_at)?),
            Node::Union(_, members) => {
                let start = out.len();
                let fits = |(number, node): &(i64, Node)| {
                    out.truncate(start);
                    write_long(out, *number);
                    node.write_default(value, out).is_some()
                };
                members.iter().any(fits).then_some(())?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
