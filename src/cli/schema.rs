//! `skysluice schema show|diff|check`: what alerts are made of.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use super::what::{Found, Places};
use super::{exit, fail, print};
use crate::avro::{AlertSchema, AvroError};
use crate::config::{self, FieldPath, Survey};
use crate::inspect::{self, Difference, Finding, Grade, Need, NeedKind, Tree, visible};
use crate::pipeline::{self, ChainError, PrepareError};

/// Exit code of `schema diff` when it could not compare, as of diff(1).
const TROUBLE: u8 = 2;
/// Characters of a message of the schema parser, which may hold a whole schema.
const LONGEST: usize = 600;

const WHAT: &str = "WHAT is one of: a schema file (.avsc); an Avro container or a message in a Confluent frame; an archived Parquet \
file; a folder of .avsc files that name each other's types; a schema id that is known offline or lies in the folder of --schemas; \
with --brokers a topic, whose newest message is looked at.";

/// Subcommands of `schema`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print a schema as a tree of fields: name, type, null, default, meaning.
    #[command(after_help = WHAT, after_long_help = format!("{WHAT}\n\n{SHOW}"))]
    Show {
        /// The schema.
        what: String,
        #[command(flatten)]
        places: Places,
        /// The columns instead: path, type in Arrow, type in Parquet.
        #[arg(long)]
        columns: bool,
        /// The JSON of the schema instead.
        #[arg(long, conflicts_with = "columns")]
        json: bool,
    },
    /// Compare two schemas field by field. Exit code 0 when the fields are the same, 1 when they differ, 2 in trouble.
    #[command(after_help = WHAT, after_long_help = format!("{WHAT}\n\n{DIFF}"))]
    Diff {
        /// The old schema.
        old: String,
        /// The new schema.
        new: String,
        #[command(flatten)]
        places: Places,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Tell whether alerts of a schema can be used: decoded, found their way in, filtered. Exit code 0 when they can, else 1.
    #[command(after_help = WHAT, after_long_help = format!("{WHAT}\n\n{CHECK}"))]
    Check {
        /// The schema.
        what: String,
        #[command(flatten)]
        places: Places,
        /// Survey whose profile has to fit: ztf, lsst or a file. Default: that of the component, else the built-in one that fits.
        #[arg(long, value_name = "SURVEY")]
        survey: Option<String>,
        /// Configuration whose conditions have to fit.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Component of the configuration. Default: all of them.
        #[arg(long, value_name = "NAME", requires = "config")]
        component: Option<String>,
    },
}

const SHOW: &str = "Examples:
  skysluice schema show 1100                                   the LSST schema 11.0
  skysluice schema show alert.avro --columns                   what the alerts of a file become
  skysluice schema show lsst.v11_0/                            a folder of files, one type each
  skysluice schema show --brokers localhost:9092 ztf_local     what a topic holds now";

const DIFF: &str = "Fields are compared by their path: a field with another name is one removed and one added. Another name or namespace of a type is
said, but is no difference.

Examples:
  skysluice schema diff 1000 1100
  skysluice schema diff 1100 --brokers localhost:9092 lsst-alerts-v11 --json";

const CHECK: &str = "Examples:
  skysluice schema check new.avsc --survey ztf
  skysluice schema check 1100 --config /etc/skysluice/skysluice.yaml --component lsst";

/// Runs a subcommand.
#[must_use]
pub fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Show { what, places, columns, json } => show(what, places, *columns, *json),
        Command::Diff { old, new, places, json } => {
            return match diff(old, new, places, *json) {
                Ok(code) => code,
                Err(message) => {
                    fail(&visible(&message));
                    ExitCode::from(TROUBLE)
                }
            };
        }
        Command::Check { what, places, survey, config, component } => {
            check(what, places, survey.as_deref(), config.as_ref(), component.as_deref())
        }
    };
    done.unwrap_or_else(|message| fail(&visible(&message)))
}

fn parsed(found: &Found) -> Result<Arc<AlertSchema>, String> {
    AlertSchema::parse(&found.json).map_err(|e| format!("{}: {}", found.place, brief(&e)))
}

