//! Bad input: each message becomes a dead letter with its reason, or a flagged row; the stream goes on and the sums balance.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use support::container::{Container, build, confluent, write_bytes, write_long};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::random::Random;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, simulator};

const SCHEMA: &str = r#"{"type":"record","name":"alert","namespace":"ztf","fields":[
    {"name":"objectId","type":"string"},{"name":"candid","type":["null","long"]},
    {"name":"candidate","type":{"type":"record","name":"candidate","fields":[
        {"name":"jd","type":"double"},{"name":"ra","type":"double"},{"name":"dec","type":"double"}]}}]}"#;

/// A moment in 2026, Julian date.
const JD: f64 = 2_461_353.7;

/// What has to become of a message.
#[derive(Clone, Debug)]
enum Fate {
    /// A dead letter of `decode` whose reason holds one of these.
    Dead(&'static [&'static str]),
    /// A row with this flag.
    Flagged(&'static str),
    /// A row without a flag.
    Row,
    /// A row, or a dead letter with a reason.
    Either,
}

use Fate::{Dead, Either, Flagged, Row};

fn datum(object: &[u8], candid: Option<i64>, jd: f64, ra: f64, dec: f64) -> Vec<u8> {
    let mut out = Vec::new();
    write_bytes(&mut out, object);
    match candid {
        None => write_long(&mut out, 0),
        Some(candid) => {
            write_long(&mut out, 1);
            write_long(&mut out, candid);
        }
    }
    [jd, ra, dec].iter().for_each(|x| out.extend(x.to_le_bytes()));
    out
}

fn alert(object: &[u8], candid: Option<i64>, jd: f64, ra: f64, dec: f64) -> Vec<u8> {
    build(SCHEMA, "null", 1, &datum(object, candid, jd, ra, dec))
}

fn good() -> Vec<u8> {
    alert(b"ZTF26aaaaaaa", Some(1), JD, 10.0, 10.0)
}

/// A schema of one field `x` of this type.
fn schema_of(kind: &str) -> String {
    format!(r#"{{"type":"record","name":"alert","fields":[{{"name":"x","type":{kind}}}]}}"#)
}

fn nested(levels: usize) -> String {
    schema_of(&format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(levels), "}".repeat(levels)))
}

fn deflated(length: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    (0..length >> 20).for_each(|_| encoder.write_all(&vec![0; 1 << 20]).unwrap());
    encoder.finish().unwrap()
}

/// A packet as a survey sends it, to be spoilt.
fn packet() -> Vec<u8> {
    simulator::alerts(9, 1, 1).next().unwrap().payload.unwrap()
}

