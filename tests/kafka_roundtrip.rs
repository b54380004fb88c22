//! Real packets of every survey through a real broker: what is archived and published, read by others.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::config;
use support::container::{Container, confluent};
use support::data::{self, Packet};
use support::kafka::{Kafka, Outgoing, Placed};
use support::oracle::{self, Manifest};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;

/// Surveys whose packets are object containers, with their profiles.
const CONTAINERS: [(&str, &str); 7] = [
    ("ztf", "ztf"),
    ("ztf-snappy", "ztf"),
    ("elasticc", "elasticc"),
    ("atlas", "atlas"),
    ("winter", "winter"),
    ("pgir", "pgir"),
    ("turbo", "turbo"),
];

/// Packets that can't be decoded, with a part of the reason. Today there are none.
const UNDECODABLE: [(&str, &str); 0] = [];

/// Packets in a topic of four partitions: their names by partition and offset, and what readers have to find of them.
struct Sent {
    topic: String,
    names: BTreeMap<(i32, i64), String>,
    manifest: Manifest,
}

fn send(kafka: &Kafka, prefix: &str, packets: &[Packet], payload: impl Fn(&Packet) -> Vec<u8>) -> Sent {
    let topic = kafka.topic(prefix, 4);
    let messages = packets.iter().zip((0..4).cycle()).map(|(packet, partition)| Outgoing {
        partition: Some(partition),
        payload: Some(payload(packet)),
        ..Outgoing::default()
    });
    let placed: Vec<Placed> = kafka.produce(&topic, messages);
    let mut sent = Sent { topic, names: BTreeMap::new(), manifest: Manifest::default() };
    for (packet, place) in packets.iter().zip(placed) {
        if !UNDECODABLE.iter().any(|(name, _)| *name == packet.name) {
            sent.manifest.add(&sent.topic, place, &packet.path);
        }
        sent.names.insert((place.partition, place.offset), packet.name.clone());
    }
    sent
}

/// LSST packets in Confluent's frame, as Rubin sends them.
fn send_lsst(kafka: &Kafka, data: &Path) -> Sent {
    let packets = data::packets(data, "lsst");
    let id = |packet: &Packet| {
        let version = packet.name.trim_start_matches("lsst/fakeAlert-v").trim_end_matches(".avro");
        let (major, minor) = version.split_once('.').unwrap();
        major.parse::<u32>().unwrap() * 100 + minor.parse::<u32>().unwrap()
    };
    send(kafka, "lsst", &packets, |packet| {
        let datum = Container::parse(&packet.bytes).datum();
        confluent(id(packet), &packet.bytes[datum])
    })
}

#[test]
fn every_field_of_every_archived_row_is_as_fastavro_reads_it() {
    let (Some(kafka), Some(python), Some(data)) = (Kafka::shared(), Python::ready(), data::folder()) else { return };
    let scratch = Scratch::new("roundtrip");
    let folder = scratch.path();
    let mut all: Vec<(String, &str, Sent, Value)> = Vec::new();
    for (name, profile) in CONTAINERS {
        let sent = send(kafka, name, &data::packets(&data, name), |p| p.bytes.clone());
        all.push((name.to_owned(), profile, sent, json!({})));
    }
    // The schemas of these versions come with the program.
    let lsst = send_lsst(kafka, &data);
    all.push(("lsst".to_owned(), "lsst", lsst, json!({ "framing": "confluent" })));
    // Every survey and schema in one stream: a profile that does not fit flags rows, it does not stop them.
    let mut mixed: Vec<Packet> = CONTAINERS.iter().flat_map(|(name, _)| data::packets(&data, name)).collect();
    mixed.extend(data::packets(&data, "lsst"));
    all.push(("mixed".to_owned(), "ztf", send(kafka, "mixed", &mixed, |p| p.bytes.clone()), json!({})));

    let components = all.iter().map(|(name, profile, sent, decode)| {
        let source = config::until_end(kafka, &[&sent.topic], &format!("roundtrip-{name}"));
        config::pipeline(folder, name, profile, source, json!({ "decode": decode }))
    });
    let configuration = config::file(folder, json!({ "memory": "256 MiB" }), components.collect());
    let (report, log) = Run::start(&scratch, "roundtrip", &configuration, None).finish(Duration::from_secs(180));
    assert_eq!(report.generations, 1, "{log}");

    for (name, _, sent, _) in &all {
        let letters = oracle::letters(&python, &config::letters(folder, name));
        let found: Vec<(&str, &str)> = letters
            .iter()
            .map(|l| {
                let origin = (l["partition"].as_i64().unwrap() as i32, l["offset"].as_i64().unwrap());
                (sent.names[&origin].as_str(), l["reason"].as_str().unwrap())
            })
            .collect();
        let expected = UNDECODABLE.iter().filter(|(packet, _)| sent.names.values().any(|n| n == packet));
        let right =
            expected.clone().all(|(packet, why)| found.iter().any(|(name, reason)| name == packet && reason.contains(why)));
        assert!(right && found.len() == expected.count(), "packets of {name} that could not be decoded: {found:#?}");
    }

    for (name, _, sent, _) in &all {
        let component = report.component(name);
        assert_eq!(component.messages, sent.names.len() as u64, "{component:?}");
        let archive = config::archive(folder, name);
        let manifest = sent.manifest.write(&scratch, &format!("{name}.manifest.json"));
        let arguments = [archive.as_os_str(), manifest.as_os_str(), "--hour".as_ref(), "received".as_ref()];
        let compared = python.run("compare_archive.py", arguments);
        println!("{name}: {compared}");
        assert_eq!(compared["rows"], json!(sent.manifest.len()));
        // A wrong profile would show as flags on every row. The LSST packets of 7.0 to 7.4 have a time of 1480360995 days.
        let flagged = if name == "lsst" { 5 } else { 0 };
        assert!(name == "mixed" || compared["flagged"] == flagged, "{name}: rows are flagged: {compared}");
        let ends: Vec<_> = kafka.ends(&sent.topic).into_iter().map(|(low, high)| (high > low).then_some(high)).collect();
        assert_eq!(kafka.committed(&format!("roundtrip-{name}"), &sent.topic), ends, "offsets of {name}");
    }
}

