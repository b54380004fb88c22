//! `skysluice-loadgen table`: the medians of many lines of `bench` as a table, to be read by people and put into a page.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::bench::line;
use crate::error::Error;

/// Arguments of `table`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TableArgs {
    /// File of lines that `bench` has printed.
    #[arg(value_name = "FILE")]
    lines: PathBuf,
}

/// Runs `table` and prints it.
pub(crate) fn run(args: &TableArgs, out: &mut dyn Write) -> Result<(), Error> {
    let text = std::fs::read_to_string(&args.lines).map_err(Error::file("read", &args.lines))?;
    let mut runs = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let wrong = |source| Error::Line { path: args.lines.clone(), line: number, source };
        runs.push(serde_json::from_str(line).map_err(wrong)?);
    }
    write!(out, "{}", table(&runs)).map_err(Error::file("write", "standard output"))
}

/// The table in Markdown: a row for each label, in the order in which they come.
fn table(lines: &[Value]) -> String {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for line in lines.iter().filter(|line| line["line"] == "run") {
        let label = line["label"].as_str().or(line["source"].as_str()).unwrap_or("–");
        match groups.iter_mut().find(|(known, _)| *known == label) {
            Some((_, runs)) => runs.push(line.clone()),
            None => groups.push((label, vec![line.clone()])),
        }
    }
    let mut text =
        "| run | runs | packet bytes | alerts/s, each | median | CPU us an alert | MiB resident, without mapped files, \
                    loaded before | p50 and p99 ms until published (or archived) | lost, duplicated |\n|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (label, runs) in &groups {
        let median = line::medians(runs);
        let number = |value: &Value| value.as_f64().map_or("–".to_owned(), |value| format!("{value:.0}"));
        let each: Vec<String> = runs.iter().map(|run| number(&run["rate_held"])).collect();
        let of = |keys: &[&str]| keys.iter().map(|key| number(&median[*key])).collect::<Vec<_>>().join(" ");
        let latency = &median["latency_ms"];
        let latency = latency.get("published").or_else(|| latency.get("archived")).unwrap_or(&Value::Null);
        let latency = format!("{} {}", number(&latency["p50"]), number(&latency["p99"]));
        // Not medians: one alert lost in one run is one too many.
        let sum = |key: &str| runs.iter().filter_map(|run| run[key].as_u64()).sum::<u64>();
        text += &format!(
            "| {label} | {} | {} | {} | {} | {} | {} | {latency} | {} {} |\n",
            runs.len(),
            number(&median["packet"]["bytes"]),
            each.join(" "),
            of(&["rate_held"]),
            of(&["cpu_us_per_alert"]),
            of(&["run_rss_mib", "run_anonymous_mib", "loaded_rss_mib"]),
            sum("lost"),
            sum("duplicated"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_label_has_a_row_with_its_medians() {
        let run = |label: &str, rate: f64, lost: u64| {
            json!({ "line": "run", "label": label, "packet": { "bytes": 76400.4 }, "rate_held": rate, "cpu_us_per_alert": 88.0,
                "run_rss_mib": 400.0, "run_anonymous_mib": 390.0, "loaded_rss_mib": null, "latency_ms": { "published": { "p50": 5.0, "p99": 9.4 } },
                "lost": lost, "duplicated": 0 })
        };
        let lines = [
            run("a", 100.0, 0),
            run("b", 7.0, 0),
            run("a", 300.0, 2),
            run("a", 120.0, 1),
            json!({ "line": "median", "label": "a" }),
        ];
        let text = table(&lines);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| a | 3 | 76400 | 100 300 120 | 120 | 88 | 400 390 – | 5 9 | 3 0 |",
                "| b | 1 | 76400 | 7 | 7 | 88 | 400 390 – | 5 9 | 0 0 |",
            ]
        );
    }
}
