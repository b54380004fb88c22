//! The topic of dead letters, read back: headers as `publish` writes them become letters again. Partitions are read without
//! joining the group, whose commits say only what was processed again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::alert::{Fault, Header};
use crate::letters::{StoredHeader, StoredLetter};
use crate::source::kafka::headers;

/// How long a broker may take to answer a question.
const ASK: Duration = Duration::from_secs(30);
/// How long no message may come while there should be some.
const SILENCE: Duration = Duration::from_secs(60);

/// A topic of dead letters.
#[derive(Clone, Debug)]
pub struct LetterTopic {
    brokers: String,
    topic: String,
    /// Properties that hold for any client of the cluster.
    properties: BTreeMap<String, String>,
    group: String,
}

/// What a partition of the topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Offset of the first message that is kept.
    pub first: i64,
    /// Offset below which all was processed again, not below `first`.
    pub requeued: i64,
    /// One past the last message.
    pub end: i64,
}

/// A letter with its place in the topic.
#[derive(Clone, Debug)]
pub struct TopicLetter {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// Bytes of the message, where the topic did not take them: then there is no payload.
    pub omitted: Option<u64>,
    /// The letter; `None` for a message that is none.
    pub letter: Option<StoredLetter>,
}

/// Says in the log what librdkafka says, but quietly: the commands tell what failed.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}

impl ConsumerContext for Quiet {}

impl LetterTopic {
    /// The topic of a component. `properties` are those of any client of the cluster; nothing is connected yet.
    #[must_use]
    pub fn new(component: &str, brokers: &str, topic: &str, properties: BTreeMap<String, String>) -> Self {
        let group = format!("skysluice-{component}-requeue");
        Self { brokers: brokers.to_owned(), topic: topic.to_owned(), properties, group }
    }

    /// Name of the topic.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.topic
    }

    /// The group whose commits say what was processed again.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers).set("client.id", "skysluice");
        self.properties.iter().for_each(|(key, value)| {
            client.set(key, value);
        });
        client
    }

    fn consumer(&self) -> Result<BaseConsumer<Quiet>, Fault> {
        let mut client = self.client();
        client
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true");
        client.create_with_context(Quiet).map_err(|error| refused(&error))
    }

    fn failed(&self, doing: &str, error: &dyn std::fmt::Display) -> Fault {
        Fault::environment(format!("cannot {doing} the topic of dead letters {} at {}: {error}", self.topic, self.brokers))
    }

    /// What each partition holds now.
    ///
    /// # Errors
    /// When the brokers don't answer, or there is no such topic.
    pub fn extents(&self) -> Result<BTreeMap<i32, Extent>, Fault> {
        let consumer = self.consumer()?;
        let failed = |error: KafkaError| self.failed("ask for", &error);
        let metadata = consumer.fetch_metadata(Some(&self.topic), ASK).map_err(failed)?;
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().iter().filter(|t| t.name() == self.topic).flat_map(|t| t.partitions()) {
            list.add_partition(&self.topic, partition.id());
        }
        if list.count() == 0 {
            return Err(self.failed("find", &"the cluster has no such topic, or this user may not see it"));
        }
        let committed = consumer.committed_offsets(list, ASK).map_err(failed)?;
        let mut extents = BTreeMap::new();
        for element in committed.elements() {
            let (first, end) = consumer.fetch_watermarks(&self.topic, element.partition(), ASK).map_err(failed)?;
            // A commit beyond the end is of a topic that was made anew since.
            let requeued = match element.offset() {
                Offset::Offset(offset) if offset <= end => offset.max(first),
                _ => first,
            };
            extents.insert(element.partition(), Extent { first, requeued, end });
        }
        Ok(extents)
    }

    /// Reads each partition from one offset to another (excluded), and gives all messages there.
    ///
    /// # Errors
    /// When the brokers fall silent, or `each` fails.
    pub fn read<E: From<Fault>>(
        &self,
        ranges: &BTreeMap<i32, (i64, i64)>,
        mut each: impl FnMut(TopicLetter) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut open: BTreeMap<i32, i64> = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for (partition, (from, to)) in ranges.iter().filter(|(_, (from, to))| from < to) {
            open.insert(*partition, *to);
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*from)).map_err(|e| self.failed("read", &e))?;
        }
        if open.is_empty() {
            return Ok(());
        }
        let consumer = self.consumer()?;
        consumer.assign(&list).map_err(|e| self.failed("read", &e))?;
        let (mut heard, mut trouble) = (Instant::now(), None);
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(to) = open.get(&partition).copied() else { continue };
                    if offset < to {
                        each(letter(&message))?;
                    }
                    if offset + 1 >= to {
                        open.remove(&partition);
                    }
                }
                // The last offsets may be none of a message: markers of transactions.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => trouble = Some(error),
                None => {}
            }
            if heard.elapsed() > SILENCE {
                let why = trouble.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
                return Err(self.failed("read", &why).into());
            }
        }
        Ok(())
    }

    /// Notes up to where letters were processed again.
    ///
    /// # Errors
    /// When the commit is not taken.
    pub fn commit(&self, positions: &BTreeMap<i32, i64>) -> Result<(), Fault> {
        let list = self.list(positions)?;
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer()?.commit(&list, CommitMode::Sync).map_err(|e| self.failed("commit positions in", &e))
    }

    /// Deletes the messages below these offsets for good.
    ///
    /// # Errors
    /// When the brokers refuse: this user may not, or the topic is compacted.
    pub fn delete_below(&self, positions: &BTreeMap<i32, i64>) -> Result<(), Fault> {
        let admin: AdminClient<Quiet> = self.client().create_with_context(Quiet).map_err(|error| refused(&error))?;
        let list = self.list(positions)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| self.failed("delete letters of", &e))?;
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let deleted =
            runtime.block_on(admin.delete_records(&list, &options)).map_err(|e| self.failed("delete letters of", &e))?;
        let refused = deleted.elements().into_iter().find_map(|element| element.error().err());
        refused.map_or(Ok(()), |error| {
            Err(self
                .failed("delete letters of", &format!("{error}; only a topic with `cleanup.policy` delete lets go of messages")))
        })
    }

    fn list(&self, positions: &BTreeMap<i32, i64>) -> Result<TopicPartitionList, Fault> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            let added = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
            added.map_err(|e| self.failed("name positions in", &e))?;
        }
        Ok(list)
    }
}

