//! The newest message of a topic, read without a group: nothing is committed, no membership is taken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;

/// How long brokers may take to say what there is.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// How long the messages may take.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How far back to look in a partition, in offsets: markers of transactions and tombstones may lie at its end.
const STEPS: [i64; 4] = [1, 8, 128, 2048];

/// The newest message could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NewestError {
    /// librdkafka does not take a property.
    #[error("the Kafka client can't start: {0}; correct the properties")]
    Properties(String),
    /// No broker has answered.
    #[error("the brokers {brokers} have not answered within {} s: {reason}", ASK_LIMIT.as_secs())]
    Away {
        /// Brokers.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// There is no such topic.
    #[error("there is no topic {topic} at {brokers}, or it may not be read: {reason}")]
    NoTopic {
        /// The topic.
        topic: String,
        /// Brokers.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// The topic has no message.
    #[error("the topic {0} has no message")]
    Empty(String),
    /// Reading failed.
    #[error("the topic {topic} can't be read: {reason}")]
    Read {
        /// The topic.
        topic: String,
        /// What librdkafka says.
        reason: String,
    },
}

/// The message of a topic with the latest time, of the last in each partition that have a payload. `properties` are
/// librdkafka's.
///
/// # Errors
/// When brokers are away, there is no such topic, or nothing in it.
pub fn newest(brokers: &str, topic: &str, properties: &BTreeMap<String, String>) -> Result<Vec<u8>, NewestError> {
    let mut client = ClientConfig::new();
    // A group has to be named although none is joined.
    client.set("client.id", "skysluice").set("bootstrap.servers", brokers).set("group.id", "skysluice-look");
    client.set("log.connection.close", "false").set_log_level(RDKafkaLogLevel::Warning);
    for (key, value) in properties {
        client.set(key, value);
    }
    client.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer<Context> = client.create_with_context(Context::quiet("look", brokers)).map_err(|e| match e {
        // Without its value: it may be a password.
        KafkaError::ClientConfig(_, _, key, _) => {
            NewestError::Properties(format!("property `{key}` is unknown or its value is not allowed"))
        }
        other => NewestError::Properties(other.to_string()),
    })?;
    let away = |e: KafkaError| NewestError::Away { brokers: brokers.to_owned(), reason: e.to_string() };
    let metadata = consumer.fetch_metadata(Some(topic), ASK_LIMIT).map_err(away)?;
    let missing = |reason: String| NewestError::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned(), reason };
    let found = metadata.topics().iter().find(|t| t.name() == topic).ok_or_else(|| missing("not listed".to_owned()))?;
    if let Some(error) = found.error().filter(|e| *e != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) {
        return Err(missing(KafkaError::MetadataFetch(error.into()).to_string()));
    }
    let mut ends = Vec::new();
    for partition in found.partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), ASK_LIMIT).map_err(away)?;
        ends.push((partition.id(), low, high));
    }
    let mut last = BTreeMap::new();
    for step in STEPS {
        ends.retain(|(partition, low, high)| high > low && !last.contains_key(partition));
        if ends.is_empty() {
            break;
        }
        last.extend(read(&consumer, topic, &ends, step)?);
        // What has been read whole has nothing more to give.
        ends.retain(|(_, low, high)| high - low > step);
    }
    let newest = last.into_values().max_by_key(|(time, _)| *time);
    newest.map(|(_, payload)| payload).ok_or_else(|| NewestError::Empty(topic.to_owned()))
}

/// Time and payload of a message.
type Timed = (Option<i64>, Vec<u8>);

/// The last message with a payload among the last `step` offsets of each partition.
fn read(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    ends: &[(i32, i64, i64)],
    step: i64,
) -> Result<BTreeMap<i32, Timed>, NewestError> {
    let failed = |reason: String| NewestError::Read { topic: topic.to_owned(), reason };
    let mut list = TopicPartitionList::new();
    for (partition, low, high) in ends {
        let from = Offset::Offset((high - step).max(*low));
        list.add_partition_offset(topic, *partition, from).map_err(|e| failed(e.to_string()))?;
    }
    consumer.assign(&list).map_err(|e| failed(e.to_string()))?;
    let end = Instant::now() + READ_LIMIT;
    let mut last: BTreeMap<i32, Timed> = BTreeMap::new();
    // A partition is done at its end, or where it ended when it was asked: a busy topic has no end.
    let mut open: BTreeMap<i32, i64> = ends.iter().map(|(partition, _, high)| (*partition, *high)).collect();
    let mut trouble = String::new();
    while !open.is_empty() {
        if Instant::now() >= end {
            return Err(failed(format!("not all came within {} s{trouble}", READ_LIMIT.as_secs())));
        }
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Ok(message)) => {
                if let Some(payload) = message.payload() {
                    last.insert(message.partition(), (message.timestamp().to_millis(), payload.to_vec()));
                }
                if open.get(&message.partition()).is_some_and(|high| message.offset() + 1 >= *high) {
                    open.remove(&message.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                return Err(failed(error.to_string()));
            }
            // A lost connection is made again.
            Some(Err(error)) => trouble = format!("; the last error was: {error}"),
        }
    }
    Ok(last)
}
