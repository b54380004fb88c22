//! What librdkafka tells us by callbacks: new assignments are put aside for the source, errors become one line per change of
//! state.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// A change of the assignment that librdkafka waits for us to carry out.
#[derive(Debug)]
pub(super) enum Change {
    /// These partitions are ours.
    Assign(TopicPartitionList),
    /// These are to be given away.
    Revoke(TopicPartitionList),
}

/// State shared by the callbacks and the source.
#[derive(Debug)]
pub(super) struct Context {
    component: String,
    brokers: String,
    quiet: bool,
    changes: Mutex<VecDeque<Change>>,
    closing: AtomicBool,
    /// Whether brokers are away or refuse us.
    troubled: AtomicBool,
    /// What was said since all was well.
    said: Mutex<BTreeSet<String>>,
    /// Partitions that the client has moved to another position by itself, as it says in its log and nowhere else.
    moved: Mutex<BTreeSet<(String, i32)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// A context that speaks.
    pub(super) fn new(component: &str, brokers: &str) -> Self {
        Self {
            component: component.into(),
            brokers: brokers.into(),
            quiet: false,
            changes: Mutex::default(),
            closing: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            said: Mutex::default(),
            moved: Mutex::default(),
        }
    }

    /// A context that says nothing, for a first look.
    pub(super) fn quiet(component: &str, brokers: &str) -> Self {
        Self { quiet: true, ..Self::new(component, brokers) }
    }

    /// The next change of the assignment.
    pub(super) fn next_change(&self) -> Option<Change> {
        lock(&self.changes).pop_front()
    }

    /// Whether the client has moved the partition to another position by itself since this was asked last: the one where it was is
    /// no longer in the log.
    pub(super) fn take_moved(&self, topic: &str, partition: i32) -> bool {
        let mut moved = lock(&self.moved);
        !moved.is_empty() && moved.remove(&(topic.to_owned(), partition))
    }

    /// From now on changes are answered at once: the consumer is being closed.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Whether brokers are away or refuse us.
    pub(super) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire)
    }

    /// A broker has answered.
    pub(super) fn well(&self) {
        if self.troubled.swap(false, Ordering::AcqRel) {
            lock(&self.said).clear();
            tracing::info!(component = self.component, brokers = self.brokers, "brokers answer again");
        }
    }

    /// Whether this is to be said: it was not said since all was well.
    fn first(&self, what: &str) -> bool {
        !self.quiet && lock(&self.said).insert(what.to_string())
    }

    /// As [`Context::first`], for what [`Context::well`] takes back.
    fn trouble(&self, what: &str) -> bool {
        self.troubled.store(true, Ordering::Release);
        self.first(what)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "OFFSET"
            && let Some(moved) = moved_partition(message)
        {
            lock(&self.moved).insert(moved);
        }
        // Lost connections come as errors as well (see `error`), and there they are said once.
        let connection = matches!(facility, "FAIL" | "ERROR" | "CONNECT");
        match level {
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(component = self.component, facility, "{message}");
            }
            _ if connection || self.quiet => tracing::debug!(component = self.component, facility, "{message}"),
            _ => tracing::warn!(component = self.component, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        let (component, brokers) = (self.component.as_str(), self.brokers.as_str());
        match error.rdkafka_error_code() {
            Some(Code::PartitionEOF) => {}
            Some(Code::AllBrokersDown) => {
                if self.trouble("away") {
                    tracing::warn!(
                        component,
                        brokers,
                        error = reason,
                        "no broker can be reached; trying again until one answers"
                    );
                }
            }
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut | Code::NodeUpdate) => {
                tracing::debug!(component, brokers, error = reason, "connection lost");
            }
            Some(
                Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::UnsupportedSASLMechanism
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::SSL,
            ) => {
                if self.trouble(reason) {
                    tracing::error!(
                        component,
                        brokers,
                        error = reason,
                        "the brokers refuse us; correct `source.kafka.properties`"
                    );
                }
            }
            _ => {
                if self.first(reason) {
                    tracing::warn!(component, brokers, error = reason, "the Kafka client reports a problem; it keeps trying");
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    /// Puts the change aside: splitting queues needs the shared consumer, and giving partitions away takes the sinks' time,
    /// neither of which there is inside a callback.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let change = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Change::Assign(list.clone())
        } else {
            Change::Revoke(list.clone())
        };
        if self.closing.load(Ordering::Acquire) {
            give_up(consumer, &change);
        } else {
            lock(&self.changes).push_back(change);
        }
    }
}

/// The partition of a line of librdkafka's log such as `[thrd:main]: ztf [3]: offset reset (at offset 7 ...) to ...`.
fn moved_partition(message: &str) -> Option<(String, i32)> {
    let (head, _) = message.split_once("]: offset reset (")?;
    let (topic, partition) = head.rsplit_once(" [")?;
    Some((topic.rsplit(' ').next()?.to_owned(), partition.parse().ok()?))
}

/// Answers a change without taking part in it any more.
pub(super) fn give_up(consumer: &BaseConsumer<Context>, change: &Change) {
    let answer = match (consumer.rebalance_protocol(), change) {
        (RebalanceProtocol::Cooperative, Change::Assign(list)) => consumer.incremental_assign(list),
        (RebalanceProtocol::Cooperative, Change::Revoke(list)) => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    };
    if let Err(error) = answer {
        tracing::debug!(%error, "closing: the assignment was not given up in order");
    }
}

/// Wakes the polling thread when one of librdkafka's queues has something for it.
#[derive(Debug, Default)]
pub(super) struct Wake {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wake {
    /// There is something. Called by librdkafka's threads with a queue locked: does nothing else.
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.bell.notify_one();
    }

    /// Waits until [`Wake::ring`] was called since the last wait, at most for `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let rung = lock(&self.rung);
        let (mut rung, _) = self.bell.wait_timeout_while(rung, limit, |rung| !*rung).unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_a_reset_is_found_in_the_line() {
        let line = "[thrd:main]: ztf_2 [13]: offset reset (at offset 7 (leader epoch 0), broker 1) to cached BEGINNING offset 9";
        assert_eq!(moved_partition(line), Some(("ztf_2".to_owned(), 13)));
        assert_eq!(moved_partition(line.trim_start_matches("[thrd:main]: ")), Some(("ztf_2".to_owned(), 13)));
        assert_eq!(moved_partition("[thrd:main]: ztf [1]: offset commit failed"), None);
    }
}
