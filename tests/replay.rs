//! `skysluice replay`: a range of a stream goes through its component once more, under a group of its own.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::run::{ComponentReport, Report, Run};
use support::scratch::Scratch;
use support::{await_for, config, oracle, simulator};

const LIMIT: Duration = Duration::from_secs(180);
/// 2026-11-09T03:00:00Z, milliseconds since 1970.
const BASE: i64 = 1_794_193_200_000;

/// Alerts of one partition, a second apart, the first one so many seconds after three o'clock.
fn every_second(partition: i32, count: u64, first: i64) -> impl Iterator<Item = Outgoing> {
    let alerts = simulator::alerts(13, count, 1).zip(first..);
    alerts.map(move |(alert, second)| Outgoing { partition: Some(partition), timestamp: Some(BASE + 1000 * second), ..alert })
}

fn command(scratch: &Scratch, file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    command.arg("replay").arg(file).args(arguments).current_dir(scratch.path()).output().unwrap()
}

/// An orderly replay; its report and what it printed and logged.
fn replay(scratch: &Scratch, file: &Path, name: &str, range: [&str; 2], more: &[&str]) -> (ComponentReport, String) {
    let report = scratch.join("replay.json");
    let _ = std::fs::remove_file(&report);
    let mut arguments = vec![name, "--from", range[0], "--to", range[1], "--report", report.to_str().unwrap()];
    arguments.extend(more);
    let Output { status, stdout, stderr } = command(scratch, file, &arguments);
    let said = format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{said}");
    let report: Report = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    report.assert_balanced();
    (report.component(&format!("{name}-replay")).clone(), said)
}

fn written(scratch: &Scratch, name: &str, configuration: &Value) -> PathBuf {
    scratch.write(name, serde_json::to_string_pretty(configuration).unwrap())
}

/// Offsets of both partitions, each so many times.
fn times(parts: &[(i32, std::ops::Range<i64>, usize)]) -> BTreeMap<(i32, i64), usize> {
    let mut all = BTreeMap::new();
    for (partition, range, times) in parts {
        range.clone().for_each(|offset| *all.entry((*partition, offset)).or_insert(0) += times);
    }
    all
}

/// The group of a replay, by the beginning of its name.
fn replay_group(kafka: &Kafka, begins: &str) -> Option<String> {
    let consumer: BaseConsumer = kafka.client().create().unwrap();
    let list = consumer.fetch_group_list(None, Duration::from_secs(5)).ok()?;
    list.groups().iter().map(|group| group.name().to_owned()).find(|name| name.starts_with(begins))
}

/// Removes the files of an hour from the archive, and says how many.
fn lose_hour(folder: &Path, hour: &str) -> usize {
    let mut lost = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lost += lose_hour(&path, hour);
        } else if path.parent().unwrap().ends_with(hour) {
            std::fs::remove_file(path).unwrap();
            lost += 1;
        }
    }
    lost
}

#[test]
fn a_range_is_filled_in_and_sent_again_and_the_service_keeps_its_place() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("replay");
    let (input, output) = (kafka.topic("replay", 2), kafka.topic("replay-out", 1));
    // The first ten of one partition and the first seven of the other were sent before three.
    kafka.produce(&input, every_second(0, 40, -10).chain(every_second(1, 30, -7)));
    let source = config::until_end(kafka, &[&input], "replay-live");
    let component = config::pipeline(scratch.path(), "night", "ztf", source, json!({ "publish": [{ "topic": output }] }));
    let configuration = config::file(scratch.path(), json!({ "memory": "64 MiB" }), vec![component]);
    let file = written(&scratch, "night.yaml", &configuration);
    let live = || Run::start(&scratch, "live", &configuration, None).finish(LIMIT).0;
    assert_eq!(live().component("night").archived, 70);
    let archive = config::archive(scratch.path(), "night");
    assert!(lose_hour(&archive, "hour=3") > 0, "the archive has lost what came after three");

    // Twenty seconds: five of the hour that is there, fifteen of the one that is lost.
    let range = ["2026-11-09T02:59:55Z", "2026-11-09T04:00:15+01:00"];
    let (done, said) = replay(&scratch, &file, "night", range, &[]);
    assert_eq!((done.alerts, done.skipped, done.archived, done.expired), (40, 10, 30, 0), "{said}");
    let in_range = [(0, 5..25, 1), (1, 2..22, 1)];
    let all = [(0, 0..40, 1), (1, 0..30, 1)];
    assert_eq!(oracle::origins(kafka, &output), times(&[&all[..], &in_range[..]].concat()));
    assert_eq!(kafka.committed("replay-live", &input), [Some(40), Some(30)], "the service keeps its place");
    let group = "replay-live-replay-20261109T025955Z-20261109T030015Z";
    assert_eq!(kafka.committed(group, &input), [Some(25), Some(22)]);

    // The same again does nothing.
    let (done, said) = replay(&scratch, &file, "night", range, &[]);
    assert_eq!(done.messages, 0);
    assert!(said.contains("nothing was left of the range") && said.contains(group), "{said}");
    assert_eq!(kafka.count(&output), 70 + 40);

    // Five come that the service has not read yet: they are left to it, also by a replay of all there is.
    kafka.produce(&input, every_second(0, 5, 30));
    let (done, said) = replay(&scratch, &file, "night", ["2026-11-09", "2026-11-10"], &[]);
    assert_eq!((done.alerts, done.skipped, done.archived), (70, 17 + 30, 23), "{said}");
    assert!(said.contains("messages of the range are left to night"), "{said}");
    assert_eq!(live().component("night").archived, 5);
    oracle::exactly_once(&python, &scratch, &archive, &[(&input, kafka.ends(&input))], &[]);
    assert_eq!(kafka.committed("replay-live", &input), [Some(45), Some(30)]);
}

