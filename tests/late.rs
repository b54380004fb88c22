//! A backlog beside the live stream: new alerts do not wait for it, old hours are filled, nothing is lost and nothing twice in the
//! archive, however often the process is killed and whatever the broker has deleted meanwhile.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::random::Random;
use support::run::{Gap, Run};
use support::scratch::Scratch;
use support::{await_for, config, oracle, poll, simulator};

const LIMIT: Duration = Duration::from_secs(180);
const DAY: u64 = 86_400;

/// `each` alerts in each partition, sent so many seconds ago.
fn alerts(seed: u64, partitions: i32, each: u64, ago: u64) -> impl Iterator<Item = Outgoing> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let timestamp = Some(i64::try_from((now - Duration::from_secs(ago)).as_millis()).unwrap());
    simulator::alerts(seed, each * u64::from(partitions.unsigned_abs()), partitions).map(move |a| Outgoing { timestamp, ..a })
}

/// A component `night` that reads its backlog beside the live stream, with small batches, so that many are under way.
fn component(kafka: &Kafka, folder: &Path, input: &str, group: &str, late: Value, more: Value) -> Value {
    let mut source = config::endless(kafka, &[input], group);
    if !late.is_null() {
        source["kafka"]["late"] = late;
    }
    let mut all = json!({ "batch": { "alerts": 16 } });
    more.as_object().unwrap().iter().for_each(|(key, value)| all[key] = value.clone());
    let component = config::pipeline(folder, "night", "ztf", source, all);
    config::file(folder, json!({ "memory": "256 MiB" }), vec![component])
}

/// The component as it was before the outage, until it has read all there is.
fn before(scratch: &Scratch, configuration: &Value) {
    let mut configuration = configuration.clone();
    let source = configuration["components"][0]["source"]["kafka"].as_object_mut().unwrap();
    source.remove("late");
    source.insert("until_end".to_owned(), json!(true));
    Run::start(scratch, "night", &configuration, None).finish(LIMIT);
}

/// What the commits of a group say is set aside, by partition.
fn set_aside(kafka: &Kafka, group: &str, topic: &str) -> Vec<String> {
    let consumer: BaseConsumer = kafka.client().set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, i32::try_from(kafka.ends(topic).len()).unwrap() - 1);
    let found = await_for(&format!("the commits of {group}"), LIMIT, || {
        consumer.committed_offsets(list.clone(), Duration::from_secs(20)).ok()
    });
    found.elements().iter().map(|e| e.metadata().to_owned()).collect()
}

fn highs(kafka: &Kafka, topic: &str) -> Vec<Option<i64>> {
    kafka.ends(topic).iter().map(|(_, high)| Some(*high)).collect()
}

fn written(folder: &Path, name: &str) -> Vec<Gap> {
    let text = std::fs::read_to_string(folder.join("data").join(name).join("gaps.jsonl")).unwrap_or_default();
    let mut gaps: Vec<Gap> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    gaps.sort();
    gaps
}

/// How often each (partition, offset) of the source stands in an output, for readers that take only what is committed.
fn committed_view(kafka: &Kafka, output: &str) -> BTreeMap<(i32, i64), usize> {
    let mut seen = BTreeMap::new();
    for origin in kafka.read_to_end(output, true, |message| {
        let headers = support::kafka::headers(message);
        let number = |key: &str| String::from_utf8(headers[key].clone()).unwrap().parse::<i64>().unwrap();
        (i32::try_from(number("skysluice.partition")).unwrap(), number("skysluice.offset"))
    }) {
        *seen.entry(origin).or_insert(0) += 1;
    }
    seen
}

