//! Messages as they came: one copy out of the client library into a shared arena, none after that.

use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::Buffer;

use super::{DeadLetter, Permit, Token};

/// A header of a message: name and value. A value may be absent.
pub type Header = (String, Option<Vec<u8>>);

/// One message of a [`RawBatch`].
#[derive(Clone, Debug, Default)]
pub struct RawMessage {
    /// Offset in the partition; ascending inside a batch.
    pub offset: i64,
    /// Time of the message as its source gives it (Kafka's timestamp, a file's modification time), milliseconds since 1970, UTC.
    pub timestamp: Option<i64>,
    /// Bytes of the arena that hold the key.
    pub key: Option<Range<u32>>,
    /// Bytes of the arena that hold the payload; `None` is a tombstone.
    pub payload: Option<Range<u32>>,
    /// Headers as they came. Empty for the surveys of today, and then it allocates nothing.
    pub headers: Vec<Header>,
    /// Indices of the only records of the message that are wanted, ascending; `None`, the usual, is all of them. The others were
    /// handled before.
    pub records: Option<Arc<[u32]>>,
}

impl RawMessage {
    /// Whether the record with this index is wanted.
    #[must_use]
    pub fn wants(&self, record: u32) -> bool {
        self.records.as_ref().is_none_or(|wanted| wanted.contains(&record))
    }
}

/// Messages of one partition, in order.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// What the ledger knows the batch by.
    pub token: Token,
    /// The bytes of all keys and payloads; at most 4 GiB.
    pub arena: Buffer,
    /// The messages, by ascending offset.
    pub messages: Vec<RawMessage>,
    /// Share of the byte budget, given back when the last clone is dropped.
    pub permit: Arc<Permit>,
}

impl RawBatch {
    /// Payload of a message, `None` for a tombstone.
    #[must_use]
    pub fn payload(&self, message: &RawMessage) -> Option<&[u8]> {
        message.payload.as_ref().map(|r| &self.arena[r.start as usize..r.end as usize])
    }

    /// Key of a message.
    #[must_use]
    pub fn key(&self, message: &RawMessage) -> Option<&[u8]> {
        message.key.as_ref().map(|r| &self.arena[r.start as usize..r.end as usize])
    }

    /// The batch cut into batches of one message, all with the token of the whole.
    #[must_use]
    pub fn singles(&self) -> Vec<RawBatch> {
        self.messages.iter().map(|m| RawBatch { messages: vec![m.clone()], ..self.clone() }).collect()
    }

    /// The dead letter of one of the messages, or one for each of its records where only some are wanted.
    #[must_use]
    pub fn letters(&self, message: &RawMessage, stage: &'static str, reason: &str) -> Vec<DeadLetter> {
        let letter = |record| DeadLetter {
            origin: self.token.origin.clone(),
            offset: message.offset,
            record,
            timestamp: message.timestamp,
            key: self.key(message).map(<[u8]>::to_vec),
            headers: message.headers.clone(),
            payload: message.payload.as_ref().map(|r| self.arena.slice_with_length(r.start as usize, (r.end - r.start) as usize)),
            stage,
            reason: reason.to_owned(),
        };
        match &message.records {
            None => vec![letter(None)],
            Some(wanted) => wanted.iter().map(|record| letter(Some(*record))).collect(),
        }
    }
}
