//! Archive, backup, output and dead letters as they are used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{FieldPath, Hidden};

/// Where alerts are kept.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Folder of the finished files.
    pub root: PathBuf,
    /// Folder of the files being written: outside `root`, on the same file system.
    pub staging: PathBuf,
    /// Which time decides the hour of an alert.
    pub by: HourBy,
    /// Bytes at which a file is sealed.
    pub roll_size: u64,
    /// Age at which a file is sealed.
    pub roll_age: Duration,
    /// Bytes that stay free on the file system, besides what is gathered in memory.
    pub keep_free: u64,
    /// Layout of the partition folders.
    pub layout: Layout,
    /// How bytes reach the disk.
    pub way: WritePath,
    /// How columns of bytes are compressed.
    pub cutouts: CutoutCodec,
    /// Which of the survey's columns are kept.
    pub columns: ColumnChoice,
}

/// Which of the survey's columns are archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ColumnChoice {
    /// All of them.
    #[default]
    All,
    /// All but those that the survey's profile names as `cutouts`.
    AllExceptCutouts,
    /// Those that these paths lead to. In each name of a path `*` stands for any text; a path stands for all that lies in its
    /// field, and leads through arrays and maps as if they were not there.
    These(Vec<FieldPath>),
}

/// How bytes reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePath {
    /// Past the page cache, where the file system can.
    Direct,
    /// Through the page cache, written back early.
    Cached,
}

/// How columns of bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutoutCodec {
    /// Not at all.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard, level 1.
    Zstd,
}

impl Archive {
    /// Bytes at which a file is sealed where nothing else is said.
    pub const ROLL_SIZE: u64 = 512 << 20;
    /// Age at which a file is sealed where nothing else is said.
    pub const ROLL_AGE: Duration = Duration::from_secs(60);
    /// Bytes that stay free where nothing else is said.
    pub const KEEP_FREE: u64 = 64 << 20;

    /// An archive in a folder, with `ROOT.staging` beside it and everything else at its default.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        let mut name = root.file_name().unwrap_or_default().to_owned();
        name.push(".staging");
        let staging = root.with_file_name(name);
        Self {
            root,
            staging,
            by: HourBy::Ingest,
            roll_size: Self::ROLL_SIZE,
            roll_age: Self::ROLL_AGE,
            keep_free: Self::KEEP_FREE,
            layout: Layout::Hive,
            way: WritePath::Direct,
            cutouts: CutoutCodec::None,
            columns: ColumnChoice::All,
        }
    }
}

/// Which time decides the hour of an alert. Both are a function of the alert alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HourBy {
    /// The message's own timestamp.
    Ingest,
    /// The time of observation.
    Observation,
}

/// Layout of the partition folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `year=2026/month=11/day=9/hour=3`.
    Hive,
    /// `2026/11/09/03`.
    Plain,
}

/// Where alerts are kept as they came: Avro files in the folders of their hours.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Where its files are and when they are sealed, as those of an archive.
    pub files: Archive,
    /// How their blocks are compressed.
    pub codec: Codec,
}

/// How the blocks of an Avro file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// Deflate, level 6.
    Deflate,
    /// Snappy.
    Snappy,
    /// Zstandard, level 1.
    Zstandard,
}

/// Where alerts are sent.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Topic, or name of the file that stands in for it.
    pub topic: String,
    /// Where it is.
    pub target: PublishTarget,
    /// Rows to send (SQL expression); all that passed when absent.
    pub condition: Option<String>,
    /// How each message is framed.
    pub format: PublishFormat,
}

/// Where an output topic is.
#[derive(Clone)]
pub enum PublishTarget {
    /// A Kafka cluster.
    Kafka {
        /// `host:port`, comma-separated.
        brokers: String,
        /// Further librdkafka properties.
        properties: BTreeMap<String, String>,
        /// Whether messages and marks of how far the source is published become visible together.
        transactions: bool,
    },
    /// Avro object container files in a folder, one folder per topic.
    Files {
        /// The folder.
        folder: PathBuf,
    },
}

impl fmt::Debug for PublishTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka { brokers, properties, transactions } => f
                .debug_struct("Kafka")
                .field("brokers", brokers)
                .field("properties", &Hidden(properties))
                .field("transactions", transactions)
                .finish(),
            Self::Files { folder } => f.debug_struct("Files").field("folder", folder).finish(),
        }
    }
}

/// How an output message is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishFormat {
    /// An object container with the schema inside.
    Container,
    /// 0x00, schema id, datum. Ids are given out by this process and the schemas stored as `ID.avsc` in this folder.
    Confluent {
        /// The folder.
        schemas: PathBuf,
    },
    /// The datum alone.
    Bare,
}

/// Where what fails is kept.
#[derive(Clone)]
pub enum DeadLetters {
    /// A folder of Avro containers.
    Folder(PathBuf),
    /// A Kafka topic.
    Topic {
        /// `host:port`, comma-separated.
        brokers: String,
        /// Topic name.
        topic: String,
        /// Further librdkafka properties.
        properties: BTreeMap<String, String>,
    },
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            Self::Topic { brokers, topic, properties } => f
                .debug_struct("Topic")
                .field("brokers", brokers)
                .field("topic", topic)
                .field("properties", &Hidden(properties))
                .finish(),
        }
    }
}
