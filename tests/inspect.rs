//! `skysluice schema` and `skysluice alert` on every real packet, against readers that no one here wrote, and on input that is
//! wrong or hostile.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use support::container::{Container, build, confluent, write_bytes, write_long};
use support::data::{self, Packet};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, root, simulator};

const SURVEYS: [&str; 8] = ["ztf", "ztf-snappy", "lsst", "elasticc", "atlas", "pgir", "turbo", "winter"];
const LSST: [u32; 9] = [700, 701, 702, 703, 704, 800, 900, 1000, 1100];

/// A small alert of ZTF's shape, with a cut-out.
const SCHEMA: &str = r#"{"type":"record","name":"alert","namespace":"ztf","fields":[
    {"name":"objectId","type":"string"},{"name":"candid","type":"long"},
    {"name":"candidate","type":{"type":"record","name":"candidate","fields":[
        {"name":"jd","type":"double"},{"name":"ra","type":"double"},{"name":"dec","type":"double"}]}},
    {"name":"cutoutScience","type":{"type":"record","name":"cutout","fields":[{"name":"stampData","type":"bytes"}]}}]}"#;

fn datum(object: &str, candid: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_bytes(&mut out, object.as_bytes());
    write_long(&mut out, candid);
    [2_461_353.7, 10.0, f64::NAN].iter().for_each(|x| out.extend(f64::to_le_bytes(*x)));
    write_bytes(&mut out, &image());
    out
}

/// A FITS image of 3 x 2 pixels of 8 bits.
fn image() -> Vec<u8> {
    let cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                    3",
        "NAXIS2  =                    2",
        "END",
    ];
    let mut out: Vec<u8> = cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect();
    out.resize(2880, b' ');
    out.extend([1, 2, 3, 4, 5, 6]);
    out.resize(5760, 0);
    out
}

fn skysluice<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skysluice")).args(arguments).current_dir(root()).output().unwrap()
}

