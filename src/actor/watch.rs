//! Heartbeats: when a stage took its work in hand, so that one that hangs is found.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Zero means idle, so time starts at one.
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// The heartbeat of one stage.
#[derive(Debug, Default)]
pub struct Watch {
    busy_since: AtomicU64,
}

/// While it lives, the stage has work in hand.
pub struct Busy<'a>(&'a Watch);

impl Watch {
    /// Work is taken in hand.
    pub fn busy(&self) -> Busy<'_> {
        self.busy_since.store(now_ms(), Ordering::Release);
        Busy(self)
    }

    /// How long the work in hand has taken; zero when there is none.
    #[must_use]
    pub fn in_hand(&self) -> Duration {
        match self.busy_since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => Duration::from_millis(now_ms().saturating_sub(since)),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy_since.store(0, Ordering::Release);
    }
}

/// The heartbeats of a generation.
#[derive(Clone, Debug, Default)]
pub struct Watches(Vec<(&'static str, Arc<Watch>)>);

impl Watches {
    /// Adds a stage.
    pub fn add(&mut self, stage: &'static str) -> Arc<Watch> {
        let watch = Arc::new(Watch::default());
        self.0.push((stage, watch.clone()));
        watch
    }

    /// The stage that has had the same work in hand for longer than `limit`, if there is one.
    #[must_use]
    pub fn stalled(&self, limit: Duration) -> Option<(&'static str, Duration)> {
        self.0.iter().map(|(stage, watch)| (*stage, watch.in_hand())).find(|(_, time)| *time > limit)
    }
}
