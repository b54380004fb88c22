//! The system refuses what it was asked for, now and then: writes, syncs, links, new files. Nothing that was acknowledged is
//! missing, nothing is archived twice, and the process finds its way.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, poll, simulator, tail};

const ALERTS: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(12);

/// What strace injects: system calls, error, and at which calls of a thread (the first, then every so many).
const FAULTS: [&str; 9] = [
    "write:error=EIO:when=2+7",
    "write:error=ENOSPC:when=3+5",
    "fsync:error=EIO:when=5+6",
    "fsync:error=ENOSPC:when=2+5",
    "renameat2:error=EIO:when=2+3",
    "renameat2:error=ENOSPC:when=1+4",
    "openat:error=EMFILE:when=12+23",
    "mkdir,ftruncate:error=ENOSPC:when=3+2",
    "write,fsync,renameat2,ftruncate:error=EINTR:when=2+5",
];

#[test]
fn errors_of_the_system_are_survived_and_lose_nothing() {
    if !Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: no strace that may trace");
        return;
    }
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    for (number, fault) in FAULTS.iter().enumerate() {
        let name = format!("syscalls-{number}");
        let scratch = Scratch::new(&name);
        let folder = scratch.path();
        let (input, output) = (kafka.topic(&name, 2), kafka.topic(&format!("{name}-out"), 2));
        kafka.produce(&input, simulator::alerts(13, ALERTS, 2));
        let more = json!({
            "batch": { "alerts": 16 },
            "publish": [{ "topic": output }],
            "archive": {
                "root": config::archive(folder, &name),
                "staging": folder.join("staging"),
                "roll": { "age": "200 ms", "size": "1 MiB" },
            },
        });
        let component = config::pipeline(folder, &name, "ztf", config::until_end(kafka, &[&input], &input), more);
        let configuration = config::file(folder, json!({ "memory": "64 MiB" }), vec![component]);
        let inject = format!("inject={fault}");
        let by = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let mut run = Run::start_by(&scratch, &name, &configuration, None, &by);
        // A thread that is made anew meets the same errors at the same calls: where one stands in the way for ever, the process goes
        // on trying, until it is killed here and finds a system that is well again.
        let interrupted = fault.contains("EINTR");
        let exited = poll(if interrupted { 10 * PATIENCE } else { PATIENCE }, || run.process().exited());
        assert!(exited.is_some() || !interrupted, "{fault}: an interrupted call is made again, and is no reason to stand still");
        if exited.is_none() {
            // The one that traces and the one that is traced.
            let group = format!("-{}", run.process().id());
            assert!(Command::new("kill").args(["-9", "--", &group]).status().unwrap().success());
        }
        let ended = run.wait(Duration::from_secs(10));
        if ended.code != Some(0) {
            assert!(
                exited.is_none() || ended.log.contains("os error"),
                "{fault}: {:?} without a reason:\n{}",
                ended.code,
                tail(&ended.log, 40)
            );
            Run::start(&scratch, &name, &configuration, None).finish(Duration::from_secs(60));
        }
        let ends = kafka.ends(&input);
        oracle::exactly_once(&python, &scratch, &config::archive(folder, &name), &[(&input, ends.clone())], &[]);
        let twice = oracle::at_least_once(kafka, &output, &ends, &[]);
        let (failures, end) =
            (ended.log.matches("generation failed").count(), ended.code.map_or("killed", |_| "ended by itself"));
        let _ = writeln!(
            std::io::stderr(),
            "{fault}: {failures} failures, {end}; nothing lost, nothing archived twice, {twice} sent again"
        );
    }
}
