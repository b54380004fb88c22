//! The harness itself: a broker that starts, takes and gives messages, survives a kill, and leaves nothing behind; readers that
//! find what is wrong.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::kafka::{Kafka, Options, Outgoing};

fn message(text: &str, partition: i32) -> Outgoing {
    Outgoing { partition: Some(partition), payload: Some(text.into()), ..Outgoing::default() }
}

#[test]
fn a_message_goes_in_and_comes_out_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("smoke", 2);
    let placed = kafka.produce(&topic, [message("first", 0), message("second", 1), message("third", 1)]);
    assert_eq!(placed.iter().map(|p| (p.partition, p.offset)).collect::<Vec<_>>(), [(0, 0), (1, 0), (1, 1)]);
    let mut read = kafka.read(&topic);
    read.sort_by_key(|m| m.placed);
    let texts: Vec<_> = read.iter().map(|m| String::from_utf8(m.payload.clone().unwrap()).unwrap()).collect();
    assert_eq!(texts, ["first", "second", "third"]);
}

#[test]
fn a_killed_cluster_comes_back_with_its_data_and_a_dropped_one_is_gone() {
    let Some(mut kafka) = Kafka::start(&Options { brokers: 2, ..Options::default() }) else { return };
    let topic = kafka.topic("killed", 4);
    kafka.produce(&topic, (0..100).map(|i| message("x", i % 4)));
    kafka.kill_9();
    kafka.restart();
    assert_eq!(kafka.count(&topic), 100);
    let pids = kafka.pids();
    assert_eq!(pids.len(), 2);
    drop(kafka);
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "broker {pid} is still there");
    }
}

/// The inner half of the test below: starts a broker, tells its number, and is killed while it waits.
#[test]
fn inner_broker_of_a_killed_binary() {
    let Ok(file) = std::env::var("SKYSLUICE_TEST_INNER") else { return };
    let Some(kafka) = Kafka::shared() else { return };
    std::fs::write(&file, kafka.pids()[0].to_string()).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_test_binary_that_is_killed_leaves_no_broker() {
    if Kafka::shared().is_none() {
        return;
    }
    let scratch = support::scratch::Scratch::new("killed-binary");
    let file = scratch.join("pid");
    let mut inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inner_broker_of_a_killed_binary"])
        .env("SKYSLUICE_TEST_INNER", &file)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid =
        support::poll(Duration::from_secs(60), || std::fs::read_to_string(&file).ok().and_then(|text| text.parse::<u32>().ok()));
    inner.kill().unwrap();
    inner.wait().unwrap();
    let pid = pid.unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    // A process without a parent that reaps it stays as a zombie: that is gone too.
    support::await_for("the broker to go", Duration::from_secs(20), || state().is_none_or(|s| s.contains(") Z")).then_some(()));
}

#[test]
fn the_readers_find_every_kind_of_spoilt_archive() {
    let (Some(python), Some(data)) = (support::python::Python::ready(), support::data::folder()) else { return };
    let scratch = support::scratch::Scratch::new("selftest");
    let packets = support::data::packets(&data, "ztf");
    let paths = packets[..4].iter().map(|p| p.path.clone());
    let judged = python.run("selftest.py", std::iter::once(scratch.path().to_path_buf()).chain(paths));
    assert_eq!(judged["rows"], 4);
}

#[test]
fn a_container_taken_apart_is_the_container_put_together() {
    let bytes = support::container::build("{}", "null", 1, b"datum");
    let parsed = support::container::Container::parse(&bytes);
    assert_eq!((parsed.schema.as_str(), parsed.codec.as_str(), &bytes[parsed.datum()]), ("{}", "null", &b"datum"[..]));
}
