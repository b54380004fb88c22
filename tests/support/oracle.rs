//! What must have come out, told to the independent readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::kafka::{Incoming, Kafka, Placed};
use super::python::Python;
use super::scratch::Scratch;

/// Which packet lies where: for readers that compare values.
#[derive(Clone, Debug, Default)]
pub struct Manifest(Vec<Value>);

impl Manifest {
    /// The message there is this packet (an object container on disk).
    pub fn add(&mut self, topic: &str, placed: Placed, packet: &Path) {
        let Placed { partition, offset } = placed;
        self.0.push(json!({ "topic": topic, "partition": partition, "offset": offset, "packet": packet }));
    }

    /// Messages told.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes it for the readers.
    pub fn write(&self, scratch: &Scratch, name: &str) -> PathBuf {
        scratch.write(name, serde_json::to_string(&self.0).unwrap())
    }
}

/// Asserts that the archive holds each offset of these topics exactly once (one alert a message), except `dead` ones.
pub fn exactly_once(
    python: &Python,
    scratch: &Scratch,
    archive: &Path,
    topics: &[(&str, Vec<(i64, i64)>)],
    dead: &[(i32, i64)],
) -> Value {
    counted(python, scratch, archive, topics, &json!({ "dead": dead }))
}

/// As [`exactly_once`]; those of `either` may be there or not: a dead letter that was read again before its batch was committed.
pub fn exactly_once_or_dead(
    python: &Python,
    scratch: &Scratch,
    archive: &Path,
    topics: &[(&str, Vec<(i64, i64)>)],
    either: &[(i32, i64)],
) -> Value {
    counted(python, scratch, archive, topics, &json!({ "dead": [], "either": either }))
}

fn counted(python: &Python, scratch: &Scratch, archive: &Path, topics: &[(&str, Vec<(i64, i64)>)], except: &Value) -> Value {
    let whole = topics.iter().flat_map(|(_, ends)| ends).all(|(low, high)| *low == 0 && *high > 0);
    assert!(whole, "the broker has deleted messages of the source, or has none: {topics:?}");
    let mut expected = except.clone();
    expected["ranges"] = json!(topics.iter().map(|(topic, ends)| (*topic, ends)).collect::<BTreeMap<_, _>>());
    let expected = scratch.write("expected.json", expected.to_string());
    python.run("count_archive.py", [archive, &expected])
}

/// Dead letters in a folder, read by fastavro: sorted by topic, partition, offset.
pub fn letters(python: &Python, folder: &Path) -> Vec<Value> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let Value::Array(letters) = python.run("read_letters.py", [folder]) else { panic!("letters are a list") };
    letters
}

/// How often each (partition, offset) of the source stands in an output topic, by the headers of its messages.
pub fn origins(kafka: &Kafka, topic: &str) -> BTreeMap<(i32, i64), usize> {
    read_origins(kafka, topic, false)
}

/// As [`origins`], also as those see it who read what is committed only.
pub fn read_origins(kafka: &Kafka, topic: &str, committed: bool) -> BTreeMap<(i32, i64), usize> {
    let mut found = BTreeMap::new();
    for origin in kafka.read_to_end(topic, committed, |message| {
        let headers = super::kafka::headers(message);
        let number = |key: &str| String::from_utf8_lossy(&headers[key]).parse::<i64>().unwrap();
        (i32::try_from(number("skysluice.partition")).unwrap(), number("skysluice.offset"))
    }) {
        *found.entry(origin).or_insert(0) += 1;
    }
    found
}

/// Asserts that an output topic holds each offset of the source at least once, except `dead` ones; gives how many messages
/// came more than once.
pub fn at_least_once(kafka: &Kafka, output: &str, ends: &[(i64, i64)], dead: &[(i32, i64)]) -> usize {
    complete(&origins(kafka, output), output, ends, dead)
}

/// As [`at_least_once`], as those read it who take what is committed only.
fn at_least_once_committed(kafka: &Kafka, output: &str, ends: &[(i64, i64)]) -> usize {
    complete(&read_origins(kafka, output, true), output, ends, &[])
}

/// How many came again, as the readers see it that an output is made for; none may in transactions.
pub fn came_again(kafka: &Kafka, output: &str, ends: &[(i64, i64)], transactions: bool) -> usize {
    if transactions {
        assert_eq!(at_least_once_committed(kafka, output, ends), 0, "readers of what is committed see some twice");
        0
    } else {
        at_least_once(kafka, output, ends, &[])
    }
}

fn complete(found: &BTreeMap<(i32, i64), usize>, output: &str, ends: &[(i64, i64)], dead: &[(i32, i64)]) -> usize {
    let all = ends.iter().zip(0..).flat_map(|((low, high), p)| (*low..*high).map(move |o| (p, o)));
    let expected: Vec<(i32, i64)> = all.filter(|origin| !dead.contains(origin)).collect();
    let missing: Vec<_> = expected.iter().filter(|o| !found.contains_key(o)).collect();
    assert!(
        missing.is_empty(),
        "{} alerts are missing in {output}, first {:?}",
        missing.len(),
        &missing[..missing.len().min(10)]
    );
    assert_eq!(found.len(), expected.len(), "{output} has messages of alerts that should not be there");
    found.values().map(|n| n - 1).sum()
}

/// Text of a header.
pub fn header(message: &Incoming, key: &str) -> String {
    String::from_utf8(message.headers[key].clone()).unwrap()
}