/// What is printed where all goes well.
fn printed(arguments: &[&str]) -> String {
    let output = skysluice(arguments);
    assert!(output.status.success(), "{arguments:?}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a failure, which has exit code 1 and nothing printed.
fn refused(arguments: &[&str]) -> String {
    let output = skysluice(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{arguments:?}: {told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

fn packets(folder: &Path) -> Vec<Packet> {
    SURVEYS.iter().flat_map(|survey| data::packets(folder, survey)).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Profile of the survey that a packet is of.
fn profile(packet: &Packet) -> String {
    let survey = packet.name.split(['/', '-']).next().unwrap();
    config::survey(survey).as_str().unwrap().to_owned()
}

#[test]
fn every_real_packet_is_shown_as_fastavro_reads_it_with_its_cut_outs() {
    let (Some(folder), Some(python)) = (data::folder(), Python::ready()) else { return };
    let scratch = Scratch::new("inspect-packets");
    let mut list = Vec::new();
    let packets = packets(&folder);
    for (i, packet) in packets.iter().enumerate() {
        let stamps = scratch.join(format!("stamps/{i}"));
        let arguments =
            ["alert", "show", path(&packet.path), "--format", "json", "--cutouts", path(&stamps), "--survey", &profile(packet)];
        let shown = scratch.write(&format!("shown/{i}.json"), printed(&arguments));
        list.push(json!({ "packet": packet.path, "record": 0, "shown": shown, "stamps": stamps }));
        let table = printed(&["alert", "show", path(&packet.path)]);
        assert!(table.contains("record 0 of 1, ") && table.lines().count() > 20, "{}: {table}", packet.name);
    }
    let list = scratch.write("list.json", Value::from(list).to_string());
    let counts = python.run("check_shown.py", [list]);
    assert_eq!(counts["packets"], packets.len());
    assert!(counts["fields"].as_u64().unwrap() > 10_000 && counts["stamps"].as_u64().unwrap() > 100, "{counts}");
    eprintln!("{counts}");
}

#[test]
fn every_real_schema_is_shown_and_checked() {
    let Some(folder) = data::folder() else { return };
    for packet in packets(&folder) {
        let file = path(&packet.path);
        let tree = printed(&["schema", "show", file]);
        let stored = printed(&["schema", "show", file, "--columns"]);
        assert!(tree.contains(", fingerprint ") && tree.contains("64-bit float"), "{tree}");
        assert!(stored.contains("DOUBLE") && stored.contains("Float64"), "{stored}");
        let json: Value = serde_json::from_str(&printed(&["schema", "show", file, "--json"])).unwrap();
        assert_eq!(json, serde_json::from_str::<Value>(&Container::parse(&packet.bytes).schema).unwrap());
        let checked = printed(&["schema", "check", file, "--survey", &profile(&packet)]);
        assert!(checked.contains("right ascension"), "{checked}");
    }
    let winter = data::packets(&folder, "winter").remove(0);
    let told = printed(&["schema", "check", path(&winter.path), "--survey", "tests/surveys/winter.yaml"]);
    assert!(told.contains("`sgmag1` twice") && told.contains("sgmag1_1"), "{told}");
    let turbo = data::packets(&folder, "turbo").remove(0);
    let told = printed(&["schema", "check", path(&turbo.path)]);
    assert!(told.contains("candidate.fid: the default null is not a value of its type (32-bit integer)"), "{told}");
    assert!(told.contains("survey: ztf"), "it is of ZTF's kind, which is guessed: {told}");
}

#[test]
fn schemas_known_offline_are_those_of_the_observatory() {
    let Some(folder) = data::folder() else { return };
    for id in LSST {
        let theirs = folder.join(format!("alerts/lsst-schemas/{}.{}", id / 100, id % 100));
        let output = skysluice(["schema", "diff", &id.to_string(), path(&theirs)]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{id}: {told} {}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("the fields are the same"), "{told}");
    }
    let shown = printed(&["schema", "show", path(&folder.join("alerts/lsst-schemas/11.0"))]);
    assert!(shown.contains("lsst.v11_0.alert") && shown.contains("# Identifier of the triggering DiaSource"), "{shown}");
}

#[test]
fn differences_of_versions_are_those_that_python_finds() {
    let Some(python) = Python::ready() else { return };
    let file = |id: u32| root().join(format!("conf/schemas/lsst/{id}.avsc"));
    for pair in LSST.windows(2).chain([&[700, 1100][..], &[1100, 700]]) {
        let [old, new] = [pair[0], pair[1]];
        let expected = python.run("compare_schemas.py", [file(old), file(new)]);
        let output = skysluice(["schema", "diff", &old.to_string(), &new.to_string(), "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let paths = |list: &Value, what: Option<&str>| -> BTreeSet<String> {
            let entries = list.as_array().unwrap().iter().filter(|e| what.is_none_or(|what| e["what"] == what));
            entries.map(|e| e["path"].as_str().unwrap_or_else(|| e.as_str().unwrap()).to_owned()).collect()
        };
        let plain = |what: &str| -> BTreeSet<String> {
            expected[what].as_array().unwrap().iter().map(|p| p.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(paths(&told["added"], None), plain("added"), "{old} -> {new}");
        assert_eq!(paths(&told["removed"], None), plain("removed"), "{old} -> {new}");
        for what in ["nullable", "default"] {
            assert_eq!(paths(&told["changed"], Some(what)), plain(what), "{what}, {old} -> {new}");
        }
        let same = told["same"].as_bool().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!same)), "{old} -> {new}");
        eprintln!("{old} -> {new}: {} added, {} removed", plain("added").len(), plain("removed").len());
    }
    // Other names of types alone.
    let output = skysluice(["schema", "diff", "703", "704"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("lsst.v7_3.alert -> lsst.v7_4.alert"), "{told}");
    let output = skysluice(["schema", "diff", "703", "705"]);
    assert_eq!(output.status.code(), Some(2), "trouble is told from a difference");
}

#[test]
fn a_schema_is_checked_against_a_survey_and_the_conditions_of_a_component() {
    let scratch = Scratch::new("inspect-check");
    let schema = scratch.write("small.avsc", SCHEMA);
    let good = printed(&["schema", "check", path(&schema)]);
    for part in
        ["right ascension: candidate.ra", "lacking   history: fp_hists is not in the schema", "cut-outs: cutoutScience.stampData"]
    {
        assert!(good.contains(part), "no {part} in\n{good}");
    }
    let wrong = skysluice(["schema", "check", path(&schema), "--survey", "lsst"]);
    let told = String::from_utf8(wrong.stdout).unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{told}");
    assert!(told.contains("WRONG     right ascension: none of diaSource.ra is in the schema"), "{told}");

    let source = json!({ "simulator": { "count": 1 } });
    let more = json!({
        "steps": [{ "cut": { "where": "candidate.ra > 1" } }, { "cut": { "name": "bright", "where": "candidate.magpsf < 20" } }],
        "publish": [{ "topic": "out", "files": scratch.join("out"), "where": "candidate.rb > 0.5" }],
    });
    let component = config::pipeline(scratch.path(), "night", "ztf", source, more);
    let file = scratch.write("night.yaml", config::file(scratch.path(), json!({}), vec![component]).to_string());
    let checked = skysluice(["schema", "check", path(&schema), "--config", path(&file), "--component", "night"]);
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    for part in ["step 2 (`bright`): no field `candidate.magpsf`", "output out: no field `candidate.rb`", "survey: ztf"] {
        assert!(told.contains(part), "no {part} in\n{told}");
    }
    let all = printed(&["schema", "check", "conf/schemas/ztf/ztf.avsc", "--config", path(&file)]);
    assert!(all.contains("component night: every condition fits"), "{all}");
    let stranger = refused(&["schema", "check", path(&schema), "--config", path(&file), "--component", "day"]);
    assert!(stranger.contains("no component `day`; it has night"), "{stranger}");

    let recursive = r#"{"type":"record","name":"alert","fields":[{"name":"next","type":["null","alert"]}]}"#;
    let recursive = scratch.write("recursive.avsc", recursive);
    let checked = skysluice(["schema", "check", path(&recursive)]);
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1));
    assert!(told.contains("recursive") && told.contains("dead letters"), "{told}");
}

#[test]
fn several_records_codecs_and_framings_are_shown() {
    let scratch = Scratch::new("inspect-framings");
    let three: Vec<u8> = (1..=3).flat_map(|n| datum("ZTF26aaaaaaa", n)).collect();
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&three).unwrap();
    let container = scratch.write("three.avro", build(SCHEMA, "deflate", 3, &encoder.finish().unwrap()));
    for (record, candid) in [("0", 1), ("2", 3)] {
        let shown = printed(&["alert", "show", path(&container), "--record", record, "--format", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&shown["candid"], &shown["candidate"]["dec"]), (&json!(candid), &json!("NaN")));
        let stamp = json!({ "bytes": 5760, "format": "fits", "width": 3, "height": 2 });
        assert_eq!(shown["cutoutScience"]["stampData"], stamp);
    }
    let told = refused(&["alert", "show", path(&container), "--record", "3"]);
    assert!(told.contains("there are 3, numbers 0 to 2"), "{told}");

    let schema = scratch.write("small.avsc", SCHEMA);
    let bare = scratch.write("bare.bin", datum("ZTF26aaaaaaa", 7));
    let framed = scratch.write("framed.bin", confluent(77, &datum("ZTF26aaaaaaa", 7)));
    scratch.write("schemas/77.avsc", SCHEMA);
    let schemas = scratch.join("schemas");
    let expected = printed(&["alert", "show", path(&bare), "--schema", path(&schema), "--format", "json"]);
    for way in
        [&["--schema", path(&schema)][..], &["--schemas", path(&schemas)], &["--schema", "77", "--schemas", path(&schemas)]]
    {
        let arguments: Vec<&str> = ["alert", "show", path(&framed), "--format", "json"].iter().chain(way).copied().collect();
        assert_eq!(printed(&arguments), expected, "{way:?}");
    }
    let shown = printed(&["schema", "show", path(&framed), "--schemas", path(&schemas)]);
    assert!(shown.contains("ztf.alert"), "{shown}");
    let told = refused(&["alert", "show", path(&framed)]);
    assert!(told.contains("schema id 77 ") && told.contains("--schemas"), "{told}");

    let Some(folder) = data::folder() else { return };
    let lsst = folder.join("alerts/lsst/fakeAlert-v9.0.avro");
    let bytes = std::fs::read(&lsst).unwrap();
    let datum = &bytes[Container::parse(&bytes).datum()];
    let framed = scratch.write("lsst.bin", confluent(900, datum));
    let bare = scratch.write("lsst-bare.bin", datum);
    let expected = printed(&["alert", "show", path(&lsst), "--format", "json"]);
    assert_eq!(printed(&["alert", "show", path(&framed), "--format", "json"]), expected);
    assert_eq!(printed(&["alert", "show", path(&bare), "--format", "json", "--schema", "900"]), expected);
    let told = refused(&["alert", "show", path(&bare), "--schema", "1100"]);
    assert!(told.contains("schema does not fit"), "{told}");
}

#[test]
fn what_is_wrong_is_named() {
    let scratch = Scratch::new("inspect-wrong");
    let good = build(SCHEMA, "null", 2, &[datum("ZTF26aaaaaaa", 1), datum("ZTF26aaaaaaa", 2)].concat());
    let block = Container::parse(&good).blocks[0].1.clone();
    let half = block.start + datum("ZTF26aaaaaaa", 1).len();
    let mut corrupt = good.clone();
    // The length of the second object's name becomes negative.
    corrupt[half] = 1;
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("truncated", good[..half].to_vec(), &["cut off in a block"]),
        ("header", good[..100].to_vec(), &["cut off in its header"]),
        ("corrupt", corrupt, &["record 1: field objectId, byte 1 of the datum: a length of -1"]),
        ("text", b"objectId,ra,dec\nZTF,1,2\n".to_vec(), &["it begins with 6f 62 6a 65 63, which is text", "needs --schema"]),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0], &["which is gzip: unpack it first"]),
        ("empty", Vec::new(), &["it is empty"]),
        ("confluent", confluent(12345, &datum("ZTF26aaaaaaa", 1)), &["schema id 12345 is not among those built in (700, 701"]),
        ("parquet", b"PAR1 and no more".to_vec(), &["is no whole Parquet file"]),
    ];
    for (name, bytes, parts) in cases {
        let file = scratch.write(name, bytes);
        let told = refused(&["alert", "show", path(&file)]);
        for part in parts.iter().chain(&[path(&file)]) {
            assert!(told.contains(part), "{name}: no {part} in\n{told}");
        }
        if name != "truncated" && name != "corrupt" {
            refused(&["schema", "show", path(&file)]);
        }
    }
    for verb in [&["alert", "show"][..], &["schema", "show"], &["schema", "check"]] {
        let arguments: Vec<&str> = verb.iter().copied().chain(["no/such/file"]).collect();
        let told = refused(&arguments);
        assert!(told.contains("no/such/file: ") && told.contains("No such file"), "{told}");
    }
    let container = scratch.write("good.avro", &good);
    assert!(refused(&["alert", "show", path(&container), "--schema", "900"]).contains("leave --schema out"));
    assert!(refused(&["alert", "show", path(&container), "--survey", "zft"]).contains("did you mean `ztf`?"));
    let text = scratch.write("text.avsc", "not a schema");
    assert!(refused(&["schema", "show", path(&text)]).contains("not JSON"));
    let folder = scratch.folder("several");
    for name in ["one", "two"] {
        scratch.write(&format!("several/{name}.avsc"), SCHEMA.replace("\"name\":\"alert\"", &format!("\"name\":\"{name}\"")));
    }
    let told = refused(&["schema", "show", path(&folder)]);
    assert!(told.contains("ztf.one, ztf.two") && told.contains("--root"), "{told}");
    assert!(printed(&["schema", "show", path(&folder), "--root", "ztf.two"]).contains("ztf.two, fingerprint"));
    assert!(refused(&["schema", "show", path(&scratch.folder("nothing"))]).contains("without .avsc files"));
}

#[test]
fn hostile_names_and_texts_reach_neither_other_folders_nor_the_terminal() {
    let scratch = Scratch::new("inspect-hostile");
    let object = "../../../\u{1b}]0;x\u{7}/etc/\n";
    let schema = SCHEMA.replace("\"type\":\"string\"", "\"type\":\"string\",\"doc\":\"\\u001b[2Jgone\\u202e\"");
    let file = scratch.write("in/hostile.avro", build(&schema, "null", 1, &datum(object, 1)));
    let stamps = scratch.join("in/stamps");
    let output = skysluice(["alert", "show", path(&file), "--cutouts", path(&stamps)]);
    assert!(output.status.success());
    for text in [&output.stdout, &output.stderr, &skysluice(["schema", "show", path(&file)]).stdout] {
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'), "{text:?}");
    }
    let names: Vec<PathBuf> = std::fs::read_dir(&stamps).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let name = names[0].file_name().unwrap().to_str().unwrap();
    assert!(
        name.ends_with("-1-science.fits") && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
        "{name}"
    );
    assert_eq!(std::fs::read(&names[0]).unwrap(), image());
    let mut below: Vec<String> =
        std::fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    below.sort();
    assert_eq!(below, [".pids", "in"], "nothing beside the folder");
}

#[test]
fn an_archived_alert_is_shown_as_the_packet_is() {
    let scratch = Scratch::new("inspect-archive");
    let packet = simulator::alerts(9, 1, 1).next().unwrap().payload.unwrap();
    let packet = scratch.write("packets/one.avro", packet);
    let source = json!({ "files": { "path": scratch.join("packets") } });
    let component = config::pipeline(scratch.path(), "night", "ztf", source, json!({}));
    let configuration = config::file(scratch.path(), json!({}), vec![component]);
    Run::start(&scratch, "night", &configuration, None).finish(Duration::from_secs(60));
    let mut file = config::archive(scratch.path(), "night");
    while file.is_dir() {
        file = std::fs::read_dir(&file).unwrap().next().unwrap().unwrap().path();
    }
    let json = |file: &Path| -> Value {
        let stamps = scratch.join(format!("stamps-{}", file.extension().unwrap().to_str().unwrap()));
        let printed = printed(&["alert", "show", path(file), "--format", "json", "--cutouts", path(&stamps)]);
        serde_json::from_str(&printed).unwrap()
    };
    let (mut archived, shown) = (json(&file), json(&packet));
    let own = archived.as_object_mut().unwrap().remove("skysluice").unwrap();
    assert_eq!((&own["passed"], &own["record"]), (&json!(true), &json!(0)));
    assert_eq!(archived, shown);
    let names = |kind: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(scratch.join(format!("stamps-{kind}"))).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(names("avro").len() == 3 && names("avro") == names("parquet"), "{:?}", names("parquet"));
    let told = refused(&["alert", "show", path(&file), "--record", "1"]);
    assert!(told.contains("there is one, number 0"), "{told}");
    let output = skysluice(["schema", "diff", path(&file), path(&packet)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_schema_of_a_topic_is_that_of_its_newest_message() {
    let Some(kafka) = Kafka::shared() else { return };
    let brokers = kafka.bootstrap();
    let show = |topic: &str, more: &[&str]| -> Output {
        let arguments: Vec<&str> =
            ["schema", "show", "--brokers", &brokers, topic, "--json"].iter().chain(more).copied().collect();
        skysluice(arguments)
    };
    let shown = |topic: &str| -> Value {
        let output = show(topic, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let told = |topic: &str, more: &[&str]| -> String {
        let output = show(topic, more);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let message = |partition, timestamp, payload| Outgoing {
        partition: Some(partition),
        timestamp: Some(timestamp),
        payload,
        ..Outgoing::default()
    };
    let other = SCHEMA.replace("candid\"", "number\"");
    let container = |schema: &str| Some(build(schema, "null", 1, &datum("ZTF26aaaaaaa", 1)));

    let topic = kafka.topic("inspect-container", 3);
    assert!(told(&topic, &[]).contains("has no message"));
    // The newest by its time lies before a tombstone.
    kafka.produce(
        &topic,
        [
            message(0, 1_000, container(&other)),
            message(1, 500, container(&other)),
            message(1, 2_000, container(SCHEMA)),
            message(1, 3_000, None),
            message(2, 1_500, container(&other)),
        ],
    );
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(shown(&topic), schema);
    kafka.produce(&topic, [message(2, 2_500, container(&other))]);
    assert_eq!(shown(&topic), serde_json::from_str::<Value>(&other).unwrap());

    let topic = kafka.topic("inspect-confluent", 1);
    kafka.produce(&topic, [message(0, 1, Some(confluent(1000, b"datum"))), message(0, 2, None)]);
    assert_eq!(shown(&topic)["name"], "lsst.v10_0.alert");
    let output = skysluice(["schema", "diff", "--brokers", &brokers, "1000", &topic]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    kafka.produce(&topic, [message(0, 3, Some(confluent(4711, b"datum")))]);
    assert!(told(&topic, &[]).contains("schema id 4711 "));
    kafka.produce(&topic, [message(0, 4, Some(b"{}".to_vec()))]);
    assert!(told(&topic, &[]).contains("it begins with 7b 7d, which is text"));
    assert!(told("no-such-topic", &[]).contains("there is no topic no-such-topic"));
    let secret = told(&topic, &["--property", "sasl.pasword=hunter2"]);
    assert!(secret.contains("`sasl.pasword`") && !secret.contains("hunter2"), "{secret}");
}
