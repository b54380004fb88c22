//! `skysluice-loadgen crash-loop`: alerts arrive all the time, the program is killed again and again, a reader looks at the archive all
//! along; at the end the judge tells what has become of every alert.
//!
//! The bound of what may come twice in the output: after a kill the program begins at the offsets that its group has committed, so
//! that it can send again only what lies between them and the ends that the source had then. Their sum over all kills is the bound.

mod watch;

use std::io::Write;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::consumer::BaseConsumer;
use serde_json::{Value, json};

use crate::bench::child::{self, LOOK, Running};
use crate::bench::{machine, prepare};
use crate::error::Error;
use crate::judge::{self, JudgeArgs, Verdict};
use crate::packets::{History, PacketArgs, Packets, Survey};
use crate::place::Place;
use crate::produce::{self, Compression, Key, ProduceArgs};
use crate::random::Random;
use crate::topic;
use watch::Watched;

/// The shortest life of the program in a round, seconds.
const SHORTEST: f64 = 0.1;
/// Known objects, so that the order of what comes of one can be judged.
const OBJECTS: u32 = 50;
/// Every so many-th message is broken, so that there are dead letters.
const BROKEN: u64 = 97;
/// How long nothing may become durable in the end before the program is taken for stuck.
const STILL: Duration = Duration::from_secs(120);
/// Bytes in flight that the program may have.
const MEMORY: &str = "128 MiB";

/// Arguments of `crash-loop`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CrashArgs {
    /// Kafka brokers: host:port, separated by commas. Two new topics are made there.
    #[arg(long)]
    pub(crate) brokers: String,
    /// The program to kill; the one beside this program when absent.
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
    /// The program of the version before: it runs in the first half of the rounds, and the other one takes over what it leaves.
    #[arg(long, value_name = "PATH")]
    pub(crate) upgrade_from: Option<PathBuf>,
    /// How often it is killed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,
    /// Seed of the times at which it is killed, and of the alerts.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Working folder: archive, journal, dead letters, logs, which stay there. Without it a temporary one, removed at the end.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Alerts per second, all the time.
    #[arg(long, default_value_t = 100.0, value_parser = produce::positive)]
    pub(crate) rate: f64,
    /// The longest life of the program in a round, seconds; the shortest is 0.1.
    #[arg(long, default_value_t = 10.0, value_parser = produce::positive)]
    pub(crate) longest: f64,
    /// Partitions of both topics.
    #[arg(long, default_value = "4")]
    pub(crate) partitions: NonZeroU32,
    /// Survey whose alerts are made up, without history.
    #[arg(long, value_enum, default_value = "ztf")]
    pub(crate) kind: Survey,
    /// Publishes in transactions, reads the output as those do who read committed ones only, and allows no alert twice in it.
    #[arg(long)]
    pub(crate) transactions: bool,
    /// Prints one JSON line; the table then goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

impl CrashArgs {
    /// Rounds, the first ones, of the program of the version before.
    fn of_the_version_before(&self) -> u64 {
        if self.upgrade_from.is_some() { self.rounds.div_ceil(2) } else { 0 }
    }
}

/// What the kills did.
#[derive(Debug, Default)]
struct Kills {
    /// How long the program lived in each round, seconds.
    lives: Vec<f64>,
    /// Rounds in which offsets were committed.
    moved: u64,
    /// Messages that may have to be sent again.
    bound: u64,
}

/// A loop that is over.
struct Outcome {
    kills: Kills,
    watched: Watched,
    sent: u64,
    verdict: Verdict,
    seconds: f64,
}

/// Runs `crash-loop` and prints what came of it. Returns whether all is right.
pub(crate) fn run(args: &CrashArgs, out: &mut dyn Write) -> Result<bool, Error> {
    let place = Place::new(args.dir.as_deref(), args.program.as_deref())?;
    let outcome = Loop::new(args, &place.folder, place.program.clone())?.run()?;
    let failed = Error::file("write", "standard output");
    if args.json {
        eprint!("{}", outcome.table(args));
        writeln!(out, "{}", outcome.line(args)).map_err(failed)?;
    } else {
        write!(out, "{}", outcome.table(args)).map_err(failed)?;
    }
    Ok(outcome.is_clean())
}

