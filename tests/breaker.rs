//! A stream of which too much fails is held: the dead letters stay few, nothing is lost, and it goes on when someone has seen to it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{await_for, config, oracle, simulator, tail};

/// Alerts before anything is wrong.
const GOOD: u64 = 150;
/// Alerts after that, three of five bad.
const MIXED: u64 = 150;
const BAD: u64 = MIXED * 3 / 5;
/// The window: more than half of it has failed before all bad ones have come, and what is bad after that is less.
const OF: u64 = 100;
/// Batches that are on their way to be counted when the breaker trips, at most, times their alerts.
const IN_FLIGHT: u64 = 12 * 4;

/// The payloads of the stream.
fn stream() -> impl Iterator<Item = Vec<u8>> {
    let alerts = simulator::alerts(5, GOOD + MIXED, 1).map(|alert| alert.payload.unwrap());
    alerts.zip(0..).map(|(alert, i)| if i >= GOOD && i % 5 < 3 { format!("garbage {i}").into_bytes() } else { alert })
}

fn more(breaker: Value) -> Value {
    json!({ "batch": { "alerts": 4 }, "breaker": breaker })
}

/// `skysluice breaker ...` on the configuration of a run.
fn breaker(scratch: &Scratch, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let file = scratch.join(format!("{name}.yaml"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    let (what, rest) = arguments.split_first().unwrap();
    let Output { status, stdout, stderr } = command.args(["breaker", what]).arg(file).args(rest).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap()))
}

