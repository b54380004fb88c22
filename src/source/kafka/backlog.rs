//! The other side of `late`: what a component has set aside is read by a source of its own, with a group of its own.
//!
//! Every partition is assigned and paused. Where a range is open, the client is sent to its beginning and goes on until its end;
//! what has been read and is durable is committed, at the end the end itself. New ranges are asked for every few seconds, as the
//! metadata of the live group's commits tell them.
//!
//! The client has state that can't be seen from here: one that looked up where a log ends when it was sent elsewhere goes to the end
//! after all, half a second later. So partitions are assigned at offsets that need no lookup, and where offsets lack at the beginning
//! or the end of a range the client is sent there twice before they are taken for none.
//!
//! **Invariant:** no offset outside of an open range is handed out.
//! **Invariant:** ranges are read in ascending order, so a commit says that all below it is done.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::late::{asker, list_of, offset_of};
use super::partition::{Hole, Partition};
use super::{ASK_LIMIT, Kafka};
use crate::alert::{Fault, Ranges, Span, TopicPartition};
use crate::config::{Backlog as Settings, KafkaSource};

/// How often it is asked whether there is more.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long that may take, and the way to the beginning of a range.
const LIMIT: Duration = Duration::from_secs(1);
/// How long after an attempt to begin with a range the next one is made.
const AGAIN: Duration = Duration::from_millis(100);

/// What is open.
pub(super) struct Backlog {
    of: String,
    live: BaseConsumer<Context>,
    looked: Option<Instant>,
    places: HashMap<TopicPartition, Place>,
}

/// What is known of a partition.
#[derive(Debug, Default)]
struct Place {
    /// All below is done.
    done: i64,
    /// What is not, but for the range that is being read.
    open: Ranges,
    reading: Option<Span>,
    /// Offsets that did not come the first time.
    doubt: Option<Hole>,
    tried: Option<Instant>,
}

impl Backlog {
    pub(super) fn open(config: &KafkaSource, component: &str, settings: &Settings) -> Result<Self, Fault> {
        let live = asker(config, component, &settings.group)?;
        Ok(Self { of: settings.of.clone(), live, looked: None, places: HashMap::new() })
    }
}

fn one(origin: &TopicPartition) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(&origin.topic, origin.partition);
    list
}

