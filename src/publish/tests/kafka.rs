//! Outputs to Kafka.

use apache_avro::Reader;
use apache_avro::reader::datum::GenericDatumReader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::*;

pub(super) type Mock = MockCluster<'static, DefaultProducerContext>;

pub(super) fn mock(topics: &[&str]) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    topics.iter().for_each(|topic| cluster.create_topic(topic, 1, 1).unwrap());
    cluster
}

/// The messages of the only partition of a topic, of which there must be `count`.
pub(super) fn consume(brokers: &str, topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "reader").create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut messages = Vec::new();
    while messages.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} messages in {topic}", messages.len());
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            messages.push(message.unwrap().detach());
        }
    }
    assert_eq!(consumer.fetch_watermarks(topic, 0, Duration::from_secs(5)).unwrap(), (0, count as i64), "no message twice");
    messages
}

pub(super) fn headers(message: &OwnedMessage) -> Vec<(String, String)> {
    let text = |h: rdkafka::message::Header<'_, &[u8]>| {
        (h.key.to_owned(), String::from_utf8(h.value.unwrap_or_default().to_vec()).unwrap())
    };
    message.headers().unwrap().iter().map(text).collect()
}

fn keys(messages: &[OwnedMessage]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8(m.key().unwrap().to_vec()).unwrap()).collect()
}

#[test]
fn each_format_reads_back_and_says_where_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = mock(&["container", "confluent", "bare"]);
    let brokers = cluster.bootstrap_servers();
    let confluent = PublishFormat::Confluent { schemas: dir.path().to_owned() };
    let mut house = House::open(&[
        to_kafka("container", &brokers, PublishFormat::Container, &[]),
        to_kafka("confluent", &brokers, confluent, &[]),
        to_kafka("bare", &brokers, PublishFormat::Bare, &[]),
    ]);
    assert_eq!(house.sink.clusters.len(), 1, "outputs to the same brokers share a producer");
    let mut alerts = batch(&alert_schema(ALERT), 0, 4);
    alerts.parts[0].verdicts[1] = Verdict::Skipped(0);
    house.accept(&alerts);
    house.settle(4);

    let container = consume(&brokers, "container", 3);
    assert_eq!(keys(&container), ["ZTF0", "ZTF2", "ZTF3"]);
    let json = std::fs::read_to_string(dir.path().join("1.avsc")).unwrap();
    let schema = Schema::parse_str(&json).unwrap();
    let datum = |mut bytes: &[u8]| {
        let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut bytes).unwrap();
        assert!(bytes.is_empty());
        value
    };
    let (confluent, bare) = (consume(&brokers, "confluent", 3), consume(&brokers, "bare", 3));
    for (i, offset) in [0, 2, 3].into_iter().enumerate() {
        let inside: Vec<Value> = Reader::new(container[i].payload().unwrap()).unwrap().map(Result::unwrap).collect();
        assert_eq!(inside, [published(offset)]);
        let framed = confluent[i].payload().unwrap();
        assert_eq!(framed[..5], [0, 0, 0, 0, 1]);
        assert_eq!(datum(&framed[5..]), published(offset));
        assert_eq!(datum(bare[i].payload().unwrap()), published(offset));
        for message in [&container[i], &confluent[i], &bare[i]] {
            assert_eq!(message.timestamp().to_millis(), Some(1_700_000_000_000 + offset));
            let expected = [
                ("skysluice.topic", "upstream".to_owned()),
                ("skysluice.partition", "3".into()),
                ("skysluice.offset", offset.to_string()),
                ("skysluice.record", "0".into()),
                ("skysluice.fingerprint", "0123456789abcdef".into()),
            ];
            assert_eq!(headers(message), expected.map(|(k, v)| (k.to_owned(), v)));
        }
    }
    let report = house.sink.report.report();
    let bytes: usize = bare.iter().map(|m| m.payload().unwrap().len()).sum();
    assert_eq!((report.outputs[2].messages, report.outputs[2].bytes), (3, bytes as u64));
}

