//! What is encoded is read back by apache-avro.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Reader, Schema};
use arrow_array::{Float32Array, Float64Array, Int32Array, ListArray, StructArray, TimestampMicrosecondArray};
use arrow_schema::Fields;
use proptest::prelude::*;

use super::super::append;
use super::*;

const ALERT: &str = r#"{"type":"record","name":"alert","namespace":"t","fields":[
    {"name":"objectId","type":"string"},{"name":"magpsf","type":["null","float"],"default":null}]}"#;

/// A neighbour in a list: name and magnitude.
type Neighbour = (String, Option<f32>);

#[derive(Clone, Debug)]
struct Row {
    distance: Option<f64>,
    count: i32,
    near: Option<Vec<Option<Neighbour>>>,
    when: Option<i64>,
    moving: Option<bool>,
    text: Option<String>,
    blob: Vec<u8>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let neighbour = (".{0,20}", proptest::option::of(-30f32..30.0));
    let near = proptest::option::of(proptest::collection::vec(proptest::option::of(neighbour), 0..4));
    let row = (
        proptest::option::of(any::<f64>().prop_filter("comparable", |x| !x.is_nan())),
        any::<i32>(),
        near,
        proptest::option::of(any::<i64>()),
        proptest::option::of(any::<bool>()),
        proptest::option::of(".{0,40}"),
        proptest::collection::vec(any::<u8>(), 0..40),
    );
    let row =
        row.prop_map(|(distance, count, near, when, moving, text, blob)| Row { distance, count, near, when, moving, text, blob });
    proptest::collection::vec(row, 1..12)
}

fn columns(rows: &[Row]) -> (Vec<FieldRef>, Vec<ArrayRef>) {
    let parts: Fields = vec![Field::new("name", DataType::Utf8View, false), Field::new("mag", DataType::Float32, true)].into();
    let items: Vec<Option<Neighbour>> = rows.iter().flat_map(|r| r.near.clone().unwrap_or_default()).collect();
    let names = StringViewArray::from_iter_values(items.iter().map(|i| i.as_ref().map_or("", |n| n.0.as_str())));
    let mags: Float32Array = items.iter().map(|i| i.as_ref().and_then(|n| n.1)).collect();
    let valid: NullBuffer = items.iter().map(Option::is_some).collect::<Vec<_>>().into();
    let records = StructArray::new(parts, vec![Arc::new(names), Arc::new(mags)], Some(valid));
    let item = Arc::new(Field::new("item", records.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|r| r.near.as_ref().map_or(0, Vec::len)));
    let valid: NullBuffer = rows.iter().map(|r| r.near.is_some()).collect::<Vec<_>>().into();
    let near = ListArray::new(item, offsets, Arc::new(records), Some(valid));
    let when: TimestampMicrosecondArray = rows.iter().map(|r| r.when).collect();
    let all: Vec<(&str, bool, ArrayRef)> = vec![
        ("distance", true, Arc::new(rows.iter().map(|r| r.distance).collect::<Float64Array>())),
        ("count", false, Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.count)))),
        ("near", true, Arc::new(near)),
        ("when", true, Arc::new(when.with_timezone("UTC"))),
        ("moving", true, Arc::new(rows.iter().map(|r| r.moving).collect::<BooleanArray>())),
        ("text", true, Arc::new(rows.iter().map(|r| r.text.as_deref()).collect::<StringArray>())),
        ("blob", false, Arc::new(BinaryArray::from_iter_values(rows.iter().map(|r| &r.blob)))),
    ];
    all.into_iter().map(|(name, null, a)| (Arc::new(Field::new(name, a.data_type().clone(), null)), a)).unzip()
}

fn optional<T>(value: Option<T>, wrap: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Union(0, Box::new(Value::Null)), |v| Value::Union(1, Box::new(wrap(v))))
}

fn expected(row: &Row) -> Vec<(String, Value)> {
    let neighbour = |(name, mag): Neighbour| {
        Value::Record(vec![("name".into(), Value::String(name)), ("mag".into(), optional(mag, Value::Float))])
    };
    let near = |list: Vec<Option<Neighbour>>| Value::Array(list.into_iter().map(|n| optional(n, neighbour)).collect());
    vec![
        ("distance".into(), optional(row.distance, Value::Double)),
        ("count".into(), Value::Int(row.count)),
        ("near".into(), optional(row.near.clone(), near)),
        ("when".into(), optional(row.when, Value::TimestampMicros)),
        ("moving".into(), optional(row.moving, Value::Boolean)),
        ("text".into(), optional(row.text.clone(), Value::String)),
        ("blob".into(), Value::Bytes(row.blob.clone())),
    ]
}

fn original(i: usize) -> Value {
    let mag = optional(i.is_multiple_of(2).then_some(i as f32), Value::Float);
    Value::Record(vec![("objectId".into(), Value::String(format!("ZTF{i}"))), ("magpsf".into(), mag)])
}

