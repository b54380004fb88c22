//! Streams that name their schemas by id, with a registry that knows them, learns them, is away, or lets nobody in.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::container::{Container, confluent};
use support::data::Packet;
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::registry::Registry;
use support::run::Run;
use support::scratch::Scratch;
use support::{await_for, config, oracle, tail};

const LIMIT: Duration = Duration::from_secs(60);
/// What is logged once when a partition begins to wait, and when it goes on.
const WAITS: &str = "the partition waits for a schema";
const GOES_ON: &str = "the partition goes on";

/// LSST packets of version 9.0 (id 900 is known without a registry) and 11.0.
struct Packets {
    nine: Packet,
    eleven: Packet,
}

impl Packets {
    fn ready() -> Option<Packets> {
        let all = support::data::packets(&support::data::folder()?, "lsst");
        let find = |version: &str| all.iter().find(|p| p.name.ends_with(&format!("-v{version}.avro"))).unwrap().clone();
        Some(Packets { nine: find("9.0"), eleven: find("11.0") })
    }

    /// Messages of a partition with this id: packets of 9.0 for even ids, of 11.0 for odd ones.
    fn messages(&self, partition: i32, id: u32, count: usize) -> Vec<Outgoing> {
        let packet = if id.is_multiple_of(2) { &self.nine } else { &self.eleven };
        let payload = confluent(id, &packet.bytes[Container::parse(&packet.bytes).datum()]);
        vec![Outgoing { partition: Some(partition), payload: Some(payload), ..Outgoing::default() }; count]
    }

    /// Registers an id with the schema of its messages.
    fn register(&self, registry: &Registry, id: u32) {
        let packet = if id.is_multiple_of(2) { &self.nine } else { &self.eleven };
        registry.put(id, &Container::parse(&packet.bytes).schema);
    }
}

fn configuration(folder: &Path, name: &str, source: Value, registry: Value) -> Value {
    let decode = json!({ "framing": "confluent", "registry": registry });
    config::file(folder, json!({}), vec![config::pipeline(folder, name, "lsst", source, json!({ "decode": decode }))])
}

/// Waits until the group has committed these offsets.
fn committed(run: &mut Run, kafka: &Kafka, group: &str, topic: &str, wanted: [i64; 2]) {
    run.await_for(&format!("commits at {wanted:?}"), LIMIT, |_| {
        let found = kafka.committed(group, topic);
        (found == wanted.map(|offset| (offset > 0).then_some(offset))).then_some(())
    });
}

fn count(log: &str, what: &str) -> usize {
    log.matches(what).count()
}

#[test]
fn the_registry_of_the_tests_is_one_to_confluents_own_client() {
    let (Some(python), Some(packets)) = (Python::ready(), Packets::ready()) else { return };
    let scratch = Scratch::new("registry-client");
    let registry = Registry::start();
    packets.register(&registry, 900);
    registry.ask_for("bWU6b3BlbiBzZXNhbWU=");
    let frame = scratch.write("frame", packets.messages(0, 900, 1)[0].payload.clone().unwrap());
    let arguments = [&registry.url(), "me", "open sesame", "900", frame.to_str().unwrap(), packets.nine.path.to_str().unwrap()];
    let judged = python.run("registry_client.py", arguments);
    println!("{judged}");
    assert!(judged["fields"].as_u64().unwrap() > 100 && registry.refused() > 0);
}

