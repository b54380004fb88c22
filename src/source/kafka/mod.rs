//! Topics of a Kafka cluster as a source: one split queue per partition, one batch being filled per partition.
//!
//! **Invariant:** the main queue is served at every call, also while nothing may be read, so a membership is never lost to
//! back-pressure.
//! **Invariant:** only watermarks are committed, and only of what this consumer itself has read.
//! **Invariant:** messages that the broker has deleted before they were read are counted, never passed over in silence (`gaps`).
//! **Invariant:** partitions are given away when all that was read of them is durable, or else the generation ends: no batch of
//! a partition outlives its membership.

mod backlog;
mod connection;
mod context;
mod gaps;
mod late;
mod newest;
mod partition;
mod rebalance;
mod replay;
mod settings;
mod starts;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

pub use self::newest::{NewestError, newest};
pub(super) use self::partition::headers;

use self::backlog::Backlog;
use self::connection::Connection;
use self::partition::Partition;
use self::rebalance::Revocation;
use super::SourceContext;
use super::builder::BUDGET_PAUSE;
use crate::alert::{Fault, Polled, Ranges, Source, TopicPartition};
use crate::config::KafkaSource;

/// How long one wait lasts at most: events that were served only in part ring no bell.
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// How long a commit may hold up the end of a run or a rebalance.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
/// How long a question to a broker may take where reading can't begin without the answer.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// How often a broker in trouble is asked whether it is back, and how long it may take.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(1);
const TROUBLE_LIMIT: Duration = Duration::from_millis(200);
/// Batches' worth of bytes that may be collected over all partitions; beyond, the largest is cut before its time.
const COLLECTED_BATCHES: usize = 4;

/// Reads topics as a member of a consumer group.
pub(super) struct Kafka {
    // The partitions' queues hold the consumer: they must be gone before the connection is closed.
    partitions: Vec<Partition>,
    connection: Connection,
    config: KafkaSource,
    context: SourceContext,
    /// Partitions that the bound of the queues was divided by.
    planned: usize,
    /// The partition that is read next.
    turn: usize,
    /// The partition whose batch waits for the budget.
    ready: Option<TopicPartition>,
    revocation: Option<Revocation>,
    /// When the group has last dealt out partitions.
    dealt: Instant,
    /// Where each partition ended when it was first assigned.
    ends: HashMap<TopicPartition, i64>,
    /// Watermarks of partitions that were given back while their commit was refused.
    unrecorded: HashMap<TopicPartition, i64>,
    /// What is set aside in each partition; `None` where that is not known yet.
    aside: HashMap<TopicPartition, Option<Ranges>>,
    /// What is open, where this source reads what another has set aside.
    backlog: Option<Backlog>,
    last_ask: Instant,
}

impl Kafka {
    /// Joins the group. Never waits long for a broker: what is away is waited for while polling.
    pub(super) fn open(config: &KafkaSource, context: SourceContext) -> Result<Self, Fault> {
        let planned = settings::partitions(config, &context.component)?;
        let connection = Connection::open(config, &context.component, context.queue_bytes, planned)?;
        let backlog = config.backlog.as_ref().map(|backlog| Backlog::open(config, &context.component, backlog)).transpose()?;
        Ok(Self {
            partitions: Vec::new(),
            connection,
            config: config.clone(),
            context,
            planned,
            turn: 0,
            ready: None,
            revocation: None,
            dealt: Instant::now(),
            ends: HashMap::new(),
            unrecorded: HashMap::new(),
            aside: HashMap::new(),
            backlog,
            last_ask: Instant::now(),
        })
    }

    /// Serves the client and carries out what the group asks for.
    fn serve(&mut self) -> Result<(), Fault> {
        self.connection.pump(Duration::ZERO)?;
        self.take_outcomes(Instant::now());
        self.rebalance()?;
        self.tend_backlog()
    }

    /// Chooses the batch to hand out next, reading queues in turn until one is full.
    fn fill(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let open = |p: &Partition| p.active().map_or(0, |r| r.builder().bytes());
        let due = |p: &Partition| {
            p.active().is_some_and(|r| {
                let builder = r.builder();
                builder.is_full() || (r.is_at_end() && !builder.is_empty()) || builder.deadline().is_some_and(|d| d <= now)
            })
        };
        let late = self.partitions.iter().find(|p| due(p));
        let crowded = self.partitions.iter().map(open).sum::<usize>() >= COLLECTED_BATCHES * self.context.limits.bytes;
        let crowding = self.partitions.iter().filter(|_| crowded).max_by_key(|p| open(p));
        if let Some(partition) = late.or(crowding) {
            self.ready = Some((**partition.origin()).clone());
            return Ok(());
        }
        let count = self.partitions.len();
        let (mut backs, mut holes) = (Vec::new(), Vec::new());
        let mut any = false;
        for turn in (0..count).map(|i| (self.turn + i) % count) {
            let partition = &mut self.partitions[turn];
            let origin = partition.origin().clone();
            let Some(reader) = partition.reader() else { continue };
            let read = reader.read(self.connection.context())?;
            any |= read.any;
            backs.extend(read.back.map(|back| (origin.clone(), back)));
            holes.extend(read.hole.map(|hole| (origin.clone(), hole)));
            if reader.builder().is_full() {
                self.ready = Some((*origin).clone());
                self.turn = (turn + 1) % count;
                break;
            }
        }
        if any {
            self.connection.context().well();
        }
        for (origin, (committed, first)) in backs {
            self.say_rewound(&origin, committed, first);
            self.forget_aside(&origin);
        }
        for (origin, hole) in holes {
            if self.look_into(&origin, hole)?
                && self.is_certain(&origin, hole)
                && let Some(reader) = self.partition(&origin.topic, origin.partition).and_then(Partition::reader)
            {
                reader.settle_hole();
            }
        }
        Ok(())
    }

