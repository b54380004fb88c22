//! Running the measured program as a process of its own, and its report.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bench::machine::{self, Memory};
use crate::error::Error;

/// Between two looks at the running program.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// Lines of its output that an error shows.
const TAIL: usize = 20;

/// What `skysluice run --report` writes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Report {
    /// The components.
    pub(crate) components: Vec<Component>,
    /// From the start to the last durable alert.
    pub(crate) seconds: f64,
    /// CPU seconds, user and system.
    pub(crate) cpu_seconds: f64,
    /// The largest resident size, bytes.
    pub(crate) max_rss_bytes: u64,
    /// What was used up before the clock of `seconds` began.
    pub(crate) ready: Option<Ready>,
    /// How many times everything was built.
    pub(crate) generations: u64,
}

/// What loading catalogues and compiling schemas took.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Ready {
    /// Wall-clock time.
    pub(crate) seconds: f64,
    /// CPU seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident size after it, bytes.
    pub(crate) rss_bytes: u64,
}

/// What a component did.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Component {
    /// Alerts read.
    pub(crate) alerts: u64,
    /// Alerts archived.
    pub(crate) archived: u64,
    /// Alerts skipped.
    pub(crate) skipped: u64,
    /// Dead letters.
    pub(crate) dead: u64,
    /// Messages published, by topic.
    pub(crate) published: BTreeMap<String, Published>,
    /// Files of the archive.
    pub(crate) files: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Everything else, such as latencies.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// What was published to a topic.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Published {
    /// Messages.
    pub(crate) messages: u64,
}

/// A run, measured from outside and by its own report.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// From the start of the process to its end.
    pub(crate) wall: Duration,
    /// CPU seconds of the process since it was ready, from the kernel's accounts, otherwise from the report.
    pub(crate) cpu_seconds: f64,
    /// The largest resident size of the whole process, bytes.
    pub(crate) max_rss_bytes: u64,
    /// The largest resident size, and the largest of what no file holds, since it was ready; `None` where it was too short to be
    /// looked at.
    pub(crate) rss_bytes: Option<[u64; 2]>,
    /// Its own report.
    pub(crate) report: Report,
}

/// The measured program while it runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    program: PathBuf,
    log: PathBuf,
    report: PathBuf,
    start: Instant,
    cpu_before: Option<f64>,
    memory: Vec<(Instant, Memory)>,
}

/// Runs the program on a configuration to its end; everything that it prints goes to a log in `folder`.
pub(crate) fn run(program: &Path, configuration: &Path, folder: &Path) -> Result<Run, Error> {
    start(program, configuration, folder)?.finish()
}

/// Starts the program on a configuration; everything that it prints goes to a log in `folder`.
pub(crate) fn start(program: &Path, configuration: &Path, folder: &Path) -> Result<Running, Error> {
    let (log_path, report) = (folder.join("run.log"), folder.join("report.json"));
    let log = File::create(&log_path).map_err(Error::file("create", &log_path))?;
    let same_log = log.try_clone().map_err(Error::file("write", &log_path))?;
    let (cpu_before, start) = (machine::children_cpu(), Instant::now());
    let child = Command::new(program)
        .arg("run")
        .arg(configuration)
        .arg("--report")
        .arg(&report)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(same_log)
        .spawn()
        .map_err(|source| Error::Start { program: program.to_owned(), source })?;
    Ok(Running { child, program: program.to_owned(), log: log_path, report, start, cpu_before, memory: Vec::new() })
}

impl Running {
    /// Where everything that it prints goes.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its memory at the last look.
    pub(crate) fn memory(&self) -> Option<Memory> {
        self.memory.last().map(|(_, memory)| *memory)
    }

    /// Looks at its memory, and whether it has ended.
    pub(crate) fn look(&mut self) -> Result<Option<ExitStatus>, Error> {
        // Nothing to be seen once the process has ended.
        self.memory.extend(machine::memory(self.child.id()).map(|memory| (Instant::now(), memory)));
        self.child.try_wait().map_err(Error::file("wait for", &self.program))
    }

