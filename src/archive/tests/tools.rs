//! Listing, checking and exporting what was archived.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::alert::Transform;
use crate::archive::export::{Export, ExportError, Target, export};
use crate::archive::list::{Listing, Origin, Wanted, list};
use crate::archive::verify::{Accounted, Check, Verdict as Checked, hold_against, verify};
use crate::decode::tests as decoding;

use super::*;

fn listed(house: &House) -> Listing {
    list(&house.root(), &Wanted::default()).unwrap()
}

fn checked_by(house: &House, by: Option<HourBy>) -> Checked {
    verify(&listed(house), &Check { by, observed: &|_, _| None, progress: &|_| {} })
}

fn checked(house: &House) -> Checked {
    checked_by(house, Some(HourBy::Ingest))
}

/// What is wrong, as it is told.
fn wrong(house: &House) -> Vec<String> {
    checked(house).findings.iter().map(ToString::to_string).collect()
}

/// Asserts that the check finds one thing, and that it says all of these.
fn one_finding(house: &House, parts: &[&str]) {
    let found = wrong(house);
    assert!(found.len() == 1 && parts.iter().all(|part| found[0].contains(part)), "{parts:?} in {found:#?}");
}

/// Two partitions, two hours, two schemas, a gap and a row without a time.
fn varied() -> House {
    let mut house = House::new();
    let mixed = |span: std::ops::Range<i64>| span.map(|o| row(o, T0 + (o % 2) * HOUR + o)).collect();
    house.accept(&batch(0, 0..10, vec![part(1, mixed(0..10))]));
    house.seal();
    house.accept(&batch(0, 20..30, vec![part(2, rows(20..30))]));
    house.accept(&batch(1, 0..3, vec![part(2, vec![row(0, T0), RowOrigin { timestamp: None, ..row(2, 0) }])]));
    house.seal();
    house
}

#[test]
fn a_listing_tells_hours_schemas_offsets_and_what_is_not_there() {
    let house = varied();
    let listing = listed(&house);
    let hours: Vec<(String, u64, u64)> =
        listing.by(|l| l.hour).into_iter().map(|(hour, share)| (hour.unwrap().to_string(), share.files, share.rows)).collect();
    let expected = [("quarantine", 1, 1), ("2026-11-09T03", 2, 16), ("2026-11-09T04", 1, 5)];
    assert_eq!(hours, expected.map(|(hour, files, rows)| (hour.to_owned(), files, rows)));
    let origin = |partition| Origin { component: "ztf".into(), topic: "ztf_local".into(), partition };
    let three = &listing.by(|l| l.hour)[&Some(Hour::of_millis(Some(T0)))];
    assert_eq!(three.partitions, BTreeMap::from([(origin(0), (0, 29, 15)), (origin(1), (0, 0, 1))]));
    // The hours of partition 0 interleave: together they have no gap between 0 and 9.
    assert_eq!(listing.gaps(), [(origin(0), 10, 19), (origin(1), 1, 1)]);
    let schemas: Vec<_> = listing.by(|l| (l.schema.clone(), l.file.fingerprint.clone())).into_keys().collect();
    let fingerprint = |n: u64| format!("{n:016x}");
    assert_eq!(schemas, [("alert1".to_owned(), fingerprint(1)), ("alert2".to_owned(), fingerprint(2))]);

    let wanted = |component: &str, hours: &[&str]| {
        let hours = hours.iter().map(|h| h.parse().unwrap()).collect();
        let component = (!component.is_empty()).then(|| component.to_owned());
        list(&house.root(), &Wanted { component, hours }).unwrap().files.len()
    };
    assert_eq!((wanted("ztf", &[]), wanted("other", &[]), wanted("", &["2026-11-09T04"])), (4, 0, 1));
    assert_eq!((wanted("", &["2026-11-09"]), wanted("", &["quarantine", "2026-11-09T03"])), (3, 3));
    let one = list(&listing.files[1].file.path, &Wanted::default()).unwrap();
    assert_eq!((one.files.len(), one.files[0].hour), (1, listing.files[1].hour));
    assert!(list(&house.root().join("nothing"), &Wanted::default()).is_err());
}

