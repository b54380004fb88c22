//! Messages that the broker has deleted before they were read: told to the offset in report, file and log, and either passed over
//! or the end of the run.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use support::kafka::{Kafka, Outgoing};
use support::run::{Gap, Run};
use support::scratch::Scratch;
use support::{config, oracle, simulator};

const LIMIT: Duration = Duration::from_secs(120);

/// `count` alerts in each partition.
fn fill(kafka: &Kafka, topic: &str, partitions: i32, count: u64) {
    let lots = (0..partitions)
        .flat_map(|partition| simulator::alerts(11, count, 1).map(move |alert| Outgoing { partition: Some(partition), ..alert }));
    kafka.produce(topic, lots);
}

fn gap(topic: &str, partition: i32, from: i64, to: i64) -> Gap {
    Gap { topic: topic.to_owned(), partition, from, to }
}

/// The lines of `gaps.jsonl` of a component, each with a time.
fn written(folder: &Path, name: &str) -> Vec<Gap> {
    let text = std::fs::read_to_string(folder.join("data").join(name).join("gaps.jsonl")).unwrap_or_default();
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let noticed = value["noticed"].as_str().unwrap();
        assert!(noticed.len() == 20 && noticed.starts_with("20") && noticed.ends_with('Z'), "{noticed}");
        serde_json::from_value(value).unwrap()
    };
    text.lines().map(line).collect()
}

/// Messages and expired ones of all days, as `skysluice ledger` tells them.
fn kept(scratch: &Scratch, name: &str) -> (u64, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    let told = command.arg("ledger").arg(scratch.join(format!("{name}.yaml"))).arg("--json").output().unwrap();
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let days: Vec<Value> = serde_json::from_slice(&told.stdout).unwrap();
    let number = |day: &Value, what: &str| day["total"][what].as_u64().unwrap();
    let sum = |what| days.iter().map(|day| number(day, what)).sum();
    (sum("messages"), sum("expired"))
}

fn offsets(kafka: &Kafka, output: &str) -> BTreeSet<(i32, i64)> {
    let found = oracle::origins(kafka, output);
    assert!(found.values().all(|times| *times == 1), "nothing failed, so nothing comes twice: {found:?}");
    found.into_keys().collect()
}

fn of(partition: i32, range: std::ops::Range<i64>) -> impl Iterator<Item = (i32, i64)> {
    range.map(move |offset| (partition, offset))
}

#[test]
fn what_is_gone_at_the_start_is_counted_to_the_message_and_the_rest_is_read() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("expired");
    let (input, output) = (kafka.topic("expired", 4), kafka.topic("expired-out", 1));
    fill(kafka, &input, 4, 40);
    kafka.commit("expired", &input, &[(0, 10), (1, 5), (2, 12)]);
    // The first lacks 15 messages; of the second only what was read already is gone; of the third all is; the fourth was never
    // read, so no one has missed its first 20.
    for (partition, below) in [(0, 25), (1, 3), (2, 40), (3, 20)] {
        kafka.delete_below(&input, partition, below);
    }
    let source = config::until_end(kafka, &[&input], "expired");
    let component = config::pipeline(scratch.path(), "expired", "ztf", source, json!({ "publish": [{ "topic": output }] }));
    let configuration = config::file(scratch.path(), json!({ "memory": "64 MiB" }), vec![component]);
    let (report, log) = Run::start(&scratch, "expired", &configuration, None).finish(LIMIT);
    let lost = [gap(&input, 0, 10, 25), gap(&input, 2, 12, 40)];
    let told = report.component("expired");
    assert_eq!((told.messages, told.expired, &told.gaps[..]), (15 + 35 + 20, 15 + 28, &lost[..]));
    assert_eq!(BTreeSet::from_iter(written(scratch.path(), "expired")), BTreeSet::from(lost));
    let rest: BTreeSet<_> = of(0, 25..40).chain(of(1, 5..40)).chain(of(3, 20..40)).collect();
    assert_eq!(offsets(kafka, &output), rest);
    assert_eq!(kafka.committed("expired", &input), [Some(40); 4]);
    for part in
        ["43 messages were lost", "offsets 10 to 24", "offsets 12 to 39", "messages are lost: the broker no longer kept them"]
    {
        assert!(log.contains(part), "no `{part}` in\n{log}");
    }

    // Nothing of it is told a second time.
    let (report, _) = Run::start(&scratch, "expired", &configuration, None).finish(LIMIT);
    assert_eq!((report.component("expired").messages, report.component("expired").expired), (0, 0));
    assert_eq!(kept(&scratch, "expired"), (70, 15 + 28));
    assert_eq!(written(scratch.path(), "expired").len(), 2);
}

