//! An output cluster: lots become messages, delivery reports settle their receipts, what fails is sent again.
//!
//! Memory is bounded: the client library's queue by its settings, what waits here by the byte budget whose permits the lots
//! hold. Order: messages are handed over in the order of the stream and, after a failure, the older ones first; idempotence
//! keeps that order in each partition. Only a message that a broker has refused as part of its batch is overtaken, as it is
//! tried once more alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};

use super::channel::{Channel, Cluster, Record, Returned};
use super::lot::{Lot, Scratch};
use super::report::{ReportHandle, count};
use crate::alert::{DeadLetter, Fault};

/// A message on its way: a row of a lot, from which it can be made again.
#[derive(Debug)]
pub(super) struct Slip {
    lot: Arc<Lot>,
    row: u32,
    /// Place in the order of the stream.
    number: u64,
    /// Refused once as part of a batch: sent alone now.
    alone: bool,
}

#[derive(Debug)]
struct Load {
    lot: Arc<Lot>,
    rows: Vec<u32>,
    next: usize,
}

/// A message that nobody will take, with its receipt still open.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) letter: DeadLetter,
    lot: Arc<Lot>,
}

impl Refused {
    /// The letter is stored: the message counts as settled.
    pub(super) fn settle(self) {
        self.lot.receipt.settle(1);
    }
}

/// First and longest wait before what failed is sent again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The outputs to one cluster.
pub(super) struct KafkaOutputs {
    cluster: Cluster,
    main: Channel<Slip>,
    /// Sends one message per request; made when a broker first refuses a batch.
    single: Option<Channel<Slip>>,
    backlog: VecDeque<Load>,
    again: BTreeMap<u64, Box<Slip>>,
    number: u64,
    wait: Duration,
    until: Option<Instant>,
    refused: Vec<Refused>,
    report: ReportHandle,
    scratch: Scratch,
}

impl KafkaOutputs {
    pub(super) fn open(cluster: Cluster, report: ReportHandle) -> Result<Self, Fault> {
        Ok(Self {
            main: Channel::open(&cluster, &[])?,
            cluster,
            single: None,
            backlog: VecDeque::new(),
            again: BTreeMap::new(),
            number: 0,
            wait: BACK_OFF.0,
            until: None,
            refused: Vec::new(),
            report,
            scratch: Scratch::default(),
        })
    }

    pub(super) fn is(&self, cluster: &Cluster) -> bool {
        self.cluster == *cluster
    }

    /// Takes rows of a lot, to be sent by [`KafkaOutputs::work`].
    pub(super) fn add(&mut self, lot: Arc<Lot>, rows: Vec<u32>) {
        lot.receipt.expect(rows.len());
        self.backlog.push_back(Load { lot, rows, next: 0 });
    }

    /// Whether all that it was given has been handed to the client library.
    pub(super) fn handed_over(&self) -> bool {
        self.again.is_empty() && self.backlog.is_empty()
    }

    /// Whether all that it was given is delivered or refused.
    pub(super) fn done(&self) -> bool {
        let flying = |channel: &Channel<Slip>| channel.in_flight() > 0;
        self.handed_over() && !flying(&self.main) && !self.single.as_ref().is_some_and(flying)
    }

    /// Takes in delivery reports for as long as `wait` and hands over what there is room for. What was refused comes back.
    pub(super) fn work(&mut self, wait: Duration) -> Result<Vec<Refused>, Fault> {
        self.main.poll(wait);
        if let Some(single) = &self.single {
            single.poll(Duration::ZERO);
        }
        self.take_in();
        self.replace_broken()?;
        if self.until.is_none_or(|until| Instant::now() >= until) {
            self.until = None;
            self.hand_over()?;
        }
        Ok(std::mem::take(&mut self.refused))
    }

