//! The configuration as it is used: everything parsed, resolved and in its unit. What is here can be started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod sinks;
mod steps;

pub use sinks::*;
pub use steps::*;

use super::registry::Registry;
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

impl Service {
    /// Folder of the indexes that are made of large catalogues.
    #[must_use]
    pub fn indexes(&self) -> PathBuf {
        self.data.join("catalogs")
    }

    /// Folder of what a component keeps for itself.
    #[must_use]
    pub fn home(&self, component: &str) -> PathBuf {
        self.data.join(component)
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
    /// When so much fails that the stream is held.
    pub breaker: Breaker,
    /// What is done to each alert, in order.
    pub steps: Vec<Step>,
    /// Where alerts are kept.
    pub archive: Option<Archive>,
    /// Where alerts are kept as they came.
    pub backup: Option<Backup>,
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

/// When so much fails that the stream is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Share of the alerts that may fail, 0 to 1; 1 turns it off.
    pub share: f64,
    /// Alerts that the share is of: the latest.
    pub of: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { share: 0.5, of: 1000 }
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
    /// Dead letters that were set aside to be processed again. No file says this: a command makes it.
    Letters(LettersSource),
}

impl Source {
    /// Whether it ends by itself.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Kafka(kafka) => kafka.until_end,
            Self::Files(_) | Self::Letters(_) => true,
            Self::Simulator(simulator) => simulator.count.is_some(),
        }
    }
}

/// Name under which the backlog of a component is read.
#[must_use]
pub fn late_name(component: &str) -> String {
    format!("{component}-late")
}

/// The consumer group that reads what a group has set aside.
#[must_use]
pub fn late_group(group: &str) -> String {
    format!("{group}-late")
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
    /// What to do when messages are gone before they were read.
    pub expired: Expired,
    /// Ends the run when every partition has been read to the end that it had at the start.
    pub until_end: bool,
    /// Reads one range of time again. No file says this: a command makes it.
    pub replay: Option<Replay>,
    /// Sets what is old aside, to be read beside the live stream.
    pub late: Option<Late>,
    /// Reads what another component has set aside. No file says this: it is made beside a component with `late`.
    pub backlog: Option<Backlog>,
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
            .field("expired", &self.expired)
            .field("until_end", &self.until_end)
            .field("replay", &self.replay)
            .field("late", &self.late)
            .field("backlog", &self.backlog)
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
    /// The first message with a timestamp as late as this, milliseconds since 1970, UTC; the end of the log where there is none.
    At(i64),
}

/// What to do when messages are gone before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Reading goes on with the oldest message kept.
    Continue,
    /// The component ends.
    Stop,
}

/// A range of time that is read again. It begins where [`KafkaSource::start`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The component whose stream it is.
    pub of: String,
    /// Reading ends before the first message with a timestamp as late as this, milliseconds since 1970, UTC, or at the end of the
    /// log where there is none.
    pub to: i64,
    /// The group that reads the stream for the same archive: what it has not committed yet is left to it, else both would
    /// archive the same rows.
    pub behind: Option<Live>,
}

/// The group of a running service, and where it begins without a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Consumer group.
    pub group: String,
    /// As [`KafkaSource::start`] of the service.
    pub start: Start,
}

/// How a backlog is read beside the live stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Late {
    /// What is older than this when a partition is assigned is backlog.
    pub after: Duration,
    /// Part of the component's memory and of the threads that the backlog may take, above 0 and below 1.
    pub share: f64,
}

impl Late {
    /// Default of `after`.
    pub const AFTER: Duration = Duration::from_secs(600);
    /// Default of `share`.
    pub const SHARE: f64 = 0.3;
}

/// What a component reads that another has set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Backlog {
    /// The component that has.
    pub of: String,
    /// Its consumer group, whose commits say what is set aside.
    pub group: String,
    /// As [`Late::share`] of it.
    pub share: f64,
}

/// A folder of packets, or files by a glob pattern.
#[derive(Clone, Debug)]
pub struct FilesSource {
    /// A folder (all files below it, sorted by path), a file, or a glob pattern.
    pub path: PathBuf,
}

/// Which packets the simulator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// ZTF's, in containers.
    Ztf,
    /// LSST's, in Confluent's framing with the id of their schema.
    Lsst,
}

/// The built-in simulator.
#[derive(Clone, Debug)]
pub struct SimulatorSource {
    /// Which packets.
    pub kind: PacketKind,
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
    /// Mean number of previous detections; `None` is as many as real alerts of the kind have.
    pub previous: Option<f64>,
    /// Mean number of forced photometry points; `None` is as many as real alerts of the kind have.
    pub forced: Option<f64>,
}

impl Default for SimulatorSource {
    fn default() -> Self {
        Self {
            kind: PacketKind::Ztf,
            count: None,
            rate: None,
            seed: 0,
            partitions: 4,
            catalog: None,
            previous: None,
            forced: None,
        }
    }
}

/// Dead letters that were set aside to be processed again.
#[derive(Clone, Debug)]
pub struct LettersSource {
    /// Name of the component that they are letters of.
    pub component: String,
    /// By topic, partition and offset, ascending; each of them once.
    pub messages: Arc<[LetterPlace]>,
}

/// Where the letter of a message lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPlace {
    /// The container of letters.
    pub file: Arc<Path>,
    /// Index of the letter in it.
    pub index: usize,
    /// Topic that the message came from.
    pub topic: Arc<str>,
    /// Partition of it.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Indices of the only records that are dead, ascending; all where `None`.
    pub records: Option<Arc<[u32]>>,
}

/// How messages are framed and where their schemas come from.
#[derive(Clone, Debug)]
pub struct Decode {
    /// The framing.
    pub framing: Framing,
    /// Who is asked for schemas that the framing does not have by their id.
    pub registry: Option<Registry>,
}

/// How a message holds its Avro datum.
#[derive(Clone, Debug)]
pub enum Framing {
    /// An Avro object container with its schema inside, as ZTF sends.
    Container,
    /// 0x00, a 4-byte big-endian schema id, the datum, as LSST sends. Schemas by id, as JSON text: those of a folder, and of
    /// the survey's own the others.
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
    /// Schemas by the id that they have in the survey's registry (JSON text).
    pub schema_ids: BTreeMap<u32, Arc<str>>,
    /// What fields mean, by path (`candidate.ra`; a path goes through arrays).
    pub fields: BTreeMap<String, Meaning>,
}

/// What a field means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Unit of its values, as VOUnit spells it.
    pub unit: Option<String>,
    /// What it is, in a sentence.
    pub doc: Option<String>,
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
