//! Against librdkafka's built-in mock cluster. Its groups take three seconds to form and a session less one second to form anew,
//! and unlike Apache's broker it refuses commits while members are joining.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Kafka;
use crate::alert::{Fault, Polled, RawBatch, Source, TopicPartition};
use crate::config::{BatchLimits, Expired, KafkaSource, Start};
use crate::ledger::Handled;
use crate::source::SourceContext;
use crate::source::testing::{Nine, SINK, assert_contiguous, context, count, drain, poll_until};

type Cluster = MockCluster<'static, DefaultProducerContext>;

pub(super) fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", partitions, 1).unwrap();
    cluster
}

pub(super) fn config(brokers: &str, properties: &[(&str, &str)]) -> KafkaSource {
    KafkaSource {
        brokers: brokers.into(),
        topics: vec!["t".into()],
        group: "g".into(),
        start: Start::Earliest,
        expired: Expired::Continue,
        until_end: false,
        replay: None,
        late: None,
        backlog: None,
        properties: QUICK.iter().chain(properties).map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect(),
    }
}

/// Properties of every test, so that a group forms anew in time.
const QUICK: [(&str, &str); 2] = [("session.timeout.ms", "4000"), ("heartbeat.interval.ms", "200")];

/// A house where something is always in flight, so that batches are gathered until they are full or due.
pub(super) fn house(limits: BatchLimits) -> SourceContext {
    let house = idle_house(limits);
    std::mem::forget(house.budget.try_take(1));
    house
}

fn idle_house(limits: BatchLimits) -> SourceContext {
    context(std::path::Path::new("unused"), limits)
}

pub(super) fn batches_of(alerts: usize) -> BatchLimits {
    BatchLimits { alerts, ..BatchLimits::default() }
}

pub(super) fn produce(brokers: &str, partition: i32, range: std::ops::Range<usize>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for i in range {
        let payload = format!("{partition}:{i}");
        let record = BaseRecord::to("t").partition(partition).key("k").payload(&payload).timestamp(1_700_000_000_000);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

pub(super) fn payloads(batches: &[RawBatch]) -> Vec<String> {
    let text = |b: &RawBatch, m| String::from_utf8(b.payload(m).unwrap().to_vec()).unwrap();
    batches.iter().flat_map(|b| b.messages.iter().map(move |m| text(b, m))).collect()
}

pub(super) fn expected(partition: i32, range: std::ops::Range<usize>) -> HashSet<String> {
    range.map(|i| format!("{partition}:{i}")).collect()
}

/// What the shell and one sink would do with a batch.
pub(super) fn settle(context: &SourceContext, batch: &RawBatch) {
    let alerts = batch.messages.len() as u64;
    context.ledger.begin(&batch.token, alerts);
    acknowledge(context, batch);
}

fn acknowledge(context: &SourceContext, batch: &RawBatch) {
    let alerts = batch.messages.len() as u64;
    context.ledger.decoded(&batch.token, alerts);
    context.ledger.acknowledge(SINK, &batch.token, Handled { archived: alerts, ..Handled::default() });
}

pub(super) fn until(what: &str, mut true_: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !true_() {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        thread::yield_now();
    }
}

#[test]
fn messages_come_whole_and_a_new_source_begins_at_the_commit() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..50);
    produce(&brokers, 1, 0..50);
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "schema", value: Some("7") })
        .insert(Header { key: "none", value: None::<&str> });
    producer.send(BaseRecord::<str, str>::to("t").partition(0).headers(headers)).map_err(|(e, _)| e).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();

    let here = house(batches_of(10));
    let mut source = Kafka::open(&config(&brokers, &[]), here.clone()).unwrap();
    let batches = poll_until(&mut source, |b| count(b) == 101);
    assert_contiguous(&batches, 0);
    let tombstone = batches.iter().find_map(|b| b.messages.iter().find(|m| m.payload.is_none())).unwrap();
    assert_eq!((tombstone.offset, &tombstone.key), (50, &None));
    assert_eq!(tombstone.headers, [("schema".to_string(), Some(b"7".to_vec())), ("none".to_string(), None)]);
    let batch = &batches[0];
    assert_eq!(batch.key(&batch.messages[0]), Some(b"k".as_slice()));
    assert_eq!(batch.messages[0].timestamp, Some(1_700_000_000_000));

    let stale = (TopicPartition { topic: "t".into(), partition: 1 }, 1000);
    for batch in batches.iter().filter(|b| b.token.origin.partition == 0).take(3) {
        settle(&here, batch);
    }
    let mut watermarks = here.ledger.watermarks();
    assert_eq!(watermarks[0].1, 30);
    watermarks.push(stale);
    source.commit(&watermarks, true).unwrap();
    drop(source);

    let mut source = Kafka::open(&config(&brokers, &[]), house(batches_of(10))).unwrap();
    let again = poll_until(&mut source, |b| count(b) == 71);
    let first = |p| again.iter().find(|b| b.token.origin.partition == p).unwrap().token.span.start;
    assert_eq!((first(0), first(1)), (30, 0), "committed at 30, and what was never read was not committed");
}

