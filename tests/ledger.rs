//! `skysluice ledger`: what became of every alert, by day and partition, over all runs.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::config;
use support::run::Run;
use support::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(120);

fn ledger(scratch: &Scratch, file: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    command.arg("ledger").arg(scratch.join(file)).args(more);
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap()))
}

fn entries(scratch: &Scratch, file: &str) -> Vec<Value> {
    let (code, said) = ledger(scratch, file, &["--json"]);
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&said).unwrap()
}

/// A sum over all days and partitions of a component.
fn sum(entries: &[Value], component: &str, what: &str) -> u64 {
    let of = entries.iter().filter(|entry| entry["component"] == component);
    of.flat_map(|entry| entry["partitions"].as_array().unwrap()).map(|partition| partition[what].as_u64().unwrap()).sum()
}

/// A pipeline over packets in a folder, of which some are no packets, and an endless simulator.
fn configuration(scratch: &Scratch) -> Value {
    let source = json!({ "files": { "path": scratch.join("packets") } });
    let more = json!({ "publish": [{ "topic": "out", "files": scratch.join("output") }], "breaker": { "share": 1.0 } });
    config::file(scratch.path(), json!({}), vec![config::pipeline(scratch.path(), "night", "ztf", source, more)])
}

#[test]
fn sums_of_several_runs_are_added_and_balance() {
    let scratch = Scratch::new("ledger");
    let configuration = configuration(&scratch);
    let mut packets = support::simulator::alerts(17, 30, 1).map(|alert| alert.payload.unwrap());
    for index in 0..20 {
        let packet = if index % 5 == 3 { b"no packet".to_vec() } else { packets.next().unwrap() };
        scratch.write(&format!("packets/{index:03}.avro"), packet);
    }
    let (report, _) = Run::start(&scratch, "night", &configuration, None).finish(LIMIT);
    assert_eq!((report.component("night").archived, report.component("night").dead), (16, 4));
    for index in 20..26 {
        scratch.write(&format!("packets/{index:03}.avro"), packets.next().unwrap());
    }
    let (report, _) = Run::start(&scratch, "night", &configuration, None).finish(LIMIT);
    assert_eq!(report.component("night").archived, 6);

    let found = entries(&scratch, "night.yaml");
    let sums = ["messages", "alerts", "archived", "skipped", "dead", "expired"].map(|what| sum(&found, "night", what));
    assert_eq!(sums, [26, 26, 22, 0, 4, 0], "{found:?}");
    let published: u64 = found.iter().map(|entry| entry["published"]["out"].as_u64().unwrap()).sum();
    assert_eq!(published, 22);
    let (code, said) = ledger(&scratch, "night.yaml", &[]);
    assert_eq!(code, Some(0));
    for part in ["night, 20", "night.files[0]", "dead-lettered", "balanced: in = archived + skipped + dead-lettered", "every 5 s"]
    {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    // The days are those of the clock, UTC.
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let today = chrono::DateTime::from_timestamp(i64::try_from(days).unwrap() * 86_400, 0).unwrap().date_naive().to_string();
    assert!(said.contains(&today), "{today}: {said}");
    let (_, said) = ledger(&scratch, "night.yaml", &["--day", "2001-01-01"]);
    assert!(said.starts_with("no sums yet"), "{said}");
    let (code, said) = ledger(&scratch, "night.yaml", &["--component", "day"]);
    assert_eq!(code, Some(2), "{said}");

    // One alert that no one accounts for is told, and so is a file of someone else.
    let file = scratch.join(format!("data/night/ledger-{today}.json"));
    let text = std::fs::read_to_string(&file).unwrap();
    let mut wrong: Value = serde_json::from_str(&text).unwrap();
    let archived = wrong["partitions"][0]["archived"].as_u64().unwrap();
    wrong["partitions"][0]["archived"] = json!(archived - 1);
    std::fs::write(&file, wrong.to_string()).unwrap();
    let (code, said) = ledger(&scratch, "night.yaml", &[]);
    assert!(code == Some(1) && said.contains("NOT BALANCED"), "{said}");
    std::fs::write(&file, "nothing").unwrap();
    let (code, said) = ledger(&scratch, "night.yaml", &[]);
    assert!(code == Some(1) && said.contains("does not hold the sums of a day"), "{said}");
}

#[test]
fn a_process_that_is_killed_leaves_sums_that_balance_and_are_not_too_large() {
    let scratch = Scratch::new("ledger-killed");
    let source = json!({ "simulator": { "rate": 400, "partitions": 2 } });
    let component = config::pipeline(scratch.path(), "night", "ztf", source, json!({ "batch": { "alerts": 16 } }));
    let configuration = config::file(scratch.path(), json!({}), vec![component]);
    let mut killed = 0;
    for attempt in 1..=2 {
        let mut run = Run::start(&scratch, "night", &configuration, None);
        let before = killed;
        killed = run.await_for("sums on disk", LIMIT, |_| {
            Some(sum(&entries(&scratch, "night.yaml"), "night", "alerts")).filter(|alerts| *alerts > before)
        });
        run.process().kill_9();
        let found = entries(&scratch, "night.yaml");
        killed = killed.max(sum(&found, "night", "alerts"));
        assert!(found.iter().all(|entry| entry["balanced"] == true), "attempt {attempt}: {found:?}");
    }
    // In order it ends with all that it has settled.
    let run = Run::start(&scratch, "night", &configuration, None);
    std::thread::sleep(Duration::from_secs(2));
    run.terminate();
    let (report, _) = run.finish(LIMIT);
    let all = sum(&entries(&scratch, "night.yaml"), "night", "alerts");
    assert_eq!(all, killed + report.component("night").alerts);
}