impl Kafka {
    /// Takes partitions of which only what is set aside is to be read.
    pub(super) fn assign_backlog(
        &mut self,
        origins: &[TopicPartition],
        list: &TopicPartitionList,
    ) -> Result<KafkaResult<()>, Fault> {
        let consumer = self.connection.consumer().clone();
        let committed = if origins.is_empty() { Ok(list.clone()) } else { consumer.committed_offsets(list.clone(), ASK_LIMIT) };
        let committed = committed.map_err(|e| {
            Fault::environment(format!("how much of the backlog is done is not known: {e}; asking again after a pause"))
        })?;
        let mut starts = TopicPartitionList::new();
        for origin in origins {
            self.take(origin.clone(), None, None, None)?;
            if let Some(reader) = self.partition(&origin.topic, origin.partition).and_then(Partition::reader) {
                reader.park();
            }
            if let Some(backlog) = &mut self.backlog {
                let done = offset_of(&committed, origin).unwrap_or(0);
                backlog.places.insert(origin.clone(), Place { done, ..Place::default() });
                backlog.looked = None;
            }
            starts
                .add_partition_offset(&origin.topic, origin.partition, Offset::Offset(self.ask_end(origin)?))
                .map_err(|e| Fault::environment(format!("{origin}: can't be assigned: {e}; joining again")))?;
        }
        let answer = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&starts),
            _ => consumer.assign(&starts),
        };
        if answer.is_ok() && !origins.is_empty() {
            // Until a range is begun nothing is fetched.
            consumer.pause(list).map_err(|e| Fault::environment(format!("partitions can't be paused: {e}; joining again")))?;
        }
        Ok(answer)
    }

    /// Ends ranges that are done, begins others, asks for more.
    pub(super) fn tend_backlog(&mut self) -> Result<(), Fault> {
        if self.backlog.is_none() || self.partitions.is_empty() || self.revocation.is_some() {
            return Ok(());
        }
        self.look_for_ranges();
        let ledger = &self.context.ledger;
        let state = |p: &Partition| {
            let (origin, read) = (p.origin().clone(), p.active()?.is_done());
            let durable = read && ledger.open(Some(&origin)) == 0 && p.is_settled(ledger.watermark(&origin));
            Some((origin, durable))
        };
        let active: Vec<_> = self.partitions.iter().filter_map(state).collect();
        for (origin, done) in active {
            let Some(place) = self.backlog.as_ref().and_then(|b| b.places.get(&*origin)) else { continue };
            match (place.reading, place.open.spans().first().copied()) {
                (Some(span), _) if done => self.finish(&origin, span)?,
                (None, Some(span)) if place.tried.is_none_or(|tried| tried.elapsed() >= AGAIN) => {
                    self.begin_range(&origin, span)?
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn look_for_ranges(&mut self) {
        let Some(backlog) = &mut self.backlog else { return };
        if backlog.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        backlog.looked = Some(Instant::now());
        let mut list = TopicPartitionList::new();
        for partition in &self.partitions {
            list.add_partition(&partition.origin().topic, partition.origin().partition);
        }
        let found = match backlog.live.committed_offsets(list, LIMIT) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(component = self.context.component, %error, "what is set aside is not known now");
                return;
            }
        };
        for element in found.elements().iter().filter(|e| e.error().is_ok()) {
            let origin = TopicPartition { topic: element.topic().into(), partition: element.partition() };
            let Some(place) = backlog.places.get_mut(&origin) else { continue };
            list_of(element).spans().iter().for_each(|span| place.open.add(*span));
            place.open.cut_below(place.reading.map_or(place.done, |span| span.end));
        }
    }

    fn place(&mut self, origin: &TopicPartition) -> Option<&mut Place> {
        self.backlog.as_mut()?.places.get_mut(origin)
    }

    /// Sends the client to the beginning of a range. What the log has not any more of it is lost.
    fn begin_range(&mut self, origin: &TopicPartition, span: Span) -> Result<(), Fault> {
        if let Some(place) = self.place(origin) {
            place.tried = Some(Instant::now());
        }
        let consumer = self.connection.consumer().clone();
        let Ok((first, end)) = consumer.fetch_watermarks(&origin.topic, origin.partition, LIMIT) else { return Ok(()) };
        let component = self.context.component.clone();
        if end < span.end {
            tracing::error!(
                component, partition = %origin, from = span.start, to = span.end, end,
                "the log ends before what was set aside: the topic was made anew, and there is nothing left to read"
            );
            if let Some(place) = self.place(origin) {
                place.open.cut_below(span.end);
                place.done = span.end;
            }
            return Ok(());
        }
        let start = span.start.max(first.min(span.end));
        if span.start < start {
            self.lose(origin, Span { start: span.start, end: start })?;
        }
        if start < span.end {
            let sent = consumer.seek(&origin.topic, origin.partition, Offset::Offset(start), LIMIT);
            // In this order: what the client has of another place is dropped by both.
            if let Err(error) = sent.and_then(|()| consumer.resume(&one(origin))) {
                tracing::debug!(component, partition = %origin, %error, "the client is not ready for a range yet");
                return Ok(());
            }
        }
        let Some(reader) = self.partition(&origin.topic, origin.partition).and_then(Partition::reader) else { return Ok(()) };
        reader.begin_range(start, span.end);
        if let Some(place) = self.place(origin) {
            place.open.cut_below(span.end);
            (place.reading, place.tried) = (Some(span), None);
        }
        let of = self.backlog.as_ref().map_or("", |backlog| &backlog.of);
        tracing::info!(component, partition = %origin, from = start, to = span.end, messages = span.end - start, "reading the backlog of {of}");
        Ok(())
    }

    /// Whether offsets that did not come, and are not lost, are of no message: where a range is read they have to fail to come twice.
    pub(super) fn is_certain(&mut self, origin: &TopicPartition, hole: Hole) -> bool {
        if self.backlog.is_none() {
            return true;
        }
        let Some(first) = self.log_start(origin) else { return false };
        let Some(place) = self.place(origin) else { return true };
        if hole.to <= first || place.doubt == Some(hole) {
            place.doubt = None;
            return true;
        }
        let from = Offset::Offset(hole.from.max(first));
        let consumer = self.connection.consumer();
        let sent = consumer.seek(&origin.topic, origin.partition, from, LIMIT).and_then(|()| consumer.resume(&one(origin)));
        if sent.is_ok()
            && let Some(reader) = self.partition(&origin.topic, origin.partition).and_then(Partition::reader)
        {
            reader.read_again();
            if let Some(place) = self.place(origin) {
                place.doubt = Some(hole);
            }
        }
        false
    }

    /// A range is done: all of it that there was is durable.
    fn finish(&mut self, origin: &TopicPartition, span: Span) -> Result<(), Fault> {
        self.connection
            .consumer()
            .pause(&one(origin))
            .map_err(|e| Fault::environment(format!("{origin}: can't be paused behind the backlog: {e}; joining again")))?;
        let mut list = TopicPartitionList::new();
        if self.add_entry(&mut list, origin, span.end).is_ok() {
            // The offsets at its end may be of no message, so that no watermark comes to them.
            self.connection.commit(list);
        }
        if let Some(partition) = self.partition(&origin.topic, origin.partition) {
            partition.close_range(span.end);
        }
        let mut left = 0;
        if let Some(place) = self.place(origin) {
            (place.reading, place.done) = (None, span.end);
            left = place.open.offsets();
        }
        tracing::info!(component = self.context.component, partition = %origin, to = span.end, left, "this part of the backlog is done");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