#[test]
fn new_alerts_do_not_wait_for_a_backlog_and_old_hours_are_filled() {
    const EACH: u64 = 300;
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("late");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("late", 4), kafka.topic("late-out", 4));
    let configuration = component(
        kafka,
        folder,
        &input,
        "late",
        json!({}),
        json!({ "publish": [{ "topic": output }], "batch": { "alerts": 4 } }),
    );
    kafka.produce(&input, alerts(1, 4, EACH, 4 * DAY));
    before(&scratch, &configuration);
    assert_eq!(kafka.committed("late", &input), [Some(EACH as i64); 4]);

    // Three days down; then every batch of the backlog takes an eighth of a second on its one thread.
    kafka.produce(&input, alerts(2, 4, EACH, 3 * DAY));
    let mut run = Run::start(&scratch, "night", &configuration, Some("night-late:decode=delay~1,seed=1"));
    let open = || kafka.committed("late-late", &input).iter().flatten().sum::<i64>() < 8 * EACH as i64;
    run.await_for("a backlog that is set aside", LIMIT, |_| {
        (kafka.committed("late", &input) == [Some(2 * EACH as i64); 4]).then_some(())
    });
    let range = format!("late={EACH}-{}", 2 * EACH);
    assert_eq!(set_aside(kafka, "late", &input), vec![range; 4]);
    for seed in 10..20 {
        kafka.produce(&input, alerts(seed, 4, 5, 0));
        run.await_for("new alerts archived and published", Duration::from_secs(20), |_| {
            (kafka.committed("late", &input) == highs(kafka, &input)).then_some(())
        });
    }
    assert!(open(), "the backlog is done too soon for the test to show anything");
    run.await_for("the end of the backlog", LIMIT, |_| (!open()).then_some(()));
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    let (live, late) = (report.component("night"), report.component("night-late"));
    assert_eq!((live.archived, live.skipped, late.archived, late.skipped), (200, 0, 4 * EACH, 0));
    let latency = live.latency_ms["published"];
    let _ = writeln!(
        std::io::stderr(),
        "beside a backlog of {} alerts new ones are published after {:.0} ms at the median, {:.0} ms at most",
        4 * EACH,
        latency.p50,
        latency.max
    );
    // The backlog takes more than half a minute on its one thread. Other tests share the machine.
    assert!(latency.max < 15_000.0, "{latency:?}");
    for said in
        ["a backlog is set aside: night-late reads it", "reading the backlog of night", "this part of the backlog is done"]
    {
        assert_eq!(log.matches(said).count(), 4, "`{said}` once for each partition in\n{log}");
    }
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "night"), &[(&input, kafka.ends(&input))], &[]);
    assert_eq!(oracle::at_least_once(kafka, &output, &kafka.ends(&input), &[]), 0, "nothing failed, so nothing comes twice");

    // Done is done: the next start reads nothing of it, and forgets that it was set aside.
    kafka.produce(&input, alerts(30, 4, 5, 0));
    let mut run = Run::start(&scratch, "night", &configuration, None);
    run.await_for("the last alerts", LIMIT, |_| (kafka.committed("late", &input) == highs(kafka, &input)).then_some(()));
    assert_eq!(set_aside(kafka, "late", &input), [""; 4]);
    run.terminate();
    let (report, _) = run.finish(LIMIT);
    assert_eq!((report.component("night").messages, report.component("night-late").messages), (20, 0));
    let mut ledger = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    let told = ledger.arg("ledger").arg(scratch.join("night.yaml")).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("night-late, ") && !told.contains("NOT BALANCED"), "{told}");
}

/// What was published before an outage and not committed, outages that come while the backlog is open, and SIGKILL at any time.
fn killed(transactions: bool) {
    const EACH: u64 = 300;
    const KILLS: u64 = 6;
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let mut random = Random::new();
    let scratch = Scratch::new("late-killed");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("late-killed", 4), kafka.topic("late-killed-out", 4));
    let group = input.as_str();
    let archive = |age: &str| json!({ "root": config::archive(folder, "night"), "staging": folder.join("staging"), "roll": { "age": age } });
    let publish = json!([{ "topic": output, "transactions": transactions }]);
    let with = |late: Value, age: &str| {
        component(kafka, folder, &input, group, late, json!({ "publish": publish, "archive": archive(age) }))
    };
    // All is published and marked, nothing is archived and committed.
    kafka.produce(&input, alerts(1, 4, EACH, 0));
    let mut run = Run::start(&scratch, "night", &with(Value::Null, "10 min"), None);
    run.await_for("the first alerts published", LIMIT, |_| {
        (committed_view(kafka, &output).len() as u64 == 4 * EACH).then_some(())
    });
    let _ = poll(Duration::from_millis(1500), || run.process().exited());
    run.process().kill_9();
    assert_eq!(kafka.committed(group, &input), [None; 4]);

    // Whatever is older than a second when the process starts is backlog.
    let configuration = with(json!({ "after": "1 s", "share": 0.4 }), "500 ms");
    for kill in 0..KILLS {
        kafka.produce(&input, alerts(10 + kill, 4, 100, 0));
        let _ = poll(Duration::from_millis(1100), || None::<()>);
        let mut run = Run::start(&scratch, "night", &configuration, Some("night-late:decode=delay~0.5,seed=3"));
        let _ = poll(Duration::from_millis(random.between(0, 3000)), || run.process().exited());
        kafka.produce(&input, alerts(50 + kill, 4, 20, 0));
        let _ = poll(Duration::from_millis(random.between(300, 6000)), || run.process().exited());
        run.assert_running();
        run.process().kill_9();
    }
    let mut run = Run::start(&scratch, "night", &configuration, None);
    let done = || {
        let late = kafka.committed(&format!("{group}-late"), &input);
        let behind = set_aside(kafka, group, &input);
        let end = |list: &String| list.rsplit(['-', '=']).next().and_then(|end| end.parse::<i64>().ok());
        let all = behind.iter().map(end).zip(&late).all(|(end, late)| end.is_none_or(|end| late.is_some_and(|late| late >= end)));
        all && kafka.committed(group, &input) == highs(kafka, &input)
    };
    run.await_for("the end of live stream and backlog", LIMIT, |_| done().then_some(()));
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    assert!(report.components.iter().all(|c| c.dead == 0 && c.expired == 0), "{report:?}");
    assert!(log.contains("a backlog is set aside"), "{log}");
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "night"), &[(&input, ends.clone())], &[]);
    let all: u64 = ends.iter().map(|(low, high)| (high - low).unsigned_abs()).sum();
    let seen = committed_view(kafka, &output);
    let twice: usize = seen.values().map(|count| count - 1).sum();
    let early = seen.iter().filter(|((_, offset), count)| *offset < EACH as i64 && **count > 1).count();
    let _ = writeln!(
        std::io::stderr(),
        "transactions {transactions}: {KILLS} kills in {all} alerts: {twice} came twice in the output"
    );
    assert_eq!((seen.len() as u64, early), (all, 0), "what went out before the outage is not sent again");
    assert!(!transactions || twice == 0, "{twice} twice");
}

