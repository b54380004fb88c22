//! What the figures were measured on, and the kernel's accounts of the measured program. Linux: everything is read from /proc.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Clock ticks per second in /proc: 100 on every architecture that Linux still has but Alpha.
const TICKS: f64 = 100.0;

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Processor.
    pub(crate) cpu: String,
    /// Memory, MiB.
    pub(crate) memory_mib: u64,
}

impl Machine {
    /// The machine this runs on.
    pub(crate) fn this() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: field(&cpu, "model name").unwrap_or("unknown").to_owned(),
            memory_mib: kibibytes(&memory, "MemTotal").unwrap_or(0) / 1024,
        }
    }
}

/// The value of a line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The value of a line `name: value kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix("kB")?.trim().parse().ok()
}

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The largest resident size so far.
    pub(crate) peak: u64,
    /// Resident now.
    pub(crate) resident: u64,
    /// Of it what no file holds: without mapped files, which the page cache has anyway.
    pub(crate) anonymous: u64,
}

/// Memory of a running process.
pub(crate) fn memory(process: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let size = |name| Some(kibibytes(&status, name)? * 1024);
    Some(Memory { peak: size("VmHWM")?, resident: size("VmRSS")?, anonymous: size("RssAnon")? })
}

/// Open descriptors of a running process.
pub(crate) fn descriptors(process: u32) -> Option<u64> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64)
}

/// CPU seconds of this thread: the time for which a core was its own.
pub(crate) fn thread_cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split_whitespace().next()?.parse::<u64>().ok()? as f64 / 1e9)
}

/// CPU seconds, user and system, of all children of this process that have ended and been waited for.
pub(crate) fn children_cpu() -> Option<f64> {
    cpu_of_children(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 16 and 17 of proc_pid_stat(5); the name in field 2 may hold anything, so counting begins after it.
fn cpu_of_children(stat: &str) -> Option<f64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(16 - 3);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) as f64 / TICKS)
}

/// Now, as `2026-11-09T03:00:00Z`.
pub(crate) fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    date(seconds)
}

/// A Unix time as text. Days to date: Hinnant, "chrono-compatible low-level date algorithms".
fn date(unix: u64) -> String {
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + days / 146_097 * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn accounts_are_read_whatever_the_name_of_the_process() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 100 200 0 0 7 8 150 50 20 0 1 0 100 1000 10";
        assert_eq!(cpu_of_children(stat), Some(2.0));
        assert!(children_cpu().is_some());
        let memory = super::memory(std::process::id()).unwrap();
        assert!(memory.peak >= memory.resident && memory.resident >= memory.anonymous && memory.anonymous > 1 << 18);
        assert_eq!(super::memory(u32::MAX), None);
        assert!(super::descriptors(std::process::id()).unwrap() > 2 && super::descriptors(u32::MAX).is_none());
        assert!(thread_cpu().unwrap() > 0.0);
    }

    #[test]
    fn dates_are_utc() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(1_794_193_200), "2026-11-09T03:00:00Z");
        assert_eq!(date(1_709_164_799), "2024-02-28T23:59:59Z");
        assert_eq!(date(1_709_164_800), "2024-02-29T00:00:00Z");
    }
}
