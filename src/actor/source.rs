//! The shell of a source: turn by turn it polls, offers what it got to the stage below, and commits what the ledger says.
//!
//! It never waits for a mailbox: what doesn't fit is kept in hand and the source is kept alive meanwhile, so that a minute of
//! back-pressure costs neither the membership of the group nor memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;

use super::transform::catch;
use super::{Alive, Edge, Event, Replay, Shell};
use crate::alert::{Fault, FaultKind, Polled, RawBatch, Source, Span, Token};

/// How long a poll may wait for messages. Longer than the rest after it, in which messages are not seen.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long the source rests after a poll without a message, or when the stage below is full.
const REST: Duration = Duration::from_millis(1);
/// How often watermarks are committed.
const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// What the source's actor is made of.
pub struct SourceParts {
    /// Name, supervisor, heartbeat.
    pub shell: Shell,
    /// The source.
    pub source: Box<dyn Source>,
    /// The stage below.
    pub edge: Edge<RawBatch>,
    /// Whether the timestamps of messages tell when they were sent, so that latency counts from then and not from reading.
    pub timed: bool,
    /// Whether the stream is held: then nothing is read until it is not any more.
    pub held: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Whether the source ends by itself; where it is held it has ended.
    pub finite: bool,
    /// Set by the supervisor: read no more.
    pub stop: Arc<AtomicBool>,
}

/// The actor.
pub struct SourceActor {
    parts: SourceParts,
    in_hand: VecDeque<RawBatch>,
    ended: bool,
    told: bool,
    failed: bool,
    committed: Instant,
    _alive: Alive,
}

struct Turn;

impl Message for Turn {
    type Result = ();
}

/// Asks for the last commit of a generation; answered by [`Event::Committed`].
pub(super) struct LastCommit;

impl Message for LastCommit {
    type Result = ();
}

impl SourceActor {
    /// Starts the actor in an arbiter.
    pub fn start_in(arbiter: &ArbiterHandle, parts: SourceParts) -> Addr<Self> {
        let alive = Alive::new(&parts.shell);
        Self::start_in_arbiter(arbiter, move |_| Self {
            parts,
            in_hand: VecDeque::new(),
            ended: false,
            told: false,
            failed: false,
            committed: Instant::now(),
            _alive: alive,
        })
    }

    fn turn(&mut self) -> Result<Duration, Fault> {
        while let Some(batch) = self.in_hand.pop_front() {
            match self.parts.edge.offer(batch) {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    self.in_hand.push_front(batch);
                    self.guarded(|parts| parts.source.keep_alive())?;
                    return Ok(REST);
                }
                Err(gone) => return Err(Fault::defect(gone.to_string())),
            }
        }
        if self.ended || self.parts.stop.load(Ordering::Acquire) {
            if !std::mem::replace(&mut self.told, true) {
                let _ = self.parts.shell.events.send(Event::Ended);
            }
            self.guarded(|parts| parts.source.keep_alive())?;
            return Ok(PATIENCE);
        }
        if (self.parts.held)() {
            self.ended = self.parts.finite;
            self.guarded(|parts| parts.source.keep_alive())?;
            return Ok(PATIENCE);
        }
        let polled = self.guarded(|parts| parts.source.poll(PATIENCE))?;
        match polled {
            Polled::Batch(batch) => {
                let suspected = self.parts.shell.suspects.suspected(&batch.token);
                let batches = if suspected { one_by_one(&batch) } else { vec![batch] };
                for batch in batches {
                    self.parts.shell.ledger.begin(&batch.token, batch.messages.len() as u64);
                    if self.parts.timed {
                        self.parts.shell.ledger.sent_before(&batch.token, ages(&batch, SystemTime::now()));
                    }
                    self.guarded(|parts| parts.shell.injector.strike(parts.shell.stage, batch.span()))?;
                    self.in_hand.push_back(batch);
                }
                Ok(Duration::ZERO)
            }
            Polled::Idle => Ok(REST),
            Polled::End => {
                self.ended = true;
                Ok(Duration::ZERO)
            }
        }
    }

    fn guarded<R>(&mut self, call: impl FnOnce(&mut SourceParts) -> Result<R, Fault>) -> Result<R, Fault> {
        let watch = self.parts.shell.watch.clone();
        let _busy = watch.busy();
        catch(|| call(&mut self.parts))
    }

    fn commit(&mut self, last: bool) -> Result<(), Fault> {
        // Also where no watermark has moved: a commit may have failed meanwhile.
        if !last && self.committed.elapsed() < COMMIT_EVERY {
            return Ok(());
        }
        self.committed = Instant::now();
        let watermarks = self.parts.shell.ledger.watermarks();
        for (origin, watermark) in &watermarks {
            self.parts.shell.suspects.forget_below(origin, *watermark);
        }
        self.guarded(|parts| parts.source.commit(&watermarks, last))
    }
}