/// apache-avro puts whole schemas into its messages.
pub(super) fn brief(error: &AvroError) -> String {
    let text = error.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn show(what: &str, places: &Places, columns: bool, json: bool) -> Result<ExitCode, String> {
    let found = places.find(what)?;
    let schema = parsed(&found)?;
    if json {
        let value: Value = serde_json::from_str(&schema.json).map_err(|e| format!("{}: {e}", found.place))?;
        return Ok(print(&format!("{value:#}\n")));
    }
    let tree = Tree::of(&schema);
    let text = if columns {
        let stored = pipeline::column_types(&schema.arrow).map_err(|e| format!("{}: {e}", found.place))?;
        inspect::columns(&tree, &stored)
    } else {
        inspect::outline(&tree)
    };
    Ok(print(&format!("{}\n{text}", visible(&found.place))))
}

fn diff(old: &str, new: &str, places: &Places, json: bool) -> Result<ExitCode, String> {
    let (old, new) = (places.find(old)?, places.find(new)?);
    let difference = Difference::between(&Tree::of(&*parsed(&old)?), &Tree::of(&*parsed(&new)?));
    let text = match json {
        true => format!("{:#}\n", difference.json()),
        false => format!("{} -> {}\n{}", visible(&old.place), visible(&new.place), difference.text()),
    };
    print(&text);
    Ok(ExitCode::from(if difference.is_same() { exit::OK } else { exit::FAILED }))
}

fn check(
    what: &str,
    places: &Places,
    survey: Option<&str>,
    config: Option<&PathBuf>,
    component: Option<&str>,
) -> Result<ExitCode, String> {
    let found = places.find(what)?;
    let schema = match AlertSchema::parse(&found.json) {
        Ok(schema) => schema,
        Err(error) => {
            let finding = Finding {
                grade: Grade::Wrong,
                place: found.place.clone(),
                what: brief(&error),
                advice: "alerts with this schema would be dead letters; the producer has to correct it".to_owned(),
            };
            print(&format!("{finding}\n"));
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let tree = Tree::of(&schema);
    let good = |place: &str, what: String| Finding { grade: Grade::Good, place: place.to_owned(), what, advice: String::new() };
    let size = format!("{}, fingerprint {:016x}, {} columns", schema.name, schema.fingerprint, tree.columns);
    let mut findings = vec![good(&found.place, size)];
    findings.extend(inspect::repairs(&tree));
    let mut surveys = survey.map(config::survey).transpose().map_err(|e| e.to_string())?.into_iter().collect::<Vec<_>>();
    let mut steps = Vec::new();
    if let Some(file) = config {
        let settings = config::load(file).map_err(|e| e.to_string())?;
        let chosen: Vec<usize> = (0..settings.components.len())
            .filter(|i| component.is_none_or(|name| settings.components[*i].name == name))
            .collect();
        if chosen.is_empty() {
            let names: Vec<&str> = settings.components.iter().map(|c| c.name.as_str()).collect();
            return Err(format!(
                "{} has no component `{}`; it has {}",
                file.display(),
                component.unwrap_or_default(),
                names.join(", ")
            ));
        }
        for index in chosen {
            let pipeline = &settings.components[index];
            if survey.is_none() && !surveys.iter().any(|s| s.name == pipeline.survey.name) {
                surveys.push(pipeline.survey.clone());
            }
            let misfits =
                pipeline::misfits(&settings, index, &schema).map_err(|e| format!("component {}: {e}", pipeline.name))?;
            if misfits.is_empty() {
                steps.push(good(&format!("component {}", pipeline.name), "every condition fits".to_owned()));
            }
            steps.extend(misfits.iter().map(|error| misfit(&pipeline.name, error)));
        }
    }
    if surveys.is_empty() {
        surveys.extend(guessed(&schema));
    }
    for survey in surveys {
        findings.push(good("survey", survey.name.clone()));
        findings.extend(inspect::needs(&schema.arrow, &survey.name, &needs(&survey)));
    }
    findings.extend(steps);
    let text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    print(&text);
    let works = findings.iter().all(|finding| finding.grade != Grade::Wrong);
    Ok(ExitCode::from(if works { exit::OK } else { exit::FAILED }))
}

fn misfit(component: &str, error: &PrepareError) -> Finding {
    let source = match error {
        PrepareError::Chain(ChainError::Condition { source, .. }) | PrepareError::Publish { source, .. } => Some(source),
        _ => None,
    };
    let advice = match source.and_then(|s| s.suggestion()) {
        Some(_) => "alerts of this schema are skipped there and flagged; correct the condition",
        None => {
            "alerts of this schema are skipped there and flagged; change the condition, or keep this schema out of the component"
        }
    };
    Finding { grade: Grade::Wrong, place: format!("component {component}"), what: error.to_string(), advice: advice.to_owned() }
}

/// The built-in survey whose essential paths a schema has.
pub(super) fn guessed(schema: &AlertSchema) -> Option<Arc<Survey>> {
    let builtin = ["ztf", "lsst"].into_iter().filter_map(|name| config::builtin(name).ok());
    builtin.into_iter().find(|survey| inspect::guess(&schema.arrow, &needs(survey)))
}

/// What a profile looks for.
fn needs(survey: &Survey) -> Vec<Need> {
    let need = |what, paths: &[FieldPath], kind, essential| Need {
        what,
        paths: paths.iter().map(|path| path.0.clone()).collect(),
        kind,
        essential,
    };
    vec![
        need("alert id", &survey.alert_id, NeedKind::Value, true),
        need("object id", &survey.object_id, NeedKind::Value, false),
        need("right ascension", &survey.ra, NeedKind::Value, true),
        need("declination", &survey.dec, NeedKind::Value, true),
        need("time", &survey.time, NeedKind::Value, true),
        need("magnitude", &survey.magnitude, NeedKind::Value, false),
        need("history", &survey.history, NeedKind::List, false),
        need("cut-outs", &survey.cutouts, NeedKind::Bytes, false),
        need("solar system", &survey.solar_system, NeedKind::Value, false),
    ]
}
