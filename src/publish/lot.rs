//! A lot: what one output sends of one part of a batch, with all that is needed to make any of its messages again.

use std::io::Write;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::edition::{Edition, Frame};
use super::receipt::Receipt;
use crate::alert::{AlertBatch, DeadLetter, Decoded};
use crate::avro::BoundEncoder;

/// It holds the batch, so that a message that fails is made again or becomes a dead letter with its original bytes.
#[derive(Debug)]
pub(super) struct Lot {
    pub(super) batch: Arc<Decoded>,
    pub(super) part: usize,
    pub(super) receipt: Arc<Receipt>,
    /// Place of the output in the configuration.
    pub(super) output: usize,
    pub(super) topic: Arc<str>,
    pub(super) edition: Arc<Edition>,
    pub(super) frame: Frame,
    pub(super) annotations: Arc<BoundEncoder>,
}

/// Buffers that are used again for every message.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) payload: Vec<u8>,
    tail: Vec<u8>,
    number: Vec<u8>,
}

impl Scratch {
    /// A number as text.
    pub(super) fn text(&mut self, number: i64) -> &[u8] {
        self.number.clear();
        // A vector takes any write.
        let _ = write!(self.number, "{number}");
        &self.number
    }
}

impl Lot {
    pub(super) fn rows(&self) -> &AlertBatch {
        &self.batch.parts[self.part]
    }

    /// Makes the message of a row in `scratch.payload`.
    pub(super) fn message(&self, row: usize, scratch: &mut Scratch) {
        let rows = self.rows();
        let datum = rows.bytes(rows.rows[row].datum);
        self.edition.message(self.frame, datum, (&self.annotations, row), &mut scratch.tail, &mut scratch.payload);
    }

    /// Object id, else the key that the message came with.
    pub(super) fn key(&self, row: usize) -> Option<&[u8]> {
        let rows = self.rows();
        match rows.candidate.object_id.as_string_opt::<i32>() {
            Some(ids) if ids.is_valid(row) => Some(ids.value(row).as_bytes()),
            _ => rows.rows[row].key.map(|range| rows.bytes(range)),
        }
    }

    pub(super) fn letter(&self, row: usize, reason: String) -> DeadLetter {
        self.rows().letter(row, self.receipt.token(), "publish", reason)
    }
}
