//! The JSON line of a run, and the medians of several.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::bench::child::Run;
use crate::bench::machine::Machine;
use crate::bench::oracle::Fate;

/// What is known of a run before it begins.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Subject {
    /// The kind of line: `run` or `median`.
    pub(crate) line: &'static str,
    /// What the run is called in tables.
    pub(crate) label: Option<String>,
    /// When it was measured, UTC.
    pub(crate) date: String,
    /// Version of this program.
    pub(crate) version: &'static str,
    /// The machine.
    pub(crate) machine: Machine,
    /// `memory`, `files` or `kafka`.
    pub(crate) source: &'static str,
    /// State of the page cache, where packets are read from it.
    pub(crate) page_cache: Option<&'static str>,
    /// The packets.
    pub(crate) packet: Packet,
    /// Columns of the archive.
    pub(crate) columns: String,
    /// Catalogues that are matched.
    pub(crate) catalogues: Option<usize>,
    /// Sources of each, where they were made for the run.
    pub(crate) catalogue_rows: Option<u64>,
    /// Cuts that are made.
    pub(crate) cuts: Option<usize>,
    /// What the alerts are written to, and how safely.
    pub(crate) durability: &'static str,
    /// Alerts offered.
    pub(crate) count: u64,
    /// Alerts per second offered; null is as fast as possible.
    pub(crate) rate_offered: Option<f64>,
    /// CPU time in which the simulator makes one alert: part of the process' CPU time when the source is memory, otherwise a control
    /// of how fast the machine was.
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
    /// Alerts per second, by the program's own clock, from when it was ready to the last durable alert. Offered at a rate from a
    /// topic: those between the first commit and the last.
    rate_held: f64,
    seconds: f64,
    /// Alerts per second by our clock, with the start and the end of the process.
    rate_wall: f64,
    wall_seconds: f64,
    /// Wall-clock time and CPU seconds until the program was ready, and its resident size then: catalogues, mostly. No part of the
    /// other figures but the last.
    load_seconds: Option<f64>,
    load_cpu_seconds: Option<f64>,
    loaded_rss_mib: Option<f64>,
    cpu_seconds: f64,
    cpu_us_per_alert: f64,
    /// The largest resident size from then on, and without what the page cache has: mapped files.
    run_rss_mib: Option<f64>,
    run_anonymous_mib: Option<f64>,
    /// The largest resident size of the whole process.
    max_rss_mib: f64,
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

/// The line of a run. `fate` and `rate_held` win over what the program's own report says.
pub(crate) fn run(subject: &Subject, run: &Run, fate: Option<Fate>, rate_held: Option<f64>) -> Value {
    let sum = |what: fn(&crate::bench::child::Component) -> u64| run.report.components.iter().map(what).sum::<u64>();
    let (archived, skipped, dead) = (sum(|part| part.archived), sum(|part| part.skipped), sum(|part| part.dead));
    let handled = archived + skipped + dead;
    let wall_seconds = run.wall.as_secs_f64();
    let seconds = if run.report.seconds > 0.0 { run.report.seconds } else { wall_seconds };
    let per_alert = |value: f64| value / handled.max(1) as f64;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let fate = fate.unwrap_or(Fate {
        lost: subject.count.saturating_sub(handled),
        duplicated: handled.saturating_sub(subject.count),
        oracle: "sums of the program's own report: count - (archived + skipped + dead)",
    });
    let measured = Measured {
        rate_held: rate_held.unwrap_or(handled as f64 / seconds),
        seconds,
        rate_wall: handled as f64 / wall_seconds,
        wall_seconds,
        load_seconds: run.report.ready.map(|ready| ready.seconds),
        load_cpu_seconds: run.report.ready.map(|ready| ready.cpu_seconds),
        loaded_rss_mib: run.report.ready.map(|ready| mib(ready.rss_bytes)),
        cpu_seconds: run.cpu_seconds,
        cpu_us_per_alert: per_alert(run.cpu_seconds * 1e6),
        run_rss_mib: run.rss_bytes.map(|[resident, _]| mib(resident)),
        run_anonymous_mib: run.rss_bytes.map(|[_, anonymous]| mib(anonymous)),
        max_rss_mib: mib(run.max_rss_bytes),
        archived,
        skipped,
        dead,
        published: run.report.components.iter().flat_map(|part| part.published.values()).map(|topic| topic.messages).sum(),
        lost: fate.lost,
        duplicated: fate.duplicated,
        oracle: fate.oracle,
        files: sum(|part| part.files),
        archive_bytes: sum(|part| part.bytes),
        generations: run.report.generations,
    };
    let mut line = object(subject);
    line.append(&mut object(&measured));
    for part in &run.report.components {
        for (key, value) in part.rest.iter().filter(|(key, _)| key.starts_with("latency")) {
            line.entry(key.as_str()).and_modify(|known| *known = worst(known, value)).or_insert_with(|| value.clone());
        }
    }
    Value::Object(line)
}

