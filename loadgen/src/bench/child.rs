//! Running the measured program as a process of its own, and its report.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::bench::machine;
use crate::error::Error;

/// Between two looks at the running program.
const LOOK: Duration = Duration::from_millis(50);
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
    /// How many times everything was built.
    pub(crate) generations: u64,
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
    /// From the timestamps of messages, or from reading, to `archived` and to `published`.
    pub(crate) latency_ms: BTreeMap<String, Latency>,
}

/// What was published to a topic.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Published {
    /// Messages.
    pub(crate) messages: u64,
}

/// Percentiles, milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, serde::Serialize)]
#[serde(default)]
pub(crate) struct Latency {
    /// Half are below.
    pub(crate) p50: Option<f64>,
    /// 99 of 100 are below.
    pub(crate) p99: Option<f64>,
    /// The largest.
    pub(crate) max: Option<f64>,
}

/// A run, measured from outside and by its own report.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// From the start of the process to its end.
    pub(crate) wall: Duration,
    /// CPU seconds of the process, from the kernel's accounts, otherwise from the report.
    pub(crate) cpu_seconds: f64,
    /// The largest resident size, bytes.
    pub(crate) max_rss_bytes: u64,
    /// Its own report.
    pub(crate) report: Report,
}

/// Runs the program on a configuration; everything that it prints goes to a log in `folder`.
pub(crate) fn run(program: &Path, configuration: &Path, folder: &Path) -> Result<Run, Error> {
    let (log_path, report_path) = (folder.join("run.log"), folder.join("report.json"));
    let log = File::create(&log_path).map_err(Error::file("create", &log_path))?;
    let same_log = log.try_clone().map_err(Error::file("write", &log_path))?;
    let before = machine::children_cpu();
    let start = Instant::now();
    let child = Command::new(program)
        .arg("run")
        .arg(configuration)
        .arg("--report")
        .arg(&report_path)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(same_log)
        .spawn()
        .map_err(|source| Error::Start { program: program.to_owned(), source })?;
    let (status, peak) = watch(child).map_err(Error::file("wait for", program))?;
    let wall = start.elapsed();
    let cpu = before.zip(machine::children_cpu()).map(|(before, after)| after - before);
    if !status.success() {
        let output = std::fs::read_to_string(&log_path).unwrap_or_default();
        let (program, status, tail) = (program.to_owned(), status.to_string(), tail(&output));
        return Err(Error::Run { program, status, log: log_path, tail });
    }
    let text = std::fs::read_to_string(&report_path).map_err(Error::file("read the report", &report_path))?;
    let report: Report = serde_json::from_str(&text).map_err(|source| Error::Report { path: report_path, source })?;
    Ok(Run {
        wall,
        cpu_seconds: cpu.unwrap_or(report.cpu_seconds),
        max_rss_bytes: report.max_rss_bytes.max(peak.unwrap_or(0)),
        report,
    })
}

/// Waits for the end, looking at the resident size all the while.
fn watch(mut child: Child) -> std::io::Result<(ExitStatus, Option<u64>)> {
    let mut peak = None;
    loop {
        // Empty once the process has ended, so that the last figure stays.
        peak = machine::peak_memory(child.id()).max(peak);
        if let Some(status) = child.try_wait()? {
            return Ok((status, peak));
        }
        std::thread::sleep(LOOK);
    }
}

/// The last lines of a text.
fn tail(text: &str) -> String {
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
        assert_eq!(report.components[0].latency_ms["archived"], Latency { p50: Some(1.5), p99: None, max: None });
        assert_eq!(report.components[0].published["t"].messages, 2);
        assert_eq!(serde_json::from_str::<Report>("{}").unwrap(), Report::default());
    }

    #[test]
    fn a_process_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let work = r#"i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done; echo "{\"seconds\": 1.5, \"components\": [{\"archived\": 7}]}" > $4"#;
        let program = script(folder.path(), &format!(r#"[ "$1 $2 $3" = "run c.yaml --report" ] || exit 3; {work}"#));
        let run = run(&program, Path::new("c.yaml"), folder.path()).unwrap();
        assert_eq!((run.report.components[0].archived, run.report.seconds), (7, 1.5));
        assert!(run.max_rss_bytes > 100 << 10, "{}", run.max_rss_bytes);
        assert!(run.cpu_seconds > 0.0 && run.wall.as_secs_f64() < 60.0, "{run:?}");
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
