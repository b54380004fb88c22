//! Configurations of runs. JSON is YAML, so they are put together as JSON.

use std::path::Path;

use serde_json::{Value, json};

use super::kafka::Kafka;
use super::root;

/// A profile of a survey: a built-in one by its name, those of the other surveys from `tests/surveys`.
pub fn survey(name: &str) -> Value {
    match name {
        "ztf" | "lsst" => json!(name),
        other => json!(root().join(format!("tests/surveys/{other}.yaml"))),
    }
}

/// A file with these components; all that the process keeps lies in `folder`.
pub fn file(folder: &Path, service: Value, components: Vec<Value>) -> Value {
    let mut service = service;
    service["data"] = json!(folder.join("data"));
    json!({ "service": service, "components": components })
}

/// A pipeline that archives into `FOLDER/archive/NAME`, with dead letters in `FOLDER/letters/NAME`. `more` adds to it and wins.
pub fn pipeline(folder: &Path, name: &str, profile: &str, source: Value, more: Value) -> Value {
    let mut component = json!({
        "name": name,
        "type": "pipeline",
        "survey": survey(profile),
        "source": source,
        "archive": { "root": archive(folder, name), "staging": folder.join("staging").join(name), "roll": { "age": "1 s" } },
        "dead_letters": { "folder": letters(folder, name) },
    });
    for (key, value) in more.as_object().unwrap() {
        component[key] = value.clone();
    }
    component
}

/// Root of the archive of a [`pipeline`].
pub fn archive(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join("archive").join(name)
}

/// Dead letters of a [`pipeline`].
pub fn letters(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join("letters").join(name)
}

/// A Kafka source that ends where the topics end now. The group forgets a killed member soon.
pub fn until_end(kafka: &Kafka, topics: &[&str], group: &str) -> Value {
    let mut source = endless(kafka, topics, group);
    source["kafka"]["until_end"] = json!(true);
    source["kafka"]["properties"] = json!({ "session.timeout.ms": "3000", "heartbeat.interval.ms": "500" });
    source
}

/// A Kafka source that goes on until it is stopped. Membership is lost quickly when it is not kept up.
pub fn endless(kafka: &Kafka, topics: &[&str], group: &str) -> Value {
    let properties = json!({ "session.timeout.ms": "6000", "heartbeat.interval.ms": "1000", "max.poll.interval.ms": "10000" });
    json!({ "kafka": { "brokers": kafka.bootstrap(), "topics": topics, "group": group, "properties": properties } })
}
