//! What is sent once although it is read again: marks and transactions, against the mock cluster of the client library. That
//! cluster shows readers what was aborted, and keeps no marks of transactions: tests/transactions.rs has what a real one does.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kafka::{Mock, headers};
use super::*;
use crate::publish::transaction::DRAIN;

/// The mock takes commits of partitions that it has, and marks are in the partitions of the source.
const PARTITIONS: i32 = ORIGIN.1 + 1;

/// A cluster, and the folder of a component that comes and goes.
struct Town {
    cluster: Mock,
    brokers: String,
    state: tempfile::TempDir,
}

impl Town {
    fn new() -> Town {
        let cluster: Mock = MockCluster::new(1).unwrap();
        ["out", "new"].iter().for_each(|topic| cluster.create_topic(topic, PARTITIONS, 1).unwrap());
        Town { brokers: cluster.bootstrap_servers(), cluster, state: tempfile::tempdir().unwrap() }
    }

    fn house(&self, topics: &[&str], transactional: bool) -> House {
        self.house_of(topics, transactional, "night", None)
    }

    fn house_of(&self, topics: &[&str], transactional: bool, group: &str, before: Option<&str>) -> House {
        let output = |topic: &&str| {
            let mut output = to_kafka(topic, &self.brokers, PublishFormat::Bare, &[("reconnect.backoff.max.ms", "200")]);
            if let PublishTarget::Kafka { transactions, .. } = &mut output.target {
                *transactions = transactional;
            }
            output
        };
        House::with_group(&topics.iter().map(output).collect::<Vec<_>>(), Some(group), before, self.state.path())
    }

    /// The offsets in the source of all messages of a topic, in no order.
    fn published(&self, topic: &str) -> Vec<i64> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).set("group.id", "reader").create().unwrap();
        let mut partitions = TopicPartitionList::new();
        (0..PARTITIONS).for_each(|p| partitions.add_partition_offset(topic, p, Offset::Beginning).unwrap());
        consumer.assign(&partitions).unwrap();
        let count: i64 = (0..PARTITIONS).map(|p| consumer.fetch_watermarks(topic, p, Duration::from_secs(5)).unwrap().1).sum();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut found: Vec<i64> = Vec::new();
        while (found.len() as i64) < count {
            assert!(Instant::now() < deadline, "{} of {count} messages in {topic}", found.len());
            if let Some(message) = consumer.poll(Duration::from_millis(50)) {
                let message: OwnedMessage = message.unwrap().detach();
                found.push(headers(&message)[2].1.parse().unwrap());
            }
        }
        found.sort_unstable();
        found
    }
}

/// Alerts with offsets from `start`, sent by the survey so many seconds later than the same offsets usually are.
fn later(start: i64, count: i64, seconds: i64) -> Decoded {
    let mut alerts = batch(&alert_schema(ALERT), start, count);
    alerts.parts[0].rows.iter_mut().for_each(|row| row.timestamp = row.timestamp.map(|time| time + seconds * 1000));
    alerts
}

fn alerts(start: i64, count: i64) -> Decoded {
    later(start, count, 0)
}

fn all(end: i64) -> Vec<i64> {
    (0..end).collect()
}

/// Everything is delivered and noted.
fn close(mut house: House, end: i64) {
    house.settle(end);
    house.sink.seal().unwrap();
}

fn before(house: &House) -> Vec<u64> {
    house.sink.report.report().outputs.iter().map(|output| output.before).collect()
}

#[test]
fn after_a_restart_what_was_published_is_not_sent_again() {
    let town = Town::new();
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 6));
    house.accept(&alerts(6, 4));
    close(house, 10);
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(4, 11));
    house.settle(15);
    assert_eq!((town.published("out"), before(&house)), (all(15), vec![6]));
    assert!(house.letters.reasons().is_empty());
}