    /// Nothing is in flight: what was gathered of each partition goes on as it is.
    fn hurry(&mut self) {
        let readers = self.partitions.iter_mut().filter_map(Partition::reader);
        let hurried = readers.filter_map(|r| r.hurry().then(|| (**r.builder().origin()).clone()));
        // All of them are told; the first goes now, the others with the next calls.
        self.ready = hurried.fold(None, |first, origin| first.or(Some(origin)));
    }

    fn say_rewound(&self, origin: &TopicPartition, committed: i64, first: i64) {
        tracing::warn!(
            component = self.context.component, partition = %origin, committed, first,
            "the log begins anew before the committed offset: the topic was made again; all of it is read"
        );
    }

    /// Whether a finite run is over. Where others have partitions too, one of them may have died without the group having noticed,
    /// which it does within the session: what that one had comes here then.
    fn is_over(&self) -> bool {
        let done = |p: &Partition| p.active().is_some_and(partition::Reader::is_done);
        let all_there =
            || self.partitions.len() >= self.planned || self.dealt.elapsed() >= settings::session(&self.config) * 3 / 2;
        let mine = self.config.until_end && self.revocation.is_none() && !self.partitions.is_empty();
        mine && self.partitions.iter().all(done) && all_there()
    }

    /// While brokers are away there is nothing to read; they are asked now and then, to say when they are back.
    fn ask_the_troubled(&mut self) {
        if self.connection.context().is_troubled() && self.last_ask.elapsed() >= TROUBLE_INTERVAL {
            self.last_ask = Instant::now();
            // Any topic will do: a broker that answers is one that is back.
            let topic = self.config.topics.first().map(String::as_str);
            if self.connection.consumer().fetch_metadata(topic, TROUBLE_LIMIT).is_ok() {
                self.connection.context().well();
            }
        }
    }

    fn partition(&mut self, topic: &str, number: i32) -> Option<&mut Partition> {
        self.partitions.iter_mut().find(|p| &*p.origin().topic == topic && p.origin().partition == number)
    }

    /// Orders the commit of those watermarks that are ours and new.
    fn order_commit(&mut self, watermarks: &[(TopicPartition, i64)]) {
        self.recall_missing();
        let mut list = TopicPartitionList::new();
        for (origin, watermark) in watermarks {
            let wanted = self.partition(&origin.topic, origin.partition).is_some_and(|p| p.wants(*watermark));
            if wanted
                && self.recalls(origin)
                && self.add_entry(&mut list, origin, *watermark).is_ok()
                && let Some(partition) = self.partition(&origin.topic, origin.partition)
            {
                partition.set_committed(Some(*watermark));
            }
        }
        if list.count() > 0 {
            self.connection.commit(list);
        }
    }

    /// Takes in finished commits, waiting until `deadline` for those on their way. What failed will be committed again.
    fn take_outcomes(&mut self, deadline: Instant) -> Option<KafkaError> {
        let mut failure = None;
        while let Some((list, outcome)) = self.connection.outcome(deadline) {
            let Err(error) = outcome else {
                for element in list.elements() {
                    if let Offset::Offset(offset) = element.offset()
                        && let Some(partition) = self.partition(element.topic(), element.partition())
                    {
                        partition.confirm(offset);
                    }
                }
                continue;
            };
            tracing::warn!(component = self.context.component, %error, "offsets were not committed; they will be with the next commit");
            for element in list.elements() {
                if let Some(partition) = self.partition(element.topic(), element.partition()) {
                    partition.set_committed(None);
                }
            }
            failure = Some(error);
        }
        failure
    }

    /// Commits and waits for it. Failing is said, not fatal: what is not committed is read again.
    fn commit_now(&mut self, watermarks: &[(TopicPartition, i64)]) {
        let deadline = Instant::now() + COMMIT_LIMIT;
        self.take_outcomes(deadline);
        self.order_commit(watermarks);
        self.take_outcomes(deadline);
        if self.connection.is_committing() {
            tracing::warn!(
                component = self.context.component,
                "offsets were not committed within {COMMIT_LIMIT:?}; what was not is read again"
            );
        }
    }
}

impl Source for Kafka {
    fn poll(&mut self, patience: Duration) -> Result<Polled, Fault> {
        let end = Instant::now() + patience;
        loop {
            self.serve()?;
            if self.ready.is_none() {
                self.fill()?;
            }
            if self.ready.is_none() && self.context.budget.is_idle() {
                self.hurry();
            }
            if let Some(ready) = self.ready.clone() {
                let budget = self.context.budget.clone();
                let batch = self.partition(&ready.topic, ready.partition).and_then(|p| p.cut(&budget));
                if let Some(batch) = batch {
                    self.ready = None;
                    return Ok(Polled::Batch(batch));
                }
            } else if self.is_over() {
                return Ok(Polled::End);
            }
            self.ask_the_troubled();
            let now = Instant::now();
            if now >= end {
                return Ok(Polled::Idle);
            }
            // What was gathered goes on when it is due, or before that when all else is done.
            let gathering = self.partitions.iter().filter_map(Partition::active).any(|r| !r.builder().is_empty());
            let wait = if self.ready.is_some() || gathering { BUDGET_PAUSE } else { LONGEST_WAIT };
            self.connection.wake().wait(wait.min(end - now));
        }
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        self.serve()
    }

    fn commit(&mut self, watermarks: &[(TopicPartition, i64)], last: bool) -> Result<(), Fault> {
        if last {
            self.commit_now(watermarks);
        } else {
            self.take_outcomes(Instant::now());
            // One at a time: while a broker is slow the next commit takes over what has moved meanwhile.
            if !self.connection.is_committing() {
                self.order_commit(watermarks);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
