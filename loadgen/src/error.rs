//! What can go wrong, with what to do next.

use std::path::PathBuf;

use rdkafka::error::KafkaError;

/// A failure of the load generator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or folder can't be read or written.
    #[error("can't {action} {path}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A folder without packets.
    #[error("no files in {folder}; --from takes a folder of packets, one file each (its subfolders are not searched)", folder = folder.display())]
    NoFiles {
        /// The folder.
        folder: PathBuf,
    },
    /// More than can be held.
    #[error("the files in {folder} are more than {limit} bytes, which is too much to hold and send over and over; take a part of them", folder = folder.display())]
    TooLarge {
        /// The folder.
        folder: PathBuf,
        /// Bytes allowed.
        limit: usize,
    },
    /// A file that can't be used as asked.
    #[error("{path} {problem}; {advice}", path = path.display())]
    Packet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Arguments that don't go together.
    #[error("{0}")]
    Arguments(&'static str),
    /// The simulator refuses its configuration.
    #[error("can't make alerts")]
    Simulator(#[from] skysluice_simulator::SimulatorError),
    /// Kafka fails.
    #[error("can't {action} at {brokers}; are the brokers there, and is the address theirs?")]
    Kafka {
        /// What was tried.
        action: String,
        /// The brokers.
        brokers: String,
        /// Why not.
        source: Box<KafkaError>,
    },
    /// The topic isn't there.
    #[error("there is no topic {topic} at {brokers}; --partitions N creates it")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The brokers.
        brokers: String,
    },
    /// A topic without brokers.
    #[error("publishing to topic {topic} needs --brokers; `--publish files` publishes to files")]
    NoBrokers {
        /// The topic.
        topic: String,
    },
    /// The topic is another one.
    #[error("topic {topic} has {found} partitions, not {wanted}; leave --partitions out to take it as it is")]
    Partitions {
        /// The topic.
        topic: String,
        /// Partitions that it has.
        found: usize,
        /// Partitions asked for.
        wanted: u32,
    },
    /// The topic can't be created.
    #[error("the brokers won't create topic {topic}: {reason}")]
    Create {
        /// The topic.
        topic: String,
        /// Their reason.
        reason: String,
    },
    /// The topic has nothing to consume.
    #[error("topic {topic} holds no messages; fill it with `skysluice-loadgen produce`")]
    Empty {
        /// The topic.
        topic: String,
    },
    /// Messages were not delivered.
    #[error("{failed} of {count} messages were not delivered to topic {topic}, the first for this reason: {reason}")]
    Undelivered {
        /// How many.
        failed: u64,
        /// Of how many.
        count: u64,
        /// The topic.
        topic: String,
        /// The first reason.
        reason: String,
    },
    /// The program to measure isn't there.
    #[error("can't start {program}; build it beside this program (cargo build --release) or name it with --skysluice", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The program that was measured failed.
    #[error("{program} ended with {status}; the end of its output ({log}):\n{tail}", program = program.display(), log = log.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// Where all of its output is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The program doesn't read the topic that is being filled.
    #[error("consumer group {group} did not become stable within {seconds} s; the end of the program's output ({log}) may say why", log = log.display())]
    NotReading {
        /// The group.
        group: String,
        /// How long it was waited for.
        seconds: u64,
        /// Where all of its output is.
        log: PathBuf,
    },
    /// A journal that can't be used.
    #[error("{place} {path} {problem}; {advice}", place = place_in_journal(*line), path = path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Which line, from 1; 0 for the last.
        line: usize,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// What was sent can't be made again.
    #[error("message {number} can't be made again to be compared: {problem}; {advice}")]
    Again {
        /// Its running number.
        number: u64,
        /// Why not.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// A topic can't be read to its end.
    #[error("topic {topic} could not be read to its end: nothing came for {seconds} s; are all its brokers there?")]
    Stuck {
        /// The topic.
        topic: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A schema for messages that don't have theirs.
    #[error("can't read the schema {path}: {problem}; name the folder of the output's schemas with --schemas, or a bare output's schema with --schema", path = path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The program that is killed in a loop doesn't do its work.
    #[error("{what}; the end of the program's output ({log}) may say why:\n{tail}", log = log.display())]
    Loop {
        /// What is wrong.
        what: String,
        /// Where all of its output is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A file of the archive can't be read back.
    #[error("can't read {path} back from the archive; it should be whole", path = path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: parquet::errors::ParquetError,
    },
    /// A line of figures isn't one.
    #[error("line {line} of {path} is not a line of `skysluice-loadgen bench`", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
        /// Why not.
        source: serde_json::Error,
    },
    /// The run's report can't be read.
    #[error("the report {path} of the run is not what `skysluice run --report` writes; are both programs of the same version?", path = path.display())]
    Report {
        /// The report.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
}

/// How errors name a line of a journal.
fn place_in_journal(line: usize) -> String {
    if line == 0 { "the journal".to_owned() } else { format!("line {line} of the journal") }
}

impl Error {
    /// A closure for `map_err` of file operations.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// A closure for `map_err` of Kafka operations.
    pub(crate) fn kafka(action: impl Into<String>, brokers: &str) -> impl FnOnce(KafkaError) -> Self {
        let (action, brokers) = (action.into(), brokers.to_owned());
        move |source| Self::Kafka { action, brokers, source: Box::new(source) }
    }
}
