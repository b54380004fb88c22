//! Sources as written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de::IgnoredAny};

use crate::config::at::At;
use crate::config::checked;
use crate::config::units::{Time, show_time};

/// Where alerts come from.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Topics of a Kafka cluster.
    Kafka(Kafka),
    /// A folder of packets. The run ends when all of them are durable.
    Files(Files),
    /// Made-up alerts, the same for the same seed.
    Simulator(Simulator),
}

/// Topics of a Kafka cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub brokers: At<String>,
    /// Topics to read, by name.
    pub topics: At<Vec<At<String>>>,
    /// Consumer group: instances with the same group share the partitions, and what the group committed is not read again.
    /// Default: `skysluice-NAME`, so that components don't take each other's alerts.
    pub group: Option<At<String>>,
    /// Where to begin in partitions that the group has no commit of: `earliest` (the oldest message kept), `latest` (only what comes
    /// from now on) or a time such as `2026-11-20T03:00:00Z` (the first message with a timestamp as late as that; the end of the
    /// log where there is none). A date alone is its midnight, UTC. The default loses nothing that the brokers still have.
    #[schemars(extend("default" = "earliest"))]
    pub start: Option<At<Begin>>,
    /// What to do when the broker no longer keeps messages that were to be read, since retention has overtaken the reader: `continue`
    /// with the oldest message kept, or `stop` with exit code 65 and nothing behind the gap read or committed. Either way the
    /// exact ranges are in the log, in the report and in `gaps.jsonl` in the component's folder of `service.data`. The default
    /// keeps the stream going.
    #[schemars(extend("default" = "continue"))]
    pub expired: Option<Expired>,
    /// Ends the run when each partition has been read up to where it ended at the start, for runs over past nights. The
    /// default is what a service does.
    #[schemars(extend("default" = false))]
    pub until_end: Option<bool>,
    /// Reads what is old when the component starts, or is given a partition, beside the live stream and not before it: after an
    /// outage new alerts do not wait for the backlog. Both are archived and published, the backlog under the name `NAME-late`.
    /// Default: partitions are read in order, new alerts after old ones.
    pub late: Option<At<Late>>,
    /// Further properties of librdkafka, such as `security.protocol` or `fetch.max.bytes`; they win over those that Skysluice
    /// sets. A value is a text, `{ env: NAME }` (a variable of the environment) or `{ file: PATH }` (the content of a file),
    /// which keeps secrets out of this file. Default: none.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub properties: Properties,
}

/// How a backlog is read beside the live stream.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// What is older than this, by the timestamps of messages, is backlog. The default leaves short pauses, such as a restart, in
    /// the order of the stream.
    #[schemars(extend("default" = show_time(checked::Late::AFTER)))]
    pub after: Option<At<Time>>,
    /// Part of the component's memory and of the threads that the backlog may take: above 0, below 1. It is set apart also while
    /// there is no backlog. The default leaves most to the live stream.
    #[schemars(extend("default" = checked::Late::SHARE))]
    pub share: Option<At<f64>>,
}

/// Where to begin when the group has no commit, as written: `earliest`, `latest` or a time.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Begin(pub String);

impl JsonSchema for Begin {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Begin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^(earliest|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+([Zz]|[+-][0-9:]+))?)$";
        json_schema!({ "type": "string", "quantity": "`earliest`, `latest` or a time", "pattern": pattern })
    }
}

/// What to do when messages are gone before they were read.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expired {
    /// Reading goes on with the oldest message kept.
    Continue,
    /// The component ends.
    Stop,
}

/// A folder of packets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A folder (all files below it, in the order of their paths), a file, or a pattern such as `night/*.avro`.
    pub path: At<String>,
}

/// Made-up alerts, the same for the same seed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulator {
    /// Which packets: `ztf`, schema 4.01 in containers, or `lsst`, schema 11.0 in Confluent's framing with the id 1100. The
    /// default needs no schema at hand.
    #[schemars(extend("default" = "ztf"))]
    pub kind: Option<At<PacketKind>>,
    /// How many; the run ends when all of them are durable. Default: no end.
    pub count: Option<At<u64>>,
    /// Alerts per second. Default: as fast as the rest takes them.
    pub rate: Option<At<f64>>,
    /// Seed of the random numbers. The default is as good as any.
    #[schemars(extend("default" = 0))]
    pub seed: Option<At<u64>>,
    /// Partitions to spread them over, 1 to 1024. The default lets decoding use several cores.
    #[schemars(extend("default" = crate::config::checked::SimulatorSource::default().partitions))]
    pub partitions: Option<At<u32>>,
    /// Catalogue (CSV) on whose sources part of the alerts fall, so that there is something to match. Default: none.
    pub catalog: Option<At<String>>,
    /// Previous detections in the history of an alert, on average, 0 to 1000. Default: 34 for `ztf`, 20 for `lsst`, as real
    /// alerts of known objects have.
    pub previous: Option<At<f64>>,
    /// Forced photometry points in it, on average, 0 to 1000. Default: 17 for `ztf`, 50 for `lsst`.
    pub forced: Option<At<f64>>,
}

/// Which packets are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PacketKind {
    /// As ZTF sends them.
    Ztf,
    /// As Rubin sends them.
    Lsst,
}

/// Properties of librdkafka.
pub type Properties = BTreeMap<String, At<Property>>;

/// Value of a property. It is never printed.
pub enum Property {
    /// A text.
    Text(String),
    /// A number or a truth value: its text is what is written.
    AsWritten,
    /// Name of a variable of the environment.
    Env(At<String>),
    /// File whose content, without the line end, is the value.
    File(At<String>),
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Property;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, `{ env: NAME }` or `{ file: PATH }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Property, E> {
                Ok(Property::Text(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Property, E> {
                Ok(Property::AsWritten)
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Property, E> {
                Ok(Property::AsWritten)
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Property, E> {
                Ok(Property::AsWritten)
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Property, E> {
                Ok(Property::AsWritten)
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Property, E> {
                Ok(Property::AsWritten)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Property, E> {
                Ok(Property::AsWritten)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Property, A::Error> {
                let value = match map.next_key::<String>()?.as_deref() {
                    Some("env") => Property::Env(map.next_value()?),
                    Some("file") => Property::File(map.next_value()?),
                    Some(other) => return Err(de::Error::unknown_field(other, &["env", "file"])),
                    None => return Err(de::Error::invalid_length(0, &self)),
                };
                match map.next_entry::<IgnoredAny, IgnoredAny>()? {
                    None => Ok(value),
                    Some(_) => Err(de::Error::invalid_length(2, &"one of `env` and `file`")),
                }
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl JsonSchema for Property {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let reference = |name: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { name: { "type": "string" } },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, reference("env"), reference("file")] })
    }
}
