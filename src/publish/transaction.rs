//! An output cluster with transactions: messages and the marks of how far the stream has come are seen by readers together, or
//! neither is.
//!
//! A transaction holds whole batches, of a tenth of a second or some thousand messages. Its slips are kept until it is committed;
//! when it fails, it is aborted and they are sent again in the next. Where it is not known whether it was committed (the
//! producer is past mending), the marks are asked for again, and what they cover is not sent again.
//!
//! **Invariant:** a receipt is settled when the transaction of its message is committed, never before.
//! **Invariant:** a transaction is not committed before the dead letters of the messages that were refused in it are stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::channel::{Channel, Cluster, GroupOffsets, Returned};
use super::lot::{Lot, Scratch};
use super::marks::Marks;
use super::outlet::{Outlet, Pause, is_refusal, refuse, send};
use super::queue::{Queue, Refused, Slip};
use super::report::{ReportHandle, count};
use crate::alert::{Fault, TopicPartition};

/// How long a transaction gathers messages: a transaction costs four answers of brokers, and readers wait for its end.
const GATHER: Duration = Duration::from_millis(100);
/// Messages after which it ends sooner.
const MOST: usize = 4096;
/// How long one call may wait for a broker. It is called again until there is an answer.
const CALL: Duration = Duration::from_millis(500);
/// First and longest wait before a call that failed is made again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long what is on its way, and a call, may take to come back before the producer is replaced.
pub(super) const DRAIN: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 20 });

/// Where a transaction is.
enum Step {
    /// The producer has to become the only one of its id.
    Starting,
    /// No transaction is open.
    Idle,
    /// It takes messages, since then.
    Open(Instant),
    /// What was sent is waited for.
    Flushing,
    /// The marks are added, one group after the other, the last first; the call for it is under way since then.
    Marking(Vec<Arc<GroupOffsets>>, Option<(Instant, Receiver<KafkaResult<()>>)>),
    /// It is being committed.
    Committing,
    /// It is being given up, since then.
    Aborting(Instant),
}

/// The outputs to one cluster, in transactions.
pub(super) struct Transactions {
    cluster: Cluster,
    channel: Channel<Slip>,
    step: Step,
    queue: Queue,
    /// What is delivered and not committed, with the size of the message in bytes.
    delivered: Vec<(Box<Slip>, usize)>,
    /// Something of the open transaction was not delivered.
    failed: bool,
    pause: Pause,
    refused: Vec<Refused>,
    report: ReportHandle,
    scratch: Scratch,
}

impl Transactions {
    pub(super) fn open(cluster: Cluster, marks: Option<Marks>, report: ReportHandle) -> Result<Self, Fault> {
        Ok(Self {
            channel: Channel::open(&cluster, &[])?,
            cluster,
            step: Step::Starting,
            queue: Queue::new(marks, report.clone()),
            delivered: Vec::new(),
            failed: false,
            pause: Pause::new(FIRST_WAIT, LONGEST_WAIT),
            refused: Vec::new(),
            report,
            scratch: Scratch::default(),
        })
    }

