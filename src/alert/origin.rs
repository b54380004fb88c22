//! Where a message came from, and the token that a batch carries so that the ledger knows it again.

use std::fmt;
use std::sync::Arc;

/// A partition of a topic. Sources that are not Kafka name themselves as a topic (see `source`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name; characters as Kafka allows them: `[a-zA-Z0-9._-]`.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Offsets from `start` (included) to `end` (excluded). Spans of one partition follow each other without a gap, also where
/// the broker left offsets out (transaction markers, compaction): a span begins where the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First offset covered.
    pub start: i64,
    /// First offset not covered.
    pub end: i64,
}

impl Span {
    /// Whether `offset` lies in the span.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        (self.start..self.end).contains(&offset)
    }

    /// Whether the two spans share an offset.
    #[must_use]
    pub fn overlaps(&self, other: &Span) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// What a batch is known by from the source to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The partition all messages of the batch came from.
    pub origin: Arc<TopicPartition>,
    /// The offsets that are settled when the batch is.
    pub span: Span,
    /// The generation of the pipeline that read it; acknowledgements of an older one are ignored.
    pub generation: u64,
}
