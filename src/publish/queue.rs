//! What waits to be sent to a cluster: lots in the order of the stream, and before them what has come back.
//!
//! **Invariant:** what the cluster has already, by its marks, is not sent again; what it has is not known before it has told, and
//! until then nothing is sent of that partition or of what comes after it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::lot::Lot;
use super::marks::Marks;
use super::report::{ReportHandle, count};
use crate::alert::{DeadLetter, Fault, Token};

/// A message on its way: a row of a lot, from which it can be made again.
#[derive(Debug)]
pub(super) struct Slip {
    pub(super) lot: Arc<Lot>,
    pub(super) row: u32,
    /// Place in the order of the stream.
    pub(super) number: u64,
    /// Refused once as part of a batch: sent alone now.
    pub(super) alone: bool,
}

/// A message that nobody will take, with its receipt still open.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) letter: DeadLetter,
    pub(super) lot: Arc<Lot>,
}

impl Refused {
    /// The letter is stored: the message counts as settled.
    pub(super) fn settle(self) {
        self.lot.receipt.settle(1);
    }
}

#[derive(Debug)]
struct Load {
    lot: Arc<Lot>,
    rows: Vec<u32>,
    next: usize,
}

/// The queue of a cluster.
pub(super) struct Queue {
    backlog: VecDeque<Load>,
    again: BTreeMap<u64, Box<Slip>>,
    number: u64,
    /// The batch of what was taken last.
    last: Option<Token>,
    /// What the cluster has already; `None` where nothing is kept of it.
    pub(super) marks: Option<Marks>,
    report: ReportHandle,
}

impl Queue {
    pub(super) fn new(marks: Option<Marks>, report: ReportHandle) -> Self {
        Self { backlog: VecDeque::new(), again: BTreeMap::new(), number: 0, last: None, marks, report }
    }

    /// Takes rows of a lot.
    pub(super) fn add(&mut self, lot: Arc<Lot>, rows: Vec<u32>) {
        lot.receipt.expect(rows.len());
        self.backlog.push_back(Load { lot, rows, next: 0 });
    }

    /// Takes back what was not delivered.
    pub(super) fn put_back(&mut self, slip: Box<Slip>) {
        self.again.insert(slip.number, slip);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.again.is_empty() && self.backlog.is_empty()
    }

    /// Whether what comes next is of another batch than what was taken last, and nothing of earlier ones is left.
    pub(super) fn is_between_batches(&self) -> bool {
        let begins = |load: &Load| load.next == 0 && self.last.as_ref().is_none_or(|last| last != load.lot.receipt.token());
        let done = |load: &Load| load.next >= load.rows.len();
        self.again.is_empty() && self.backlog.iter().find(|load| !done(load)).is_none_or(begins)
    }

    /// Whether what comes next is to be sent alone.
    pub(super) fn is_next_alone(&self) -> bool {
        self.again.first_key_value().is_some_and(|(_, slip)| slip.alone)
    }

    /// What is to be sent next; `None` when there is nothing, or nothing may be sent yet.
    ///
    /// # Errors
    /// When the cluster can never tell what it has.
    pub(super) fn next(&mut self) -> Result<Option<Box<Slip>>, Fault> {
        loop {
            let lot = match (self.again.first_key_value(), self.backlog.front()) {
                (Some((_, slip)), _) => &slip.lot,
                (None, Some(load)) => &load.lot,
                (None, None) => return Ok(None),
            };
            if let Some(marks) = &mut self.marks
                && !marks.know(&lot.receipt.token().origin)?
            {
                return Ok(None);
            }
            let Some(slip) = self.take() else { continue };
            let lot = &slip.lot;
            let origin = &lot.receipt.token().origin;
            let row = &lot.rows().rows[slip.row as usize];
            if self.marks.as_mut().is_some_and(|marks| marks.has(origin, lot.output, row)) {
                count(&self.report.of(lot.output).before, 1);
                lot.receipt.settle(1);
                continue;
            }
            return Ok(Some(slip));
        }
    }

    fn take(&mut self) -> Option<Box<Slip>> {
        if let Some((_, slip)) = self.again.pop_first() {
            return Some(slip);
        }
        let load = self.backlog.front_mut()?;
        let Some(row) = load.rows.get(load.next) else {
            self.backlog.pop_front();
            return None;
        };
        if load.next == 0 {
            self.last = Some(load.lot.receipt.token().clone());
        }
        load.next += 1;
        self.number += 1;
        Some(Box::new(Slip { lot: load.lot.clone(), row: *row, number: self.number, alone: false }))
    }
}
