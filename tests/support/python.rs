//! Independent readers in Python: a virtual environment with pinned packages, made once.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scratch::{Process, Scratch};
use super::{cached, root, skip, tail};

/// A Python with everything in `tests/python/requirements.txt`.
#[derive(Clone, Debug)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    /// Makes the environment where it is not there yet; `None` (said, or a failure where required) without Python.
    pub fn ready() -> Option<Python> {
        match environment() {
            Ok(folder) => Some(Python { program: folder.join("bin/python") }),
            Err(reason) => skip("python", &reason),
        }
    }

    /// Runs a script of `tests/python` and gives the JSON that it prints. What it finds wrong is a failure.
    pub fn run<S: AsRef<OsStr>>(&self, script: &str, arguments: impl IntoIterator<Item = S>) -> Value {
        let output = Command::new(&self.program)
            .arg(root().join("tests/python").join(script))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script} is not content:\n{}\n{}", tail(&said, 20), tail(&wrong, 40));
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("{script} did not print JSON ({e}):\n{}", tail(&said, 20)))
    }

    /// Starts a script of `tests/python` that goes on until it is dropped.
    pub fn spawn<S: AsRef<OsStr>>(&self, scratch: &Scratch, script: &str, arguments: impl IntoIterator<Item = S>) -> Process {
        scratch.spawn(script, &self.program, |command| {
            command.arg(root().join("tests/python").join(script)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        })
    }
}

fn environment() -> Result<PathBuf, String> {
    let requirements = root().join("tests/python/requirements.txt");
    let pinned = std::fs::read(&requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    cached(&format!("python-{:016x}", xxhash_rust::xxh3::xxh3_64(&pinned)), |partial| {
        run(Command::new("python3").args(["-m", "venv"]).arg(partial))?;
        // Spark is published as sources alone, which are jars and Python: nothing is compiled.
        let kinds = ["--only-binary=:all:", "--no-binary=pyspark"];
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        // By the name of the module: scripts in the environment know the folder that it is made in, which is renamed.
        run(Command::new(partial.join("bin/python")).args(install).args(kinds).arg("-r").arg(&requirements))
    })
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("no Python to check with: {e}"))?;
    let wrong = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("no Python to check with: {}", tail(&wrong, 10))) }
}
