//! `skysluice-loadgen bench`: whole runs of the real program as a process of its own, measured by the kernel's accounts, our clock,
//! the program's report, and what its archive holds.
//!
//! The packets are prepared before the clock starts: files are written and synced, a topic is filled. Only the source `memory` makes
//! them while they are measured, and a topic at a rate is filled meanwhile by this process.

pub(crate) mod catalogs;
pub(crate) mod child;
pub(crate) mod configuration;
pub(crate) mod line;
pub(crate) mod machine;
pub(crate) mod oracle;
mod paced;
pub(crate) mod prepare;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use skysluice_simulator::PacketSchema;

use crate::error::Error;
use crate::packets::{History, PacketArgs, Survey};
use crate::place::Place;
use crate::{produce, topic};
use configuration::{Origin, Output, Plan};
use line::{Packet, Subject};
use machine::Machine;
use prepare::Prepared;

/// The catalogue of `--steps sample`.
const SAMPLE_CATALOGUE: &str = "catalogs/sample.csv";
/// Age at which files of the archive are finished while a topic is filled at a rate, so that commits show how far the program is.
const PACED_ROLL: &str = "1 s";

/// Arguments of `bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// Where the alerts come from.
    #[arg(long, value_enum)]
    source: Source,
    /// Alerts of a run. For --source kafka: all that the topic holds when absent.
    #[arg(long, required_if_eq_any = [("source", "memory"), ("source", "files")], value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    packets: PacketArgs,
    /// Runs this configuration instead of one that is made from the other arguments, which then only say what it does.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Kafka brokers: host:port, separated by commas.
    #[arg(long, required_if_eq("source", "kafka"))]
    brokers: Option<String>,
    /// Topic to consume to its end; fill it with `produce`, or with --produce.
    #[arg(long)]
    topic: Option<String>,
    /// Fills a topic with --count alerts first; with --rate a new one in each run, while it is read.
    #[arg(long, requires = "count")]
    produce: bool,
    /// Alerts per second of --source memory, or of --source kafka --produce; as fast as possible when absent.
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
    /// Catalogues to make and match: random sources all over the sky, and one beside every fifth alert.
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "catalogues")]
    catalogs: u32,
    /// Sources of each of --catalogs.
    #[arg(long, default_value_t = 1_000_000, value_name = "ROWS")]
    catalog_rows: u64,
    /// Radius of the matches, arcseconds.
    #[arg(long, default_value_t = 1.5, value_parser = produce::positive)]
    radius: f64,
    /// Columns of the archive: `all`, `all except cutouts`, or names separated by commas.
    #[arg(long, default_value = "all", value_name = "COLUMNS")]
    columns: String,
    /// Publishes what passes: `files`, or a topic at --brokers.
    #[arg(long, value_name = "files|TOPIC")]
    publish: Option<String>,
    /// Publishes in transactions.
    #[arg(long, requires_all = ["publish", "topic"])]
    transactions: bool,
    /// Survey profile: a name or a file; that of --kind when absent.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Partitions of --source memory, and of the topic that --produce fills.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
    /// Threads that decode; the program's default when absent.
    #[arg(long)]
    threads: Option<u32>,
    /// Runs; with more than one a last line holds the medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// What the run is called in the lines, by which `table` groups them.
    #[arg(long)]
    label: Option<String>,
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
    /// A topic.
    Kafka,
}

/// Steps of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Steps {
    /// Only the matches of the catalogues.
    None,
    /// A cut on the real-bogus score before them; catalogs/sample.csv where there is no catalogue.
    Sample,
}

