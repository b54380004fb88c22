//! Properties of the client, and how librdkafka's queues are kept in their bound.
//!
//! With split queues librdkafka bounds each partition by itself, so the sum is divided by the number of partitions that may be
//! assigned (each gets 1.5 MiB at least). A queue may overshoot its bound by one fetch of its partition, which is therefore part of the share. Compressed
//! fetches are counted when they are unpacked: there a queue may overshoot by what one fetch unpacks to.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::context::Context;
use crate::alert::Fault;
use crate::config::KafkaSource;

/// Partitions that a topic is taken to have while no broker has told.
const PARTITIONS_UNKNOWN: usize = 8;
/// How long the first look at the cluster may take.
const FIRST_LOOK: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;

/// Properties of the client for at most `partitions` partitions; the user's own win.
pub(super) fn client(config: &KafkaSource, queue_bytes: u64, partitions: usize) -> ClientConfig {
    let share = queue_bytes / partitions.max(1) as u64;
    let fetch = (share / 2).clamp(MIB, 16 * MIB);
    let queued = share.saturating_sub(fetch).max(MIB / 2);
    let response = (queue_bytes / 2).clamp(10 * MIB, 64 * MIB);
    let mut client = ClientConfig::new();
    client
        .set("client.id", "skysluice")
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", &config.group)
        .set("enable.partition.eof", if config.until_end || config.backlog.is_some() { "true" } else { "false" })
        // `receive.message.max.bytes` follows `fetch.max.bytes` by itself.
        .set("fetch.max.bytes", response.to_string())
        .set("max.partition.fetch.bytes", fetch.to_string())
        .set("queued.max.messages.kbytes", (queued / 1000).to_string())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "100")
        .set("statistics.interval.ms", "0")
        // Tonight's topic is made when the night begins: five minutes, the default, are long to wait for it.
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("log.connection.close", "false");
    if config.properties.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
        // A member that joins takes only what it gets: the others read on, and commit while the group is settled. With the
        // newer protocol the broker decides, and the property is refused.
        client.set("partition.assignment.strategy", "cooperative-sticky");
    }
    for (key, value) in &config.properties {
        client.set(key, value);
    }
    // Offsets are committed when the sinks are done and at no other time: this is not for the user to change.
    client.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    // Where reading begins is decided at the assignment. What the client decides by itself is where to go on when the broker does
    // not keep a position any more: at the oldest message, whatever was asked for the first time, since all later ones are to be read.
    client.set("auto.offset.reset", "earliest");
    client.set_log_level(RDKafkaLogLevel::Warning);
    client
}

/// The partitions that the topics have together, as the brokers tell within a few seconds, else a guess.
pub(super) fn partitions(config: &KafkaSource, component: &str) -> Result<usize, Fault> {
    let mut look = client(config, 64 * MIB, 1);
    look.remove("group.id");
    let context = Context::quiet(component, &config.brokers);
    let consumer: BaseConsumer<Context> = look.create_with_context(context).map_err(|e| refused(&e))?;
    let mut known = 0;
    for topic in &config.topics {
        let metadata = match consumer.fetch_metadata(Some(topic), FIRST_LOOK) {
            Ok(metadata) => metadata,
            Err(_) => return Ok(PARTITIONS_UNKNOWN * config.topics.len()),
        };
        let of_topic = metadata.topics().iter().find(|t| t.name() == topic).map_or(0, |t| t.partitions().len());
        known += if of_topic == 0 { PARTITIONS_UNKNOWN } else { of_topic };
    }
    Ok(known)
}

/// A numeric property of the user, in milliseconds, or librdkafka's default.
pub(super) fn milliseconds(config: &KafkaSource, key: &str, default: u64) -> Duration {
    Duration::from_millis(config.properties.get(key).and_then(|v| v.parse().ok()).unwrap_or(default))
}

/// After what time without a sign of life the group takes a member for gone.
pub(super) fn session(config: &KafkaSource) -> Duration {
    milliseconds(config, "session.timeout.ms", 45_000)
}

/// Why librdkafka refused the properties, without their values: one of them may be a password.
pub(super) fn refused(error: &KafkaError) -> Fault {
    let what = match error {
        KafkaError::ClientConfig(_, _, key, _) => format!("property `{key}` is unknown or its value is not allowed"),
        other => other.to_string(),
    };
    Fault::defect(format!("the Kafka client can't start: {what}; correct `source.kafka.properties`"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Expired, Start};

    fn config() -> KafkaSource {
        KafkaSource {
            brokers: "localhost:9".into(),
            topics: vec!["t".into()],
            group: "g".into(),
            start: Start::Earliest,
            expired: Expired::Continue,
            until_end: false,
            replay: None,
            late: None,
            backlog: None,
            properties: [("sasl.password", "hunter2"), ("enable.auto.commit", "true"), ("fetch.wait.max.ms", "7")]
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .into(),
        }
    }

    #[test]
    fn queues_and_fetches_of_all_partitions_fit_into_the_bound() {
        for partitions in [1, 4, 15, 45] {
            let queue_bytes = 128 * MIB;
            let client = client(&config(), queue_bytes, partitions);
            let number = |key| client.get(key).unwrap().parse::<u64>().unwrap();
            let each = number("queued.max.messages.kbytes") * 1000 + number("max.partition.fetch.bytes");
            assert!(each * partitions as u64 <= queue_bytes, "{partitions}: {each}");
            assert!(number("fetch.max.bytes") <= 64 * MIB);
        }
    }

    #[test]
    fn the_users_properties_win_except_for_commits() {
        let client = client(&config(), MIB, 1);
        assert_eq!(client.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(client.get("enable.auto.commit"), Some("false"));
        assert_eq!(milliseconds(&config(), "fetch.wait.max.ms", 500), Duration::from_millis(7));
        assert_eq!(milliseconds(&config(), "session.timeout.ms", 45_000), Duration::from_secs(45));
    }

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        let mut config = config();
        config.properties.insert("sasl.pasword".into(), "hunter2".into());
        let fault = partitions(&config, "c").unwrap_err();
        assert!(fault.message.contains("sasl.pasword") && !fault.message.contains("hunter2"), "{}", fault.message);
    }
}
