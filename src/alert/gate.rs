//! Schemas that a stream names by id: who knows them, and whether a message may go on before its schema is at hand.
//!
//! The source asks, because it alone can hold a partition back without losing its place; decoding looks the schema up. Both
//! are given the same thing and know nothing of where schemas come from.

use std::fmt::Debug;
use std::sync::Arc;

use super::TopicPartition;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may go on, and so may every later one with the same schema id.
    Always,
    /// It may go on; the next one with the same schema id is to be asked about again.
    Once,
    /// It has to wait. Whoever holds it asks again.
    Hold,
}

/// Decides for each schema id whether a message with it may be handed out.
pub trait Gate: Send + Sync + Debug {
    /// Whether the message of this partition with this schema id may be handed out now. Never waits.
    fn admit(&self, origin: &Arc<TopicPartition>, id: u32) -> Admission;

    /// The partition is no longer read: nothing waits there any more.
    fn leave(&self, origin: &TopicPartition);
}

/// Gives schemas by their id.
pub trait SchemasById: Send + Sync + Debug {
    /// The JSON text of a schema that was admitted; a text that was given once never changes.
    ///
    /// # Errors
    /// Why there is none, in words for an operator.
    fn schema(&self, id: u32) -> Result<Arc<str>, String>;
}

/// The gate as the reader of one partition has it: asks only where the schema id has changed.
#[derive(Debug)]
pub struct Turnstile {
    gate: Option<Arc<dyn Gate>>,
    origin: Arc<TopicPartition>,
    /// Frame of the last message that may always go on.
    last: Option<[u8; 5]>,
}

impl Turnstile {
    /// For a partition; without a gate everything goes on.
    #[must_use]
    pub fn new(gate: Option<Arc<dyn Gate>>, origin: Arc<TopicPartition>) -> Self {
        Self { gate, origin, last: None }
    }

    /// Whether a message with this payload may be handed out. What begins with no Confluent frame (0x00 and a big-endian id
    /// of four bytes) goes on: decoding says what is wrong with it.
    pub fn admits(&mut self, payload: Option<&[u8]>) -> bool {
        let Some(gate) = &self.gate else { return true };
        let Some(frame) = payload.and_then(<[u8]>::first_chunk::<5>) else { return true };
        let [0, id @ ..] = *frame else { return true };
        if self.last == Some(*frame) {
            return true;
        }
        match gate.admit(&self.origin, u32::from_be_bytes(id)) {
            Admission::Always => {
                self.last = Some(*frame);
                true
            }
            Admission::Once => true,
            Admission::Hold => false,
        }
    }
}

impl Drop for Turnstile {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.leave(&self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;

    /// Odd ids may always go on, 4 once, others have to wait. Notes what it was asked.
    #[derive(Debug, Default)]
    struct Odd(Mutex<Vec<u32>>);

    impl Gate for Odd {
        fn admit(&self, _: &Arc<TopicPartition>, id: u32) -> Admission {
            self.0.lock().unwrap().push(id);
            match id {
                4 => Admission::Once,
                odd if odd % 2 == 1 => Admission::Always,
                _ => Admission::Hold,
            }
        }

        fn leave(&self, _: &TopicPartition) {
            self.0.lock().unwrap().push(0);
        }
    }

    #[test]
    fn the_gate_is_asked_when_the_id_changes_and_as_long_as_it_does_not_say_always() {
        let gate = Arc::new(Odd::default());
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
        let mut turnstile = Turnstile::new(Some(gate.clone()), origin.clone());
        let frame = |id: u32| [&[0][..], &id.to_be_bytes(), b"datum"].concat();
        let mut pass = |payload: &[u8]| turnstile.admits(Some(payload));
        assert!(pass(&frame(901)) && pass(&frame(901)) && !pass(&frame(2)) && !pass(&frame(2)));
        assert!(pass(&frame(4)) && pass(&frame(4)) && pass(&frame(901)));
        assert!(pass(b"Obj\x01 and more") && pass(b"\x00\x00") && pass(b""));
        assert!(turnstile.admits(None));
        drop(turnstile);
        assert_eq!(*gate.0.lock().unwrap(), [901, 2, 2, 4, 4, 0]);
        assert!(Turnstile::new(None, origin).admits(Some(&frame(2))));
    }
}