/// What apache-avro reads in a container with this header and one block.
fn read(json: &str, data: &[u8], records: usize) -> Vec<Value> {
    let sync = sync_marker(json);
    let mut file = container_header(json, &sync);
    write_block_start(&mut file, records, data.len());
    file.extend_from_slice(data);
    file.extend_from_slice(&sync);
    Reader::new(&file[..]).unwrap().map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn a_datum_with_annotations_behind_it_is_a_datum_of_the_appended_schema(rows in rows(), start in 0_usize..3) {
        let (fields, arrays) = columns(&rows);
        let json = append(ALERT, &fields).unwrap().json;
        let start = start.min(rows.len() - 1);
        let arrays: Vec<ArrayRef> = arrays.iter().map(|a| a.slice(start, rows.len() - start)).collect();
        let encoder = Encoder::new(&fields).bind(&arrays).unwrap();
        let schema = Schema::parse_str(ALERT).unwrap();
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
        let mut data = Vec::new();
        for i in start..rows.len() {
            data.extend(writer.write_value_to_vec(original(i)).unwrap());
            encoder.encode(i - start, &mut data);
        }
        let values = read(&json, &data, rows.len() - start);
        prop_assert_eq!(values.len(), rows.len() - start);
        for (i, value) in (start..rows.len()).zip(values) {
            let (Value::Record(mut all), Value::Record(own)) = (value, original(i)) else { panic!("a record") };
            let annotations = all.split_off(own.len());
            prop_assert_eq!(all, own);
            prop_assert_eq!(annotations, expected(&rows[i]));
        }
    }
}

#[test]
fn columns_that_do_not_fit_their_fields_are_refused() {
    let field: FieldRef = Arc::new(Field::new("count", DataType::Int32, false));
    let encoder = Encoder::new(&[field]);
    let refused = |arrays: &[ArrayRef]| encoder.bind(arrays).unwrap_err().to_string();
    assert!(refused(&[]).contains("0 columns for 1 fields"));
    assert!(refused(&[Arc::new(Float64Array::from(vec![1.0]))]).contains("a column of Float64"));
    assert!(refused(&[Arc::new(Int32Array::from(vec![Some(1), None]))]).contains("1 nulls"));
}

fn long(bytes: &mut &[u8]) -> i64 {
    let (mut bits, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        bits |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed();
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = bytes.split_at(count);
    *bytes = tail;
    head
}

/// Schema, codec, and the first block of a container.
fn container(file: &[u8]) -> (String, String, usize, &[u8]) {
    let mut rest = &file[4..];
    let (mut json, mut codec) = (String::new(), "null".to_owned());
    loop {
        let mut entries = long(&mut rest);
        if entries == 0 {
            break;
        }
        if entries < 0 {
            long(&mut rest);
            entries = -entries;
        }
        for _ in 0..entries {
            let length = long(&mut rest) as usize;
            let key = take(&mut rest, length).to_vec();
            let length = long(&mut rest) as usize;
            let value = String::from_utf8_lossy(take(&mut rest, length)).into_owned();
            match &key[..] {
                b"avro.schema" => json = value,
                b"avro.codec" => codec = value,
                _ => {}
            }
        }
    }
    take(&mut rest, 16);
    let (records, length) = (long(&mut rest) as usize, long(&mut rest) as usize);
    (json, codec, records, take(&mut rest, length))
}

#[test]
fn annotations_follow_the_packets_of_real_surveys() {
    let data = std::env::var_os("SKYSLUICE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if !data.join("alerts").is_dir() {
        eprintln!("skipped: no survey packets at {}", data.display());
        return;
    }
    let row = Row {
        distance: Some(0.25),
        count: 3,
        near: Some(vec![Some(("BL Lac".into(), Some(14.5))), None]),
        when: None,
        moving: Some(false),
        text: Some("ω".into()),
        blob: vec![0, 255],
    };
    let (fields, arrays) = columns(std::slice::from_ref(&row));
    let encoder = Encoder::new(&fields).bind(&arrays).unwrap();
    let mut tried = 0;
    for survey in ["ztf", "elasticc", "lsst", "atlas", "winter", "pgir", "turbo"] {
        for entry in std::fs::read_dir(data.join("alerts").join(survey)).unwrap() {
            let path = entry.unwrap().path();
            let file = std::fs::read(&path).unwrap();
            if !file.starts_with(b"Obj\x01") {
                continue;
            }
            let (json, codec, records, block) = container(&file);
            if codec != "null" || records != 1 {
                continue;
            }
            let appended = append(&json, &fields).unwrap();
            if survey == "winter" {
                // Two fields of one record have the same name: nothing here mends that, and no strict reader takes it.
                assert!(Schema::parse_str(&appended.json).unwrap_err().to_string().contains("Duplicate field name"));
                continue;
            }
            let mut datum = block.to_vec();
            encoder.encode(0, &mut datum);
            let [Value::Record(all)] = &read(&appended.json, &datum, 1)[..] else { panic!("{}: a record", path.display()) };
            let own = all.len() - fields.len();
            assert_eq!(all[own..], expected(&row), "{}", path.display());
            // The producer's own schema, where the reader takes it, gives the same values.
            match Reader::new(&file[..]) {
                Ok(reader) => {
                    let Value::Record(before) = reader.into_iter().next().unwrap().unwrap() else { panic!("a record") };
                    assert_eq!(format!("{:?}", &all[..own]), format!("{before:?}"), "{}", path.display());
                    assert_eq!(appended.dropped_defaults, [""; 0], "{}", path.display());
                }
                Err(error) => {
                    eprintln!("{}: {error}; left out: {:?}", path.display(), appended.dropped_defaults);
                    assert!(!appended.dropped_defaults.is_empty(), "{}: {error}", path.display());
                }
            }
            tried += 1;
        }
    }
    assert!(tried >= 15, "only {tried} packets tried");
}