#[test]
fn outages_and_kills_while_a_backlog_is_open_lose_nothing_and_archive_nothing_twice() {
    killed(false);
}

#[test]
fn with_transactions_readers_see_each_alert_once_whoever_sends_it() {
    killed(true);
}

#[test]
fn instances_share_a_backlog_and_take_over_from_one_that_is_killed() {
    const EACH: u64 = 600;
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("late-shared");
    let (first, second) = (scratch.folder("first"), scratch.folder("second"));
    let input = kafka.topic("late-shared", 4);
    let root = config::archive(&first, "night");
    let instance = |folder: &Path| {
        let archive = json!({ "root": root, "staging": folder.join("staging"), "roll": { "age": "500 ms" } });
        component(kafka, folder, &input, "shared", json!({}), json!({ "archive": archive }))
    };
    kafka.produce(&input, alerts(1, 4, EACH, 3 * DAY));
    let slow = Some("night-late:decode=delay~1,seed=5");
    let mut one = Run::start(&scratch, "one", &instance(&first), slow);
    let mut two = Run::start(&scratch, "two", &instance(&second), slow);
    for run in [&mut one, &mut two] {
        run.await_for("a part of the backlog", LIMIT, |process| {
            process.log().contains("reading the backlog of night").then_some(())
        });
    }
    two.process().kill_9();
    kafka.produce(&input, alerts(2, 4, 20, 0));
    one.await_for("the end of both", LIMIT, |_| {
        let done = kafka.committed("shared-late", &input) == [Some(EACH as i64); 4];
        (done && kafka.committed("shared", &input) == highs(kafka, &input)).then_some(())
    });
    one.terminate();
    let (report, _) = one.finish(LIMIT);
    assert_eq!(report.component("night-late").dead, 0);
    oracle::exactly_once(&python, &scratch, &root, &[(&input, kafka.ends(&input))], &[]);
}

