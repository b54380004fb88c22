//! The sink that puts the dead letters of each batch away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::alert::{Decoded, Fault, LetterBox, Sink};
use crate::ledger::{Handled, Ledger, SinkId};

/// Puts the letters of each batch into a [`LetterBox`] and accounts for them. Where the pipeline has no archive it accounts
/// for the rows too, as skipped on purpose.
pub struct LetterSink {
    letters: Arc<dyn LetterBox>,
    ledger: Ledger,
    sink: SinkId,
    no_archive: bool,
    stored: Arc<AtomicU64>,
}

impl std::fmt::Debug for LetterSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LetterSink").field("sink", &self.sink).field("stored", &self.stored).finish_non_exhaustive()
    }
}

impl LetterSink {
    /// A sink that acknowledges as `sink`. `no_archive` says that no other sink accounts for the rows.
    #[must_use]
    pub fn new(letters: Arc<dyn LetterBox>, ledger: Ledger, sink: SinkId, no_archive: bool) -> LetterSink {
        LetterSink { letters, ledger, sink, no_archive, stored: Arc::default() }
    }

    /// Letters put away so far; the number keeps counting after the sink has moved to its thread.
    #[must_use]
    pub fn stored(&self) -> Arc<AtomicU64> {
        self.stored.clone()
    }
}

impl Sink for LetterSink {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        if !batch.letters.is_empty() {
            self.letters.put(&batch.letters)?;
        }
        let dead = batch.letters.len() as u64;
        self.stored.fetch_add(dead, Ordering::Relaxed);
        let skipped = if self.no_archive { batch.rows() as u64 } else { 0 };
        self.ledger.acknowledge(self.sink, &batch.token, Handled { archived: 0, skipped, dead });
        Ok(())
    }

    fn tick(&mut self, _now: Instant) -> Result<(), Fault> {
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use super::*;
    use crate::alert::{DeadLetter, Permit, Span, Token, TopicPartition};

    #[derive(Default)]
    struct Box_ {
        put: Mutex<Vec<i64>>,
        full: bool,
    }

    impl LetterBox for Box_ {
        fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
            if self.full {
                return Err(Fault::environment("full"));
            }
            self.put.lock().unwrap().extend(letters.iter().map(|l| l.offset));
            Ok(())
        }
    }

    fn batch(offsets: &[i64]) -> Decoded {
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
        let letter = |&offset: &i64| DeadLetter {
            origin: origin.clone(),
            offset,
            record: None,
            timestamp: None,
            key: None,
            headers: Vec::new(),
            payload: None,
            stage: "decode",
            reason: "tombstone".into(),
        };
        Decoded {
            token: Token { origin: origin.clone(), span: Span { start: 0, end: 5 }, generation: 1 },
            parts: Vec::new(),
            letters: offsets.iter().map(letter).collect(),
            permit: Arc::new(Permit::unbounded()),
        }
    }

    fn ledger(batch: &Decoded) -> Ledger {
        let ledger = Ledger::default();
        ledger.start_generation(1, &[SinkId(0)]);
        ledger.begin(&batch.token, batch.alerts() as u64);
        ledger.decoded(&batch.token, batch.alerts() as u64);
        ledger
    }

    #[test]
    fn letters_are_acknowledged_once_they_are_stored() {
        let batch = batch(&[3, 4]);
        let (letters, ledger) = (Arc::new(Box_::default()), ledger(&batch));
        let mut sink = LetterSink::new(letters.clone(), ledger.clone(), SinkId(0), false);
        sink.accept(&batch).unwrap();
        assert_eq!(*letters.put.lock().unwrap(), [3, 4]);
        assert_eq!((ledger.totals().dead, ledger.totals().imbalance, ledger.open(None)), (2, 0, 0));
        assert_eq!(sink.stored().load(Ordering::Relaxed), 2);
    }

    #[test]
    fn letters_that_can_not_be_stored_are_not_acknowledged() {
        let batch = batch(&[3]);
        let ledger = ledger(&batch);
        let mut sink = LetterSink::new(Arc::new(Box_ { full: true, ..Box_::default() }), ledger.clone(), SinkId(0), false);
        sink.accept(&batch).unwrap_err();
        assert_eq!((ledger.open(None), sink.stored().load(Ordering::Relaxed)), (1, 0));
    }
}
