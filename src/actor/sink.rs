//! The shell of a sink. A sink holds state of many batches, so it is never mended in place: its failure ends the generation.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::mail::start_bounded;
use super::transform::catch;
use super::{Alive, Mail, Replay, Shell};
use crate::alert::{Decoded, Fault, FaultKind, LetterBox, Sink};
use crate::ledger::{Handled, SinkId};

/// How often a sink looks at the clock, at delivery reports and at the wish to seal.
const TICK: Duration = Duration::from_millis(10);
/// The same while it waits for something: what it learns late is late for whoever waits for it.
const SOON: Duration = Duration::from_millis(1);

/// What a sink's actor is made of.
pub struct SinkParts {
    /// Name, supervisor, heartbeat.
    pub shell: Shell,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Its place in the ledger.
    pub id: SinkId,
    /// Whether its rows count in the sums (one sink of the pipeline does).
    pub accounts: bool,
    /// Where a message goes that it fails on again and again.
    pub letters: Arc<dyn LetterBox>,
    /// Bound of the mailbox.
    pub mailbox: usize,
}

/// The actor.
pub struct SinkActor {
    parts: SinkParts,
    failed: bool,
    /// Whether a tick is on its way before the regular one.
    soon: bool,
    _alive: Alive,
}

impl SinkActor {
    /// Starts the actor in an arbiter.
    pub fn start_in(arbiter: &ArbiterHandle, parts: SinkParts) -> Addr<Self> {
        let alive = Alive::new(&parts.shell);
        start_bounded(arbiter, parts.mailbox, move || Self { parts, failed: false, soon: false, _alive: alive })
    }

    fn guarded(&mut self, call: impl FnOnce(&mut SinkParts) -> Result<(), Fault>) -> Result<(), Fault> {
        let watch = self.parts.shell.watch.clone();
        let _busy = watch.busy();
        catch(|| call(&mut self.parts))
    }

    fn tick(&mut self) {
        if self.failed {
            return;
        }
        let seal = self.parts.shell.ledger.seal_asked();
        let result = self.guarded(|parts| {
            parts.sink.tick(Instant::now())?;
            if seal { parts.sink.seal() } else { Ok(()) }
        });
        if let Err(fault) = result {
            self.fail(fault);
        }
    }

    fn tick_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.soon && !self.failed && self.parts.sink.is_waiting() {
            self.soon = true;
            ctx.run_later(SOON, |actor, ctx| {
                actor.soon = false;
                actor.tick();
                actor.tick_soon(ctx);
            });
        }
    }

    fn fail(&mut self, fault: Fault) {
        // What comes after is read again by the next generation.
        self.failed = true;
        self.parts.shell.fail(fault);
    }

    fn take(&mut self, batch: &Decoded) -> Result<(), Fault> {
        let stage = self.parts.shell.stage;
        if let Some(reason) = self.parts.shell.suspects.poison(stage, &batch.token) {
            let rows = batch.rows() as u64;
            tracing::error!(stage, origin = %batch.token.origin, start = batch.token.span.start, reason, "message goes to the dead letters");
            let buried = batch.clone().bury(stage, &reason);
            self.parts.letters.put(&buried.letters[batch.letters.len()..])?;
            self.parts.shell.suspects.count_buried();
            let dead = if self.parts.accounts { rows } else { 0 };
            self.parts.shell.ledger.acknowledge(self.parts.id, &batch.token, Handled { dead, ..Handled::default() });
            return Ok(());
        }
        self.guarded(|parts| {
            parts.shell.injector.strike(stage, batch.span())?;
            parts.sink.accept(batch)?;
            parts.shell.ledger.taken(parts.id, &batch.token);
            Ok(())
        })
    }
}

/// Not by an interval of actix: one that has fallen behind makes up for what it has missed without a pause, and while ticks take
/// longer than they are apart the thread hears neither batches nor the end any more.
fn tick_later(ctx: &mut Context<SinkActor>) {
    ctx.run_later(TICK, |actor, ctx| {
        actor.tick();
        actor.tick_soon(ctx);
        tick_later(ctx);
    });
}

impl Actor for SinkActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        tick_later(ctx);
    }
}

impl Handler<Mail<Decoded>> for SinkActor {
    type Result = ();

    fn handle(&mut self, Mail(batch): Mail<Decoded>, ctx: &mut Self::Context) {
        if self.failed {
            return;
        }
        if let Err(fault) = self.take(&batch) {
            if fault.kind == FaultKind::Defect {
                let messages: HashSet<i64> = batch.parts.iter().flat_map(|p| p.rows.iter().map(|r| r.offset)).collect();
                self.parts.shell.suspects.accuse(self.parts.shell.stage, &batch.token, messages.len(), &fault.message);
            }
            self.fail(fault);
        }
        self.tick_soon(ctx);
    }
}