/// How old each message is, milliseconds: one list a batch. Without a timestamp it is new, with one ahead of our clock below 0.
fn ages(batch: &RawBatch, now: SystemTime) -> Box<[f32]> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3;
    batch.messages.iter().map(|m| m.timestamp.map_or(0.0, |sent| (now - sent as f64) as f32)).collect()
}

/// A batch cut into batches of one message whose spans together are the span of the whole.
fn one_by_one(batch: &RawBatch) -> Vec<RawBatch> {
    let mut start = batch.token.span.start;
    let last = batch.messages.len().saturating_sub(1);
    batch
        .messages
        .iter()
        .enumerate()
        .map(|(i, message)| {
            let end = if i == last { batch.token.span.end } else { message.offset + 1 };
            let span = Span { start, end };
            start = end;
            RawBatch { token: Token { span, ..batch.token.clone() }, messages: vec![message.clone()], ..batch.clone() }
        })
        .collect()
}

impl Actor for SourceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Turn);
    }
}

impl Handler<Turn> for SourceActor {
    type Result = ();

    fn handle(&mut self, _: Turn, ctx: &mut Self::Context) {
        if self.failed {
            return;
        }
        match self.turn().and_then(|rest| self.commit(false).map(|()| rest)) {
            Ok(Duration::ZERO) => ctx.notify(Turn),
            Ok(rest) => {
                ctx.notify_later(Turn, rest);
            }
            Err(fault) => {
                self.failed = true;
                self.parts.shell.fail(fault);
            }
        }
    }
}

impl Handler<LastCommit> for SourceActor {
    type Result = ();

    fn handle(&mut self, _: LastCommit, _: &mut Self::Context) {
        match self.commit(true) {
            // A commit that was refused is made up for by the archive's own marks; the reader must know all the same.
            Err(fault) if fault.kind == FaultKind::Environment => tracing::warn!(cause = %fault, "last commit was not taken"),
            Err(fault) => tracing::error!(cause = %fault, "last commit failed"),
            Ok(()) => {}
        }
        let _ = self.parts.shell.events.send(Event::Committed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::alert::{Permit, RawMessage, TopicPartition};

    #[test]
    fn the_age_of_a_message_is_counted_from_its_timestamp() {
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
        let messages = [Some(1000), None, Some(2500)].map(|timestamp| RawMessage { timestamp, ..RawMessage::default() }).to_vec();
        let token = Token { origin, span: Span { start: 0, end: 3 }, generation: 1 };
        let batch = RawBatch { token, arena: Vec::<u8>::new().into(), messages, permit: Arc::new(Permit::unbounded()) };
        assert_eq!(*ages(&batch, UNIX_EPOCH + Duration::from_millis(2000)), [1000.0, 0.0, -500.0]);
    }

    #[test]
    fn a_suspected_batch_is_cut_without_a_gap() {
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
        let messages = [10, 11, 15].map(|offset| RawMessage { offset, ..RawMessage::default() }).to_vec();
        let token = Token { origin, span: Span { start: 8, end: 16 }, generation: 1 };
        let batch = RawBatch { token, arena: Vec::<u8>::new().into(), messages, permit: Arc::new(Permit::unbounded()) };
        let spans: Vec<_> = one_by_one(&batch).iter().map(|b| (b.token.span.start, b.token.span.end)).collect();
        assert_eq!(spans, [(8, 11), (11, 12), (12, 16)]);
    }
}
