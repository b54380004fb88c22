//! What a stage is to the shell that runs it. Stages are plain structs: they know no runtime, no mailbox and no other stage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Decoded, Fault, RawBatch, TopicPartition};

/// What a source gives when it is asked.
#[derive(Debug)]
pub enum Polled {
    /// The next batch.
    Batch(RawBatch),
    /// Nothing for now: no message, or no byte budget left.
    Idle,
    /// A finite source has given all it had.
    End,
}

/// Reads messages and owns their offsets.
pub trait Source: Send {
    /// Gives the next batch, waiting for at most `patience`. Called again and again from one thread.
    ///
    /// # Errors
    /// A fault tears the generation down; what a source can retry by itself (a broker away) is not a fault.
    fn poll(&mut self, patience: Duration) -> Result<Polled, Fault>;

    /// Called instead of [`Source::poll`] while the stages below push back, so that a membership is kept. Returns at once.
    ///
    /// # Errors
    /// As [`Source::poll`].
    fn keep_alive(&mut self) -> Result<(), Fault>;

    /// Tells that everything below these offsets is durable in every sink. Committed in the background; `last` asks that
    /// it be done when this returns (before a stop or a rebuild).
    ///
    /// # Errors
    /// When the commit was refused for good; being late is not an error.
    fn commit(&mut self, watermarks: &[(TopicPartition, i64)], last: bool) -> Result<(), Fault>;
}

/// Makes one thing of another, keeping no state that an earlier message left behind: it may be rebuilt at any time and
/// called from several threads.
pub trait Transform: Send + Sync {
    /// What comes in.
    type In;

    /// The work. A panic here is caught by the shell.
    ///
    /// # Errors
    /// The shell rebuilds the stage and replays the batch alert by alert.
    fn apply(&self, batch: &Self::In) -> Result<Decoded, Fault>;
}

impl<T: Transform> Transform for Arc<T> {
    type In = T::In;

    fn apply(&self, batch: &T::In) -> Result<Decoded, Fault> {
        (**self).apply(batch)
    }
}

/// Makes alerts durable somewhere and acknowledges to the ledger.
pub trait Sink: Send {
    /// Takes a batch. It is acknowledged (now or later) when all of it is durable.
    ///
    /// # Errors
    /// The generation is torn down and rebuilt from the watermark.
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault>;

    /// Called every few milliseconds: files that are old enough are sealed, delivery reports are taken in.
    ///
    /// # Errors
    /// As [`Sink::accept`].
    fn tick(&mut self, now: Instant) -> Result<(), Fault>;

    /// Whether something is on its way that the next [`Sink::tick`] may learn of: it comes sooner then.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Makes everything that is held durable now and acknowledges it.
    ///
    /// # Errors
    /// As [`Sink::accept`].
    fn seal(&mut self) -> Result<(), Fault>;
}
