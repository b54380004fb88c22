//! The candidate view.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use serde_json::json;

use super::{batch, containers, packets, path, survey, write};
use crate::alert::{AlertBatch, Flags, Transform};
use crate::avro::Wanted;
use crate::config::{Framing, MagnitudeUnit, Survey, TimeScale};
use crate::decode::Decode;
use apache_avro::Schema;
use apache_avro::types::Value;

/// Decodes records of these fields by a survey.
fn decode(survey: Survey, fields: serde_json::Value, rows: Vec<Value>) -> AlertBatch {
    let json = json!({"type": "record", "name": "alert", "fields": fields}).to_string();
    let schema = Schema::parse_str(&json).unwrap();
    let datums: Vec<_> = rows.into_iter().map(|row| write(&schema, row).unwrap()).collect();
    let decode = Decode::new(&Framing::Bare(json.into()), Arc::new(survey), Wanted::everything()).unwrap();
    let decoded = decode.apply(&batch(&datums)).unwrap();
    assert!(decoded.letters.is_empty());
    decoded.parts.into_iter().next().unwrap()
}

fn record(fields: Vec<(&str, Value)>) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

fn none() -> Value {
    Value::Union(0, Box::new(Value::Null))
}

fn floats(array: &dyn Array) -> Vec<Option<f64>> {
    array.as_primitive::<Float64Type>().iter().collect()
}

fn names(flags: &[Flags]) -> Vec<Vec<&'static str>> {
    flags.iter().map(|f| f.names().collect()).collect()
}

#[test]
fn positions_off_the_sphere_are_null_and_flagged() {
    let fields = json!([{"name": "ra", "type": "double"}, {"name": "dec", "type": ["null", "float"]}]);
    let row = |ra: f64, dec: f32| record(vec![("ra", Value::Double(ra)), ("dec", some(Value::Float(dec)))]);
    let rows = vec![
        row(10.0, -90.0),
        row(360.0, 90.0),
        row(f64::NAN, 0.0),
        row(-0.001, 0.0),
        row(360.001, 0.0),
        row(1.0, 90.01),
        row(1.0, f32::INFINITY),
        record(vec![("ra", Value::Double(1.0)), ("dec", none())]),
    ];
    let by = Survey { ra: vec![path("ra")], dec: vec![path("dec")], ..survey() };
    let part = decode(by, fields, rows);
    let null = [None; 6];
    assert_eq!(floats(&part.candidate.ra), [&[Some(10.0), Some(0.0)][..], &null].concat());
    assert_eq!(floats(&part.candidate.dec), [&[Some(-90.0), Some(90.0)][..], &null].concat());
    for (row, flags) in names(&part.flags).iter().enumerate() {
        assert_eq!(flags.contains(&"bad_position"), row >= 2, "row {row}");
        assert!(flags.contains(&"no_id") && flags.contains(&"bad_time"), "the schema has neither");
    }
}

#[test]
fn times_follow_the_scale_and_absurd_ones_are_null() {
    let fields = json!([{"name": "t", "type": "double"}]);
    let micros = |scale, days: f64| {
        let by = Survey { time: vec![path("t")], time_scale: scale, ..survey() };
        let part = decode(by, fields.clone(), vec![record(vec![("t", Value::Double(days))])]);
        let time = part.candidate.time.as_primitive::<TimestampMicrosecondType>().iter().next().unwrap();
        assert_eq!(part.candidate.time.data_type().to_string(), r#"Timestamp(µs, "UTC")"#);
        assert_eq!(time.is_none(), names(&part.flags)[0].contains(&"bad_time"));
        time
    };
    // 2017-01-01T00:00:00 UTC is JD 2457754.5, MJD 57754, and 37 s later in TAI (IERS Bulletin C 52).
    assert_eq!(micros(TimeScale::Jd, 2_457_754.5), Some(1_483_228_800_000_000));
    assert_eq!(micros(TimeScale::Mjd, 57_754.0), Some(1_483_228_800_000_000));
    assert_eq!(micros(TimeScale::Mjd, 57_754.5), Some(1_483_272_000_000_000));
    let tai = micros(TimeScale::MjdTai, 57_754.0 + 37.0 / 86_400.0).unwrap();
    assert!((tai - 1_483_228_800_000_000).abs() <= 1, "{tai}");
    for absurd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -999.0, 47_891.9, 88_070.1, 1e300] {
        assert_eq!(micros(TimeScale::Mjd, absurd), None, "{absurd}");
    }
    assert!(micros(TimeScale::Mjd, 47_892.0).is_some() && micros(TimeScale::Mjd, 88_068.9).is_some());
}

