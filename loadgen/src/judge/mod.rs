//! `skysluice-loadgen judge`: what has become of every message that a journal has, wherever it should be. Shares no code with the
//! program that it judges: files are read by the crates parquet and apache-avro, topics by rdkafka, and what was sent is made again
//! by the simulator.
//!
//! A row or message is known by the place of its source message that it names, and by the id of its alert: where the two disagree, the
//! id counts and the row is misplaced. **Invariant:** nothing that was read is kept but a count for each message.

mod archive;
mod cell;
mod letters;
mod output;
mod sent;
mod tally;
mod value;
mod verdict;
mod writer;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::Error;
use crate::packets::Packets;
pub(crate) use archive::ids;
use letters::{Letters, Sink};
use output::{Output, Schemas};
use sent::{Again, Sent};
use tally::{Tally, Wrong};
pub(crate) use verdict::Verdict;
use verdict::{Kind, Place, Told};

/// Arguments of `judge`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct JudgeArgs {
    /// What was sent: the file that `produce --journal` has written.
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: PathBuf,
    /// Root of the archive. Columns of the alerts that it doesn't have (archive.columns) are told, and not compared.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) archive: Option<PathBuf>,
    /// Kafka brokers: host:port, separated by commas.
    #[arg(long, required_unless_present = "archive")]
    pub(crate) brokers: Option<String>,
    /// Output topic that has to hold every alert; several times for several.
    #[arg(long = "output", value_name = "TOPIC", requires = "brokers")]
    pub(crate) outputs: Vec<String>,
    /// Output topic with a condition, which need not hold every alert; several times for several.
    #[arg(long = "partial", value_name = "TOPIC", requires = "brokers")]
    pub(crate) partial: Vec<String>,
    /// Reads the outputs as those do who read committed transactions only, and allows no alert twice in them.
    #[arg(long)]
    pub(crate) committed: bool,
    /// Alerts that may be in an output again, for each output; any number when absent, none with --committed.
    #[arg(long, value_name = "N", conflicts_with = "committed")]
    pub(crate) allow_output_duplicates: Option<u64>,
    /// Folder of the schemas (ID.avsc) of outputs with `format: confluent`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) schemas: Option<PathBuf>,
    /// File of the schema of outputs with `format: bare`.
    #[arg(long, value_name = "FILE", conflicts_with = "schemas")]
    pub(crate) schema: Option<PathBuf>,
    /// Folder of dead letters. An alert that is one is not lost.
    #[arg(long, value_name = "FOLDER", conflicts_with = "letters_topic")]
    pub(crate) letters: Option<PathBuf>,
    /// Topic of dead letters.
    #[arg(long, value_name = "TOPIC", requires = "brokers")]
    pub(crate) letters_topic: Option<String>,
    /// Writes what was found of each message: a table, separated by tabs, with a line for each number.
    #[arg(long, value_name = "FILE")]
    pub(crate) each: Option<PathBuf>,
    /// Prints one JSON line; the table then goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `judge` and prints its verdict. Returns whether all is right.
pub(crate) fn run(args: &JudgeArgs, out: &mut dyn Write) -> Result<bool, Error> {
    let verdict = judge(args)?;
    let failed = Error::file("write", "standard output");
    if args.json {
        eprint!("{}", verdict.table());
        writeln!(out, "{}", verdict.line()).map_err(failed)?;
    } else {
        write!(out, "{}", verdict.table()).map_err(failed)?;
    }
    Ok(verdict.is_clean())
}

