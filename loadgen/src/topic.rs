//! A topic: is it there, creating it, and what it holds.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Headers;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::error::Error;
use crate::produce::INDEX_HEADER;

/// How long brokers may take to answer a question.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a question is asked again that finds no answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that are looked at for the mean size.
const SAMPLE: usize = 300;
/// Messages of them that are kept.
const KEPT: usize = 8;

/// Partitions of a topic, which is created with `wanted` of them where it isn't there.
pub(crate) fn ensure<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topic: &str,
    wanted: Option<u32>,
) -> Result<usize, Error> {
    ensure_keeping(client, brokers, topic, wanted, None)
}

/// As [`ensure`]; of each partition of a new topic the brokers keep at least the last `keep` bytes.
fn ensure_keeping<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topic: &str,
    wanted: Option<u32>,
    keep: Option<u64>,
) -> Result<usize, Error> {
    if let Some(found) = partitions(client, brokers, topic)? {
        return match wanted {
            Some(wanted) if wanted as usize != found => Err(Error::Partitions { topic: topic.to_owned(), found, wanted }),
            _ => Ok(found),
        };
    }
    let Some(wanted) = wanted else {
        return Err(Error::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() });
    };
    let failed = |error| Error::kafka(format!("create topic {topic}"), brokers)(error);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().map_err(failed)?;
    // -1: the brokers' own default replication.
    let (kept, segment) = (keep.unwrap_or_default().to_string(), keep.map_or(0, |keep| (keep / 4).max(1 << 20)).to_string());
    let mut new = NewTopic::new(topic, wanted as i32, TopicReplication::Fixed(-1)).set("max.message.bytes", "10485760");
    if keep.is_some() {
        new = new.set("retention.bytes", &kept).set("segment.bytes", &segment);
    }
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    for result in block_on(admin.create_topics([&new], &options)).map_err(failed)? {
        result.map_err(|(topic, code)| Error::Create { topic, reason: code.to_string() })?;
    }
    Ok(wanted as usize)
}

/// Creates a topic with this many partitions where it isn't there; one with another number of them is an error.
pub(crate) fn create(brokers: &str, topic: &str, partitions: u32) -> Result<(), Error> {
    create_keeping(brokers, topic, partitions, None)
}

/// As [`create`]; of each partition the brokers keep at least the last `keep` bytes, and not much more than twice that.
pub(crate) fn create_keeping(brokers: &str, topic: &str, partitions: u32, keep: Option<u64>) -> Result<(), Error> {
    let consumer = consumer(brokers, "skysluice-loadgen")?;
    let wanted = ensure_keeping(consumer.client(), brokers, topic, Some(partitions), keep)?;
    // The controller has answered; the brokers that clients ask may be a moment behind.
    let start = Instant::now();
    while !ends(&consumer, brokers, topic).is_ok_and(|ends| ends.len() == wanted) {
        if start.elapsed() > PATIENCE {
            return Err(Error::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A consumer that commits nothing, for questions about a group or a topic.
pub(crate) fn consumer(brokers: &str, group: &str) -> Result<BaseConsumer, Error> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("enable.auto.commit", "false");
    config.create().map_err(Error::kafka("ask", brokers))
}

/// Partitions of a topic, if it is there. Asks for all topics, because asking for one may create it.
fn partitions<C: ClientContext>(client: &Client<C>, brokers: &str, topic: &str) -> Result<Option<usize>, Error> {
    let metadata = client.fetch_metadata(None, ANSWER).map_err(Error::kafka("list the topics", brokers))?;
    Ok(metadata.topics().iter().find(|found| found.name() == topic).map(|found| found.partitions().len()))
}

/// What a topic holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Holding {
    /// Messages, by the offsets of its partitions.
    pub(crate) messages: u64,
    /// Mean size of the first few, bytes.
    pub(crate) mean_bytes: f64,
    /// A few of them with the running numbers that `produce` gave them.
    pub(crate) sample: Vec<(u64, Vec<u8>)>,
}

/// Looks at a topic, without a consumer group.
pub(crate) fn look(brokers: &str, topic: &str) -> Result<Holding, Error> {
    let failed = |error| Error::kafka(format!("read topic {topic}"), brokers)(error);
    let consumer = consumer(brokers, "skysluice-loadgen")?;
    let Some(count) = partitions(consumer.client(), brokers, topic)? else {
        return Err(Error::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() });
    };
    let mut messages = 0;
    let mut list = TopicPartitionList::new();
    for partition in 0..count as i32 {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER).map_err(failed)?;
        if high > low {
            messages += (high - low) as u64;
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
        }
    }
    if messages == 0 {
        return Err(Error::Empty { topic: topic.to_owned() });
    }
    consumer.assign(&list).map_err(failed)?;
    let (mut seen, mut bytes, mut sample) = (0, 0, Vec::new());
    while seen < SAMPLE.min(messages as usize) {
        match consumer.poll(ANSWER) {
            Some(message) => {
                let message = message.map_err(failed)?;
                bytes += message.payload_len();
                seen += 1;
                if let (Some(number), true) = (number(&message), sample.len() < KEPT) {
                    sample.push((number, message.payload().unwrap_or_default().to_vec()));
                }
            }
            // Offsets may count transaction markers, which are no messages.
            None => break,
        }
    }
    Ok(Holding { messages, mean_bytes: bytes as f64 / seen.max(1) as f64, sample })
}

/// The running number in a message's header.
fn number(message: &impl Message) -> Option<u64> {
    let header = message.headers()?.iter().find(|header| header.key == INDEX_HEADER)?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

/// Messages of the topic that the group has committed.
pub(crate) fn committed(consumer: &BaseConsumer, topic: &str, partitions: i32, brokers: &str) -> Result<u64, Error> {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let found =
        patiently(|| consumer.committed_offsets(list.clone(), ANSWER)).map_err(Error::kafka("ask for commits", brokers))?;
    let offsets = found.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => u64::try_from(offset).ok(),
        _ => None,
    });
    Ok(offsets.sum())
}

/// Asks again for a minute: a machine that stands still for a moment is no reason to give a long run up.
fn patiently<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(200)),
            answer => return answer,
        }
    }
}

/// First offsets of the partitions of a topic and those past their ends.
pub(crate) fn ends(consumer: &BaseConsumer, brokers: &str, topic: &str) -> Result<Vec<(i64, i64)>, Error> {
    let Some(count) = partitions(consumer.client(), brokers, topic)? else {
        return Err(Error::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() });
    };
    let failed = |error| Error::kafka(format!("find the ends of topic {topic}"), brokers)(error);
    let ask = |partition| patiently(|| consumer.fetch_watermarks(topic, partition, ANSWER)).map_err(failed);
    (0..count as i32).map(ask).collect()
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the one future that this program has: creating a topic.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
