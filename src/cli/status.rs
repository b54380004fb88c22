//! The line that is rewritten on the terminal while a run goes on.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::hold::Hold;
use crate::ledger::{Ledger, Totals};

/// Shows the line until it is dropped; shows nothing where the output is no terminal.
pub struct Status {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Status {
    /// Starts to show what the ledgers hold, and which streams are held.
    #[must_use]
    pub fn start(components: Vec<(Ledger, Hold)>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        if !io::stderr().is_terminal() {
            return Self { done, thread: None };
        }
        let ended = done.clone();
        let thread = std::thread::spawn(move || show(&components, &ended));
        Self { done, thread: Some(thread) }
    }
}

fn show(components: &[(Ledger, Hold)], ended: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    let (mut before, mut since) = (0, Instant::now());
    while !ended.load(Ordering::Acquire) {
        let sums: Vec<Totals> = components.iter().map(|(ledger, _)| ledger.totals()).collect();
        let sum = |f: fn(&Totals) -> u64| sums.iter().map(f).sum::<u64>();
        let alerts = sum(|t| t.alerts);
        let rate = (alerts - before) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        (before, since) = (alerts, Instant::now());
        let open: usize = components.iter().map(|(ledger, _)| ledger.open(None)).sum();
        let held: String = components.iter().filter_map(|(_, hold)| hold.told()).map(|told| format!("; {told}")).collect();
        bar.set_message(format!(
            "{alerts} alerts durable, {rate:.0}/s, {} dead-lettered, {open} batches open{held}",
            sum(|t| t.dead)
        ));
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
