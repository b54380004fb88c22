//! The configuration as written. These structs are the reference: each field says meaning, unit, default and why that default;
//! `config reference` and the JSON Schema are made from them. Checking and defaults are in `check`.

mod profile;
mod registry;
mod sinks;
mod source;
mod steps;

pub use profile::{Brightness, Clock, FieldMeaning, Paths, Profile};
pub use registry::{Registry, Then};
pub use sinks::{
    Archive, Backup, Codec, Columns, Compression, DeadLetters, Format, HourOf, Layout, Partition, Publish, Roll, Write,
};
pub use source::{Begin, Expired, Kafka, Late, PacketKind, Properties, Property, Simulator, Source};
pub use steps::{Classify, Crossmatch, Engine, Matched, Region, Shape, Side, Step, WatchedList, Watchlist};

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;
use super::checked;
use super::units::{Size, Time, show_size, show_time};

/// Configuration of Skysluice. Files that are read are looked for in the folder of this file, then in the working directory;
/// files that are written are relative to the folder of this file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What holds for the process as a whole.
    pub service: Option<Service>,
    /// The components, started together. They are tied by topics: one may read what another publishes.
    pub components: At<Vec<At<Component>>>,
}

/// What holds for the process as a whole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Folder of what the process keeps for itself: positions of file sources, dead letters, schemas by their ids. The
    /// default is where the system's packages keep the state of services.
    #[schemars(extend("default" = checked::Service::default().data))]
    pub data: Option<At<String>>,
    /// Bytes of alerts in flight, of all components together, from the Kafka client's queues to the sinks. When they are
    /// used up the sources wait. The default holds four seconds of 1,000 alerts per second of 130 kB.
    #[schemars(extend("default" = show_size(checked::Service::default().memory)))]
    pub memory: Option<At<Size>>,
    /// How long a stop may take until the work in hand is durable; then it is cut short, and what was not committed is read
    /// again at the next start. The default is below the 90 s after which systemd kills.
    #[schemars(extend("default" = show_time(checked::Service::default().grace)))]
    pub grace: Option<At<Time>>,
    /// A stage that has work and makes no progress for this long is taken for dead, and the process aborts so that its
    /// supervisor starts it again. The default is longer than a disk or a broker takes to recover from an ordinary hiccup.
    #[schemars(extend("default" = show_time(checked::Service::default().stall)))]
    pub stall: Option<At<Time>>,
    /// How many times in a row, without progress in between, everything is torn down and built again after a failure before
    /// the process ends with exit code 70. The default outlasts a restart of a neighbour, not a fault that stays.
    #[schemars(extend("default" = checked::Service::default().restarts))]
    pub restarts: Option<At<u32>>,
    /// Threads that decode; 0 is one for each core. The default leaves none idle.
    #[schemars(extend("default" = checked::Service::default().threads))]
    pub threads: Option<At<u32>>,
}

/// One component.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Unique name: small letters, digits, `-` and `_`. It names folders, metrics and the consumer group.
    pub name: At<String>,
    /// What it is. A `pipeline` reads alerts, decodes, matches, filters, archives and publishes them.
    #[serde(rename = "type")]
    pub kind: ComponentKind,
    /// How the survey names things: `ztf`, `lsst`, or a profile file. A name is looked for as `surveys/NAME.yaml` in the
    /// folder of this file, then in /etc/skysluice, then among the built-in profiles.
    pub survey: At<String>,
    /// Where alerts come from: one of `kafka`, `files`, `simulator`.
    pub source: At<Source>,
    /// How messages are framed and where their schemas are.
    pub decode: Option<At<Decode>>,
    /// How the source cuts batches while others are in flight: whichever limit is reached first.
    pub batch: Option<Batch>,
    /// When so much of the stream fails that it is held.
    pub breaker: Option<Breaker>,
    /// What is done to each alert, in this order. Every alert is archived; one that a step stops takes no further step and
    /// is not published. Default: none.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub steps: Vec<At<Step>>,
    /// Where alerts are kept as Parquet. Default: nowhere.
    pub archive: Option<At<Archive>>,
    /// Where alerts are kept as they came, in Avro files, beside the archive or in its place. Default: nowhere.
    pub backup: Option<At<Backup>>,
    /// Where alerts are sent, with their annotations. Default: nowhere.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub publish: Vec<At<Publish>>,
    /// Where messages are kept that cannot be decoded or handled, with origin and reason. Default: the folder
    /// `NAME/dead-letters` in `service.data`.
    pub dead_letters: Option<At<DeadLetters>>,
}

/// Kinds of components.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// Source, steps, archive, output.
    Pipeline,
}

/// How messages are framed and where their schemas are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decode {
    /// How a message holds its Avro datum. The default is the only framing that needs nothing else to be known.
    #[schemars(extend("default" = "container"))]
    pub framing: Option<At<Format>>,
    /// Folder of schemas for `confluent`: files named by their id, `900.avsc`, each with everything that it refers to. They
    /// win over those that the survey's profile knows. Default: none.
    pub schemas: Option<At<String>>,
    /// Registry that is asked for the schemas of `confluent` that are neither in the folder nor in the survey's profile: once
    /// for each id, for they are kept in `service.data`. While it can't be asked, partitions that need it wait. Default: none,
    /// and a message with an unknown id is a dead letter.
    pub registry: Option<At<Registry>>,
    /// File of the one schema for `bare`.
    pub schema: Option<At<String>>,
}

/// Limits of a batch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Alerts of a batch at most, 1 to 65536. The default is enough to hide the cost of a batch.
    #[schemars(extend("default" = checked::BatchLimits::default().alerts))]
    pub alerts: Option<At<u32>>,
    /// Bytes of a batch at most. The default stays in the caches of a processor.
    #[schemars(extend("default" = show_size(checked::BatchLimits::default().bytes as u64)))]
    pub bytes: Option<At<Size>>,
    /// How long a batch waits for more after its first alert while others are in flight; `0 ms` waits for nothing. When none
    /// are, none waits. The default is what it adds to the latency of a stream, below what anyone notices.
    #[schemars(extend("default" = show_time(checked::BatchLimits::default().linger)))]
    pub linger: Option<At<Time>>,
}

/// When so much of the stream fails that it is held. A held component reads nothing more and loses nothing, also over a restart;
/// it goes on when it is started with a changed configuration, or after `skysluice breaker reset`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Share of the alerts that may become dead letters in decoding and in the steps, 0 to 1; at more the stream is held. With 0
    /// the first dead letter holds it, with 1 nothing does. The default is on: of an ordinary night hardly one in a thousand
    /// alerts fails, with a schema that is not known all of them do, and a million dead letters are of use to no one.
    #[schemars(extend("default" = checked::Breaker::default().share))]
    pub share: Option<At<f64>>,
    /// Alerts that the share is of: the latest, 1 to 10000000. Those that have not come yet count as good, so that a few bad
    /// ones at the start hold nothing. The default is some seconds of an ordinary stream.
    #[schemars(extend("default" = checked::Breaker::default().of))]
    pub of: Option<At<u32>>,
}
