//! One assigned partition: its queue, the batch that is being filled from it, and what of it was handed out and committed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, OwnedMessage};

use super::context::{Context, Wake};
use crate::alert::{Budget, Fault, Gate, Header, RawBatch, RawMessage, TopicPartition, Turnstile};
use crate::source::builder::Builder;

/// How often it is asked what became of offsets that did not come.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A partition that is ours.
pub(super) struct Partition {
    origin: Arc<TopicPartition>,
    /// `None` while the partition is being given away: nothing is read any more, but commits still go through.
    reader: Option<Reader>,
    /// Where reading began, and the end of what was handed out since.
    handed: Option<(i64, i64)>,
    /// The offset whose commit was ordered last, or found at the assignment.
    committed: Option<i64>,
    /// The offset that the broker has.
    confirmed: Option<i64>,
}

/// Where the messages of a partition come from.
pub(super) struct Reader {
    queue: PartitionQueue<Context>,
    builder: Builder,
    turnstile: Turnstile,
    /// The next message, where its schema is waited for. Until then nothing more is taken from the queue.
    held: Option<OwnedMessage>,
    /// Reading ends here, where the run is to end with the log.
    target: Option<i64>,
    at_end: bool,
    fresh: bool,
    /// Nothing before the position is part of what is read, whatever the log has there.
    bounded: bool,
    /// Offsets that did not come, and when it was looked into last. Nothing more is read until it is known what became of them.
    hole: Option<(Hole, Option<Instant>)>,
}

/// Offsets from `from` (included) to `to` (excluded) that did not come although they were next, where they may have been deleted
/// before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// What happened while a queue was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Whether any message came.
    pub(super) any: bool,
    /// The first message after the assignment lay before the commit: the commit and the message's offset.
    pub(super) back: Option<(i64, i64)>,
    /// Offsets that are to be looked into before more is read.
    pub(super) hole: Option<Hole>,
}

impl Partition {
    /// Takes the partition's messages out of the common queue. Must be called before the assignment is confirmed.
    ///
    /// `committed` is what the broker has, `done` what of the partition was read and settled before, behind that.
    pub(super) fn split(
        consumer: &Arc<BaseConsumer<Context>>,
        wake: &Arc<Wake>,
        builder: Builder,
        gate: Option<Arc<dyn Gate>>,
        committed: Option<i64>,
        done: Option<i64>,
    ) -> Option<Self> {
        let origin = builder.origin().clone();
        let mut queue = consumer.split_partition_queue(&origin.topic, origin.partition)?;
        let bell = wake.clone();
        queue.set_nonempty_callback(move || bell.ring());
        let turnstile = Turnstile::new(gate, origin.clone());
        let reader = Reader {
            queue,
            builder,
            turnstile,
            held: None,
            target: None,
            at_end: false,
            fresh: true,
            bounded: false,
            hole: None,
        };
        let handed = done.map(|done| (committed.unwrap_or(-1), done));
        Some(Self { origin, reader: Some(reader), handed, committed, confirmed: committed })
    }

    /// The partition.
    pub(super) fn origin(&self) -> &Arc<TopicPartition> {
        &self.origin
    }

    /// What reads it, unless it is being given away.
    pub(super) fn reader(&mut self) -> Option<&mut Reader> {
        self.reader.as_mut()
    }

    /// Whether it is read.
    pub(super) fn active(&self) -> Option<&Reader> {
        self.reader.as_ref()
    }

    /// Stops reading. Messages that were not handed out are dropped: whoever gets the partition reads them again.
    pub(super) fn stop(&mut self) {
        self.reader = None;
    }

    /// The batch that is due, when the budget has room for it.
    pub(super) fn cut(&mut self, budget: &Budget) -> Option<RawBatch> {
        let batch = self.reader.as_mut()?.builder.cut(budget)?;
        let span = batch.token.span;
        self.handed = Some((self.handed.map_or(span.start, |h| h.0), span.end));
        Some(batch)
    }

    /// Whether this watermark is to be committed: it is of what this consumer has read (an older one may speak of a time before
    /// another consumer had the partition) and it is new.
    pub(super) fn wants(&self, watermark: i64) -> bool {
        self.has_read(watermark) && self.committed != Some(watermark)
    }

    /// Whether the broker may not have this watermark, which is of what this consumer has read.
    pub(super) fn lacks(&self, watermark: i64) -> bool {
        self.has_read(watermark) && self.confirmed != Some(watermark)
    }

    fn has_read(&self, watermark: i64) -> bool {
        self.handed.is_some_and(|(start, end)| start < watermark && watermark <= end)
    }

    /// The broker has this commit.
    pub(super) fn confirm(&mut self, offset: i64) {
        self.confirmed = Some(offset);
    }

    /// Whether all that was handed out is durable, by the watermark of the partition.
    pub(super) fn is_settled(&self, watermark: Option<i64>) -> bool {
        self.handed.is_none_or(|(_, end)| watermark.is_some_and(|watermark| watermark >= end))
    }

    /// All that was handed out so far is done, and its end is committed: watermarks below it are no news.
    pub(super) fn close_range(&mut self, end: i64) {
        (self.handed, self.committed) = (None, Some(end));
    }

    /// Notes what was committed, or with `None` that it has to be done again.
    pub(super) fn set_committed(&mut self, offset: Option<i64>) {
        self.committed = offset;
    }
}

