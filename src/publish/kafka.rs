//! An output cluster without transactions: lots become messages, delivery reports settle their receipts, what fails is sent
//! again.
//!
//! Memory is bounded: the client library's queue by its settings, what waits here by the byte budget whose permits the lots
//! hold. Order: messages are handed over in the order of the stream and, after a failure, the older ones first; idempotence
//! keeps that order in each partition. Only a message that a broker has refused as part of its batch is overtaken, as it is
//! tried once more alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::channel::{Channel, Cluster, Returned};
use super::lot::{Lot, Scratch};
use super::marks::Marks;
use super::outlet::{Outlet, is_refusal, refuse, send};
use super::queue::{Queue, Refused, Slip};
use super::report::{ReportHandle, count};
use crate::alert::Fault;

/// First and longest wait before what failed is sent again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The outputs to one cluster.
pub(super) struct KafkaOutputs {
    cluster: Cluster,
    main: Channel<Slip>,
    /// Sends one message per request; made when a broker first refuses a batch.
    single: Option<Channel<Slip>>,
    queue: Queue,
    wait: Duration,
    until: Option<Instant>,
    refused: Vec<Refused>,
    report: ReportHandle,
    scratch: Scratch,
}

impl KafkaOutputs {
    pub(super) fn open(cluster: Cluster, marks: Option<Marks>, report: ReportHandle) -> Result<Self, Fault> {
        Ok(Self {
            main: Channel::open(&cluster, &[])?,
            cluster,
            single: None,
            queue: Queue::new(marks, report.clone()),
            wait: BACK_OFF.0,
            until: None,
            refused: Vec::new(),
            report,
            scratch: Scratch::default(),
        })
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
                    self.queue.put_back(slip);
                }
            }
        }
    }

    fn hand_over(&mut self) -> Result<(), Fault> {
        while let Some(slip) = self.queue.next()? {
            let Err((slip, code)) = self.send(slip)? else { continue };
            match code {
                RDKafkaErrorCode::MessageSizeTooLarge => {
                    let bytes = self.scratch.payload.len();
                    self.refuse(&slip, code, bytes);
                }
                RDKafkaErrorCode::QueueFull => {
                    self.queue.put_back(slip);
                    return Ok(());
                }
                code => {
                    count(&self.report.of(slip.lot.output).errors, 1);
                    self.back_off(code, &slip.lot.topic.clone());
                    self.queue.put_back(slip);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, slip: Box<Slip>) -> Result<Result<(), (Box<Slip>, RDKafkaErrorCode)>, Fault> {
        let channel = match (&mut self.single, slip.alone) {
            (_, false) => &self.main,
            (Some(single), true) => single,
            (none, true) => none.insert(Channel::open(&self.cluster, &[("batch.num.messages", "1")])?),
        };
        Ok(send(channel, slip, &mut self.scratch))
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
        self.refused.push(refuse(&self.cluster, &self.report, slip, code, bytes));
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

impl Outlet for KafkaOutputs {
    fn is(&self, cluster: &Cluster) -> bool {
        self.cluster == *cluster
    }

    fn marks(&mut self) -> Option<&mut Marks> {
        self.queue.marks.as_mut()
    }

    fn marks_by_itself(&self) -> bool {
        false
    }

    fn add(&mut self, lot: Arc<Lot>, rows: Vec<u32>) {
        self.queue.add(lot, rows);
    }

    fn handed_over(&self) -> bool {
        self.queue.is_empty()
    }

    fn done(&self) -> bool {
        let flying = |channel: &Channel<Slip>| channel.in_flight() > 0;
        self.handed_over() && !flying(&self.main) && !self.single.as_ref().is_some_and(flying)
    }

    fn work(&mut self, wait: Duration, _hurry: bool) -> Result<Vec<Refused>, Fault> {
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
}
