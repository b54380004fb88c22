//! The line that is rewritten on the terminal while a run goes on.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ledger::{Ledger, Totals};
use crate::pipeline::ArchiveCounts;
use crate::registry::{Registry, Why};

/// Shows the line until it is dropped; shows nothing where the output is no terminal.
pub struct Status {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Status {
    /// Starts to show what the ledgers hold, how many alerts are in quarantine, and which partitions wait for a registry.
    #[must_use]
    pub fn start(ledgers: Vec<Ledger>, kept: Vec<Arc<ArchiveCounts>>, registries: Vec<Arc<Registry>>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        if !io::stderr().is_terminal() {
            return Self { done, thread: None };
        }
        let ended = done.clone();
        let thread = std::thread::spawn(move || show(&ledgers, &kept, &registries, &ended));
        Self { done, thread: Some(thread) }
    }
}

fn show(ledgers: &[Ledger], kept: &[Arc<ArchiveCounts>], registries: &[Arc<Registry>], ended: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    let (mut before, mut since) = (0, Instant::now());
    while !ended.load(Ordering::Acquire) {
        let sums: Vec<Totals> = ledgers.iter().map(Ledger::totals).collect();
        let sum = |f: fn(&Totals) -> u64| sums.iter().map(f).sum::<u64>();
        let alerts = sum(|t| t.alerts);
        let rate = (alerts - before) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        (before, since) = (alerts, Instant::now());
        let open: usize = ledgers.iter().map(|l| l.open(None)).sum();
        let quarantined = match kept.iter().map(|c| c.quarantined.load(Ordering::Relaxed)).sum::<u64>() {
            0 => String::new(),
            n => format!("{n} in quarantine, "),
        };
        let dead = sum(|t| t.dead);
        let mut line = format!("{alerts} alerts durable, {rate:.0}/s, {quarantined}{dead} dead-lettered, {open} batches open");
        for hold in registries.iter().flat_map(|r| r.holds()).filter(|hold| hold.why != Why::Asked) {
            line.push_str(&format!("; {hold}"));
        }
        bar.set_message(line);
        bar.tick();
        std::thread::park_timeout(Duration::from_millis(500));
    }
    bar.finish_and_clear();
}

impl Drop for Status {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The line is decoration: a panic in it must not hide the run's result.
            let _ = thread.join();
        }
    }
}