    /// Asks it to end cleanly.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let process = process.expect("a child that was not waited for has a process id");
        kill_process(process, Signal::TERM).map_err(|error| Error::file("stop", &self.program)(error.into()))
    }

    /// Ends it in any case.
    pub(crate) fn kill(mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end and reads its report.
    pub(crate) fn finish(mut self) -> Result<Run, Error> {
        let status = loop {
            if let Some(status) = self.look()? {
                break status;
            }
            std::thread::sleep(LOOK);
        };
        let end = Instant::now();
        let cpu = self.cpu_before.zip(machine::children_cpu()).map(|(before, after)| after - before);
        if !status.success() {
            let output = std::fs::read_to_string(&self.log).unwrap_or_default();
            let (program, status, tail) = (self.program, status.to_string(), tail(&output));
            return Err(Error::Run { program, status, log: self.log, tail });
        }
        let text = std::fs::read_to_string(&self.report).map_err(Error::file("read the report", &self.report))?;
        let report: Report = serde_json::from_str(&text).map_err(|source| Error::Report { path: self.report, source })?;
        // What it did after it was ready: its own clock ends with the process, but for the writing of the report.
        let ready = end.checked_sub(Duration::try_from_secs_f64(report.seconds).unwrap_or_default()).unwrap_or(self.start);
        let since = |size: fn(&Memory) -> u64| {
            self.memory.iter().filter(|(time, _)| *time >= ready).map(|(_, memory)| size(memory)).max()
        };
        let peak = self.memory.last().map_or(0, |(_, memory)| memory.peak);
        Ok(Run {
            wall: end - self.start,
            cpu_seconds: cpu.unwrap_or(report.cpu_seconds) - report.ready.map_or(0.0, |ready| ready.cpu_seconds),
            max_rss_bytes: report.max_rss_bytes.max(peak),
            rss_bytes: since(|memory| memory.resident).zip(since(|memory| memory.anonymous)).map(Into::into),
            report,
        })
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that stands in for the measured one: a shell script.
    fn script(folder: &Path, text: &str) -> std::path::PathBuf {
        let path = folder.join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_report_may_leave_things_out_and_say_more() {
        let text = r#"{"components":[{"name":"a","alerts":3,"latency_ms":{"archived":{"p50":1.5}},"published":{"t":{"messages":2,"bytes":9}}}],
            "seconds":2,"new":1}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!((report.seconds, report.components[0].alerts), (2.0, 3));
        assert_eq!(report.components[0].rest["latency_ms"], serde_json::json!({ "archived": { "p50": 1.5 } }));
        assert_eq!(report.ready, None);
        assert_eq!(report.components[0].published["t"].messages, 2);
        assert_eq!(serde_json::from_str::<Report>("{}").unwrap(), Report::default());
    }

    #[test]
    fn a_process_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let work = r#"i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done; echo "{\"seconds\": 60, \"components\": [{\"archived\": 7}]}" > $4"#;
        let program = script(folder.path(), &format!(r#"[ "$1 $2 $3" = "run c.yaml --report" ] || exit 3; {work}"#));
        let run = run(&program, Path::new("c.yaml"), folder.path()).unwrap();
        assert_eq!((run.report.components[0].archived, run.report.seconds), (7, 60.0));
        assert!(run.max_rss_bytes > 100 << 10, "{}", run.max_rss_bytes);
        assert!(run.rss_bytes.unwrap()[0] >= run.rss_bytes.unwrap()[1], "{:?}", run.rss_bytes);
        assert!(run.cpu_seconds > 0.0 && run.wall.as_secs_f64() < 60.0, "{run:?}");
    }

    #[test]
    fn what_was_loaded_before_the_clock_began_is_no_part_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let report = r#"{\"seconds\": 0, \"ready\": {\"seconds\": 3, \"cpu_seconds\": 100, \"rss_bytes\": 7}}"#;
        let run = run(&script(folder.path(), &format!("echo \"{report}\" > $4")), Path::new("c.yaml"), folder.path()).unwrap();
        assert!(run.cpu_seconds < -90.0, "{run:?}");
        assert_eq!(run.report.ready.unwrap().rss_bytes, 7);
    }

    #[test]
    fn a_running_program_is_stopped_by_a_signal() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "trap 'echo {} > $4; exit 0' TERM; echo on; while true; do sleep 0.05; done");
        let mut running = start(&program, Path::new("c.yaml"), folder.path()).unwrap();
        while std::fs::read_to_string(running.log()).unwrap().is_empty() {
            assert!(running.look().unwrap().is_none());
            std::thread::sleep(LOOK);
        }
        running.stop().unwrap();
        assert_eq!(running.finish().unwrap().report, Report::default());
    }

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "echo no such catalogue >&2; exit 78");
        let error = run(&program, Path::new("c.yaml"), folder.path()).unwrap_err().to_string();
        assert!(error.contains("78") && error.contains("no such catalogue"), "{error}");
        let error = run(&folder.path().join("none"), Path::new("c.yaml"), folder.path()).unwrap_err().to_string();
        assert!(error.contains("--skysluice"), "{error}");
        let program = script(folder.path(), "echo '[1]' > $4");
        let error = run(&program, Path::new("c.yaml"), folder.path()).unwrap_err().to_string();
        assert!(error.contains("same version"), "{error}");
    }
}
