//! What happens when the group gives us partitions or wants them back.
//!
//! Giving back is not one step but a state that is looked at on every call: the shell may still hold a batch that it could not
//! send on, and it can only get rid of it when calls return.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use super::connection::Connection;
use super::context::{Change, give_up};
use super::partition::Partition;
use super::{ASK_LIMIT, Kafka, settings};
use crate::alert::{Fault, TopicPartition};
use crate::config::Start;
use crate::source::builder::Builder;

/// Partitions that are to be given away once all that was read of them is durable.
#[derive(Debug)]
pub(super) struct Revocation {
    list: TopicPartitionList,
    since: Instant,
    limit: Duration,
    /// The membership is gone already: another member may be reading, and commits are refused.
    lost: bool,
}

fn origins(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|e| TopicPartition { topic: e.topic().into(), partition: e.partition() }).collect()
}

fn names(list: &TopicPartitionList) -> String {
    origins(list).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn refused(list: &TopicPartitionList, error: &KafkaError) -> Fault {
    Fault::environment(format!("the assignment of {} was refused: {error}; joining again", names(list)))
}

impl Kafka {
    /// Carries out changes of the assignment, one after the other.
    pub(super) fn rebalance(&mut self) -> Result<(), Fault> {
        loop {
            if let Some(revocation) = self.revocation.take()
                && !self.give_back(revocation)?
            {
                return Ok(());
            }
            match self.connection.context().next_change() {
                None => return Ok(()),
                Some(Change::Assign(list)) => self.assign(&list)?,
                Some(Change::Revoke(list)) => self.revoke(list),
            }
        }
    }

    fn assign(&mut self, list: &TopicPartitionList) -> Result<(), Fault> {
        let component = self.context.component.clone();
        let count = self.partitions.len() + list.count();
        if count > self.planned {
            // The bound of the queues was divided by fewer partitions, and it can't be changed while a consumer lives.
            tracing::info!(component, planned = self.planned, count, "more partitions than were known; joining the group again");
            give_up(self.connection.consumer(), &Change::Assign(list.clone()));
            self.planned = count;
            self.partitions.clear();
            self.ready = None;
            self.connection = Connection::open(&self.config, &component, self.context.queue_bytes, count)?;
            return Ok(());
        }
        if self.backlog.is_some() {
            return self.assign_backlog(&origins(list), list)?.map_err(|e| refused(list, &e)).map(|()| self.say_assigned(list));
        }
        let consumer = self.connection.consumer().clone();
        let mut starts = TopicPartitionList::new();
        let found = if list.count() > 0 { consumer.committed_offsets(list.clone(), ASK_LIMIT) } else { Ok(list.clone()) };
        if let Err(error) = &found {
            if self.config.start != Start::Earliest || self.config.late.is_some() {
                // The client, left to itself, would begin at the oldest message where there is no commit.
                return Err(Fault::environment(format!("committed offsets are not known: {error}; asking again after a pause")));
            }
            tracing::warn!(component, %error, "committed offsets are not known yet; the client keeps asking");
        }
        self.recall(list, &found);
        let mut begun = Vec::new();
        for origin in origins(list) {
            let committed = match &found {
                Ok(found) => {
                    let element = found.find_partition(&origin.topic, origin.partition);
                    if let Some(Err(error)) = element.as_ref().map(|e| e.error()) {
                        let asking = "asking again after a pause";
                        return Err(Fault::environment(format!(
                            "the committed offset of {origin} is not known: {error}; {asking}"
                        )));
                    }
                    element.map(|e| e.offset())
                }
                Err(_) => Some(Offset::Stored),
            };
            // Kept until a commit is seen to have caught up: the partition may change hands again before the next one.
            if let Some(Offset::Offset(offset)) = committed {
                self.unrecorded.retain(|o, unrecorded| *o != origin || *unrecorded > offset);
            }
            let unrecorded = self.unrecorded.get(&origin).copied();
            let start = match committed {
                Some(Offset::Offset(offset)) => Offset::Offset(unrecorded.map_or(offset, |u| u.max(offset))),
                _ if let Some(offset) = unrecorded => Offset::Offset(offset),
                Some(Offset::Stored) => Offset::Stored,
                _ => match self.begin(&origin)? {
                    Some(offset) => {
                        begun.push((origin.clone(), offset));
                        Offset::Offset(offset)
                    }
                    None => Offset::Invalid,
                },
            };
            let start = match start {
                Offset::Offset(offset) => {
                    let first = self.begin_in_log(&origin, offset)?;
                    if first != offset {
                        // The gap is written down: committed behind it, it is not noticed again.
                        begun.retain(|(begun, _)| *begun != origin);
                        begun.push((origin.clone(), first));
                    }
                    Offset::Offset(first)
                }
                other => other,
            };
            let start = match self.set_aside(&origin, start)? {
                None => start,
                Some(behind) => {
                    // The same commit says what is set aside.
                    begun.retain(|(begun, _)| *begun != origin);
                    begun.push((origin.clone(), behind));
                    Offset::Offset(behind)
                }
            };
            let position = if let Offset::Offset(offset) = start { Some(offset) } else { None };
            let known = if let Some(Offset::Offset(offset)) = committed { Some(offset) } else { None };
            self.take(origin.clone(), position, known, unrecorded)?;
            starts
                .add_partition_offset(&origin.topic, origin.partition, start)
                .map_err(|e| Fault::environment(format!("{origin}: can't begin at {start:?}: {e}; check the group's commits")))?;
        }
        self.remember_start(&begun)?;
        let answer: KafkaResult<()> = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&starts),
            _ => consumer.assign(&starts),
        };
        answer.map_err(|e| refused(list, &e))?;
        self.say_assigned(list);
        Ok(())
    }

    fn say_assigned(&mut self, list: &TopicPartitionList) {
        self.dealt = Instant::now();
        self.connection.context().well();
        tracing::info!(component = self.context.component, partitions = names(list), "partitions assigned");
    }

    /// Makes a partition ours. Its queue is split off before the assignment is confirmed: librdkafka keeps that, so no message
    /// comes by the main queue.
    pub(super) fn take(
        &mut self,
        origin: TopicPartition,
        position: Option<i64>,
        committed: Option<i64>,
        done: Option<i64>,
    ) -> Result<(), Fault> {
        let target = if self.config.until_end {
            let end = match self.ends.get(&origin) {
                Some(end) => *end,
                None => self.ask_target(&origin, position.unwrap_or(0))?,
            };
            self.ends.insert(origin.clone(), end);
            Some(end)
        } else {
            None
        };
        let builder = Builder::new(
            Arc::new(origin.clone()),
            self.context.generation,
            self.context.limits,
            position,
            self.context.budget.arenas.clone(),
        );
        let gate = self.context.gate.clone();
        let mut partition = Partition::split(self.connection.consumer(), self.connection.wake(), builder, gate, committed, done)
            .ok_or_else(|| Fault::environment(format!("{origin}: its queue can't be split off; joining again")))?;
        if let Some(reader) = partition.reader() {
            reader.set_target(target);
        }
        self.partitions.push(partition);
        Ok(())
    }

    fn revoke(&mut self, list: TopicPartitionList) {
        for origin in origins(&list) {
            if let Some(partition) = self.partition(&origin.topic, origin.partition) {
                partition.stop();
            }
            if self.ready.as_ref() == Some(&origin) {
                self.ready = None;
            }
        }
        let session = settings::session(&self.config);
        let silence = settings::milliseconds(&self.config, "max.poll.interval.ms", 300_000);
        let limit = (session * 4 / 9).min(silence / 2);
        let lost = self.connection.consumer().assignment_lost();
        self.context.ledger.ask_seal(true);
        self.revocation = Some(Revocation { list, since: Instant::now(), limit, lost });
    }

    /// Gives the partitions back when all their batches are settled. Returns whether that is done.
    fn give_back(&mut self, revocation: Revocation) -> Result<bool, Fault> {
        let origins = origins(&revocation.list);
        let open: usize = origins.iter().map(|o| self.context.ledger.open(Some(o))).sum();
        if open > 0 && !revocation.lost && revocation.since.elapsed() < revocation.limit {
            self.revocation = Some(revocation);
            return Ok(false);
        }
        self.context.ledger.ask_seal(false);
        if open > 0 {
            let why = if revocation.lost { "the membership was lost" } else { "they were not done in time" };
            let message = format!(
                "partitions revoked while batches were in flight ({}; {open} batches; {why}); reading begins again at the commits",
                names(&revocation.list)
            );
            // Still unanswered: closing the connection will give the partitions up, after a last commit.
            self.revocation = Some(revocation);
            return Err(Fault::environment(message));
        }
        if !revocation.lost {
            let watermarks: Vec<_> =
                origins.iter().filter_map(|o| Some((o.clone(), self.context.ledger.watermark(o)?))).collect();
            self.commit_now(&watermarks);
        }
        for partition in self.partitions.extract_if(.., |p| origins.contains(p.origin())) {
            let origin = (**partition.origin()).clone();
            // A commit that was refused (the group was already forming anew), or of which nothing is heard, must not let us read twice
            // what comes back to us.
            if let Some(watermark) = self.context.ledger.watermark(&origin).filter(|w| partition.lacks(*w)) {
                self.unrecorded.insert(origin, watermark);
            }
        }
        self.turn = 0;
        give_up(self.connection.consumer(), &Change::Revoke(revocation.list.clone()));
        let (component, took) = (self.context.component.as_str(), revocation.since.elapsed());
        tracing::info!(component, partitions = names(&revocation.list), lost = revocation.lost, ?took, "partitions given back");
        Ok(true)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.partitions.clear();
        if let Some(revocation) = self.revocation.take() {
            give_up(self.connection.consumer(), &Change::Revoke(revocation.list));
        }
    }
}