fn cases() -> Vec<(&'static str, Vec<u8>, Fate)> {
    let real = packet();
    let block = Container::parse(&real).datum();
    let cut = |length: usize| real[..length].to_vec();
    let flip = |at: usize, mask: u8| {
        let mut bytes = real.clone();
        bytes[at] ^= mask;
        bytes
    };
    let plain = datum(b"ZTF26aaaaaaa", Some(1), JD, 10.0, 10.0);
    let mut million = Vec::new();
    write_long(&mut million, 1_000_000);
    million.extend([2_u8; 1_000_000]);
    write_long(&mut million, 0);
    let columns: Vec<Value> = (0..20).map(|i| json!({ "name": format!("h{i}"), "type": "double" })).collect();
    let wide = json!(["null", { "type": "record", "name": "h", "fields": columns }]);
    let wide = schema_of(&json!({ "type": "array", "items": wide }).to_string());
    let mut large = Vec::new();
    write_bytes(&mut large, &vec![0x5a; 20 << 20]);
    let mut endless = Vec::new();
    write_long(&mut endless, i64::MAX);
    let recursive = r#"{"type":"record","name":"alert","fields":[{"name":"next","type":["null","alert"]}]}"#;
    let three: Vec<u8> = plain.repeat(3);
    let long = vec![b'Z'; 1 << 20];
    let ends = &["cut off", "too early", "not there", "ends"][..];
    vec![
        ("real packet", real.clone(), Row),
        ("cut in the header", cut(1000), Dead(ends)),
        ("cut in the datum", cut(block.start + 500), Dead(ends)),
        ("cut in the last marker", cut(real.len() - 3), Dead(ends)),
        ("flipped marker", flip(real.len() - 1, 0x10), Dead(&["sync marker"])),
        ("flipped length of the first text", flip(block.start, 0xff), Dead(&["length", "64 bits", "too early", "not there"])),
        ("flipped schema", flip(60, 0x80), Dead(&["utf-8", "schema", "json", "header"])),
        ("wrong magic", [b"Obx\x01", &good()[4..]].concat(), Dead(&["begins with"])),
        ("another framing", confluent(900, &plain), Dead(&["begins with"])),
        ("bare datum", plain.clone(), Dead(&["begins with"])),
        ("empty payload", Vec::new(), Dead(&["empty"])),
        ("magic alone", b"Obj\x01".to_vec(), Dead(ends)),
        ("not JSON", build("{not json", "null", 1, &plain), Dead(&["json"])),
        ("not an Avro schema", build(r#"{"type":"recrod","name":"x"}"#, "null", 1, &plain), Dead(&["schema"])),
        ("not a record", build(r#""int""#, "null", 1, &[2]), Dead(&["record"])),
        ("10,000 levels", build(&nested(10_000), "null", 1, &[0]), Dead(&["deep", "nested"])),
        ("100 levels", build(&nested(100), "null", 1, &[0]), Dead(&["deep", "nested"])),
        ("schema that holds itself", build(recursive, "null", 1, &[0]), Dead(&["itself", "recursive"])),
        ("unknown codec", build(SCHEMA, "lzma", 1, &plain), Dead(&["lzma"])),
        ("garbage for snappy", build(SCHEMA, "snappy", 1, &plain), Dead(&["snappy"])),
        ("bomb", build(&schema_of(r#""bytes""#), "deflate", 1, &deflated(256 << 20)), Dead(&["bomb"])),
        (
            "absurd count of records",
            build(SCHEMA, "null", i64::MAX, &plain),
            Dead(&["cannot be", "not there", "too early", "record"]),
        ),
        ("negative count of records", build(SCHEMA, "null", -1, &plain), Dead(&["cannot be"])),
        (
            "absurd count of items",
            build(&schema_of(r#"{"type":"array","items":"null"}"#), "null", 1, &endless),
            Dead(&["items", "memory"]),
        ),
        ("no record", build(SCHEMA, "null", 0, &[]), Dead(&["no record"])),
        ("bytes left over", build(SCHEMA, "null", 1, &[&plain[..], &[0; 5]].concat()), Dead(&["left over"])),
        ("wrong branch", build(SCHEMA, "null", 1, &[&plain[..13], &[8], &plain[14..]].concat()), Dead(&["branch"])),
        ("text that is not UTF-8", alert(b"\xff\xfe", Some(1), JD, 10.0, 10.0), Dead(&["utf-8"])),
        ("a million rows of history", build(&schema_of(r#"{"type":"array","items":"int"}"#), "null", 1, &million), Row),
        ("a million rows of a wide history", build(&wide, "null", 1, &million), Dead(&["more memory than is granted"])),
        ("20 MB", build(&schema_of(r#""bytes""#), "null", 1, &large), Either),
        ("three records", build(SCHEMA, "null", 3, &three), Row),
        ("id that is null", alert(b"a", None, JD, 10.0, 10.0), Flagged("no_id")),
        ("position that is NaN", alert(b"b", Some(2), JD, f64::NAN, 10.0), Flagged("bad_position")),
        ("declination beyond the pole", alert(b"c", Some(3), JD, 10.0, 95.0), Flagged("bad_position")),
        ("right ascension of a million", alert(b"d", Some(4), JD, 1e6, 10.0), Flagged("bad_position")),
        ("infinite declination", alert(b"e", Some(5), JD, 10.0, f64::NEG_INFINITY), Flagged("bad_position")),
        ("time before all time", alert(b"f", Some(6), -1e300, 10.0, 10.0), Flagged("bad_time")),
        ("time that is NaN", alert(b"g", Some(7), f64::NAN, 10.0, 10.0), Flagged("bad_time")),
        ("id that climbs", alert(b"../../../etc/passwd", Some(8), JD, 10.0, 10.0), Row),
        ("id with NUL", alert(b"ZTF\0\n\x1b[2J", Some(9), JD, 10.0, 10.0), Row),
        ("id of a megabyte", alert(&long, Some(10), JD, 10.0, 10.0), Row),
        ("good at the end", good(), Row),
    ]
}

/// The rows of an archive: offset -> flags, for each row.
fn rows(python: &Python, archive: &std::path::Path) -> Vec<(i64, Option<String>)> {
    let Value::Array(rows) = python.run("list_archive.py", [archive]) else { panic!("rows are a list") };
    rows.iter().map(|r| (r["offset"].as_i64().unwrap(), r["flags"].as_str().map(str::to_owned))).collect()
}

fn configuration(scratch: &Scratch, source: Value) -> Value {
    let catalog = scratch.write("catalog.csv", "id,ra,dec\nhere,10.0,10.0\n");
    let more = json!({
        "batch": { "alerts": 8 },
        "steps": [{ "crossmatch": { "catalog": catalog, "radius": "2 arcsec" } }],
        "publish": [{ "topic": "out", "files": scratch.join("output") }],
    });
    let component = config::pipeline(scratch.path(), "hostile", "ztf", source, more);
    config::file(scratch.path(), json!({ "memory": "256 MiB" }), vec![component])
}

#[test]
fn each_bad_message_is_a_dead_letter_or_a_flagged_row() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("hostile");
    let cases = cases();
    // Between the cases lie good alerts: the stream goes on.
    for (index, (_, bytes, _)) in cases.iter().enumerate() {
        scratch.write(&format!("packets/{index:03}-a.avro"), bytes);
        scratch.write(&format!("packets/{index:03}-b.avro"), good());
    }
    let source = json!({ "files": { "path": scratch.join("packets") } });
    let configuration = configuration(&scratch, source);
    let (report, log) = Run::start(&scratch, "hostile", &configuration, None).finish(Duration::from_secs(120));
    assert_eq!(report.generations, 1, "bad input restarts nothing: {:?}\n{log}", report.first_fault);

    let letters = oracle::letters(&python, &config::letters(scratch.path(), "hostile"));
    let rows = rows(&python, &config::archive(scratch.path(), "hostile"));
    let mut wrong = Vec::new();
    let mut dead = 0;
    for (offset, (name, bytes, fate)) in (0_i64..).step_by(2).zip(&cases) {
        let mine: Vec<&Value> = letters.iter().filter(|l| l["offset"] == offset).collect();
        let flags: Vec<&Option<String>> = rows.iter().filter(|(o, _)| *o == offset).map(|(_, f)| f).collect();
        let reasons: Vec<String> = mine.iter().map(|l| l["reason"].as_str().unwrap().to_lowercase()).collect();
        dead += mine.len();
        let right = match fate {
            Dead(words) => {
                flags.is_empty()
                    && reasons.len() == 1
                    && mine[0]["stage"] == "decode"
                    && words.iter().any(|w| reasons[0].contains(w))
                    && mine[0]["bytes"] == bytes.len()
            }
            Flagged(flag) => reasons.is_empty() && flags.len() == 1 && flags[0].as_deref() == Some(*flag),
            Row => {
                reasons.is_empty()
                    && flags.iter().all(|f| f.is_none())
                    && flags.len() == if *name == "three records" { 3 } else { 1 }
            }
            Either => flags.len() + reasons.len() == 1 && reasons.iter().all(|r| !r.is_empty()),
        };
        if !right {
            wrong.push(format!("{name}: should be {fate:?}, has rows with flags {flags:?} and letters {mine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let good = rows.iter().filter(|(offset, flags)| offset % 2 == 1 && flags.is_none()).count();
    assert_eq!(good, cases.len(), "good alerts between the bad ones");
    let sums = report.component("hostile");
    assert_eq!((sums.messages, sums.dead, sums.archived), (2 * cases.len() as u64, dead as u64, rows.len() as u64), "{sums:?}");
    assert!(!std::path::Path::new("/etc/passwd.avro").exists());
}

#[test]
fn flipped_bits_anywhere_never_stop_the_stream() {
    let Some(python) = Python::ready() else { return };
    let mut random = Random::new();
    let scratch = Scratch::new("flips");
    let real = packet();
    let count = 300;
    for index in 0..count {
        let mut bytes = real.clone();
        for _ in 0..random.between(1, 4) {
            let at = random.between(0, bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.between(0, 8);
        }
        if random.between(0, 4) == 0 {
            bytes.truncate(random.between(0, real.len() as u64) as usize);
        }
        scratch.write(&format!("packets/{index:03}.avro"), bytes);
    }
    let source = json!({ "files": { "path": scratch.join("packets") } });
    let (report, _) = Run::start(&scratch, "flips", &configuration(&scratch, source), None).finish(Duration::from_secs(120));
    assert_eq!(report.generations, 1, "{:?}", report.first_fault);
    let sums = report.component("hostile");
    assert_eq!(sums.messages, count, "{sums:?}");
    let letters = oracle::letters(&python, &config::letters(scratch.path(), "hostile"));
    assert_eq!(letters.len() as u64, sums.dead);
    assert!(sums.dead > 0 && sums.archived > 0, "both happen: {sums:?}");
    let nameless = letters.iter().filter(|l| l["reason"].as_str().unwrap().is_empty()).count();
    assert_eq!(nameless, 0, "letters without a reason");
}

#[test]
fn tombstones_empty_and_oversized_messages_of_a_topic_are_dead_letters() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("hostile-topic");
    let (input, output) = (kafka.topic("hostile", 1), kafka.topic("hostile-out", 1));
    // Fits the topic as it comes; with annotations and headers it is more than the broker takes.
    let mut random = Random::new();
    let noise: Vec<u8> = (0..(10 << 20) / 8).flat_map(|_| random.bits().to_le_bytes()).collect();
    let mut large = Vec::new();
    write_bytes(&mut large, &noise[..noise.len() - 1200]);
    let large = build(&schema_of(r#""bytes""#), "null", 1, &large);
    let payloads = [Some(good()), None, Some(good()), Some(Vec::new()), Some(large), Some(good())];
    let message = |payload| Outgoing { key: Some(b"key".to_vec()), payload, ..Outgoing::default() };
    kafka.produce(&input, payloads.into_iter().map(message));

    let mut configuration = configuration(&scratch, config::until_end(kafka, &[&input], "hostile"));
    configuration["components"][0]["publish"] = json!([{ "topic": output }]);
    let (report, _) = Run::start(&scratch, "hostile-topic", &configuration, None).finish(Duration::from_secs(120));
    assert_eq!(report.generations, 1, "{:?}", report.first_fault);

    let letters = oracle::letters(&python, &config::letters(scratch.path(), "hostile"));
    let brief: Vec<_> = letters.iter().map(|l| (l["offset"].as_i64().unwrap(), l["stage"].as_str().unwrap())).collect();
    assert_eq!(brief, [(1, "decode"), (3, "decode"), (4, "publish")], "{letters:#?}");
    assert!(letters[0]["payload"].is_null() && letters[0]["reason"].as_str().unwrap().contains("tombstone"), "{letters:#?}");
    assert_eq!(letters[1]["bytes"], 0);
    assert!(letters[2]["reason"].as_str().unwrap().to_lowercase().contains("large"), "{letters:#?}");
    assert!(letters.iter().all(|l| l["key"] == "6b6579"), "the key is kept: {letters:#?}");

    let ends = kafka.ends(&input);
    let archive = config::archive(scratch.path(), "hostile");
    oracle::exactly_once(&python, &scratch, &archive, &[(&input, ends.clone())], &[(0, 1), (0, 3)]);
    assert_eq!(oracle::at_least_once(kafka, &output, &ends, &[(0, 1), (0, 3), (0, 4)]), 0);
}
