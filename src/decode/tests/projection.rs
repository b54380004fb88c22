//! Decoding a part of the fields: the same values as decoding all of them, nothing else, and nothing worse for bad bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Fields};
use proptest::prelude::*;
use serde_json::json;

use super::differential::random;
use super::{Dice, batch, container, long, packets, reason, sized, survey};
use crate::alert::{Decoded, Transform};
use crate::avro::{AlertSchema, Wanted};
use crate::config::{Framing, Survey};
use crate::decode::Decode;

fn names(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn only(paths: &[&str]) -> Wanted {
    Wanted::only(paths.iter().map(|path| names(path)))
}

/// A survey that names no field, so that nothing is decoded for the candidate view.
fn nameless() -> Arc<Survey> {
    let none = Vec::new;
    Arc::new(Survey { alert_id: none(), object_id: none(), ra: none(), dec: none(), time: none(), magnitude: none(), ..survey() })
}

fn decode(framing: Framing, wanted: Wanted) -> Decode {
    Decode::new(&framing, nameless(), wanted).unwrap()
}

/// Paths of all values, as they are written: arrays and maps have no name.
fn leaves(fields: &Fields, above: &str, found: &mut Vec<String>) {
    fn inside(data_type: &DataType, path: String, found: &mut Vec<String>) {
        match data_type {
            DataType::Struct(fields) => leaves(fields, &format!("{path}."), found),
            DataType::List(item) => inside(item.data_type(), path, found),
            DataType::Map(entries, _) => {
                let DataType::Struct(entry) = entries.data_type() else { panic!("{entries}") };
                inside(entry[1].data_type(), path, found);
            }
            _ => found.push(path),
        }
    }
    for field in fields {
        inside(field.data_type(), format!("{above}{}", field.name()), found);
    }
}

fn paths(fields: &Fields) -> Vec<String> {
    let mut found = Vec::new();
    leaves(fields, "", &mut found);
    found
}

/// Whether a path, as it may be written in a configuration, stands for a value: name by name, by regular expression.
fn stands_for(path: &str, leaf: &str) -> bool {
    let (path, leaf) = (names(path), names(leaf));
    path.len() <= leaf.len() && path.iter().zip(&leaf).all(|(pattern, name)| wild(pattern.as_bytes(), name.as_bytes()))
}

fn wild(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], rest) => rest.is_empty(),
        ([b'*', after @ ..], _) => (0..=name.len()).any(|skipped| wild(after, &name[skipped..])),
        ([p, after @ ..], [n, rest @ ..]) => p == n && wild(after, rest),
        (_, []) => false,
    }
}

/// Every column of `part` is the same in `whole`, field by field by its name.
fn same(part: &RecordBatch, whole: &RecordBatch) {
    fn column(part: &ArrayRef, whole: &ArrayRef, path: &str) {
        assert_eq!(part.nulls(), whole.nulls(), "{path}");
        match part.data_type() {
            DataType::Struct(_) => {
                let (part, whole) = (part.as_struct(), whole.as_struct());
                for (name, inner) in part.column_names().iter().zip(part.columns()) {
                    column(inner, whole.column_by_name(name).unwrap(), &format!("{path}.{name}"));
                }
            }
            DataType::List(_) => {
                let (part, whole) = (part.as_list::<i32>(), whole.as_list::<i32>());
                assert_eq!(part.offsets(), whole.offsets(), "{path}");
                column(part.values(), whole.values(), path);
            }
            DataType::Map(..) => {
                let (part, whole) = (part.as_map(), whole.as_map());
                assert_eq!((part.offsets(), part.keys()), (whole.offsets(), whole.keys()), "{path}");
                column(part.values(), whole.values(), path);
            }
            _ => assert_eq!(part, whole, "{path}"),
        }
    }
    assert_eq!(part.num_rows(), whole.num_rows());
    for (field, inner) in part.schema().fields().iter().zip(part.columns()) {
        column(inner, whole.column_by_name(field.name()).unwrap(), field.name());
        inner.to_data().validate_full().unwrap();
    }
}

/// A choice of fields, and the values that it stands for.
fn choose(dice: &mut Dice, all: &[String]) -> (Wanted, BTreeSet<String>) {
    let mut written = Vec::new();
    for _ in 0..dice.below(5) {
        let mut path = names(&all[dice.below(all.len())]);
        path.truncate(1 + dice.below(path.len()));
        if dice.below(3) == 0 {
            let at = dice.below(path.len());
            let kept = dice.below(path[at].len() + 1);
            path[at] = if dice.below(2) == 0 { format!("{}*", &path[at][..kept]) } else { format!("*{}", &path[at][kept..]) };
        }
        written.push(path.join("."));
    }
    let chosen = written.iter().map(|path| names(path)).collect::<Vec<_>>();
    let stands = |leaf: &&String| written.iter().any(|path| stands_for(path, leaf));
    if dice.below(3) > 0 {
        (Wanted::only(chosen), all.iter().filter(stands).cloned().collect())
    } else {
        (Wanted::all_but(chosen), all.iter().filter(|leaf| !stands(leaf)).cloned().collect())
    }
}