/// Judges what has become of the messages of a journal.
pub(crate) fn judge(args: &JudgeArgs) -> Result<Verdict, Error> {
    if args.archive.is_none() && args.outputs.is_empty() && args.partial.is_empty() {
        return Err(Error::Arguments("name what is to be judged: --archive, --output or --partial"));
    }
    let (sent, packets) = Sent::read(&args.journal, |header| Packets::new(&header.packets))?;
    let has_letters = args.letters.is_some() || args.letters_topic.is_some();
    if sent.header.packets.broken.is_some() && !has_letters {
        return Err(Error::Arguments(
            "the journal has messages that were broken on purpose, which have to be dead letters: name those with --letters or \
             --letters-topic",
        ));
    }
    let mut again = Again::new(packets);
    let mut places: Vec<(Place, Tally)> = Vec::new();

    let brokers = args.brokers.as_deref().unwrap_or_default();
    let mut letters = Letters::new(&sent, &mut again);
    match (&args.letters, &args.letters_topic) {
        (Some(folder), _) => letters.folder(folder)?,
        (None, Some(topic)) => output::read(brokers, topic, false, |message| letters.message(message))?,
        (None, None) => {}
    }
    let (mut buried, excused) = letters.done();
    buried.close(&sent, false, |_| true);
    let excused = |sink: Sink| {
        let excused = &excused;
        move |who: usize| excused[who] & sink as u8 != 0
    };

    let mut absent = Vec::new();
    if let Some(root) = &args.archive {
        let (mut tally, columns) = archive::read(root, &sent, &mut again)?;
        absent.extend(columns);
        tally.close(&sent, true, excused(Sink::Archive));
        // Each ends in exactly one of them.
        let both = excused(Sink::Archive);
        for who in 0..sent.len() {
            if tally.of(who).times == 0 || !both(who) {
                continue;
            }
            tally.fault(Wrong::Twice, Some(who), || format!("{} is there, and is a dead letter", sent.name(who)));
        }
        places.push((Place::new(Kind::Archive, root.display().to_string(), true), tally));
    }
    let schemas = Schemas { folder: args.schemas.clone(), bare: args.schema.clone() };
    for (topic, complete) in args.outputs.iter().map(|topic| (topic, true)).chain(args.partial.iter().map(|topic| (topic, false)))
    {
        let mut output = Output::new(&sent, &mut again, &schemas);
        output::read(brokers, topic, args.committed, |message| output.message(message))?;
        let mut tally = output.tally;
        tally.close(&sent, complete, excused(Sink::Outputs));
        let allowed = if args.committed { Some(0) } else { args.allow_output_duplicates };
        places.push((Place::new(Kind::Output { committed: args.committed, allowed }, topic.clone(), complete), tally));
    }
    if has_letters {
        let name = args.letters.as_ref().map(|folder| folder.display().to_string()).or(args.letters_topic.clone());
        places.push((Place::new(Kind::Letters, name.unwrap_or_default(), false), buried));
    }
    if let Some(path) = &args.each {
        each(path, &sent, &places).map_err(Error::file("write", path))?;
    }
    let told = Told {
        journal: args.journal.display().to_string(),
        topic: sent.header.topic.clone(),
        packets: match &sent.header.packets.from {
            Some(from) => format!("files of {}", from.display()),
            None => sent.header.packets.schema()?.name(),
        },
        messages: sent.len() as u64,
        numbers: (sent.len() > 0).then(|| (sent.number(0), sent.number(sent.len() - 1))),
        torn: sent.torn,
        absent,
    };
    Ok(Verdict::new(told, places))
}

/// Writes what was found of each message.
fn each(path: &Path, sent: &Sent, places: &[(Place, Tally)]) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let names: Vec<&str> = places.iter().map(|(place, _)| place.name()).collect();
    writeln!(out, "number\tpartition\toffset\t{}\twrong", names.join("\t"))?;
    for who in 0..sent.len() {
        let (partition, offset) = sent.place(who);
        write!(out, "{}\t{partition}\t{offset}", sent.number(who))?;
        let mut wrong = 0;
        for (_, tally) in places {
            let found = tally.of(who);
            write!(out, "\t{}", found.times)?;
            wrong |= found.wrong;
        }
        let wrong: Vec<&str> = Wrong::ALL.iter().filter(|kind| wrong & 1 << **kind as u8 != 0).map(|kind| kind.name()).collect();
        writeln!(out, "\t{}", wrong.join(","))?;
    }
    out.flush()
}