impl Reader {
    /// The batch being filled.
    pub(super) fn builder(&self) -> &Builder {
        &self.builder
    }

    /// Lets what is there wait for no more. Returns whether there is anything.
    pub(super) fn hurry(&mut self) -> bool {
        self.builder.hurry();
        !self.builder.is_empty()
    }

    /// Sets where reading ends.
    pub(super) fn set_target(&mut self, target: Option<i64>) {
        self.target = target;
    }

    /// Reads nothing until [`Reader::begin_range`].
    pub(super) fn park(&mut self) {
        self.at_end = true;
    }

    /// Reads these offsets and no others: the client has been sent to the first. Only while nothing is in hand.
    pub(super) fn begin_range(&mut self, start: i64, end: i64) {
        self.builder.restart(start);
        self.target = Some(end);
        (self.at_end, self.fresh, self.bounded) = (false, true, true);
        (self.held, self.hole) = (None, None);
    }

    /// Whether it was read to its end and all of that was handed out.
    pub(super) fn is_done(&self) -> bool {
        self.at_end && self.builder.is_empty() && self.hole.is_none()
    }

    /// Whether it was read to its end.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Takes messages until the batch is full or the queue is empty.
    ///
    /// # Errors
    /// When the log has gone back behind what was read: its topic was made anew.
    pub(super) fn read(&mut self, context: &Context) -> Result<Read, Fault> {
        let mut read = Read::default();
        self.look_for_end();
        while self.hole.is_none() && !self.at_end && !self.builder.is_full() {
            if let Some(held) = self.held.take() {
                if !self.turnstile.admits(held.payload()) {
                    self.held = Some(held);
                    break;
                }
                push(&mut self.builder, &held);
                self.look_for_end();
                continue;
            }
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let offset = message.offset();
                    let fresh = std::mem::take(&mut self.fresh);
                    // What lies at the target or beyond is no part of this run, and offsets before it may be of no message.
                    let beyond = self.target.is_some_and(|target| target <= offset);
                    let to = self.target.map_or(offset, |target| target.min(offset));
                    if let Some(next) = self.builder.position() {
                        let doubtful = fresh || (self.bounded && beyond);
                        if next < to && (context.take_moved(&self.builder.origin().topic, message.partition()) || doubtful) {
                            self.hole = Some((Hole { from: next, to }, None));
                            self.at_end |= beyond;
                            self.held = (!beyond).then(|| message.detach());
                            read.any = true;
                            break;
                        }
                        if fresh && offset < next && !self.bounded {
                            read.back = Some((next, offset));
                            self.builder.restart(offset);
                        } else if offset < next {
                            let origin = self.builder.origin();
                            return Err(Fault::environment(format!(
                                "{origin}: offset {offset} came after {next}: the topic was made anew; reading begins again at the commits"
                            )));
                        }
                    }
                    read.any = true;
                    if beyond {
                        self.at_end = true;
                        break;
                    }
                    if !self.turnstile.admits(message.payload()) {
                        self.held = Some(message.detach());
                        break;
                    }
                    push(&mut self.builder, &message);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.at_end = true;
                    // The log may have lost all that was next.
                    let left = self.builder.position().zip(self.target).filter(|(next, target)| next < target);
                    self.hole = left.map(|(from, to)| (Hole { from, to }, None));
                }
                // Other errors of a partition are said by the context; the client goes on by itself.
                Some(Err(_)) => {}
                None => break,
            }
            self.look_for_end();
        }
        if let Some((hole, looked)) = &mut self.hole
            && looked.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL)
        {
            *looked = Some(Instant::now());
            read.hole = Some(*hole);
        }
        Ok(read)
    }

    /// The client has been sent to the position once more.
    pub(super) fn read_again(&mut self) {
        (self.at_end, self.fresh) = (false, true);
        (self.held, self.hole) = (None, None);
    }

    /// It is known what became of the offsets that did not come: reading goes on behind them.
    pub(super) fn settle_hole(&mut self) {
        self.hole = None;
    }

    fn look_for_end(&mut self) {
        self.at_end |= self.target.zip(self.builder.position()).is_some_and(|(target, position)| position >= target);
    }
}

fn push<M: Message>(builder: &mut Builder, message: &M) {
    let arena = builder.arena();
    let mut append = |bytes: &[u8]| {
        let start = arena.len();
        arena.extend_from_slice(bytes);
        let range = |i: usize| u32::try_from(i).expect("a batch is cut at 2 GiB and a message has at most 1 GB");
        range(start)..range(arena.len())
    };
    let payload = message.payload().map(&mut append);
    let key = message.key().map(&mut append);
    builder.push(RawMessage {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key,
        payload,
        headers: message.headers().map_or_else(Vec::new, headers),
        records: None,
    });
}

/// The headers of a message.
pub(in crate::source) fn headers<H: Headers>(headers: &H) -> Vec<Header> {
    // rdkafka panics over a name that is not UTF-8; a producer must not be able to stop us with one.
    let header = |i| {
        catch_unwind(AssertUnwindSafe(|| headers.try_get(i).map(|h| (h.key.to_string(), h.value.map(<[u8]>::to_vec)))))
            .ok()
            .flatten()
            .unwrap_or_else(|| ("(name is not UTF-8)".into(), None))
    };
    (0..headers.count()).map(header).collect()
}
