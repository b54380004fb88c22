//! The pure book of spans: begun by the source, acknowledged by the sinks, settled in order.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::expired::Expired;
use super::{Latency, Percentiles};
use crate::alert::{Span, Token, TopicPartition};

/// A sink, by its place in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SinkId(pub u8);

/// What a sink did with the alerts of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Rows made durable in the archive now.
    pub archived: u64,
    /// Rows not archived on purpose: they were there already, or there is no archive.
    pub skipped: u64,
    /// Dead letters stored instead of a row.
    pub dead: u64,
}

/// Sums of one partition or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that the source has read and that are settled.
    pub messages: u64,
    /// Alerts that decoding found in them (a message that does not decode counts as one).
    pub alerts: u64,
    /// As [`Handled::archived`].
    pub archived: u64,
    /// As [`Handled::skipped`].
    pub skipped: u64,
    /// As [`Handled::dead`].
    pub dead: u64,
    /// Alerts for which the sums did not balance; 0 unless there is a defect.
    pub imbalance: u64,
    /// Messages that the broker no longer kept when they were to be read: their offsets, of which some may have been of no message,
    /// as no one can tell any more. They are no part of the other sums.
    pub expired: u64,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.messages += other.messages;
        self.alerts += other.alerts;
        self.archived += other.archived;
        self.skipped += other.skipped;
        self.dead += other.dead;
        self.imbalance += other.imbalance;
        self.expired += other.expired;
    }
}

#[derive(Debug)]
struct Open {
    end: i64,
    messages: u64,
    alerts: Option<u64>,
    /// Sinks that have not acknowledged it, and those that have not even got it.
    waiting: u64,
    coming: u64,
    handled: Handled,
    read: Instant,
    /// How old each message was when it was read, milliseconds; empty where that is not known.
    ages: Box<[f32]>,
}

#[derive(Debug, Default)]
struct Partition {
    open: BTreeMap<i64, Open>,
    watermark: Option<i64>,
    totals: Totals,
    expired: Expired,
}

/// The book. `sinks` is the set that must acknowledge each batch.
#[derive(Debug, Default)]
pub struct Book {
    generation: u64,
    sinks: u64,
    partitions: HashMap<TopicPartition, Partition>,
    open: usize,
    under_way: usize,
    latency: HashMap<SinkId, Latency>,
}

impl Book {
    /// Starts a generation: what was open is forgotten (it will be read again), what is settled stays.
    pub fn start_generation(&mut self, generation: u64, sinks: &[SinkId]) {
        self.generation = generation;
        self.sinks = sinks.iter().fold(0, |set, s| set | 1 << s.0);
        for partition in self.partitions.values_mut() {
            partition.open.clear();
        }
        self.open = 0;
        self.under_way = 0;
    }

    /// A batch has been read, at the time `read`.
    pub fn begin(&mut self, token: &Token, messages: u64, read: Instant) {
        if token.generation != self.generation {
            return;
        }
        let partition = self.partitions.entry((*token.origin).clone()).or_default();
        let open = Open {
            end: token.span.end,
            messages,
            alerts: None,
            waiting: self.sinks,
            coming: self.sinks,
            handled: Handled::default(),
            read,
            ages: Box::default(),
        };
        let came = usize::from(open.coming != 0);
        match partition.open.insert(token.span.start, open) {
            Some(old) => self.under_way -= usize::from(old.coming != 0),
            None => self.open += 1,
        }
        self.under_way += came;
    }

    /// The batch has reached `sink`, which may hold it for long before it acknowledges it.
    pub fn taken(&mut self, sink: SinkId, token: &Token) {
        let Some(open) = self.find(token) else { return };
        let was = open.coming;
        open.coming &= !(1 << sink.0);
        if was != 0 && open.coming == 0 {
            self.under_way -= 1;
        }
    }

    /// Batches that have not reached every sink yet.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Says how old each message of a batch was when it was read, milliseconds: latency counts from when they were sent.
    pub fn sent_before(&mut self, token: &Token, ages: Box<[f32]>) {
        if let Some(open) = self.find(token) {
            open.ages = ages;
        }
    }

