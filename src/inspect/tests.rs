//! Trees, differences, findings, values, stamps and tables of made-up schemas. Real ones are in `tests/inspect.rs`.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::json;

use super::*;
use crate::avro::AlertSchema;

fn tree(fields: &str) -> Tree {
    Tree::of(&AlertSchema::parse(&format!(r#"{{"type": "record", "name": "n.alert", "fields": [{fields}]}}"#)).unwrap())
}

const MANY: &str = r#"
    {"name": "id", "type": "long", "doc": "the id"},
    {"name": "source", "type": {"type": "record", "name": "source", "fields": [
        {"name": "ra", "type": "double"},
        {"name": "flag", "type": ["null", {"type": "enum", "name": "flag", "symbols": ["A", "B"]}], "default": null}]}},
    {"name": "earlier", "type": ["null", {"type": "array", "items": "n.source"}], "default": null},
    {"name": "notes", "type": {"type": "map", "values": ["null", "float"]}},
    {"name": "either", "type": ["null", "int", "source"]},
    {"name": "when", "type": {"type": "long", "logicalType": "timestamp-micros"}}"#;

#[test]
fn a_tree_has_the_words_and_the_columns_of_every_field() {
    let tree = tree(MANY);
    let told: Vec<String> = tree
        .all()
        .iter()
        .map(|f| format!("{} {}{} {:?}", f.path, f.words, if f.nullable { " or null" } else { "" }, f.leaves))
        .collect();
    assert_eq!(
        told,
        [
            "id 64-bit integer 0..1",
            "source record 1..3",
            "source.ra 64-bit float 1..2",
            "source.flag one of the words A, B or null 2..3",
            "earlier array of records or null 3..5",
            "earlier[].ra 64-bit float 3..4",
            "earlier[].flag one of the words A, B or null 4..5",
            "notes map from text to 32-bit float or null 5..7",
            "either one of 2 types or null 7..10",
            "either.member0 32-bit integer or null 7..8",
            "either.member1 record or null 8..10",
            "either.member1.ra 64-bit float 8..9",
            "either.member1.flag one of the words A, B or null 9..10",
            "when time in microseconds, UTC 10..11",
        ]
    );
    assert_eq!(tree.columns, 11);
    let text = outline(&tree);
    for part in ["n.alert, fingerprint ", "11 columns", "# the id", "array of records n.source or null, default null", "\n  ra "]
    {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn differences_are_told_by_path_and_names_of_types_are_none() {
    let old = tree(MANY);
    assert!(Difference::between(&old, &tree(MANY)).is_same());
    let renamed = MANY.replace("\"record\", \"name\": \"source\"", "\"record\", \"name\": \"other\"");
    let renamed = tree(&renamed.replace("n.source", "n.other").replace("\"int\", \"source\"", "\"int\", \"other\""));
    let difference = Difference::between(&old, &renamed);
    assert!(difference.is_same(), "{}", difference.text());
    assert!(difference.text().contains("n.source -> n.other"), "{}", difference.text());

    let new = tree(
        r#"
    {"name": "source", "type": {"type": "record", "name": "source", "fields": [
        {"name": "flag", "type": {"type": "enum", "name": "flag", "symbols": ["A", "B", "C"]}, "default": "C"},
        {"name": "dec", "type": "double"},
        {"name": "ra", "type": "float"}]}},
    {"name": "id", "type": "long"},
    {"name": "notes", "type": {"type": "map", "values": "float"}},
    {"name": "either", "type": ["null", "int", "source"]},
    {"name": "when", "type": {"type": "long", "logicalType": "timestamp-micros"}}"#,
    );
    let difference = Difference::between(&old, &new);
    let told = difference.json();
    let paths = |what: &str| -> Vec<String> {
        told[what].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths("removed"), ["earlier", "earlier[].ra", "earlier[].flag"]);
    assert_eq!(paths("added"), ["source.dec", "either.member1.dec"]);
    let changed: Vec<String> = told["changed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {}", e["path"].as_str().unwrap(), e["what"].as_str().unwrap()))
        .collect();
    let expected = [
        " order",
        "source order",
        "source.flag type",
        "source.flag nullable",
        "source.flag default",
        "source.ra type",
        "notes type",
        "either.member1 order",
        "either.member1.flag type",
        "either.member1.flag nullable",
        "either.member1.flag default",
        "either.member1.ra type",
    ];
    assert_eq!(changed, expected);
    assert!(difference.text().contains("number 1 of those in both was ra, is flag"), "{}", difference.text());
}

#[test]
fn repairs_are_told_once_with_the_name_that_a_field_got() {
    let tree = tree(
        r#"
    {"name": "a", "type": {"type": "record", "name": "r", "fields": [
        {"name": "x", "type": "int", "default": null}, {"name": "x", "type": "float", "default": 1}]}},
    {"name": "b", "type": "r"},
    {"name": "good", "type": ["null", "string"], "default": "also fine"},
    {"name": "bytes", "type": {"type": "fixed", "name": "two", "size": 2}, "default": "abc"}"#,
    );
    let told: Vec<(String, bool)> = repairs(&tree).into_iter().map(|f| (f.place, f.what.contains("twice"))).collect();
    assert_eq!(told, [("a.x_1".to_owned(), true), ("a.x_1".to_owned(), false), ("bytes".to_owned(), false)]);
}

#[test]
fn a_profile_is_found_by_its_alternatives_and_kinds() {
    let schema = AlertSchema::parse(&format!(r#"{{"type": "record", "name": "n.alert", "fields": [{MANY}]}}"#)).unwrap();
    let need = |what, paths: &[&str], kind, essential| Need {
        what,
        paths: paths.iter().map(|p| p.split('.').map(str::to_owned).collect()).collect(),
        kind,
        essential,
    };
    let all = [
        need("id", &["nothing", "id"], NeedKind::Value, true),
        need("ra", &["source"], NeedKind::Value, true),
        need("time", &["source.jd"], NeedKind::Value, true),
        need("history", &["earlier", "later"], NeedKind::List, false),
        need("cut-outs", &["notes"], NeedKind::Bytes, false),
    ];
    let told: Vec<(String, Grade)> = needs(&schema.arrow, "s", &all).into_iter().map(|f| (f.what, f.grade)).collect();
    let expected = [
        ("id", Grade::Good),
        ("source is there, but holds no single value", Grade::Wrong),
        ("none of source.jd is in the schema", Grade::Wrong),
        ("earlier", Grade::Good),
        ("later is not in the schema", Grade::Lacking),
        ("notes is there, but is not bytes", Grade::Lacking),
    ];
    assert_eq!(told, expected.map(|(what, grade)| (what.to_owned(), grade)));
    assert!(!guess(&schema.arrow, &all) && guess(&schema.arrow, &all[..1]));
}

#[test]
fn json_keeps_what_json_has_no_words_for() {
    let columns: [(&str, ArrayRef); 4] = [
        ("f", Arc::new(Float32Array::from(vec![0.1, f32::NAN, f32::MAX]))),
        ("d", Arc::new(Float64Array::from(vec![0.1, f64::INFINITY, f64::NEG_INFINITY]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000, i64::MAX]).with_timezone("UTC"))),
        ("s", Arc::new(StringArray::from(vec![Some("NaN"), None, Some("x")]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let row = |row| Cell::of_row(&batch, row).unwrap().json();
    assert_eq!(row(0), json!({"f": 0.1, "d": 0.1, "t": "1970-01-01T00:00:00Z", "s": "NaN"}));
    assert_eq!(row(1), json!({"f": "NaN", "d": "Infinity", "t": "1970-01-01T00:00:01.500Z", "s": null}));
    assert_eq!(row(2), json!({"f": 3.4028235e38, "d": "-Infinity", "t": i64::MAX, "s": "x"}));
}

fn fits(cards: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for card in cards.iter().chain(&["END"]) {
        out.extend(format!("{card:<80}").into_bytes());
    }
    out.resize(out.len().next_multiple_of(2880), b' ');
    out
}

#[test]
fn stamps_are_known_by_their_first_bytes() {
    use std::io::Write;
    let plain =
        fits(&["SIMPLE  =                    T", "NAXIS   =                    2", "NAXIS1  = 63 / width", "NAXIS2  = 64"]);
    assert_eq!(Stamp::of(&plain), Stamp { bytes: 2880, format: Format::Fits, size: Some((63, 64)) });
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&plain).unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!((Stamp::of(&packed).format, Stamp::of(&packed).size), (Format::FitsGz, Some((63, 64))));
    assert_eq!(Stamp::of(&packed[..20]).format, Format::Gzip);
    let mut extended = fits(&["SIMPLE  =                    T", "NAXIS   =                    0"]);
    extended.extend(fits(&[
        "XTENSION= 'BINTABLE'",
        "NAXIS   = 2",
        "NAXIS1  = 8",
        "NAXIS2  = 51",
        "ZNAXIS1 = 51",
        "ZNAXIS2 = 52",
    ]));
    assert_eq!(Stamp::of(&extended).size, Some((51, 52)));
    assert_eq!(Stamp::of(&plain[..100]).size, None);
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0, 0, 1, 0, 0, 0, 0, 9]].concat();
    assert_eq!(Stamp::of(&png), Stamp { bytes: 24, format: Format::Png, size: Some((256, 9)) });
    assert_eq!(Stamp::of(&png[..20]).size, None);
    assert_eq!(Stamp::of(&[0xff, 0xd8, 0xff, 0xe0]).format, Format::Jpeg);
    assert_eq!(Stamp::of(b""), Stamp { bytes: 0, format: Format::Unknown, size: None });
}

#[test]
fn names_of_files_stay_in_their_folder() {
    for (parts, name) in [
        (&["ZTF18abc", "123", "science"][..], "ZTF18abc-123-science.fits"),
        (&["../../etc/passwd", "science"], "______etc_passwd-science.fits"),
        (&["--rf", ""], "rf.fits"),
        (&["\u{0}", "a\nb"], "_-a_b.fits"),
        (&["", ""], "alert.fits"),
        (&["ж"], "_.fits"),
    ] {
        assert_eq!(file_name(parts, "fits"), name);
    }
    assert_eq!(file_name(&[&"x".repeat(500)], "fits").len(), 64 + 5);
}

#[test]
fn cut_outs_are_named_by_their_path_and_two_never_alike() {
    let stamp = || Cell::Bytes(fits(&["SIMPLE  =                    T"]));
    let record = |fields: Vec<(&str, Cell)>| Cell::Record(fields.into_iter().map(|(n, c)| (n.to_owned(), c)).collect());
    let alert = record(vec![
        ("cutoutScience", record(vec![("fileName", Cell::Text("x".into())), ("stampData", stamp())])),
        ("science_2", stamp()),
        ("cutoutTemplate", Cell::Bytes(b"unknown".to_vec())),
        ("other", Cell::Bytes(b"unknown".to_vec())),
        ("difference", Cell::Null),
    ]);
    let names: Vec<String> = cut_outs(&alert, &[vec!["cutoutTemplate".to_owned()]]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["science", "science_2", "template"]);
}

#[test]
fn a_table_says_what_it_leaves_out_and_shows_no_control_characters() {
    let row = |i: usize| Cell::Record((0..30).map(|f| (format!("field{f}"), Cell::Number((i * 100 + f).into()))).collect());
    let alert = Cell::Record(vec![
        ("text\u{1b}[31m".to_owned(), Cell::Text("red\u{1b}[0m\u{202e}".to_owned())),
        ("long".to_owned(), Cell::Text("x".repeat(1000))),
        ("numbers".to_owned(), Cell::List((0..20u64).map(|n| Cell::Number(n.into())).collect())),
        ("history".to_owned(), Cell::List((0..8).map(row).collect())),
    ]);
    let brief = table(&alert, false);
    for part in [
        "text\\u{1b}[31m",
        "red\\u{1b}[0m\\u{202e}",
        "... (1000 characters)",
        "9, ... 10 more]",
        "8 rows, 3 of them and ",
        "field0",
    ] {
        assert!(brief.contains(part), "no {part} in\n{brief}");
    }
    assert!(!brief.contains('\u{1b}') && !brief.contains(&"x".repeat(200)) && brief.lines().count() == 10, "{brief}");
    let whole = table(&alert, true);
    assert!(whole.contains(&"x".repeat(1000)) && whole.contains("field29") && whole.contains("729"), "{whole}");
    assert!(!whole.contains("more"), "{whole}");
}
