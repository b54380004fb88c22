//! Dead letters in a topic.

use rdkafka::message::Message;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::kafka::{consume, headers, mock};
use super::*;
use crate::alert::FaultKind;

fn letter(offset: i64) -> DeadLetter {
    let mut letter = batch(&alert_schema(ALERT), offset, 1).parts[0].letter(0, &token(offset, 1), "decode", "cut short".into());
    letter.key = Some(b"k".to_vec());
    letter
}

#[test]
fn letters_keep_bytes_key_and_headers_and_say_why() {
    let cluster = mock(&["dead"]);
    let brokers = cluster.bootstrap_servers();
    let letters = TopicLetters::open("test", &brokers, "dead", &BTreeMap::new()).unwrap();
    let mut tombstone = letter(6);
    (tombstone.payload, tombstone.key, tombstone.record, tombstone.headers) = (None, None, None, vec![]);
    letters.put(&[]).unwrap();
    letters.put(&[letter(5), tombstone]).unwrap();
    let messages = consume(&brokers, "dead", 2);
    assert_eq!(messages[0].payload(), letter(5).payload.as_deref());
    assert_eq!((messages[0].key(), messages[0].timestamp().to_millis()), (Some(&b"k"[..]), Some(1_700_000_000_005)));
    let expected = [
        ("survey", "x"),
        ("skysluice.stage", "decode"),
        ("skysluice.reason", "cut short"),
        ("skysluice.topic", "upstream"),
        ("skysluice.partition", "3"),
        ("skysluice.offset", "5"),
        ("skysluice.timestamp", "1700000000005"),
        ("skysluice.record", "0"),
    ];
    let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(headers(&messages[0]), expected);
    assert_eq!((messages[1].payload(), messages[1].key()), (None, None));
    assert_eq!(headers(&messages[1]).len(), 6);
}

#[test]
fn letters_that_cannot_be_delivered_in_time_are_a_fault_of_the_environment() {
    let cluster = mock(&["dead"]);
    let brokers = cluster.bootstrap_servers();
    cluster.broker_down(-1).unwrap();
    let properties = BTreeMap::from([("reconnect.backoff.max.ms".to_owned(), "200".to_owned())]);
    let mut letters = TopicLetters::open("test", &brokers, "dead", &properties).unwrap();
    letters.patience = Duration::from_millis(300);
    let fault = letters.put(&[letter(1), letter(2)]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Environment);
    assert!(fault.message.contains("topic dead") && fault.message.contains("2 of 2"), "{fault}");
    cluster.broker_up(-1).unwrap();
    letters.patience = PATIENCE;
    letters.put(&[letter(3)]).unwrap();
    assert_eq!(headers(&consume(&brokers, "dead", 1)[0])[5].1, "3");
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_letter_that_the_broker_finds_too_large_is_kept_without_its_bytes() {
    let cluster = mock(&["dead"]);
    let brokers = cluster.bootstrap_servers();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let letters = TopicLetters::open("test", &brokers, "dead", &BTreeMap::new()).unwrap();
    letters.put(&[letter(5)]).unwrap();
    let message = &consume(&brokers, "dead", 1)[0];
    assert_eq!(message.payload(), None);
    let size = letter(5).payload.unwrap().len().to_string();
    assert!(headers(message).contains(&("skysluice.omitted".into(), size)));
}