#[test]
fn partitions_with_a_backlog_take_turns() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..50);
    produce(&brokers, 1, 0..50);
    let here = house(batches_of(10));
    let all = here.budget.try_take(here.budget.limit() - here.budget.used()).unwrap();
    let mut source = Kafka::open(&config(&brokers, &[]), here).unwrap();
    until("a batch waits for the budget", || {
        assert!(matches!(source.poll(Duration::from_millis(20)).unwrap(), Polled::Idle));
        source.ready.is_some()
    });
    // Time for the other queue to fill as well.
    let fetched = Instant::now() + Duration::from_secs(1);
    while Instant::now() < fetched {
        assert!(matches!(source.poll(Duration::from_millis(20)).unwrap(), Polled::Idle));
    }
    drop(all);
    let batches = poll_until(&mut source, |b| count(b) == 100);
    let turns: Vec<i32> = batches.iter().map(|b| b.token.origin.partition).collect();
    assert!(turns.windows(2).all(|w| w[0] != w[1]), "{turns:?}");
}

#[test]
fn a_quiet_stream_waits_for_nothing() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    let limits = BatchLimits { linger: Duration::from_secs(3600), ..batches_of(10) };
    let mut source = Kafka::open(&config(&brokers, &[]), idle_house(limits)).unwrap();
    for i in 0..5 {
        produce(&brokers, 0, i..i + 1);
        produce(&brokers, 1, i..i + 1);
        let mut seen = HashSet::new();
        while seen.len() < 2 {
            // Dropped at once: nothing is in flight when the next one comes.
            seen.extend(payloads(&poll_until(&mut source, |b| b.len() == 1)));
        }
        assert_eq!(seen, [0, 1].map(|p| format!("{p}:{i}")).into());
    }
}

#[test]
fn a_busy_stream_comes_in_full_batches() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..25);
    let here = idle_house(BatchLimits { linger: Duration::from_secs(3600), ..batches_of(10) });
    let busy = here.budget.try_take(1).unwrap();
    let mut source = Kafka::open(&config(&brokers, &[]), here).unwrap();
    let full = poll_until(&mut source, |b| count(b) == 20);
    assert_eq!(full.iter().map(|b| b.messages.len()).collect::<Vec<_>>(), [10, 10]);
    until("the rest is gathered", || {
        assert!(matches!(source.poll(Duration::from_millis(5)).unwrap(), Polled::Idle));
        source.partitions[0].active().unwrap().builder().position() == Some(25)
    });
    assert!(matches!(source.poll(Duration::from_millis(50)).unwrap(), Polled::Idle), "it waits for more while others work");
    drop((busy, full));
    assert_eq!(payloads(&poll_until(&mut source, |b| count(b) == 5)).len(), 5);
}