#[test]
fn a_file_that_goes_away_or_is_broken_does_not_end_a_listing() {
    let house = varied();
    fs::write(house.root().join("broken.parquet"), "PAR1 half").unwrap();
    fs::write(house.root().join("left.part"), "PAR1 half").unwrap();
    fs::write(house.root().join("README"), "not ours").unwrap();
    let listing = listed(&house);
    assert_eq!((listing.files.len(), listing.damaged.len(), listing.unfinished.len()), (4, 1, 1));
    let found = wrong(&house);
    assert!(found.len() == 2 && found[0].contains("broken.parquet") && found[1].contains("left.part"), "{found:#?}");
}

#[test]
fn what_the_sink_wrote_is_found_to_be_right() {
    let house = varied();
    let checked = checked(&house);
    assert_eq!((checked.files, checked.rows), (4, 22));
    assert_eq!((checked.findings, checked.notes), (vec![], vec![]));
    assert_eq!(checked.partitions.values().sum::<u64>(), 22);
}

#[test]
fn a_file_that_was_cut_short_is_found_wherever_it_ends() {
    let mut house = House::new();
    house.accept(&plain(0, 0..200));
    house.seal();
    let path = house.files()[0].path.clone();
    let whole = fs::read(&path).unwrap();
    for length in [0, 3, 4, 100, whole.len() / 2, whole.len() - 100, whole.len() - 8, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        one_finding(&house, &["no whole Parquet file", "ztf_local-0-0-199", "restore it"]);
    }
    // A length that a crash of the disk's own cache leaves: the end is there, the middle is zeros.
    let mut holes = whole.clone();
    holes[4..whole.len() / 2].fill(0);
    fs::write(&path, holes).unwrap();
    one_finding(&house, &["does not decode", "restore it"]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(wrong(&house), [""; 0]);
}

#[test]
fn flipped_bytes_are_found_but_in_what_carries_no_checksum() {
    let mut house = House::new();
    house.accept(&plain(0, 0..200));
    house.seal();
    let path = house.files()[0].path.clone();
    let whole = fs::read(&path).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&fs::File::open(&path).unwrap()).unwrap();
    let found_at = |at: usize| {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 0xff;
        fs::write(&path, spoilt).unwrap();
        !wrong(&house).is_empty()
    };
    assert!(found_at(0) && found_at(whole.len() - 1) && found_at(whole.len() - 5), "the magic, the length of the footer");
    for column in metadata.row_group(0).columns() {
        let (start, length) = column.byte_range();
        let (start, length) = (start as usize, length as usize);
        let tried: Vec<usize> = (start..start + length).step_by(length.div_ceil(24)).collect();
        let (found, length) = (tried.iter().filter(|&&at| found_at(at)).count(), tried.len());
        let name = column.column_path().string();
        eprintln!("{name}: {found} of {length} flipped bytes found");
        match name.as_str() {
            // Cut-outs are kept as they are: only the heads of their pages can be wrong.
            "cutout" => assert!(found > 0),
            // Every row is held against the footer's ranges.
            "skysluice.offset" | "skysluice.partition" | "skysluice.topic" => {
                assert!(found * 4 > length * 3, "{found} of {length}")
            }
            _ => assert!(found * 10 > length, "{name}: {found} of {length}"),
        }
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(wrong(&house), [""; 0]);
}

#[test]
fn a_file_in_the_wrong_folder_or_in_none_is_found() {
    let house = varied();
    let path = listed(&house).files[3].file.path.clone();
    assert!(path.display().to_string().contains("hour=4"));
    let name = path.file_name().unwrap();
    let elsewhere = house.root().join(FOLDER).join(name);
    fs::rename(&path, &elsewhere).unwrap();
    one_finding(&house, &["5 rows do not belong to the hour of its folder, 2026-11-09T03", "offset 1 belongs to 2026-11-09T04"]);
    let nowhere = house.root().join(name);
    fs::rename(&elsewhere, &nowhere).unwrap();
    one_finding(&house, &["no folder of an hour", "move it"]);
    let plain = house.root().join("2026/11/09/04");
    fs::create_dir_all(&plain).unwrap();
    fs::rename(&nowhere, plain.join(name)).unwrap();
    assert_eq!(wrong(&house), [""; 0], "the other layout is known");
}

#[test]
fn the_hour_of_observation_is_held_against_the_folder_where_it_can_be_told() {
    let mut house = House::new();
    house.config.by = HourBy::Observation;
    let mut alerts = part(1, rows(0..3));
    let times = vec![Some((T0 + HOUR) * 1000); 3];
    alerts.candidate.time = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    house.accept(&batch(0, 0..3, vec![alerts]));
    house.seal();
    let listing = listed(&house);
    let check = |by, time: Option<i64>| {
        let observed = |survey: &str, batch: &RecordBatch| {
            assert_eq!(survey, "ztf");
            time.map(|t| TimestampMicrosecondArray::from(vec![t * 1000; batch.num_rows()]))
        };
        verify(&listing, &Check { by, observed: &observed, progress: &|_| {} }).findings.len()
    };
    let (ingest, observation) = (Some(HourBy::Ingest), Some(HourBy::Observation));
    assert_eq!((check(observation, Some(T0 + HOUR)), check(observation, Some(T0)), check(observation, None)), (0, 1, 0));
    assert_eq!((check(None, Some(T0 + HOUR)), check(None, Some(T0 + 2 * HOUR)), check(ingest, Some(T0 + HOUR))), (0, 1, 1));
}

#[test]
fn a_copy_of_a_file_is_found_and_a_topic_created_anew_is_not_taken_for_one() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.seal();
    let path = house.files()[0].path.clone();
    fs::copy(&path, path.with_file_name("copy.parquet")).unwrap();
    let found = wrong(&house);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("ranges of ztf_local[0] overlap: 0..9 and 0..9"), "{found:#?}");
    assert!(found[1].contains("10 rows of ztf_local[0] are there twice, from offset 0"), "{found:#?}");
    fs::remove_file(path.with_file_name("copy.parquet")).unwrap();
    house.crash();
    house.accept(&batch(0, 5..10, vec![part(1, (5..10).map(|o| row(o, T0 + 1000 + o)).collect())]));
    house.seal();
    let checked = checked(&house);
    assert_eq!((checked.rows, checked.findings), (15, vec![]));
    assert!(checked.notes.len() == 1 && checked.notes[0].to_string().contains("5 offsets of ztf_local[0] were used twice"));
}

