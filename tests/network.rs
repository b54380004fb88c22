//! The network between the program and its brokers is cut, for a second up to two minutes: nothing is lost, nothing is archived
//! twice, and the stream is caught up with when it is back. The program runs in a network namespace of its own.
//!
//! `SKYSLUICE_LONG` makes cuts of up to 120 s.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use support::kafka::{Kafka, Options};
use support::network::Network;
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, simulator};

const PARTITIONS: i32 = 4;
/// Alerts that are sent before, in and after each cut.
const ALERTS: u64 = 400;

fn cuts() -> Vec<u64> {
    if std::env::var_os("SKYSLUICE_LONG").is_some() { vec![1, 3, 10, 30, 60, 120] } else { vec![1, 4, 12] }
}

fn the_network_is_cut(name: &str, transactions: bool) {
    let (Some(network), Some(python)) = (Network::ready(), Python::ready()) else { return };
    let Some(kafka) = Kafka::start(&Options { host: network.host.clone(), ..Options::default() }) else { return };
    let scratch = Scratch::new(name);
    let folder = scratch.path();
    let (input, output) = (kafka.topic(name, PARTITIONS), kafka.topic(&format!("{name}-out"), PARTITIONS));
    let more = json!({ "publish": [{ "topic": output, "transactions": transactions }] });
    let component = config::pipeline(folder, name, "ztf", config::endless(&kafka, &[&input], name), more);
    let configuration = config::file(folder, json!({ "memory": "128 MiB" }), vec![component]);
    let mut run = Run::start_by(&scratch, name, &configuration, None, &network.command());
    let committed = |kafka: &Kafka| kafka.committed(name, &input).into_iter().flatten().sum::<i64>().cast_unsigned();
    let (mut sent, mut caught_up) = (0, Vec::new());
    for (round, seconds) in (0..).zip(cuts()) {
        kafka.produce(&input, simulator::alerts(40 + 2 * round, ALERTS, PARTITIONS));
        sent += ALERTS;
        // In the middle of work, not before it has begun.
        run.await_for("the first messages of a round", Duration::from_secs(60), |_| {
            (kafka.count(&output) > sent - ALERTS).then_some(())
        });
        network.cut();
        let end = Instant::now() + Duration::from_secs(seconds);
        kafka.produce(&input, simulator::alerts(41 + 2 * round, ALERTS, PARTITIONS));
        sent += ALERTS;
        run.await_for("the end of a cut", Duration::from_secs(seconds + 5), |_| (Instant::now() >= end).then_some(()));
        network.mend();
        let back = Instant::now();
        run.await_for("lag back to zero", Duration::from_secs(120), |_| (committed(&kafka) == sent).then_some(()));
        caught_up.push(format!("{seconds} s: {:.1} s", back.elapsed().as_secs_f64()));
    }
    run.terminate();
    let (report, _) = run.finish(Duration::from_secs(60));
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &config::archive(folder, name), &[(&input, ends.clone())], &[]);
    let again = oracle::came_again(&kafka, &output, &ends, transactions);
    assert_eq!(report.component(name).dead, 0, "a cut is no reason for dead letters");
    let _ = writeln!(
        std::io::stderr(),
        "{name}: cut for, and no lag again after: {}; {sent} alerts, {} generations, {again} came again",
        caught_up.join(", "),
        report.generations
    );
}

#[test]
fn a_network_that_is_cut_costs_nothing() {
    the_network_is_cut("cut", false);
}

#[test]
fn a_network_that_is_cut_in_transactions_brings_nothing_twice() {
    the_network_is_cut("cut-transactions", true);
}
