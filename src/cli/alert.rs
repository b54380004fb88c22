//! `skysluice alert show FILE`: one alert as it would be archived.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::what::{Found, Places, beginning, confluent_id, is_parquet, not_a_frame, whole};
use super::{fail, print, schema};
use crate::avro::{self, AlertSchema};
use crate::config::{self, FieldPath, Framing, Survey};
use crate::inspect::{self, Cell, Stamp, visible};
use crate::pipeline;

/// Subcommands of `alert`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print one alert of a file, decoded as it would be archived, and write its cut-outs.
    #[command(after_long_help = SHOW)]
    Show(Show),
}

const SHOW: &str = "FILE is an Avro container (any codec, one record or several), a message in a Confluent frame whose schema id is known offline, a bare
datum with --schema, or an archived Parquet file.

In JSON, NaN and infinities are the texts NaN, Infinity and -Infinity; bytes are an object with their number and, for an image, its
format, width and height; times are ISO 8601 texts; a 32-bit float has the shortest digits that give the same 32 bits back.

Examples:
  skysluice alert show alert.avro
  skysluice alert show alert.avro --format json | jq .candidate.magpsf
  skysluice alert show alert.avro --cutouts stamps/
  skysluice alert show message.bin --schema 1100";

/// Arguments of `alert show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The file.
    file: PathBuf,
    /// Which record of the file, from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    record: usize,
    /// How to print it.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Print long texts, arrays and histories whole.
    #[arg(long)]
    all: bool,
    /// Write the cut-outs into this folder, as OBJECT-ALERT-science.fits.gz and so on.
    #[arg(long, value_name = "DIR")]
    cutouts: Option<PathBuf>,
    /// Survey that says where ids and cut-outs are: ztf, lsst or a profile file. Default: the built-in one that fits.
    #[arg(long, value_name = "SURVEY")]
    survey: Option<String>,
    /// Schema of a message without one: a file, or an id. The message is a bare datum, or the datum of a Confluent frame.
    #[arg(long, value_name = "FILE|ID")]
    schema: Option<String>,
    /// Folder of schemas by their id, such as 900.avsc; it wins over the schemas that are built in.
    #[arg(long, value_name = "DIR")]
    schemas: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// A line for each path; histories as small tables.
    Table,
    /// JSON with every value.
    Json,
}

/// An alert that was found.
struct Alert {
    cell: Cell,
    /// Name and fingerprint of its schema.
    about: String,
    /// Which of how many records.
    records: usize,
    survey: Option<Arc<Survey>>,
}

/// Runs a subcommand.
#[must_use]
pub fn run(command: &Command) -> ExitCode {
    let Command::Show(args) = command;
    let place = args.file.display();
    let alert = match find(args) {
        Ok(alert) => alert,
        Err(message) => return fail(&visible(&format!("{place}: {message}"))),
    };
    let text = match args.format {
        Format::Json => format!("{:#}\n", alert.cell.json()),
        Format::Table => {
            let head = format!("{place}, record {} of {}, {}", args.record, alert.records, alert.about);
            format!("{}\n\n{}", visible(&head), inspect::table(&alert.cell, args.all))
        }
    };
    let code = print(&text);
    match args.cutouts.as_ref().map(|folder| write(folder, args, &alert)) {
        Some(Err(message)) => fail(&visible(&message)),
        _ => code,
    }
}

