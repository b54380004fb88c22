//! A backlog that is set aside: at an assignment the live stream begins at what is young enough, and what lies before it is left to
//! the component that reads backlogs (`backlog`).
//!
//! What is set aside stands in the metadata of the group's own commits: `late=12-40,50-60`, one list for each partition. So the step
//! over a backlog and the note of it are one commit, which the broker takes of a member alone; every later commit carries the list
//! along, also where the configuration does not ask for it any more.
//!
//! **Invariant:** no commit goes out for a partition of which the list is not known.
//! **Invariant:** ranges end at or below the offset that they are committed with: the live stream never reads in them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::{ASK_LIMIT, Kafka, settings};
use crate::alert::{Fault, Ranges, Span, TopicPartition};
use crate::config::{KafkaSource, late_group, late_name};

/// What stands before the list in the metadata of a commit.
const PREFIX: &str = "late=";
/// How long the question for lists may take where commits wait for it.
const LIST_LIMIT: Duration = Duration::from_millis(200);
/// Bytes that the queues of a client may hold that only asks for commits.
const QUEUE: u64 = 1 << 20;

/// A client that can be asked for the commits of a group. It joins none, so that no one loses a partition by it.
pub(super) fn asker(config: &KafkaSource, component: &str, group: &str) -> Result<BaseConsumer<Context>, Fault> {
    let mut client = settings::client(config, QUEUE, 1);
    client.set("group.id", group);
    client.create_with_context(Context::quiet(component, &config.brokers)).map_err(|e| settings::refused(&e))
}

/// What an element of an answer says is set aside.
pub(super) fn list_of(element: &TopicPartitionListElem<'_>) -> Ranges {
    // rdkafka panics over a text that is not UTF-8; who else commits must not be able to stop us with one.
    let metadata = catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned())).unwrap_or_default();
    metadata.strip_prefix(PREFIX).and_then(|list| list.parse().ok()).unwrap_or_default()
}

