//! Dead letters: what could not be handled, kept with its bytes and the reason.

use std::sync::Arc;

use arrow_buffer::Buffer;

use super::{Fault, Header, TopicPartition};

/// A message (or one record of a message) that a stage gave up on.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Partition the message came from.
    pub origin: Arc<TopicPartition>,
    /// Its offset.
    pub offset: i64,
    /// Index of the record inside the message where only that one is dead, else `None`.
    pub record: Option<u32>,
    /// Time of the message, milliseconds since 1970, UTC.
    pub timestamp: Option<i64>,
    /// Original key.
    pub key: Option<Vec<u8>>,
    /// Original headers.
    pub headers: Vec<Header>,
    /// Original payload, a view; `None` for a tombstone.
    pub payload: Option<Buffer>,
    /// The stage that gave up: `decode`, `process`, `archive`, `publish`.
    pub stage: &'static str,
    /// Why, in words for an operator.
    pub reason: String,
}

/// Where dead letters are put: a folder or a topic.
pub trait LetterBox: Send + Sync {
    /// Stores the letters; they are durable when this returns.
    ///
    /// # Errors
    /// When they could not be stored; the caller must not acknowledge.
    fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault>;
}
