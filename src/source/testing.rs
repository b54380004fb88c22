//! What the tests of all sources share.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::SourceContext;
use crate::alert::{Admission, Budget, Gate, Polled, RawBatch, Source, TopicPartition};
use crate::config::BatchLimits;
use crate::ledger::{Ledger, SinkId};

/// The only sink of the tests.
pub(super) const SINK: SinkId = SinkId(0);

/// A context of generation 1 with a budget of 1 GiB.
pub(super) fn context(state: &Path, limits: BatchLimits) -> SourceContext {
    let ledger = Ledger::default();
    ledger.start_generation(1, &[SINK]);
    SourceContext {
        component: "test".into(),
        limits,
        ledger,
        budget: Budget::new(1 << 30),
        generation: 1,
        state: state.to_path_buf(),
        queue_bytes: 64 << 20,
        gate: None,
    }
}

/// A gate that holds what is framed with the id 9 until it is opened.
#[derive(Debug, Default)]
pub(super) struct Nine {
    open: AtomicBool,
    /// Partitions that were held, and those that were left.
    pub(super) held: Mutex<Vec<i32>>,
    pub(super) left: Mutex<Vec<i32>>,
}

impl Nine {
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
    }
}

impl Gate for Nine {
    fn admit(&self, origin: &Arc<TopicPartition>, id: u32) -> Admission {
        if id != 9 || self.open.load(Ordering::Acquire) {
            return Admission::Always;
        }
        self.held.lock().unwrap().push(origin.partition);
        Admission::Hold
    }

    fn leave(&self, origin: &TopicPartition) {
        self.left.lock().unwrap().push(origin.partition);
    }
}

/// Polls until `enough` or the end; panics after 30 seconds.
pub(super) fn poll_until(source: &mut dyn Source, mut enough: impl FnMut(&[RawBatch]) -> bool) -> Vec<RawBatch> {
    let end = Instant::now() + Duration::from_secs(30);
    let mut batches = Vec::new();
    while !enough(&batches) {
        assert!(Instant::now() < end, "not enough within 30 s: {} batches", batches.len());
        match source.poll(Duration::from_millis(50)).unwrap() {
            Polled::Batch(batch) => batches.push(batch),
            Polled::Idle => {}
            Polled::End => break,
        }
    }
    batches
}

/// Everything that a finite source has.
pub(super) fn drain(source: &mut dyn Source) -> Vec<RawBatch> {
    poll_until(source, |_| false)
}

/// Messages in all batches.
pub(super) fn count(batches: &[RawBatch]) -> usize {
    batches.iter().map(|b| b.messages.len()).sum()
}

/// Checks that the spans of every partition follow each other from `start` and hold their messages in order.
pub(super) fn assert_contiguous(batches: &[RawBatch], start: i64) {
    let mut ends: HashMap<TopicPartition, i64> = HashMap::new();
    for batch in batches {
        let span = batch.token.span;
        let end = ends.entry((*batch.token.origin).clone()).or_insert(start);
        assert_eq!(span.start, *end, "{}", batch.token.origin);
        assert!(batch.messages.is_sorted_by(|a, b| a.offset < b.offset));
        assert!(batch.messages.iter().all(|m| span.contains(m.offset)));
        assert_eq!(batch.messages.last().unwrap().offset + 1, span.end);
        *end = span.end;
    }
}
