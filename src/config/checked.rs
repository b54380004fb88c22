//! The configuration as it is used: everything parsed, resolved and in its unit. What is here can be started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::secret::Hidden;
use super::spots::Spots;

/// A whole configuration file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file it was read from.
    pub file: PathBuf,
    /// What holds for the process.
    pub service: Service,
    /// The components, in the order of the file.
    pub components: Vec<Pipeline>,
    /// A fingerprint (xxh3, hexadecimal) of the text of the file, kept in the archive.
    pub fingerprint: String,
    /// Where its conditions are written; empty for settings that are made without a file.
    pub spots: Spots,
}

/// What holds for the process.
#[derive(Clone, Debug)]
pub struct Service {
    /// State that is neither archive nor catalogue: staging, positions of file sources, dead letters.
    pub data: PathBuf,
    /// Bytes of alerts in flight, from the client library's queues to the sinks, of all components together.
    pub memory: u64,
    /// How long a stop may take before it is cut short.
    pub grace: Duration,
    /// A stage that makes no progress with work in hand for this long aborts the process.
    pub stall: Duration,
    /// Generations that may fail in a row, without progress between them, before the process ends with 70.
    pub restarts: u32,
    /// Threads that decode; 0 is one per core.
    pub threads: usize,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            data: PathBuf::from("/var/lib/skysluice"),
            memory: 512 << 20,
            grace: Duration::from_secs(30),
            stall: Duration::from_secs(120),
            restarts: 5,
            threads: 0,
        }
    }
}

/// One component of type `pipeline`: source, steps, archive, output.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Unique name.
    pub name: String,
    /// How the survey names things.
    pub survey: Arc<Survey>,
    /// Where alerts come from.
    pub source: Source,
    /// How they are framed.
    pub decode: Decode,
    /// How the source cuts batches.
    pub batch: BatchLimits,
    /// What is done to each alert, in order.
    pub steps: Vec<Step>,
    /// Where alerts are kept.
    pub archive: Option<Archive>,
    /// Where alerts are sent.
    pub publish: Vec<Publish>,
    /// Where what fails is kept.
    pub dead_letters: DeadLetters,
}

/// Limits of a batch: whichever is reached first cuts it.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Alerts.
    pub alerts: usize,
    /// Bytes of payload.
    pub bytes: usize,
    /// Time since its first message.
    pub linger: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { alerts: 256, bytes: 4 << 20, linger: Duration::from_millis(10) }
    }
}

/// Where alerts come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Topics of a Kafka cluster.
    Kafka(KafkaSource),
    /// A folder of packets.
    Files(FilesSource),
    /// The built-in simulator.
    Simulator(SimulatorSource),
}

/// Topics of a Kafka cluster.
#[derive(Clone)]
pub struct KafkaSource {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Topic names.
    pub topics: Vec<String>,
    /// Consumer group.
    pub group: String,
    /// Where to begin when the group has no commit.
    pub start: Start,
    /// Ends the run when every partition has been read to the end that it had at the start.
    pub until_end: bool,
    /// Further librdkafka properties (security and tuning), which win over ours.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource")
            .field("brokers", &self.brokers)
            .field("topics", &self.topics)
            .field("group", &self.group)
            .field("start", &self.start)
            .field("until_end", &self.until_end)
            .field("properties", &Hidden(&self.properties))
            .finish()
    }
}

/// Where to begin when the group has no commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest message kept.
    Earliest,
    /// Only what comes from now on.
    Latest,
}

/// A folder of packets, or files by a glob pattern.
#[derive(Clone, Debug)]
pub struct FilesSource {
    /// A folder (all files below it, sorted by path), a file, or a glob pattern.
    pub path: PathBuf,
}

