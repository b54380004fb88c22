//! How far each output of a cluster has come in the partitions of the source, kept by that cluster: what a crash leaves is not
//! sent again.
//!
//! A mark is a commit. The group is `GROUP-published-TOPIC` with the group and the topic of the source, the topic of the commit is
//! that of the output, its partition is that of the source, its offset the first that is not published. So a mark belongs to one
//! source partition and one output, wherever the source is. A new output has no mark and begins where the stream is. Brokers
//! take commits of partitions that are there, so an output needs as many partitions as the topic of its source: those with
//! transactions wait for them, for others the marks that are missing are said.
//! In the metadata stands the newest time of a message so far, milliseconds since 1970: an offset below the mark with a later time
//! is of a topic that was made anew. Behind it stand the holes: offsets below the mark that the stream has passed over, which another
//! component may publish that reads what was set aside. That one looks up in the marks of the first what it has sent before it was cut
//! short.
//!
//! May depend on: `alert`, rdkafka. **Invariant:** a mark never goes back, and is never past a message that is not delivered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::channel::{Cluster, GroupOffsets};
use super::closing::Closing;
use crate::alert::{Fault, Ranges, RowOrigin, Span, TopicPartition};

/// How long one question may take, and how long after one without an answer the next is asked.
const ASK: Duration = Duration::from_millis(500);
/// What stands before the time in the metadata of a commit.
const NEWEST: &str = "newest=";
/// What stands before the holes.
const HOLES: &str = " holes=";

/// The marks of one cluster.
pub(super) struct Marks {
    cluster: Cluster,
    /// Consumer group of the source.
    group: String,
    /// Consumer group of the source that has set aside what is read here.
    before: Option<String>,
    outputs: Vec<Output>,
    /// By the name of their group.
    keepers: HashMap<String, Keeper>,
    places: HashMap<TopicPartition, Place>,
    asked: Option<Instant>,
    /// The output that was said to be too small.
    small: Option<Arc<str>>,
}

/// An output on the cluster.
struct Output {
    /// Place in the configuration.
    number: usize,
    topic: Arc<str>,
    /// Partitions of the topic, as last heard.
    partitions: i32,
}

/// What is known of a partition of the source.
#[derive(Debug, Default)]
struct Place {
    /// Mark of each output; `None` while the cluster was not asked.
    marks: Option<Vec<Option<Mark>>>,
    /// The same of the component that has set aside what is read here.
    before: Vec<Option<Mark>>,
    /// For each output, what was passed over.
    holes: Vec<Ranges>,
    /// Where this stretch of the partition begins.
    start: i64,
    /// The newest time of a message.
    newest: i64,
    committed: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    offset: i64,
    newest: i64,
    holes: Ranges,
}

impl Mark {
    /// Whether the row was published.
    fn has(&self, row: &RowOrigin) -> bool {
        row.offset < self.offset && !self.holes.has(row.offset) && row.timestamp.is_none_or(|time| time <= self.newest)
    }
}

/// The consumer in whose name the marks of a topic of the source are committed. It reads nothing.
type Keeper = Closing<BaseConsumer<Heard>>;

/// What the client library says of commits.
#[derive(Default)]
struct Heard {
    component: String,
    commits: Mutex<Commits>,
}

#[derive(Default)]
struct Commits {
    under_way: usize,
    failed: bool,
    /// The failure said last.
    said: Option<RDKafkaErrorCode>,
}

impl ClientContext for Heard {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, message);
    }

    // The producer of the same cluster says what is wrong with it.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "keeper of marks");
    }
}

impl ConsumerContext for Heard {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        let mut commits = self.commits();
        commits.under_way = commits.under_way.saturating_sub(1);
        match result {
            Ok(()) => commits.said = None,
            Err(error) => {
                commits.failed = true;
                let code = error.rdkafka_error_code();
                if commits.said != code {
                    commits.said = code;
                    let component = &self.component;
                    tracing::warn!(
                        component, %error,
                        "what is published was not noted, so that more may be sent again after a crash; an output needs at least \
                         as many partitions as the topic of its source"
                    );
                }
            }
        }
    }
}