fn rows(decoded: &Decoded) -> Option<&RecordBatch> {
    decoded.parts.first().map(|part| &part.records)
}

/// Gives how many values were left out and how many were kept.
fn project(seed: u64) -> (usize, usize) {
    let (json, _, datums) = random(seed);
    let json = json.to_string();
    if datums.is_empty() {
        return (0, 0);
    }
    let mut dice = Dice(!seed);
    let schema = AlertSchema::parse(&json).unwrap();
    let all = paths(schema.arrow.fields());
    let (wanted, expected) = choose(&mut dice, &all);
    let whole = decode(Framing::Bare(json.as_str().into()), Wanted::everything());
    let part = decode(Framing::Bare(json.as_str().into()), wanted.clone());
    let told = || format!("seed {seed}: {wanted:?}\n{json}");

    let (full, some) = (whole.apply(&batch(&datums)).unwrap(), part.apply(&batch(&datums)).unwrap());
    assert!(some.letters.is_empty(), "{}: {:?}", told(), some.letters[0].reason);
    let records = &some.parts[0].records;
    assert_eq!(paths(records.schema().fields()), all.iter().filter(|p| expected.contains(*p)).cloned().collect::<Vec<_>>());
    assert_eq!(records.schema(), some.parts[0].schema.decoded, "{}", told());
    same(records, &full.parts[0].records);
    let origins = |decoded: &Decoded| decoded.parts[0].rows.iter().map(|row| row.datum).collect::<Vec<_>>();
    assert_eq!(origins(&some), origins(&full), "{}", told());
    // The archive leaves out of a whole what the plan leaves out.
    let kept = wanted.of(full.parts[0].records.schema().fields());
    assert_eq!(kept.columns(full.parts[0].records.columns()).unwrap(), records.columns(), "{}", told());

    // A block of one record ends where its datum ends, a block of several doesn't.
    let framed =
        [container(&json, "null", &[(1, &datums[0])]), container(&json, "null", &[(datums.len() as i64, &datums.concat())])];
    let (full, some) = (
        decode(Framing::Container, Wanted::everything()).apply(&batch(&framed)).unwrap(),
        decode(Framing::Container, wanted.clone()).apply(&batch(&framed)).unwrap(),
    );
    same(&some.parts[0].records, &full.parts[0].records);
    assert_eq!(origins(&some), origins(&full), "{}", told());

    // What is cut off is found, and what all of it can be decoded from gives the same part.
    let spoilt: Vec<Vec<u8>> = (0..20)
        .map(|i| {
            let mut datum = datums[dice.below(datums.len())].clone();
            if i % 2 == 0 {
                datum.truncate(dice.below(datum.len()));
            } else {
                let at = dice.below(datum.len());
                datum[at] ^= 1 << dice.below(8);
            }
            datum
        })
        .collect();
    for (i, datum) in spoilt.iter().enumerate() {
        let (full, some) =
            (whole.apply(&batch(&[datum])).unwrap(), part.apply(&batch(&[&datums[0], datum, &datums[0]])).unwrap());
        let rows = rows(&some).unwrap();
        match full.parts.first() {
            Some(full) => {
                assert!(some.letters.is_empty(), "{}", told());
                assert_eq!(rows.slice(1, 1).columns(), kept.columns(full.records.columns()).unwrap(), "{}", told());
            }
            None if i % 2 == 0 => assert_eq!(some.letters.len(), 1, "{}", told()),
            None => assert_eq!(some.alerts(), 3),
        }
        for row in [0, rows.num_rows() - 1] {
            assert_eq!(rows.slice(row, 1), records.slice(0, 1), "{}", told());
        }
        rows.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
    }
    (all.len() - expected.len(), expected.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_part_of_the_fields_is_decoded_as_it_is_in_the_whole(seed in any::<u64>()) {
        project(seed);
    }
}

/// A spoilt datum with a block that says another size than its items have.
#[test]
fn a_block_that_is_passed_over_is_as_long_as_when_it_is_read() {
    project(18_085_642_939_331_408_984);
}

#[test]
fn random_choices_reach_far_enough_to_mean_something() {
    let (out, kept) = (0..200).map(project).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(out > 1_000 && kept > 1_000, "{out} left out, {kept} kept");
}

#[test]
fn real_packets_give_the_same_columns_with_and_without_the_rest() {
    let hot = [
        "candid",
        "objectId",
        "candidate.ra",
        "candidate.jd",
        "diaSourceId",
        "diaSource.ra",
        "prvDia*.psfFlux",
        "prv_candidates.magpsf",
    ];
    let cutouts = ["cutout*.stampData", "cutoutScience", "cutoutTemplate", "cutoutDifference"];
    for survey in ["ztf", "ztf-snappy", "lsst", "elasticc", "atlas", "winter"] {
        let files: Vec<_> = packets(survey).into_iter().map(|(_, bytes)| bytes).collect();
        if files.is_empty() {
            return;
        }
        let full = decode(Framing::Container, Wanted::everything()).apply(&batch(&files)).unwrap();
        for wanted in [only(&hot), Wanted::all_but(cutouts.map(names)), Wanted::default()] {
            let some = decode(Framing::Container, wanted.clone()).apply(&batch(&files)).unwrap();
            assert_eq!((some.letters.len(), some.parts.len()), (0, full.parts.len()));
            for (some, full) in some.parts.iter().zip(&full.parts) {
                assert!(some.records.num_columns() < full.records.num_columns() || survey == "atlas" || survey == "winter");
                same(&some.records, &full.records);
                assert_eq!(some.schema.fingerprint, full.schema.fingerprint);
                assert_eq!(some.schema.json, full.schema.json);
                let datums = |part: &crate::alert::AlertBatch| part.rows.iter().map(|row| row.datum).collect::<Vec<_>>();
                assert_eq!(datums(some), datums(full), "{survey} {wanted:?}");
            }
        }
    }
}

/// A field that is wanted between fields that are not, of all kinds.
fn around(middle: serde_json::Value) -> String {
    json!({"type": "record", "name": "r", "fields": [
        {"name": "before", "type": middle.clone()},
        {"name": "wanted", "type": "string"},
        {"name": "behind", "type": "string"},
    ]})
    .to_string()
}

#[test]
fn what_is_passed_over_cannot_take_time_or_memory_without_end() {
    let bare = |item: serde_json::Value| {
        decode(Framing::Bare(around(json!({"type": "array", "items": item})).as_str().into()), only(&["wanted"]))
    };
    let tail = [sized(b"x"), sized(b"y")].concat();
    let string = json!("string");
    let several = json!(["null", "long", "string"]);
    for count in [i64::MAX, i64::MIN, i64::MIN + 1, 1 << 40] {
        let payload = [long(count), long(0), tail.clone()].concat();
        for item in [json!("long"), json!("double"), string.clone(), several.clone()] {
            let told = reason(&bare(item).apply(&batch(&[&payload])).unwrap());
            assert!(count < 0 || told.contains("which is not there"), "{count}: {told}");
        }
    }
    // Items of no bytes take no time, however many there are; in memory they would be refused.
    for empty in [json!("null"), json!({"type": "record", "name": "e", "fields": []})] {
        let payload = [long(i64::MAX), long(0), tail.clone()].concat();
        assert_eq!(bare(empty).apply(&batch(&[payload])).unwrap().rows(), 1);
    }
    // Blocks that say how long they are are passed whole, also when what is in them is none of their items.
    for item in [json!("double"), string, several] {
        let sized_block = [long(-3), long(5), b"\xff\xff\xff\xff\xff".to_vec(), long(0), tail.clone()].concat();
        let decoded = bare(item).apply(&batch(&[sized_block])).unwrap();
        assert_eq!(decoded.parts[0].records.column(0).as_string_view().value(0), "x");
    }
    for length in [i64::MAX, -1] {
        let decode = decode(Framing::Bare(around(json!("bytes")).as_str().into()), only(&["wanted"]));
        assert!(reason(&decode.apply(&batch(&[[long(length), tail.clone()].concat()])).unwrap()).contains("which is not there"));
    }
}

#[test]
fn the_end_is_looked_for_unless_the_frame_says_it_and_the_schema() {
    let json = around(json!(["null", "double"]));
    let good = [long(0), sized(b"x"), sized(b"y")].concat();
    let cut = &good[..good.len() - 1];
    let more = [good.clone(), b"z".to_vec()].concat();
    let hot = |framing: Framing| decode(framing, only(&["wanted"]));
    let bare = hot(Framing::Bare(json.as_str().into()));
    assert!(reason(&bare.apply(&batch(&[cut])).unwrap()).contains("field behind"));
    assert_eq!(reason(&bare.apply(&batch(&[&more])).unwrap()), "schema does not fit: 1 bytes left over");
    let containers = hot(Framing::Container);
    // One record: its end is that of its block, whatever is behind the last field that is wanted.
    for datum in [&good[..], cut, &more] {
        let decoded = containers.apply(&batch(&[container(&json, "null", &[(1, datum)])])).unwrap();
        assert_eq!(decoded.parts[0].bytes(decoded.parts[0].rows[0].datum), datum);
    }
    // Of several records each has to be followed to its end.
    let two = container(&json, "null", &[(2, &[&good[..], cut].concat())]);
    assert!(reason(&containers.apply(&batch(&[two])).unwrap()).contains("record 1: field behind"));
    let all = decode(Framing::Container, Wanted::everything());
    assert!(reason(&all.apply(&batch(&[container(&json, "null", &[(1, cut)])])).unwrap()).contains("field behind"));
}