/// Why librdkafka refused the properties, without their values: one of them may be a password.
fn refused(error: &KafkaError) -> Fault {
    let what = match error {
        KafkaError::ClientConfig(_, _, key, _) => format!("property `{key}` is unknown or its value is not allowed"),
        other => other.to_string(),
    };
    Fault::defect(format!("the Kafka client can't start: {what}; correct `dead_letters.properties`"))
}

fn letter(message: &BorrowedMessage<'_>) -> TopicLetter {
    let all = message.headers().map_or_else(Vec::new, headers);
    let (partition, offset) = (message.partition(), message.offset());
    let parsed = letter_of_headers(all, message.timestamp().to_millis());
    let (letter, omitted) = parsed.map_or((None, None), |(mut letter, omitted)| {
        letter.key = message.key().map(<[u8]>::to_vec);
        letter.payload = message.payload().map(<[u8]>::to_vec);
        (Some(letter), omitted)
    });
    TopicLetter { partition, offset, omitted, letter }
}

/// A letter without key and payload, and the bytes that were left out of it. Ours are the headers from the last
/// `skysluice.stage` on: the message may have come from another pipeline, with headers of that one. `time` is that of the message
/// in the topic of letters, milliseconds since 1970, UTC. `None` for a message that is no letter.
#[must_use]
pub fn letter_of_headers(mut all: Vec<Header>, time: Option<i64>) -> Option<(StoredLetter, Option<u64>)> {
    let own = all.split_off(all.iter().rposition(|(name, _)| name == "skysluice.stage")?);
    let text = |name: &str| {
        let value = own.iter().find(|(n, _)| n == name)?.1.as_deref();
        std::str::from_utf8(value.unwrap_or_default()).ok()
    };
    let timestamp = match text("skysluice.timestamp") {
        Some(given) => given.parse().ok(),
        // Written before there was such a header.
        None => time,
    };
    let letter = StoredLetter {
        topic: text("skysluice.topic")?.to_owned(),
        partition: text("skysluice.partition")?.parse().ok()?,
        offset: text("skysluice.offset")?.parse().ok()?,
        record: text("skysluice.record").and_then(|record| record.parse().ok()),
        timestamp,
        key: None,
        headers: all.into_iter().map(|(name, value)| StoredHeader { name, value }).collect(),
        stage: text("skysluice.stage")?.to_owned(),
        reason: text("skysluice.reason")?.to_owned(),
        payload: None,
    };
    Some((letter, text("skysluice.omitted").and_then(|bytes| bytes.parse().ok())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all(pairs: &[(&str, &str)]) -> Vec<Header> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec()))).collect()
    }

    const OURS: [(&str, &str); 6] = [
        ("skysluice.stage", "decode"),
        ("skysluice.reason", "cut short"),
        ("skysluice.topic", "ztf"),
        ("skysluice.partition", "3"),
        ("skysluice.offset", "17"),
        ("skysluice.timestamp", "1700000000000"),
    ];

    #[test]
    fn headers_of_the_message_stay_apart_from_ours() {
        // The message was published by another pipeline, died there, and was sent on.
        let theirs = [("skysluice.stage", "publish"), ("skysluice.topic", "elsewhere"), ("x", "y")];
        let (letter, omitted) = letter_of_headers(all(&[&theirs[..], &OURS].concat()), Some(5)).unwrap();
        assert_eq!((letter.topic.as_str(), letter.partition, letter.offset, letter.record), ("ztf", 3, 17, None));
        assert_eq!((letter.stage.as_str(), letter.reason.as_str()), ("decode", "cut short"));
        assert_eq!((letter.timestamp, omitted), (Some(1_700_000_000_000), None));
        let names: Vec<&str> = letter.headers.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["skysluice.stage", "skysluice.topic", "x"]);
    }

    #[test]
    fn a_message_without_time_has_none_and_older_letters_take_that_of_the_topic() {
        let mut ours = all(&OURS[..5]);
        assert_eq!(letter_of_headers(ours.clone(), Some(5)).unwrap().0.timestamp, Some(5));
        ours.extend(all(&[("skysluice.timestamp", "none"), ("skysluice.record", "2"), ("skysluice.omitted", "99")]));
        let (letter, omitted) = letter_of_headers(ours, Some(5)).unwrap();
        assert_eq!((letter.timestamp, letter.record, omitted), (None, Some(2), Some(99)));
    }

    #[test]
    fn what_is_no_letter_is_none() {
        assert!(letter_of_headers(all(&[("skysluice.topic", "ztf")]), None).is_none());
        assert!(letter_of_headers(all(&[("skysluice.stage", "decode"), ("skysluice.offset", "x")]), None).is_none());
    }
}
