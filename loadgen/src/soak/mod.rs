//! `skysluice-loadgen soak`: alerts at given rates for given times, and how lag, memory and descriptors of the program go meanwhile:
//! the hour at a survey's rate, the burst of ten times as much, the load that is too much.

mod samples;

use std::io::Write;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::consumer::BaseConsumer;
use serde_json::{Value, json};

use crate::bench::child::{self, Run, Running};
use crate::bench::oracle::{self, Fate};
use crate::bench::{machine, prepare};
use crate::error::Error;
use crate::packets::{History, PacketArgs, Packets, Survey};
use crate::place::Place;
use crate::produce::{self, Compression, Key, ProduceArgs};
use crate::topic;
use samples::{Sample, Samples, Slope, slope};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long nothing may become durable in the end before the program is taken for stuck.
const STILL: Duration = Duration::from_secs(120);
/// What is left out of slopes at the beginning, seconds: buffers fill, the first files are written.
const WARMUP: f64 = 120.0;
/// Slopes of less than this after the warm-up, seconds, say nothing.
const SHORTEST: f64 = 600.0;
const MIB: f64 = 1_048_576.0;

/// Arguments of `soak`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SoakArgs {
    /// Kafka brokers: host:port, separated by commas. Topics are made there.
    #[arg(long)]
    pub(crate) brokers: String,
    /// What is sent: alerts per second and for how many seconds, one after the other, such as 1000x60,10000x60,1000x120.
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) phases: Vec<Phase>,
    /// The program; the one beside this program when absent.
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
    /// Working folder: archive and log, which stay there. Without it a temporary one, removed at the end.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Partitions of the topics.
    #[arg(long, default_value = "4")]
    pub(crate) partitions: NonZeroU32,
    /// Survey whose alerts are made up.
    #[arg(long, value_enum, default_value = "ztf")]
    pub(crate) kind: Survey,
    /// History of the alerts.
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) history: History,
    /// Leaves the cut-outs out of the archive.
    #[arg(long)]
    pub(crate) without_cutouts: bool,
    /// Publishes all alerts to a topic too.
    #[arg(long)]
    pub(crate) publish: bool,
    /// Publishes in transactions.
    #[arg(long, requires = "publish")]
    pub(crate) transactions: bool,
    /// Bytes in flight that the program may have.
    #[arg(long, default_value = "512 MiB")]
    pub(crate) memory: String,
    /// MiB of each partition that the brokers keep, so that a long run does not fill their disk. How often they look is theirs to say
    /// (`log.retention.check.interval.ms`). All when absent.
    #[arg(long, value_name = "MIB")]
    pub(crate) keep: Option<u64>,
    /// Prints one JSON line, with a sample for each minute; the table then goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A rate and a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Phase {
    rate: f64,
    seconds: f64,
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, seconds) = text.split_once('x').ok_or("RATExSECONDS is needed, such as 1000x60")?;
        Ok(Self { rate: produce::positive(rate.trim())?, seconds: produce::positive(seconds.trim())? })
    }
}

/// A phase as it went: when it began and ended, seconds, and what was offered.
#[derive(Clone, Copy, Debug)]
struct Gone {
    phase: Phase,
    from: f64,
    to: f64,
    bytes_a_message: f64,
}

/// A run that is over.
struct Outcome {
    gone: Vec<Gone>,
    samples: Samples,
    run: Run,
    sent: u64,
    fate: Fate,
    /// Seconds from the end of the last phase until all was durable.
    drained: f64,
}

/// Runs `soak` and prints what came of it. Returns whether all alerts came through once.
pub(crate) fn run(args: &SoakArgs, out: &mut dyn Write) -> Result<bool, Error> {
    let place = Place::new(args.dir.as_deref(), args.program.as_deref())?;
    let outcome = Soak::new(args, &place.folder)?.run(&place.program)?;
    let failed = Error::file("write", "standard output");
    if args.json {
        eprint!("{}", outcome.table(args));
        writeln!(out, "{}", outcome.line(args)).map_err(failed)?;
    } else {
        write!(out, "{}", outcome.table(args)).map_err(failed)?;
    }
    Ok(outcome.fate.lost == 0 && outcome.fate.duplicated == 0)
}

struct Soak<'a> {
    args: &'a SoakArgs,
    folder: PathBuf,
    configuration: PathBuf,
    filling: ProduceArgs,
    column: &'static str,
    consumer: BaseConsumer,
}

