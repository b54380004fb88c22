//! Producing to and reading from a test's Kafka, by rdkafka.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Kafka, await_for};

/// A message to produce.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Partition; by the key's hash or by turns where absent.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Payload; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

/// Where a message was put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// A message that was read.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Where it lay.
    pub placed: Placed,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Payload.
    pub payload: Option<Vec<u8>>,
    /// Headers.
    pub headers: HashMap<String, Vec<u8>>,
}

#[derive(Default)]
struct Receipts(Mutex<HashMap<usize, Result<Placed, String>>>);

impl ClientContext for Receipts {}

impl ProducerContext for Receipts {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let receipt = match result {
            Ok(message) => Ok(Placed { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.to_string()),
        };
        self.0.lock().unwrap().insert(*index, receipt);
    }
}

impl Kafka {
    /// Produces all messages and says where each lies; all are written when this returns.
    pub fn produce(&self, topic: &str, messages: impl IntoIterator<Item = Outgoing>) -> Vec<Placed> {
        let mut config = self.client();
        config.set("message.max.bytes", "10485760").set("acks", "all").set("enable.idempotence", "true");
        config.set("linger.ms", "5").set("queue.buffering.max.kbytes", "65536");
        let producer: BaseProducer<Receipts> = config.create_with_context(Receipts::default()).unwrap();
        let mut count = 0;
        for (index, message) in messages.into_iter().enumerate() {
            count = index + 1;
            let mut record: BaseRecord<'_, [u8], [u8], Box<usize>> = BaseRecord::with_opaque_to(topic, Box::new(index));
            record.partition = message.partition;
            record.key = message.key.as_deref();
            record.payload = message.payload.as_deref();
            record.timestamp = message.timestamp;
            while let Err((error, again)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "topic {topic}");
                producer.poll(Duration::from_millis(100));
                record = again;
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(120)).unwrap();
        let mut receipts = producer.context().0.lock().unwrap();
        (0..count).map(|i| receipts.remove(&i).expect("every message has a receipt after the flush").unwrap()).collect()
    }

    /// First offset and one past the last of each partition. A broker that has just come back is given time to find its
    /// partitions.
    pub fn ends(&self, topic: &str) -> Vec<(i64, i64)> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let limit = Duration::from_secs(5);
        await_for(&format!("the ends of {topic}"), Duration::from_secs(30), || {
            let metadata = consumer.fetch_metadata(Some(topic), limit).ok()?;
            let partitions = metadata.topics().first()?.partitions().iter().map(|p| p.id()).collect::<BTreeSet<_>>();
            let ends = partitions.iter().map(|p| consumer.fetch_watermarks(topic, *p, limit).ok());
            ends.collect::<Option<Vec<_>>>().filter(|ends| !ends.is_empty())
        })
    }

    /// Messages in a topic.
    pub fn count(&self, topic: &str) -> u64 {
        self.ends(topic).iter().map(|(low, high)| u64::try_from(high - low).unwrap()).sum()
    }

    /// What a group has committed, by partition; `None` where nothing. The first group of a broker takes it a while to look after.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let mut config = self.client();
        let consumer: BaseConsumer = config.set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        let partitions = self.ends(topic).len();
        list.add_partition_range(topic, 0, i32::try_from(partitions).unwrap() - 1);
        let found = await_for(&format!("the commits of {group}"), Duration::from_secs(30), || {
            consumer.committed_offsets(list.clone(), Duration::from_secs(20)).ok()
        });
        found.elements().iter().map(|e| if let Offset::Offset(o) = e.offset() { Some(o) } else { None }).collect()
    }

    /// Commits offsets of a group that has no member, by partition.
    pub fn commit(&self, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
        }
        // The first group of a broker takes it a while to look after.
        await_for(&format!("a commit of {group}"), Duration::from_secs(30), || consumer.commit(&list, CommitMode::Sync).ok());
    }

    /// Reads a topic from its beginning to the end that it has now.
    pub fn read(&self, topic: &str) -> Vec<Incoming> {
        self.read_with(topic, |m| Incoming {
            placed: Placed { partition: m.partition(), offset: m.offset() },
            key: m.key().map(<[u8]>::to_vec),
            payload: m.payload().map(<[u8]>::to_vec),
            headers: headers(m),
        })
    }

    /// As [`Kafka::read`], keeping only what `pick` takes of each message.
    pub fn read_with<T>(&self, topic: &str, pick: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let ends = self.ends(topic);
        let mut config = self.client();
        config.set("group.id", "test-reader").set("enable.auto.commit", "false").set("fetch.message.max.bytes", "16777216");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for (p, (low, _)) in ends.iter().enumerate() {
            list.add_partition_offset(topic, i32::try_from(p).unwrap(), Offset::Offset(*low)).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut left: i64 = ends.iter().map(|(low, high)| high - low).sum();
        let mut found = Vec::new();
        let end = Instant::now() + Duration::from_secs(120);
        while left > 0 {
            assert!(Instant::now() < end, "{left} messages of {topic} could not be read");
            if let Some(message) = consumer.poll(Duration::from_millis(200)) {
                found.push(pick(&message.unwrap()));
                left -= 1;
            }
        }
        found
    }
}

impl Kafka {
    /// What readers of a topic see who take only what is committed (or, where not asked, also what never was), to its end.
    pub fn read_to_end<T>(&self, topic: &str, committed: bool, pick: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let mut config = self.client();
        config.set("group.id", "test-reader").set("enable.auto.commit", "false").set("fetch.message.max.bytes", "16777216");
        config.set("enable.partition.eof", "true");
        config.set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" });
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        let partitions = self.ends(topic).len();
        for p in 0..partitions {
            list.add_partition_offset(topic, i32::try_from(p).unwrap(), Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut found, mut ended) = (Vec::new(), std::collections::HashSet::new());
        let end = Instant::now() + Duration::from_secs(120);
        while ended.len() < partitions {
            assert!(Instant::now() < end, "{} of {partitions} partitions of {topic} could not be read to the end", ended.len());
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => found.push(pick(&message)),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => panic!("reading {topic}: {error}"),
                None => {}
            }
        }
        found
    }
}

/// Headers of a message; one without a value is empty.
pub fn headers(message: &BorrowedMessage<'_>) -> HashMap<String, Vec<u8>> {
    let Some(headers) = message.headers() else { return HashMap::new() };
    headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
}
