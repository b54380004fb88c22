//! `skysluice-loadgen bench`: whole runs of the real program as a process of its own, measured by the kernel's accounts, our clock
//! and the program's report.
//!
//! The packets are prepared before the clock starts: files are written and synced, a topic is filled by `produce`. Only the source
//! `memory` makes them while they are measured; its share is printed beside the figures.

pub(crate) mod child;
pub(crate) mod configuration;
pub(crate) mod line;
pub(crate) mod machine;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use skysluice_simulator::SimulatorConfig;

use crate::error::Error;
use crate::packets::{Framing, PacketArgs, Packets, Survey};
use crate::{produce, topic};
use configuration::{Origin, Output, Plan};
use line::{History, Packet, Subject};
use machine::Machine;

/// Alerts and time at most for measuring the simulator alone.
const GENERATOR: (u64, Duration) = (20_000, Duration::from_secs(1));
/// The cut of `--steps sample`.
const SAMPLE_CUT: &str = "candidate.rb >= 0.55";
/// The catalogue of `--steps sample`.
const SAMPLE_CATALOGUE: &str = "catalogs/sample.csv";

/// Arguments of `bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// Where the alerts come from.
    #[arg(long, value_enum)]
    source: Source,
    /// Alerts of a run. For --source kafka: all that the topic holds when absent.
    #[arg(long, required_if_eq_any = [("source", "memory"), ("source", "files")], value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Folder of packets to take for --source files, over and over until there are --count. Without it they are made up.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Gives each packet of --from its own candidate id. For ZTF's packets only.
    #[arg(long, requires = "from")]
    unique_ids: bool,
    /// Runs this configuration instead of one that is made from the other arguments, which then only say what it does.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Kafka brokers: host:port, separated by commas.
    #[arg(long, required_if_eq("source", "kafka"))]
    brokers: Option<String>,
    /// Topic to consume to its end; fill it with `produce`.
    #[arg(long, required_if_eq("source", "kafka"))]
    topic: Option<String>,
    /// Alerts per second of --source memory; as fast as possible when absent.
    #[arg(long, value_parser = produce::positive)]
    rate: Option<f64>,
    /// Working folder: packets, archive, logs and reports, which stay there. Without it a temporary one, removed at the end. It has to
    /// be on the disk that is to be measured.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Steps of the pipeline.
    #[arg(long, value_enum, default_value = "none")]
    steps: Steps,
    /// Catalogue (CSV) to match; several times for several.
    #[arg(long = "catalog", value_name = "FILE")]
    catalogues: Vec<PathBuf>,
    /// Radius of the matches, arcseconds.
    #[arg(long, default_value_t = 1.5, value_parser = produce::positive)]
    radius: f64,
    /// Publishes what passes: `files`, or a topic at --brokers.
    #[arg(long, value_name = "files|TOPIC")]
    publish: Option<String>,
    /// Survey profile: a name or a file.
    #[arg(long, default_value = "ztf")]
    survey: String,
    /// Seed of made-up alerts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Partitions of --source memory.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
    /// Threads that decode; the program's default when absent.
    #[arg(long)]
    threads: Option<u32>,
    /// Runs; with more than one a last line holds the medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// The program to measure; the one beside this program when absent.
    #[arg(long, value_name = "PATH")]
    skysluice: Option<PathBuf>,
}

/// Where the alerts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// The simulator inside the measured process.
    Memory,
    /// A folder of packets, written beforehand.
    Files,
    /// A topic, filled beforehand.
    Kafka,
}

/// Steps of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Steps {
    /// Only the matches of --catalog.
    None,
    /// A cut on the real-bogus score before them; catalogs/sample.csv where there is no --catalog.
    Sample,
}

