//! The target `schema`.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, FieldRef, Fields};
use skysluice::avro::{AlertSchema, FieldNames, MAX_COLUMNS, RecordWriter, Wanted, append};
use skysluice::config::{Framing, Survey};
use skysluice::decode::Decode;

use crate::{datum, known, stage};

static SURVEY: LazyLock<Arc<Survey>> = LazyLock::new(|| known::survey("ztf"));

pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let Ok(json) = std::str::from_utf8(&data[..end]) else { return };
    let Ok(schema) = AlertSchema::parse(json) else {
        // What is refused is refused whatever is wanted of it.
        assert!(AlertSchema::parse_wanted(json, &Wanted::default()).is_err());
        return;
    };
    let columns = columns(schema.arrow.fields());
    assert!(columns <= 2 * MAX_COLUMNS, "{columns} columns");
    compiled(json, &schema);
    appended(json, &schema, columns);
    if let Some(payload) = data.get(end + 1..) {
        decoded(json, payload);
    }
}

/// The same text gives the same schema, and any part of it can be wanted.
fn compiled(json: &str, schema: &AlertSchema) {
    let again = AlertSchema::parse(json).expect("it was parsed before");
    assert_eq!((again.fingerprint, &again.name, &again.arrow), (schema.fingerprint, &schema.name, &schema.arrow));
    for field in schema.arrow.fields() {
        let wanted = Wanted::only([FieldNames::from([field.name().clone()])]);
        let part = AlertSchema::parse_wanted(json, &wanted).expect("any part of a schema that is right can be wanted");
        assert_eq!(part.fingerprint, schema.fingerprint);
        if schema.arrow.fields().len() > 20 {
            break;
        }
    }
    let nothing = AlertSchema::parse_wanted(json, &Wanted::default()).expect("nothing can be wanted of any schema");
    assert_eq!(nothing.decoded.fields().len(), 0);
    RecordWriter::new(schema).expect("a schema that can be read can be written");
}

/// What is appended to a schema that is right makes another that is right.
fn appended(json: &str, schema: &AlertSchema, columns: usize) {
    let field: FieldRef = Arc::new(Field::new("skysluice_fuzz", DataType::Float64, true));
    let Ok(appended) = append(json, &[field]) else { return };
    match AlertSchema::parse(&appended.json) {
        Ok(longer) => assert_eq!(longer.arrow.fields().len(), schema.arrow.fields().len() + 1),
        // The last column that there may be, or the last byte of JSON.
        Err(error) => assert!(columns > MAX_COLUMNS / 2 || json.len() > 1 << 20, "{error}: {}", appended.json),
    }
}

/// Bytes are decoded by it as by apache-avro.
fn decoded(json: &str, payload: &[u8]) {
    let framing = Framing::Bare(json.into());
    let stage = Decode::new(&framing, SURVEY.clone(), Wanted::everything()).expect("the schema is right");
    let fate = &stage::decode(&stage, &[payload])[0];
    if let Some(schema) = known::judged(json) {
        datum::judged(&schema, payload, fate);
    }
}

/// Leaves of columns.
fn columns(fields: &Fields) -> usize {
    fields.iter().map(|field| leaves(field.data_type())).sum()
}

fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => columns(fields),
        DataType::List(item) | DataType::Map(item, _) => leaves(item.data_type()),
        _ => 1,
    }
}