#[test]
fn a_replay_into_other_sinks_goes_on_where_it_was_killed() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("into");
    let (input, output) = (kafka.topic("into", 2), kafka.topic("into-out", 1));
    let count = 1500;
    kafka.produce(&input, every_second(0, count, 0).chain(every_second(1, count, 0)));
    let source = config::until_end(kafka, &[&input], "into-live");
    let component = config::pipeline(scratch.path(), "night", "ztf", source.clone(), json!({}));
    let file = written(&scratch, "night.yaml", &config::file(scratch.path(), json!({}), vec![component]));
    let second = scratch.folder("second");
    let mut other =
        config::pipeline(&second, "night", "ztf", source, json!({ "publish": [{ "topic": output }], "batch": { "alerts": 16 } }));
    // Its own source does not count.
    other["source"]["kafka"]["topics"] = json!(["elsewhere"]);
    let into = written(&scratch, "second.yaml", &config::file(&second, json!({ "memory": "64 MiB" }), vec![other]));

    let range = ["2026-11-09T03:00:00Z", "2026-11-12T00:00:00Z"];
    let arguments = ["night", "--from", range[0], "--to", range[1], "--into", into.to_str().unwrap()];
    let program = Path::new(env!("CARGO_BIN_EXE_skysluice"));
    let mut first = scratch.spawn("first", program, |command| {
        command.arg("replay").arg(&file).args(arguments).current_dir(scratch.path());
        command.env("SKYSLUICE_FAULTS", "process=hang@60");
    });
    // It stands still on its way; what it has settled until then is committed.
    let group = await_for("the group of the replay", LIMIT, || replay_group(kafka, "into-live-replay-20261109T030000Z"));
    let committed = || kafka.committed(&group, &input).into_iter().flatten().sum::<i64>();
    await_for("a commit of the replay", LIMIT, || (committed() > 0).then_some(()));
    assert!(first.exited().is_none(), "it has ended too soon:\n{}", first.log());
    first.kill_9();
    let before = committed();
    let (done, said) = replay(&scratch, &file, "night", range, &arguments[5..]);
    println!("killed when {before} of {} messages were committed; the second attempt read {}", 2 * count, done.messages);
    assert_eq!(done.messages, 2 * count - u64::try_from(before).unwrap(), "{said}");
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &config::archive(&second, "night"), &[(&input, ends.clone())], &[]);
    oracle::at_least_once(kafka, &output, &ends, &[]);
    assert_eq!(kafka.committed("into-live", &input), [None, None], "there never was a service");
    let (done, _) = replay(&scratch, &file, "night", range, &arguments[5..]);
    assert_eq!(done.messages, 0);
    assert!(!config::archive(scratch.path(), "night").exists(), "its own archive was touched");
}

#[test]
fn what_cannot_be_replayed_is_answered() {
    let scratch = Scratch::new("replay-wrong");
    let folder = scratch.path();
    let source = json!({ "kafka": { "brokers": "127.0.0.1:1", "topics": ["t"] } });
    let kafka = config::pipeline(folder, "night", "ztf", source, json!({}));
    let made_up = config::pipeline(folder, "made-up", "ztf", json!({ "simulator": { "count": 1 } }), json!({}));
    let file = written(&scratch, "wrong.yaml", &config::file(folder, json!({}), vec![kafka, made_up]));
    let (from, to) = ("2026-11-09T03:00:00Z", "2026-11-09T04:00:00Z");
    for (name, from, to, said) in [
        ("night", "noon", to, "`noon` is not a time; write a time such as"),
        ("night", "2026-11-09T03:00:00", to, "is a time without a zone; write `2026-11-09T03:00:00Z` for UTC"),
        ("night", to, from, "--from has to be earlier than --to"),
        ("night", from, from, "--from has to be earlier than --to"),
        ("made-up", from, to, "made-up does not read from Kafka"),
        ("day", from, to, "there is no component `day`; there are night, made-up"),
    ] {
        let refused = command(&scratch, &file, &[name, "--from", from, "--to", to]);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(said), "no `{said}` in: {told}");
    }
    let missing = command(&scratch, &file, &["night", "--from", from, "--to", to, "--into", "no-such.yaml"]);
    assert_eq!(missing.status.code(), Some(78), "{missing:?}");
    assert!(!folder.join("data").exists(), "something was started");
}