/// The offset that an answer has for a partition.
pub(super) fn offset_of(found: &TopicPartitionList, origin: &TopicPartition) -> Option<i64> {
    match found.find_partition(&origin.topic, origin.partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

impl Kafka {
    /// Adds to a commit, with what is set aside below it.
    pub(super) fn add_entry(&self, list: &mut TopicPartitionList, origin: &TopicPartition, offset: i64) -> KafkaResult<()> {
        let mut element = list.add_partition(&origin.topic, origin.partition);
        element.set_offset(Offset::Offset(offset))?;
        if let Some(Some(ranges)) = self.aside.get(origin)
            && !ranges.is_empty()
        {
            element.set_metadata(format!("{PREFIX}{ranges}"));
        }
        Ok(())
    }

    /// Takes in what the commits of these partitions say is set aside: all that is known of it.
    pub(super) fn recall(&mut self, list: &TopicPartitionList, found: &KafkaResult<TopicPartitionList>) {
        for element in list.elements() {
            let origin = TopicPartition { topic: element.topic().into(), partition: element.partition() };
            let found = found.as_ref().ok().and_then(|found| found.find_partition(element.topic(), element.partition()));
            let ranges = found.filter(|found| found.error().is_ok()).map(|found| list_of(&found));
            self.aside.insert(origin, ranges);
        }
        self.drop_done(list);
    }

    /// Takes out what the backlog's reader has done, where it tells, and says where no one will read the rest.
    fn drop_done(&mut self, list: &TopicPartitionList) {
        let open = |ranges: &Option<Ranges>| ranges.as_ref().is_some_and(|ranges| !ranges.is_empty());
        let asked: Vec<TopicPartition> = list
            .elements()
            .iter()
            .map(|e| TopicPartition { topic: e.topic().into(), partition: e.partition() })
            .filter(|origin| self.aside.get(origin).is_some_and(open))
            .collect();
        if asked.is_empty() {
            return;
        }
        let done = asker(&self.config, &self.context.component, &late_group(&self.config.group))
            .and_then(|asker| asker.committed_offsets(list.clone(), ASK_LIMIT).map_err(|e| Fault::environment(e.to_string())));
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::debug!(component = self.context.component, %error, "what is done of the backlog is not known now");
                TopicPartitionList::new()
            }
        };
        for origin in asked {
            let Some(Some(ranges)) = self.aside.get_mut(&origin) else { continue };
            offset_of(&done, &origin).into_iter().for_each(|done| ranges.cut_below(done));
            if self.config.late.is_none() && !ranges.is_empty() {
                let (component, late) = (self.context.component.as_str(), late_name(&self.context.component));
                tracing::error!(
                    component, partition = %origin, open = %ranges, messages = ranges.offsets(),
                    "these offsets were set aside and no one reads them: write `late:` in `source.kafka` again until {late} has \
                     said that they are done"
                );
            }
        }
    }

    /// Learns what is set aside in partitions where the answer did not come at the assignment.
    pub(super) fn recall_missing(&mut self) {
        let missing = self.partitions.iter().filter(|p| matches!(self.aside.get(&**p.origin()), Some(None)));
        let mut list = TopicPartitionList::new();
        for partition in missing {
            list.add_partition(&partition.origin().topic, partition.origin().partition);
        }
        if list.count() > 0 {
            // No one but us has committed since we got them.
            let found = self.connection.consumer().committed_offsets(list.clone(), LIST_LIMIT);
            self.recall(&list, &found);
        }
    }

    /// Whether commits of a partition can carry along what is set aside.
    pub(super) fn recalls(&self, origin: &TopicPartition) -> bool {
        !matches!(self.aside.get(origin), Some(None))
    }

    /// Sets aside what is old where that is asked for. Returns where the live stream begins; `None` where it begins at `start`.
    pub(super) fn set_aside(&mut self, origin: &TopicPartition, start: Offset) -> Result<Option<i64>, Fault> {
        let Some(late) = self.config.late else { return Ok(None) };
        let from = match start {
            Offset::Offset(offset) => offset,
            // The client would begin at the oldest message.
            _ => self.log_start(origin).ok_or_else(|| {
                Fault::environment(format!("{origin}: the broker does not tell where the log begins; asking again after a pause"))
            })?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = now.saturating_sub(late.after).as_millis();
        let to = self.ask_time(origin, i64::try_from(millis).unwrap_or(i64::MAX))?;
        if to <= from {
            return Ok(None);
        }
        let (component, messages) = (self.context.component.clone(), to - from);
        let known = self.aside.get(origin).cloned().flatten().unwrap_or_default();
        let mut ranges = known.clone();
        ranges.add(Span { start: from, end: to });
        if !ranges.fit() {
            tracing::error!(
                component, partition = %origin, open = known.spans().len(), from, to,
                "too many ranges are open for one more to be set aside: this partition is read in order, new alerts after old ones"
            );
            return Ok(None);
        }
        let reader = late_name(&component);
        tracing::warn!(
            component, partition = %origin, from, to, messages, after = ?late.after,
            "a backlog is set aside: {reader} reads it beside the live stream, which begins behind it"
        );
        self.aside.insert(origin.clone(), Some(ranges));
        Ok(Some(to))
    }

    /// The log of a partition was made anew: nothing that was set aside is in it.
    pub(super) fn forget_aside(&mut self, origin: &TopicPartition) {
        if let Some(Some(ranges)) = self.aside.insert(origin.clone(), Some(Ranges::default()))
            && !ranges.is_empty()
        {
            tracing::error!(
                component = self.context.component, partition = %origin, open = %ranges,
                "what was set aside is gone with the old topic"
            );
        }
    }

    /// The first range that is open behind an offset, in the commits of a service: its own reader comes to it.
    pub(super) fn ask_open(
        &self,
        origin: &TopicPartition,
        group: &str,
        ranges: &Ranges,
        begin: i64,
    ) -> Result<Option<Span>, KafkaError> {
        let mut ranges = ranges.clone();
        if !ranges.is_empty() {
            let mut list = TopicPartitionList::new();
            list.add_partition(&origin.topic, origin.partition);
            let asker = asker(&self.config, &self.context.component, &late_group(group))
                .map_err(|e| KafkaError::ClientCreation(e.to_string()))?;
            let found = asker.committed_offsets(list, ASK_LIMIT)?;
            offset_of(&found, origin).into_iter().for_each(|done| ranges.cut_below(done));
        }
        Ok(ranges.spans().iter().copied().find(|span| span.end > begin))
    }
}
