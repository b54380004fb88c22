//! One consumer and its keeper: a thread that commits in the background and closes the consumer at the end, so that neither a
//! slow broker nor a lost one holds up the polling thread.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};

use super::context::{Context, Wake, give_up};
use super::settings;
use crate::alert::Fault;
use crate::config::KafkaSource;

/// How long a consumer may take to leave its group before it is left to itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What became of a commit.
pub(super) type Outcome = (TopicPartitionList, KafkaResult<()>);

/// A subscribed consumer.
pub(super) struct Connection {
    consumer: Option<Arc<BaseConsumer<Context>>>,
    component: String,
    wake: Arc<Wake>,
    orders: Option<Sender<TopicPartitionList>>,
    outcomes: Receiver<Outcome>,
    ordered: usize,
    closed: Receiver<()>,
}

impl Connection {
    /// Makes the consumer and subscribes. Brokers that are away are waited for in the background.
    pub(super) fn open(config: &KafkaSource, component: &str, queue_bytes: u64, partitions: usize) -> Result<Self, Fault> {
        let wake = Arc::new(Wake::default());
        let context = Context::new(component, &config.brokers);
        let mut consumer: BaseConsumer<Context> =
            settings::client(config, queue_bytes, partitions).create_with_context(context).map_err(|e| settings::refused(&e))?;
        let bell = wake.clone();
        consumer.set_nonempty_callback(move || bell.ring());
        let consumer = Arc::new(consumer);
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|e| Fault::defect(format!("can't subscribe to {topics:?}: {e}; correct `source.kafka.topics`")))?;
        let (orders, take_orders) = unbounded::<TopicPartitionList>();
        let (give_outcomes, outcomes) = unbounded();
        let (give_closed, closed) = bounded(1);
        let kept = consumer.clone();
        thread::Builder::new()
            .name("kafka-keeper".into())
            .spawn(move || {
                for list in take_orders {
                    let outcome = kept.commit(&list, CommitMode::Sync);
                    // The source may have stopped waiting; then no one is left to tell.
                    let _ = give_outcomes.send((list, outcome));
                }
                drop(kept);
                let _ = give_closed.send(());
            })
            .map_err(|e| Fault::environment(format!("can't start the thread that commits offsets: {e}")))?;
        Ok(Self {
            consumer: Some(consumer),
            component: component.into(),
            wake,
            orders: Some(orders),
            outcomes,
            ordered: 0,
            closed,
        })
    }

    /// The consumer.
    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Context>> {
        self.consumer.as_ref().expect("taken in drop only")
    }

    /// State of the callbacks.
    pub(super) fn context(&self) -> &Context {
        self.consumer().client().context()
    }

    /// What wakes the polling thread.
    pub(super) fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// Whether a commit is on its way.
    pub(super) fn is_committing(&self) -> bool {
        self.ordered > 0
    }

    /// Commits in the background.
    pub(super) fn commit(&mut self, list: TopicPartitionList) {
        if self.orders.as_ref().is_some_and(|orders| orders.send(list).is_ok()) {
            self.ordered += 1;
        }
    }

    /// The next finished commit, waiting until `deadline` for one that is on its way.
    pub(super) fn outcome(&mut self, deadline: Instant) -> Option<Outcome> {
        if self.ordered == 0 {
            return None;
        }
        let outcome = self.outcomes.recv_deadline(deadline).ok()?;
        self.ordered -= 1;
        Some(outcome)
    }

    /// Serves callbacks; waits for one at most for `wait`.
    ///
    /// # Errors
    /// When the client has given up for good.
    pub(super) fn pump(&self, wait: Duration) -> Result<(), Fault> {
        // An event may have been served although nothing is returned, so a few looks are taken.
        for wait in [wait, Duration::ZERO, Duration::ZERO] {
            match self.consumer().poll(wait) {
                None => {}
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    return Err(Fault::environment(format!("the Kafka client has given up: {code}; it is made anew")));
                }
                // Said by the context already.
                Some(Err(_)) => {}
                Some(Ok(_)) => {
                    return Err(Fault::defect(
                        "a message came outside the queue of its partition; reading begins again at the commits",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        let context = consumer.client().context().clone();
        context.close();
        // What librdkafka still waits for must be answered, else it can't leave the group.
        while let Some(change) = context.next_change() {
            give_up(&consumer, &change);
        }
        drop(consumer);
        drop(self.orders.take());
        if self.closed.recv_timeout(CLOSE_LIMIT).is_err() {
            tracing::warn!(
                component = self.component,
                "the consumer did not leave its group in time; it is closed in the background"
            );
        }
    }
}
