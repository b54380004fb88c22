//! `skysluice-loadgen produce`: sends alerts to a topic, at a rate, and waits until all of them are delivered.

use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::journal::{Header as JournalHeader, Journal, Record};
use crate::packets::{PacketArgs, Packets};
use crate::schedule::Schedule;
use crate::topic;

/// Header that holds the running number, in decimal.
pub(crate) const INDEX_HEADER: &str = "loadgen.index";
/// The longest wait between two looks at delivery reports.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a line of the journal may wait for others before it is written.
const FLUSH: Duration = Duration::from_millis(500);
/// Messages sent between two looks at delivery reports.
const LOOK: u64 = 32;

/// Arguments of `produce`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProduceArgs {
    /// Kafka brokers: host:port, separated by commas.
    #[arg(long)]
    pub(crate) brokers: String,
    /// Topic to fill.
    #[arg(long)]
    pub(crate) topic: String,
    /// Messages to send.
    #[arg(long)]
    pub(crate) count: u64,
    /// Messages per second; as fast as the brokers take them when absent.
    #[arg(long, value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Messages sent at once, at the mean rate of --rate: the alerts of an exposure.
    #[arg(long, requires = "rate", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) burst: Option<u64>,
    /// Creates the topic with this many partitions where it isn't there.
    #[arg(long)]
    pub(crate) partitions: Option<NonZeroU32>,
    /// Message key, which decides the partition.
    #[arg(long, value_enum, default_value = "object")]
    pub(crate) key: Key,
    /// Running number of the first message.
    #[arg(long, default_value_t = 0)]
    pub(crate) first_index: u64,
    /// Compression of the messages on their way and in the brokers.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) compression: Compression,
    /// Appends a line for every message that the brokers have acknowledged, by which `judge` tells later what has become of each.
    /// Give the same file again when going on with --first-index.
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) packets: PacketArgs,
}

/// Message keys.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Key {
    /// The object's name for made-up alerts, the name of the file for files.
    Object,
    /// None: messages are spread at random.
    None,
}

/// Compression codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    /// As they are.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// A number above zero.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

/// What was done; the JSON line.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    topic: String,
    /// Messages delivered.
    messages: u64,
    /// Bytes of their payloads.
    pub(crate) bytes: u64,
    /// From the first send to the last delivery.
    seconds: f64,
    /// Messages per second asked for.
    rate_offered: Option<f64>,
    /// Messages per second handed to the client library: the rate that was held.
    rate_sent: f64,
    /// Messages per second from the first send to the last delivery, which waits for the brokers.
    rate: f64,
    /// Messages delivered to each partition.
    partitions: Vec<u64>,
    first_index: u64,
}

/// Counts deliveries and writes them down.
#[derive(Default)]
struct Deliveries(Mutex<Counts>);

