//! How long alerts take is told for each sink, counted from the time that a message was sent. What it is depends on the machine and
//! is not held here; that it is counted from the right moment is.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use support::kafka::{Kafka, Outgoing};
use support::run::{Latency, Report, Run};
use support::scratch::Scratch;
use support::{config, simulator};

const HOUR_MS: i64 = 3_600_000;

/// Alerts of a simulated night that were sent so long ago.
fn sent(seed: u64, count: u64, ago_ms: i64) -> impl Iterator<Item = Outgoing> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    simulator::alerts(seed, count, 2).map(move |alert| Outgoing { timestamp: Some(now - ago_ms), ..alert })
}

/// Both sinks, each in order.
fn told(report: &Report, name: &str) -> (Latency, Latency) {
    let latency = &report.component(name).latency_ms;
    for (what, l) in latency {
        assert!(0.0 < l.p50 && l.p50 <= l.p99 && l.p99 <= l.max, "{what}: {l:?}");
    }
    (latency["published"], latency["archived"])
}

#[test]
fn a_stream_at_a_modest_rate_tells_the_time_from_each_message_to_each_sink() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("latency");
    let (input, output) = (kafka.topic("latency", 2), kafka.topic("latency-out", 2));
    let more = json!({ "publish": [{ "topic": output }] });
    let component = config::pipeline(scratch.path(), "latency", "ztf", config::endless(kafka, &[&input], "latency"), more);
    let configuration = config::file(scratch.path(), json!({ "memory": "64 MiB" }), vec![component]);
    let mut run = Run::start(&scratch, "latency", &configuration, None);
    for lot in 0..20 {
        kafka.produce(&input, sent(lot, 10, 0));
    }
    run.await_for("all messages", Duration::from_secs(60), |_| (kafka.count(&output) >= 200).then_some(()));
    run.terminate();
    let (report, log) = run.finish(Duration::from_secs(60));
    let (published, archived) = told(&report, "latency");
    assert!(log.contains("published after") && log.contains("archived after"), "{log}");
    println!("published {published:?}, archived {archived:?}");
}

#[test]
fn a_backlog_of_an_hour_is_an_hour_late() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("late");
    let (input, output) = (kafka.topic("late", 2), kafka.topic("late-out", 2));
    kafka.produce(&input, sent(1, 100, HOUR_MS));
    let more = json!({ "publish": [{ "topic": output }] });
    let component = config::pipeline(scratch.path(), "late", "ztf", config::until_end(kafka, &[&input], "late"), more);
    let configuration = config::file(scratch.path(), json!({ "memory": "64 MiB" }), vec![component]);
    let (report, _) = Run::start(&scratch, "late", &configuration, None).finish(Duration::from_secs(60));
    let (published, archived) = told(&report, "late");
    // The histogram has steps of 6 %; a day would be another mistake than this test's.
    for latency in [published, archived] {
        assert!((0.94 * HOUR_MS as f64..24.0 * HOUR_MS as f64).contains(&latency.p50), "{latency:?}");
        assert!(latency.max >= HOUR_MS as f64, "{latency:?}");
    }
}

#[test]
fn old_files_are_not_late_they_count_from_reading() {
    let scratch = Scratch::new("files-latency");
    for (alert, index) in simulator::alerts(1, 20, 1).zip(0..) {
        let path = scratch.write(&format!("packets/{index}.avro"), alert.payload.unwrap());
        let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        std::fs::File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let source = json!({ "files": { "path": scratch.join("packets") } });
    let more = json!({ "publish": [{ "topic": "out", "files": scratch.join("output") }] });
    let component = config::pipeline(scratch.path(), "files", "ztf", source, more);
    let configuration = config::file(scratch.path(), json!({}), vec![component]);
    let (report, _) = Run::start(&scratch, "files", &configuration, None).finish(Duration::from_secs(60));
    let (published, archived) = told(&report, "files");
    assert!(published.max.max(archived.max) < HOUR_MS as f64, "{published:?} {archived:?}");
}
