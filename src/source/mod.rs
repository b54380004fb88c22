//! Where alerts come from: Kafka, a folder of packets, the simulator, dead letters that are processed again.
//!
//! May depend on: `alert`, `config`, `durable`, `ledger`, `letters` (what a letter is); rdkafka (here and in publish only), csv, glob, the simulator's library. Names no
//! other stage.
//!
//! **Invariant:** the spans of a partition's batches follow each other without a gap, from the position where reading began; those
//! of dead letters with gaps, each a batch of one message.
//! **Invariant:** a payload is copied once, out of the client library (or the file) into the arena of its batch.
//! **Invariant:** what is read and not handed out is bounded: nothing more is read while a batch waits for the byte budget.
//! **Invariant:** a message that the gate holds keeps its place: its partition waits with it, the others go on.
//!
//! Sources that are not Kafka name themselves as a topic: `COMPONENT.files` and `COMPONENT.simulated`.

mod builder;
mod files;
mod kafka;
mod letters;
mod manifest;
mod positions;
mod simulator;

use std::path::PathBuf;
use std::sync::Arc;

pub use kafka::{NewestError, newest};
pub use letters::{Extent, LetterTopic, TopicLetter, letter_of_headers};

use crate::alert::{Budget, Fault, Gate, Source};
use crate::config::{self, BatchLimits};
use crate::ledger::Ledger;

/// What a source needs to know besides its own configuration.
#[derive(Clone, Debug)]
pub struct SourceContext {
    /// Name of the component.
    pub component: String,
    /// When a batch is cut.
    pub limits: BatchLimits,
    /// What is durable: asked before partitions are given away.
    pub ledger: Ledger,
    /// Bytes that may be in flight; a batch takes its share when it is handed out.
    pub budget: Budget,
    /// The generation that the batches belong to.
    pub generation: u64,
    /// Folder of this component where sources without a broker keep their positions. Made when it is missing.
    pub state: PathBuf,
    /// Bytes that the client library's queues may hold together.
    pub queue_bytes: u64,
    /// Asked before a message is taken into a batch; without one every message is.
    pub gate: Option<Arc<dyn Gate>>,
}

/// Opens the source that the configuration asks for, at the position that was committed last.
///
/// # Errors
/// When the configuration can't be used (a property that the Kafka library refuses, a folder that is not there, positions that
/// belong to another configuration). A broker that can't be reached is not an error: the source keeps trying.
pub fn open(config: &config::Source, context: SourceContext) -> Result<Box<dyn Source>, Fault> {
    Ok(match config {
        config::Source::Kafka(kafka) => Box::new(kafka::Kafka::open(kafka, context)?),
        config::Source::Files(files) => Box::new(files::Files::open(files, context)?),
        config::Source::Letters(letters) => Box::new(letters::Letters::open(letters, context)),
        config::Source::Simulator(simulated) => Box::new(simulator::Simulated::open(simulated, context)?),
    })
}

#[cfg(test)]
mod testing;
