//! The ledger as the stages hold it: the book behind a lock, the wish that everything be sealed, and waiting for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Book, Handled, Percentiles, SinkId, Totals};
use crate::alert::{Span, Token, TopicPartition};

/// A shared handle. Clones are the same ledger.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    moved: Condvar,
    seal: AtomicBool,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        // The book's methods leave it whole at every point where they could panic, so a poisoned lock holds a good book.
        self.shared.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Book::start_generation`]; a wish to seal is taken back.
    pub fn start_generation(&self, generation: u64, sinks: &[SinkId]) {
        self.shared.seal.store(false, Ordering::Release);
        self.book().start_generation(generation, sinks);
        self.shared.moved.notify_all();
    }

    /// See [`Book::begin`]; it was read now.
    pub fn begin(&self, token: &Token, messages: u64) {
        self.book().begin(token, messages, Instant::now());
    }

    /// See [`Book::sent_before`].
    pub fn sent_before(&self, token: &Token, ages: Box<[f32]>) {
        self.book().sent_before(token, ages);
    }

    /// See [`Book::arrived`]; said before the batch is acknowledged.
    pub fn arrived(&self, sink: SinkId, token: &Token) {
        self.book().arrived(sink, token, Instant::now());
    }

    /// See [`Book::latency`].
    #[must_use]
    pub fn latency(&self, sink: SinkId) -> Option<Percentiles> {
        self.book().latency(sink)
    }

    /// See [`Book::decoded`].
    pub fn decoded(&self, token: &Token, alerts: u64) {
        self.book().decoded(token, alerts);
    }

    /// See [`Book::bury`].
    pub fn bury(&self, token: &Token, dead: u64) {
        self.book().bury(token, dead);
    }

    /// See [`Book::taken`].
    pub fn taken(&self, sink: SinkId, token: &Token) {
        self.book().taken(sink, token);
    }

    /// See [`Book::under_way`].
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.book().under_way()
    }

    /// See [`Book::acknowledge`].
    pub fn acknowledge(&self, sink: SinkId, token: &Token, handled: Handled) {
        if self.book().acknowledge(sink, token, handled) {
            self.shared.moved.notify_all();
        }
    }

    /// See [`Book::watermarks`].
    #[must_use]
    pub fn watermarks(&self) -> Vec<(TopicPartition, i64)> {
        self.book().watermarks()
    }

    /// See [`Book::watermark`].
    #[must_use]
    pub fn watermark(&self, origin: &TopicPartition) -> Option<i64> {
        self.book().watermark(origin)
    }

    /// See [`Book::reached`].
    #[must_use]
    pub fn reached(&self, sink: SinkId, origin: &TopicPartition) -> Option<i64> {
        self.book().reached(sink, origin)
    }

    /// See [`Book::open`].
    #[must_use]
    pub fn open(&self, origin: Option<&TopicPartition>) -> usize {
        self.book().open(origin)
    }

    /// See [`Book::expire`].
    pub fn expire(&self, origin: &TopicPartition, span: Span) -> u64 {
        self.book().expire(origin, span)
    }

    /// See [`Book::expired`].
    #[must_use]
    pub fn expired(&self) -> BTreeMap<TopicPartition, Vec<Span>> {
        self.book().expired()
    }

    /// See [`Book::partitions`].
    #[must_use]
    pub fn partitions(&self) -> BTreeMap<TopicPartition, Totals> {
        self.book().partitions()
    }

    /// See [`Book::totals`].
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.book().totals()
    }

    /// Asks the sinks to make durable at once whatever they hold, until the wish is taken back.
    pub fn ask_seal(&self, wanted: bool) {
        self.shared.seal.store(wanted, Ordering::Release);
    }

    /// Whether the sinks are asked to seal.
    #[must_use]
    pub fn seal_asked(&self) -> bool {
        self.shared.seal.load(Ordering::Acquire)
    }

    /// Waits until no batch (of the partition, or of all) is open. Returns whether that came true within `limit`.
    #[must_use]
    pub fn wait_settled(&self, origin: Option<&TopicPartition>, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut book = self.book();
        while book.open(origin) > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            book = self.shared.moved.wait_timeout(book, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
