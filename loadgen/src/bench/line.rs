//! The JSON line of a run, and the medians of several.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::bench::child::{Latency, Run};
use crate::bench::machine::Machine;

/// What is known of a run before it begins.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Subject {
    /// The kind of line: `run` or `median`.
    pub(crate) line: &'static str,
    /// When it was measured, UTC.
    pub(crate) date: String,
    /// Version of this program.
    pub(crate) version: &'static str,
    /// The machine.
    pub(crate) machine: Machine,
    /// `memory`, `files` or `kafka`.
    pub(crate) source: &'static str,
    /// The packets.
    pub(crate) packet: Packet,
    /// Catalogues that are matched.
    pub(crate) catalogues: Option<usize>,
    /// Cuts that are made.
    pub(crate) cuts: Option<usize>,
    /// What the alerts are written to, and how safely.
    pub(crate) durability: &'static str,
    /// Alerts offered.
    pub(crate) count: u64,
    /// Alerts per second offered; null is as fast as possible.
    pub(crate) rate_offered: Option<f64>,
    /// CPU time in which the simulator makes one alert, which is part of the process' CPU time when the source is memory.
    pub(crate) generator_us_per_alert: Option<f64>,
}

/// What packets are like.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Packet {
    /// Which packets.
    pub(crate) kind: String,
    /// Mean size.
    pub(crate) bytes: Option<f64>,
    /// Mean length of the history; null where it isn't known.
    pub(crate) history: Option<History>,
}

/// Mean lengths of the arrays of history.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct History {
    /// Previous candidates.
    pub(crate) previous: f64,
    /// Forced photometry points.
    pub(crate) forced: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    /// Alerts per second, by the program's own clock, from its start to the last durable alert.
    rate_held: f64,
    seconds: f64,
    /// Alerts per second by our clock, with the start and the end of the process.
    rate_wall: f64,
    wall_seconds: f64,
    cpu_seconds: f64,
    cpu_us_per_alert: f64,
    max_rss_mib: f64,
    /// The worst of the components, by what was done with an alert.
    latency_ms: BTreeMap<String, Latency>,
    archived: u64,
    skipped: u64,
    dead: u64,
    published: u64,
    lost: u64,
    duplicated: u64,
    /// How lost and duplicated were counted.
    oracle: &'static str,
    files: u64,
    archive_bytes: u64,
    generations: u64,
}

/// The line of a run.
pub(crate) fn run(subject: &Subject, run: &Run) -> Value {
    let sum = |what: fn(&crate::bench::child::Component) -> u64| run.report.components.iter().map(what).sum::<u64>();
    let (archived, skipped, dead) = (sum(|part| part.archived), sum(|part| part.skipped), sum(|part| part.dead));
    let handled = archived + skipped + dead;
    let wall_seconds = run.wall.as_secs_f64();
    let seconds = if run.report.seconds > 0.0 { run.report.seconds } else { wall_seconds };
    let per_alert = |value: f64| value / handled.max(1) as f64;
    let larger = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
    let mut latency_ms: BTreeMap<String, Latency> = BTreeMap::new();
    for (what, of) in run.report.components.iter().flat_map(|part| &part.latency_ms) {
        let worst = latency_ms.entry(what.clone()).or_default();
        *worst = Latency { p50: larger(worst.p50, of.p50), p99: larger(worst.p99, of.p99), max: larger(worst.max, of.max) };
    }
    let measured = Measured {
        rate_held: handled as f64 / seconds,
        seconds,
        rate_wall: handled as f64 / wall_seconds,
        wall_seconds,
        cpu_seconds: run.cpu_seconds,
        cpu_us_per_alert: per_alert(run.cpu_seconds * 1e6),
        max_rss_mib: run.max_rss_bytes as f64 / f64::from(1 << 20),
        latency_ms,
        archived,
        skipped,
        dead,
        published: run.report.components.iter().flat_map(|part| part.published.values()).map(|topic| topic.messages).sum(),
        lost: subject.count.saturating_sub(handled),
        duplicated: handled.saturating_sub(subject.count),
        oracle: "sums of the program's own report: count - (archived + skipped + dead)",
        files: sum(|part| part.files),
        archive_bytes: sum(|part| part.bytes),
        generations: run.report.generations,
    };
    let mut line = object(subject);
    line.append(&mut object(&measured));
    Value::Object(line)
}

/// A structure as a JSON object.
fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        other => unreachable!("a structure of numbers and texts is an object: {other:?}"),
    }
}

