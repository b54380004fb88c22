//! A live source and the source of its backlog against the mock cluster of the client library, which takes every message for older than
//! any time it is asked for.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use rdkafka::ClientConfig;

use super::*;
use crate::alert::{RawBatch, Source};
use crate::config::Late;
use crate::source::kafka::tests::{batches_of, cluster, config, expected, house, payloads, produce, settle, until};
use crate::source::testing::{assert_contiguous, count, poll_until};

fn live(brokers: &str) -> KafkaSource {
    KafkaSource { late: Some(Late { after: Late::AFTER, share: Late::SHARE }), ..config(brokers, &[]) }
}

fn late(brokers: &str) -> KafkaSource {
    let backlog = Settings { of: "test".into(), group: "g".into(), share: Late::SHARE };
    KafkaSource { group: "g-late".into(), backlog: Some(backlog), ..config(brokers, &[]) }
}

/// Offset and metadata of what a group has committed.
fn committed(brokers: &str, group: &str, partition: i32) -> (Option<i64>, String) {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
    let origin = TopicPartition { topic: "t".into(), partition };
    let found = consumer.committed_offsets(one(&origin), Duration::from_secs(10)).unwrap();
    let metadata = found.find_partition("t", partition).unwrap().metadata().to_owned();
    (offset_of(&found, &origin), metadata)
}

fn seen(batches: &[RawBatch], partition: i32) -> HashSet<String> {
    let of = batches.iter().filter(|b| b.token.origin.partition == partition).cloned().collect::<Vec<_>>();
    payloads(&of).into_iter().collect()
}

#[test]
fn what_is_set_aside_is_read_by_the_other_source_and_by_no_one_else() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    (0..2).for_each(|partition| produce(&brokers, partition, 0..50));
    let (here, there) = (house(batches_of(8)), house(batches_of(8)));
    let mut first = Kafka::open(&live(&brokers), here.clone()).unwrap();
    let mut second = Kafka::open(&late(&brokers), there.clone()).unwrap();
    until("the backlog is set aside", || {
        first.poll(Duration::from_millis(20)).unwrap();
        committed(&brokers, "g", 1) == (Some(50), "late=0-50".into())
    });
    (0..2).for_each(|partition| produce(&brokers, partition, 50..60));
    let new = poll_until(&mut first, |b| count(b) == 20);
    assert_eq!((seen(&new, 0), seen(&new, 1)), (expected(0, 50..60), expected(1, 50..60)));
    let old = poll_until(&mut second, |b| count(b) == 100);
    assert_eq!((seen(&old, 0), seen(&old, 1)), (expected(0, 0..50), expected(1, 0..50)));
    assert_contiguous(&old, 0);
    new.iter().for_each(|batch| settle(&here, batch));
    first.commit(&here.ledger.watermarks(), true).unwrap();
    assert_eq!(committed(&brokers, "g", 0), (Some(60), "late=0-50".into()), "later commits carry it along");
    old.iter().for_each(|batch| settle(&there, batch));
    until("the end of the range is committed", || {
        second.poll(Duration::from_millis(20)).unwrap();
        (0..2).all(|partition| committed(&brokers, "g-late", partition).0 == Some(50))
    });
    // A second outage, while the reader of the backlog goes on.
    drop(first);
    (0..2).for_each(|partition| produce(&brokers, partition, 60..75));
    let mut first = Kafka::open(&live(&brokers), house(batches_of(8))).unwrap();
    until("more is set aside", || {
        first.poll(Duration::from_millis(20)).unwrap();
        committed(&brokers, "g", 1) == (Some(75), "late=60-75".into())
    });
    let old = poll_until(&mut second, |b| count(b) == 30);
    assert_eq!((seen(&old, 0), seen(&old, 1)), (expected(0, 60..75), expected(1, 60..75)));
    assert_contiguous(&old, 60);
    // A watermark of before is no news any more.
    second.commit(&there.ledger.watermarks(), true).unwrap();
    assert_eq!(committed(&brokers, "g-late", 0).0, Some(50));
}

#[test]
fn a_client_that_has_gone_elsewhere_is_sent_back_and_nothing_is_left_out() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..40);
    let mut first = Kafka::open(&live(&brokers), house(batches_of(8))).unwrap();
    until("the backlog is set aside", || {
        first.poll(Duration::from_millis(20)).unwrap();
        committed(&brokers, "g", 0).0 == Some(40)
    });
    produce(&brokers, 0, 40..60);
    let mut second = Kafka::open(&late(&brokers), house(batches_of(8))).unwrap();
    until("the range is begun", || {
        second.serve().unwrap();
        second.backlog.as_ref().unwrap().places.values().any(|place| place.reading.is_some())
    });
    // As a lookup of the end does that was under way when the client was sent to the beginning.
    second.connection.consumer().seek("t", 0, Offset::Offset(50), LIMIT).unwrap();
    let old = poll_until(&mut second, |b| count(b) == 40);
    assert_contiguous(&old, 0);
    assert_eq!(seen(&old, 0), expected(0, 0..40));
}

#[test]
fn a_configuration_without_late_keeps_what_is_set_aside_and_one_that_is_full_reads_in_order() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..30);
    // Before any member joins: later the mock takes commits of members alone.
    let commit = |group: &str, offset: i64, metadata: &str| {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition("t", 0);
        element.set_offset(Offset::Offset(offset)).unwrap();
        element.set_metadata(metadata);
        consumer.commit(&list, rdkafka::consumer::CommitMode::Sync).unwrap();
    };
    commit("g", 20, "late=3-7,9-12");
    let here = house(batches_of(10));
    let mut plain = Kafka::open(&config(&brokers, &[]), here.clone()).unwrap();
    let read = poll_until(&mut plain, |b| count(b) == 10);
    assert_contiguous(&read, 20);
    read.iter().for_each(|batch| settle(&here, batch));
    plain.commit(&here.ledger.watermarks(), true).unwrap();
    assert_eq!(committed(&brokers, "g", 0), (Some(30), "late=3-7,9-12".into()));
    drop(plain);

    let many: String =
        (0..120).map(|i| format!("{}-{},", 1_000_000_000_000_000_i64 + 10 * i, 1_000_000_000_000_005_i64 + 10 * i)).collect();
    commit("full", 20, &format!("late={}", many.trim_end_matches(',')));
    let config = KafkaSource { group: "full".into(), ..live(&brokers) };
    let mut full = Kafka::open(&config, house(batches_of(10))).unwrap();
    assert_contiguous(&poll_until(&mut full, |b| count(b) == 10), 20);
}
