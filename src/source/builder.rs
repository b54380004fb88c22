//! Collects the messages of one partition into a batch and cuts it.
//!
//! May depend on: `alert`, `config`. Reads the clock (linger is real time), does no I/O.
//!
//! **Invariant:** a batch's span starts where the one before it ended and ends one past its last message.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::alert::{Arenas, Budget, RawBatch, RawMessage, Span, Token, TopicPartition};
use crate::config::BatchLimits;

/// How long to sleep between two looks at a budget that is used up: it has no way to wake anyone.
pub(super) const BUDGET_PAUSE: Duration = Duration::from_millis(1);

/// The batch of one partition that is being filled.
#[derive(Debug)]
pub(super) struct Builder {
    origin: Arc<TopicPartition>,
    generation: u64,
    limits: BatchLimits,
    arenas: Arenas,
    /// Where the next span starts; unknown before the first message where no position was committed.
    start: Option<i64>,
    end: i64,
    arena: Vec<u8>,
    messages: Vec<RawMessage>,
    payload: usize,
    first: Option<Instant>,
    /// Whether the batch is to be cut as it is.
    hurried: bool,
    /// Running maximum of the arena's length, so that a batch is allocated once. It sinks by an eighth per batch: after a
    /// flood, the small batches of a trickle must not be charged to the budget as large ones.
    expected: usize,
}

impl Builder {
    /// A builder whose first span starts at `start`, or at the first message where that is unknown.
    pub(super) fn new(
        origin: Arc<TopicPartition>,
        generation: u64,
        limits: BatchLimits,
        start: Option<i64>,
        arenas: Arenas,
    ) -> Self {
        Self {
            origin,
            generation,
            limits,
            arenas,
            start,
            end: start.unwrap_or(0),
            arena: Vec::new(),
            messages: Vec::new(),
            payload: 0,
            first: None,
            hurried: false,
            expected: 0,
        }
    }

    /// The partition.
    pub(super) fn origin(&self) -> &Arc<TopicPartition> {
        &self.origin
    }

    /// Moves the start of the next span, where the log itself has jumped. Only while the builder is empty.
    pub(super) fn restart(&mut self, start: i64) {
        debug_assert!(self.is_empty(), "a span that has messages keeps its start");
        self.start = Some(start);
    }

    /// Where keys and payloads are appended before [`Builder::push`].
    pub(super) fn arena(&mut self) -> &mut Vec<u8> {
        if self.messages.is_empty() && self.arena.capacity() == 0 {
            self.arena = self.arenas.take(self.expected);
        }
        &mut self.arena
    }

    /// Takes a message whose key and payload have been appended to the arena.
    pub(super) fn push(&mut self, message: RawMessage) {
        self.start.get_or_insert(message.offset);
        self.end = message.offset + 1;
        self.payload += message.payload.as_ref().map_or(0, |p| (p.end - p.start) as usize);
        self.first.get_or_insert_with(Instant::now);
        self.messages.push(message);
    }

    /// Whether there is no message.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether the number or the bytes have reached their limit.
    pub(super) fn is_full(&self) -> bool {
        // The ranges of a message are 32 bits wide: below 2 GiB there is room for one more message of any size Kafka knows.
        self.messages.len() >= self.limits.alerts.max(1) || self.payload >= self.limits.bytes.min(2 << 30)
    }

    /// The stages below have nothing to do: what is there waits for no more.
    pub(super) fn hurry(&mut self) {
        self.hurried = !self.is_empty();
    }

    /// When the batch has to be cut, full or not.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let linger = if self.hurried { Duration::ZERO } else { self.limits.linger };
        self.first.map(|first| first + linger)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The offset after the last message, or where reading will begin; `None` while that is unknown.
    pub(super) fn position(&self) -> Option<i64> {
        if self.is_empty() { self.start } else { Some(self.end) }
    }

    /// The batch, when there is one and the budget has room for its arena. Without room the messages stay where they are.
    pub(super) fn cut(&mut self, budget: &Budget) -> Option<RawBatch> {
        let start = self.start.filter(|_| !self.is_empty())?;
        let permit = budget.try_take(self.arena.capacity() as u64)?;
        self.expected = self.arena.len().max(self.expected - self.expected / 8);
        let expected_messages = self.messages.len();
        self.start = Some(self.end);
        self.payload = 0;
        self.first = None;
        self.hurried = false;
        Some(RawBatch {
            token: Token { origin: self.origin.clone(), span: Span { start, end: self.end }, generation: self.generation },
            arena: self.arenas.lend(std::mem::take(&mut self.arena)),
            messages: std::mem::replace(&mut self.messages, Vec::with_capacity(expected_messages)),
            permit: Arc::new(permit),
        })
    }

