//! What was published, counted while it happens.
//!
//! May depend on: `config`. The counters are read from any thread while the sink runs in its own.

use crate::config::Publish;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputReport {
    /// Its topic.
    pub topic: String,
    /// Messages that the broker has confirmed, or records in sealed files.
    pub messages: u64,
    /// Bytes of these, before compression.
    pub bytes: u64,
    /// Messages that were too large for the client or the broker; each is a dead letter.
    pub too_large: u64,
    /// Messages that cannot be made or that the broker refuses for what they are; each is a dead letter.
    pub refused: u64,
    /// Rows not sent because the condition does not fit their schema.
    pub unfit: u64,
    /// Deliveries that failed and were tried again.
    pub errors: u64,
    /// Alerts that were read again and are not sent again: the cluster has them from before.
    pub before: u64,
}

/// What became of all outputs, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishReport {
    /// One per output.
    pub outputs: Vec<OutputReport>,
}

/// Reads the counters of a sink, also after the sink has moved into its thread. Clones read the same counters.
#[derive(Clone, Debug)]
pub struct ReportHandle {
    counters: Arc<[Counters]>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    topic: String,
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unfit: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) before: AtomicU64,
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl ReportHandle {
    /// Counters for these outputs, all zero.
    #[must_use]
    pub fn new(outputs: &[Publish]) -> Self {
        Self { counters: outputs.iter().map(|o| Counters { topic: o.topic.clone(), ..Counters::default() }).collect() }
    }

    pub(super) fn of(&self, output: usize) -> &Counters {
        &self.counters[output]
    }

    /// The counters now.
    #[must_use]
    pub fn report(&self) -> PublishReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let outputs = self.counters.iter().map(|c| OutputReport {
            topic: c.topic.clone(),
            messages: read(&c.messages),
            bytes: read(&c.bytes),
            too_large: read(&c.too_large),
            refused: read(&c.refused),
            unfit: read(&c.unfit),
            errors: read(&c.errors),
            before: read(&c.before),
        });
        PublishReport { outputs: outputs.collect() }
    }
}