/// The larger of two figures, or of each in two objects.
fn worst(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut both = a.clone();
            for (key, value) in b {
                both.entry(key.as_str()).and_modify(|known| *known = worst(known, value)).or_insert_with(|| value.clone());
            }
            Value::Object(both)
        }
        _ if b.as_f64() > a.as_f64() => b.clone(),
        _ => a.clone(),
    }
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
            label: None,
            date: "2026-11-09T03:00:00Z".to_owned(),
            version: "0.1.0",
            machine: Machine { cores: 2, cpu: "a processor".to_owned(), memory_mib: 8192 },
            source: "memory",
            page_cache: None,
            packet: Packet {
                kind: "ztf 4.01, made up".to_owned(),
                bytes: Some(76_500.0),
                history: Some(History { previous: 34.0, forced: 17.0 }),
            },
            columns: "all".to_owned(),
            catalogues: Some(1),
            catalogue_rows: None,
            cuts: Some(0),
            durability: "parquet+fsync",
            count: 1000,
            rate_offered: None,
            generator_us_per_alert: Some(10.5),
        }
    }

    fn measured(archived: u64) -> Value {
        let report = json!({
            "components": [
                { "name": "bench", "archived": archived, "dead": 5, "latency_ms": { "published": { "p50": 3.0, "p99": 40.0, "max": 80.0 } },
                    "files": 2, "bytes": 42_000_000, "published": { "a": { "messages": 3 }, "b": { "messages": 4 } } },
                { "name": "other", "latency_ms": { "published": { "p50": 4.0, "p99": 9.0 } }, "latency_of_something": 7 },
            ],
            "seconds": 0.5, "generations": 1, "ready": { "seconds": 2.0, "cpu_seconds": 1.5, "rss_bytes": 100 << 20 },
        });
        let report: Report = serde_json::from_value(report).unwrap();
        let rss_bytes = Some([200 << 20, 150 << 20]);
        let run = Run { wall: Duration::from_millis(800), cpu_seconds: 0.08, max_rss_bytes: 300 << 20, rss_bytes, report };
        super::run(&subject(), &run, None, None)
    }

    #[test]
    fn a_line_says_everything_that_makes_a_figure() {
        let expected = r#"{
            "line": "run", "label": null, "date": "2026-11-09T03:00:00Z", "version": "0.1.0",
            "machine": { "cores": 2, "cpu": "a processor", "memory_mib": 8192 },
            "source": "memory", "page_cache": null,
            "packet": { "kind": "ztf 4.01, made up", "bytes": 76500.0, "history": { "previous": 34.0, "forced": 17.0 } },
            "columns": "all", "catalogues": 1, "catalogue_rows": null, "cuts": 0, "durability": "parquet+fsync", "count": 1000,
            "rate_offered": null, "generator_us_per_alert": 10.5,
            "rate_held": 2000.0, "seconds": 0.5, "rate_wall": 1250.0, "wall_seconds": 0.8,
            "load_seconds": 2.0, "load_cpu_seconds": 1.5, "loaded_rss_mib": 100.0,
            "cpu_seconds": 0.08, "cpu_us_per_alert": 80.0,
            "run_rss_mib": 200.0, "run_anonymous_mib": 150.0, "max_rss_mib": 300.0,
            "archived": 995, "skipped": 0, "dead": 5, "published": 7, "lost": 0, "duplicated": 0,
            "oracle": "sums of the program's own report: count - (archived + skipped + dead)",
            "files": 2, "archive_bytes": 42000000, "generations": 1,
            "latency_ms": { "published": { "p50": 4.0, "p99": 40.0, "max": 80.0 } }, "latency_of_something": 7
        }"#;
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(measured(995), expected);
    }

    #[test]
    fn what_is_missing_or_too_much_is_counted() {
        assert_eq!((&measured(900)["lost"], &measured(900)["duplicated"]), (&json!(95), &json!(0)));
        assert_eq!((&measured(1000)["lost"], &measured(1000)["duplicated"]), (&json!(0), &json!(5)));
    }

    #[test]
    fn what_was_counted_in_the_archive_and_at_the_brokers_wins() {
        let fate = Fate { lost: 3, duplicated: 4, oracle: "the archive" };
        let run =
            Run { wall: Duration::from_secs(1), cpu_seconds: 1.0, max_rss_bytes: 0, rss_bytes: None, report: Report::default() };
        let line = super::run(&subject(), &run, Some(fate), Some(990.0));
        assert_eq!((&line["lost"], &line["duplicated"], &line["oracle"]), (&json!(3), &json!(4), &json!("the archive")));
        assert_eq!((&line["rate_held"], &line["run_rss_mib"]), (&json!(990.0), &Value::Null));
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