    /// Rows of the batch have arrived where the readers of `sink` find them. Its messages count in the sink's latency.
    pub fn arrived(&mut self, sink: SinkId, token: &Token, now: Instant) {
        let Some(open) = find(&mut self.partitions, self.generation, token) else { return };
        let since = now.saturating_duration_since(open.read).as_secs_f64() * 1e3;
        let latency = self.latency.entry(sink).or_default();
        if open.ages.is_empty() {
            latency.add(since, open.messages);
        }
        open.ages.iter().for_each(|age| latency.add(f64::from(*age) + since, 1));
    }

    /// Times to [`Book::arrived`], from when a message was sent or, where that is not known, read.
    #[must_use]
    pub fn latency(&self, sink: SinkId) -> Option<Percentiles> {
        self.latency.get(&sink)?.percentiles()
    }

    /// Decoding found this many alerts in the batch.
    pub fn decoded(&mut self, token: &Token, alerts: u64) {
        if let Some(open) = self.find(token) {
            open.alerts = Some(alerts);
        }
    }

    /// A stage has stored dead letters for rows that no sink will see.
    pub fn bury(&mut self, token: &Token, dead: u64) {
        if let Some(open) = self.find(token) {
            open.handled.dead += dead;
        }
    }

    /// All that `sink` does for the batch is durable. Returns whether a watermark moved.
    pub fn acknowledge(&mut self, sink: SinkId, token: &Token, handled: Handled) -> bool {
        self.taken(sink, token);
        let Some(open) = self.find(token) else { return false };
        open.waiting &= !(1 << sink.0);
        open.handled.archived += handled.archived;
        open.handled.skipped += handled.skipped;
        open.handled.dead += handled.dead;
        open.waiting == 0 && self.settle(&token.origin.clone())
    }

    fn find(&mut self, token: &Token) -> Option<&mut Open> {
        find(&mut self.partitions, self.generation, token)
    }

    fn settle(&mut self, origin: &TopicPartition) -> bool {
        let Some(partition) = self.partitions.get_mut(origin) else { return false };
        let mut moved = false;
        while let Some(entry) = partition.open.first_entry() {
            if entry.get().waiting != 0 {
                break;
            }
            let done = entry.remove();
            self.open -= 1;
            moved = true;
            partition.watermark = partition.watermark.max(Some(done.end));
            let Handled { archived, skipped, dead } = done.handled;
            let alerts = done.alerts.unwrap_or(0);
            partition.totals.add(&Totals {
                messages: done.messages,
                alerts,
                archived,
                skipped,
                dead,
                imbalance: alerts.abs_diff(archived + skipped + dead) + done.messages.saturating_sub(alerts),
                expired: 0,
            });
        }
        moved
    }

    /// For each partition the offset below which everything is durable in every sink.
    #[must_use]
    pub fn watermarks(&self) -> Vec<(TopicPartition, i64)> {
        self.partitions.iter().filter_map(|(origin, p)| p.watermark.map(|w| (origin.clone(), w))).collect()
    }

    /// The watermark of one partition.
    #[must_use]
    pub fn watermark(&self, origin: &TopicPartition) -> Option<i64> {
        self.partitions.get(origin)?.watermark
    }

    /// The offset below which all that `sink` does for a partition is durable, whatever the others do; `None` while nothing is.
    #[must_use]
    pub fn reached(&self, sink: SinkId, origin: &TopicPartition) -> Option<i64> {
        let partition = self.partitions.get(origin)?;
        let done = partition.open.values().take_while(|open| open.waiting & 1 << sink.0 == 0);
        done.last().map(|open| open.end).or(partition.watermark)
    }

    /// Batches read and not yet settled, of one partition or of all.
    #[must_use]
    pub fn open(&self, origin: Option<&TopicPartition>) -> usize {
        match origin {
            Some(origin) => self.partitions.get(origin).map_or(0, |p| p.open.len()),
            None => self.open,
        }
    }

    /// Messages of a partition were gone before they were read. Returns how many of them are news.
    pub fn expire(&mut self, origin: &TopicPartition, span: Span) -> u64 {
        let partition = self.partitions.entry(origin.clone()).or_default();
        let news = partition.expired.add(span);
        partition.totals.expired += news;
        news
    }