#[test]
fn rows_that_are_twice_in_files_of_different_kinds_are_found_one_by_one() {
    let mut house = House::new();
    let message = |o: i64, hour: i64| [0, 1].map(|record| RowOrigin { record, ..row(o, T0 + hour * HOUR) });
    house.accept(&batch(0, 0..4, vec![part(1, (0..4).flat_map(|o| message(o, o % 2)).collect())]));
    house.seal();
    assert_eq!(wrong(&house), [""; 0], "rows of one message have numbers of their own");
    // As when two processes decode one message by different schemas.
    house.crash();
    house.accept(&batch(0, 2..3, vec![part(3, message(2, 0).to_vec())]));
    house.seal();
    one_finding(&house, &["2 rows of ztf_local[0] are there twice, from offset 2", "-0-0-2", "-0-2-2"]);
}

#[test]
fn rows_are_held_against_the_reports_of_runs() {
    let house = varied();
    let of = |partition, archived, skipped| {
        let origin = Origin { component: "ztf".into(), topic: "ztf_local".into(), partition };
        (origin, Accounted { archived, skipped })
    };
    let against = |reported: Vec<_>| {
        let mut checked = checked(&house);
        hold_against(&mut checked, &reported.into_iter().collect());
        (checked.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), checked.notes.len())
    };
    assert_eq!(against(vec![of(0, 20, 0), of(1, 2, 0)]), (vec![], 0));
    assert_eq!(against(vec![of(0, 15, 5), of(1, 2, 0)]), (vec![], 1));
    let (found, _) = against(vec![of(0, 23, 0), of(1, 1, 0), of(2, 4, 0)]);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("3 rows are missing: 20 rows in the archive, 23 by the reports, ztf_local[0]"), "{found:#?}");
    assert!(found[1].starts_with("1 rows are not accounted for") && found[2].starts_with("4 rows are missing"), "{found:#?}");
}

