//! Runs of the program as a user starts it: a configuration file, signals, the exit code, the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use std::os::unix::process::ExitStatusExt;

use serde::Deserialize;
use serde_json::Value;

use super::scratch::{Process, Scratch};
use super::{poll, tail};

/// What `--report` holds after an orderly end.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// One per component.
    pub components: Vec<ComponentReport>,
    /// Generations that were started; 1 when nothing failed.
    pub generations: u64,
    /// The first failure.
    pub first_fault: Option<String>,
    /// Largest resident memory, bytes.
    pub max_rss_bytes: u64,
}

/// Sums of one component.
#[derive(Clone, Debug, Deserialize)]
pub struct ComponentReport {
    /// Its name.
    pub name: String,
    /// Messages settled.
    pub messages: u64,
    /// Alerts in them.
    pub alerts: u64,
    /// Rows archived.
    pub archived: u64,
    /// Rows not archived on purpose.
    pub skipped: u64,
    /// Dead letters.
    pub dead: u64,
    /// Alerts for which the sums did not balance.
    pub imbalance: u64,
    /// Messages that were gone before they were read.
    #[serde(default)]
    pub expired: u64,
    /// Their ranges.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// How its run ended.
    #[serde(default)]
    pub end: String,
    /// Stages that were rebuilt in place.
    pub rebuilt: u64,
    /// Rows in the quarantine.
    #[serde(default)]
    pub quarantined: u64,
    /// What was written to the backup; null where there is none.
    #[serde(default)]
    pub backup: Value,
    /// By topic.
    #[serde(default)]
    pub published: BTreeMap<String, Published>,
    /// How long alerts took to be `archived` and `published`, milliseconds.
    #[serde(default)]
    pub latency_ms: BTreeMap<String, Latency>,
}

/// Offsets that were gone before they were read, up to but without `to`; also a line of `gaps.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Gap {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// One past the last.
    pub to: i64,
}

/// Times, milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What was sent to a topic.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Published {
    /// Messages.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Report {
    /// The component of this name.
    pub fn component(&self, name: &str) -> &ComponentReport {
        self.components.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no component {name} in {self:?}"))
    }

    /// in = archived + skipped + dead-lettered, in every component.
    pub fn assert_balanced(&self) {
        for c in &self.components {
            assert_eq!((c.imbalance, c.alerts), (0, c.archived + c.skipped + c.dead), "the sums do not balance: {c:?}");
        }
    }
}

/// A running program.
pub struct Run {
    process: Process,
    report: PathBuf,
    name: String,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All that it wrote (and runs before it under the same name).
    pub log: String,
    /// The report, where it wrote one.
    pub report: Option<Report>,
}

impl Run {
    /// Starts `skysluice run` with a configuration (JSON is YAML) in the folder of the test. Runs of one name share their
    /// log file. `faults` is the value of `SKYSLUICE_FAULTS`.
    pub fn start(scratch: &Scratch, name: &str, configuration: &Value, faults: Option<&str>) -> Run {
        Run::start_by(scratch, name, configuration, faults, &[])
    }

    /// As [`Run::start`], by a command that becomes the program it is given as its last arguments.
    pub fn start_by(scratch: &Scratch, name: &str, configuration: &Value, faults: Option<&str>, by: &[&str]) -> Run {
        let text = serde_json::to_string_pretty(configuration).unwrap();
        let file = scratch.write(&format!("{name}.yaml"), text);
        let report = scratch.join(format!("{name}.report.json"));
        let _ = std::fs::remove_file(&report);
        let program = env!("CARGO_BIN_EXE_skysluice");
        let mut words = by.iter().copied().chain([program]);
        let first = Path::new(words.next().unwrap_or(program));
        let process = scratch.spawn(name, first, |command| {
            command.args(words).arg("run").arg(file).arg("--report").arg(&report).current_dir(scratch.path());
            command.env("RUST_BACKTRACE", "0");
            if let Some(faults) = faults {
                command.env("SKYSLUICE_FAULTS", faults);
            }
        });
        Run { process, report, name: name.to_owned() }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A failure with the log when it has ended.
    pub fn assert_running(&mut self) {
        let exited = self.process.exited();
        assert!(exited.is_none(), "{} has ended with {exited:?}; its log ends:\n{}", self.name, tail(&self.process.log(), 40));
    }

    /// Asks until there is an answer; the program has to run all the while. Its log is told with a failure.
    pub fn await_for<T>(&mut self, what: &str, limit: Duration, mut ask: impl FnMut(&mut Process) -> Option<T>) -> T {
        let found = poll(limit, || {
            self.assert_running();
            ask(&mut self.process)
        });
        let log = || tail(&self.process.log(), 40);
        found.unwrap_or_else(|| panic!("{} ran {limit:?} without {what}; its log ends:\n{}", self.name, log()))
    }

    /// Asks it to stop, as systemd does.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Waits for the end, whatever it is.
    pub fn wait(mut self, limit: Duration) -> Ended {
        let status = self.process.wait(limit);
        let text = std::fs::read_to_string(&self.report).ok();
        let parse = |text: String| serde_json::from_str(&text).unwrap_or_else(|e| panic!("report of {}: {e}: {text}", self.name));
        Ended { code: status.code(), signal: status.signal(), log: self.process.log(), report: text.map(parse) }
    }

    /// Waits for an orderly end with sums that balance.
    pub fn finish(self, limit: Duration) -> (Report, String) {
        let name = self.name.clone();
        let ended = self.wait(limit);
        assert_eq!(ended.code, Some(0), "{name}: signal {:?}; its log ends:\n{}", ended.signal, tail(&ended.log, 40));
        let report = ended.report.unwrap_or_else(|| panic!("{name} wrote no report; its log ends:\n{}", tail(&ended.log, 40)));
        report.assert_balanced();
        (report, ended.log)
    }
}