#[test]
fn a_commit_in_the_background_arrives() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..20);
    let here = house(batches_of(20));
    let mut source = Kafka::open(&config(&brokers, &[]), here.clone()).unwrap();
    let batches = poll_until(&mut source, |b| count(b) == 20);
    batches.iter().for_each(|b| settle(&here, b));
    source.commit(&here.ledger.watermarks(), false).unwrap();
    let look: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", "g").create().unwrap();
    until("the commit is seen by another client", || {
        source.keep_alive().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0);
        let found = look.committed_offsets(list, Duration::from_secs(5)).unwrap();
        found.find_partition("t", 0).unwrap().offset() == Offset::Offset(20)
    });
}

#[test]
fn until_end_ends_at_the_end_of_every_partition() {
    let cluster = cluster(3);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..25);
    produce(&brokers, 2, 0..5);
    let config = KafkaSource { until_end: true, ..config(&brokers, &[]) };
    let mut source = Kafka::open(&config, house(batches_of(10))).unwrap();
    let batches = drain(&mut source);
    assert_eq!(count(&batches), 30);
    assert_contiguous(&batches, 0);
    assert!(matches!(source.poll(Duration::ZERO).unwrap(), Polled::End));
    source.keep_alive().unwrap();
}

#[test]
fn back_pressure_costs_no_membership_but_silence_does() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..40);
    produce(&brokers, 1, 0..40);
    let here = house(batches_of(10));
    let short = [("max.poll.interval.ms", "4000")];
    let mut source = Kafka::open(&config(&brokers, &short), here.clone()).unwrap();
    let mut batches = poll_until(&mut source, |b| b.len() == 1);
    here.ledger.begin(&batches[0].token, 10);

    let all = here.budget.try_take(here.budget.limit() - here.budget.used()).unwrap();
    let hold = Instant::now() + Duration::from_secs(5);
    while Instant::now() < hold {
        assert!(matches!(source.poll(Duration::from_millis(20)).unwrap(), Polled::Idle));
    }
    let hold = Instant::now() + Duration::from_secs(5);
    while Instant::now() < hold {
        source.keep_alive().unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    drop(all);
    batches.extend(poll_until(&mut source, |b| count(b) == 70));
    assert_contiguous(&batches, 0);
    assert_eq!(payloads(&batches).into_iter().collect::<HashSet<_>>().len(), 80);

    // The same without a sign of life: the batch in flight makes it a fault.
    thread::sleep(Duration::from_secs(6));
    let end = Instant::now() + Duration::from_secs(20);
    let fault = loop {
        assert!(Instant::now() < end, "silence was not noticed");
        match source.poll(Duration::from_millis(20)) {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert!(fault.message.contains("revoked"), "{}", fault.message);
}

/// Two members: the first has batches in flight when the second joins.
fn second_member(strategy: &str, settles: bool) -> Result<(), Fault> {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..20);
    produce(&brokers, 1, 0..20);
    let config = config(&brokers, &[("session.timeout.ms", "6000"), ("partition.assignment.strategy", strategy)]);
    let (one, two) = (house(batches_of(10)), house(batches_of(10)));
    let mut first = Kafka::open(&config, one.clone()).unwrap();
    let mut read = poll_until(&mut first, |b| count(b) == 40);
    read.iter().for_each(|b| one.ledger.begin(&b.token, 10));
    read.extract_if(.., |b| b.token.span.end == 10).for_each(|b| acknowledge(&one, &b));
    first.commit(&one.ledger.watermarks(), true).unwrap();

    let mut second = Kafka::open(&config, two).unwrap();
    let (mut late, mut more) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs(40);
    while first.partitions.len() != 1 || second.partitions.len() != 1 || first.revocation.is_some() {
        assert!(Instant::now() < end, "no partition was handed over");
        if let Polled::Batch(batch) = first.poll(Duration::from_millis(10))? {
            late.push(batch);
        }
        if one.ledger.seal_asked() && settles {
            read.drain(..).for_each(|b| acknowledge(&one, &b));
        }
        if let Polled::Batch(batch) = second.poll(Duration::from_millis(10))? {
            more.push(batch);
        }
    }
    assert!(!one.ledger.seal_asked(), "the wish to seal was not taken back");
    produce(&brokers, 0, 20..30);
    produce(&brokers, 1, 20..30);
    until("both read what comes now", || {
        for (source, batches) in [(&mut first, &mut late), (&mut second, &mut more)] {
            if let Polled::Batch(batch) = source.poll(Duration::from_millis(10)).unwrap() {
                batches.push(batch);
            }
        }
        [&late, &more].iter().all(|batches| batches.last().is_some_and(|b| b.token.span.end == 30))
    });
    assert_contiguous(&late, 20);
    // The second begins at the commit of the hand-over, or, where the mock refuses that (it does while members join), at the
    // one before. Nothing is passed over either way.
    let start = more[0].token.span.start;
    assert!([10, 20].contains(&start), "the second member began at {start}");
    assert_contiguous(&more, start);
    Ok(())
}

#[test]
fn partitions_are_handed_over_without_loss() {
    second_member("cooperative-sticky", true).unwrap();
}

#[test]
fn the_eager_protocol_hands_over_as_well() {
    // What comes back to the first is not read again, although the mock refuses the commit of the hand-over.
    second_member("range,roundrobin", true).unwrap();
}

#[test]
fn a_batch_that_does_not_settle_ends_the_generation() {
    for strategy in ["cooperative-sticky", "range,roundrobin"] {
        let fault = second_member(strategy, false).unwrap_err();
        assert!(fault.message.contains("revoked while batches were in flight"), "{}", fault.message);
    }
}

#[test]
fn brokers_that_are_away_are_no_fault() {
    let mut source = Kafka::open(&config("127.0.0.1:1", &[]), house(batches_of(10))).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !source.connection.context().is_troubled() {
        assert!(Instant::now() < end, "nothing was noticed");
        assert!(matches!(source.poll(Duration::from_millis(50)).unwrap(), Polled::Idle));
        source.keep_alive().unwrap();
    }
    let begin = Instant::now();
    drop(source);
    assert!(begin.elapsed() < Duration::from_secs(8), "closing took {:?}", begin.elapsed());
}

#[test]
fn a_broker_that_goes_and_comes_back_costs_nothing() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..20);
    let patient = [("session.timeout.ms", "30000"), ("reconnect.backoff.max.ms", "200")];
    let mut source = Kafka::open(&config(&brokers, &patient), house(batches_of(10))).unwrap();
    let mut batches = poll_until(&mut source, |b| count(b) == 20);
    cluster.broker_down(-1).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !source.connection.context().is_troubled() {
        assert!(Instant::now() < end, "nothing was noticed");
        assert!(matches!(source.poll(Duration::from_millis(50)).unwrap(), Polled::Idle));
    }
    cluster.broker_up(-1).unwrap();
    produce(&brokers, 0, 20..40);
    batches.extend(poll_until(&mut source, |b| count(b) == 20));
    assert_contiguous(&batches, 0);
    assert_eq!(payloads(&batches).into_iter().collect::<HashSet<_>>(), expected(0, 0..40));
    assert!(!source.connection.context().is_troubled());
}

