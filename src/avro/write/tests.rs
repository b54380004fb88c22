//! What is missing, wrong or left out. That whole alerts come back as they were is held by the tests of decoding
//! (`decode/tests/differential.rs`) and of the archive.

#![allow(clippy::unwrap_used)]

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use arrow_array::{ArrayRef, Decimal128Array, Float32Array, Int32Array, Int64Array, StringArray, StructArray};
use arrow_schema::{Field, Fields};

use super::*;

fn writer(fields: &str) -> (Schema, RecordWriter) {
    let json = format!(r#"{{"type": "record", "name": "alert", "namespace": "a.b", "fields": [{fields}]}}"#);
    let schema = AlertSchema::parse(&json).unwrap();
    (Schema::parse_str(&json).unwrap(), RecordWriter::new(&schema).unwrap())
}

fn read(schema: &Schema, mut datum: &[u8]) -> Vec<(String, Value)> {
    let value = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut datum).unwrap();
    assert!(datum.is_empty(), "{} bytes are left over", datum.len());
    let Value::Record(fields) = value else { panic!("a record") };
    fields
}

fn first(writer: &RecordWriter, columns: Vec<(&str, ArrayRef)>) -> Result<Vec<u8>, WriteError> {
    let records = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut out = Vec::new();
    writer.bind(&records)?.encode(0, &mut out)?;
    Ok(out)
}

fn ids() -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(7), None]))
}

