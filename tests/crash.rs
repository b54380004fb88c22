//! SIGKILL in the middle, again and again: nothing is missing, nothing is archived twice.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;
use support::python::Python;
use support::random::Random;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, poll, simulator};

const ALERTS: u64 = 20_000;
const KILLS: u64 = 5;

#[test]
fn nothing_is_lost_or_archived_twice_when_the_process_is_killed() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let mut random = Random::new();
    let scratch = Scratch::new("crash");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("crash", 4), kafka.topic("crash-out", 4));
    kafka.produce(&input, simulator::alerts(1, ALERTS, 4));

    let more = json!({
        "publish": [{ "topic": output }],
        "archive": {
            "root": config::archive(folder, "crash"),
            "staging": folder.join("staging"),
            "roll": { "size": "32 MiB", "age": "500 ms" },
        },
    });
    let component = config::pipeline(folder, "crash", "ztf", config::until_end(kafka, &[&input], "crash"), more);
    let configuration = config::file(folder, json!({ "memory": "256 MiB" }), vec![component]);
    for kill in 1..=KILLS {
        let mut run = Run::start(&scratch, "crash", &configuration, None);
        // Somewhere in the middle of what is left, then a moment more, so that every stage is met in every state.
        let goal = kafka.count(&output) + random.between(100, ALERTS / (KILLS + 3));
        run.await_for(&format!("{goal} messages in {output} before kill {kill}"), Duration::from_secs(120), |_| {
            (kafka.count(&output) >= goal).then_some(())
        });
        let _ = poll(Duration::from_millis(random.between(0, 400)), || run.process().exited());
        run.assert_running();
        run.process().kill_9();
    }
    let (report, _) = Run::start(&scratch, "crash", &configuration, None).finish(Duration::from_secs(300));
    assert_eq!(report.component("crash").dead, 0);

    let ends = kafka.ends(&input);
    let counted = oracle::exactly_once(&python, &scratch, &config::archive(folder, "crash"), &[(&input, ends.clone())], &[]);
    let duplicates = oracle::at_least_once(kafka, &output, &ends, &[]);
    let _ = writeln!(
        std::io::stderr(),
        "{KILLS} kills in {ALERTS} alerts: {} rows in the archive, none twice, none missing; {duplicates} of the published \
         messages came again",
        counted["rows"]
    );
    // The lock of the folder stays for the next start.
    let mut left = files(&folder.join("staging"));
    left.retain(|path| path.file_name().is_none_or(|name| name != "lock"));
    assert!(left.is_empty(), "left in the staging folder after a clean end: {left:?}");
    let committed = kafka.committed("crash", &input);
    assert_eq!(committed, ends.iter().map(|(_, high)| Some(*high)).collect::<Vec<_>>());
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|e| e.unwrap().path());
    paths.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}