fn find(args: &Show) -> Result<Alert, String> {
    let survey = args.survey.as_deref().map(config::survey).transpose().map_err(|e| e.to_string())?;
    let start = beginning(&args.file, 8).map_err(|e| bare(&e, &args.file))?;
    if is_parquet(&start) {
        return archived(args, survey);
    }
    let message = whole(&args.file).map_err(|e| bare(&e, &args.file))?;
    let places = Places::of_ids(args.schemas.clone());
    // Only ids and cut-outs are the survey's; the columns are the schema's alone.
    let any = || survey.clone().map_or_else(|| config::builtin("ztf").map_err(|e| e.to_string()), Ok);
    let decode = |framing: Framing| pipeline::decode_alone(&framing, any()?, message.clone());
    let container = avro::container_magic(&message);
    let parts = match (&args.schema, confluent_id(&message)) {
        (Some(_), _) if container => {
            return Err("it is a container, which has its schema inside; leave --schema out".to_owned());
        }
        _ if container => decode(Framing::Container)?,
        (Some(schema), id) => {
            let found = usable(places.find(schema)?)?;
            let datum = decode(Framing::Bare(found.json.as_str().into()));
            // A bare datum may begin with 0 too, so a frame is what does not fit as one.
            match (datum, id) {
                (Err(reason), Some(id)) => {
                    let framed = Framing::Confluent([(id, found.json.as_str().into())].into());
                    decode(framed)
                        .map_err(|inside| format!("as a bare datum: {reason}; as a Confluent frame of id {id}: {inside}"))?
                }
                (datum, _) => datum?,
            }
        }
        (None, Some(id)) => {
            let found = usable(places.of_id(id)?)?;
            decode(Framing::Confluent([(id, found.json.into())].into()))?
        }
        (None, None) => return Err(format!("{}; a bare datum needs --schema", not_a_frame(&message))),
    };
    let records: usize = parts.iter().map(crate::alert::AlertBatch::len).sum();
    let mut row = args.record;
    for part in &parts {
        if row < part.len() {
            let schema = &part.schema;
            return Ok(Alert {
                cell: Cell::of_row(&part.records, row).map_err(|e| e.to_string())?,
                about: format!("{}, fingerprint {:016x}", schema.name, schema.fingerprint),
                records,
                survey: survey.or_else(|| schema::guessed(schema)),
            });
        }
        row -= part.len();
    }
    Err(no_record(args.record, records))
}

/// A row of an archived file.
fn archived(args: &Show, survey: Option<Arc<Survey>>) -> Result<Alert, String> {
    let wrong = |e: &dyn std::fmt::Display| bare(&e.to_string(), &args.file);
    if args.schema.is_some() {
        return Err("it is Parquet, which has its columns inside; leave --schema out".to_owned());
    }
    let (batch, records) = pipeline::read_row(&args.file, args.record).map_err(|e| wrong(&e))?;
    let batch = batch.ok_or_else(|| no_record(args.record, records))?;
    let json = pipeline::read_schema(&args.file).map_err(|e| wrong(&e))?;
    let schema = json.and_then(|json| AlertSchema::parse(&json).ok());
    Ok(Alert {
        cell: Cell::of_row(&batch, 0).map_err(|e| e.to_string())?,
        about: schema.as_ref().map_or("Parquet".to_owned(), |s| format!("{}, fingerprint {:016x}", s.name, s.fingerprint)),
        records,
        survey: survey.or_else(|| schema::guessed(schema.as_ref()?)),
    })
}

/// A schema that can be compiled: otherwise its defect would be told as one of the message.
fn usable(found: Found) -> Result<Found, String> {
    match AlertSchema::parse(&found.json) {
        Ok(_) => Ok(found),
        Err(error) => Err(format!("{}: {}", found.place, schema::brief(&error))),
    }
}

fn no_record(wanted: usize, records: usize) -> String {
    match records {
        0 => "it has no record".to_owned(),
        1 => format!("it has no record {wanted}: there is one, number 0"),
        n => format!("it has no record {wanted}: there are {n}, numbers 0 to {}", n - 1),
    }
}

/// A message without the name of the file, which is put in front of all of them.
fn bare(message: &str, file: &Path) -> String {
    message.strip_prefix(&format!("{}: ", file.display())).unwrap_or(message).to_owned()
}

/// Writes the cut-outs. Their names are made of checked characters: ids come from outside.
fn write(folder: &Path, args: &Show, alert: &Alert) -> Result<(), String> {
    let paths = |of: fn(&Survey) -> &Vec<FieldPath>| -> Vec<Vec<String>> {
        alert.survey.iter().flat_map(|survey| of(survey).iter().map(|path| path.0.clone())).collect()
    };
    let stamps = inspect::cut_outs(&alert.cell, &paths(|s| &s.cutouts));
    if stamps.is_empty() {
        eprintln!("this alert has no cut-outs");
        return Ok(());
    }
    let mut ids: Vec<String> =
        [paths(|s| &s.object_id), paths(|s| &s.alert_id)].iter().filter_map(|paths| inspect::find(&alert.cell, paths)).collect();
    if ids.is_empty() {
        let file = args.file.file_stem().unwrap_or_default().to_string_lossy();
        ids = vec![file.into_owned(), args.record.to_string()];
    }
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for (name, bytes) in stamps {
        let parts: Vec<&str> = ids.iter().map(String::as_str).chain([name.as_str()]).collect();
        let stamp = Stamp::of(bytes);
        let path = folder.join(inspect::file_name(&parts, stamp.format.ending()));
        fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        eprintln!("wrote {}: {stamp}", visible(&path.display().to_string()));
    }
    Ok(())
}