#[test]
fn a_reader_that_retention_overtakes_tells_what_it_missed() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("overtaken");
    let (input, output) = (kafka.topic("overtaken", 1), kafka.topic("overtaken-out", 1));
    let (count, below) = (1600, 1500);
    fill(kafka, &input, 1, count as u64);
    let mut source = config::endless(kafka, &[&input], "overtaken");
    // Little is fetched ahead, so that the reader is far behind the end when it stands still.
    source["kafka"]["properties"]["fetch.max.bytes"] = json!("1000000");
    source["kafka"]["properties"]["queued.max.messages.kbytes"] = json!("1000");
    let more = json!({ "publish": [{ "topic": output }], "batch": { "alerts": 8, "bytes": "1 MiB" } });
    let component = config::pipeline(scratch.path(), "overtaken", "ztf", source, more);
    let configuration = config::file(scratch.path(), json!({ "memory": "8 MiB" }), vec![component]);
    let mut run = Run::start(&scratch, "overtaken", &configuration, None);
    run.await_for("the first alerts", LIMIT, |process| (kafka.count(&output) >= 30).then(|| process.signal("STOP")));
    kafka.delete_below(&input, 0, below);
    run.process().signal("CONT");
    run.await_for("the last alert", LIMIT, |_| {
        let committed = kafka.committed("overtaken", &input);
        (committed[0] == Some(count)).then_some(())
    });
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    let told = report.component("overtaken");
    let [lost] = &told.gaps[..] else { panic!("one gap: {:?}\n{log}", told.gaps) };
    println!("overtaken at offset {}: {} messages lost, {} read", lost.from, told.expired, told.messages);
    assert!(lost.to == below && (30..below).contains(&lost.from), "{lost:?}");
    assert_eq!(told.expired, u64::try_from(lost.to - lost.from).unwrap());
    assert_eq!(told.messages + told.expired, count as u64, "every message is either read or told to be gone");
    assert_eq!(written(scratch.path(), "overtaken"), std::slice::from_ref(lost));
    assert_eq!(offsets(kafka, &output), of(0, 0..lost.from).chain(of(0, below..count)).collect());
}

#[test]
fn where_it_is_to_stop_nothing_behind_the_gap_is_read_or_committed() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("stop");
    let (input, output) = (kafka.topic("stop", 2), kafka.topic("stop-out", 1));
    fill(kafka, &input, 2, 20);
    kafka.commit("stop", &input, &[(0, 5), (1, 20)]);
    kafka.delete_below(&input, 0, 8);
    let mut source = config::until_end(kafka, &[&input], "stop");
    source["kafka"]["expired"] = json!("stop");
    let component = config::pipeline(scratch.path(), "stop", "ztf", source, json!({ "publish": [{ "topic": output }] }));
    let mut configuration = config::file(scratch.path(), json!({ "memory": "64 MiB" }), vec![component]);
    for attempt in 0..2 {
        let ended = Run::start(&scratch, "stop", &configuration, None).wait(LIMIT);
        assert_eq!(ended.code, Some(65), "{}", ended.log);
        let said = "the 3 messages from offset 5 to 7 are no longer kept by the broker";
        assert!(
            ended.log.contains(said) && ended.log.contains("write `expired: continue` to go on at offset 8"),
            "{}",
            ended.log
        );
        let report = ended.report.unwrap();
        let told = report.component("stop");
        assert_eq!((told.end.as_str(), told.messages, told.expired), ("halted", 0, 3), "attempt {attempt}");
        assert_eq!(kafka.committed("stop", &input), [Some(5), Some(20)], "attempt {attempt}");
        assert_eq!(kafka.count(&output), 0);
    }
    assert_eq!(written(scratch.path(), "stop"), [gap(&input, 0, 5, 8)]);

    configuration["components"][0]["source"]["kafka"]["expired"] = json!("continue");
    let (report, _) = Run::start(&scratch, "stop", &configuration, None).finish(LIMIT);
    assert_eq!((report.component("stop").messages, report.component("stop").expired), (12, 3));
    assert_eq!(offsets(kafka, &output), of(0, 8..20).collect());
    assert_eq!(written(scratch.path(), "stop"), [gap(&input, 0, 5, 8)], "written by the first run");
}

#[test]
fn markers_of_transactions_are_no_loss() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("markers");
    let (input, output) = (kafka.topic("markers", 1), kafka.topic("markers-out", 1));
    let producer: BaseProducer = kafka.client().set("transactional.id", "markers").create().unwrap();
    let limit = Duration::from_secs(60);
    producer.init_transactions(limit).unwrap();
    let mut alerts = simulator::alerts(11, 15, 1);
    for _ in 0..3 {
        producer.begin_transaction().unwrap();
        for alert in alerts.by_ref().take(5) {
            let payload = alert.payload.unwrap();
            producer.send(BaseRecord::<(), Vec<u8>>::to(&input).partition(0).payload(&payload)).map_err(|(e, _)| e).unwrap();
        }
        producer.commit_transaction(limit).unwrap();
    }
    // Each transaction ends with a marker that has an offset and is no message: 5, 11 and 17. The group stands at the first.
    assert_eq!(kafka.ends(&input), [(0, 18)]);
    kafka.commit("markers", &input, &[(0, 5)]);
    kafka.delete_below(&input, 0, 2);
    let source = config::until_end(kafka, &[&input], "markers");
    let component = config::pipeline(scratch.path(), "markers", "ztf", source, json!({ "publish": [{ "topic": output }] }));
    let configuration = config::file(scratch.path(), json!({ "memory": "64 MiB" }), vec![component]);
    let (report, log) = Run::start(&scratch, "markers", &configuration, None).finish(LIMIT);
    assert_eq!((report.component("markers").messages, report.component("markers").expired), (10, 0), "{log}");
    assert_eq!(offsets(kafka, &output), of(0, 6..11).chain(of(0, 12..17)).collect());
    assert_eq!(written(scratch.path(), "markers"), []);
}
