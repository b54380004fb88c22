//! A Kafka producer as this module uses it: settings, delivery reports set aside until they are asked for, and one word in the
//! log per change of state.
//!
//! Purging never waits for the client library's threads of brokers: that of a broker that goes away need not answer.
//!
//! **Invariant:** nothing happens inside a callback of the client library but taking notes. Values of properties, which may be
//! secrets, are never in an error or in the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use crossbeam_channel::Receiver;
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};

use super::closing::Closing;
use crate::alert::Fault;

/// Our settings, which properties of the configuration win over. `message.timeout.ms` 0: the client library tries for as long
/// as a broker is away. `batch.size` stays below the limit that brokers have by default (1 MiB), as a broker refuses a batch
/// as a whole. `linger.ms`: what Java producers have since Kafka 4.0. The client library spins while a partition has five messages on their way
/// and others whose wait is over: at 1 ms that was a tenth of the CPU. `murmur2_random` puts a key where Java producers would.
const SETTINGS: [(&str, &str); 13] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "10000"),
    ("message.max.bytes", "10485760"),
    ("message.timeout.ms", "0"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "100000"),
    ("reconnect.backoff.max.ms", "2000"),
    ("partitioner", "murmur2_random"),
    ("socket.keepalive.enable", "true"),
];

/// What differs in a producer with transactions. A transaction that its producer has left is given up by the broker after this
/// time: until then it holds up readers of what is committed. No message may be tried for longer.
const TRANSACTIONAL: [(&str, &str); 2] = [("transaction.timeout.ms", "30000"), ("message.timeout.ms", "30000")];

/// How long a wait for reports sleeps at a time: short beside the time that a broker takes to answer.
const NAP: Duration = Duration::from_micros(500);

/// Other names of the properties above: ours gives way to these too.
const ALIASES: [(&str, &str); 4] = [
    ("acks", "request.required.acks"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
];

/// A Kafka cluster and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) component: String,
    pub(super) brokers: String,
    pub(super) properties: BTreeMap<String, String>,
    /// Where messages are sent in transactions: the id of their producer, which a new producer of the same id fences off.
    pub(super) transactional_id: Option<String>,
}

impl Cluster {
    /// The value of a setting, for messages about it. Never asked for a secret.
    pub(super) fn setting(&self, name: &str) -> &str {
        let ours = SETTINGS.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        self.properties.get(name).map_or(ours, String::as_str)
    }

    fn config(&self, extra: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", format!("skysluice-{}", self.component));
        let transactional: &[(&str, &str)] = if self.transactional_id.is_some() { &TRANSACTIONAL } else { &[] };
        for (key, value) in SETTINGS.iter().chain(transactional) {
            let other = ALIASES.iter().find(|(name, _)| name == key).map(|(_, alias)| *alias);
            if !other.is_some_and(|alias| self.properties.contains_key(alias)) {
                config.set(*key, *value);
            }
        }
        self.properties.iter().for_each(|(key, value)| {
            config.set(key, value);
        });
        extra.iter().for_each(|(key, value)| {
            config.set(*key, *value);
        });
        if let Some(id) = &self.transactional_id {
            config.set("transactional.id", id);
        }
        config
    }

    /// What a consumer of this cluster is made of, which is no member of its group.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", format!("skysluice-{}", self.component));
        self.properties.iter().for_each(|(key, value)| {
            config.set(key, value);
        });
        config.set("group.id", group).set("enable.auto.commit", "false").set_log_level(RDKafkaLogLevel::Error);
        config
    }
}

/// A message that came back, delivered or not.
#[derive(Debug)]
pub(super) struct Returned<T> {
    /// What was sent along with it.
    pub(super) item: Box<T>,
    /// Size of the payload in bytes.
    pub(super) bytes: usize,
    /// Why it was not delivered, or nothing.
    pub(super) failure: Option<RDKafkaErrorCode>,
}

/// What the callbacks note down.
pub(super) struct Notes<T> {
    component: String,
    brokers: String,
    returned: Mutex<Vec<Returned<T>>>,
    calls: AtomicU64,
    away: AtomicBool,
    fatal: AtomicBool,
    said: Mutex<Vec<RDKafkaErrorCode>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder does one whole operation of a collection, so that a poisoned lock holds a good one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + Sync> Notes<T> {
    fn fine(&self) {
        if self.away.swap(false, Ordering::AcqRel) {
            tracing::info!(component = self.component, brokers = self.brokers, "kafka is back: publishing goes on");
        }
        lock(&self.said).clear();
    }

    /// Says once, until the next delivery, that something is wrong.
    fn say(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut said = lock(&self.said);
        if !said.contains(&code) {
            said.push(code);
            let (component, brokers) = (&self.component, &self.brokers);
            tracing::warn!(component, brokers, ?code, reason, "publishing is in trouble: nothing is lost, it is tried again");
        }
    }
}

impl<T: Send + Sync> ClientContext for Notes<T> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.calls.fetch_add(1, Ordering::AcqRel);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                if !self.away.swap(true, Ordering::AcqRel) {
                    let (component, brokers) = (&self.component, &self.brokers);
                    tracing::warn!(component, brokers, reason, "kafka is away: publishing waits, nothing is lost");
                }
            }
            Some(code) => {
                if code == RDKafkaErrorCode::Fatal {
                    self.fatal.store(true, Ordering::Release);
                }
                self.say(code, reason);
            }
            None => tracing::warn!(component = self.component, brokers = self.brokers, reason, "the kafka client reports"),
        }
    }
}

impl<T: Send + Sync> ProducerContext for Notes<T> {
    type DeliveryOpaque = Box<T>;

