//! ZTF's packets of the simulator, read by apache-avro and an inflater: every field is there, values are plausible, packets are
//! distinct and a function of their number alone.

#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::io::Read;

use apache_avro::types::Value;
use skysluice_simulator::{PacketInfo, PacketSchema, Simulator, SimulatorConfig, Target};

/// A night with three targets, one of them at a pole.
fn simulator(seed: u64) -> Simulator {
    let targets = [("a", 10.0, 20.0), ("b", 359.999_99, -29.0), ("c", 0.0, 90.0)];
    let targets = targets.map(|(id, ra, dec)| Target { id: id.to_owned(), ra, dec }).to_vec();
    Simulator::new(SimulatorConfig { seed, targets, ..SimulatorConfig::default() }).unwrap()
}

/// A record by field name.
type Record = HashMap<String, Value>;

fn record(value: Value) -> Record {
    match value {
        Value::Record(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => panic!("not a record: {other:?}"),
    }
}

/// The value of a union.
fn plain(value: Value) -> Value {
    match value {
        Value::Union(_, value) => *value,
        other => other,
    }
}

/// Reads a whole packet with apache-avro: exactly one record.
fn read(packet: &[u8]) -> Record {
    let mut reader = apache_avro::Reader::new(packet).unwrap();
    let alert = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none());
    record(alert)
}

fn number(record: &Record, field: &str) -> f64 {
    match &record[field] {
        Value::Int(value) => f64::from(*value),
        Value::Long(value) => *value as f64,
        Value::Float(value) => f64::from(*value),
        Value::Double(value) => *value,
        other => panic!("{field} is no number: {other:?}"),
    }
}

fn text(record: &Record, field: &str) -> String {
    match &record[field] {
        Value::String(value) => value.clone(),
        other => panic!("{field} is no text: {other:?}"),
    }
}

fn items(record: &Record, field: &str) -> Option<Vec<Record>> {
    match &record[field] {
        Value::Null => None,
        Value::Array(items) => Some(items.iter().cloned().map(record_of).collect()),
        other => panic!("{field} is no array: {other:?}"),
    }
}

fn record_of(value: Value) -> Record {
    record(value)
}