impl<'a> Soak<'a> {
    /// Makes topics and configuration.
    fn new(args: &'a SoakArgs, folder: &Path) -> Result<Self, Error> {
        let time = machine::now().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let name = format!("soak-{time}-{}", std::process::id());
        let folder = folder.join(&name);
        std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let packets = PacketArgs::made(args.kind, args.history);
        let output = format!("{name}-out");
        for topic in [&name, &output] {
            topic::create_keeping(&args.brokers, topic, args.partitions.get(), args.keep.map(|mib| mib << 20))?;
        }
        let decode = prepare::decode(&packets, &Packets::new(&packets)?, &folder)?;
        let configuration = folder.join("soak.yaml");
        let text = format!("{:#}\n", configured(args, &folder, [&name, &output], decode));
        std::fs::write(&configuration, text).map_err(Error::file("write", &configuration))?;
        let column = packets.schema()?.id_field();
        let filling = ProduceArgs {
            brokers: args.brokers.clone(),
            topic: name,
            count: 0,
            rate: None,
            burst: None,
            partitions: None,
            key: Key::Object,
            first_index: 0,
            compression: Compression::None,
            journal: None,
            packets,
        };
        let consumer = topic::consumer(&args.brokers, &filling.topic)?;
        Ok(Self { args, folder, configuration, filling, column, consumer })
    }

