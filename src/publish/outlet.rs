//! An output cluster as the sink sees it, and what all kinds of them share: how a message is made and when it is given up.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};

use super::channel::{Channel, Cluster, Record};
use super::lot::Scratch;
use super::queue::{Queue, Refused, Slip};
use super::report::{ReportHandle, count};
use crate::alert::Fault;

/// The outputs to one cluster.
pub(super) trait Outlet: Send {
    /// The cluster, and how it is sent to.
    fn cluster(&self) -> &Cluster;

    /// What is still to be handed to the client library, by [`Outlet::work`].
    fn queue(&self) -> &Queue;

    /// The same, to add to it.
    fn queue_mut(&mut self) -> &mut Queue;

    /// Whether readers have all that it was given, or it is refused.
    fn done(&self) -> bool;

    /// Takes in delivery reports, waiting for one for `wait` at most, and does nothing else.
    fn take_in(&mut self, wait: Duration);

    /// Takes in delivery reports for as long as `wait` and hands over what there is room for. What was refused comes back.
    /// `hurry`: what was handed over is not to wait for more.
    fn work(&mut self, wait: Duration, hurry: bool) -> Result<Vec<Refused>, Fault>;
}

/// A wait before what failed is tried again, twice as long each time.
#[derive(Debug)]
pub(super) struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
    until: Option<Instant>,
}

impl Pause {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, until: None }
    }

    /// Begins to wait. What fails together is one failure.
    pub(super) fn begin(&mut self) {
        if self.until.is_none() {
            self.until = Some(Instant::now() + self.next);
            self.next = (self.next * 2).min(self.longest);
        }
    }

    /// Waits as after a first failure, whatever came before.
    pub(super) fn begin_short(&mut self) {
        self.until = Some(Instant::now() + self.first);
    }

    /// It has succeeded: the next wait is the first again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    pub(super) fn is_over(&mut self) -> bool {
        if self.until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.until = None;
        true
    }
}

/// Makes the message of a slip and hands it to the client library. The payload stays in `scratch`; on failure the slip comes back.
pub(super) fn send(channel: &Channel<Slip>, slip: Box<Slip>, scratch: &mut Scratch) -> Result<(), (Box<Slip>, RDKafkaErrorCode)> {
    let (lot, row) = (slip.lot.clone(), slip.row as usize);
    lot.message(row, scratch);
    let origin = &lot.rows().rows[row];
    let source = &*lot.receipt.token().origin;
    let put = |headers: OwnedHeaders, key: &str, value: &[u8]| headers.insert(Header { key, value: Some(value) });
    let headers = OwnedHeaders::new_with_capacity(5);
    let headers = put(headers, "skysluice.topic", source.topic.as_bytes());
    let headers = put(headers, "skysluice.partition", scratch.text(i64::from(source.partition)));
    let headers = put(headers, "skysluice.offset", scratch.text(origin.offset));
    let headers = put(headers, "skysluice.record", scratch.text(i64::from(origin.record)));
    let headers = put(headers, "skysluice.fingerprint", lot.edition.fingerprint.as_bytes());
    let mut record = Record::with_opaque_to(&lot.topic, slip).payload(&scratch.payload[..]).headers(headers);
    if let Some(key) = lot.key(row) {
        record = record.key(key);
    }
    if let Some(time) = origin.timestamp.filter(|time| *time > 0) {
        record = record.timestamp(time);
    }
    channel.send(record)
}

/// Makes a dead letter of a message that is too large or that a broker refuses for what it is.
pub(super) fn refuse(cluster: &Cluster, report: &ReportHandle, slip: &Slip, code: RDKafkaErrorCode, bytes: usize) -> Refused {
    let lot = &slip.lot;
    let counters = report.of(lot.output);
    let reason = if code == RDKafkaErrorCode::MessageSizeTooLarge {
        count(&counters.too_large, 1);
        format!(
            "the message to topic {} is too large: {bytes} bytes; the client sends at most {} (raise the property \
             `message.max.bytes` of the output), the broker takes what `max.message.bytes` of the topic says",
            lot.topic,
            cluster.setting("message.max.bytes")
        )
    } else {
        count(&counters.refused, 1);
        format!("the broker refuses the message to topic {} ({bytes} bytes) for what it is: {code}", lot.topic)
    };
    Refused { letter: lot.letter(slip.row as usize, reason), lot: lot.clone() }
}

/// Whether a broker refuses a message for what it is, so that sending it again changes nothing.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::PolicyViolation
    )
}
