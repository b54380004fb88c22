//! Archive, output and dead letters as written.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::source::Properties;
use crate::config::at::At;
use crate::config::checked;
use crate::config::units::{Size, Time, show_size, show_time};

/// Where alerts are kept as Parquet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Folder of the finished files. Everything below it is complete at any time: readers may read while it grows.
    pub root: At<String>,
    /// Folder of the files being written: outside `root`, so that no reader meets half a file, and on the same file system,
    /// so that a file appears in one step. Default: `ROOT.staging` beside the root.
    pub staging: Option<At<String>>,
    /// How files are spread over folders: by `hour`, UTC. The default, and so far the only one, is what jobs on nights and
    /// hours want.
    #[schemars(extend("default" = "hour"))]
    pub partition: Option<Partition>,
    /// How the folder of an hour is named: `hive` (`year=2026/month=11/day=9/hour=3`) or `plain` (`2026/11/09/03`). The
    /// default is what Spark, DuckDB, pyarrow and polars read without being told. Spark does not read `plain` from the root:
    /// its jobs must name the folders of hours. An alert without a usable time goes to the hour whose numbers are all 0.
    #[schemars(extend("default" = "hive"))]
    pub layout: Option<Layout>,
    /// Which time decides the hour: `ingest` (the message's own timestamp) or `observation`. The default closes hours soon,
    /// whatever old alerts come in.
    #[schemars(extend("default" = "ingest"))]
    pub by: Option<HourOf>,
    /// When a file is finished: whichever limit is reached first.
    pub roll: Option<Roll>,
    /// What stays free on the file system, besides what is still in memory: with less, writing to this archive pauses and says so,
    /// outputs go on while there is memory, and writing goes on by itself when twice as much is free. The default leaves the
    /// others there room to close their files.
    #[schemars(extend("default" = show_size(checked::Archive::KEEP_FREE)))]
    pub keep_free: Option<At<Size>>,
    /// How bytes reach the disk: `direct` (past the page cache, where the file system can; else as `cached`) or `cached`
    /// (through it, written back early). The default costs less processor time, and leaves the cache to the catalogues and to
    /// the broker; choose the other where readers take files right after they appear.
    #[schemars(extend("default" = "direct"))]
    pub write: Option<Write>,
    /// How columns of bytes are compressed: `none`, `lz4` or `zstd`. The default passes cut-outs through untouched: ZTF's are
    /// compressed already. Raw ones, as LSST's, shrink to about half, at several times the cost of all the rest.
    #[schemars(extend("default" = "none"))]
    pub cutouts: Option<Compression>,
    /// Which of the survey's columns are kept: `all`, `all except cutouts` (the `cutouts` of the survey's profile are left
    /// out), or a list of paths such as `[objectId, candidate.*, prv_candidates.magpsf]`. In a path `*` stands for any text
    /// of a name; the path of a record or an array stands for all that is in it, and a path goes through arrays as if they
    /// were not there. What is neither kept nor read by a step or an output is not decoded. The columns that steps add, and
    /// where each alert came from, are always kept. The default loses nothing.
    #[schemars(extend("default" = "all"))]
    pub columns: Option<At<Columns>>,
}

/// How bytes reach the disk.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Write {
    /// Past the page cache.
    Direct,
    /// Through the page cache.
    Cached,
}

/// How columns of bytes are compressed.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: fast.
    Lz4,
    /// Zstandard, level 1: smaller.
    Zstd,
}