#[test]
fn a_topic_that_comes_later_is_read() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let config = KafkaSource { topics: vec!["t".into()], ..config(&brokers, &[("topic.metadata.refresh.interval.ms", "300")]) };
    let mut source = Kafka::open(&config, house(batches_of(10))).unwrap();
    let look = Instant::now() + Duration::from_secs(1);
    while Instant::now() < look {
        assert!(matches!(source.poll(Duration::from_millis(20)).unwrap(), Polled::Idle));
    }
    cluster.create_topic("t", 1, 1).unwrap();
    produce(&brokers, 0, 0..5);
    assert_eq!(count(&poll_until(&mut source, |b| count(b) == 5)), 5);
}

#[test]
fn reading_from_the_end_is_remembered_before_the_first_commit() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..10);
    let latest = KafkaSource { start: Start::Latest, ..config(&brokers, &[]) };
    let mut source = Kafka::open(&latest, house(batches_of(10))).unwrap();
    until("the assignment", || {
        assert!(matches!(source.poll(Duration::from_millis(20)).unwrap(), Polled::Idle));
        !source.partitions.is_empty()
    });
    produce(&brokers, 0, 10..15);
    let read = poll_until(&mut source, |b| count(b) == 5);
    assert_contiguous(&read, 10);
    drop(source);
    let mut source = Kafka::open(&latest, house(batches_of(10))).unwrap();
    let again = poll_until(&mut source, |b| count(b) == 5);
    assert_contiguous(&again, 10);
}

