//! One generation of a pipeline: its arbiters, its source and the events that they send. Built sink first, torn down whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;
use crossbeam_channel::{Receiver, Sender};

use super::source::LastCommit;
use super::{Event, Injector, Shell, SourceActor, Suspects, Watches};
use crate::alert::Fault;
use crate::ledger::Ledger;

/// A generation while it is put together and while it runs.
pub struct Generation {
    /// Number, from 1.
    pub number: u64,
    ledger: Ledger,
    suspects: Suspects,
    injector: Arc<Injector>,
    events: (Sender<Event>, Receiver<Event>),
    watches: Watches,
    arbiters: Vec<Arbiter>,
    alive: HashMap<&'static str, usize>,
    stop: Arc<AtomicBool>,
    source: Option<Addr<SourceActor>>,
    opening: Opening,
}

/// What is being opened while a generation is built, to be told where that takes long.
#[derive(Clone, Debug)]
pub(super) struct Opening(Arc<Mutex<&'static str>>);

impl Opening {
    pub(super) fn now(&self) -> &'static str {
        // A poisoned lock still guards a whole value.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stage that did not end when it was told to.
#[derive(Debug, thiserror::Error)]
#[error("stage {0} does not end")]
pub struct Stuck(pub &'static str);

impl Generation {
    pub(super) fn new(number: u64, ledger: Ledger, suspects: Suspects, injector: Arc<Injector>) -> Self {
        Self {
            number,
            ledger,
            suspects,
            injector,
            events: crossbeam_channel::unbounded(),
            watches: Watches::default(),
            arbiters: Vec::new(),
            alive: HashMap::new(),
            stop: Arc::default(),
            source: None,
            opening: Opening(Arc::new(Mutex::new("its first stage"))),
        }
    }

    /// Notes that what belongs to a stage is opened from here on: files, clients.
    pub fn opens(&self, stage: &'static str) {
        *self.opening.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    pub(super) fn opening(&self) -> Opening {
        self.opening.clone()
    }

    /// The shell and the arbiter (a thread of its own) for a stage. The stage must then be started in it.
    ///
    /// # Errors
    /// When the thread can't be had.
    pub fn place(&mut self, stage: &'static str) -> Result<(Shell, ArbiterHandle), Fault> {
        let arbiter = Arbiter::try_new()
            .map_err(|e| Fault::environment(format!("no thread for stage {stage}: {e}; see the limit on tasks")))?;
        let handle = arbiter.handle();
        self.arbiters.push(arbiter);
        let shell = Shell {
            stage,
            events: self.events.0.clone(),
            watch: self.watches.add(stage),
            injector: self.injector.clone(),
            suspects: self.suspects.clone(),
            ledger: self.ledger.clone(),
        };
        Ok((shell, handle))
    }

    /// Notes that an actor was started for this stage, so that tearing down waits for its end.
    pub fn started(&mut self, stage: &'static str) {
        *self.alive.entry(stage).or_default() += 1;
    }

    /// The flag that tells the source to read no more.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// The source, started last.
    pub fn set_source(&mut self, source: Addr<SourceActor>) {
        self.source = Some(source);
    }

    pub(super) fn stop_reading(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) fn next_event(&mut self, patience: Duration) -> Option<Event> {
        let event = self.events.1.recv_timeout(patience).ok()?;
        if let Event::Gone { stage } = &event
            && let Some(count) = self.alive.get_mut(stage)
        {
            *count -= 1;
        }
        Some(event)
    }

    pub(super) fn stalled(&self, limit: Duration) -> Option<(&'static str, Duration)> {
        self.watches.stalled(limit)
    }

    /// Lets the source commit what is durable, if it still can within `limit`.
    pub(super) fn commit(&mut self, limit: Duration) {
        let Some(source) = &self.source else { return };
        if source.try_send(LastCommit).is_err() {
            return;
        }
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match self.next_event(Duration::from_millis(20)) {
                Some(Event::Committed | Event::Gone { stage: "source" }) => return,
                _ if self.alive.get("source") == Some(&0) => return,
                _ => {}
            }
        }
        tracing::warn!("the source did not answer the last commit");
    }

    /// Ends all actors and waits for them.
    pub(super) fn tear_down(mut self, limit: Duration) -> Result<(), Stuck> {
        self.source = None;
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        let end = Instant::now() + limit;
        while let Some(stage) = self.alive.iter().find(|(_, n)| **n > 0).map(|(stage, _)| *stage) {
            if Instant::now() >= end {
                return Err(Stuck(stage));
            }
            self.next_event(Duration::from_millis(20));
        }
        for arbiter in self.arbiters.drain(..) {
            if arbiter.join().is_err() {
                tracing::warn!("an arbiter ended by a panic");
            }
        }
        Ok(())
    }
}