/// The built-in simulator.
#[derive(Clone, Debug)]
pub struct SimulatorSource {
    /// Alerts to make; `None` never ends.
    pub count: Option<u64>,
    /// Alerts per second; `None` is as fast as the rest takes them.
    pub rate: Option<f64>,
    /// Seed: the same seed gives the same alerts.
    pub seed: u64,
    /// Partitions to spread them over.
    pub partitions: u32,
    /// A catalogue (CSV) on whose sources part of the alerts fall.
    pub catalog: Option<PathBuf>,
}

impl Default for SimulatorSource {
    fn default() -> Self {
        Self { count: None, rate: None, seed: 0, partitions: 4, catalog: None }
    }
}

/// How messages are framed and where their schemas come from.
#[derive(Clone, Debug)]
pub struct Decode {
    /// The framing.
    pub framing: Framing,
}

/// How a message holds its Avro datum.
#[derive(Clone, Debug)]
pub enum Framing {
    /// An Avro object container with its schema inside, as ZTF sends.
    Container,
    /// 0x00, a 4-byte big-endian schema id, the datum, as LSST sends. Schemas by id, as JSON text.
    Confluent(BTreeMap<u32, Arc<str>>),
    /// A bare datum written with this schema (JSON text).
    Bare(Arc<str>),
}

/// A path to a field, such as `candidate.ra`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(pub Vec<String>);

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// How a survey names what every survey has. Where several paths are given, the first that a schema has is used, and for
/// each row the first that is not null.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Name of the profile.
    pub name: String,
    /// Id of the alert.
    pub alert_id: Vec<FieldPath>,
    /// Id of the object.
    pub object_id: Vec<FieldPath>,
    /// Right ascension, ICRS, degrees.
    pub ra: Vec<FieldPath>,
    /// Declination, ICRS, degrees.
    pub dec: Vec<FieldPath>,
    /// Time of observation.
    pub time: Vec<FieldPath>,
    /// What the time counts.
    pub time_scale: TimeScale,
    /// Brightness.
    pub magnitude: Vec<FieldPath>,
    /// What the brightness is.
    pub magnitude_unit: MagnitudeUnit,
    /// Arrays of earlier detections, limits and forced photometry.
    pub history: Vec<FieldPath>,
    /// Cut-outs: bytes.
    pub cutouts: Vec<FieldPath>,
    /// Name or id of the solar-system object.
    pub solar_system: Vec<FieldPath>,
    /// Texts that mean "none", such as ZTF's "null".
    pub none_texts: Vec<String>,
    /// Numbers that mean "none", such as -999.
    pub none_numbers: Vec<f64>,
    /// Schemas known beforehand (JSON text), newest last: `where` is checked against the newest before anything starts.
    pub schemas: Vec<Arc<str>>,
}

/// What a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeScale {
    /// Julian date, UTC.
    Jd,
    /// Modified Julian date, UTC.
    Mjd,
    /// Modified Julian date, TAI.
    MjdTai,
}

/// What a brightness is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MagnitudeUnit {
    /// Magnitude.
    Mag,
    /// Flux in nanojansky; the magnitude is AB, 31.4 - 2.5 log10(flux).
    NanoJansky,
}

/// One step of the chain.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique name inside the pipeline; the kind and a number where none is given.
    pub name: String,
    /// What it does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Passes the rows where the expression is true; null skips.
    Cut {
        /// SQL expression.
        condition: String,
    },
    /// Matches against a catalogue.
    Crossmatch {
        /// File (CSV).
        catalog: PathBuf,
        /// Name of the catalogue in annotations.
        id: String,
        /// Radius, arcseconds.
        radius: f64,
    },
}

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
    /// Layout of the partition folders.
    pub layout: Layout,
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

impl Archive {
    /// Bytes at which a file is sealed where nothing else is said.
    pub const ROLL_SIZE: u64 = 512 << 20;
    /// Age at which a file is sealed where nothing else is said.
    pub const ROLL_AGE: Duration = Duration::from_secs(60);

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
            layout: Layout::Hive,
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
            Self::Kafka { brokers, properties } => {
                f.debug_struct("Kafka").field("brokers", brokers).field("properties", &Hidden(properties)).finish()
            }
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