#[test]
fn an_output_that_is_new_begins_where_the_stream_is() {
    let town = Town::new();
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 10));
    close(house, 10);
    let mut house = town.house(&["out", "new"], false);
    house.accept(&alerts(5, 7));
    house.settle(12);
    assert_eq!((town.published("out"), town.published("new")), (all(12), (5..12).collect()));
    assert_eq!(before(&house), [5, 0]);
}

#[test]
fn of_a_source_that_was_made_anew_everything_is_published() {
    let town = Town::new();
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 10));
    close(house, 10);
    let mut house = town.house(&["out"], false);
    house.accept(&later(0, 3, 3600));
    close(house, 3);
    assert_eq!(town.published("out"), [vec![0, 0, 1, 1, 2, 2], (3..10).collect()].concat());
    // Its own mark holds from now on.
    let mut house = town.house(&["out"], false);
    house.accept(&later(0, 4, 3600));
    house.settle(4);
    assert_eq!((town.published("out").len(), before(&house)), (14, vec![3]));
}

#[test]
fn what_was_set_aside_is_published_but_for_what_went_out_before() {
    let town = Town::new();
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 6));
    close(house, 6);
    // After an outage: 4 and 5 are not committed, so 4 to 8 are set aside; later 12 to 14 are, which no one has sent.
    for (start, end) in [(9, 12), (15, 17)] {
        let mut house = town.house(&["out"], false);
        house.accept(&alerts(start, end - start));
        close(house, end);
    }
    let mut house = town.house_of(&["out", "new"], false, "night-late", Some("night"));
    house.accept(&alerts(4, 5));
    house.accept(&alerts(12, 3));
    close(house, 15);
    assert_eq!(town.published("out"), all(17));
    // An output of which the live stream knows nothing gets all that is set aside.
    assert_eq!(town.published("new"), [4, 5, 6, 7, 8, 12, 13, 14]);
    // And the own marks hold.
    let mut house = town.house_of(&["out", "new"], false, "night-late", Some("night"));
    house.accept(&alerts(4, 5));
    house.accept(&alerts(12, 3));
    house.settle(15);
    assert_eq!((town.published("out").len(), town.published("new").len(), before(&house)), (17, 8, vec![8, 8]));
}

#[test]
fn a_mark_is_never_past_what_is_not_delivered() {
    let town = Town::new();
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 4));
    house.settle(4);
    house.sink.seal().unwrap();
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 100];
    town.cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    house.accept(&alerts(4, 4));
    let sealed = Instant::now();
    while sealed.elapsed() < Duration::from_secs(1) {
        house.sink.seal().unwrap();
    }
    assert!(house.sink.report.report().outputs[0].errors > 0, "the test needs failures");
    drop(house);
    town.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 8));
    house.settle(8);
    assert_eq!((town.published("out"), before(&house)), (all(8), vec![4]));
}

#[test]
fn nothing_is_sent_before_the_cluster_has_said_what_it_has() {
    let town = Town::new();
    let mut house = town.house(&["out"], false);
    house.accept(&alerts(0, 5));
    close(house, 5);
    town.cluster.broker_down(-1).unwrap();
    let mut house = town.house(&["out"], false);
    for start in (0..20).step_by(5) {
        let began = Instant::now();
        house.accept(&alerts(start, 5));
        assert!(began.elapsed() < Duration::from_secs(2), "taking a batch is bounded");
    }
    assert_eq!(house.watermark(), None);
    town.cluster.broker_up(-1).unwrap();
    house.settle(20);
    assert_eq!(town.published("out"), all(20));
}

