//! The load generator's long runs, in short: a burst of several times the usual rate is caught up with, every alert is archived
//! once, and what it prints of the run is what was asked for.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use serde_json::Value;
use support::kafka::Kafka;
use support::scratch::Scratch;

#[test]
fn a_burst_is_caught_up_with_and_nothing_of_it_is_lost() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("soak");
    let folder = scratch.path().to_string_lossy().into_owned();
    let brokers = kafka.bootstrap();
    let words = [
        "skysluice-loadgen",
        "soak",
        "--brokers",
        &brokers,
        "--dir",
        &folder,
        "--program",
        env!("CARGO_BIN_EXE_skysluice"),
        "--phases",
        "60x5,600x4,60x12",
        "--history",
        "none",
        "--publish",
        "--keep",
        "64",
        "--memory",
        "64 MiB",
        "--json",
    ];
    let mut printed = Vec::new();
    let code = skysluice_loadgen::run(words, &mut printed);
    let line: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(code, 0, "{line:#}");
    let figure = |pointer: &str| line.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {line:#}"));
    assert_eq!(line["phases"].as_array().unwrap().len(), 3);
    let all = [figure("/sent"), figure("/archived"), figure("/published"), figure("/lost"), figure("/duplicated")];
    assert_eq!(all, [3420.0, 3420.0, 3420.0, 0.0, 0.0]);
    assert!(figure("/phases/1/lag_at_most") > figure("/phases/0/lag_at_most"), "{line:#}");
    assert!(figure("/phases/0/bytes_a_message") > 10_000.0 && figure("/anonymous_bytes_at_most") > 1e7, "{line:#}");
    assert!(figure("/drained_s") < 60.0 && figure("/latency_ms/published/p50") > 0.0, "{line:#}");
    let _ = writeln!(
        std::io::stderr(),
        "burst of 600/s after 60/s: {} not durable at most, as before {} s after it began",
        line["phases"][1]["lag_at_most"],
        line["phases"][1]["usual_again_after_s"]
    );
}
