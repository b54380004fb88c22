//! Dead letters as a stream: each message is a batch of its own, with the origin that it had.
//!
//! They were set aside and put into order before (see `letters::Plan`); positions are the ledger's, and who set them aside takes
//! away what is done. Reading letters out of a topic is in `topic`.

mod topic;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SourceContext;
use super::builder::Builder;
use crate::alert::{Fault, Polled, RawMessage, Source, TopicPartition};
use crate::config::{BatchLimits, LetterPlace, LettersSource};
use crate::letters::{StoredLetter, read_file};

pub use topic::{Extent, LetterTopic, TopicLetter, letter_of_headers};

/// Gives letters.
pub(super) struct Letters {
    messages: Arc<[LetterPlace]>,
    next: usize,
    /// The container that was read last: the next letter is mostly in it too.
    open: Option<(Arc<Path>, Vec<StoredLetter>)>,
    /// The letter that waits for the budget.
    ready: Option<Builder>,
    context: SourceContext,
}

impl Letters {
    /// Begins at the first message, or after those that an earlier generation has settled.
    pub(super) fn open(config: &LettersSource, context: SourceContext) -> Self {
        Self { messages: config.messages.clone(), next: 0, open: None, ready: None, context }
    }

    fn is_settled(&self, place: &LetterPlace) -> bool {
        let origin = TopicPartition { topic: place.topic.clone(), partition: place.partition };
        self.context.ledger.watermark(&origin).is_some_and(|watermark| watermark > place.offset)
    }

    /// The next letter as a batch that is not cut yet.
    fn load(&mut self, place: &LetterPlace) -> Result<Builder, Fault> {
        if self.open.as_ref().is_none_or(|(path, _)| *path != place.file) {
            self.open = Some((place.file.clone(), read_file(&place.file)?));
        }
        let letter = self.open.as_ref().and_then(|(_, letters)| letters.get(place.index));
        let letter = letter.filter(|l| *l.topic == *place.topic && l.partition == place.partition && l.offset == place.offset);
        let letter = letter.ok_or_else(|| {
            let (file, index) = (place.file.display(), place.index);
            Fault::environment(format!(
                "{file}: letter {index} is another than it was; leave the folder to one process at a time"
            ))
        })?;
        let origin = Arc::new(TopicPartition { topic: place.topic.clone(), partition: place.partition });
        let limits = BatchLimits { alerts: 1, ..self.context.limits };
        let (generation, arenas) = (self.context.generation, self.context.budget.arenas.clone());
        let mut builder = Builder::new(origin, generation, limits, Some(place.offset), arenas);
        let arena = builder.arena();
        let mut append = |bytes: &[u8]| {
            let start = arena.len();
            arena.extend_from_slice(bytes);
            let range = |i: usize| u32::try_from(i).expect("a message has at most 1 GB, wherever it came from");
            range(start)..range(arena.len())
        };
        let payload = letter.payload.as_deref().map(&mut append);
        let key = letter.key.as_deref().map(&mut append);
        builder.push(RawMessage {
            offset: place.offset,
            timestamp: letter.timestamp,
            key,
            payload,
            headers: letter.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
            records: place.records.clone(),
        });
        Ok(builder)
    }
}