fn record(folder: &Path, name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(folder.join("data").join(name).join("breaker.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// A folder of packets, and the configuration that reads it.
fn folder_of_packets(scratch: &Scratch, name: &str, settings: Value) -> Value {
    for (payload, index) in stream().zip(0..) {
        scratch.write(&format!("packets/{index:04}.avro"), payload);
    }
    let source = json!({ "files": { "path": scratch.join("packets") } });
    config::file(
        scratch.path(),
        json!({ "threads": 2 }),
        vec![config::pipeline(scratch.path(), name, "ztf", source, more(settings))],
    )
}

/// A first run that is held in the middle. Its messages and dead letters.
fn is_held(scratch: &Scratch, name: &str, configuration: &Value) -> (u64, u64) {
    let ended = Run::start(scratch, name, configuration, None).wait(Duration::from_secs(60));
    assert_eq!(ended.code, Some(1), "{}", tail(&ended.log, 40));
    assert!(ended.log.contains("breaker holds the stream") && ended.log.contains("breaker reset"), "{}", ended.log);
    let report = ended.report.unwrap();
    report.assert_balanced();
    let sums = report.component(name).clone();
    assert!(sums.messages < GOOD + MIXED, "the rest was read as well: {sums:?}");
    assert!((OF / 2 + 1..=OF / 2 + 1 + IN_FLIGHT).contains(&sums.dead), "{sums:?}");
    let record = record(scratch.path(), name).unwrap();
    assert!(record["failed"].as_u64().unwrap() > OF / 2 && record["stage"] == "decode", "{record}");
    assert!(record["reason"].as_str().unwrap().contains("begins with"), "{record}");
    (sums.messages, sums.dead)
}

#[test]
fn a_finite_run_ends_where_it_is_held_and_goes_on_there_after_a_reset() {
    let scratch = Scratch::new("held");
    let configuration = folder_of_packets(&scratch, "held", json!({ "of": OF }));
    let (messages, dead) = is_held(&scratch, "held", &configuration);

    // A restart changes nothing.
    let again = Run::start(&scratch, "held", &configuration, None).wait(Duration::from_secs(60));
    assert_eq!(again.code, Some(1), "{}", tail(&again.log, 40));
    assert_eq!(again.report.unwrap().component("held").messages, 0);

    let (code, said) = breaker(&scratch, "held", &["status"]);
    assert!(code == Some(0) && said.contains("held since") && said.contains("begins with"), "{said}");
    let (code, said) = breaker(&scratch, "held", &["reset", "--component", "other"]);
    assert!(code == Some(1) && said.contains("no component `other`"), "{said}");
    let (code, said) = breaker(&scratch, "held", &["reset", "--component", "held"]);
    assert!(code == Some(0) && said.contains("held: goes on"), "{said}");
    let (_, said) = breaker(&scratch, "held", &["status"]);
    assert!(said.contains("held: not held"), "{said}");

    let (report, _) = Run::start(&scratch, "held", &configuration, None).finish(Duration::from_secs(60));
    let rest = report.component("held");
    assert_eq!((messages + rest.messages, dead + rest.dead), (GOOD + MIXED, BAD), "{rest:?}");
}

#[test]
fn a_changed_configuration_goes_on() {
    let scratch = Scratch::new("changed");
    let configuration = folder_of_packets(&scratch, "changed", json!({ "of": OF }));
    let (messages, dead) = is_held(&scratch, "changed", &configuration);
    let mut changed = configuration.clone();
    changed["components"][0]["breaker"] = json!({ "share": 1 });
    let (report, log) = Run::start(&scratch, "changed", &changed, None).finish(Duration::from_secs(60));
    assert!(log.contains("goes on: the configuration is another"), "{log}");
    assert_eq!(record(scratch.path(), "changed"), None);
    let rest = report.component("changed");
    assert_eq!((messages + rest.messages, dead + rest.dead), (GOOD + MIXED, BAD), "{rest:?}");
}

#[test]
fn a_running_component_stands_still_keeps_its_place_in_the_group_and_goes_on_after_a_reset() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("standing");
    let folder = scratch.path();
    let input = kafka.topic("standing", 1);
    kafka.produce(&input, stream().map(|payload| Outgoing { payload: Some(payload), ..Outgoing::default() }));
    let source = config::endless(kafka, &[&input], "standing");
    let component = config::pipeline(folder, "standing", "ztf", source, more(json!({ "of": OF })));
    let configuration = config::file(folder, json!({ "threads": 2 }), vec![component]);
    let mut run = Run::start(&scratch, "standing", &configuration, None);
    run.await_for("a hold", Duration::from_secs(60), |_| record(folder, "standing"));

    // Longer than `max.poll.interval.ms` of `config::endless`: what was read is committed, the rest is not, and nobody is lost.
    let committed = || kafka.committed("standing", &input)[0];
    run.await_for("a commit of what was counted", Duration::from_secs(60), |_| (committed()? > GOOD.cast_signed()).then_some(()));
    std::thread::sleep(Duration::from_secs(11));
    run.assert_running();
    assert!(committed() < Some((GOOD + MIXED).cast_signed()), "the rest was read as well");
    let letters = oracle::letters(&python, &config::letters(folder, "standing")).len() as u64;
    assert!((OF / 2 + 1..=OF / 2 + 1 + IN_FLIGHT).contains(&letters), "{letters} dead letters while it stands still");

    let (code, said) = breaker(&scratch, "standing", &["reset"]);
    assert!(code == Some(0) && said.contains("standing: goes on"), "{said}");
    run.await_for("the rest", Duration::from_secs(60), |_| (committed() == Some((GOOD + MIXED).cast_signed())).then_some(()));
    run.terminate();
    let (report, log) = run.finish(Duration::from_secs(60));
    assert!(log.contains("the breaker was reset"), "{log}");
    assert_eq!(report.generations, 1, "{log}");
    let sums = report.component("standing");
    assert_eq!((sums.messages, sums.dead, sums.archived), (GOOD + MIXED, BAD, GOOD + MIXED - BAD), "{sums:?}");
    let letters = await_for("all dead letters", Duration::from_secs(20), || {
        let letters = oracle::letters(&python, &config::letters(folder, "standing"));
        (letters.len() as u64 == BAD).then_some(letters)
    });
    let dead: Vec<(i32, i64)> = letters.iter().map(|l| (0, l["offset"].as_i64().unwrap())).collect();
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "standing"), &[(&input, kafka.ends(&input))], &dead);
}