/// Data of a decoded batch by the name of their schema, sorted.
fn data(decoded: &Decoded) -> Vec<(String, Vec<u8>)> {
    assert!(decoded.letters.is_empty(), "{:?}", decoded.letters[0].reason);
    let of = |part: &AlertBatch| -> Vec<_> {
        part.rows.iter().map(|row| (part.schema.json.to_string(), part.bytes(row.datum).to_vec())).collect()
    };
    let mut all: Vec<_> = decoded.parts.iter().flat_map(of).collect();
    all.sort();
    all
}

/// Archives what these messages decode to, exports it, and gives what the containers hold.
fn there_and_back(decoded: &Decoded) -> Vec<(String, Vec<u8>)> {
    let mut house = House::new();
    house.accept(decoded);
    house.seal();
    assert_eq!(wrong(&house), [""; 0]);
    let out = tempfile::tempdir().unwrap();
    let target = Target::Folder(out.path().join("deep/er"));
    let exported = export(&listed(&house).files, &target, &Export::default(), &|_| {}).unwrap();
    let containers: Vec<Vec<u8>> = exported.iter().map(|e| fs::read(&e.path).unwrap()).collect();
    let sizes: Vec<u64> = containers.iter().map(|c| c.len() as u64).collect();
    assert_eq!(exported.iter().map(|e| e.bytes).collect::<Vec<_>>(), sizes);
    assert_eq!(fs::read_dir(out.path().join("deep/er")).unwrap().count(), exported.len(), "nothing else is left there");
    let again = decoding::containers().apply(&decoding::batch(&containers)).unwrap();
    assert_eq!(exported.iter().map(|e| e.records).sum::<u64>() as usize, again.rows());
    data(&again)
}

#[test]
fn alerts_of_the_simulator_come_back_byte_by_byte() {
    let simulator = skysluice_simulator::Simulator::new(skysluice_simulator::SimulatorConfig::default()).unwrap();
    let packets: Vec<Vec<u8>> = (0..60)
        .map(|index| {
            let mut packet = Vec::new();
            simulator.packet(index, &mut packet);
            packet
        })
        .collect();
    let decoded = decoding::containers().apply(&decoding::batch(&packets)).unwrap();
    assert_eq!(decoded.rows(), 60);
    assert!(there_and_back(&decoded) == data(&decoded), "data or schemas differ");
}

