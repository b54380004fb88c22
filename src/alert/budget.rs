//! One byte budget from source to sinks: what is in flight is bounded whatever the rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Arenas;

/// Bytes that may be in flight at once. Clones share the same account.
#[derive(Clone, Debug)]
pub struct Budget {
    account: Arc<Account>,
    /// Memory for what the budget allows.
    pub arenas: Arenas,
}

#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub struct Permit {
    account: Option<Arc<Account>>,
    bytes: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { account: Arc::new(Account { limit, used: AtomicU64::new(0) }), arenas: Arenas::keeping(limit) }
    }

    /// Takes `bytes`, or nothing when they would not fit. A request larger than the whole budget is granted when nothing
    /// else is out, so that no message is too large to pass.
    #[must_use]
    pub fn try_take(&self, bytes: u64) -> Option<Permit> {
        self.account
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                (used == 0 || used + bytes <= self.account.limit).then_some(used + bytes)
            })
            .ok()
            .map(|_| Permit { account: Some(self.account.clone()), bytes })
    }

    /// Bytes in flight now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.account.used.load(Ordering::Acquire)
    }

    /// Whether nothing is in flight: whoever gathers more for the stages below only loses time.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.used() == 0
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.account.limit
    }
}

impl Permit {
    /// Bytes that it holds of the budget.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A permit that belongs to no budget, for tests and tools that hold one batch at a time.
    #[must_use]
    pub fn unbounded() -> Self {
        Self { account: None, bytes: 0 }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.used.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_budget_is_given_back_and_a_giant_passes_alone() {
        let budget = Budget::new(100);
        let a = budget.try_take(60).unwrap();
        assert!(budget.try_take(60).is_none());
        drop(a);
        assert_eq!(budget.used(), 0);
        let giant = budget.try_take(1000).unwrap();
        assert!(budget.try_take(1).is_none());
        drop(giant);
        assert!(budget.try_take(1).is_some());
    }
}