/// Runs `bench` and prints its lines.
pub(crate) fn run(args: &BenchArgs) -> Result<(), Error> {
    let temporary;
    let folder = match &args.dir {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
            std::path::absolute(folder).map_err(Error::file("find", folder))?
        }
        None => {
            temporary = tempfile::tempdir().map_err(Error::file("create a folder in", std::env::temp_dir()))?;
            temporary.path().to_owned()
        }
    };
    let program = match &args.skysluice {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(Error::file("find", "this program"))?.with_file_name("skysluice"),
    };
    let plan = plan(args)?;
    let mut subject = subject(args, &plan);
    let files = prepare(args, &folder, &mut subject)?;

    let mut lines = Vec::new();
    for number in 1..=args.repeat {
        // A name that no earlier run in the folder, and no consumer group at the brokers, has.
        let name = format!("run-{}-{}-{number}", machine::now().replace(':', ""), std::process::id());
        let place = folder.join(&name);
        std::fs::create_dir_all(&place).map_err(Error::file("create", &place))?;
        let configuration = match &args.config {
            Some(file) => file.clone(),
            None => {
                let origin = origin(args, subject.count, &files, name);
                let text = format!("{:#}\n", configuration::write(&origin, &plan, &place));
                let path = place.join("bench.yaml");
                std::fs::write(&path, text).map_err(Error::file("write", &path))?;
                path
            }
        };
        subject.date = machine::now();
        let run = child::run(&program, &configuration, &place)?;
        let line = line::run(&subject, &run);
        println!("{line}");
        lines.push(line);
        if args.dir.is_none() {
            std::fs::remove_dir_all(&place).map_err(Error::file("remove", &place))?;
        }
    }
    if lines.len() > 1 {
        println!("{}", line::medians(&lines));
    }
    Ok(())
}

/// What is done with the alerts.
fn plan(args: &BenchArgs) -> Result<Plan, Error> {
    let mut given = args.catalogues.clone();
    let mut cuts = Vec::new();
    if args.steps == Steps::Sample {
        cuts.push(SAMPLE_CUT.to_owned());
        if given.is_empty() {
            given.push(SAMPLE_CATALOGUE.into());
        }
    }
    let mut catalogues = Vec::new();
    for path in given {
        catalogues.push(path.canonicalize().map_err(Error::file("find the catalogue", &path))?);
    }
    let publish = args.publish.as_ref().map(|publish| match (publish.as_str(), &args.brokers) {
        ("files", _) => Ok(Output::Files),
        (topic, Some(brokers)) => Ok(Output::Topic { brokers: brokers.clone(), topic: topic.to_owned() }),
        (topic, None) => Err(Error::NoBrokers { topic: topic.to_owned() }),
    });
    let (survey, radius, threads) = (args.survey.clone(), args.radius, args.threads);
    Ok(Plan { survey, cuts, catalogues, radius, publish: publish.transpose()?, threads })
}

/// What is known before anything is prepared.
fn subject(args: &BenchArgs, plan: &Plan) -> Subject {
    let own = args.config.is_none();
    Subject {
        line: "run",
        date: machine::now(),
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        source: match args.source {
            Source::Memory => "memory",
            Source::Files => "files",
            Source::Kafka => "kafka",
        },
        packet: Packet { kind: String::new(), bytes: None, history: None },
        catalogues: own.then_some(plan.catalogues.len()),
        cuts: own.then_some(plan.cuts.len()),
        durability: if own { "parquet+fsync" } else { "as configured" },
        count: args.count.unwrap_or(0),
        rate_offered: args.rate,
        generator_us_per_alert: None,
    }
}

/// Prepares the packets and says what they are. Returns the folder of files.
fn prepare(args: &BenchArgs, folder: &Path, subject: &mut Subject) -> Result<PathBuf, Error> {
    let files = folder.join("packets");
    let packets = PacketArgs {
        from: args.from.clone(),
        survey: Survey::Ztf,
        seed: args.seed,
        unique_ids: args.unique_ids,
        framing: Framing::Container,
        schema_id: 0,
    };
    let made_up = || {
        let config = SimulatorConfig::default();
        (Some(History { previous: config.mean_history, forced: config.mean_forced }), "ztf 4.01, made up, distinct".to_owned())
    };
    match args.source {
        Source::Memory => {
            let (bytes, time) = generator(&Packets::new(&PacketArgs { from: None, ..packets })?, subject.count);
            (subject.packet.history, subject.packet.kind) = made_up();
            subject.packet.bytes = Some(bytes);
            subject.generator_us_per_alert = Some(time);
        }
        Source::Files => {
            if files.exists() {
                std::fs::remove_dir_all(&files).map_err(Error::file("remove", &files))?;
            }
            eprintln!("writing {} packets to {}", subject.count, files.display());
            let bytes = Packets::new(&packets)?.write(subject.count, &files)?;
            sync(&files)?;
            match &args.from {
                None => (subject.packet.history, subject.packet.kind) = made_up(),
                Some(from) => {
                    let ids = if args.unique_ids { "own ids, " } else { "" };
                    subject.packet.kind = format!("files of {} over and over, {ids}stamps repeat", from.display());
                }
            }
            subject.packet.bytes = Some(bytes as f64 / subject.count as f64);
        }
        Source::Kafka => {
            let (Some(brokers), Some(topic)) = (&args.brokers, &args.topic) else {
                unreachable!("the command line demands brokers and topic for this source");
            };
            let holding = topic::look(brokers, topic)?;
            subject.packet.kind = format!("messages of topic {topic}");
            subject.packet.bytes = Some(holding.mean_bytes);
            subject.count = args.count.unwrap_or(holding.messages);
        }
    }
    Ok(files)
}

