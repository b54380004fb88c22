//! What actors tell their supervisor, and what every shell holds for it.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::{Injector, Suspects, Watch};
use crate::alert::Fault;
use crate::ledger::Ledger;

/// Something that the supervisor must know.
#[derive(Debug)]
pub enum Event {
    /// A stage can't go on; the generation must be rebuilt.
    Failed {
        /// The stage.
        stage: &'static str,
        /// Why.
        fault: Fault,
    },
    /// The actor of a stage has been dropped.
    Gone {
        /// The stage.
        stage: &'static str,
    },
    /// A finite source has given all it had, or a source that was told to stop has nothing in hand any more.
    Ended,
    /// The source has made its last commit.
    Committed,
    /// A stage was rebuilt in place after a failure, and the batch in hand replayed.
    Rebuilt {
        /// The stage.
        stage: &'static str,
        /// Alerts that failed again alone and became dead letters.
        dead: usize,
        /// How long that took.
        took: Duration,
    },
}

/// What every shell holds.
#[derive(Clone)]
pub struct Shell {
    /// Name of the stage.
    pub stage: &'static str,
    /// The way to the supervisor; unbounded, because it carries a handful of events in a generation's life.
    pub events: Sender<Event>,
    /// Heartbeat of the stage.
    pub watch: Arc<Watch>,
    /// Faults to inject, for tests.
    pub injector: Arc<Injector>,
    /// Batches that a stage failed on.
    pub suspects: Suspects,
    /// The ledger.
    pub ledger: Ledger,
}

impl Shell {
    /// Tells the supervisor that the stage can't go on.
    pub fn fail(&self, fault: Fault) {
        // A supervisor that is gone has already given the generation up.
        let _ = self.events.send(Event::Failed { stage: self.stage, fault });
    }
}

/// Held by an actor; tells the supervisor when the actor is dropped, whatever the reason.
pub struct Alive {
    stage: &'static str,
    events: Sender<Event>,
}

impl Alive {
    /// A guard for the actor of this shell.
    #[must_use]
    pub fn new(shell: &Shell) -> Self {
        Self { stage: shell.stage, events: shell.events.clone() }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Gone { stage: self.stage });
    }
}
