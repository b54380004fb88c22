//! Dead letters in a Kafka topic: the original bytes, key and headers, with why and where from as headers beside them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};

use super::channel::{Channel, Cluster, Record};
use crate::alert::{DeadLetter, Fault, LetterBox};

/// How long storing letters may take before the stage is told that it cannot be done now.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic of dead letters. Headers: those of the message, then `skysluice.stage`, `.reason`, `.topic`, `.partition`,
/// `.offset`, `.timestamp` (of the message, milliseconds since 1970, or `none`: the topic may give its messages other times) and,
/// where one record of a message is dead, `.record`; all text. `source::LetterTopic` reads them. Letters may come twice when storing was tried
/// again. A payload that the cluster does not take for its size is left out: `skysluice.omitted` then says how many bytes.
pub struct TopicLetters {
    cluster: Cluster,
    topic: String,
    pub(super) patience: Duration,
    channel: Mutex<Channel<usize>>,
}

impl TopicLetters {
    /// A letter box on a topic. Nothing is sent yet, so that a broker need not be there.
    ///
    /// # Errors
    /// When a property is none that the Kafka client takes.
    pub fn open(component: &str, brokers: &str, topic: &str, properties: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let cluster = Cluster {
            component: component.to_owned(),
            brokers: brokers.to_owned(),
            properties: properties.clone(),
            transactional_id: None,
        };
        let channel = Mutex::new(Self::channel(&cluster)?);
        Ok(Self { cluster, topic: topic.to_owned(), patience: PATIENCE, channel })
    }

    fn channel(cluster: &Cluster) -> Result<Channel<usize>, Fault> {
        // The letter is as large as the message was that could be read: only the broker can know its limit.
        Channel::open(cluster, &[("message.max.bytes", "1000000000"), ("batch.num.messages", "1")])
    }

    fn send(&self, channel: &Channel<usize>, letter: &DeadLetter, at: usize, whole: bool) -> Result<(), RDKafkaErrorCode> {
        let mut headers = OwnedHeaders::new_with_capacity(letter.headers.len() + 8);
        for (key, value) in &letter.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        let mut put = |key: &str, value: &str| {
            headers = std::mem::take(&mut headers).insert(Header { key, value: Some(value) });
        };
        put("skysluice.stage", letter.stage);
        put("skysluice.reason", &letter.reason);
        put("skysluice.topic", &letter.origin.topic);
        put("skysluice.partition", &letter.origin.partition.to_string());
        put("skysluice.offset", &letter.offset.to_string());
        put("skysluice.timestamp", &letter.timestamp.map_or_else(|| "none".to_owned(), |time| time.to_string()));
        if let Some(record) = letter.record {
            put("skysluice.record", &record.to_string());
        }
        let payload = letter.payload.as_deref();
        if let (Some(payload), false) = (payload, whole) {
            put("skysluice.omitted", &payload.len().to_string());
        }
        let mut record = Record::with_opaque_to(&self.topic, Box::new(at)).headers(headers);
        if let (Some(payload), true) = (payload, whole) {
            record = record.payload(payload);
        }
        if let Some(key) = letter.key.as_deref() {
            record = record.key(key);
        }
        if let Some(time) = letter.timestamp.filter(|time| *time > 0) {
            record = record.timestamp(time);
        }
        channel.send(record).map_err(|(_, code)| code)
    }

    fn deliver(&self, channel: &Channel<usize>, letters: &[DeadLetter]) -> Result<(), String> {
        let end = Instant::now() + self.patience;
        // What is still to be sent, and whether with its payload.
        let mut queue: Vec<(usize, bool)> = (0..letters.len()).rev().map(|at| (at, true)).collect();
        let mut left = letters.len();
        let mut trouble = None;
        while left > 0 {
            while let Some((at, whole)) = queue.pop() {
                match self.send(channel, &letters[at], at, whole) {
                    Ok(()) => {}
                    Err(RDKafkaErrorCode::MessageSizeTooLarge) if whole => queue.push((at, false)),
                    Err(code) => {
                        queue.push((at, whole));
                        if code != RDKafkaErrorCode::QueueFull {
                            trouble = Some(code);
                        }
                        break;
                    }
                }
            }
            channel.poll(Duration::from_millis(5));
            for back in channel.take() {
                match back.failure {
                    None => left -= 1,
                    Some(RDKafkaErrorCode::MessageSizeTooLarge) if back.bytes > 0 => {
                        let letter = &letters[*back.item];
                        let (origin, offset, topic) = (&letter.origin, letter.offset, &self.topic);
                        tracing::error!(
                            %origin, offset, topic, bytes = back.bytes,
                            "the topic of dead letters does not take the bytes of this message: raise its max.message.bytes"
                        );
                        queue.push((*back.item, false));
                    }
                    Some(code) => {
                        trouble = Some(code);
                        queue.push((*back.item, true));
                    }
                }
            }
            if let Some(reason) = channel.fatal() {
                return Err(reason);
            }
            if left > 0 && Instant::now() >= end {
                let why = trouble.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
                return Err(format!("{left} of {} not delivered within {} s: {why}", letters.len(), self.patience.as_secs()));
            }
        }
        Ok(())
    }
}

impl LetterBox for TopicLetters {
    fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
        if letters.is_empty() {
            return Ok(());
        }
        // A panic while it is held leaves a channel that is called back and replaced like any other that failed.
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        self.deliver(&channel, letters).map_err(|reason| {
            // Whatever is on its way must not be taken for a letter of the next call.
            channel.call_back(Duration::from_millis(500));
            match Self::channel(&self.cluster) {
                Ok(new) => *channel = new,
                Err(fault) => tracing::warn!(%fault, "no new producer for dead letters"),
            }
            Fault::environment(format!(
                "dead letters cannot be stored in topic {} at {}: {reason}; the alerts they are for are read again",
                self.topic, self.cluster.brokers
            ))
        })
    }
}