#[test]
fn a_time_that_the_schema_declares_needs_no_scale() {
    let fields = json!([{"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}}]);
    let by = Survey { time: vec![path("t")], ..survey() };
    let part = decode(by, fields, vec![record(vec![("t", Value::TimestampMillis(1_483_228_800_123))])]);
    assert_eq!(part.candidate.time.as_primitive::<TimestampMicrosecondType>().value(0), 1_483_228_800_123_000);
}

#[test]
fn the_first_alternative_that_is_there_is_taken_row_by_row() {
    let inner =
        json!({"type": "record", "name": "o", "fields": [{"name": "id", "type": "long"}, {"name": "m", "type": "float"}]});
    let fields = json!([
        {"name": "obj", "type": ["null", inner]},
        {"name": "name", "type": ["null", "string"]},
        {"name": "id", "type": ["null", "long"]},
    ]);
    let object = |id, m| some(record(vec![("id", Value::Long(id)), ("m", Value::Float(m))]));
    let row = |obj, name: Option<&str>, id: i64| {
        let name = name.map_or_else(none, |n| some(Value::String(n.to_owned())));
        record(vec![("obj", obj), ("name", name), ("id", some(Value::Long(id)))])
    };
    let rows = vec![
        row(object(7, 20.5), Some("x"), 1),
        row(none(), Some("a name longer than twelve bytes"), 2),
        row(none(), Some("null"), -999),
        row(object(-999, -999.0), Some("y"), 4),
        row(none(), None, 5),
    ];
    let by = Survey {
        alert_id: vec![path("nowhere.id"), path("id")],
        object_id: vec![path("obj.id"), path("name")],
        magnitude: vec![path("obj.m")],
        ..survey()
    };
    let part = decode(by, fields, rows);
    let objects: Vec<_> = part.candidate.object_id.as_string::<i32>().iter().collect();
    assert_eq!(objects, [Some("7"), Some("a name longer than twelve bytes"), None, Some("y"), None]);
    let alerts: Vec<_> = part.candidate.alert_id.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(alerts, [Some(1), Some(2), None, Some(4), Some(5)]);
    assert_eq!(names(&part.flags)[2], ["no_id", "bad_position", "bad_time"]);
    assert_eq!(floats(&part.candidate.magnitude), [Some(20.5), None, None, None, None]);
}

#[test]
fn fluxes_become_ab_magnitudes_and_ids_may_be_text() {
    let fields = json!([{"name": "flux", "type": "double"}, {"name": "id", "type": "string"}]);
    let row = |flux, id: &str| record(vec![("flux", Value::Double(flux)), ("id", Value::String(id.to_owned()))]);
    let rows = vec![row(1.0, "a"), row(100.0, "b"), row(0.0, "null"), row(-5.0, ""), row(f64::NAN, "c")];
    let by = Survey {
        alert_id: vec![path("id")],
        magnitude: vec![path("flux")],
        magnitude_unit: MagnitudeUnit::NanoJansky,
        ..survey()
    };
    let part = decode(by, fields, rows);
    assert_eq!(floats(&part.candidate.magnitude), [Some(31.4), Some(26.4), None, None, None]);
    let ids: Vec<_> = part.candidate.alert_id.as_string_view().iter().collect();
    assert_eq!(ids, [Some("a"), Some("b"), None, None, Some("c")]);
}

#[test]
fn a_real_ztf_packet_has_all_of_it() {
    let files = packets("ztf");
    if files.is_empty() {
        return;
    }
    let decoded = containers().apply(&batch(&files.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>())).unwrap();
    for part in &decoded.parts {
        let fields = part.records.column_by_name("candidate").unwrap().as_struct();
        let candidate = |name: &str| floats(fields.column_by_name(name).unwrap());
        assert!(part.flags.iter().all(|f| *f == Flags::default()));
        assert_eq!(floats(&part.candidate.ra), candidate("ra"));
        let jd = candidate("jd");
        let time = part.candidate.time.as_primitive::<TimestampMicrosecondType>();
        for (row, jd) in jd.iter().enumerate() {
            let back = time.value(row) as f64 / 86_400e6 + 2_440_587.5;
            assert!((back - jd.unwrap()).abs() < 1e-9);
        }
        assert!(part.candidate.object_id.as_string::<i32>().iter().all(|id| id.unwrap().starts_with("ZTF")));
    }
}
