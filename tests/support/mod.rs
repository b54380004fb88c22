//! What the integration tests share: real components started and gone with the test, runs of the program, real packets,
//! independent readers.
//!
//! A part that is missing on this machine (Java, Python, the shared data) is said on the terminal as `skipped: ...`; where
//! the environment variable `SKYSLUICE_REQUIRE` names the part (`kafka,python,data,spark,network`), its absence is a failure.

// Each test binary compiles this module and uses its share of it.
#![allow(dead_code)]

pub mod config;
pub mod container;
pub mod data;
pub mod kafka;
pub mod network;
pub mod oracle;
pub mod python;
pub mod random;
pub mod registry;
pub mod run;
pub mod sabotage;
pub mod scratch;
pub mod simulator;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The folder where cargo builds; caches that outlive a test lie in it.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_path_buf()
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Says that `part` is missing and gives `None`; a failure where `SKYSLUICE_REQUIRE` names the part.
///
/// Written to the terminal itself: what a passing test prints by `eprintln` is not shown.
pub fn skip<T>(part: &str, reason: &str) -> Option<T> {
    let required = std::env::var("SKYSLUICE_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|r| r.trim() == part), "{part} is required by SKYSLUICE_REQUIRE, but: {reason}");
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {reason} ({name})");
    None
}

/// Whether a program is there and answers to `argument`.
pub fn has_program(program: &str, argument: &str) -> bool {
    let quiet = |c: &mut Command| c.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(&mut Command::new(program)).is_ok_and(|s| s.success())
}

/// Asks again and again until `ask` gives something or the time is over.
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ask() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`poll`]; running out of time is a failure that says what was waited for.
pub fn await_for<T>(what: &str, limit: Duration, ask: impl FnMut() -> Option<T>) -> T {
    poll(limit, ask).unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}

/// The last lines of a text, for the message of a failure.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Makes a folder once for all test binaries: `fill` gets a folder that nobody else sees, which takes its name when it is
/// whole. Binaries that come at the same time wait for the first.
pub fn cached(name: &str, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let folder = target().join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let say = |e: std::io::Error| format!("{}: {e}", folder.display());
    let lock = std::fs::File::create(target().join(format!("{name}.lock"))).map_err(say)?;
    lock.lock().map_err(say)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = target().join(format!("{name}.partial"));
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(say)?;
    }
    std::fs::create_dir_all(&partial).map_err(say)?;
    fill(&partial)?;
    std::fs::rename(&partial, &folder).map_err(say)?;
    Ok(folder)
}