    /// As [`Builder::cut`], asking the budget again and again until `deadline`.
    pub(super) fn cut_until(&mut self, budget: &Budget, deadline: Instant) -> Option<RawBatch> {
        loop {
            let batch = self.cut(budget);
            let left = deadline.saturating_duration_since(Instant::now());
            if batch.is_some() || left.is_zero() {
                return batch;
            }
            thread::sleep(left.min(BUDGET_PAUSE));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn builder(limits: BatchLimits, start: Option<i64>) -> Builder {
        Builder::new(Arc::new(TopicPartition { topic: "t".into(), partition: 3 }), 7, limits, start, Arenas::keeping(1 << 20))
    }

    fn put(builder: &mut Builder, offset: i64, payload: &[u8]) {
        let arena = builder.arena();
        let from = u32::try_from(arena.len()).unwrap();
        arena.extend_from_slice(payload);
        let to = u32::try_from(arena.len()).unwrap();
        builder.push(RawMessage { offset, payload: Some(from..to), ..RawMessage::default() });
    }

    fn limits(alerts: usize, bytes: usize) -> BatchLimits {
        BatchLimits { alerts, bytes, linger: Duration::from_secs(3600) }
    }

    #[test]
    fn spans_follow_each_other_over_the_offsets_that_the_broker_left_out() {
        let budget = Budget::new(1 << 20);
        let mut builder = builder(limits(2, 1 << 20), Some(10));
        for offset in [12, 13] {
            put(&mut builder, offset, b"abc");
        }
        assert!(builder.is_full());
        let first = builder.cut(&budget).unwrap();
        assert_eq!(first.token.span, Span { start: 10, end: 14 });
        assert_eq!(first.token.generation, 7);
        assert_eq!(first.payload(&first.messages[1]), Some(b"abc".as_slice()));
        put(&mut builder, 20, b"x");
        assert_eq!(builder.cut(&budget).unwrap().token.span, Span { start: 14, end: 21 });
        assert_eq!(builder.position(), Some(21));
    }

    #[test]
    fn without_a_committed_position_the_first_message_is_the_start() {
        let mut builder = builder(limits(9, 9), None);
        assert_eq!(builder.position(), None);
        put(&mut builder, 5, b"x");
        assert_eq!(builder.cut(&Budget::new(100)).unwrap().token.span, Span { start: 5, end: 6 });
    }

    #[test]
    fn bytes_cut_a_batch_as_well() {
        let mut builder = builder(limits(100, 10), Some(0));
        put(&mut builder, 0, b"12345");
        assert!(!builder.is_full());
        put(&mut builder, 1, b"67890");
        assert!(builder.is_full());
    }

    #[test]
    fn a_hurried_batch_is_due_at_once_and_the_next_one_waits_again() {
        let mut builder = builder(limits(100, 1000), Some(0));
        builder.hurry();
        put(&mut builder, 0, b"x");
        let soon = Instant::now() + Duration::from_secs(60);
        assert!(builder.deadline().unwrap() > soon, "there was nothing to hurry");
        builder.hurry();
        assert!(builder.deadline().unwrap() < soon);
        builder.cut(&Budget::new(1000)).unwrap();
        put(&mut builder, 1, b"x");
        assert!(builder.deadline().unwrap() > soon);
    }

    #[test]
    fn a_batch_waits_for_the_budget_and_loses_nothing() {
        let budget = Budget::new(64);
        let other = budget.try_take(60).unwrap();
        let mut builder = builder(limits(100, 1000), Some(0));
        put(&mut builder, 0, &[1; 40]);
        assert!(builder.cut(&budget).is_none());
        assert!(builder.cut_until(&budget, Instant::now() + Duration::from_millis(3)).is_none());
        drop(other);
        let batch = builder.cut(&budget).unwrap();
        assert_eq!(batch.messages.len(), 1);
        assert!(budget.used() >= 40);
        drop(batch);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_arena_has_room_for_a_batch_like_the_one_before() {
        let budget = Budget::new(1 << 30);
        let mut builder = builder(limits(10, 1 << 20), Some(0));
        for round in 0..3 {
            for i in 0..10 {
                put(&mut builder, round * 10 + i, &[0; 1000]);
                if round > 0 {
                    assert!(builder.arena.capacity() >= 10_000);
                }
            }
            assert!(builder.cut(&budget).is_some());
        }
    }
}