/// The line of medians: of each number in its place; texts are those of the first run.
pub(crate) fn medians(runs: &[Value]) -> Value {
    let mut line = median(runs);
    line["line"] = "median".into();
    line["runs"] = runs.len().into();
    line
}

fn median(values: &[Value]) -> Value {
    let first = values.first().cloned().unwrap_or_default();
    if let Value::Object(fields) = &first {
        let fields = fields.keys().map(|key| {
            let each: Vec<Value> = values.iter().map(|value| value[key].clone()).collect();
            (key.clone(), median(&each))
        });
        return Value::Object(fields.collect());
    }
    let mut numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
    if numbers.len() < values.len() || numbers.is_empty() {
        return first;
    }
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let value = if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 };
    if values.iter().all(Value::is_u64) && value.fract() == 0.0 { Value::from(value as u64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::bench::child::Report;

    fn subject() -> Subject {
        Subject {
            line: "run",
            date: "2026-11-09T03:00:00Z".to_owned(),
            version: "0.1.0",
            machine: Machine { cores: 2, cpu: "a processor".to_owned(), memory_mib: 8192 },
            source: "memory",
            packet: Packet {
                kind: "ztf 4.01, made up".to_owned(),
                bytes: Some(76_500.0),
                history: Some(History { previous: 34.0, forced: 17.0 }),
            },
            catalogues: Some(1),
            cuts: Some(0),
            durability: "parquet+fsync",
            count: 1000,
            rate_offered: None,
            generator_us_per_alert: Some(10.5),
        }
    }

    fn measured(archived: u64) -> Value {
        let report = json!({
            "components": [{ "name": "bench", "archived": archived, "dead": 5, "latency_ms": { "archived": { "p50": 3.0, "p99": 40.0, "max": 80.0 } },
                "files": 2, "bytes": 42_000_000, "published": { "a": { "messages": 3 }, "b": { "messages": 4 } } }],
            "seconds": 0.5, "generations": 1,
        });
        let report: Report = serde_json::from_value(report).unwrap();
        run(&subject(), &Run { wall: Duration::from_millis(800), cpu_seconds: 0.08, max_rss_bytes: 300 << 20, report })
    }

    #[test]
    fn a_line_says_everything_that_makes_a_figure() {
        let expected = json!({
            "line": "run", "date": "2026-11-09T03:00:00Z", "version": "0.1.0",
            "machine": { "cores": 2, "cpu": "a processor", "memory_mib": 8192 },
            "source": "memory",
            "packet": { "kind": "ztf 4.01, made up", "bytes": 76500.0, "history": { "previous": 34.0, "forced": 17.0 } },
            "catalogues": 1, "cuts": 0, "durability": "parquet+fsync", "count": 1000, "rate_offered": null,
            "generator_us_per_alert": 10.5,
            "rate_held": 2000.0, "seconds": 0.5, "rate_wall": 1250.0, "wall_seconds": 0.8,
            "cpu_seconds": 0.08, "cpu_us_per_alert": 80.0, "max_rss_mib": 300.0,
            "latency_ms": { "archived": { "p50": 3.0, "p99": 40.0, "max": 80.0 } },
            "archived": 995, "skipped": 0, "dead": 5, "published": 7, "lost": 0, "duplicated": 0,
            "oracle": "sums of the program's own report: count - (archived + skipped + dead)",
            "files": 2, "archive_bytes": 42_000_000, "generations": 1,
        });
        assert_eq!(measured(995), expected);
    }

    #[test]
    fn what_is_missing_or_too_much_is_counted() {
        assert_eq!((&measured(900)["lost"], &measured(900)["duplicated"]), (&json!(95), &json!(0)));
        assert_eq!((&measured(1000)["lost"], &measured(1000)["duplicated"]), (&json!(0), &json!(5)));
    }

    #[test]
    fn medians_are_of_each_number() {
        let line = medians(&[measured(995), measured(900), measured(905)]);
        assert_eq!((&line["line"], &line["runs"]), (&json!("median"), &json!(3)));
        assert_eq!((&line["lost"], &line["rate_held"]), (&json!(90), &json!(1820.0)));
        assert_eq!((&line["rate_offered"], &line["packet"]["kind"]), (&Value::Null, &json!("ztf 4.01, made up")));
        assert_eq!(medians(&[json!({ "a": 1.0 }), json!({ "a": 4.0 })])["a"], json!(2.5));
    }
}