#[test]
fn a_column_that_is_not_there_is_null_or_its_default_and_else_named() {
    let (schema, writer) = writer(
        r#"{"name": "id", "type": "long"},
        {"name": "first", "type": ["null", "double"], "default": null},
        {"name": "last", "type": ["int", "null"], "default": 3},
        {"name": "several", "type": ["string", "null", "long"], "default": "x"},
        {"name": "count", "type": "int", "default": -999},
        {"name": "mag", "type": "float", "default": 1.5},
        {"name": "name", "type": "string", "default": "none"},
        {"name": "raw", "type": "bytes", "default": "\u00ff\u0001"},
        {"name": "colour", "type": {"type": "enum", "name": "colour", "symbols": ["r", "g"]}, "default": "g"},
        {"name": "tag", "type": {"type": "fixed", "name": "tag", "size": 2}, "default": "ab"},
        {"name": "list", "type": {"type": "array", "items": "long"}, "default": [1, 2]},
        {"name": "map", "type": {"type": "map", "values": "boolean"}, "default": {"k": true}},
        {"name": "inner", "type": {"type": "record", "name": "inner", "fields": [
            {"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 2}]}, "default": {"a": 1}}"#,
    );
    let datum = first(&writer, vec![("id", ids())]).unwrap();
    let null = |at| Value::Union(at, Box::new(Value::Null));
    let expected = [
        ("id", Value::Long(7)),
        ("first", null(0)),
        ("last", null(1)),
        ("several", null(1)),
        ("count", Value::Int(-999)),
        ("mag", Value::Float(1.5)),
        ("name", Value::String("none".into())),
        ("raw", Value::Bytes(vec![0xff, 1])),
        ("colour", Value::Enum(1, "g".into())),
        ("tag", Value::Fixed(2, b"ab".to_vec())),
        ("list", Value::Array(vec![Value::Long(1), Value::Long(2)])),
        ("map", Value::Map(HashMap::from([("k".to_owned(), Value::Boolean(true))]))),
        ("inner", Value::Record(vec![("a".into(), Value::Int(1)), ("b".into(), Value::Int(2))])),
    ];
    assert_eq!(read(&schema, &datum), expected.map(|(name, value)| (name.to_owned(), value)));

    let refused = first(&writer, vec![("other", ids())]).unwrap_err();
    assert_eq!(refused.path, "id");
    assert!(refused.what.contains("neither null nor"), "{refused}");
}

#[test]
fn a_field_inside_a_record_can_be_missing_too() {
    let (schema, writer) = writer(
        r#"{"name": "candidate", "type": {"type": "record", "name": "candidate", "fields": [
            {"name": "ra", "type": "double"}, {"name": "rb", "type": ["null", "float"]}, {"name": "jd", "type": "double"}]}},
        {"name": "before", "type": ["null", {"type": "array", "items": "candidate"}]}"#,
    );
    let inner = |name: &str| -> ArrayRef {
        let fields = Fields::from(vec![Field::new(name, DataType::Float64, false)]);
        Arc::new(StructArray::new(fields, vec![Arc::new(arrow_array::Float64Array::from(vec![10.5]))], None))
    };
    let refused = first(&writer, vec![("candidate", inner("ra"))]).unwrap_err();
    assert_eq!(refused.path, "candidate.jd");
    let fields = Fields::from(vec![Field::new("ra", DataType::Float64, false), Field::new("jd", DataType::Float64, false)]);
    let number = |x: f64| -> ArrayRef { Arc::new(arrow_array::Float64Array::from(vec![x])) };
    let record = StructArray::new(fields, vec![number(10.5), number(2.5e6)], None);
    let datum = first(&writer, vec![("candidate", Arc::new(record))]).unwrap();
    let null = Value::Union(0, Box::new(Value::Null));
    let expected =
        vec![("ra".to_owned(), Value::Double(10.5)), ("rb".to_owned(), null.clone()), ("jd".to_owned(), Value::Double(2.5e6))];
    assert_eq!(read(&schema, &datum), [("candidate".to_owned(), Value::Record(expected)), ("before".to_owned(), null)]);
}

#[test]
fn a_null_that_is_wanted_and_a_type_that_is_another_are_errors() {
    let (_, writer) = writer(r#"{"name": "id", "type": "long"}"#);
    let records = RecordBatch::try_from_iter([("id", ids())]).unwrap();
    let bound = writer.bind(&records).unwrap();
    let mut out = Vec::new();
    bound.encode(0, &mut out).unwrap();
    assert_eq!(out, [14]);
    assert!(bound.encode(1, &mut out).unwrap_err().to_string().starts_with("field id: null"));
    for other in [
        Arc::new(Int32Array::from(vec![1])) as ArrayRef,
        Arc::new(StringArray::from(vec!["1"])),
        Arc::new(Float32Array::from(vec![1.0])),
        Arc::new(arrow_array::TimestampMillisecondArray::from(vec![1])),
    ] {
        assert!(first(&writer, vec![("id", other)]).unwrap_err().what.contains("does not hold"));
    }
}

#[test]
fn a_symbol_that_the_enum_has_not_is_an_error() {
    let (schema, writer) = writer(r#"{"name": "c", "type": {"type": "enum", "name": "c", "symbols": ["r", "g"]}}"#);
    let column = |text: &str| vec![("c", Arc::new(StringArray::from(vec![text])) as ArrayRef)];
    assert_eq!(read(&schema, &first(&writer, column("g")).unwrap()), [("c".to_owned(), Value::Enum(1, "g".into()))]);
    assert!(first(&writer, column("b")).unwrap_err().what.contains("no symbol"));
}

#[test]
fn decimals_are_as_short_as_they_can_be_or_as_long_as_they_have_to_be() {
    let kind =
        |base: &str| format!(r#"{{"name": "d", "type": {{{base}, "logicalType": "decimal", "precision": 38, "scale": 2}}}}"#);
    let (_, short) = writer(&kind(r#""type": "bytes""#));
    let (_, fixed) = writer(&kind(r#""type": "fixed", "name": "f", "size": 3"#));
    let column = |v: i128| {
        let array = Decimal128Array::from(vec![v]).with_precision_and_scale(38, 2).unwrap();
        vec![("d", Arc::new(array) as ArrayRef)]
    };
    for (value, bytes, all) in [
        (0, &[0][..], Some([0, 0, 0])),
        (127, &[127], Some([0, 0, 127])),
        (128, &[0, 128], Some([0, 0, 128])),
        (-1, &[255], Some([255, 255, 255])),
        (-128, &[128], Some([255, 255, 128])),
        (-129, &[255, 127], Some([255, 255, 127])),
        (1 << 23, &[0, 128, 0, 0], None),
    ] {
        let mut expected = Vec::new();
        write_bytes(&mut expected, bytes);
        assert_eq!(first(&short, column(value)).unwrap(), expected, "{value}");
        assert_eq!(first(&fixed, column(value)).ok(), all.map(|a| a.to_vec()), "{value}");
    }
    assert_eq!(first(&short, column(i128::MIN)).unwrap().len(), 17);
}
