//! A range of time that is read again: where it ends in a partition, and what of it belongs to the running service.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::Offset;

use super::late::{asker, list_of};
use super::{ASK_LIMIT, Kafka};
use crate::alert::{Fault, TopicPartition};
use crate::config::{Live, Replay, Start};

impl Kafka {
    /// Where the replay ends in a partition: before the first message that is too late for it, and before those that the service
    /// has not committed yet, since they will come through the service.
    pub(super) fn ask_replay_end(&self, origin: &TopicPartition, replay: &Replay, begin: i64) -> Result<i64, Fault> {
        let end = self.ask_time(origin, replay.to)?;
        let Some(live) = &replay.behind else { return Ok(end) };
        let committed = self.ask_live(origin, live, begin)?;
        let Some(committed) = committed.filter(|committed| *committed < end) else { return Ok(end) };
        tracing::warn!(
            component = self.context.component, partition = %origin, from = committed, to = end,
            "messages of the range are left to {}, which has not come to them yet", replay.of
        );
        Ok(committed)
    }

    /// What the group of the service has committed; the oldest offset where it has nothing and begins there or at a time, `None`
    /// where it begins at the end. Less where a backlog behind `begin` is set aside that its reader has not come to the end of.
    fn ask_live(&self, origin: &TopicPartition, live: &Live, begin: i64) -> Result<Option<i64>, Fault> {
        let group = &live.group;
        let failed = |e: &dyn std::fmt::Display| {
            Fault::environment(format!(
                "{origin}: the broker does not tell the commits of group {group}: {e}; asking again after a pause"
            ))
        };
        let consumer = asker(&self.config, &self.context.component, group)?;
        let mut list = TopicPartitionList::new();
        list.add_partition(&origin.topic, origin.partition);
        let found = consumer.committed_offsets(list, ASK_LIMIT).map_err(|e| failed(&e))?;
        let element = found.find_partition(&origin.topic, origin.partition).ok_or_else(|| failed(&"no answer"))?;
        element.error().map_err(|e| failed(&e))?;
        if let Some(open) = self.ask_open(origin, group, &list_of(&element), begin).map_err(|e| failed(&e))? {
            return Ok(Some(open.start));
        }
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ if live.start == Start::Latest => None,
            _ => Some(0),
        })
    }

    /// Says where a range may lack its beginning: the log begins within it, so that deleted messages may have belonged to it. How
    /// many no one can tell, since their times are gone too.
    pub(super) fn say_cut_range(&self, origin: &TopicPartition, begin: i64) {
        if self.config.replay.is_some() && begin > 0 && self.log_start(origin) == Some(begin) {
            tracing::error!(
                component = self.context.component, partition = %origin, first = begin,
                "the log begins at this offset: older messages are no longer kept by the broker, and some may have been of the range"
            );
        }
    }
}