struct Loop<'a> {
    args: &'a CrashArgs,
    folder: PathBuf,
    program: PathBuf,
    configuration: PathBuf,
    filling: ProduceArgs,
    output: String,
    /// Name of the column of ids.
    column: &'static str,
    consumer: BaseConsumer,
    /// In whose name the program notes what it has published: the offsets of the source, as commits of the output.
    marks: BaseConsumer,
}

impl<'a> Loop<'a> {
    /// Makes topics and configuration.
    fn new(args: &'a CrashArgs, folder: &Path, program: PathBuf) -> Result<Self, Error> {
        // A name that no earlier loop in the folder, and no topic or consumer group at the brokers, has.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (time, number) =
            (machine::now().replace(|c: char| !c.is_ascii_alphanumeric(), ""), NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = format!("crash-{time}-{}-{number}", std::process::id());
        let folder = folder.join(&name);
        std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let packets =
            PacketArgs { seed: args.seed, objects: OBJECTS, broken: Some(BROKEN), ..PacketArgs::made(args.kind, History::None) };
        let output = format!("{name}-out");
        for topic in [&name, &output] {
            topic::create(&args.brokers, topic, args.partitions.get())?;
        }
        let decode = prepare::decode(&packets, &Packets::new(&packets)?, &folder)?;
        let configuration = folder.join("crash.yaml");
        let text = format!("{:#}\n", configured(args, &folder, [&name, &output], decode));
        std::fs::write(&configuration, text).map_err(Error::file("write", &configuration))?;
        let column = packets.schema()?.id_field();
        let filling = ProduceArgs {
            brokers: args.brokers.clone(),
            topic: name,
            count: u64::MAX,
            rate: Some(args.rate),
            burst: None,
            partitions: None,
            key: Key::Object,
            first_index: 0,
            compression: Compression::None,
            journal: Some(folder.join("journal")),
            packets,
        };
        let consumer = topic::consumer(&args.brokers, &filling.topic)?;
        let marks = topic::consumer(&args.brokers, &format!("{0}-published-{0}", filling.topic))?;
        Ok(Self { args, folder, program, configuration, filling, output, column, consumer, marks })
    }

    fn run(&self) -> Result<Outcome, Error> {
        let start = Instant::now();
        let (stop_producing, stop_watching, files) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let template = "{spinner} {pos}/{len} kills in {elapsed}, {msg}";
        let bar = ProgressBar::new(self.args.rounds)
            .with_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        let sent = ProgressBar::hidden();
        let archive = archive(&self.folder);
        let (kills, watched) = std::thread::scope(|scope| -> Result<_, Error> {
            let producer = scope.spawn(|| produce::produce_until(&self.filling, &stop_producing, &sent));
            let watcher = scope.spawn(|| watch::watch(&archive, self.column, &stop_watching, &files));
            let say = |committed: u64| {
                let (sent, files) = (sent.position(), files.load(Ordering::Relaxed));
                bar.set_message(format!("{sent} alerts sent, {committed} durable, {files} files"));
                bar.tick();
            };
            let outcome = self.rounds(&bar, &say).and_then(|kills| {
                stop_producing.store(true, Ordering::Relaxed);
                producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                self.finish(&say).map(|()| kills)
            });
            stop_producing.store(true, Ordering::Relaxed);
            stop_watching.store(true, Ordering::Release);
            let watched = watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((outcome?, watched?))
        })?;
        bar.finish_and_clear();
        let verdict = judge::judge(&JudgeArgs {
            journal: self.folder.join("journal"),
            archive: Some(archive),
            brokers: Some(self.args.brokers.clone()),
            outputs: vec![self.output.clone()],
            committed: self.args.transactions,
            allow_output_duplicates: (!self.args.transactions).then_some(kills.bound),
            letters: Some(letters(&self.folder)),
            ..JudgeArgs::default()
        })?;
        let sent = self.ends()?;
        Ok(Outcome { kills, watched, sent, verdict, seconds: start.elapsed().as_secs_f64() })
    }

    /// Starts and kills the program.
    fn rounds(&self, bar: &ProgressBar, say: &dyn Fn(u64)) -> Result<Kills, Error> {
        let mut random = Random::new(self.args.seed);
        let (mut kills, mut before) = (Kills::default(), 0);
        for round in 1..=self.args.rounds {
            let life = SHORTEST + (self.args.longest - SHORTEST).max(0.0) * random.unit();
            let program = self.args.upgrade_from.as_ref().filter(|_| round <= self.args.of_the_version_before());
            let mut running = self.start(&format!("round-{round:04}"), program.unwrap_or(&self.program))?;
            let (start, life) = (Instant::now(), Duration::from_secs_f64(life));
            loop {
                if let Some(status) = running.look()? {
                    return Err(self.stuck(format!("the program ended by itself in round {round}: {status}"), running.log()));
                }
                say(before);
                match life.saturating_sub(start.elapsed()) {
                    Duration::ZERO => break,
                    rest => std::thread::sleep(rest.min(LOOK)),
                }
            }
            running.kill();
            kills.lives.push(start.elapsed().as_secs_f64());
            // The ends after the commits: neither goes back, so that no message between them is missed. What lies below the marks,
            // or below the commits, is not published again.
            let committed = self.committed()?;
            // While a transaction is open brokers do not tell the marks in it; there nothing may come again anyway.
            let published = if self.args.transactions { committed } else { self.published()?.max(committed) };
            kills.bound += self.ends()?.saturating_sub(published);
            kills.moved += u64::from(committed > before);
            before = committed;
            bar.inc(1);
        }
        Ok(kills)
    }

    /// Runs the program a last time, until all is committed, and ends it as a service manager does.
    fn finish(&self, say: &dyn Fn(u64)) -> Result<(), Error> {
        let end = self.ends()?;
        let mut running = self.start("last", &self.program)?;
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            let status = running.look()?;
            let committed = self.committed()?;
            say(committed);
            if committed > before {
                (before, moved) = (committed, Instant::now());
            }
            if let Some(status) = status {
                return Err(self.stuck(format!("the program ended by itself in the last round: {status}"), running.log()));
            }
            if committed >= end {
                running.stop()?;
                return running.finish().map(drop);
            }
            if moved.elapsed() > STILL {
                let seconds = STILL.as_secs();
                let what = format!("nothing was committed for {seconds} s in the last round, at {committed} of {end} messages");
                let error = self.stuck(what, running.log());
                running.kill();
                return Err(error);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn start(&self, name: &str, program: &Path) -> Result<Running, Error> {
        let folder = self.folder.join("rounds").join(name);
        std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        child::start(program, &self.configuration, &folder)
    }

    fn stuck(&self, what: String, log: &Path) -> Error {
        let output = std::fs::read_to_string(log).unwrap_or_default();
        Error::Loop { what, log: log.to_owned(), tail: child::tail(&output) }
    }

    fn committed(&self) -> Result<u64, Error> {
        let partitions = self.args.partitions.get() as i32;
        topic::committed(&self.consumer, &self.filling.topic, partitions, &self.args.brokers)
    }

    /// Messages of the source of which the program has noted that they are published.
    fn published(&self) -> Result<u64, Error> {
        topic::committed(&self.marks, &self.output, self.args.partitions.get() as i32, &self.args.brokers)
    }

    /// Messages that the source holds.
    fn ends(&self) -> Result<u64, Error> {
        let ends = topic::ends(&self.consumer, &self.args.brokers, &self.filling.topic)?;
        Ok(ends.iter().map(|(_, high)| u64::try_from(*high).unwrap_or(0)).sum())
    }
}

/// The configuration of the program: small files often, so that kills meet them in every state.
fn configured(args: &CrashArgs, folder: &Path, [input, output]: [&str; 2], decode: Option<Value>) -> Value {
    let survey = match args.kind {
        Survey::Ztf => "ztf",
        Survey::Lsst => "lsst",
    };
    let mut publish = json!({ "topic": output, "brokers": args.brokers, "format": "container" });
    if args.transactions {
        publish["transactions"] = json!(true);
    }
    let mut component = json!({
        "name": "crash",
        "type": "pipeline",
        "survey": survey,
        "source": { "kafka": {
            "brokers": args.brokers, "topics": [input], "group": input, "start": "earliest",
            // A static member: the next start takes the place of the killed one at once, so that short rounds do something too.
            "properties": {
                "group.instance.id": input, "session.timeout.ms": "6000", "heartbeat.interval.ms": "1000",
            },
        } },
        "archive": { "root": archive(folder), "staging": folder.join("staging"), "roll": { "age": "500 ms", "size": "16 MiB" } },
        "publish": [publish],
        "dead_letters": { "folder": letters(folder) },
    });
    if let Some(decode) = decode {
        component["decode"] = decode;
    }
    json!({ "service": { "data": folder.join("data"), "memory": MEMORY }, "components": [component] })
}

fn archive(folder: &Path) -> PathBuf {
    folder.join("archive")
}

fn letters(folder: &Path) -> PathBuf {
    folder.join("letters")
}

impl Outcome {
    fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.watched.unreadable.is_empty() && self.watched.changed.is_empty()
    }

    /// Shortest, median and longest life.
    fn lives(&self) -> [f64; 3] {
        let mut lives = self.kills.lives.clone();
        lives.sort_by(f64::total_cmp);
        [lives[0], lives[lives.len() / 2], lives[lives.len() - 1]]
    }

    fn line(&self, args: &CrashArgs) -> Value {
        let [shortest, median, longest] = self.lives();
        json!({
            "line": "crash-loop",
            "clean": self.is_clean(),
            "rounds": args.rounds,
            "seed": args.seed,
            "rate": args.rate,
            "transactions": args.transactions,
            "rounds_of_the_version_before": args.of_the_version_before(),
            "kills": self.kills.lives.len(),
            "rounds_with_commits": self.kills.moved,
            "lived_s": { "shortest": shortest, "median": median, "longest": longest },
            "seconds": self.seconds,
            "sent": self.sent,
            "rows": self.verdict.rows(),
            "output_duplicates": self.verdict.output_duplicates(),
            "output_duplicates_allowed": if args.transactions { 0 } else { self.kills.bound },
            "reader": {
                "looks": self.watched.looks, "files": self.watched.files(), "rows": self.watched.rows,
                "unreadable": self.watched.unreadable, "changed": self.watched.changed,
            },
            "verdict": self.verdict.line(),
        })
    }

    fn table(&self, args: &CrashArgs) -> String {
        let [shortest, median, longest] = self.lives();
        let (kills, watched) = (&self.kills, &self.watched);
        let allowed = if args.transactions { 0 } else { kills.bound };
        let mut text = format!(
            "{} kills in {:.0} s, seed {}: after {shortest:.1} s, {median:.1} s, {longest:.1} s (shortest, median, longest); offsets \
             were committed in {} rounds\n\
             {} alerts sent, {} rows archived, {} messages again in the output, of {allowed} that may be (committed at each kill \
             against what there was)\n\
             the reader looked {} times and saw {} files with {} rows: {} unreadable, {} changed or gone\n",
            kills.lives.len(),
            self.seconds,
            args.seed,
            kills.moved,
            self.sent,
            self.verdict.rows(),
            self.verdict.output_duplicates(),
            watched.looks,
            watched.files(),
            watched.rows,
            watched.unreadable.len(),
            watched.changed.len(),
        );
        if let Some(before) = &args.upgrade_from {
            text += &format!("the first {} rounds were those of {}\n", args.of_the_version_before(), before.display());
        }
        for told in watched.unreadable.iter().chain(&watched.changed).take(10) {
            text += &format!("  {told}\n");
        }
        text + &self.verdict.table()
    }
}
