//! A folder of one test and the processes that run in it. Both are gone when the test is, however it ends.
//!
//! A small shell, the janitor, reads from a pipe that only the test binary holds. When the pipe closes (the folder is
//! dropped, the binary panics, is killed, or simply ends with the folder in a static) the janitor kills whatever has a
//! file in `.pids` and removes the folder. `SKYSLUICE_KEEP=1` keeps folders to look into.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use std::os::unix::process::CommandExt;

use super::{poll, tail};

const JANITOR: &str = r#"
cat >/dev/null
for file in "$1"/.pids/*; do
    [ -f "$file" ] || continue
    kill -KILL "$(cat "$file")" 2>/dev/null
    tries=0
    while kill -0 "$(cat "$file")" 2>/dev/null && [ $tries -lt 20 ]; do sleep 0.1; tries=$((tries + 1)); done
done
[ -n "$SKYSLUICE_KEEP" ] || rm -rf -- "$1"
"#;

/// A folder of one test.
pub struct Scratch {
    path: PathBuf,
    janitor: Child,
}

impl Scratch {
    /// A new folder under the target folder; `name` helps to recognise it.
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        // A folder of this name can only be left over from a process that had our number before.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join(".pids")).unwrap();
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { path, janitor }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// A new folder in the folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Starts a program; what it writes goes to the end of `NAME.log` in the folder.
    pub fn spawn(&self, name: &str, program: &Path, prepare: impl FnOnce(&mut Command)) -> Process {
        let pid_file = self.path.join(".pids").join(name);
        let log = self.path.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        // The shell writes down its number and becomes the program: there is no moment at which the janitor misses it.
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0"; exec "$@""#]).arg(&pid_file).arg(program);
        prepare(&mut command);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).process_group(0);
        let child = command.spawn().unwrap();
        Process { child, pid_file, log, name: name.to_owned(), status: None }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

/// A process of a test; killed when dropped.
pub struct Process {
    child: Child,
    pid_file: PathBuf,
    log: PathBuf,
    name: String,
    status: Option<ExitStatus>,
}

impl Process {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM` or `STOP`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.id().to_string()]).status().unwrap();
        assert!(status.success(), "could not send {signal} to {}", self.name);
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
            if self.status.is_some() {
                let _ = fs::remove_file(&self.pid_file);
            }
        }
        self.status
    }

    /// Waits for its end; running out of time is a failure with the end of its log.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        match poll(limit, || self.exited()) {
            Some(status) => status,
            None => panic!("{} still runs after {limit:?}; its log ends:\n{}", self.name, tail(&self.log(), 40)),
        }
    }

    /// SIGKILL; gone when this returns.
    pub fn kill_9(&mut self) {
        if self.exited().is_none() {
            let _ = self.child.kill();
            self.status = Some(self.child.wait().unwrap());
            let _ = fs::remove_file(&self.pid_file);
        }
    }

    /// All that it has written (and those before it under the same name).
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Largest resident memory so far, bytes (`VmHWM`).
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
    }
}
