//! An output cluster without transactions: lots become messages, delivery reports settle their receipts, what fails is sent
//! again.
//!
//! Memory is bounded: the client library's queue by its settings, what waits here by the byte budget whose permits the lots
//! hold. Order: messages are handed over in the order of the stream and, after a failure, the older ones first; idempotence
//! keeps that order in each partition. Only a message that a broker has refused as part of its batch is overtaken, as it is
//! tried once more alone.

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::channel::{Channel, Cluster, Returned};
use super::lot::Scratch;
use super::marks::Marks;
use super::outlet::{Outlet, Pause, is_refusal, refuse, send};
use super::queue::{Queue, Refused, Slip};
use super::report::{ReportHandle, count};
use crate::alert::Fault;

/// First and longest wait before what failed is sent again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The outputs to one cluster.
pub(super) struct KafkaOutputs {
    cluster: Cluster,
    main: Channel<Slip>,
    /// Sends one message per request; made when a broker first refuses a batch.
    single: Option<Channel<Slip>>,
    queue: Queue,
    pause: Pause,
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
            pause: Pause::new(FIRST_WAIT, LONGEST_WAIT),
            refused: Vec::new(),
            report,
            scratch: Scratch::default(),
        })
    }

    fn sort_out(&mut self) {
        let mut returned = self.main.take();
        returned.extend(self.single.iter().flat_map(Channel::take));
        for Returned { item: mut slip, bytes, failure } in returned {
            let counters = self.report.of(slip.lot.output);
            match failure {
                None => {
                    count(&counters.messages, 1);
                    count(&counters.bytes, bytes as u64);
                    slip.lot.receipt.settle(1);
                    self.pause.reset();
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
        self.pause.begin();
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
        self.sort_out();
        self.back_off(RDKafkaErrorCode::Fatal, "all of the cluster");
        self.single = None;
        self.main = Channel::open(&self.cluster, &[])?;
        Ok(())
    }
}

impl Outlet for KafkaOutputs {
    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    fn done(&self) -> bool {
        let flying = |channel: &Channel<Slip>| channel.in_flight() > 0;
        self.queue.is_empty() && !flying(&self.main) && !self.single.as_ref().is_some_and(flying)
    }

    fn take_in(&mut self, wait: Duration) {
        self.main.poll(wait);
        if let Some(single) = &self.single {
            single.poll(Duration::ZERO);
        }
        self.sort_out();
    }

    fn work(&mut self, wait: Duration, _hurry: bool) -> Result<Vec<Refused>, Fault> {
        self.take_in(wait);
        self.replace_broken()?;
        if self.pause.is_over() {
            self.hand_over()?;
        }
        Ok(std::mem::take(&mut self.refused))
    }
}