impl Heard {
    fn commits(&self) -> std::sync::MutexGuard<'_, Commits> {
        // Only whole assignments are made under it.
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    pub(super) fn new(cluster: Cluster, group: &str) -> Self {
        let (keepers, places) = (HashMap::new(), HashMap::new());
        let group = group.to_owned();
        Self { cluster, group, before: None, outputs: Vec::new(), keepers, places, asked: None, small: None }
    }

    /// What is read here was set aside by a component whose source has this consumer group: what that has published already is not
    /// sent again.
    pub(super) fn after(mut self, before: Option<String>) -> Self {
        self.before = before;
        self
    }

    /// An output of the cluster.
    pub(super) fn add_output(&mut self, output: usize, topic: &Arc<str>) {
        self.outputs.push(Output { number: output, topic: topic.clone(), partitions: 0 });
    }

    /// A batch of a partition has come that begins at this offset and whose newest message has this time. `jumped`: it does not
    /// follow the one before, so that others may have published meanwhile.
    pub(super) fn note(&mut self, origin: &TopicPartition, start: i64, newest: i64, jumped: bool) {
        if !self.places.contains_key(origin) {
            self.places.insert(origin.clone(), Place::default());
        }
        let Some(place) = self.places.get_mut(origin) else { return };
        if jumped {
            *place = Place { start, ..Place::default() };
        }
        place.newest = place.newest.max(newest);
    }

    /// What the cluster has is to be asked again.
    pub(super) fn forget(&mut self) {
        self.places.values_mut().for_each(|place| place.marks = None);
    }