    fn take_in(&mut self) {
        let mut returned = self.main.take();
        returned.extend(self.single.iter().flat_map(Channel::take));
        for Returned { item: mut slip, bytes, failure } in returned {
            let counters = self.report.of(slip.lot.output);
            match failure {
                None => {
                    count(&counters.messages, 1);
                    count(&counters.bytes, bytes as u64);
                    slip.lot.receipt.settle(1);
                    self.wait = BACK_OFF.0;
                }
                Some(code) if is_refusal(code) && slip.alone => self.refuse(&slip, code, bytes),
                Some(code) => {
                    // Purged is what we called back ourselves. A refusal may be of another message of the same batch.
                    if !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
                        count(&counters.errors, 1);
                        if is_refusal(code) {
                            slip.alone = true;
                        } else {
                            self.back_off(code, &slip.lot.topic.clone());
                        }
                    }
                    self.again.insert(slip.number, slip);
                }
            }
        }
    }

    fn hand_over(&mut self) -> Result<(), Fault> {
        while let Some(slip) = self.next() {
            let Err((slip, code)) = self.send(slip)? else { continue };
            match code {
                RDKafkaErrorCode::MessageSizeTooLarge => {
                    let bytes = self.scratch.payload.len();
                    self.refuse(&slip, code, bytes);
                }
                RDKafkaErrorCode::QueueFull => {
                    self.again.insert(slip.number, slip);
                    return Ok(());
                }
                code => {
                    count(&self.report.of(slip.lot.output).errors, 1);
                    self.back_off(code, &slip.lot.topic.clone());
                    self.again.insert(slip.number, slip);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Box<Slip>> {
        if let Some((_, slip)) = self.again.pop_first() {
            return Some(slip);
        }
        loop {
            let load = self.backlog.front_mut()?;
            if let Some(row) = load.rows.get(load.next) {
                load.next += 1;
                self.number += 1;
                return Some(Box::new(Slip { lot: load.lot.clone(), row: *row, number: self.number, alone: false }));
            }
            self.backlog.pop_front();
        }
    }

    fn send(&mut self, slip: Box<Slip>) -> Result<Result<(), (Box<Slip>, RDKafkaErrorCode)>, Fault> {
        let channel = match (&mut self.single, slip.alone) {
            (_, false) => &self.main,
            (Some(single), true) => single,
            (none, true) => none.insert(Channel::open(&self.cluster, &[("batch.num.messages", "1")])?),
        };
        let (lot, row) = (slip.lot.clone(), slip.row as usize);
        lot.message(row, &mut self.scratch);
        let origin = &lot.rows().rows[row];
        let source = &*lot.receipt.token().origin;
        let put = |headers: OwnedHeaders, key: &str, value: &[u8]| headers.insert(Header { key, value: Some(value) });
        let headers = OwnedHeaders::new_with_capacity(5);
        let headers = put(headers, "skysluice.topic", source.topic.as_bytes());
        let headers = put(headers, "skysluice.partition", self.scratch.text(i64::from(source.partition)));
        let headers = put(headers, "skysluice.offset", self.scratch.text(origin.offset));
        let headers = put(headers, "skysluice.record", self.scratch.text(i64::from(origin.record)));
        let headers = put(headers, "skysluice.fingerprint", lot.edition.fingerprint.as_bytes());
        let mut record = Record::with_opaque_to(&lot.topic, slip).payload(&self.scratch.payload[..]).headers(headers);
        if let Some(key) = lot.key(row) {
            record = record.key(key);
        }
        if let Some(time) = origin.timestamp.filter(|time| *time > 0) {
            record = record.timestamp(time);
        }
        Ok(channel.send(record))
    }

    fn back_off(&mut self, code: RDKafkaErrorCode, topic: &str) {
        self.main.say(code, &format!("topic {topic}: {code}"));
        // Messages that fail together are one failure.
        if self.until.is_none() {
            self.until = Some(Instant::now() + self.wait);
            self.wait = (self.wait * 2).min(BACK_OFF.1);
        }
    }

    fn refuse(&mut self, slip: &Slip, code: RDKafkaErrorCode, bytes: usize) {
        let lot = &slip.lot;
        let counters = self.report.of(lot.output);
        let reason = if code == RDKafkaErrorCode::MessageSizeTooLarge {
            count(&counters.too_large, 1);
            format!(
                "the message to topic {} is too large: {bytes} bytes; the client sends at most {} (raise the property \
                 `message.max.bytes` of the output), the broker takes what `max.message.bytes` of the topic says",
                lot.topic,
                self.cluster.setting("message.max.bytes")
            )
        } else {
            count(&counters.refused, 1);
            format!("the broker refuses the message to topic {} ({bytes} bytes) for what it is: {code}", lot.topic)
        };
        let letter = lot.letter(slip.row as usize, reason);
        self.refused.push(Refused { letter, lot: lot.clone() });
    }

    /// A producer whose sequence is broken for good is replaced; what it held is sent by the new one.
    fn replace_broken(&mut self) -> Result<(), Fault> {
        let broken = |channel: &Channel<Slip>| channel.fatal();
        let Some(reason) = broken(&self.main).or_else(|| self.single.as_ref().and_then(broken)) else { return Ok(()) };
        let (component, brokers) = (&self.cluster.component, &self.cluster.brokers);
        tracing::warn!(component, brokers, reason, "the producer is replaced, what was on its way is sent again");
        let back = [Some(&self.main), self.single.as_ref()];
        if !back.into_iter().flatten().all(|channel| channel.call_back(Duration::from_secs(5))) {
            return Err(Fault::environment(format!("the producer for {brokers} has failed and keeps its messages: {reason}")));
        }
        self.take_in();
        self.back_off(RDKafkaErrorCode::Fatal, "all of the cluster");
        self.single = None;
        self.main = Channel::open(&self.cluster, &[])?;
        Ok(())
    }
}

/// Whether a broker refuses a message for what it is, so that sending it again changes nothing.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
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