impl Source for Letters {
    fn poll(&mut self, patience: Duration) -> Result<Polled, Fault> {
        let end = Instant::now() + patience;
        let mut builder = match self.ready.take() {
            Some(builder) => builder,
            None => {
                while self.messages.get(self.next).is_some_and(|place| self.is_settled(place)) {
                    self.next += 1;
                }
                let Some(place) = self.messages.get(self.next).cloned() else { return Ok(Polled::End) };
                let builder = self.load(&place)?;
                self.next += 1;
                builder
            }
        };
        let batch = builder.cut_until(&self.context.budget, end);
        if batch.is_none() {
            self.ready = Some(builder);
        }
        Ok(batch.map_or(Polled::Idle, Polled::Batch))
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn commit(&mut self, _: &[(TopicPartition, i64)], _: bool) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::ledger::Handled;
    use crate::letters::{Plan, StoredHeader, write};
    use crate::source::testing::{SINK, context, drain, poll_until};

    fn letter(offset: i64, record: Option<i32>, payload: Option<&[u8]>) -> StoredLetter {
        StoredLetter {
            topic: "lsst".into(),
            partition: 3,
            offset,
            record,
            timestamp: Some(1_700_000_000_000),
            key: Some(vec![7]),
            headers: vec![StoredHeader { name: "schema".into(), value: None }],
            stage: "decode".into(),
            reason: "unknown".into(),
            payload: payload.map(<[u8]>::to_vec),
        }
    }

    fn source(folder: &Path, files: &[Vec<StoredLetter>]) -> LettersSource {
        let name = |i: usize| move |n: u32| format!("{i}-{n}.avro");
        let paths = files.iter().enumerate().map(|(i, letters)| write(folder, name(i), letters).unwrap()).collect();
        let plan = Plan::of(paths).unwrap();
        LettersSource { component: "ztf".into(), messages: plan.rounds[0].messages.iter().map(|m| m.place.clone()).collect() }
    }

    #[test]
    fn each_letter_is_a_batch_with_all_that_the_message_had() {
        let home = tempfile::tempdir().unwrap();
        let files = [vec![letter(9, None, Some(b"nine"))], vec![letter(5, Some(1), Some(b"five")), letter(7, None, None)]];
        let mut letters = Letters::open(&source(home.path(), &files), context(home.path(), BatchLimits::default()));
        let batches = drain(&mut letters);
        let spans: Vec<_> = batches.iter().map(|b| (b.token.span.start, b.token.span.end)).collect();
        assert_eq!(spans, [(5, 6), (7, 8), (9, 10)]);
        let (first, message) = (&batches[0], &batches[0].messages[0]);
        assert_eq!((first.token.origin.to_string().as_str(), message.offset), ("lsst[3]", 5));
        assert_eq!((first.payload(message), first.key(message)), (Some(&b"five"[..]), Some(&[7][..])));
        assert_eq!((message.timestamp, message.records.as_deref()), (Some(1_700_000_000_000), Some(&[1][..])));
        assert_eq!(message.headers, [("schema".to_owned(), None)]);
        assert_eq!((batches[1].messages[0].payload.clone(), batches[1].messages[0].records.clone()), (None, None));
        assert!(matches!(letters.poll(Duration::ZERO).unwrap(), Polled::End));
    }

    #[test]
    fn a_new_generation_begins_after_what_is_settled() {
        let home = tempfile::tempdir().unwrap();
        let files = [(0..5).map(|offset| letter(offset, None, Some(b"x"))).collect()];
        let (config, here) = (source(home.path(), &files), context(home.path(), BatchLimits::default()));
        let batches = poll_until(&mut Letters::open(&config, here.clone()), |b| b.len() == 3);
        // The third is durable before the second: only the first is settled.
        for at in [0, 1, 2] {
            here.ledger.begin(&batches[at].token, 1);
        }
        for at in [0, 2] {
            here.ledger.acknowledge(SINK, &batches[at].token, Handled::default());
        }
        let again = drain(&mut Letters::open(&config, here));
        assert_eq!(again.iter().map(|b| b.token.span.start).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn without_budget_a_letter_is_held() {
        let home = tempfile::tempdir().unwrap();
        let (config, here) =
            (source(home.path(), &[vec![letter(1, None, Some(b"x"))]]), context(home.path(), BatchLimits::default()));
        let all = here.budget.try_take(here.budget.limit()).unwrap();
        let mut letters = Letters::open(&config, here);
        assert!(matches!(letters.poll(Duration::ZERO).unwrap(), Polled::Idle));
        drop(all);
        assert_eq!(drain(&mut letters).len(), 1);
    }

    #[test]
    fn a_container_that_was_changed_meanwhile_is_told() {
        let home = tempfile::tempdir().unwrap();
        let config = source(home.path(), &[vec![letter(1, None, None), letter(2, None, None)]]);
        crate::letters::keep(&config.messages[0].file, &[letter(2, None, None)]).unwrap();
        let mut letters = Letters::open(&config, context(home.path(), BatchLimits::default()));
        let fault = letters.poll(Duration::ZERO).unwrap_err();
        assert!(fault.message.contains("one process at a time"), "{fault}");
    }
}