    /// Whether it is known what was published of a partition. Asks the cluster where it is not, for a moment.
    ///
    /// # Errors
    /// When no consumer can be made.
    pub(super) fn know(&mut self, origin: &TopicPartition) -> Result<bool, Fault> {
        if self.places.get(origin).is_some_and(|place| place.marks.is_some()) {
            return Ok(true);
        }
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK) {
            return Ok(false);
        }
        self.asked = Some(Instant::now());
        if self.cluster.transactional_id.is_some() && !self.is_large_enough(origin)? {
            return Ok(false);
        }
        let Some(found) = self.ask(origin, &self.group.clone())? else { return Ok(false) };
        let before = match self.before.clone() {
            None => Vec::new(),
            Some(group) => match self.ask(origin, &group)? {
                Some(before) => before,
                None => return Ok(false),
            },
        };
        self.asked = None;
        let component = &self.cluster.component;
        for (Output { topic, .. }, mark) in self.outputs.iter().zip(&found) {
            if let Some(mark) = mark {
                tracing::debug!(component, %origin, %topic, offset = mark.offset, "published below this offset already");
            }
        }
        let place = self.places.entry(origin.clone()).or_default();
        place.newest = found.iter().flatten().map(|mark| mark.newest).fold(place.newest, i64::max);
        let start = place.start;
        place.holes = found.iter().map(|mark| holes(mark.as_ref(), start)).collect();
        place.before = before;
        place.marks = Some(found);
        Ok(true)
    }

    /// The marks that the outputs have by a group of a source; `None` where the cluster does not tell now.
    fn ask(&mut self, origin: &TopicPartition, group: &str) -> Result<Option<Vec<Option<Mark>>>, Fault> {
        let mut question = TopicPartitionList::new();
        self.outputs.iter().for_each(|output| {
            question.add_partition(&output.topic, origin.partition);
        });
        let answer = self.keeper_of(group, &origin.topic)?.committed_offsets(question, ASK);
        let marks = |found| self.outputs.iter().map(|output| mark(&found, &output.topic, origin)).collect::<KafkaResult<_>>();
        match answer.and_then(marks) {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                tracing::debug!(%origin, group, %error, "what is published already is not known yet");
                Ok(None)
            }
        }
    }

    /// Whether all outputs have the partition that the mark is kept in.
    fn is_large_enough(&mut self, origin: &TopicPartition) -> Result<bool, Fault> {
        for at in 0..self.outputs.len() {
            if self.outputs[at].partitions > origin.partition {
                continue;
            }
            let topic = self.outputs[at].topic.clone();
            let Ok(metadata) = self.keeper(&origin.topic)?.fetch_metadata(Some(&topic), ASK) else { return Ok(false) };
            let partitions = metadata.topics().iter().find(|t| t.name() == &*topic).map_or(0, |t| t.partitions().len());
            self.outputs[at].partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
            if self.outputs[at].partitions <= origin.partition {
                if self.small.replace(topic.clone()).is_none_or(|said| said != topic) {
                    let (component, brokers) = (&self.cluster.component, &self.cluster.brokers);
                    tracing::error!(
                        component, brokers, %topic, partitions, %origin,
                        "with transactions an output needs at least as many partitions as the topic of its source: publishing \
                         waits; add partitions to the output (kafka-topics.sh --alter --partitions), or remove `transactions`"
                    );
                }
                return Ok(false);
            }
        }
        self.small = None;
        Ok(true)
    }

    /// Whether a row was published to an output. A row that was not, with an offset below the mark, takes the mark back: the
    /// source's topic was made anew.
    pub(super) fn has(&mut self, origin: &TopicPartition, output: usize, row: &RowOrigin) -> bool {
        let Some(at) = self.outputs.iter().position(|known| known.number == output) else { return false };
        let Some(place) = self.places.get_mut(origin) else { return false };
        if place.before.get(at).and_then(Option::as_ref).is_some_and(|before| before.has(row)) {
            return true;
        }
        let Some(marks) = place.marks.as_mut() else { return false };
        let Some(Some(mark)) = marks.get(at) else { return false };
        if row.offset >= mark.offset {
            return false;
        }
        if row.timestamp.is_none_or(|time| time <= mark.newest) {
            return true;
        }
        let component = &self.cluster.component;
        tracing::warn!(
            component, %origin, offset = row.offset, published = mark.offset,
            "an offset that was published comes with a later time: the topic was made anew; its alerts are published too"
        );
        marks[at] = None;
        place.holes[at] = Ranges::default();
        false
    }

    /// Marks that are to be made: for each topic of the source the commits of its keeper. Partitions of which it is not known
    /// what was published are left out, as are marks that would go back.
    fn lists(&mut self, ends: impl Iterator<Item = (TopicPartition, i64)>) -> Vec<(Arc<str>, TopicPartitionList)> {
        let mut lists: Vec<(Arc<str>, TopicPartitionList)> = Vec::new();
        for (origin, end) in ends {
            let Some(place) = self.places.get_mut(&origin) else { continue };
            let Some(marks) = &place.marks else { continue };
            if place.committed.is_some_and(|committed| committed >= end) {
                continue;
            }
            place.committed = Some(end);
            let at = match lists.iter().position(|(topic, _)| *topic == origin.topic) {
                Some(at) => at,
                None => {
                    lists.push((origin.topic.clone(), TopicPartitionList::new()));
                    lists.len() - 1
                }
            };
            for ((Output { topic, .. }, mark), holes) in self.outputs.iter().zip(marks).zip(&place.holes) {
                if mark.as_ref().is_some_and(|mark| mark.offset >= end) {
                    continue;
                }
                let mut element = lists[at].1.add_partition(topic, origin.partition);
                // Any offset of a message can be one of a commit.
                let _ = element.set_offset(Offset::Offset(end));
                let holes = if holes.is_empty() { String::new() } else { format!("{HOLES}{holes}") };
                element.set_metadata(format!("{NEWEST}{}{holes}", place.newest));
            }
        }
        lists.retain(|(_, list)| list.count() > 0);
        lists
    }

    /// Commits in the background that everything below these offsets is published.
    ///
    /// # Errors
    /// When no consumer can be made.
    pub(super) fn commit(&mut self, ends: impl Iterator<Item = (TopicPartition, i64)>) -> Result<(), Fault> {
        self.settle(Duration::ZERO);
        for (topic, list) in self.lists(ends) {
            let keeper = self.keeper(&topic)?;
            let heard = keeper.client().context();
            match keeper.commit(&list, CommitMode::Async) {
                Ok(()) => heard.commits().under_way += 1,
                Err(error) => {
                    tracing::debug!(%topic, %error, "marks were not committed");
                    heard.commits().failed = true;
                }
            }
        }
        Ok(())
    }

    /// Takes in what became of commits, waiting for those under way for `limit` at most. Where one has failed, all marks are made
    /// again with the next.
    pub(super) fn settle(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut failed = false;
        for keeper in self.keepers.values() {
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let under_way = keeper.client().context().commits().under_way;
                let wait = if under_way > 0 { left.min(Duration::from_millis(5)) } else { Duration::ZERO };
                // It reads no topic, so that nothing but events comes.
                let _ = keeper.poll(wait);
                let mut commits = keeper.client().context().commits();
                failed |= std::mem::take(&mut commits.failed);
                if commits.under_way == 0 || left.is_zero() {
                    break;
                }
            }
        }
        if failed {
            self.forget_commits();
        }
    }

    fn forget_commits(&mut self) {
        self.places.values_mut().for_each(|place| place.committed = None);
    }

    /// What a transaction is to hold, so that these marks are made when it is committed.
    ///
    /// # Errors
    /// When no consumer can be made.
    pub(super) fn for_transaction(
        &mut self,
        ends: impl Iterator<Item = (TopicPartition, i64)>,
    ) -> Result<Vec<GroupOffsets>, Fault> {
        // One that was aborted has left none.
        self.forget_commits();
        let mut offsets = Vec::new();
        for (topic, list) in self.lists(ends) {
            let group = self.keeper(&topic)?.group_metadata().ok_or_else(|| {
                Fault::defect("a consumer with a group has no metadata of it; report this, and publish without transactions")
            })?;
            offsets.push((list, group));
        }
        Ok(offsets)
    }

    fn keeper(&mut self, topic: &Arc<str>) -> Result<&Keeper, Fault> {
        self.keeper_of(&self.group.clone(), topic)
    }

    fn keeper_of(&mut self, group: &str, topic: &Arc<str>) -> Result<&Keeper, Fault> {
        let group = format!("{group}-published-{topic}");
        if !self.keepers.contains_key(&group) {
            let heard = Heard { component: self.cluster.component.clone(), ..Heard::default() };
            let consumer = self.cluster.consumer(&group).create_with_context(heard).map_err(|error| {
                let brokers = &self.cluster.brokers;
                Fault::environment(format!("no Kafka client for the group {group} on {brokers}: {error}"))
            })?;
            self.keepers.insert(group.clone(), Keeper::new(consumer));
        }
        Ok(self.keepers.get(&group).expect("was put there if it was not"))
    }
}