#[test]
fn a_transaction_that_fails_is_sent_again_whole_and_acknowledged_once_it_is_committed() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS as CONCURRENT, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS as LOADING,
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as FENCED, RD_KAFKA_RESP_ERR_NO_ERROR as FINE,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as FORBIDDEN,
    };
    for (key, errors) in [
        (RDKafkaApiKey::Produce, vec![FORBIDDEN]),
        (RDKafkaApiKey::Produce, vec![FINE, FORBIDDEN, FORBIDDEN]),
        (RDKafkaApiKey::EndTxn, vec![LOADING, CONCURRENT]),
        (RDKafkaApiKey::EndTxn, vec![FENCED]),
        (RDKafkaApiKey::AddPartitionsToTxn, vec![CONCURRENT, FORBIDDEN]),
        (RDKafkaApiKey::TxnOffsetCommit, vec![LOADING]),
        (RDKafkaApiKey::InitProducerId, vec![LOADING, CONCURRENT]),
    ] {
        let town = Town::new();
        let mut house = town.house(&["out"], true);
        town.cluster.request_errors(key, &errors);
        for start in (0..40).step_by(8) {
            house.accept(&alerts(start, 8));
            house.sink.tick(Instant::now()).unwrap();
        }
        close(house, 40);
        let mut published = town.published("out");
        published.dedup();
        assert_eq!(published, all(40), "{key:?} {errors:?}");
    }
}

#[test]
fn what_a_broker_refuses_in_a_transaction_is_a_dead_letter_and_its_neighbours_are_sent() {
    let town = Town::new();
    let mut house = town.house(&["out"], true);
    // The batch, then one of those that are sent alone.
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    town.cluster.request_errors(RDKafkaApiKey::Produce, &[too_large, too_large]);
    house.accept(&alerts(0, 4));
    house.settle(4);
    let letters = house.letters.reasons();
    let mut published = town.published("out");
    published.dedup();
    let dead: Vec<i64> = letters.iter().map(|(offset, _)| *offset).collect();
    assert!(dead.len() == 1 && letters[0].1.contains("too large"), "{letters:?}");
    assert_eq!(published, all(4).into_iter().filter(|o| !dead.contains(o)).collect::<Vec<_>>());
}

#[test]
fn a_batch_is_acknowledged_when_its_transaction_is_committed_and_not_before() {
    let town = Town::new();
    let mut house = town.house(&["out"], true);
    house.accept(&alerts(0, 3));
    house.settle(3);
    town.cluster.request_errors(RDKafkaApiKey::EndTxn, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS; 1000]);
    house.accept(&alerts(3, 3));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(600) {
        house.sink.tick(Instant::now()).unwrap();
    }
    assert_eq!((town.published("out").len(), house.watermark()), (6, Some(3)), "delivered, and not committed");
    town.cluster.clear_request_errors(RDKafkaApiKey::EndTxn);
    house.settle(6);
}

/// The search for the coordinator of a group fails with what it is not made again for. Only a connection that comes or goes at that
/// moment would set it going again, which happens now and then.
#[test]
fn a_call_that_never_comes_back_costs_a_producer_and_nothing_else() {
    let hung = (0..10).any(|_| {
        let town = Town::new();
        let mut house = town.house(&["out", "new"], true);
        // The message to one output arrives, that to the other is tried over and over: the transaction stays open before its marks.
        let mut answers = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 1000];
        answers[0] = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        town.cluster.request_errors(RDKafkaApiKey::Produce, &answers);
        house.accept(&alerts(0, 3));
        let reader: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &town.brokers).create().unwrap();
        let end = |topic, p| reader.fetch_watermarks(topic, p, Duration::from_secs(5)).unwrap().1;
        let sent = || (0..PARTITIONS).any(|p| end("out", p) + end("new", p) > 0);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !sent() {
            assert!(Instant::now() < deadline, "nothing is sent");
            house.sink.tick(Instant::now()).unwrap();
        }
        let moved = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
        town.cluster.request_errors(RDKafkaApiKey::FindCoordinator, &[moved]);
        town.cluster.clear_request_errors(RDKafkaApiKey::Produce);
        let began = Instant::now();
        house.settle(3);
        let hung = began.elapsed() >= DRAIN;
        house.accept(&alerts(3, 3));
        close(house, 6);
        let mut published = town.published("out");
        published.dedup();
        assert_eq!(published, all(6));
        hung
    });
    assert!(hung, "the call came back each time: is it made beside without need?");
}