#[test]
fn a_registry_that_is_away_holds_the_partition_that_needs_it_and_no_other() {
    let (Some(kafka), Some(python), Some(packets)) = (Kafka::shared(), Python::ready(), Packets::ready()) else { return };
    let scratch = Scratch::new("registry-away");
    let (folder, topic) = (scratch.path(), kafka.topic("registry-away", 2));
    let mut registry = Registry::start();
    packets.register(&registry, 5000);
    packets.register(&registry, 5001);
    registry.stop();
    kafka.produce(&topic, packets.messages(0, 900, 20));
    for id in [900, 5000, 5001, 5000] {
        kafka.produce(&topic, packets.messages(1, id, 10));
    }

    let source = config::endless(kafka, &[&topic], "registry-away");
    let configured = configuration(folder, "away", source, json!({ "url": registry.url() }));
    let mut run = Run::start(&scratch, "away", &configured, None);
    committed(&mut run, kafka, "registry-away", &topic, [20, 10]);
    run.await_for("a word on the partition", LIMIT, |p| p.log().contains(WAITS).then_some(()));
    // Longer than the membership would last if nobody kept it up; the other partition goes on all the while.
    let (end, mut more) = (Instant::now() + Duration::from_secs(13), 20);
    while Instant::now() < end {
        kafka.produce(&topic, packets.messages(0, 900, 5));
        more += 5;
        committed(&mut run, kafka, "registry-away", &topic, [more, 10]);
    }
    let log = run.process().log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains(WAITS)).collect();
    assert!(said.len() == 1 && said[0].contains(&format!("{topic}[1]")) && said[0].contains("5000"), "{said:#?}");
    assert_eq!(registry.calls(5000), 0);

    registry.resume();
    committed(&mut run, kafka, "registry-away", &topic, [more, 40]);
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    assert_eq!((report.generations, report.component("away").dead), (1, 0), "{log}");
    assert_eq!((registry.calls(5000), registry.calls(5001)), (1, 1), "one call for each id");
    assert_eq!((count(&log, WAITS), count(&log, GOES_ON)), (1, 1), "{log}");
    assert!(!log.contains("partitions revoked"), "{log}");

    // A restart without the registry: what it told is on disk. Another component of the same folder has it too.
    registry.stop();
    kafka.produce(&topic, packets.messages(0, 5000, 5).into_iter().chain(packets.messages(1, 5001, 5)));
    let source = config::until_end(kafka, &[&topic], "registry-away");
    let configured = configuration(folder, "away", source, json!({ "url": registry.url() }));
    let (report, log) = Run::start(&scratch, "again", &configured, None).finish(LIMIT);
    assert_eq!((report.component("away").messages, report.component("away").dead), (10, 0), "{log}");
    assert!(!log.contains(WAITS), "{log}");

    let archive = config::archive(folder, "away");
    let ends = vec![(0, more + 5), (0, 45)];
    oracle::exactly_once(&python, &scratch, &archive, &[(&topic, ends)], &[]);

    // A damaged file is not believed: the registry is asked again.
    registry.resume();
    let kept = scratch.join("data/schemas").read_dir().unwrap().next().unwrap().unwrap().path().join("5001.avsc");
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replacen("\"double\"", "\"float\"", 1)).unwrap();
    kafka.produce(&topic, packets.messages(1, 5001, 5));
    let (report, log) = Run::start(&scratch, "damaged", &configured, None).finish(LIMIT);
    assert_eq!((report.component("away").messages, report.component("away").dead), (5, 0), "{log}");
    assert!(log.contains("a kept schema is damaged") && registry.calls(5001) == 2, "{log}");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), text);
}

#[test]
fn an_unknown_id_is_waited_for_then_dead_lettered_and_garbage_stalls_nothing() {
    let (Some(kafka), Some(python), Some(packets)) = (Kafka::shared(), Python::ready(), Packets::ready()) else { return };
    let scratch = Scratch::new("registry-unknown");
    let (folder, topic) = (scratch.path(), kafka.topic("registry-unknown", 2));
    let registry = Registry::start();
    packets.register(&registry, 5000);
    registry.put(5002, r#"{"type": "record", "name": "no", "fields": [{"name": "x", "type": "nothing"}]}"#);
    kafka.produce(&topic, packets.messages(0, 5000, 10));
    let garbage = 40;
    let mut parked = packets.messages(1, 6000, 3);
    parked.extend((0..garbage).flat_map(|i| packets.messages(1, 7000 + i, 2)));
    parked.extend(packets.messages(1, 5002, 1));
    parked.extend(packets.messages(1, 5000, 10));
    kafka.produce(&topic, parked);

    let source = config::until_end(kafka, &[&topic], "registry-unknown");
    let settings = json!({ "url": registry.url(), "unknown": { "wait": "3 s" } });
    let configured = configuration(folder, "unknown", source, settings);
    let (report, log) = Run::start(&scratch, "unknown", &configured, None).finish(LIMIT);
    let component = report.component("unknown");
    assert_eq!((component.archived, component.dead), (20, 3 + 2 * u64::from(garbage) + 1), "{log}");
    report.assert_balanced();

    let letters = oracle::letters(&python, &config::letters(folder, "unknown"));
    for letter in &letters {
        let (offset, reason) = (letter["offset"].as_i64().unwrap(), letter["reason"].as_str().unwrap());
        let wanted = match offset {
            0..3 => "schema id 6000 is not known".to_owned(),
            83 => "the schema with id 5002 cannot be used: the schema is not an Avro schema".to_owned(),
            _ => format!("schema id {} is not known", 7000 + (offset - 3) / 2),
        };
        assert!(reason.contains(&wanted) && letter["partition"] == 1, "{letter}");
    }
    // The first was asked for again and again while its partition waited, each of the others once.
    assert!(registry.calls(6000) >= 4, "{} calls", registry.calls(6000));
    for i in 0..garbage {
        assert_eq!(registry.calls(7000 + i), 1);
    }
    assert_eq!(registry.calls(5000), 1);
    assert_eq!((count(&log, WAITS), count(&log, "become dead letters, the partition goes on")), (1, 1), "{log}");
}

#[test]
fn an_id_that_becomes_known_while_it_is_waited_for_is_archived() {
    let (Some(kafka), Some(python), Some(packets)) = (Kafka::shared(), Python::ready(), Packets::ready()) else { return };
    let scratch = Scratch::new("registry-late");
    let (folder, topic) = (scratch.path(), kafka.topic("registry-late", 2));
    let registry = Registry::start();
    kafka.produce(&topic, packets.messages(0, 900, 5).into_iter().chain(packets.messages(1, 6001, 5)));
    let source = config::until_end(kafka, &[&topic], "registry-late");
    let configured = configuration(folder, "late", source, json!({ "url": registry.url() }));
    let mut run = Run::start(&scratch, "late", &configured, None);
    run.await_for("a word on the partition", LIMIT, |p| p.log().contains(WAITS).then_some(()));
    packets.register(&registry, 6001);
    let (report, log) = run.finish(LIMIT);
    assert_eq!((report.component("late").archived, report.component("late").dead), (10, 0), "{log}");
    assert!(log.contains("the registry does not know the id (yet)") && count(&log, GOES_ON) == 1, "{log}");
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "late"), &[(&topic, vec![(0, 5), (0, 5)])], &[]);
}