impl Deliveries {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what was written down to the system, every now and then.
    fn flush_journal(&self, last: &mut Instant) -> Result<(), Error> {
        let mut counts = self.counts();
        if let Some(error) = counts.unwritten.take() {
            return Err(Error::file("write", "the journal")(error));
        }
        match &mut counts.journal {
            Some(journal) if last.elapsed() > FLUSH => {
                *last = Instant::now();
                journal.flush()
            }
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct Counts {
    delivered: Vec<u64>,
    bytes: u64,
    failed: u64,
    reason: Option<KafkaError>,
    journal: Option<Journal>,
    /// Why the journal could not be written.
    unwritten: Option<std::io::Error>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The running number.
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        let mut counts = self.counts();
        match result {
            Ok(message) => {
                let partition = message.partition() as usize;
                if counts.delivered.len() <= partition {
                    counts.delivered.resize(partition + 1, 0);
                }
                counts.delivered[partition] += 1;
                counts.bytes += message.payload().map_or(0, <[u8]>::len) as u64;
                if let Some(journal) = &mut counts.journal {
                    let record = Record {
                        number: *number,
                        partition: message.partition(),
                        offset: message.offset(),
                        timestamp: message.timestamp().to_millis().unwrap_or(-1),
                        checksum: crc32fast::hash(message.payload().unwrap_or_default()),
                        key: message.key().and_then(|key| std::str::from_utf8(key).ok()),
                    };
                    let added = journal.add(&record);
                    counts.unwritten = counts.unwritten.take().or(added.err());
                }
            }
            Err((error, _)) => {
                counts.failed += 1;
                counts.reason.get_or_insert_with(|| error.clone());
            }
        }
    }
}

impl Summary {
    /// Mean size of a payload.
    pub(crate) fn bytes_a_message(&self) -> f64 {
        self.bytes as f64 / self.messages.max(1) as f64
    }
}

/// Runs `produce` and prints its line.
pub(crate) fn run(args: &ProduceArgs, out: &mut dyn Write) -> Result<(), Error> {
    let line = serde_json::to_string(&produce(args)?).expect("numbers and texts are always JSON");
    writeln!(out, "{line}").map_err(Error::file("write", "standard output"))
}

/// Sends the messages and waits for their delivery.
pub(crate) fn produce(args: &ProduceArgs) -> Result<Summary, Error> {
    produce_until(args, &AtomicBool::new(false), &progress(args.count))
}

/// As [`produce`], but ends early when told to stop.
pub(crate) fn produce_until(args: &ProduceArgs, stop: &AtomicBool, bar: &ProgressBar) -> Result<Summary, Error> {
    let packets = Packets::new(&args.packets)?;
    let producer: BaseProducer<Deliveries> =
        settings(args).create_with_context(Deliveries::default()).map_err(Error::kafka("start a producer", &args.brokers))?;
    if let Some(path) = &args.journal {
        let journal = Journal::open(path, &JournalHeader::new(&args.topic, args.key, &args.packets)?)?;
        producer.context().counts().journal = Some(journal);
    }
    let partitions = topic::ensure(producer.client(), &args.brokers, &args.topic, args.partitions.map(NonZeroU32::get))?;

    let schedule = Schedule::new(args.rate, args.burst);
    let (mut payload, mut key) = (Vec::new(), String::new());
    let start = Instant::now();
    let (mut flushed, mut sent) = (start, 0);
    'send: for number in 0..args.count {
        let index = args.first_index + number;
        packets.make(index, &mut payload, &mut key);
        loop {
            let wait = schedule.due(number).saturating_sub(start.elapsed());
            if wait.is_zero() {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                break 'send;
            }
            bar.set_position(number);
            // The client would spin through what is left of a wait below a millisecond, which at 1,000/s is all of it.
            producer.poll(Duration::ZERO);
            producer.context().flush_journal(&mut flushed)?;
            std::thread::sleep(schedule.due(number).saturating_sub(start.elapsed()).min(PAUSE));
        }
        send(&producer, args, index, &payload, &key)?;
        sent = number + 1;
        if number % LOOK == 0 {
            producer.poll(Duration::ZERO);
            producer.context().flush_journal(&mut flushed)?;
            bar.set_position(number);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    // The last message has its interval too.
    let sending = start.elapsed().max(schedule.due(sent));
    producer.flush(rdkafka::util::Timeout::Never).map_err(Error::kafka("deliver messages", &args.brokers))?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();

    producer.context().flush_journal(&mut flushed)?;
    let mut counts = producer.context().counts();
    if let Some(journal) = &mut counts.journal {
        journal.sync()?;
    }
    if let Some(reason) = &counts.reason {
        let (topic, reason) = (args.topic.clone(), reason.to_string());
        return Err(Error::Undelivered { failed: counts.failed, count: sent, topic, reason });
    }
    let mut delivered = std::mem::take(&mut counts.delivered);
    delivered.resize(partitions.max(delivered.len()), 0);
    Ok(Summary {
        topic: args.topic.clone(),
        messages: delivered.iter().sum(),
        bytes: counts.bytes,
        seconds,
        rate_offered: args.rate,
        rate_sent: sent as f64 / sending.as_secs_f64(),
        rate: sent as f64 / seconds,
        partitions: delivered,
        first_index: args.first_index,
    })
}

/// Settings of a producer for messages of 70 to 150 kB: batches by bytes, order and no doubles by idempotence.
fn settings(args: &ProduceArgs) -> ClientConfig {
    let compression = match args.compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &args.brokers)
        .set("client.id", "skysluice-loadgen")
        .set("enable.idempotence", "true")
        .set("compression.codec", compression)
        .set("message.max.bytes", "10485760")
        .set("batch.size", "1048576")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "131072");
    config
}

/// Hands one message to the client library, waiting while its queue is full.
fn send(producer: &BaseProducer<Deliveries>, args: &ProduceArgs, index: u64, payload: &[u8], key: &str) -> Result<(), Error> {
    let number = index.to_string();
    let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: INDEX_HEADER, value: Some(number.as_bytes()) });
    let mut record: BaseRecord<'_, str, [u8], Box<u64>> =
        BaseRecord::with_opaque_to(&args.topic, Box::new(index)).payload(payload).headers(headers);
    if args.key == Key::Object {
        record = record.key(key);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) => {
                producer.poll(PAUSE);
                record = same;
            }
            Err((error, _)) => {
                return Err(Error::kafka(format!("send message {index} to topic {}", args.topic), &args.brokers)(error));
            }
        }
    }
}

