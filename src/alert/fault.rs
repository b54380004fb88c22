//! What goes wrong in a stage, sorted by who can mend it.

/// Who can mend a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The world outside: a broker away, a disk full. Retried with growing back-off for as long as it takes, never a strike.
    Environment,
    /// The alert in hand or our own code: the batch is replayed alert by alert, and what fails again alone is a dead letter.
    Defect,
    /// What the configuration says to end at: trying again would meet it again. The component ends at once.
    Halt,
}

/// A stage could not do its work.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Who can mend it.
    pub kind: FaultKind,
    /// What happened, with its context (path, topic, partition, offset) and what to do next.
    pub message: String,
}

impl Fault {
    /// A fault of the world outside.
    #[must_use]
    pub fn environment(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Environment, message: message.into() }
    }

    /// A fault at which the configuration says to end.
    #[must_use]
    pub fn halt(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Halt, message: message.into() }
    }

    /// A fault of the alert in hand or of our own code.
    #[must_use]
    pub fn defect(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Defect, message: message.into() }
    }
}