/// Which of the survey's columns are kept.
pub enum Columns {
    /// `all`, `all except cutouts`.
    Word(String),
    /// Paths.
    List(Vec<At<String>>),
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, `all except cutouts`, or a list of paths such as `candidate.*`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Columns, E> {
                Ok(Columns::Word(word.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Columns, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element()? {
                    paths.push(path);
                }
                Ok(Columns::List(paths))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl JsonSchema for Columns {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Columns".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

/// How files are spread over folders.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Partition {
    /// One folder for each hour.
    Hour,
}

/// How the folder of an hour is named.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `year=2026/month=11/day=9/hour=3`.
    Hive,
    /// `2026/11/09/03`.
    Plain,
}

/// Which time decides the hour.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HourOf {
    /// The message's own timestamp.
    Ingest,
    /// The time of observation.
    Observation,
}

/// When a file is finished.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// Bytes of a file at which it is finished. The default is what readers of Parquet like best.
    #[schemars(extend("default" = show_size(checked::Archive::ROLL_SIZE)))]
    pub size: Option<At<Size>>,
    /// Age of a file at which it is finished: so long may an alert stay unseen by readers, and so much is read again after
    /// a crash. The default is a minute of both.
    #[schemars(extend("default" = show_time(checked::Archive::ROLL_AGE)))]
    pub age: Option<At<Time>>,
}

/// Where alerts are kept as they came: Avro files in the folders of their hours, each record byte for byte as the producer
/// encoded it, under the producer's schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Folder of the finished files, apart from the archive. Everything below it is complete at any time.
    pub root: At<String>,
    /// Folder of the files being written: outside `root`, on the same file system. Default: `ROOT.staging` beside the root.
    pub staging: Option<At<String>>,
    /// How the folder of an hour is named, as in `archive`. The default is that of the archive, so that one who knows the
    /// one finds the other.
    #[schemars(extend("default" = "hive"))]
    pub layout: Option<Layout>,
    /// Which time decides the hour, as in `archive`. The default is that of the archive.
    #[schemars(extend("default" = "ingest"))]
    pub by: Option<HourOf>,
    /// When a file is finished, as in `archive`.
    pub roll: Option<Roll>,
    /// What stays free on the file system, as in `archive`.
    #[schemars(extend("default" = show_size(checked::Archive::KEEP_FREE)))]
    pub keep_free: Option<At<Size>>,
    /// How records are compressed: `none`, `deflate`, `snappy` or `zstandard`. The default takes a seventh off packets of ZTF,
    /// whose cut-outs are compressed already, at more than 1 GB/s on one core; `deflate`, which every reader of Avro knows
    /// without a further library, takes less off at a twentieth of that speed.
    #[schemars(extend("default" = "zstandard"))]
    pub codec: Option<Codec>,
}

/// How records are compressed.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Not at all.
    None,
    /// Deflate.
    Deflate,
    /// Snappy.
    Snappy,
    /// Zstandard.
    Zstandard,
}

/// A topic that alerts are sent to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Name of the topic.
    pub topic: At<String>,
    /// How each message is framed. The default needs nothing else to be known by its readers.
    #[schemars(extend("default" = "container"))]
    pub format: Option<At<Format>>,
    /// Which alerts are sent: a SQL expression over fields by their path and over annotations, such as `matches > 0`.
    /// Default: all that passed the steps.
    #[serde(rename = "where")]
    pub condition: Option<At<String>>,
    /// Brokers, `host:port`, separated by commas. Default: those of the source, with its `security.`, `sasl.` and `ssl.`
    /// properties.
    pub brokers: Option<At<String>>,
    /// Folder that stands in for Kafka: Avro files, one folder for each topic. Default: Kafka.
    pub files: Option<At<String>>,
    /// Folder of schemas for `confluent`: ids are given out from 1 and each schema kept as `ID.avsc`, so that an id means the
    /// same for ever. Default: `NAME/schemas` in `service.data`.
    pub schemas: Option<At<String>>,
    /// Sends in transactions, each with the note of how far the source is published: after a crash, too, readers with
    /// `isolation.level: read_committed` see each alert once. They see it when its transaction ends, about a tenth of a second
    /// later. The source must be Kafka, and the topic needs at least as many partitions as it. The default sends a few alerts again after a crash, told by their headers.
    #[schemars(extend("default" = false))]
    pub transactions: Option<At<bool>>,
    /// Further properties of librdkafka's producer, written as those of the source. Default: none.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub properties: Properties,
}

/// How a message holds its Avro datum.
#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An Avro object container with its schema inside, as ZTF sends.
    Container,
    /// The byte 0, a 4-byte big-endian schema id, the datum, as LSST sends.
    Confluent,
    /// The datum alone.
    Bare,
}

/// Where messages are kept that cannot be handled: `folder` or `topic`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// Folder of Avro files. Default: `NAME/dead-letters` in `service.data`.
    pub folder: Option<At<String>>,
    /// Topic, in place of a folder.
    pub topic: Option<At<String>>,
    /// Brokers of the topic, `host:port`, separated by commas. Default: those of the source, with its `security.`, `sasl.`
    /// and `ssl.` properties.
    pub brokers: Option<At<String>>,
    /// Further properties of librdkafka's producer, written as those of the source. Default: none.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub properties: Properties,
}
