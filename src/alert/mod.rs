//! What moves through the house: batches of messages and of alerts, where they came from, what was said of them.
//!
//! May depend on: arrow, `avro` (the schema an alert was written with), `config` (the survey profile). Nothing here reads a
//! clock or does I/O.
//!
//! **Invariant:** a message that entered as part of a [`RawBatch`] leaves decoding as at least one row of an [`AlertBatch`]
//! or as at least one [`DeadLetter`] of the same [`Decoded`].

mod arena;
mod batch;
mod budget;
mod candidate;
mod dead;
mod fault;
mod gate;
mod origin;
mod ranges;
mod raw;
mod stage;

pub use arena::Arenas;
pub use batch::{AlertBatch, Annotation, DatumRange, Decoded, Flags, RowOrigin, Verdict};
pub use budget::{Budget, Permit};
pub use candidate::Candidate;
pub use dead::{DeadLetter, LetterBox};
pub use fault::{Fault, FaultKind};
pub use gate::{Admission, Gate, SchemasById, Turnstile};
pub use origin::{Span, Token, TopicPartition};
pub use ranges::{NoRanges, Ranges};
pub use raw::{Header, RawBatch, RawMessage};
pub use stage::{Polled, Sink, Source, Transform};
