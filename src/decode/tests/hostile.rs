//! Bytes and schemas made to break a decoder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use serde_json::json;

use super::{Dice, bare, batch, confluent, container, containers, long, packets, refused, sized};
use crate::alert::{Decoded, Transform};
use crate::avro::{AlertSchema, AvroError, Wanted, resolve};
use crate::config::Framing;
use crate::decode::{Decode, DecodeError};

fn record(field: serde_json::Value) -> String {
    json!({"type": "record", "name": "r", "fields": [{"name": "f", "type": field}]}).to_string()
}

/// Arrow's own full check of everything that came out: offsets, views, UTF-8, keys.
fn sound(decoded: &Decoded) {
    for part in &decoded.parts {
        part.records.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
    }
}

#[test]
fn a_packet_cut_off_anywhere_is_a_dead_letter() {
    let Some((_, packet)) = packets("elasticc").into_iter().next() else { return };
    let decode = containers();
    decode.apply(&batch(&[&packet])).unwrap();
    for chunk in (0..packet.len()).collect::<Vec<_>>().chunks(500) {
        let cut: Vec<_> = chunk.iter().map(|end| &packet[..*end]).collect();
        let decoded = decode.apply(&batch(&cut)).unwrap();
        assert_eq!((decoded.rows(), decoded.letters.len()), (0, cut.len()));
    }
}

#[test]
fn a_datum_cut_off_anywhere_leaves_its_neighbours_as_they_are() {
    let Some((_, packet)) = packets("elasticc").into_iter().nth(3) else { return };
    let whole = containers().apply(&batch(&[&packet])).unwrap();
    let part = &whole.parts[0];
    let datum = part.bytes(part.rows[0].datum);
    let decode = bare(&part.schema.json);
    for end in 0..datum.len() {
        let decoded = decode.apply(&batch(&[datum, &datum[..end], datum])).unwrap();
        assert_eq!(decoded.letters.len(), 1, "cut at {end}");
        assert_eq!(decoded.parts[0].records.slice(0, 1), part.records, "cut at {end}");
        assert_eq!(decoded.parts[0].records.slice(1, 1), part.records, "cut at {end}");
    }
}

