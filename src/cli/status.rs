//! The line that is rewritten on the terminal while a run goes on.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::hold::Hold;
use crate::ledger::{Ledger, Totals};
use crate::pipeline::ArchiveCounts;
use crate::registry::{Registry, Why};

/// What is shown of a component.
pub struct Watched {
    /// Its sums.
    pub ledger: Ledger,
    /// Whether the breaker holds it.
    pub hold: Hold,
    /// What was archived.
    pub kept: Arc<ArchiveCounts>,
    /// The registry that its partitions may wait for.
    pub registry: Option<Arc<Registry>>,
}

/// Shows the line until it is dropped; shows nothing where the output is no terminal.
pub struct Status {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Status {
    /// Starts to show what the ledgers hold, how many alerts are in quarantine, and which streams and partitions are held.
    #[must_use]
    pub fn start(components: Vec<Watched>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        if !io::stderr().is_terminal() {
            return Self { done, thread: None };
        }
        let ended = done.clone();
        let thread = std::thread::spawn(move || show(&components, &ended));
        Self { done, thread: Some(thread) }
    }
}

fn show(components: &[Watched], ended: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    let (mut before, mut since) = (0, Instant::now());
    while !ended.load(Ordering::Acquire) {
        let sums: Vec<Totals> = components.iter().map(|c| c.ledger.totals()).collect();
        let sum = |f: fn(&Totals) -> u64| sums.iter().map(f).sum::<u64>();
        let alerts = sum(|t| t.alerts);
        let rate = (alerts - before) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        (before, since) = (alerts, Instant::now());
        let open: usize = components.iter().map(|c| c.ledger.open(None)).sum();
        let quarantined = match components.iter().map(|c| c.kept.quarantined.load(Ordering::Relaxed)).sum::<u64>() {
            0 => String::new(),
            n => format!("{n} in quarantine, "),
        };
        let dead = sum(|t| t.dead);
        let mut line = format!("{alerts} alerts durable, {rate:.0}/s, {quarantined}{dead} dead-lettered, {open} batches open");
        match sum(|t| t.expired) {
            0 => {}
            expired => line.push_str(&format!("; {expired} lost before they were read")),
        }
        for told in components.iter().filter_map(|c| c.hold.told()) {
            line.push_str(&format!("; {told}"));
        }
        let registries = components.iter().filter_map(|c| c.registry.as_ref());
        for hold in registries.flat_map(|r| r.holds()).filter(|hold| hold.why != Why::Asked) {
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
