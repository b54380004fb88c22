//! Where reading begins: at the oldest message, at the end, at a time, and only where the group has no commit.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use support::kafka::{Kafka, Outgoing};
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, simulator};

const LIMIT: Duration = Duration::from_secs(120);
/// 2026-11-09T03:00:00Z, milliseconds since 1970.
const BASE: i64 = 1_794_193_200_000;

/// Alerts of one partition, a second apart from `first` seconds after three o'clock on.
fn every_second(partition: i32, count: u64, first: i64) -> impl Iterator<Item = Outgoing> {
    let alerts = simulator::alerts(7, count, 1).zip(first..);
    alerts.map(move |(alert, second)| Outgoing { partition: Some(partition), timestamp: Some(BASE + 1000 * second), ..alert })
}

fn offsets(kafka: &Kafka, output: &str) -> BTreeSet<(i32, i64)> {
    let found = oracle::origins(kafka, output);
    assert!(found.values().all(|times| *times == 1), "nothing failed, so nothing comes twice: {found:?}");
    found.into_keys().collect()
}

fn spans(ranges: [std::ops::Range<i64>; 3]) -> BTreeSet<(i32, i64)> {
    ranges.into_iter().zip(0..).flat_map(|(range, partition)| range.map(move |offset| (partition, offset))).collect()
}

#[test]
fn each_start_is_where_it_says_and_only_where_nothing_is_committed() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("starts");
    let input = kafka.topic("starts", 3);
    // The second partition has nothing as late as the time that is asked for; in the third the groups have a commit.
    let messages = every_second(0, 20, 0).chain(every_second(1, 10, -60)).chain(every_second(2, 12, 0));
    kafka.produce(&input, messages);
    let cases = [
        ("earliest", "earliest", [0, 0, 3]),
        ("latest", "latest", [20, 10, 3]),
        ("time", "2026-11-09T03:00:07Z", [7, 10, 3]),
        ("between", "2026-11-09T04:00:07.001+01:00", [8, 10, 3]),
        // A date is its midnight, UTC, and all that is in the topic came after it.
        ("day", "2026-11-09", [0, 0, 3]),
    ];
    let mut outputs = Vec::new();
    let mut components: Vec<Value> = Vec::new();
    for (name, start, _) in &cases {
        kafka.commit(&format!("starts-{name}"), &input, &[(2, 3)]);
        let output = kafka.topic(&format!("starts-{name}"), 1);
        let mut source = config::until_end(kafka, &[&input], &format!("starts-{name}"));
        source["kafka"]["start"] = json!(start);
        let more = json!({ "publish": [{ "topic": output }] });
        components.push(config::pipeline(scratch.path(), name, "ztf", source, more));
        outputs.push(output);
    }
    let mut configuration = config::file(scratch.path(), json!({ "memory": "128 MiB" }), components);
    let expected = |[a, b, c]: [i64; 3]| spans([a..20, b..10, c..12]);
    let (report, log) = Run::start(&scratch, "starts", &configuration, None).finish(LIMIT);
    assert_eq!(report.generations, 1, "{log}");
    for ((name, start, begin), output) in cases.iter().zip(&outputs) {
        assert_eq!(offsets(kafka, output), expected(*begin), "start: {start}");
        let committed = kafka.committed(&format!("starts-{name}"), &input);
        // Also where nothing was read: the next start must not begin at a later end.
        assert_eq!(committed, [Some(20), Some(10), Some(12)], "start: {start}");
    }

    // With commits in all partitions no start counts any more.
    kafka.produce(&input, every_second(1, 5, -600));
    for (component, start) in configuration["components"].as_array_mut().unwrap().iter_mut().zip(["latest", "earliest"]) {
        component["source"]["kafka"]["start"] = json!(start);
    }
    Run::start(&scratch, "starts", &configuration, None).finish(LIMIT);
    for ((_, start, begin), output) in cases.iter().zip(&outputs) {
        let all: BTreeSet<_> = expected(*begin).into_iter().chain((10..15).map(|offset| (1, offset))).collect();
        assert_eq!(offsets(kafka, output), all, "start: {start}");
    }
}

#[test]
fn a_finite_run_reads_what_a_member_had_that_died_beside_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("died");
    let (input, output) = (kafka.topic("died", 4), kafka.topic("died-out", 1));
    let start = |name: &str, until_end: bool| {
        let mut source = config::until_end(kafka, &[&input], "died");
        source["kafka"]["until_end"] = json!(until_end);
        let folder = scratch.join(name);
        let component = config::pipeline(&folder, name, "ztf", source, json!({ "publish": [{ "topic": output }] }));
        Run::start(&scratch, name, &config::file(&folder, json!({ "memory": "128 MiB" }), vec![component]), None)
    };
    let assigned = |run: &mut Run| {
        run.await_for("partitions", LIMIT, |process| {
            let log = process.log();
            log.lines().any(|line| line.contains("partitions assigned") && line.contains("died-")).then_some(())
        });
    };
    let mut first = start("first", false);
    assigned(&mut first);
    // All that the second gets is empty, so that it has nothing left to do when the first dies.
    let mut second = start("second", true);
    assigned(&mut second);
    first.process().kill_9();
    kafka.produce(&input, simulator::alerts(9, 40, 4));
    second.finish(LIMIT);
    let of_the_dead: Vec<i32> = offsets(kafka, &output).into_iter().map(|(partition, _)| partition).collect();
    assert_eq!(of_the_dead.len(), 20, "ten alerts of each of the two partitions that it took over: {of_the_dead:?}");
}