#[test]
fn flipped_bytes_never_panic_and_never_reach_the_neighbours() {
    let mut dice = Dice(20_261_109);
    for survey in ["ztf", "ztf-snappy", "lsst", "elasticc"] {
        let Some((_, packet)) = packets(survey).into_iter().next() else { return };
        let decode = containers();
        let good = decode.apply(&batch(&[&packet])).unwrap();
        for _ in 0..150 {
            let mut flipped = packet.clone();
            let header = good.parts[0].rows[0].datum;
            // The header now and then, the datum (or the compressed block) most of the time.
            let from =
                if dice.below(8) == 0 { 0 } else { packet.len() - ((header.end - header.start) as usize).min(packet.len() / 2) };
            let at = from + dice.below(packet.len() - from);
            flipped[at] ^= 1 << dice.below(8);
            let decoded = decode.apply(&batch(&[&packet, &flipped, &packet])).unwrap();
            sound(&decoded);
            assert!(decoded.rows() >= 2 && decoded.alerts() >= 3);
            let (first, last) = (&decoded.parts[0], decoded.parts.last().unwrap());
            assert_eq!(first.records.slice(0, 1), good.parts[0].records);
            assert_eq!(last.records.slice(last.len() - 1, 1), good.parts[0].records);
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let json = record(json!(["null", "long", {"type": "array", "items": {"type": "map", "values": ["string", "null"]}}]));
    let decode = bare(&json);
    let mut dice = Dice(7);
    for _ in 0..300 {
        let noise: Vec<Vec<u8>> =
            (0..20).map(|_| (0..1 + dice.below(60)).map(|_| dice.next() as u8 >> dice.below(8)).collect()).collect();
        let decoded = decode.apply(&batch(&noise)).unwrap();
        assert_eq!(decoded.alerts(), 20);
        sound(&decoded);
    }
}

#[test]
fn absurd_counts_and_lengths_are_refused_at_once() {
    let array = |item| bare(&record(json!({"type": "array", "items": item})));
    let start = Instant::now();
    for count in [i64::MAX, i64::MIN, i64::MIN + 1, 1 << 40, -(1 << 40)] {
        let payload = [long(count), long(0), long(0)].concat();
        for item in [json!("null"), json!("long"), json!("string"), json!({"type": "record", "name": "e", "fields": []})] {
            let told = refused(&array(item), &payload);
            let known = ["which is not there", "more memory than is granted to one"];
            assert!(known.iter().any(|k| told.contains(k)), "{count}: {told}");
        }
    }
    for length in [i64::MAX, i64::MIN, -1, 1 << 33] {
        let payload = [long(length), b"abc".to_vec()].concat();
        assert!(refused(&bare(&record(json!("bytes"))), &payload).contains("which is not there"));
        assert!(refused(&bare(&record(json!("string"))), &payload).contains("which is not there"));
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn items_of_no_bytes_cannot_take_memory_without_end() {
    let decode = bare(&record(json!({"type": "array", "items": "null"})));
    let told = refused(&decode, [long(1 << 23), long(0)].concat());
    assert!(told.contains("more memory than is granted to one"), "{told}");
    let decoded = decode.apply(&batch(&[[long(1000), long(0)].concat()])).unwrap();
    assert_eq!(decoded.parts[0].records.column(0).as_list::<i32>().value_length(0), 1000);

    // One byte in the datum, a thousand columns in memory.
    let wide: Vec<_> = (0..1000).map(|i| json!({"name": format!("d{i}"), "type": "double"})).collect();
    let wide = json!(["null", {"type": "record", "name": "w", "fields": wide}]);
    let decode = bare(&record(json!({"type": "array", "items": wide})));
    let told = refused(&decode, [long(10_000), vec![0; 10_000], long(0)].concat());
    assert!(told.contains("more memory than is granted to one"), "{told}");
}

#[test]
fn a_million_rows_of_history_are_rows_or_told_to_be_too_many() {
    let narrow = bare(&record(json!({"type": "array", "items": "int"})));
    let payload = [long(1_000_000), vec![2; 1_000_000], long(0)].concat();
    let decoded = narrow.apply(&batch(&[&payload])).unwrap();
    assert_eq!(decoded.parts[0].records.column(0).as_list::<i32>().value_length(0), 1_000_000);

    let fields: Vec<_> = (0..20).map(|i| json!({"name": format!("h{i}"), "type": "double"})).collect();
    let history = json!(["null", {"type": "record", "name": "h", "fields": fields}]);
    let wide = bare(&record(json!({"type": "array", "items": history})));
    let told = refused(&wide, &payload);
    assert!(told.contains("field f, byte 3 of the datum: the alert would take more memory than is granted to one"), "{told}");
    let few = [long(2), vec![0; 2], long(0)].concat();
    let decoded = wide.apply(&batch(&[&few, &payload, &few])).unwrap();
    assert_eq!((decoded.rows(), decoded.letters.len()), (2, 1));
}

#[test]
fn many_greedy_alerts_cannot_take_more_than_the_batch_is_granted() {
    let decode = bare(&record(json!({"type": "array", "items": "null"})));
    let greedy = [long(1 << 21), long(0)].concat();
    let decoded = decode.apply(&batch(&vec![greedy; 20])).unwrap();
    assert_eq!(decoded.alerts(), 20);
    assert!((6..=9).contains(&decoded.rows()), "{} rows", decoded.rows());
}

#[test]
fn rows_of_no_bytes_cannot_take_memory_without_end() {
    let told = refused(&containers(), container(&record(json!("null")), "null", &[(i64::MAX, &[])]));
    assert!(told.contains("more memory than is granted to one"), "{told}");
    let decoded = containers().apply(&batch(&[container(&record(json!("null")), "null", &[(1000, &[])])])).unwrap();
    assert_eq!(decoded.rows(), 1000);
}

#[test]
fn values_that_no_writer_writes_are_refused() {
    let one = |field, bytes: &[u8]| refused(&bare(&record(field)), bytes);
    assert!(one(json!("boolean"), &[2]).contains("a boolean of 2"));
    assert!(one(json!("int"), &long(1 << 31)).contains("2147483648 does not fit an int"));
    assert!(one(json!("long"), &[0xff; 11]).contains("more than 64 bits"));
    assert!(one(json!("long"), &[&[0xff; 9][..], &[2]].concat()).contains("more than 64 bits"));
    assert!(one(json!("long"), &[0xff; 9]).contains("ends too early"));
    assert!(one(json!("string"), &sized(b"\xff")).contains("not UTF-8"));
    assert!(one(json!("string"), &sized(b"a text of thirteen \xc3")).contains("not UTF-8"));
    assert!(one(json!(["null", "int"]), &long(2)).contains("branch 2, which the union does not have"));
    assert!(one(json!(["null", "int", "string"]), &long(-1)).contains("branch -1"));
    assert!(one(json!(["int"]), &[&long(1)[..], &long(1)].concat()).contains("branch 1"));
    assert!(one(json!({"type": "enum", "name": "e", "symbols": ["a"]}), &long(1)).contains("symbol 1"));
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 38});
    assert!(one(decimal, &sized(&[&[1][..], &[0; 16]].concat())).contains("does not fit 128 bits"));
    let nested = json!({"type": "record", "name": "n", "fields": [{"name": "g", "type": {"type": "array", "items": "float"}}]});
    assert!(one(nested, &[long(2), vec![0; 4]].concat()).contains("field f.g, byte 1 of the datum: a block of 2 items"));
    // A sized block is read like any other.
    let sized_block = [long(-2), long(2), long(5), long(6), long(0)].concat();
    let decoded = bare(&record(json!({"type": "array", "items": "int"}))).apply(&batch(&[sized_block])).unwrap();
    assert_eq!(decoded.parts[0].records.column(0).as_list::<i32>().value_length(0), 2);
    // Whoever passes over it goes by its size, so it has to be right.
    for size in [1, 3] {
        let wrong = [long(-2), long(size), long(5), long(6), long(0), long(0)].concat();
        assert!(one(json!({"type": "array", "items": "int"}), &wrong).contains("a block whose items do not end where it says"));
    }
}

#[test]
fn of_neighbours_that_are_read_together_the_one_that_fails_is_named() {
    let kinds = ["boolean", "int", "long", "float", "double", "bytes", "string"];
    let encoded = |kind: &str| match kind {
        "boolean" => vec![1],
        "float" => vec![0; 4],
        "double" => vec![0; 8],
        "bytes" | "string" => sized(b"text"),
        _ => long(70),
    };
    for kind in kinds {
        for nullable in [false, true] {
            let field = |name: &str| json!({"name": name, "type": if nullable { json!(["null", kind]) } else { json!(kind) }});
            let fields = ["a", "b", "c"].map(field);
            let items = json!({"type": "record", "name": "i", "fields": fields});
            let around = json!([{"name": "l", "type": {"type": "array", "items": items}}, field("d"), field("e")]);
            let decode = bare(&json!({"type": "record", "name": "r", "fields": around}).to_string());
            let one = [if nullable { long(1) } else { Vec::new() }, encoded(kind)].concat();
            let whole = [&long(2)[..], &one.repeat(6), &long(0), &one.repeat(2)].concat();
            decode.apply(&batch(&[&whole])).unwrap().parts[0].records.column(0).to_data().validate_full().unwrap();
            // Fields of the second item, and those behind the list, whose end is one byte.
            let starts = [3, 4, 5, 6, 7].map(|n| 1 + n * one.len() + usize::from(n > 5));
            for (name, at) in ["l.item.a", "l.item.b", "l.item.c", "d", "e"].into_iter().zip(starts) {
                let told = match (nullable, name.starts_with('l')) {
                    (true, _) => refused(&decode, [&whole[..at], &[14], &whole[at + 1..]].concat()),
                    (false, false) => refused(&decode, &whole[..at + one.len() - 1]),
                    // The number of items is held against the bytes that are left before one is read.
                    (false, true) => continue,
                };
                assert!(told.contains(&format!("field {name},")), "{kind} {nullable} {name}: {told}");
            }
        }
    }
}

#[test]
fn hostile_schemas_are_refused_without_overflowing_the_stack() {
    let nested = |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(10_000), close.repeat(10_000));
    for json in [
        nested("[", "", "]"),
        nested(r#"{"type":"array","items":"#, r#""int""#, "}"),
        nested(r#"{"type":"record","name":"a","fields":[{"name":"f","type":"#, r#""int""#, "}]}"),
    ] {
        assert!(matches!(AlertSchema::parse(&json), Err(AvroError::TooDeep)));
    }
    // Few bytes that unfold to very many columns.
    let mut doubled = json!({"type": "record", "name": "r0", "fields": [{"name": "f", "type": "null"}]});
    for i in 1..15 {
        let fields = json!([{"name": "a", "type": doubled}, {"name": "b", "type": format!("r{}", i - 1)}]);
        doubled = json!({"type": "record", "name": format!("r{i}"), "fields": fields});
    }
    assert!(matches!(AlertSchema::parse(&doubled.to_string()), Err(AvroError::TooManyColumns)));
    let list =
        json!({"type": "record", "name": "r", "fields": [{"name": "next", "type": ["null", {"type": "array", "items": "r"}]}]});
    assert!(matches!(AlertSchema::parse(&list.to_string()), Err(AvroError::Recursive(name)) if name == "r"));
    let huge = record(json!({"type": "fixed", "name": "x", "size": 1u64 << 40}));
    assert!(matches!(AlertSchema::parse(&huge), Err(AvroError::Type { path, .. }) if path == "f"));
    let precision = record(json!({"type": "bytes", "logicalType": "decimal", "precision": u64::MAX, "scale": u64::MAX}));
    AlertSchema::parse(&precision).unwrap();
    let big_union: Vec<_> = (0..600).map(|i| json!({"type": "fixed", "name": format!("x{i}"), "size": 1})).collect();
    assert!(matches!(AlertSchema::parse(&record(json!(big_union))), Err(AvroError::TooManyColumns)));
    for json in [r#"{"type":"record","name":"r","fields":[]}"#, r#"["null"]"#, r#"{"type":"array","items":"int"}"#] {
        assert!(matches!(AlertSchema::parse(json), Err(AvroError::NotARecord(_))), "{json}");
    }
    for json in [record(json!([])), record(json!({"type": "enum", "name": "e", "symbols": []})), record(json!("nothing"))] {
        assert!(AlertSchema::parse(&json).is_err(), "{json}");
    }
}

#[test]
fn schema_files_that_do_not_fit_together_are_named() {
    let file = |name: &str, json: serde_json::Value| (name.to_owned(), json.to_string());
    let a = file("a.avsc", json!({"type": "record", "namespace": "x", "name": "a", "fields": [{"name": "f", "type": "b"}]}));
    let told = resolve(std::slice::from_ref(&a), "x.a").unwrap_err().to_string();
    assert_eq!(told, "a.avsc: the type b is defined in none of the schema files given");
    let told = resolve(std::slice::from_ref(&a), "x.z").unwrap_err().to_string();
    assert_eq!(told, "no schema file defines x.z; there are: x.a");
    let circle = file("b.avsc", json!({"type": "record", "namespace": "x", "name": "b", "fields": [{"name": "g", "type": "a"}]}));
    let json = resolve(&[a, circle], "x.a").unwrap();
    assert!(matches!(AlertSchema::parse(&json), Err(AvroError::Recursive(_))));
    assert!(resolve(&[("c.avsc".to_owned(), "[".repeat(10_000))], "c").unwrap_err().to_string().starts_with("c.avsc: "));
}

#[test]
fn a_stage_with_an_unusable_schema_does_not_start() {
    let survey = Arc::new(super::survey());
    let wrong = Decode::new(&Framing::Bare("{".into()), survey, Wanted::everything());
    assert!(matches!(wrong, Err(DecodeError::Schema { .. })));
    let known = crate::config::Survey { schemas: vec!["1".into()], ..super::survey() };
    assert!(matches!(
        Decode::new(&Framing::Container, Arc::new(known), Wanted::everything()),
        Err(DecodeError::Survey { number: 1, .. })
    ));
}

#[test]
fn threads_share_one_stage() {
    let json = record(json!({"type": "array", "items": ["null", "string"]}));
    let decode = confluent(1, &json);
    let alert = |text: &str| [&[0, 0, 0, 0, 1][..], &long(2), &long(1), &sized(text.as_bytes()), &long(0), &long(0)].concat();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (decode, alert) = (&decode, &alert);
            scope.spawn(move || {
                for i in 0..200 {
                    let text = format!("thread {thread} batch {i}");
                    let decoded =
                        decode.apply(&batch(&[alert(&text), b"\x00\x00\x00\x00\x01\x02".to_vec(), alert("x")])).unwrap();
                    assert_eq!((decoded.rows(), decoded.letters.len()), (2, 1));
                    let list = decoded.parts[0].records.column(0).as_list::<i32>().clone();
                    assert_eq!(list.values().as_string_view().value(0), text);
                    assert_eq!(list.values().null_count(), 2);
                }
            });
        }
    });
}