#[test]
fn output_topics_are_read_by_a_client_of_others() {
    let (Some(kafka), Some(python), Some(data)) = (Kafka::shared(), Python::ready(), data::folder()) else { return };
    let scratch = Scratch::new("outputs");
    let folder = scratch.path();
    let mut packets = data::packets(&data, "ztf");
    packets.extend(data::packets(&data, "ztf-snappy"));
    let sent = send(kafka, "outputs", &packets, |p| p.bytes.clone());
    let manifest = sent.manifest.write(&scratch, "manifest.json");
    let catalog = scratch.join("near.csv");
    let paths = [manifest.as_os_str(), catalog.as_os_str()];
    python.run("make_catalog.py", paths.into_iter().chain(["candidate.ra", "candidate.dec", "1.5"].map(AsRef::as_ref)));

    let outputs = ["container", "confluent", "bare", "matched"].map(|format| (format, kafka.topic(format, 3)));
    let schemas = scratch.folder("schemas");
    let publish = outputs.iter().map(|(kind, topic)| match *kind {
        "matched" => json!({ "topic": topic, "format": "confluent", "schemas": schemas, "where": "matches > 0" }),
        "confluent" => json!({ "topic": topic, "format": "confluent", "schemas": schemas }),
        format => json!({ "topic": topic, "format": format }),
    });
    let more = json!({
        "steps": [{ "crossmatch": { "catalog": catalog, "radius": "1.5 arcsec", "id": "near" } }],
        "publish": publish.collect::<Vec<_>>(),
    });
    let source = config::until_end(kafka, &[&sent.topic], "outputs");
    let component = config::pipeline(folder, "outputs", "ztf", source, more);
    let configuration = config::file(folder, json!({ "memory": "256 MiB" }), vec![component]);
    let (report, _) = Run::start(&scratch, "outputs", &configuration, None).finish(Duration::from_secs(180));
    assert_eq!(report.component("outputs").dead, 0);

    let container = outputs[0].1.clone();
    for (kind, topic) in &outputs {
        let bootstrap = kafka.bootstrap();
        let mut arguments = vec!["--bootstrap", &bootstrap, "--topic", topic, "--manifest", manifest.to_str().unwrap()];
        arguments.extend(["--catalog", catalog.to_str().unwrap(), "--catalog-id", "near", "--radius", "1.5"]);
        arguments.extend(["--format", if *kind == "matched" { "confluent" } else { kind }]);
        match *kind {
            "container" => {}
            "bare" => arguments.extend(["--schemas-from", &container]),
            _ => arguments.extend(["--schemas", schemas.to_str().unwrap()]),
        }
        if *kind == "matched" {
            arguments.push("--matched");
        }
        let read = python.run("read_topics.py", arguments);
        println!("{kind}: {read}");
        assert_eq!(read["duplicates"], 0, "nothing failed, so nothing comes twice: {read}");
        assert!(read["matches"].as_u64().unwrap() > 0, "{kind}: no match at all: {read}");
        assert_eq!(read["messages"].as_u64(), Some(report.component("outputs").published[topic].messages), "{kind}");
    }
}
