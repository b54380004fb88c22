//! What this process has used: processor time and memory, as the kernel counts them.

use std::fs;

/// Ticks per second in /proc/self/stat: USER_HZ, which is 100 on every Linux architecture in use.
const USER_HZ: f64 = 100.0;

/// Processor seconds of the process, user and system, all threads; 0 where the kernel does not tell.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name, in parentheses, may hold spaces; utime and stime are the 12th and 13th fields after it.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks = |i: usize| rest.split_whitespace().nth(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / USER_HZ
}

/// Largest resident memory so far, bytes; 0 where the kernel does not tell.
#[must_use]
pub fn max_rss_bytes() -> u64 {
    status("VmHWM:")
}

/// Resident memory now, bytes; 0 where the kernel does not tell.
#[must_use]
pub fn rss_bytes() -> u64 {
    status("VmRSS:")
}

/// A size in /proc/self/status, bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_tells() {
        assert!(super::rss_bytes() > 1 << 20 && super::max_rss_bytes() >= super::rss_bytes());
        assert!(super::cpu_seconds() >= 0.0);
    }
}