/// A bar on the terminal; nothing where standard error is none.
pub(crate) fn progress(count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} alerts, {per_sec}, {eta} left");
    ProgressBar::new(count).with_style(style.expect("the template is well formed"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::Headers;
    use rdkafka::mocking::MockCluster;
    use rdkafka::{Offset, TopicPartitionList};

    use super::*;
    use crate::packets::tests::args as packet_args;

    fn args(brokers: String, topic: &str, count: u64) -> ProduceArgs {
        ProduceArgs {
            brokers,
            topic: topic.to_owned(),
            count,
            rate: None,
            burst: None,
            partitions: None,
            key: Key::Object,
            first_index: 1000,
            compression: Compression::Lz4,
            journal: None,
            packets: packet_args(None),
        }
    }

    #[test]
    fn every_message_arrives_with_its_number_and_key() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("night", 3, 1).unwrap();
        let args = args(cluster.bootstrap_servers(), "night", 50);
        let summary = produce(&args).unwrap();
        assert_eq!((summary.messages, summary.partitions.len()), (50, 3));
        assert!(summary.bytes > 50 * 50_000);

        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &args.brokers).set("group.id", "test").create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            list.add_partition_offset("night", partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let packets = Packets::new(&args.packets).unwrap();
        let mut seen = HashSet::new();
        let deadline = Instant::now() + Duration::from_secs(30);
        while seen.len() < 50 {
            assert!(Instant::now() < deadline, "{} of 50 messages", seen.len());
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            let header = message.headers().unwrap().get(0);
            assert_eq!(header.key, INDEX_HEADER);
            let index: u64 = std::str::from_utf8(header.value.unwrap()).unwrap().parse().unwrap();
            let (mut payload, mut key) = (Vec::new(), String::new());
            packets.make(index, &mut payload, &mut key);
            assert_eq!((message.payload(), message.key()), (Some(payload.as_slice()), Some(key.as_bytes())));
            assert!(seen.insert(index));
        }
        assert!(seen.iter().all(|index| (1000..1050).contains(index)));

        let holding = topic::look(&args.brokers, "night").unwrap();
        assert_eq!(holding.messages, 50);
        assert!((holding.mean_bytes - summary.bytes as f64 / 50.0).abs() < 1.0);
    }

    #[test]
    fn a_journal_has_a_line_for_every_message_that_was_acknowledged() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("night", 3, 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let args = args(cluster.bootstrap_servers(), "night", 40);
        let args = ProduceArgs { journal: Some(path.clone()), key: Key::None, ..args };
        produce(&args).unwrap();
        produce(&ProduceArgs { first_index: 1040, count: 10, ..args.clone() }).unwrap();
        let packets = Packets::new(&args.packets).unwrap();
        let mut reader = crate::journal::Reader::open(&path).unwrap();
        let (mut numbers, mut places) = (Vec::new(), HashSet::new());
        while let Some(record) = reader.read_record().unwrap() {
            let (mut payload, mut key) = (Vec::new(), String::new());
            packets.make(record.number, &mut payload, &mut key);
            assert_eq!((record.checksum, record.key), (crc32fast::hash(&payload), None));
            // What the broker says: this one gives all messages the same time.
            assert!(record.timestamp > 0, "{record:?}");
            assert!(places.insert((record.partition, record.offset)), "{record:?}");
            numbers.push(record.number);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1000..1050).collect::<Vec<u64>>());
        assert!(!reader.is_torn());
    }

    #[test]
    fn a_rate_is_held() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("night", 1, 1).unwrap();
        let args = ProduceArgs { rate: Some(100.0), key: Key::None, ..args(cluster.bootstrap_servers(), "night", 100) };
        // The last message is due after 0.99 s: never faster, however late the machine is.
        let summary = produce(&args).unwrap();
        assert!(summary.seconds >= 0.99, "{}", summary.seconds);
        assert_eq!(summary.rate_offered, Some(100.0));
        assert!(summary.rate_sent <= 101.0, "{}", summary.rate_sent);
    }

    #[test]
    fn a_topic_that_is_not_there_or_another_is_said() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("night", 3, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let error = produce(&args(brokers.clone(), "day", 1)).unwrap_err().to_string();
        assert!(error.contains("there is no topic day") && error.contains("--partitions"), "{error}");
        let wrong = ProduceArgs { partitions: NonZeroU32::new(4), ..args(brokers, "night", 1) };
        let error = produce(&wrong).unwrap_err().to_string();
        assert!(error.contains("has 3 partitions, not 4"), "{error}");
    }
}