#[test]
fn real_alerts_of_every_survey_come_back_byte_by_byte() {
    if decoding::data().is_none() {
        return;
    }
    for survey in ["ztf", "ztf-snappy", "lsst", "elasticc", "atlas", "winter", "pgir", "turbo"] {
        let packets: Vec<Vec<u8>> = decoding::packets(survey).into_iter().map(|(_, bytes)| bytes).collect();
        let decoded = decoding::containers().apply(&decoding::batch(&packets)).unwrap();
        assert!(there_and_back(&decoded) == data(&decoded), "{survey}: data or schemas differ");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn alerts_of_any_schema_come_back(seed in any::<u64>()) {
        let (json, _, datums) = decoding::differential::random(seed);
        if !datums.is_empty() {
            let decoded = decoding::bare(&json.to_string()).apply(&decoding::batch(&datums)).unwrap();
            let (before, after) = (data(&decoded), there_and_back(&decoded));
            prop_assert_eq!(before.len(), after.len());
            if decoding::differential::canonical(&json) {
                prop_assert_eq!(before, after);
            }
        }
    }
}

fn exported(house: &House, target: &Target, what: &Export) -> Result<Vec<(PathBuf, u64)>, ExportError> {
    let done = export(&listed(house).files, target, what, &|_| {})?;
    Ok(done.into_iter().map(|e| (e.path, e.records)).collect())
}

#[test]
fn an_export_is_narrowed_annotated_and_never_replaces_anything() {
    let json = r#"{"type": "record", "name": "alert", "namespace": "a", "fields": [{"name": "candid", "type": "long"}]}"#;
    let schema = AlertSchema::parse(json).unwrap();
    let mut house = House::new();
    let mut alerts = part(1, rows(0..10));
    alerts.records = alerts.records.project(&[0]).unwrap();
    alerts.schema = schema.clone();
    house.accept(&batch(0, 0..10, vec![alerts]));
    house.seal();
    let out = tempfile::tempdir().unwrap();
    let file = Target::File(out.path().join("some.avro"));
    let condition = Some(crate::filter::Expression::parse("candid >= 50 AND skysluice.partition = 0").unwrap());
    let what = Export { condition, annotated: true };
    assert_eq!(exported(&house, &file, &what).unwrap(), [(out.path().join("some.avro"), 5)]);
    let bytes = fs::read(out.path().join("some.avro")).unwrap();
    let rows: Vec<HashMap<String, apache_avro::types::Value>> = apache_avro::Reader::new(&bytes[..])
        .unwrap()
        .map(|value| match value.unwrap() {
            apache_avro::types::Value::Record(fields) => fields.into_iter().collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    for (i, row) in (5..10).zip(rows) {
        assert_eq!(row["candid"], apache_avro::types::Value::Long(i * 10));
        assert_eq!(row["matches"], apache_avro::types::Value::Int(i as i32));
    }
    let refused = exported(&house, &file, &Export::default()).unwrap_err().to_string();
    assert!(refused.contains("some.avro exists already"), "{refused}");
    let folder = Target::Folder(out.path().join("all"));
    let name = format!("a.alert-{:016x}.avro", schema.fingerprint);
    assert_eq!(exported(&house, &folder, &Export::default()).unwrap(), [(out.path().join("all").join(name), 10)]);

    let wrong = Some(crate::filter::Expression::parse("candidd > 1").unwrap());
    let refused = exported(&house, &Target::File(out.path().join("x.avro")), &Export { condition: wrong, annotated: false });
    assert!(refused.unwrap_err().to_string().contains("--where"));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2, "what failed leaves nothing");
}

#[test]
fn two_schemas_do_not_go_into_one_container_and_a_column_that_is_missing_is_named() {
    let schema =
        |fields: &str| AlertSchema::parse(&format!(r#"{{"type": "record", "name": "alert", "fields": [{fields}]}}"#)).unwrap();
    let of = |span: std::ops::Range<i64>, schema: &Arc<AlertSchema>| {
        let mut alerts = part(1, rows(span));
        alerts.records = alerts.records.project(&[0]).unwrap();
        alerts.schema = schema.clone();
        alerts
    };
    let one = schema(r#"{"name": "candid", "type": "long"}"#);
    let two = schema(r#"{"name": "candid", "type": "long"}, {"name": "drb", "type": ["null", "float"]}"#);
    let mut house = House::new();
    house.accept(&batch(0, 0..4, vec![of(0..2, &one), of(2..4, &two)]));
    house.seal();
    let out = tempfile::tempdir().unwrap();
    let refused = exported(&house, &Target::File(out.path().join("x.avro")), &Export::default()).unwrap_err().to_string();
    assert!(refused.contains("several schemas") && refused.contains("give a folder"), "{refused}");
    // `drb` was not archived, and may be null.
    let done = exported(&house, &Target::Folder(out.path().join("both")), &Export::default()).unwrap();
    assert_eq!(done.iter().map(|(_, records)| *records).collect::<Vec<_>>(), [2, 2]);

    let three = schema(r#"{"name": "candid", "type": "long"}, {"name": "jd", "type": "double"}"#);
    let mut house = House::new();
    house.accept(&batch(0, 0..2, vec![of(0..2, &three)]));
    house.seal();
    let refused = exported(&house, &Target::Folder(out.path().join("none")), &Export::default()).unwrap_err().to_string();
    assert!(refused.contains("field jd: the column is not there"), "{refused}");
}