    fn run(&self, program: &Path) -> Result<Outcome, Error> {
        let mut running = child::start(program, &self.configuration, &self.folder)?;
        let watched = self.phases(&mut running);
        let (gone, samples, drained) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                running.kill();
                return Err(error);
            }
        };
        running.stop()?;
        let run = running.finish()?;
        let sent = samples.0.last().map_or(0, |sample| sample.sent);
        let found = oracle::count(&archive(&self.folder), self.column)?;
        let dead = run.report.components.iter().map(|component| component.dead).sum();
        let fate = oracle::judge(&found, sent, dead, true, None);
        Ok(Outcome { gone, samples, run, sent, fate, drained })
    }

    /// Sends, looks on, and waits until all is durable.
    fn phases(&self, running: &mut Running) -> Result<(Vec<Gone>, Samples, f64), Error> {
        let (start, stop, hidden) = (Instant::now(), AtomicBool::new(false), ProgressBar::hidden());
        let total: f64 = self.args.phases.iter().map(|phase| phase.seconds).sum();
        let template = "{bar:30} {elapsed} of {len} s, {msg}";
        let bar = ProgressBar::new(total as u64)
            .with_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        let mut samples = Samples::default();
        let gone = std::thread::scope(|scope| -> Result<_, Error> {
            let producer = scope.spawn(|| -> Result<Vec<Gone>, Error> {
                let (mut gone, mut first_index) = (Vec::new(), 0);
                for &phase in &self.args.phases {
                    let from = start.elapsed().as_secs_f64();
                    let count = (phase.rate * phase.seconds).ceil() as u64;
                    let filling = ProduceArgs { count, rate: Some(phase.rate), first_index, ..self.filling.clone() };
                    let summary = produce::produce_until(&filling, &stop, &hidden)?;
                    first_index += count;
                    let to = start.elapsed().as_secs_f64();
                    gone.push(Gone { phase, from, to, bytes_a_message: summary.bytes_a_message() });
                }
                Ok(gone)
            });
            while !producer.is_finished() {
                let sample = self.look(running, start).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                bar.set_position(sample.time as u64);
                bar.set_message(format!("{} sent, {} not durable yet", sample.sent, sample.lag()));
                samples.0.push(sample);
                std::thread::sleep(LOOK);
            }
            producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let ended = start.elapsed();
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            let sample = self.look(running, start)?;
            samples.0.push(sample);
            if sample.lag() == 0 {
                bar.finish_and_clear();
                return Ok((gone, samples, (start.elapsed() - ended).as_secs_f64()));
            }
            if sample.done > before {
                (before, moved) = (sample.done, Instant::now());
            }
            if moved.elapsed() > STILL {
                let what = format!("nothing was committed for {} s, at {before} of {} messages", STILL.as_secs(), sample.sent);
                return Err(self.stuck(what, running));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&self, running: &mut Running, start: Instant) -> Result<Sample, Error> {
        if let Some(status) = running.look()? {
            return Err(self.stuck(format!("the program ended by itself: {status}"), running));
        }
        // The commit before the end, so that none is ahead.
        let (brokers, topic) = (&self.args.brokers, &self.filling.topic);
        let done = topic::committed(&self.consumer, topic, self.args.partitions.get() as i32, brokers)?;
        let sent = topic::ends(&self.consumer, brokers, topic)?.iter().map(|(_, high)| u64::try_from(*high).unwrap_or(0)).sum();
        Ok(Sample {
            time: start.elapsed().as_secs_f64(),
            sent,
            done,
            anonymous: running.memory().map_or(0, |memory| memory.anonymous),
            descriptors: machine::descriptors(running.id()).unwrap_or(0),
        })
    }

    fn stuck(&self, what: String, running: &Running) -> Error {
        let output = std::fs::read_to_string(running.log()).unwrap_or_default();
        Error::Loop { what, log: running.log().to_owned(), tail: child::tail(&output) }
    }
}

fn configured(args: &SoakArgs, folder: &Path, [input, output]: [&str; 2], decode: Option<Value>) -> Value {
    let survey = match args.kind {
        Survey::Ztf => "ztf",
        Survey::Lsst => "lsst",
    };
    let columns = if args.without_cutouts { "all except cutouts" } else { "all" };
    let mut component = json!({
        "name": "soak",
        "type": "pipeline",
        "survey": survey,
        "source": { "kafka": { "brokers": args.brokers, "topics": [input], "group": input, "start": "earliest" } },
        "archive": { "root": archive(folder), "staging": folder.join("staging"), "roll": { "age": "5 s" }, "columns": columns },
        "dead_letters": { "folder": folder.join("letters") },
    });
    if args.publish {
        component["publish"] = json!([{ "topic": output, "brokers": args.brokers, "transactions": args.transactions }]);
    }
    if let Some(decode) = decode {
        component["decode"] = decode;
    }
    json!({ "service": { "data": folder.join("data"), "memory": args.memory }, "components": [component] })
}

fn archive(folder: &Path) -> PathBuf {
    folder.join("archive")
}

impl Outcome {
    /// Growth per hour after the warm-up: memory, MB; descriptors; lag, alerts. `None` of a short run.
    fn slopes(&self) -> Option<[Slope; 3]> {
        let last = self.gone.last().map_or(0.0, |gone| gone.to);
        if last < WARMUP + SHORTEST {
            return None;
        }
        let steady = self.samples.between(WARMUP, last);
        let hourly = |value: fn(&Sample) -> f64| {
            let Slope { slope, error } = slope(steady.iter().map(|sample| (sample.time, value(sample))));
            Slope { slope: 3600.0 * slope, error: 3600.0 * error }
        };
        Some([hourly(|s| s.anonymous as f64 / 1e6), hourly(|s| s.descriptors as f64), hourly(|s| s.lag() as f64)])
    }

    /// Memory at its largest, bytes.
    fn peak(&self) -> u64 {
        self.samples.0.iter().map(|sample| sample.anonymous).max().unwrap_or(0)
    }

    fn phase(&self, number: usize) -> Value {
        let gone = &self.gone[number];
        let seen = self.samples.between(gone.from, gone.to);
        let sent = seen.last().map_or(0, |s| s.sent) - seen.first().map_or(0, |s| s.sent);
        let done = seen.last().map_or(0, |s| s.done) - seen.first().map_or(0, |s| s.done);
        let span = seen.last().map_or(0.0, |s| s.time) - seen.first().map_or(0.0, |s| s.time);
        // What was usual in the first phase, a second more for the coarse look.
        let usual = self.samples.longest_delay(self.samples.between(self.gone[0].from, self.gone[0].to)) + 1.0;
        json!({
            "offered": gone.phase.rate,
            "seconds": gone.to - gone.from,
            "bytes_a_message": gone.bytes_a_message,
            "sent_a_second": sent as f64 / span.max(1e-9),
            "durable_a_second": done as f64 / span.max(1e-9),
            "lag_at_most": seen.iter().map(Sample::lag).max(),
            "lag_at_end": seen.last().map(Sample::lag),
            "delay_at_most_s": self.samples.longest_delay(seen),
            "usual_again_after_s": (number > 0).then(|| self.samples.recovered(gone.from, usual)).flatten(),
        })
    }

    fn line(&self, args: &SoakArgs) -> Value {
        let slopes = self.slopes();
        let slope = |which: usize| slopes.map(|slopes| slopes[which].slope);
        let error = |which: usize| slopes.map(|slopes| slopes[which].error);
        let component = self.run.report.components.first().cloned().unwrap_or_default();
        let minutes: Vec<Value> = self
            .samples
            .0
            .iter()
            .scan(-1.0, |minute, sample| {
                let new = (sample.time / 60.0).floor() > *minute;
                *minute = (sample.time / 60.0).floor();
                Some(new.then_some(sample))
            })
            .flatten()
            .map(|s| json!([s.time.round(), s.sent, s.lag(), s.anonymous, s.descriptors]))
            .collect();
        json!({
            "line": "soak",
            "kind": args.kind,
            "history": args.history,
            "without_cutouts": args.without_cutouts,
            "publish": args.publish,
            "transactions": args.transactions,
            "phases": (0..self.gone.len()).map(|number| self.phase(number)).collect::<Vec<_>>(),
            "sent": self.sent,
            "archived": component.archived,
            "published": component.published.values().map(|published| published.messages).sum::<u64>(),
            "lost": self.fate.lost,
            "duplicated": self.fate.duplicated,
            "drained_s": self.drained,
            "cpu_us_per_alert": self.cpu(),
            "anonymous_bytes_at_most": self.peak(),
            "slope_memory_mb_per_h": slope(0),
            "slope_memory_mb_per_h_error": error(0),
            "slope_descriptors_per_h": slope(1),
            "slope_descriptors_per_h_error": error(1),
            "slope_lag_alerts_per_h": slope(2),
            "slope_lag_alerts_per_h_error": error(2),
            "generations": self.run.report.generations,
            "latency_ms": component.rest.get("latency_ms"),
            "minutes": minutes,
        })
    }

    fn cpu(&self) -> f64 {
        1e6 * self.run.cpu_seconds / self.sent.max(1) as f64
    }

    fn table(&self, args: &SoakArgs) -> String {
        let mut text = String::new();
        for number in 0..self.gone.len() {
            let phase = self.phase(number);
            let figure = |key: &str| phase[key].as_f64().unwrap_or(f64::NAN);
            text += &format!(
                "{:.0} alerts/s of {:.1} kB for {:.0} s: {:.0}/s came in, {:.0}/s became durable; {:.0} not durable at most, {:.0} at the \
                 end; durable after {:.0} s at most{}\n",
                figure("offered"),
                figure("bytes_a_message") / 1e3,
                figure("seconds"),
                figure("sent_a_second"),
                figure("durable_a_second"),
                figure("lag_at_most"),
                figure("lag_at_end"),
                figure("delay_at_most_s"),
                match phase["usual_again_after_s"].as_f64() {
                    Some(after) => format!(", as in the first phase {after:.0} s after the beginning of this"),
                    None => String::new(),
                }
            );
        }
        let told = |Slope { slope, error }: Slope| format!("{slope:+.2} (standard error {error:.2})");
        let slopes = self.slopes().map_or_else(String::new, |slopes| {
            let [memory, descriptors, lag] = slopes.map(told);
            format!("; per hour after {WARMUP:.0} s: memory {memory} MB, descriptors {descriptors}, lag {lag} alerts")
        });
        let component = self.run.report.components.first().cloned().unwrap_or_default();
        let Fate { lost, duplicated, .. } = self.fate;
        text += &format!(
            "{} sent, {} archived, lost {lost}, duplicated {duplicated}; {} generations; all durable {:.1} s after the last\n\
             {:.0} us of CPU an alert; memory {:.0} MiB at most without mapped files{slopes}\n\
             latency from the broker's time, ms: {}{}\n",
            self.sent,
            component.archived,
            self.run.report.generations,
            self.drained,
            self.cpu(),
            self.peak() as f64 / MIB,
            component.rest.get("latency_ms").unwrap_or(&Value::Null),
            if args.without_cutouts { "; archived without cut-outs" } else { "" },
        );
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn phases_are_read() {
        assert_eq!("1000x60".parse(), Ok(Phase { rate: 1000.0, seconds: 60.0 }));
        for text in ["1000", "x", "1000x", "0x60", "10x-1", "1000x1m"] {
            assert!(text.parse::<Phase>().is_err(), "{text}");
        }
    }
}
