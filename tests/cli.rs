//! The command line as a user or systemd meets it: exit codes, signals, what is printed.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::config;
use support::run::Run;
use support::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(60);
const SIGTERM: i32 = 15;

fn skysluice(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skysluice")).args(arguments).current_dir(support::root()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A simulated night; without a count it has no end.
fn night(scratch: &Scratch, service: Value, count: Option<u64>) -> Value {
    let simulator = count.map_or(json!({ "rate": 200 }), |count| json!({ "count": count }));
    let more = json!({ "batch": { "alerts": 16 } });
    let component = config::pipeline(scratch.path(), "night", "ztf", json!({ "simulator": simulator }), more);
    config::file(scratch.path(), service, vec![component])
}

#[test]
fn what_is_shipped_is_good_and_what_is_misspelt_is_shown_with_its_place() {
    for good in ["conf/skysluice.yaml", "conf/examples/ztf.yaml", "conf/examples/simulator.yaml"] {
        let checked = skysluice(&["validate", good]);
        assert_eq!(checked.status.code(), Some(0), "{good}: {}", text(&checked.stderr));
    }
    let scratch = Scratch::new("cli-misspelt");
    let mut wrong = night(&scratch, json!({}), Some(1));
    wrong["components"][0]["steps"] = json!([{ "cut": { "where": "candidate.rbb > 0.5" } }]);
    let file = scratch.write("wrong.yaml", serde_json::to_string_pretty(&wrong).unwrap());
    for verb in ["validate", "run"] {
        let refused = skysluice(&[verb, file.to_str().unwrap()]);
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(78), "{told}");
        for part in ["wrong.yaml:", "candidate.rbb", "^", "did you mean `candidate.rb`?"] {
            assert!(told.contains(part), "no {part} in:\n{told}");
        }
    }
    assert!(!scratch.join("data").exists() && !scratch.join("archive").exists(), "something was started");
}

#[test]
fn help_man_page_completions_schema_and_reference_are_printed() {
    for (arguments, part) in [
        (&["--help"][..], "Usage: skysluice"),
        (&["man"], ".TH skysluice"),
        (&["completions", "bash"], "_skysluice"),
        (&["config", "reference"], "max"),
        (&["demo", "--help"], "--serve"),
    ] {
        let printed = skysluice(arguments);
        assert!(printed.status.success() && text(&printed.stdout).contains(part), "{arguments:?}: {}", text(&printed.stdout));
    }
    let schema: Value = serde_json::from_slice(&skysluice(&["config", "schema"]).stdout).unwrap();
    assert!(schema["properties"]["components"].is_object());
    assert_eq!(skysluice(&[]).status.code(), Some(2), "no subcommand is wrong usage");
}

#[test]
fn a_stop_makes_everything_durable_and_a_finite_source_ends_by_itself() {
    let scratch = Scratch::new("cli-stop");
    let mut run = Run::start(&scratch, "night", &night(&scratch, json!({}), None), None);
    // The folder of the hour is made for the first file that is sealed.
    run.await_for("archived alerts", LIMIT, |_| scratch.join("archive/night/year=2026").exists().then_some(()));
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    let sums = report.component("night");
    assert!(sums.archived > 0 && sums.archived == sums.alerts, "{report:?}");
    assert!(log.contains("(balanced;"), "the sums are not printed:\n{log}");

    let before = sums.archived;
    let (report, _) = Run::start(&scratch, "night", &night(&scratch, json!({}), Some(before + 100)), None).finish(LIMIT);
    assert_eq!(report.component("night").archived, 100, "it did not go on where it had stopped: {report:?}");
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let scratch = Scratch::new("cli-second");
    let run = night(&scratch, json!({ "grace": "50 s", "stall": "50 s" }), None);
    let mut run = Run::start(&scratch, "night", &run, Some("archive=hang@1"));
    run.await_for("a batch in hand", LIMIT, |process| process.log().contains("hangs on purpose").then_some(()));
    run.terminate();
    run.await_for("the stop", LIMIT, |process| process.log().contains("stopping").then_some(()));
    run.terminate();
    let ended = run.wait(Duration::from_secs(10));
    assert_eq!(ended.code.unwrap_or_default(), 128 + SIGTERM, "{ended:?}");
}

#[test]
fn failures_without_progress_end_the_process_with_70() {
    let scratch = Scratch::new("cli-70");
    let faults: Vec<String> = (1..=4).map(|n| format!("archive=error@{n}")).collect();
    let run = night(&scratch, json!({ "restarts": 2 }), Some(500));
    let ended = Run::start(&scratch, "night", &run, Some(&faults.join(","))).wait(LIMIT);
    assert_eq!(ended.code, Some(70), "{}", ended.log);
    let report = ended.report.unwrap();
    assert_eq!((report.generations, report.first_fault.unwrap().as_str()), (3, "archive: injected error at batch 1"));
}
