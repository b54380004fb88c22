//! Where reading begins in partitions that the group has no commit of, and where a finite run ends in them.

use std::time::Instant;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK_LIMIT, COMMIT_LIMIT, Kafka};
use crate::alert::{Fault, TopicPartition};
use crate::config::Start;

impl Kafka {
    /// The offset where reading begins in a partition without a commit; `None` leaves it to the client, which begins at the oldest
    /// message.
    pub(super) fn begin(&self, origin: &TopicPartition) -> Result<Option<i64>, Fault> {
        match self.config.start {
            Start::Earliest => Ok(None),
            Start::Latest => self.ask_end(origin).map(Some),
            Start::At(millis) => {
                let offset = self.ask_time(origin, millis)?;
                self.say_cut_range(origin, offset);
                Ok(Some(offset))
            }
        }
    }

    /// Where a finite run that begins at this offset ends in a partition.
    pub(super) fn ask_target(&self, origin: &TopicPartition, begin: i64) -> Result<i64, Fault> {
        match &self.config.replay {
            Some(replay) => self.ask_replay_end(origin, replay, begin),
            None => self.ask_end(origin),
        }
    }

    /// One past the last message of a partition.
    pub(super) fn ask_end(&self, origin: &TopicPartition) -> Result<i64, Fault> {
        let marks = self.connection.consumer().fetch_watermarks(&origin.topic, origin.partition, ASK_LIMIT);
        marks.map(|(_, end)| end).map_err(|e| {
            Fault::environment(format!("{origin}: the broker does not tell where the log ends: {e}; asking again after a pause"))
        })
    }

    /// The offset of the first message of a partition with a timestamp (milliseconds since 1970) as late as this, or of the end
    /// of the log where there is none.
    pub(super) fn ask_time(&self, origin: &TopicPartition, millis: i64) -> Result<i64, Fault> {
        // The end first: what comes between the two answers is late enough and must not be passed over.
        let end = self.ask_end(origin)?;
        let failed = |e: &dyn std::fmt::Display| {
            Fault::environment(format!(
                "{origin}: the broker does not tell which message was the first at a time: {e}; asking again after a pause"
            ))
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&origin.topic, origin.partition, Offset::Offset(millis)).map_err(|e| failed(&e))?;
        let found = self.connection.consumer().offsets_for_times(list, ASK_LIMIT).map_err(|e| failed(&e))?;
        let element = found.find_partition(&origin.topic, origin.partition).ok_or_else(|| failed(&"no answer"))?;
        element.error().map_err(|e| failed(&e))?;
        match element.offset() {
            Offset::Offset(offset) => Ok(offset),
            Offset::End => Ok(end),
            other => Err(failed(&format!("the answer was {other:?}"))),
        }
    }

    /// Commits where reading begins, where that is not the oldest message: a generation that fails before its first commit must
    /// not begin elsewhere, at an end that has moved on, and pass over what came between.
    pub(super) fn remember_start(&mut self, begun: &[(TopicPartition, i64)]) -> Result<(), Fault> {
        let mut list = TopicPartitionList::new();
        let failed =
            |e: String| Fault::environment(format!("the position where reading begins was not committed: {e}; joining again"));
        for (origin, offset) in begun {
            self.add_entry(&mut list, origin, *offset).map_err(|e| failed(e.to_string()))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let deadline = Instant::now() + COMMIT_LIMIT;
        self.connection.commit(list);
        match self.take_outcomes(deadline) {
            Some(error) => Err(failed(error.to_string())),
            None if self.connection.is_committing() => Err(failed(format!("no answer within {COMMIT_LIMIT:?}"))),
            None => Ok(()),
        }
    }
}
