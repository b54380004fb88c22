//! What an output topic holds: every message up to the end that it has when judging begins, compared with what was sent.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use apache_avro::types::Value;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::sent::{Again, Sent};
use super::tally::{Origin, Tally, Wrong, identify};
use super::value::contains;
use super::writer::{Writer, Writers};
use crate::container;
use crate::error::Error;
use crate::topic;

/// How long nothing may come before a topic is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Beginning of the names of the program's headers.
const PREFIX: &str = "skysluice.";

/// Schemas of messages that don't have theirs.
#[derive(Clone, Debug, Default)]
pub(super) struct Schemas {
    /// Folder of `ID.avsc` for messages with a schema id.
    pub(super) folder: Option<PathBuf>,
    /// The schema of messages that are the datum alone.
    pub(super) bare: Option<PathBuf>,
}

/// Calls `each` with every message of a topic up to its present end: of committed transactions, or all.
pub(super) fn read(
    brokers: &str,
    topic: &str,
    committed: bool,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |error| Error::kafka(format!("read topic {topic}"), brokers)(error);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "skysluice-loadgen")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" })
        .set("fetch.message.max.bytes", "16777216")
        .set("queued.max.messages.kbytes", "65536")
        .create()
        .map_err(failed)?;
    let mut list = TopicPartitionList::new();
    // Of each partition that has something: where it ends.
    let mut open: HashMap<i32, i64> = HashMap::new();
    for (partition, (low, high)) in (0..).zip(topic::ends(&consumer, brokers, topic)?) {
        if low < high {
            list.add_partition_offset(topic, partition, Offset::Offset(low)).map_err(failed)?;
            open.insert(partition, high);
        }
    }
    consumer.assign(&list).map_err(failed)?;
    let mut moved = Instant::now();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            None if moved.elapsed() > PATIENCE => {
                return Err(Error::Stuck { topic: topic.to_owned(), seconds: PATIENCE.as_secs() });
            }
            None => continue,
            // The last offsets may be those of transactions, which are no messages.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(message)) => {
                if let Some(end) = open.get(&message.partition()).copied() {
                    if message.offset() < end {
                        each(&message)?;
                    }
                    if message.offset() + 1 >= end {
                        open.remove(&message.partition());
                    }
                }
            }
        }
        moved = Instant::now();
    }
    Ok(())
}

/// An output topic while it is read.
pub(super) struct Output<'a> {
    sent: &'a Sent,
    again: &'a mut Again,
    writers: Writers,
    schemas: &'a Schemas,
    /// Text of the schemas that were read from files.
    texts: HashMap<PathBuf, String>,
    /// Of each key in each partition, the latest offset of its source partition. Keys are known by 64 bits of hash.
    latest: HashMap<u64, i64>,
    /// What was found.
    pub(super) tally: Tally,
}

impl<'a> Output<'a> {
    /// Nothing read yet.
    pub(super) fn new(sent: &'a Sent, again: &'a mut Again, schemas: &'a Schemas) -> Self {
        let (writers, texts, latest) = (Writers::default(), HashMap::new(), HashMap::new());
        Self { sent, again, writers, schemas, texts, latest, tally: Tally::new(sent.len()) }
    }