/// The mark of an output in the answer of the cluster.
fn mark(found: &TopicPartitionList, topic: &str, origin: &TopicPartition) -> KafkaResult<Option<Mark>> {
    let Some(element) = found.find_partition(topic, origin.partition) else { return Ok(None) };
    // A cluster that does not know the partition has no mark in it.
    match element.error() {
        Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition)) => {
            return Ok(None);
        }
        other => other?,
    }
    let Offset::Offset(offset) = element.offset() else { return Ok(None) };
    let metadata = element.metadata();
    let (newest, holes) = metadata.split_once(HOLES).unwrap_or((metadata, ""));
    let newest = newest.strip_prefix(NEWEST).and_then(|time| time.parse().ok());
    // Without a time nothing is known to be newer; where the holes are not understood, nothing is known to be sent.
    let holes = holes.parse().unwrap_or_else(|_| whole(offset));
    Ok(Some(Mark { offset, newest: newest.unwrap_or(i64::MAX), holes }))
}

fn whole(end: i64) -> Ranges {
    let mut whole = Ranges::default();
    whole.add(Span { start: 0, end });
    whole
}

/// What lies below a mark and was not sent, when the stream goes on at `start`. A list that is too long tells of more than there is:
/// then more comes twice, and nothing is missing.
fn holes(mark: Option<&Mark>, start: i64) -> Ranges {
    let (mut holes, end) = mark.map_or((Ranges::default(), 0), |mark| (mark.holes.clone(), mark.offset));
    holes.add(Span { start: end, end: start });
    while !holes.fit() && holes.close_first_gap() {}
    holes
}