/// Distance in arcseconds.
fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    let unit = |(ra, dec): (f64, f64)| {
        let (ra, dec) = (ra.to_radians(), dec.to_radians());
        [dec.cos() * ra.cos(), dec.cos() * ra.sin(), dec.sin()]
    };
    let chord: f64 = unit(a).iter().zip(unit(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    (2.0 * (chord / 2.0).asin()).to_degrees() * 3600.0
}

#[test]
fn every_packet_is_read_and_says_what_the_info_says() {
    let simulator = simulator(1);
    let (mut previous, mut forced, mut null, mut empty) = (0, 0, 0, 0);
    let (mut solar, mut good, mut near, mut negative, mut limits) = (0, 0, 0, 0, 0);
    let count = 600;
    for index in 0..count {
        let mut packet = Vec::new();
        let info = simulator.packet(index * 997, &mut packet);
        let alert = read(&packet);
        assert_eq!(text(&alert, "schemavsn"), "4.01");
        assert_eq!(text(&alert, "objectId"), info.object_id.as_str());
        assert_eq!(alert["candid"], Value::Long(info.id));
        let candidate = record(alert["candidate"].clone());
        assert_eq!(candidate["candid"], Value::Long(info.id));
        assert_eq!((number(&candidate, "ra"), number(&candidate, "dec")), (info.ra, info.dec));
        assert!((0.0..360.0).contains(&info.ra) && info.dec >= -30.1);
        let unix = (number(&candidate, "jd") - 2_440_587.5) * 86_400_000.0;
        assert!((29_000.0..71_000.0).contains(&(info.timestamp_ms as f64 - unix)), "{info:?}");
        assert!((10.0..22.0).contains(&number(&candidate, "magpsf")));
        assert!(number(&candidate, "diffmaglim") > number(&candidate, "magpsf"));
        assert!((0.0..=1.0).contains(&number(&candidate, "rb")) && (0.0..=1.0).contains(&number(&candidate, "drb")));
        assert!(["t", "f"].contains(&text(&candidate, "isdiffpos").as_str()));
        negative += u32::from(text(&candidate, "isdiffpos") == "f");
        assert!(text(&candidate, "pdiffimfilename").starts_with("ztf_202"));
        match text(&candidate, "ssnamenr").as_str() {
            "null" => assert_eq!(number(&candidate, "ssdistnr"), -999.0),
            name => {
                assert!(name.len() >= 4 && name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{name}");
                assert!(number(&candidate, "ssdistnr") >= 0.0);
                solar += 1;
            }
        }
        good += u32::from(number(&candidate, "nbad") == 0.0 && number(&candidate, "rb") >= 0.55);
        let away = [(10.0, 20.0), (359.999_99, -29.0), (0.0, 90.0)].map(|target| distance(target, (info.ra, info.dec)));
        if let Some(away) = away.into_iter().find(|away| *away < 2.0) {
            assert!((0.098..0.502).contains(&away), "{away}");
            near += 1;
        }

        match items(&alert, "prv_candidates") {
            None => null += 1,
            Some(items) => {
                empty += u32::from(items.is_empty());
                assert!(items.len() <= 102);
                let mut last = number(&candidate, "jd") - 30.0;
                for item in &items {
                    let jd = number(item, "jd");
                    assert!(jd >= last && jd < number(&candidate, "jd"));
                    last = jd;
                    let known = item["candid"] != Value::Null;
                    limits += usize::from(!known);
                    for field in ["ra", "dec", "magpsf", "isdiffpos", "rb", "scorr"] {
                        assert_eq!(item[field] != Value::Null, known, "{field}");
                    }
                    assert!(text(item, "pdiffimfilename").ends_with("_scimrefdiffimg.fits.fz"));
                    assert_eq!(text(item, "rbversion"), "t17_f5_c3");
                }
                assert_eq!(items.len(), info.previous);
                previous += items.len();
            }
        }
        let points = items(&alert, "fp_hists").unwrap_or_default();
        assert_eq!(points.len(), info.forced);
        for item in points {
            assert!(number(&item, "jd") < number(&candidate, "jd"));
            assert!(["0", "61"].contains(&text(&item, "procstatus").as_str()));
            forced += 1;
        }
        for field in ["cutoutScience", "cutoutTemplate", "cutoutDifference"] {
            let cutout = record(alert[field].clone());
            assert!(text(&cutout, "fileName").starts_with(&format!("candid{}_", info.id)));
            let Value::Bytes(stamp) = &cutout["stampData"] else { panic!("no bytes") };
            let mut fits = Vec::new();
            flate2::read::GzDecoder::new(stamp.as_slice()).read_to_end(&mut fits).unwrap();
            assert_eq!(fits.len(), 20_160);
        }
    }
    let share = |part: u32| f64::from(part) / count as f64;
    assert!((30.0..38.0).contains(&(previous as f64 / count as f64)), "{previous}");
    assert!((14.0..20.0).contains(&(f64::from(forced) / count as f64)), "{forced}");
    assert!(limits > previous / 3 && limits < previous * 4 / 5);
    assert!(null > 0 && empty > 0);
    assert!((0.02..0.09).contains(&share(solar)), "{solar}");
    assert!((0.15..0.25).contains(&share(near)), "{near}");
    assert!((0.4..0.8).contains(&share(good)), "{good}");
    assert!((0.2..0.4).contains(&share(negative)), "{negative}");
}

#[test]
fn a_packet_is_a_function_of_seed_and_number() {
    let simulator_a = simulator(1);
    let make = |simulator: &Simulator, index| {
        let mut packet = Vec::new();
        let info = simulator.packet(index, &mut packet);
        (packet, info)
    };
    assert_eq!(simulator_a.look(7), make(&simulator_a, 7).1);
    let forward: Vec<_> = (0..20).map(|index| make(&simulator_a, index)).collect();
    let backward: Vec<_> = (0..20).rev().map(|index| make(&simulator(1), index)).collect();
    assert!(forward.iter().eq(backward.iter().rev()));
    assert_ne!(make(&simulator(2), 3).0, forward[3].0);
}

#[test]
fn packets_are_appended_and_the_datum_is_the_containers() {
    let simulator = simulator(1);
    let mut all = vec![1, 2, 3];
    let info: PacketInfo = simulator.packet(5, &mut all);
    let first = all.len();
    simulator.packet(6, &mut all);
    assert_eq!(&all[..3], [1, 2, 3]);
    assert_ne!(read(&all[3..first])["candid"], read(&all[first..])["candid"]);

    let mut datum = Vec::new();
    assert_eq!(simulator.packet_datum(5, &mut datum), info);
    assert_eq!(&all[first - 16 - datum.len()..first - 16], datum.as_slice());
    let schema = apache_avro::Schema::parse_str(simulator.schema()).unwrap();
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let mut rest = datum.as_slice();
    let alert = record(reader.read_value(&mut rest).unwrap());
    assert!(rest.is_empty());
    assert_eq!(alert["candid"], Value::Long(info.id));
}

#[test]
fn packets_are_distinct_and_of_real_size() {
    let simulator = simulator(1);
    let (mut ids, mut stamps, mut bytes, mut cutouts) = (HashSet::new(), HashSet::new(), 0, 0);
    let count = 200;
    for index in 0..count {
        let mut packet = Vec::new();
        ids.insert(simulator.packet(index, &mut packet).id);
        bytes += packet.len();
        let alert = read(&packet);
        for field in ["cutoutScience", "cutoutTemplate", "cutoutDifference"] {
            let Value::Bytes(stamp) = record(alert[field].clone()).remove("stampData").unwrap() else { panic!("no bytes") };
            cutouts += stamp.len();
            stamps.insert(stamp);
        }
    }
    assert_eq!(ids.len(), count as usize);
    assert_eq!(stamps.len(), 3 * count as usize);
    let (bytes, cutouts) = (bytes / count as usize, cutouts / count as usize);
    assert!((70_000..80_000).contains(&bytes), "{bytes}");
    assert!((32_000..41_500).contains(&cutouts), "{cutouts}");
}

#[test]
fn older_and_newer_versions_are_read_too() {
    for schema in [PacketSchema::Ztf33, PacketSchema::Ztf402] {
        let simulator = Simulator::new(SimulatorConfig::of(schema)).unwrap();
        for index in 0..40 {
            let mut packet = Vec::new();
            let info = simulator.packet(index, &mut packet);
            let alert = read(&packet);
            assert_eq!((text(&alert, "schemavsn").as_str(), &alert["candid"]), (schema.version(), &Value::Long(info.id)));
            let candidate = record(alert["candidate"].clone());
            assert_eq!((number(&candidate, "ra"), number(&candidate, "dec")), (info.ra, info.dec));
            assert_eq!(items(&alert, "prv_candidates").unwrap_or_default().len(), info.previous);
            assert!((0.0..=1.0).contains(&number(&candidate, "drb")));
            if schema == PacketSchema::Ztf33 {
                assert!(!alert.contains_key("fp_hists") && info.forced == 0);
            } else {
                assert!((200.0..900.0).contains(&number(&candidate, "exptimeref")));
            }
        }
    }
}

#[test]
fn the_schema_has_no_documentation_and_the_fields_of_a_real_packet() {
    let schema = simulator(1).schema().to_owned();
    assert!(!schema.contains("\"doc\""));
    let data = std::env::var("SKYSLUICE_DATA").unwrap_or(format!("{}/../../../shared/data", env!("CARGO_MANIFEST_DIR")));
    let Ok(real) = std::fs::read(format!("{data}/alerts/ztf/2475433850015010009.avro")) else {
        eprintln!("skipped: no real packets in {data}");
        return;
    };
    let real = apache_avro::Reader::new(real.as_slice()).unwrap();
    let ours = apache_avro::Schema::parse_str(&schema).unwrap();
    assert_eq!(ours.canonical_form(), real.writer_schema().canonical_form());
}