/// Runs `bench` and prints its lines.
pub(crate) fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<(), Error> {
    check(args)?;
    let mut print = |line: &Value| writeln!(out, "{line}").map_err(Error::file("write", "standard output"));
    let at = Place::new(args.dir.as_deref(), args.skysluice.as_deref())?;
    let mut plan = plan(args)?;
    let mut subject = subject(args, &plan);
    let prepared = prepare::prepare(args, &at.folder, &mut subject)?;
    // One of them is given, not both.
    plan.catalogues.extend(prepared.catalogues.iter().cloned());
    plan.decode = prepared.decode.clone();

    let mut lines = Vec::new();
    for number in 1..=args.repeat {
        // A name that no earlier run in the folder, and no consumer group at the brokers, has.
        let name = format!("run-{}-{}-{number}", machine::now().replace(':', ""), std::process::id());
        let place = at.folder.join(&name);
        std::fs::create_dir_all(&place).map_err(Error::file("create", &place))?;
        subject.date = machine::now();
        let line = one(args, &at.program, &plan, &prepared, &subject, &place, &name)?;
        print(&line)?;
        lines.push(line);
        if args.dir.is_none() {
            std::fs::remove_dir_all(&place).map_err(Error::file("remove", &place))?;
        }
    }
    if lines.len() > 1 {
        print(&line::medians(&lines))?;
    }
    Ok(())
}

/// Refuses arguments that don't go together.
fn check(args: &BenchArgs) -> Result<(), Error> {
    let wrong = |what| Err(Error::Arguments(what));
    if args.rate.is_some() && (args.source == Source::Files || (args.source == Source::Kafka && !args.produce)) {
        return wrong("--rate is for --source memory, and for --source kafka with --produce");
    }
    if args.produce && args.source != Source::Kafka {
        return wrong("--produce is for --source kafka");
    }
    if args.produce && args.rate.is_some() && args.config.is_some() {
        return wrong("a topic is filled at a rate for a configuration of this program only: leave --config or --rate out");
    }
    if args.source == Source::Memory {
        let known = [PacketSchema::find("ztf", None)?, PacketSchema::find("lsst", None)?];
        if args.packets.from.is_some() || !known.contains(&args.packets.schema()?) || args.packets.framing.is_some() {
            return wrong(
                "--source memory has ztf 4.01 and lsst 11.0 as their surveys send them; the other packets come from files or kafka",
            );
        }
    }
    Ok(())
}

/// One run, and its line.
fn one(
    args: &BenchArgs,
    program: &Path,
    plan: &Plan,
    prepared: &Prepared,
    subject: &Subject,
    place: &Path,
    name: &str,
) -> Result<Value, Error> {
    let group = format!("skysluice-{name}");
    let paced = prepared.filling.as_ref().filter(|filling| filling.rate.is_some());
    let filling = paced.map(|filling| produce::ProduceArgs { topic: format!("{}-{name}", filling.topic), ..filling.clone() });
    let topic = filling.as_ref().or(prepared.filling.as_ref()).map(|filling| &filling.topic).or(args.topic.as_ref());
    let configuration = match &args.config {
        Some(file) => file.clone(),
        None => {
            let origin = origin(args, subject.count, plan, prepared, topic.cloned(), group.clone());
            let text = format!("{:#}\n", configuration::write(&origin, plan, place));
            let path = place.join("bench.yaml");
            std::fs::write(&path, text).map_err(Error::file("write", &path))?;
            path
        }
    };
    if let (Some(brokers), true) = (&args.brokers, args.produce) {
        let out = plan.publish.as_ref().and_then(|output| match output {
            Output::Topic { topic, .. } => Some(topic),
            Output::Files => None,
        });
        for topic in out.into_iter().chain(filling.as_ref().map(|filling| &filling.topic)) {
            topic::create(brokers, topic, args.partitions)?;
        }
    }
    let (run, rate_held) = match &filling {
        None => (child::run(program, &configuration, place)?, None),
        Some(filling) => {
            let paced = paced::run(program, &configuration, place, &group, filling)?;
            (paced.run, paced.rate_held)
        }
    };
    // The archive of a configuration of someone else's is somewhere else.
    let fate = match args.config {
        Some(_) => None,
        None => {
            let dead = run.report.components.iter().map(|part| part.dead).sum();
            let found = oracle::count(&configuration::archive(place), args.packets.schema()?.id_field())?;
            Some(oracle::judge(&found, subject.count, dead, prepared.unique, prepared.ids.as_deref()))
        }
    };
    Ok(line::run(subject, &run, fate, rate_held))
}