#[test]
fn a_second_outage_adds_a_range_and_ranges_outlast_a_configuration_without_late() {
    const EACH: u64 = 120;
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("late-again");
    let folder = scratch.path();
    let input = kafka.topic("late-again", 2);
    let configuration = component(kafka, folder, &input, "again", json!({ "after": "4 s" }), json!({}));
    kafka.produce(&input, alerts(1, 2, EACH, 3 * DAY));
    before(&scratch, &configuration);
    kafka.produce(&input, alerts(2, 2, EACH, 2 * DAY));
    // The reader of the backlog gets nowhere.
    let stuck = Some("night-late:decode=hang@1");
    let live_at = |offset: u64| kafka.committed("again", &input) == [Some(offset as i64); 2];
    let mut run = Run::start(&scratch, "night", &configuration, stuck);
    run.await_for("the first range", LIMIT, |_| live_at(2 * EACH).then_some(()));
    kafka.produce(&input, alerts(3, 2, EACH, 0));
    run.await_for("the live stream", LIMIT, |_| live_at(3 * EACH).then_some(()));
    run.process().kill_9();
    kafka.produce(&input, alerts(4, 2, EACH, 0));
    let _ = poll(Duration::from_secs(6), || None::<()>);
    let mut run = Run::start(&scratch, "night", &configuration, stuck);
    run.await_for("the second range", LIMIT, |_| live_at(4 * EACH).then_some(()));
    kafka.produce(&input, alerts(5, 2, EACH, 0));
    run.await_for("the live stream again", LIMIT, |_| live_at(5 * EACH).then_some(()));
    run.process().kill_9();
    let both = format!("{EACH}-{},{}-{}", 2 * EACH, 3 * EACH, 4 * EACH);
    assert_eq!(set_aside(kafka, "again", &input), vec![format!("late={both}"); 2]);

    // Without `late` they stay where they are, and that is said; a replay leaves them alone.
    let mut without = configuration.clone();
    without["components"][0]["source"]["kafka"].as_object_mut().unwrap().remove("late");
    kafka.produce(&input, alerts(6, 2, EACH, 0));
    let mut run = Run::start(&scratch, "without", &without, None);
    run.await_for("the stream in order", LIMIT, |_| live_at(6 * EACH).then_some(()));
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    assert_eq!((report.components.len(), report.component("night").archived), (1, 2 * EACH));
    assert_eq!(log.matches("these offsets were set aside and no one reads them").count(), 2, "{log}");
    assert!(log.contains(&both), "{log}");
    assert_eq!(set_aside(kafka, "again", &input), vec![format!("late={both}"); 2]);
    let mut replay = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    let replay =
        replay.arg("replay").arg(scratch.join("night.yaml")).args(["night", "--from", "2020-01-01", "--to", "2100-01-01"]);
    let told = replay.current_dir(folder).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(
        told.contains(&format!("{} alerts in ", 2 * EACH)) && told.contains("messages of the range are left to night"),
        "{told}"
    );

    let mut run = Run::start(&scratch, "night", &configuration, None);
    run.await_for("the end of the backlog", LIMIT, |_| {
        (kafka.committed("again-late", &input) == [Some(4 * EACH as i64); 2]).then_some(())
    });
    run.terminate();
    let (report, _) = run.finish(LIMIT);
    assert_eq!(report.component("night-late").archived, 4 * EACH);
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "night"), &[(&input, kafka.ends(&input))], &[]);
}

#[test]
fn what_expires_of_a_backlog_is_told_to_the_offset() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("late-expired");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("late-expired", 4), kafka.topic("late-expired-out", 4));
    let configuration = component(kafka, folder, &input, "late-expired", json!({}), json!({ "publish": [{ "topic": output }] }));
    kafka.produce(&input, alerts(1, 4, 30, 4 * DAY));
    before(&scratch, &configuration);
    kafka.produce(&input, alerts(2, 4, 30, 3 * DAY));
    let gap = |partition: i32, from: i64, to: i64| Gap { topic: input.clone(), partition, from, to };
    // Gone before the start: that is told where it is found, and the rest is set aside.
    kafka.delete_below(&input, 0, 40);
    let mut run = Run::start(&scratch, "night", &configuration, Some("night-late:source=hang@1"));
    run.await_for("a backlog that is set aside", LIMIT, |_| {
        (kafka.committed("late-expired", &input) == [Some(60); 4]).then_some(())
    });
    run.process().kill_9();
    assert_eq!(set_aside(kafka, "late-expired", &input), ["late=40-60", "late=30-60", "late=30-60", "late=30-60"]);
    assert_eq!(written(folder, "night"), [gap(0, 30, 40)]);
    // Gone while the backlog was open: part of one partition, all of another, and what is of no matter.
    for (partition, below) in [(1, 45), (2, 60), (3, 30)] {
        kafka.delete_below(&input, partition, below);
    }
    kafka.produce(&input, alerts(3, 4, 10, 0));
    let mut run = Run::start(&scratch, "night", &configuration, None);
    run.await_for("the end of both", LIMIT, |_| {
        let done = |group: &str, end: i64| kafka.committed(group, &input) == [Some(end); 4];
        (done("late-expired", 70) && done("late-expired-late", 60)).then_some(())
    });
    run.terminate();
    let (report, log) = run.finish(LIMIT);
    let lost = [gap(1, 30, 45), gap(2, 30, 60)];
    let told = report.component("night-late");
    assert_eq!((told.messages, told.expired, &told.gaps[..]), (20 + 15 + 30, 15 + 30, &lost[..]));
    assert_eq!((report.component("night").messages, report.component("night").expired), (40, 0));
    assert_eq!((written(folder, "night"), written(folder, "night-late")), (vec![gap(0, 30, 40)], lost.to_vec()));
    assert!(log.contains("messages are lost: the broker no longer kept them"), "{log}");
    let there = |partition: i32, range: std::ops::Range<i64>| range.map(move |offset| ((partition, offset), 1));
    let all = there(0, 0..30).chain(there(0, 40..70)).chain(there(1, 0..30)).chain(there(1, 45..70));
    let all: BTreeMap<_, usize> = all.chain(there(2, 0..30)).chain(there(2, 60..70)).chain(there(3, 0..70)).collect();
    assert_eq!(oracle::origins(kafka, &output), all);
}