    fn delivery(&self, result: &DeliveryResult<'_>, item: Box<T>) {
        self.calls.fetch_add(1, Ordering::AcqRel);
        let (message, failure) = match result {
            Ok(message) => {
                self.fine();
                (message, None)
            }
            Err((error, message)) => (message, Some(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))),
        };
        lock(&self.returned).push(Returned { item, bytes: message.payload_len(), failure });
    }
}

/// Offsets, and the group that they are commits of.
pub(super) type GroupOffsets = (TopicPartitionList, ConsumerGroupMetadata);

/// A producer and what came back from it.
pub(super) struct Channel<T: Send + Sync + 'static> {
    producer: Arc<Closing<BaseProducer<Notes<T>>>>,
}

/// A record with what is to come back with its delivery report.
pub(super) type Record<'a, T> = BaseRecord<'a, [u8], [u8], Box<T>>;

impl<T: Send + Sync + 'static> Channel<T> {
    /// A producer for a cluster. It connects in the background, so that a broker need not be there.
    pub(super) fn open(cluster: &Cluster, extra: &[(&str, &str)]) -> Result<Self, Fault> {
        let notes = Notes {
            component: cluster.component.clone(),
            brokers: cluster.brokers.clone(),
            returned: Mutex::default(),
            calls: AtomicU64::new(0),
            away: AtomicBool::new(false),
            fatal: AtomicBool::new(false),
            said: Mutex::default(),
        };
        let producer = cluster.config(extra).create_with_context(notes).map_err(|error| match error {
            KafkaError::ClientConfig(_, _, key, _) => Fault::defect(format!(
                "the Kafka client does not take the property `{key}` with the value given for {}; mend it in the configuration",
                cluster.brokers
            )),
            other => Fault::environment(format!("no Kafka client for {}: {other}", cluster.brokers)),
        })?;
        Ok(Self { producer: Arc::new(Closing::new(producer)) })
    }

    /// Hands a message over. On failure its item comes back with the reason.
    pub(super) fn send(&self, record: Record<'_, T>) -> Result<(), (Box<T>, RDKafkaErrorCode)> {
        self.producer.send(record).map_err(|(error, record)| {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            if code == RDKafkaErrorCode::Fatal {
                self.notes().fatal.store(true, Ordering::Release);
            }
            (record.delivery_opaque, code)
        })
    }

    /// Takes in what has happened; where nothing has, waits for something, for `wait` at most.
    pub(super) fn poll(&self, wait: Duration) {
        let end = Instant::now() + wait;
        let calls = || self.notes().calls.load(Ordering::Acquire);
        let first = calls();
        loop {
            let before = calls();
            self.producer.poll(Duration::ZERO);
            // The client library gives one event per call.
            if calls() != before {
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || before != first {
                return;
            }
            // It counts in whole milliseconds and asks the clock over and over for what is left of one, so the wait is ours.
            std::thread::sleep(left.min(NAP));
        }
    }

    /// The messages that have come back since it was last asked.
    pub(super) fn take(&self) -> Vec<Returned<T>> {
        std::mem::take(&mut *lock(&self.notes().returned))
    }

    /// Messages handed over that have not come back.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Whether the producer is past mending, with the reason: a new one is needed.
    pub(super) fn fatal(&self) -> Option<String> {
        if !self.notes().fatal.load(Ordering::Acquire) {
            return None;
        }
        self.producer.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }

    /// Says once, until the next delivery, that something is wrong.
    pub(super) fn say(&self, code: RDKafkaErrorCode, reason: &str) {
        self.notes().say(code, reason);
    }

    /// Calls back all that is on its way; false when some did not come back in time.
    pub(super) fn call_back(&self, limit: Duration) -> bool {
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        let end = Instant::now() + limit;
        while self.in_flight() > 0 && Instant::now() < end {
            self.poll(Duration::from_millis(10));
        }
        self.in_flight() == 0
    }

    /// Calls back what has not been sent to a broker yet.
    pub(super) fn call_back_unsent(&self) {
        self.producer.purge(PurgeConfig::default().queue().non_blocking());
    }

    /// Makes the producer the only one of its transactional id: what an earlier one has left open is given up.
    pub(super) fn init_transactions(&self, limit: Duration) -> KafkaResult<()> {
        self.producer.init_transactions(limit)
    }

    pub(super) fn begin_transaction(&self) -> KafkaResult<()> {
        self.producer.begin_transaction()
    }

    /// Adds commits of a group that become true with the transaction. The call is made beside, as it may never come back: it keeps no
    /// limit of time, and its search for the coordinator of the group goes on only when a connection to some broker comes or goes
    /// (librdkafka 2.12.1, `rd_kafka_coord_req_fsm`).
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn send_offsets(&self, commits: Arc<GroupOffsets>, limit: Duration) -> io::Result<Receiver<KafkaResult<()>>> {
        let (answer, answers) = crossbeam_channel::bounded(1);
        let producer = self.producer.clone();
        thread::Builder::new().name("kafka-marking".into()).spawn(move || {
            // Nobody may wait for it any more.
            let _ = answer.send(producer.send_offsets_to_transaction(&commits.0, &commits.1, limit));
        })?;
        Ok(answers)
    }

    /// Nothing may be on its way.
    pub(super) fn commit_transaction(&self, limit: Duration) -> KafkaResult<()> {
        self.producer.commit_transaction(limit)
    }

    /// Nothing may be on its way.
    pub(super) fn abort_transaction(&self, limit: Duration) -> KafkaResult<()> {
        self.producer.abort_transaction(limit)
    }

    fn notes(&self) -> &Notes<T> {
        self.producer.context()
    }
}

/// What has not been sent yet is not sent while the client is being closed.
impl<T: Send + Sync + 'static> Drop for Channel<T> {
    fn drop(&mut self) {
        self.call_back_unsent();
    }
}
