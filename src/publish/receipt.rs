//! The countdown of a batch: acknowledged to the ledger when nothing of it is on its way any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::alert::Token;
use crate::ledger::{Handled, Ledger, SinkId};

/// One per batch. A receipt that is dropped before its count is down acknowledges nothing.
#[derive(Debug)]
pub(super) struct Receipt {
    token: Token,
    sink: SinkId,
    ledger: Ledger,
    waiting: AtomicUsize,
    /// Whether there was anything to send.
    sent: AtomicBool,
}

impl Receipt {
    /// A receipt with a count of one, which stands for the call that hands the batch out.
    pub(super) fn new(token: Token, sink: SinkId, ledger: Ledger) -> Arc<Self> {
        Arc::new(Self { token, sink, ledger, waiting: AtomicUsize::new(1), sent: AtomicBool::new(false) })
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// `count` more things are on their way.
    pub(super) fn expect(&self, count: usize) {
        self.sent.store(true, Ordering::Release);
        self.waiting.fetch_add(count, Ordering::AcqRel);
    }

    /// `count` things have arrived, or are dead letters.
    pub(super) fn settle(&self, count: usize) {
        if self.waiting.fetch_sub(count, Ordering::AcqRel) == count {
            if self.sent.load(Ordering::Acquire) {
                self.ledger.arrived(self.sink, &self.token);
            }
            self.ledger.acknowledge(self.sink, &self.token, Handled::default());
        }
    }
}