#[test]
fn a_wrong_password_holds_and_is_said() {
    let (Some(kafka), Some(packets)) = (Kafka::shared(), Packets::ready()) else { return };
    let scratch = Scratch::new("registry-password");
    let (folder, topic) = (scratch.path(), kafka.topic("registry-password", 2));
    let registry = Registry::start();
    packets.register(&registry, 5000);
    registry.ask_for("bWU6cmlnaHQ=");
    kafka.produce(&topic, packets.messages(0, 5000, 5).into_iter().chain(packets.messages(1, 900, 5)));
    let source = config::endless(kafka, &[&topic], "registry-password");
    let password = scratch.write("password", "left\n");
    let settings = json!({ "url": registry.url(), "user": "me", "password": { "file": password } });
    let configured = configuration(folder, "password", source, settings);
    let mut run = Run::start(&scratch, "password", &configured, None);
    committed(&mut run, kafka, "registry-password", &topic, [0, 5]);
    run.await_for("a word on the password", LIMIT, |p| p.log().contains("the registry refuses us").then_some(()));
    await_for("further attempts", LIMIT, || (registry.refused() >= 3).then_some(()));
    // The stop does not wait for the registry.
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    assert_eq!((report.component("password").archived, report.component("password").dead), (5, 0), "{log}");
    assert!(log.contains("401") && log.contains("correct decode.registry.user and password") && !log.contains("left"), "{log}");
    // With the right one it goes on where it was.
    std::fs::write(&password, "right\n").unwrap();
    let source = config::until_end(kafka, &[&topic], "registry-password");
    let settings = json!({ "url": registry.url(), "user": "me", "password": { "file": password } });
    let configured = configuration(folder, "password", source, settings);
    let (report, log) = Run::start(&scratch, "right", &configured, None).finish(LIMIT);
    assert_eq!((report.component("password").archived, registry.calls(5000)), (5, 1), "{log}");
}

#[test]
fn a_registry_behind_tls_is_trusted_by_its_authority_alone() {
    let (Some(python), Some(packets)) = (Python::ready(), Packets::ready()) else { return };
    let scratch = Scratch::new("registry-tls");
    let folder = scratch.path();
    let tls = scratch.folder("tls");
    let schema = scratch.write("schema.avsc", Container::parse(&packets.nine.bytes).schema);
    let _server = python.spawn(&scratch, "tls_registry.py", [tls.as_os_str(), "5000".as_ref(), schema.as_os_str()]);
    let port = await_for("the registry's port", LIMIT, || std::fs::read_to_string(tls.join("port")).ok());
    for (number, message) in (0..).zip(packets.messages(0, 5000, 3)) {
        scratch.write(&format!("packets/{number}"), message.payload.unwrap());
    }
    let source = json!({ "files": { "path": scratch.join("packets") } });
    let url = format!("https://localhost:{port}");
    let configured = configuration(folder, "tls", source.clone(), json!({ "url": url }));
    let mut run = Run::start(&scratch, "untrusted", &configured, None);
    run.await_for("a word on the certificate", LIMIT, |p| p.log().contains("certificate verify failed").then_some(()));
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    assert_eq!((report.component("tls").archived, report.component("tls").dead), (0, 0), "{}", tail(&log, 20));
    let configured = configuration(folder, "tls", source, json!({ "url": url, "ca": tls.join("ca.pem") }));
    let (report, log) = Run::start(&scratch, "trusted", &configured, None).finish(LIMIT);
    assert_eq!((report.component("tls").archived, report.component("tls").dead), (3, 0), "{log}");
}