    fn sort_out(&mut self) {
        for Returned { item: mut slip, bytes, failure } in self.channel.take() {
            let Some(code) = failure else {
                self.delivered.push((slip, bytes));
                continue;
            };
            self.failed = true;
            // Purged is what we called back ourselves.
            if !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
                count(&self.report.of(slip.lot.output).errors, 1);
                if is_refusal(code) && slip.alone {
                    self.refused.push(refuse(&self.cluster, &self.report, &slip, code, bytes));
                    continue;
                }
                // A refusal may be of another message of the same batch.
                if is_refusal(code) {
                    slip.alone = true;
                } else {
                    self.back_off(code, &format!("topic {}: {code}", slip.lot.topic));
                }
            }
            self.queue.put_back(slip);
        }
    }

    /// Goes on as far as it can without waiting for deliveries.
    fn advance(&mut self, hurry: bool) -> Result<(), Fault> {
        loop {
            if !self.pause.is_over() {
                return Ok(());
            }
            let done = match &mut self.step {
                Step::Starting => self.channel.init_transactions(CALL).map(|()| Step::Idle),
                Step::Idle => match self.queue.next()? {
                    None => return Ok(()),
                    Some(slip) => {
                        self.queue.put_back(slip);
                        self.channel.begin_transaction().map(|()| Step::Open(Instant::now()))
                    }
                },
                Step::Open(since) => {
                    let since = *since;
                    self.hand_over(since)?;
                    let full = since.elapsed() >= GATHER || self.held() >= MOST || hurry;
                    match (self.failed, full && self.queue.is_between_batches()) {
                        (true, _) => Ok(Step::Aborting(Instant::now())),
                        (false, true) => Ok(Step::Flushing),
                        (false, false) => return Ok(()),
                    }
                }
                Step::Flushing if self.failed => Ok(Step::Aborting(Instant::now())),
                Step::Flushing if self.channel.in_flight() > 0 || !self.refused.is_empty() => return Ok(()),
                Step::Flushing => Ok(Step::Marking(self.marks_of_delivered()?, None)),
                Step::Marking(left, asked) => match (left.last(), &asked) {
                    (None, _) => Ok(Step::Committing),
                    (Some(commits), None) => {
                        let answer = self.channel.send_offsets(commits.clone(), CALL);
                        let answer = answer.map_err(|e| Fault::environment(format!("no thread to add marks with: {e}")))?;
                        *asked = Some((Instant::now(), answer));
                        continue;
                    }
                    (Some(_), Some((since, answer))) => match answer.recv_timeout(CALL) {
                        Ok(Ok(())) => {
                            left.pop();
                            *asked = None;
                            continue;
                        }
                        Ok(Err(error)) => {
                            *asked = None;
                            Err(error)
                        }
                        Err(RecvTimeoutError::Timeout) if since.elapsed() < DRAIN => return Ok(()),
                        Err(_) => {
                            self.replace("it does not come back from adding marks to a transaction")?;
                            continue;
                        }
                    },
                },
                Step::Committing => self.channel.commit_transaction(CALL).map(|()| Step::Idle),
                Step::Aborting(since) => {
                    let since = *since;
                    self.channel.call_back_unsent();
                    if self.channel.in_flight() > 0 {
                        if since.elapsed() > DRAIN {
                            self.replace("messages do not come back")?;
                            continue;
                        }
                        return Ok(());
                    }
                    self.channel.abort_transaction(CALL).map(|()| Step::Idle)
                }
            };
            match done {
                Ok(step) => {
                    if matches!(self.step, Step::Committing) {
                        self.settle();
                    } else if matches!(self.step, Step::Aborting(_)) {
                        self.take_back();
                    }
                    self.step = step;
                }
                Err(error) => self.mend(&error)?,
            }
        }
    }

    /// Messages of the open transaction.
    fn held(&self) -> usize {
        self.delivered.len() + self.channel.in_flight()
    }

    fn hand_over(&mut self, since: Instant) -> Result<(), Fault> {
        while !self.failed {
            // One that is to be alone waits until nothing is on its way, and all others wait for it.
            if self.queue.is_next_alone() && self.channel.in_flight() > 0 {
                return Ok(());
            }
            if self.queue.is_between_batches() && (self.held() >= MOST || since.elapsed() >= GATHER) {
                return Ok(());
            }
            let Some(slip) = self.queue.next()? else { return Ok(()) };
            let alone = slip.alone;
            if let Err((slip, code)) = send(&self.channel, slip, &mut self.scratch) {
                match code {
                    RDKafkaErrorCode::MessageSizeTooLarge => {
                        let bytes = self.scratch.payload.len();
                        self.refused.push(refuse(&self.cluster, &self.report, &slip, code, bytes));
                    }
                    RDKafkaErrorCode::QueueFull => {
                        self.queue.put_back(slip);
                        return Ok(());
                    }
                    code => {
                        count(&self.report.of(slip.lot.output).errors, 1);
                        self.back_off(code, &format!("topic {}: {code}", slip.lot.topic));
                        self.queue.put_back(slip);
                        self.failed = true;
                    }
                }
            } else if alone {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The marks that are true when what was delivered is committed.
    fn marks_of_delivered(&mut self) -> Result<Vec<Arc<GroupOffsets>>, Fault> {
        let Some(marks) = &mut self.queue.marks else { return Ok(Vec::new()) };
        let mut ends: HashMap<TopicPartition, i64> = HashMap::new();
        let mut last: Option<&Lot> = None;
        for (slip, _) in &self.delivered {
            if last.is_some_and(|last| std::ptr::eq(last, &*slip.lot)) {
                continue;
            }
            last = Some(&slip.lot);
            let token = slip.lot.receipt.token();
            match ends.get_mut(&*token.origin) {
                Some(end) => *end = token.span.end.max(*end),
                None => {
                    ends.insert((*token.origin).clone(), token.span.end);
                }
            }
        }
        Ok(marks.for_transaction(ends.into_iter())?.into_iter().map(Arc::new).collect())
    }

    /// The transaction is committed.
    fn settle(&mut self) {
        for (slip, bytes) in self.delivered.drain(..) {
            let counters = self.report.of(slip.lot.output);
            count(&counters.messages, 1);
            count(&counters.bytes, bytes as u64);
            slip.lot.receipt.settle(1);
        }
        self.pause.reset();
    }

    /// The transaction is given up: all of it is sent again.
    fn take_back(&mut self) {
        for (slip, _) in self.delivered.drain(..) {
            self.queue.put_back(slip);
        }
        self.failed = false;
    }

    fn mend(&mut self, error: &KafkaError) -> Result<(), Fault> {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        match error {
            KafkaError::Transaction(why) if why.is_fatal() => self.replace(&why.string()),
            KafkaError::Transaction(why) if why.txn_requires_abort() => {
                self.back_off(code, &why.string());
                self.step = Step::Aborting(Instant::now());
                Ok(())
            }
            KafkaError::Transaction(why) if !why.is_retriable() => self.replace(&why.string()),
            // A broker that takes its time; that none answers is said by the client library. The caller has other things to do.
            _ if code == RDKafkaErrorCode::OperationTimedOut => {
                self.pause.begin_short();
                Ok(())
            }
            other => {
                self.back_off(code, &other.to_string());
                Ok(())
            }
        }
    }

    /// A new producer takes over. Whether the open transaction was committed is told by the marks.
    fn replace(&mut self, reason: &str) -> Result<(), Fault> {
        let (component, brokers) = (&self.cluster.component, &self.cluster.brokers);
        tracing::warn!(component, brokers, reason, "the producer is replaced, what is not committed is sent again");
        if !self.channel.call_back(Duration::from_secs(5)) {
            return Err(Fault::environment(format!("the producer for {brokers} has failed and keeps its messages: {reason}")));
        }
        self.sort_out();
        self.take_back();
        if let Some(marks) = &mut self.queue.marks {
            marks.forget();
        }
        self.back_off(RDKafkaErrorCode::Fatal, reason);
        self.channel = Channel::open(&self.cluster, &[])?;
        self.step = Step::Starting;
        Ok(())
    }

    fn back_off(&mut self, code: RDKafkaErrorCode, reason: &str) {
        self.channel.say(code, reason);
        self.pause.begin();
    }
}

impl Outlet for Transactions {
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
        self.queue.is_empty() && matches!(self.step, Step::Idle | Step::Starting) && self.refused.is_empty()
    }

    fn take_in(&mut self, wait: Duration) {
        self.channel.poll(wait);
        self.sort_out();
    }

    fn work(&mut self, wait: Duration, hurry: bool) -> Result<Vec<Refused>, Fault> {
        self.take_in(wait);
        if let Some(reason) = self.channel.fatal() {
            self.replace(&reason)?;
        }
        self.advance(hurry)?;
        Ok(std::mem::take(&mut self.refused))
    }
}