/// What is done with the alerts.
fn plan(args: &BenchArgs) -> Result<Plan, Error> {
    let mut given = args.catalogues.clone();
    let mut cuts = Vec::new();
    if args.steps == Steps::Sample {
        cuts.push(match args.packets.kind {
            Survey::Ztf => "candidate.rb >= 0.55".to_owned(),
            Survey::Lsst => "diaSource.reliability >= 0.55".to_owned(),
        });
        if given.is_empty() && args.catalogs == 0 {
            given.push(SAMPLE_CATALOGUE.into());
        }
    }
    let mut catalogues = Vec::new();
    for path in given {
        catalogues.push(path.canonicalize().map_err(Error::file("find the catalogue", &path))?);
    }
    let publish = args.publish.as_ref().map(|publish| match (publish.as_str(), &args.brokers) {
        ("files", _) => Ok(Output::Files),
        (topic, Some(brokers)) => {
            let (brokers, topic) = (brokers.clone(), topic.to_owned());
            Ok(Output::Topic { brokers, topic, transactions: args.transactions })
        }
        (topic, None) => Err(Error::NoBrokers { topic: topic.to_owned() }),
    });
    let survey = match (&args.profile, args.packets.kind) {
        (Some(profile), _) => profile.clone(),
        (None, Survey::Ztf) => "ztf".to_owned(),
        (None, Survey::Lsst) => "lsst".to_owned(),
    };
    let columns = match args.columns.as_str() {
        "all" => None,
        "all except cutouts" => Some(json!("all except cutouts")),
        names => Some(names.split(',').map(str::trim).collect()),
    };
    let roll = (args.produce && args.rate.is_some()).then_some(PACED_ROLL);
    let (radius, threads) = (args.radius, args.threads);
    Ok(Plan { survey, decode: None, columns, roll, cuts, catalogues, radius, publish: publish.transpose()?, threads })
}

/// What is known before anything is prepared.
fn subject(args: &BenchArgs, plan: &Plan) -> Subject {
    let own = args.config.is_none();
    Subject {
        line: "run",
        label: args.label.clone(),
        date: machine::now(),
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        source: match args.source {
            Source::Memory => "memory",
            Source::Files => "files",
            Source::Kafka => "kafka",
        },
        page_cache: None,
        packet: Packet { kind: String::new(), bytes: None, history: None },
        columns: if own { args.columns.clone() } else { "as configured".to_owned() },
        catalogues: own.then_some(plan.catalogues.len() + args.catalogs as usize),
        catalogue_rows: (own && args.catalogs > 0).then_some(args.catalog_rows),
        cuts: own.then_some(plan.cuts.len()),
        durability: if own && args.transactions {
            "parquet+fsync, transactions"
        } else if own {
            "parquet+fsync"
        } else {
            "as configured"
        },
        count: args.count.unwrap_or(0),
        rate_offered: args.rate,
        generator_us_per_alert: None,
    }
}

/// Where a run takes its alerts from.
fn origin(args: &BenchArgs, count: u64, plan: &Plan, prepared: &Prepared, topic: Option<String>, group: String) -> Origin {
    match (args.source, &args.brokers, topic) {
        (Source::Kafka, Some(brokers), Some(topic)) => {
            Origin::Kafka { brokers: brokers.clone(), topic, group, until_end: args.rate.is_none() }
        }
        (Source::Files, ..) => Origin::Files(prepared.files.clone()),
        _ => Origin::Memory {
            count,
            rate: args.rate,
            seed: args.packets.seed,
            partitions: args.partitions,
            kind: (args.packets.kind == Survey::Lsst).then_some("lsst"),
            new: args.packets.history == History::None,
            // Of catalogues that were made, some sources lie beside the alerts instead.
            targets: plan.catalogues.first().filter(|_| args.catalogs == 0).cloned(),
        },
    }
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
        let args = args(&["--source", "files", "--count", "5", "--dir", work, "--skysluice", program, "--repeat", "2"]);
        let mut lines = Vec::new();
        run(&args, &mut lines).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap().lines().count(), 3);
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
        let packets = crate::packets::Packets::new(&crate::packets::tests::args(None)).unwrap();
        let (bytes, time) = prepare::generator(&packets, 200);
        assert!((70_000.0..85_000.0).contains(&bytes), "{bytes}");
        assert!(time > 0.0);
    }
}