#[test]
fn the_key_is_that_of_the_message_where_there_is_no_object() {
    let cluster = mock(&["out"]);
    let brokers = cluster.bootstrap_servers();
    let mut house = House::open(&[to_kafka("out", &brokers, PublishFormat::Bare, &[])]);
    let mut alerts = batch(&alert_schema(ALERT), 0, 2);
    let part = &mut alerts.parts[0];
    part.candidate.object_id = Arc::new(StringArray::from(vec![None::<&str>, None]));
    let start = part.rows[0].message.start;
    part.rows[0].key = Some(DatumRange { buffer: 0, start, end: start + 1 });
    house.accept(&alerts);
    house.settle(2);
    let messages = consume(&brokers, "out", 2);
    assert_eq!((messages[0].key(), messages[1].key()), (Some(&b"<"[..]), None));
}

#[test]
fn nothing_is_lost_and_order_is_kept_when_the_broker_goes_away_and_the_queue_is_full() {
    let cluster = mock(&["out"]);
    let brokers = cluster.bootstrap_servers();
    let small = [("queue.buffering.max.messages", "10"), ("reconnect.backoff.max.ms", "200")];
    let mut house = House::open(&[to_kafka("out", &brokers, PublishFormat::Bare, &small)]);
    let schema = alert_schema(ALERT);
    house.accept(&batch(&schema, 0, 5));
    house.settle(5);
    cluster.broker_down(-1).unwrap();
    for start in (5..45).step_by(5) {
        let before = Instant::now();
        house.accept(&batch(&schema, start, 5));
        assert!(before.elapsed() < Duration::from_secs(2), "taking a batch is bounded");
    }
    let before = Instant::now();
    house.sink.seal().unwrap();
    assert!(before.elapsed() < Duration::from_secs(2), "sealing is bounded");
    assert_eq!(house.watermark(), Some(5));
    cluster.broker_up(-1).unwrap();
    house.settle(45);
    let expected: Vec<String> = (0..45).map(|o| format!("ZTF{o}")).collect();
    assert_eq!(keys(&consume(&brokers, "out", 45)), expected);
    assert!(house.letters.reasons().is_empty());
}

#[test]
fn a_broker_that_comes_after_the_start_gets_everything() {
    let cluster = mock(&["out"]);
    let brokers = cluster.bootstrap_servers();
    cluster.broker_down(-1).unwrap();
    let fast = [("reconnect.backoff.max.ms", "200")];
    let mut house = House::open(&[to_kafka("out", &brokers, PublishFormat::Bare, &fast)]);
    house.accept(&batch(&alert_schema(ALERT), 0, 3));
    house.sink.seal().unwrap();
    assert_eq!(house.watermark(), None);
    cluster.broker_up(-1).unwrap();
    house.settle(3);
    assert_eq!(consume(&brokers, "out", 3).len(), 3);
}

#[test]
fn a_message_too_large_for_the_client_is_a_dead_letter_with_its_original_bytes() {
    let cluster = mock(&["large", "small"]);
    let brokers = cluster.bootstrap_servers();
    let limit = [("message.max.bytes", "1000"), ("batch.size", "1000")];
    let mut house = House::open(&[
        to_kafka("large", &brokers, PublishFormat::Container, &limit),
        to_kafka("small", &brokers, PublishFormat::Bare, &limit),
    ]);
    let mut alerts =
        batch(&alert_schema(&ALERT.replace("namespace", &format!("doc\":\"{}\",\"namespace", "x".repeat(2000)))), 0, 1);
    alerts.parts[0].rows[0].key = Some(alerts.parts[0].rows[0].datum);
    house.accept(&alerts);
    house.settle(1);
    assert_eq!(consume(&brokers, "small", 1).len(), 1);
    let letters = house.letters.0.lock().unwrap();
    let part = &alerts.parts[0];
    assert_eq!(letters[0].payload.as_deref(), Some(part.bytes(part.rows[0].message)));
    assert_eq!((letters[0].stage, &letters[0].headers), ("publish", &part.rows[0].headers));
    let reason = &letters[0].reason;
    assert!(
        reason.contains("topic large") && reason.contains("at most 1000") && reason.contains("message.max.bytes"),
        "{reason}"
    );
    let outputs = house.sink.report.report().outputs;
    assert_eq!((outputs[0].too_large, outputs[0].messages, outputs[1].too_large), (1, 0, 0));
}

