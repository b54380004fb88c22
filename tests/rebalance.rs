//! Three instances of one component, with one archive, that join and leave all the time: nothing is lost, nothing is archived
//! twice, and readers of what is committed see each alert once.
//!
//! `SKYSLUICE_LONG` makes more rounds.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use support::kafka::Kafka;
use support::python::Python;
use support::random::Random;
use support::run::{Report, Run};
use support::scratch::Scratch;
use support::{config, oracle, poll, simulator, tail};

const PARTITIONS: i32 = 6;
const INSTANCES: usize = 3;
const BATCH: u64 = 400;
const SIGTERM: i32 = 15;

/// Asks an instance to stop. One that was only just started may be ended before it listens.
fn stop(run: Run) {
    run.terminate();
    let ended = run.wait(Duration::from_secs(60));
    assert!(
        ended.code == Some(0) || ended.signal == Some(SIGTERM),
        "{:?} {:?}: {}",
        ended.code,
        ended.signal,
        tail(&ended.log, 40)
    );
    ended.report.iter().for_each(Report::assert_balanced);
}

/// What is being shared.
struct Crowd<'a> {
    kafka: &'a Kafka,
    scratch: Scratch,
    name: String,
    input: String,
    output: String,
    properties: Value,
    transactions: bool,
}

impl Crowd<'_> {
    fn source(&self, until_end: bool) -> Value {
        let mut source = match until_end {
            true => config::until_end(self.kafka, &[&self.input], &self.name),
            false => config::endless(self.kafka, &[&self.input], &self.name),
        };
        source["kafka"]["properties"] = self.properties.clone();
        source
    }

    /// Starts an instance: it has its own folders but the archive.
    fn start(&self, instance: usize, until_end: bool) -> Run {
        let own = self.scratch.join(format!("instance{instance}"));
        let more = json!({
            "publish": [{ "topic": self.output, "transactions": self.transactions }],
            "archive": {
                "root": config::archive(self.scratch.path(), &self.name),
                "staging": own.join("staging"),
                "roll": { "age": "700 ms" },
            },
        });
        let component = config::pipeline(&own, &self.name, "ztf", self.source(until_end), more);
        let service = json!({ "memory": "128 MiB", "data": own.join("data") });
        Run::start(&self.scratch, &format!("instance{instance}"), &config::file(&own, service, vec![component]), None)
    }
}

fn instances_come_and_go(name: &str, properties: Value, kills: bool, transactions: bool) {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let rounds = if std::env::var_os("SKYSLUICE_LONG").is_some() { 60 } else { 6 };
    let mut random = Random::new();
    let (input, output) = (kafka.topic(name, PARTITIONS), kafka.topic(&format!("{name}-out"), PARTITIONS));
    let scratch = Scratch::new(name);
    let crowd = Crowd { kafka, scratch, name: name.to_owned(), input, output, properties, transactions };
    let mut runs: Vec<Option<Run>> = (0..INSTANCES).map(|i| Some(crowd.start(i, false))).collect();
    let (mut sent, mut killed) = (0, 0);
    for round in 0..rounds {
        kafka.produce(&crowd.input, simulator::alerts(100 + round, BATCH, PARTITIONS));
        sent += BATCH;
        let _ = poll(Duration::from_millis(random.between(500, 4000)), || None::<()>);
        let which = random.between(0, INSTANCES as u64) as usize;
        match runs[which].take() {
            None => runs[which] = Some(crowd.start(which, false)),
            Some(mut run) => {
                run.assert_running();
                if kills && random.between(0, 2) == 0 {
                    killed += 1;
                    run.process().kill_9();
                } else {
                    stop(run);
                }
            }
        }
    }
    runs.into_iter().flatten().for_each(stop);
    // Whatever was left by those that were killed.
    crowd.start(INSTANCES, true).finish(Duration::from_secs(180));

    let ends = kafka.ends(&crowd.input);
    assert_eq!(ends.iter().map(|(_, high)| high).sum::<i64>(), sent as i64);
    let archive = config::archive(crowd.scratch.path(), name);
    oracle::exactly_once(&python, &crowd.scratch, &archive, &[(&crowd.input, ends.clone())], &[]);
    let seen = oracle::read_origins(kafka, &crowd.output, true);
    let twice: usize = seen.values().map(|count| count - 1).sum();
    assert_eq!(seen.len() as u64, sent, "published");
    let _ = writeln!(
        std::io::stderr(),
        "{name}: {rounds} comings and goings, {killed} killed, {sent} alerts: archived once each, published, {twice} of them again"
    );
    if transactions {
        assert_eq!(twice, 0);
    }
}

/// What is lost is noticed soon.
fn watchful() -> Value {
    json!({ "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000 })
}

#[test]
fn instances_that_share_cooperatively_lose_nothing() {
    instances_come_and_go("cooperative", watchful(), true, true);
}

#[test]
fn instances_that_share_eagerly_lose_nothing() {
    let mut properties = watchful();
    properties["partition.assignment.strategy"] = json!("range");
    instances_come_and_go("eager", properties, true, false);
}

#[test]
fn instances_whose_partitions_are_given_out_by_the_broker_lose_nothing() {
    instances_come_and_go("broker-side", json!({ "group.protocol": "consumer" }), false, true);
}
