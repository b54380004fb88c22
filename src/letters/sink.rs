//! The sink that puts the dead letters of each batch away.
//!
//! Where they are put may refuse them: a full disk, a folder that may not be written, a topic that takes none. Their batches wait then,
//! with their share of the byte budget, and the other sinks go on as far as that reaches. The letters of a batch are put away as a
//! whole or not at all, so it can simply be tried again.
//! **Invariant:** a batch with letters is acknowledged after all that came before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::alert::{Decoded, Fault, FaultKind, LetterBox, Sink};
use crate::ledger::{Handled, Ledger, SinkId};

/// Between two tries of a place that refuses letters.
const LOOK: Duration = Duration::from_secs(1);

/// Puts the letters of each batch into a [`LetterBox`] and accounts for them. Where the pipeline has no archive it accounts
/// for the rows too, as skipped on purpose.
pub struct LetterSink {
    letters: Arc<dyn LetterBox>,
    ledger: Ledger,
    sink: SinkId,
    no_archive: bool,
    stored: Arc<AtomicU64>,
    waiting: VecDeque<Decoded>,
    refused: Option<Refused>,
}

/// A place that refuses letters.
struct Refused {
    since: Instant,
    tried: Instant,
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
        LetterSink { letters, ledger, sink, no_archive, stored: Arc::default(), waiting: VecDeque::new(), refused: None }
    }

    /// Letters put away so far; the number keeps counting after the sink has moved to its thread.
    #[must_use]
    pub fn stored(&self) -> Arc<AtomicU64> {
        self.stored.clone()
    }
}

impl LetterSink {
    fn put(&self, batch: &Decoded) -> Result<(), Fault> {
        if !batch.letters.is_empty() {
            self.letters.put(&batch.letters)?;
        }
        let dead = batch.letters.len() as u64;
        self.stored.fetch_add(dead, Ordering::Relaxed);
        let skipped = if self.no_archive { batch.rows() as u64 } else { 0 };
        self.ledger.acknowledge(self.sink, &batch.token, Handled { archived: 0, skipped, dead });
        Ok(())
    }

    /// Puts away what waits, in its order, as far as it can be.
    fn go_on(&mut self, now: Instant) -> Result<(), Fault> {
        while let Some(batch) = self.waiting.front() {
            match self.put(batch) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(fault) if fault.kind == FaultKind::Environment => {
                    let since = self.refused.as_ref().map(|refused| refused.since);
                    if since.is_none() {
                        tracing::error!(
                            %fault,
                            "dead letters can't be put away: they wait and are tried again each second; nothing is lost, the other sinks go \
                             on while there is memory"
                        );
                    }
                    self.refused = Some(Refused { since: since.unwrap_or(now), tried: now });
                    return Ok(());
                }
                Err(fault) => return Err(fault),
            }
        }
        if let Some(refused) = self.refused.take() {
            tracing::info!(waited_s = refused.since.elapsed().as_secs_f64(), "dead letters are put away again");
        }
        Ok(())
    }
}

impl Sink for LetterSink {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        if batch.letters.is_empty() {
            return self.put(batch);
        }
        self.waiting.push_back(batch.clone());
        if self.refused.is_some() { Ok(()) } else { self.go_on(Instant::now()) }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        match &self.refused {
            Some(refused) if now.saturating_duration_since(refused.tried) >= LOOK => self.go_on(now),
            _ => Ok(()),
        }
    }

    fn seal(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::alert::{DeadLetter, Permit, Span, Token, TopicPartition};

    #[derive(Default)]
    struct Box_ {
        put: Mutex<Vec<i64>>,
        full: AtomicBool,
    }

    impl LetterBox for Box_ {
        fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
            if self.full.load(Ordering::Relaxed) {
                return Err(Fault::environment("full"));
            }
            self.put.lock().unwrap().extend(letters.iter().map(|l| l.offset));
            Ok(())
        }
    }

    fn batch(number: i64, offsets: &[i64]) -> Decoded {
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
            token: Token { origin: origin.clone(), span: Span { start: 5 * number, end: 5 * number + 5 }, generation: 1 },
            parts: Vec::new(),
            letters: offsets.iter().map(letter).collect(),
            permit: Arc::new(Permit::unbounded()),
        }
    }

    fn ledger(batches: &[&Decoded]) -> Ledger {
        let ledger = Ledger::default();
        ledger.start_generation(1, &[SinkId(0)]);
        for batch in batches {
            ledger.begin(&batch.token, batch.alerts() as u64);
            ledger.decoded(&batch.token, batch.alerts() as u64);
        }
        ledger
    }

    #[test]
    fn letters_are_acknowledged_once_they_are_stored() {
        let batch = batch(0, &[3, 4]);
        let (letters, ledger) = (Arc::new(Box_::default()), ledger(&[&batch]));
        let mut sink = LetterSink::new(letters.clone(), ledger.clone(), SinkId(0), false);
        sink.accept(&batch).unwrap();
        assert_eq!(*letters.put.lock().unwrap(), [3, 4]);
        assert_eq!((ledger.totals().dead, ledger.totals().imbalance, ledger.open(None)), (2, 0, 0));
        assert_eq!(sink.stored().load(Ordering::Relaxed), 2);
    }

    #[test]
    fn letters_that_can_not_be_stored_wait_and_are_acknowledged_once_they_are() {
        let (first, without, last) = (batch(0, &[3]), batch(1, &[]), batch(2, &[11, 12]));
        let letters = Arc::new(Box_ { full: AtomicBool::new(true), ..Box_::default() });
        let ledger = ledger(&[&first, &without, &last]);
        let mut sink = LetterSink::new(letters.clone(), ledger.clone(), SinkId(0), false);
        for batch in [&first, &without, &last] {
            sink.accept(batch).unwrap();
        }
        sink.seal().unwrap();
        let late = Instant::now() + LOOK;
        sink.tick(late).unwrap();
        assert_eq!((ledger.open(None), sink.stored().load(Ordering::Relaxed)), (3, 0));
        let held = [&first, &without, &last].map(|batch| Arc::strong_count(&batch.permit) > 1);
        assert_eq!(held, [true, false, true], "those without letters need not wait");
        letters.full.store(false, Ordering::Relaxed);
        sink.tick(late).unwrap();
        assert_eq!(ledger.open(None), 3, "tried again only after a while");
        sink.tick(late + LOOK).unwrap();
        assert_eq!(*letters.put.lock().unwrap(), [3, 11, 12]);
        assert_eq!((ledger.totals().dead, ledger.totals().imbalance, ledger.open(None)), (3, 0, 0));
        sink.accept(&last).unwrap();
        assert_eq!(letters.put.lock().unwrap().len(), 5, "and at once from then on");
    }
}