#[test]
fn what_a_broker_finds_too_large_is_tried_alone_before_it_is_given_up() {
    let cluster = mock(&["out"]);
    let brokers = cluster.bootstrap_servers();
    let mut house = House::open(&[to_kafka("out", &brokers, PublishFormat::Bare, &[("linger.ms", "100")])]);
    // The batch of three, then the second of the three that are sent alone.
    let (too_large, fine) = (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_large, fine, too_large, fine]);
    house.accept(&batch(&alert_schema(ALERT), 0, 3));
    house.settle(3);
    assert_eq!(house.letters.reasons().iter().map(|r| r.0).collect::<Vec<_>>(), [1]);
    assert_eq!(keys(&consume(&brokers, "out", 2)), ["ZTF0", "ZTF2"]);
    let output = &house.sink.report.report().outputs[0];
    assert_eq!((output.messages, output.too_large, output.errors), (2, 1, 3));
}

#[test]
fn a_delivery_that_fails_for_a_while_is_tried_again() {
    let cluster = mock(&["out"]);
    let brokers = cluster.bootstrap_servers();
    let mut house = House::open(&[to_kafka("out", &brokers, PublishFormat::Bare, &[("linger.ms", "100")])]);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let busy = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refused, busy, refused]);
    house.accept(&batch(&alert_schema(ALERT), 0, 3));
    house.settle(3);
    assert_eq!(keys(&consume(&brokers, "out", 3)), ["ZTF0", "ZTF1", "ZTF2"]);
    let output = &house.sink.report.report().outputs[0];
    assert!(output.messages == 3 && output.errors >= 6, "{output:?}");
    assert!(house.letters.reasons().is_empty());
}

#[test]
fn a_producer_that_is_past_mending_is_replaced_and_nothing_is_lost() {
    let cluster = mock(&["out"]);
    let brokers = cluster.bootstrap_servers();
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden, forbidden]);
    let mut house = House::open(&[to_kafka("out", &brokers, PublishFormat::Bare, &[])]);
    let schema = alert_schema(ALERT);
    house.accept(&batch(&schema, 0, 3));
    house.accept(&batch(&schema, 3, 3));
    house.settle(6);
    let expected: Vec<String> = (0..6).map(|o| format!("ZTF{o}")).collect();
    assert_eq!(keys(&consume(&brokers, "out", 6)), expected);
}

#[test]
fn a_topic_that_is_made_late_gets_everything() {
    let cluster = mock(&["late"]);
    let brokers = cluster.bootstrap_servers();
    cluster.topic_error("late", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let fast = [("topic.metadata.propagation.max.ms", "100"), ("topic.metadata.refresh.interval.ms", "200")];
    let mut house = House::open(&[to_kafka("late", &brokers, PublishFormat::Bare, &fast)]);
    let schema = alert_schema(ALERT);
    house.accept(&batch(&schema, 0, 3));
    let deadline = Instant::now() + Duration::from_secs(20);
    while house.sink.report.report().outputs[0].errors < 6 {
        assert!(Instant::now() < deadline, "{:?}", house.sink.report.report());
        house.sink.tick(Instant::now()).unwrap();
    }
    house.accept(&batch(&schema, 3, 3));
    assert_eq!(house.watermark(), None);
    cluster.topic_error("late", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    house.settle(6);
    let expected: Vec<String> = (0..6).map(|o| format!("ZTF{o}")).collect();
    assert_eq!(keys(&consume(&brokers, "late", 6)), expected);
}

#[test]
fn a_wrong_property_is_named_without_its_value() {
    let (ledger, letters) = (Ledger::default(), Arc::new(Letters::default()));
    let wrong = to_kafka("out", "localhost:1", PublishFormat::Bare, &[("sasl.pasword", "hunter2")]);
    let report = ReportHandle::new(std::slice::from_ref(&wrong));
    let (component, state) = ("test".into(), PathBuf::new());
    let context = PublishContext { component, sink: SINK, ledger, letters, report, group: None, before: None, state };
    let fault = PublishSink::open(&[wrong], context).err().unwrap();
    assert!(fault.message.contains("sasl.pasword") && !fault.message.contains("hunter2"), "{fault}");
}

#[test]
fn a_sink_that_is_dropped_acknowledges_nothing_that_was_on_its_way() {
    let cluster = mock(&["out"]);
    cluster.broker_down(-1).unwrap();
    let mut house = House::open(&[to_kafka("out", &cluster.bootstrap_servers(), PublishFormat::Bare, &[])]);
    house.accept(&batch(&alert_schema(ALERT), 0, 3));
    drop(house.sink);
    assert_eq!(house.ledger.watermarks(), vec![]);
}
