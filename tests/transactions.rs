//! What is published once: marks that outlive the process, and transactions through SIGKILL. Readers are a consumer of others'
//! making, which takes only what is committed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;
use support::python::Python;
use support::random::Random;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, poll, simulator};

#[test]
fn readers_of_what_is_committed_see_each_alert_once_whenever_the_process_is_killed() {
    const ALERTS: u64 = 12_000;
    const KILLS: u64 = 6;
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let mut random = Random::new();
    let scratch = Scratch::new("transactions");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("transactions", 4), kafka.topic("transactions-out", 4));
    kafka.produce(&input, simulator::alerts(7, ALERTS, 4));
    let more = json!({
        "publish": [{ "topic": output, "transactions": true }],
        "archive": {
            "root": config::archive(folder, "once"),
            "staging": folder.join("staging"),
            "roll": { "size": "32 MiB", "age": "500 ms" },
        },
    });
    let component = config::pipeline(folder, "once", "ztf", config::until_end(kafka, &[&input], "once"), more);
    let configuration = config::file(folder, json!({ "memory": "256 MiB" }), vec![component]);
    for kill in 1..=KILLS {
        let mut run = Run::start(&scratch, "once", &configuration, None);
        let goal = kafka.count(&output) + random.between(100, ALERTS / (KILLS + 3));
        run.await_for(&format!("{goal} messages in {output} before kill {kill}"), Duration::from_secs(120), |_| {
            (kafka.count(&output) >= goal).then_some(())
        });
        let _ = poll(Duration::from_millis(random.between(0, 400)), || run.process().exited());
        run.assert_running();
        run.process().kill_9();
    }
    let (report, _) = Run::start(&scratch, "once", &configuration, None).finish(Duration::from_secs(300));
    assert_eq!(report.component("once").dead, 0);

    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "once"), &[(&input, ends.clone())], &[]);
    let all: BTreeMap<(i32, i64), usize> =
        ends.iter().zip(0..).flat_map(|((low, high), p)| (*low..*high).map(move |o| ((p, o), 1))).collect();
    let committed = oracle::read_origins(kafka, &output, true);
    let missing = all.keys().filter(|origin| !committed.contains_key(origin)).count();
    let twice = committed.values().filter(|count| **count > 1).count();
    assert_eq!((missing, twice, committed.len()), (0, 0, all.len()), "missing, twice, and in all");
    let sent: usize = oracle::read_origins(kafka, &output, false).values().sum();
    let _ = writeln!(
        std::io::stderr(),
        "{KILLS} kills in {ALERTS} alerts: readers of what is committed see each once; {} more were sent and never committed",
        sent - all.len()
    );
}

#[test]
fn what_is_published_is_not_sent_again_although_the_archive_has_not_come_so_far() {
    const ALERTS: u64 = 1500;
    let Some(kafka) = Kafka::shared() else { return };
    for transactions in [false, true] {
        let scratch = Scratch::new("marks");
        let folder = scratch.path();
        let (input, output) = (kafka.topic("marks", 4), kafka.topic("marks-out", 5));
        kafka.produce(&input, simulator::alerts(8, ALERTS, 4));
        let more = json!({
            "publish": [{ "topic": output, "transactions": transactions }],
            "archive": { "root": config::archive(folder, "marks"), "staging": folder.join("staging"), "roll": { "age": "10 min" } },
        });
        let component = config::pipeline(folder, "marks", "ztf", config::endless(kafka, &[&input], &output), more);
        let configuration = config::file(folder, json!({}), vec![component]);
        let mut run = Run::start(&scratch, "marks", &configuration, None);
        let sent = |committed| oracle::read_origins(kafka, &output, committed).len() as u64;
        run.await_for("all of them published", Duration::from_secs(120), |_| (sent(true) == ALERTS).then_some(()));
        // A mark is made each half second.
        let _ = poll(Duration::from_millis(1500), || run.process().exited());
        run.process().kill_9();
        assert_eq!(kafka.committed(&output, &input), vec![None; 4], "nothing is archived, so nothing is committed");
        kafka.produce(&input, simulator::alerts(9, 300, 4));
        let mut run = Run::start(&scratch, "marks", &configuration, None);
        run.await_for("the others published", Duration::from_secs(120), |_| (sent(true) == ALERTS + 300).then_some(()));
        run.terminate();
        let (report, _) = run.finish(Duration::from_secs(60));
        let twice = oracle::read_origins(kafka, &output, true).values().filter(|count| **count > 1).count();
        assert_eq!((twice, report.component("marks").archived), (0, ALERTS + 300), "transactions: {transactions}");
    }
}

#[test]
fn transactions_wait_for_an_output_that_has_too_few_partitions_and_say_so() {
    const ALERTS: u64 = 200;
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("small");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("small", 4), kafka.topic("small-out", 2));
    kafka.produce(&input, simulator::alerts(10, ALERTS, 4));
    let more = json!({
        "publish": [{ "topic": output, "transactions": true, "properties": { "topic.metadata.refresh.interval.ms": "500" } }],
    });
    let component = config::pipeline(folder, "small", "ztf", config::endless(kafka, &[&input], "small"), more);
    let mut run = Run::start(&scratch, "small", &config::file(folder, json!({}), vec![component]), None);
    run.await_for("a word about the partitions", Duration::from_secs(60), |process| {
        process.log().contains("at least as many partitions").then_some(())
    });
    kafka.grow(&output, 4);
    run.await_for("all of them published", Duration::from_secs(60), |_| {
        (oracle::read_origins(kafka, &output, true).len() as u64 == ALERTS).then_some(())
    });
    run.terminate();
    run.finish(Duration::from_secs(60));
}