#[test]
fn a_commit_beyond_the_log_starts_over() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, 0..10);
    let other: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", "g").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(1000)).unwrap();
    other.commit(&list, CommitMode::Sync).unwrap();
    drop(other);
    let here = house(batches_of(10));
    let mut source = Kafka::open(&config(&brokers, &[]), here.clone()).unwrap();
    let batches = poll_until(&mut source, |b| count(b) == 10);
    assert_contiguous(&batches, 0);
    settle(&here, &batches[0]);
    assert!(source.partitions[0].wants(here.ledger.watermark(&batches[0].token.origin).unwrap()));
}

#[test]
fn more_partitions_than_planned_divide_the_queues_anew() {
    let cluster = cluster(4);
    let brokers = cluster.bootstrap_servers();
    (0..4).for_each(|p| produce(&brokers, p, 0..10));
    let mut source = Kafka::open(&config(&brokers, &[]), house(batches_of(10))).unwrap();
    assert_eq!(source.planned, 4, "the brokers told");
    source.planned = 2;
    let batches = poll_until(&mut source, |b| count(b) == 40);
    assert_contiguous(&batches, 0);
    let ends: BTreeMap<i32, i64> = batches.iter().map(|b| (b.token.origin.partition, b.token.span.end)).collect();
    assert_eq!((source.planned, ends), (4, (0..4).map(|p| (p, 10)).collect()));
}

#[test]
fn a_message_without_a_schema_holds_its_partition_in_place_and_no_other() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    let framed = |partition: i32, ids: &[u8]| {
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let headers = || OwnedHeaders::new().insert(Header { key: "a", value: Some("b") });
        for id in ids {
            let payload = [0, 0, 0, 0, *id, 77];
            let record = BaseRecord::to("t").partition(partition).key("k").payload(&payload[..]).headers(headers()).timestamp(5);
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    };
    framed(0, &[8, 9, 8, 9]);
    framed(1, &[8, 8]);
    let gate = Arc::new(Nine::default());
    let here = SourceContext { gate: Some(gate.clone()), ..house(batches_of(100)) };
    let mut source = Kafka::open(&config(&brokers, &[]), here).unwrap();
    let before = poll_until(&mut source, |b| count(b) == 3);
    framed(1, &[8, 8]);
    let more = poll_until(&mut source, |b| count(b) == 2);
    assert!(more.iter().all(|b| b.token.origin.partition == 1));
    until("the held message to be asked for again", || {
        assert!(matches!(source.poll(Duration::from_millis(5)).unwrap(), Polled::Idle));
        gate.held.lock().unwrap().len() > 5
    });
    gate.open();
    let after = poll_until(&mut source, |b| count(b) == 3);
    assert_contiguous(&[before, more, after.clone()].concat(), 0);
    let held = &after[0].messages[0];
    assert_eq!((held.offset, held.timestamp, after[0].key(held)), (1, Some(5), Some(&b"k"[..])));
    assert_eq!(after[0].payload(held), Some(&[0, 0, 0, 0, 9, 77][..]));
    assert_eq!(held.headers, [("a".to_string(), Some(b"b".to_vec()))]);
    drop(source);
    let left: HashSet<i32> = gate.left.lock().unwrap().iter().copied().collect();
    assert_eq!(left, HashSet::from([0, 1]));
    assert!(gate.held.lock().unwrap().iter().all(|p| *p == 0));
}