    /// Ranges of offsets that were gone before they were read, of partitions that have any; the latest thousand of each.
    #[must_use]
    pub fn expired(&self) -> BTreeMap<TopicPartition, Vec<Span>> {
        let some = self.partitions.iter().filter(|(_, p)| !p.expired.spans().is_empty());
        some.map(|(origin, p)| (origin.clone(), p.expired.spans().to_vec())).collect()
    }

    /// Sums of what is settled, per partition in order.
    #[must_use]
    pub fn partitions(&self) -> BTreeMap<TopicPartition, Totals> {
        self.partitions.iter().map(|(origin, p)| (origin.clone(), p.totals)).collect()
    }

    /// Sums of what is settled.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        self.partitions.values().for_each(|p| sum.add(&p.totals));
        sum
    }
}

fn find<'a>(partitions: &'a mut HashMap<TopicPartition, Partition>, generation: u64, token: &Token) -> Option<&'a mut Open> {
    if token.generation != generation {
        return None;
    }
    let open = partitions.get_mut(&*token.origin)?.open.get_mut(&token.span.start)?;
    // A partition that is read again may have batches cut elsewhere: an answer for the old cut settles nothing.
    (open.end == token.span.end).then_some(open)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn token(start: i64, end: i64, generation: u64) -> Token {
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
        Token { origin, span: Span { start, end }, generation }
    }

    fn begin(book: &mut Book, token: &Token, messages: u64) {
        book.begin(token, messages, Instant::now());
    }

    const ARCHIVE: SinkId = SinkId(0);
    const PUBLISH: SinkId = SinkId(1);

    #[test]
    fn a_batch_is_under_way_until_every_sink_has_it() {
        let mut book = Book::default();
        book.start_generation(1, &[ARCHIVE, PUBLISH]);
        for (start, end) in [(0, 10), (10, 20)] {
            begin(&mut book, &token(start, end, 1), 10);
        }
        assert_eq!(book.under_way(), 2);
        book.taken(ARCHIVE, &token(0, 10, 1));
        book.taken(ARCHIVE, &token(0, 10, 1));
        assert_eq!(book.under_way(), 2);
        book.acknowledge(PUBLISH, &token(0, 10, 1), Handled::default());
        assert_eq!((book.under_way(), book.open(None)), (1, 2));
        // Read again with another cut, after the partition was given away.
        begin(&mut book, &token(10, 15, 1), 5);
        book.taken(ARCHIVE, &token(10, 20, 1));
        book.taken(PUBLISH, &token(10, 20, 1));
        assert_eq!(book.under_way(), 1);
        book.start_generation(2, &[ARCHIVE]);
        assert_eq!(book.under_way(), 0);
    }

    #[test]
    fn a_watermark_waits_for_every_sink_and_for_every_earlier_batch() {
        let mut book = Book::default();
        book.start_generation(1, &[ARCHIVE, PUBLISH]);
        for (start, end) in [(0, 10), (10, 20)] {
            begin(&mut book, &token(start, end, 1), 10);
            book.decoded(&token(start, end, 1), 10);
        }
        let all = Handled { archived: 10, ..Handled::default() };
        assert!(!book.acknowledge(ARCHIVE, &token(10, 20, 1), all));
        assert!(!book.acknowledge(PUBLISH, &token(10, 20, 1), Handled::default()));
        assert!(!book.acknowledge(ARCHIVE, &token(0, 10, 1), all));
        assert_eq!(book.watermarks(), vec![]);
        assert!(book.acknowledge(PUBLISH, &token(0, 10, 1), Handled::default()));
        assert_eq!(book.watermark(&token(0, 1, 1).origin), Some(20));
        assert_eq!(book.totals(), Totals { messages: 20, alerts: 20, archived: 20, ..Totals::default() });
    }

    #[test]
    fn acknowledgements_of_an_older_generation_are_ignored() {
        let mut book = Book::default();
        book.start_generation(1, &[ARCHIVE]);
        begin(&mut book, &token(0, 10, 1), 10);
        book.start_generation(2, &[ARCHIVE]);
        assert!(!book.acknowledge(ARCHIVE, &token(0, 10, 1), Handled::default()));
        assert_eq!((book.watermarks(), book.open(None)), (vec![], 0));
    }

    #[test]
    fn an_answer_for_a_batch_that_was_cut_elsewhere_settles_nothing() {
        let mut book = Book::default();
        book.start_generation(1, &[ARCHIVE]);
        begin(&mut book, &token(0, 5, 1), 5);
        begin(&mut book, &token(0, 10, 1), 10);
        assert!(!book.acknowledge(ARCHIVE, &token(0, 5, 1), Handled::default()));
        assert_eq!((book.watermarks(), book.open(None)), (vec![], 1));
    }

    #[test]
    fn an_alert_that_no_one_accounts_for_is_seen() {
        let mut book = Book::default();
        book.start_generation(1, &[ARCHIVE]);
        begin(&mut book, &token(0, 3, 1), 3);
        book.decoded(&token(0, 3, 1), 3);
        book.bury(&token(0, 3, 1), 1);
        book.acknowledge(ARCHIVE, &token(0, 3, 1), Handled { archived: 1, ..Handled::default() });
        assert_eq!(book.totals().imbalance, 1);
    }

    #[test]
    fn latency_counts_from_the_time_a_message_was_sent_to_its_arrival_in_each_sink() {
        let (mut book, start) = (Book::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        book.start_generation(1, &[ARCHIVE, PUBLISH]);
        book.begin(&token(0, 3, 1), 3, start);
        book.sent_before(&token(0, 3, 1), Box::new([30.0, 20.0, 10.0]));
        book.arrived(PUBLISH, &token(0, 3, 1), after(5));
        book.arrived(ARCHIVE, &token(0, 3, 1), after(1000));
        assert_eq!(book.latency(PUBLISH).map(|p| p.max), Some(35.0));
        assert_eq!(book.latency(ARCHIVE).map(|p| p.max), Some(1030.0));
        let middle = book.latency(PUBLISH).map_or(0.0, |p| p.p50);
        assert!((middle / 25.0 - 1.0).abs() < 0.06, "{middle}");
        assert_eq!(book.latency(SinkId(7)), None);
    }

    #[test]
    fn where_no_one_knows_when_a_message_was_sent_latency_counts_from_reading() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.start_generation(1, &[ARCHIVE]);
        book.begin(&token(0, 3, 1), 3, start);
        book.start_generation(2, &[ARCHIVE]);
        book.arrived(ARCHIVE, &token(0, 3, 1), start + Duration::from_secs(9));
        assert_eq!(book.latency(ARCHIVE), None, "a batch of an older generation");
        book.begin(&token(0, 3, 2), 3, start);
        book.arrived(ARCHIVE, &token(0, 3, 2), start + Duration::from_millis(7));
        assert_eq!(book.latency(ARCHIVE).map(|p| (p.p50, p.max)), Some((7.0, 7.0)));
    }

    proptest! {
        /// Whatever the order of the acknowledgements, the watermark is the end of the longest run of batches from the
        /// start that all sinks have acknowledged.
        #[test]
        fn the_watermark_follows_the_model(acks in proptest::collection::vec((0_usize..8, 0_u8..2), 0..40)) {
            let mut book = Book::default();
            book.start_generation(1, &[ARCHIVE, PUBLISH]);
            for i in 0..8 {
                begin(&mut book, &token(i * 5, i * 5 + 5, 1), 5);
                book.decoded(&token(i * 5, i * 5 + 5, 1), 5);
            }
            let mut seen = [[false; 2]; 8];
            for (batch, sink) in acks {
                let handled = Handled { archived: if sink == 0 && !seen[batch][0] { 5 } else { 0 }, ..Handled::default() };
                seen[batch][sink as usize] = true;
                let start = batch as i64 * 5;
                book.acknowledge(SinkId(sink), &token(start, start + 5, 1), handled);
                let run = seen.iter().take_while(|s| s[0] && s[1]).count();
                let expected = (run > 0).then_some(run as i64 * 5);
                prop_assert_eq!(book.watermark(&token(0, 1, 1).origin), expected);
                prop_assert_eq!(book.open(None), 8 - run);
                prop_assert_eq!(book.totals().imbalance, 0);
            }
        }
    }
}