/// Brings what was written to the disk, so that the run doesn't compete with it: the whole file system by one command, because one
/// call for each of many files takes minutes.
fn sync(folder: &Path) -> Result<(), Error> {
    let status = Command::new("sync").arg("--file-system").arg(folder).status();
    let outcome =
        status.and_then(|status| if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) });
    outcome.map_err(Error::file("sync", folder))
}

/// Where a run takes its alerts from.
fn origin(args: &BenchArgs, count: u64, files: &Path, group: String) -> Origin {
    match (args.source, &args.brokers, &args.topic) {
        (Source::Kafka, Some(brokers), Some(topic)) => {
            Origin::Kafka { brokers: brokers.clone(), topic: topic.clone(), group: format!("skysluice-{group}") }
        }
        (Source::Files, ..) => Origin::Files(files.to_owned()),
        _ => Origin::Memory { count, rate: args.rate, seed: args.seed, partitions: args.partitions },
    }
}

/// Mean size of the simulator's packets, and the microseconds that one takes on one core.
fn generator(packets: &Packets, count: u64) -> (f64, f64) {
    let (mut packet, mut key) = (Vec::new(), String::new());
    let (mut made, mut bytes) = (0, 0);
    let start = Instant::now();
    while made < count.min(GENERATOR.0) && start.elapsed() < GENERATOR.1 {
        packets.make(made, &mut packet, &mut key);
        bytes += packet.len();
        made += 1;
    }
    (bytes as f64 / made as f64, start.elapsed().as_secs_f64() * 1e6 / made as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn args(words: &[&str]) -> BenchArgs {
        Cli::try_parse_from(["bench"].iter().chain(words)).unwrap().args
    }

    #[test]
    fn sample_steps_are_a_cut_and_a_match() {
        let catalogue = tempfile::NamedTempFile::new().unwrap();
        let path = catalogue.path().to_str().unwrap();
        let plan = plan(&args(&["--source", "memory", "--count", "5", "--steps", "sample", "--catalog", path])).unwrap();
        assert_eq!((plan.cuts.len(), plan.catalogues.len()), (1, 1));
        let missing = args(&["--source", "memory", "--count", "5", "--catalog", "/nowhere.csv"]);
        assert!(super::plan(&missing).unwrap_err().to_string().contains("can't find the catalogue /nowhere.csv"));
    }

    #[test]
    fn publishing_to_a_topic_needs_brokers() {
        let error = plan(&args(&["--source", "memory", "--count", "5", "--publish", "out"])).unwrap_err();
        assert!(error.to_string().contains("--brokers"), "{error}");
        let files = plan(&args(&["--source", "memory", "--count", "5", "--publish", "files"])).unwrap();
        assert_eq!(files.publish, Some(Output::Files));
    }

    #[test]
    fn files_are_written_before_and_runs_have_folders_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\necho '{\"components\": [{\"archived\": 5}], \"seconds\": 1}' > $4\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = folder.path().join("work");
        let (work, program) = (place.to_str().unwrap(), program.to_str().unwrap());
        run(&args(&["--source", "files", "--count", "5", "--dir", work, "--skysluice", program, "--repeat", "2"])).unwrap();
        assert_eq!(std::fs::read_dir(place.join("packets/000000")).unwrap().count(), 5);
        let runs: Vec<_> = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(runs.len(), 3);
        for run in runs.iter().filter(|path| !path.ends_with("packets")) {
            let text = std::fs::read_to_string(run.join("bench.yaml")).unwrap();
            let configuration: serde_json::Value = serde_json::from_str(&text).unwrap();
            let path = &configuration["components"][0]["source"]["files"]["path"];
            assert_eq!(path.as_str().unwrap(), place.join("packets").to_str().unwrap());
        }
    }

    #[test]
    fn the_simulator_is_measured_alone() {
        let packets = Packets::new(&crate::packets::tests::args(None)).unwrap();
        let (bytes, time) = generator(&packets, 200);
        assert!((70_000.0..85_000.0).contains(&bytes), "{bytes}");
        assert!(time > 0.0);
    }
}