    /// Takes in a message.
    pub(super) fn message(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        self.tally.found += 1;
        let here = || format!("partition {} offset {}", message.partition(), message.offset());
        let decoded = decode(message.payload().unwrap_or_default(), self.schemas, &mut self.texts, &mut self.writers)?;
        let id = self.sent.id_field.and_then(|field| match decoded.as_ref().ok()? {
            (Value::Record(fields), _) => fields.iter().find_map(|(name, value)| match value {
                Value::Long(id) if name == field => Some(*id),
                _ => None,
            }),
            _ => None,
        });
        let headers = headers_of(message);
        let origin = Origin { timestamp: message.timestamp().to_millis(), ..origin(&headers) };
        let Some(who) = identify(self.sent, &mut self.tally, &origin, id, &here) else { return Ok(()) };
        let first = self.tally.hit(who);
        let (source, offset) = self.sent.place(who);
        if let (Some(key), true) = (message.key(), first) {
            let mut hasher = DefaultHasher::new();
            (message.partition(), source, key).hash(&mut hasher);
            let latest = self.latest.entry(hasher.finish()).or_insert(offset);
            if offset < *latest {
                let (sent, before) = (self.sent, *latest);
                self.tally.fault(Wrong::Disordered, Some(who), || {
                    format!("{}: {} came after offset {before} of the same key", here(), sent.name(who))
                });
            }
            *latest = offset.max(*latest);
        }
        let original = self.again.make(self.sent, who)?;
        let altered = match (&decoded, &original.alert) {
            (_, None) => Some("was broken when it was sent, so that nobody can have decoded it".to_owned()),
            (Err(problem), _) => Some(problem.clone()),
            (Ok((found, _)), Some((alert, writer))) => {
                let differs = contains(found, alert, &mut self.tally.compared).err();
                let fingerprint = header(&headers, "fingerprint");
                let named = fingerprint != Some(&writer.fingerprint);
                differs.map(|difference| difference.to_string()).or_else(|| {
                    let (is, was) = (fingerprint.unwrap_or("none"), &writer.fingerprint);
                    named.then(|| format!("the header {PREFIX}fingerprint is {is}, that of the schema {was}"))
                })
            }
        };
        let key = self.sent.object(who, self.again.packets());
        let altered = altered.or_else(|| {
            let other = key.as_deref().is_some_and(|key| message.key() != Some(key.as_bytes()));
            let found = message.key().map(String::from_utf8_lossy);
            other.then(|| format!("the key is {found:?}, that of the object {key:?}"))
        });
        if let Some(difference) = altered {
            let sent = self.sent;
            self.tally.fault(Wrong::Altered, Some(who), || format!("{}: {}: {difference}", here(), sent.name(who)));
        }
        Ok(())
    }
}

/// The record of a message; the inner error is the message's fault.
fn decode<'a>(
    payload: &[u8],
    schemas: &Schemas,
    texts: &mut HashMap<PathBuf, String>,
    writers: &'a mut Writers,
) -> Result<Result<(Value, &'a Writer), String>, Error> {
    let (schema, datum) = if let Some(path) = &schemas.bare {
        (text(path.clone(), texts)?, payload)
    } else if let (Some(folder), Some((frame, datum))) = (&schemas.folder, payload.split_first_chunk::<5>())
        && frame[0] == 0
    {
        let id = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
        (text(folder.join(format!("{id}.avsc")), texts)?, datum)
    } else {
        let Some(container) = container::open(payload) else {
            return Ok(Err("is no uncompressed Avro container with one record".to_owned()));
        };
        match std::str::from_utf8(&payload[container.schema]) {
            Ok(schema) => (schema, &payload[container.datum]),
            Err(_) => return Ok(Err("has a schema that is no text".to_owned())),
        }
    };
    Ok(writers.of(schema).and_then(|writer| Ok((writer.read(datum)?, writer))))
}

/// The text of a schema's file, read once.
fn text(path: PathBuf, texts: &mut HashMap<PathBuf, String>) -> Result<&str, Error> {
    if !texts.contains_key(&path) {
        let text =
            std::fs::read_to_string(&path).map_err(|error| Error::Schema { path: path.clone(), problem: error.to_string() })?;
        texts.insert(path.clone(), text);
    }
    Ok(&texts[&path])
}

/// The program's own headers of a message, without the beginning that all have. The last of a name counts: those of a letter stand
/// behind the ones that its message had.
pub(super) fn headers_of<'a>(message: &'a BorrowedMessage<'_>) -> Vec<(&'a str, &'a str)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let own = |at| {
        let header = headers.try_get(at)?;
        Some((header.key.strip_prefix(PREFIX)?, std::str::from_utf8(header.value?).ok()?))
    };
    (0..headers.count()).filter_map(own).collect()
}

/// A header of the program.
pub(super) fn header<'a>(headers: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    headers.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// Where the headers say that a message came from.
pub(super) fn origin<'a>(headers: &[(&'a str, &'a str)]) -> Origin<'a> {
    let number = |name| header(headers, name).and_then(|text| text.parse::<i64>().ok());
    let short = |name| number(name).and_then(|number| i32::try_from(number).ok());
    Origin {
        topic: header(headers, "topic"),
        partition: short("partition"),
        offset: number("offset"),
        record: short("record"),
        timestamp: None,
    }
}
