//! Survey profiles: found by name or path, read and checked.
//!
//! Those of `conf/surveys` are part of the program, so that it works alone; a file of the same name beside the configuration
//! or in the system's folder wins over them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::at::{At, Place};
use super::check::{Surroundings, look, normal, read};
use super::checked::{FieldPath, MagnitudeUnit, Meaning, Survey, TimeScale};
use super::problem::{ConfigError, Problem, Shown, nearest};
use super::raw::{Brightness, Clock, FieldMeaning, Paths, Profile};
use super::yaml;

/// The files that are part of the program, by their path in `conf`.
const BUILTIN: [(&str, &str); 12] = [
    ("surveys/ztf.yaml", include_str!("../../conf/surveys/ztf.yaml")),
    ("surveys/lsst.yaml", include_str!("../../conf/surveys/lsst.yaml")),
    ("schemas/ztf/ztf.avsc", include_str!("../../conf/schemas/ztf/ztf.avsc")),
    ("schemas/lsst/700.avsc", include_str!("../../conf/schemas/lsst/700.avsc")),
    ("schemas/lsst/701.avsc", include_str!("../../conf/schemas/lsst/701.avsc")),
    ("schemas/lsst/702.avsc", include_str!("../../conf/schemas/lsst/702.avsc")),
    ("schemas/lsst/703.avsc", include_str!("../../conf/schemas/lsst/703.avsc")),
    ("schemas/lsst/704.avsc", include_str!("../../conf/schemas/lsst/704.avsc")),
    ("schemas/lsst/800.avsc", include_str!("../../conf/schemas/lsst/800.avsc")),
    ("schemas/lsst/900.avsc", include_str!("../../conf/schemas/lsst/900.avsc")),
    ("schemas/lsst/1000.avsc", include_str!("../../conf/schemas/lsst/1000.avsc")),
    ("schemas/lsst/1100.avsc", include_str!("../../conf/schemas/lsst/1100.avsc")),
];

/// What a path is.
const PATH_HELP: &str = "a path names fields from the outermost to the innermost: `candidate.ra`";

/// A profile that is part of the program: `ztf` or `lsst`.
///
/// # Errors
///
/// There is none of that name.
pub fn builtin(name: &str) -> Result<Arc<Survey>, ConfigError> {
    let path = PathBuf::from(format!("surveys/{name}.yaml"));
    match included(&path) {
        Some(text) => load(&path, text, &|path| included(path).map(str::to_owned)).map_err(ConfigError::new),
        None => Err(ConfigError::new(vec![Problem::of_file(
            Path::new(""),
            format!("there is no built-in survey `{name}`"),
            format!("there are {}", names()),
        )])),
    }
}

/// The profile of this name, or in this file, as a configuration in the working directory would find it.
///
/// # Errors
///
/// As for a configuration: it is not found, cannot be read, or is wrong.
pub fn named(wanted: &str) -> Result<Arc<Survey>, ConfigError> {
    let line = Path::new("--survey");
    let around = Surroundings::here(line)?;
    let at = At { value: wanted.to_owned(), place: Place { offset: 0, len: wanted.len() } };
    find(&at, &Shown::new(line, wanted), &around.folder, &around).map_err(ConfigError::new)
}

/// The profile of a configuration.
///
/// # Errors
///
/// It is not found, cannot be read, or is wrong; the problems may be of the profile's own file.
pub fn find(survey: &At<String>, shown: &Shown, folder: &Path, around: &Surroundings) -> Result<Arc<Survey>, Vec<Problem>> {
    let wanted = survey.value.as_str();
    let is_path = wanted.contains('/') || [".yaml", ".yml"].iter().any(|ending| wanted.ends_with(ending));
    let tried = if is_path {
        match look(wanted, folder, &around.folder) {
            Ok(path) => return open(&path),
            Err(tried) => tried,
        }
    } else {
        let file = format!("surveys/{wanted}.yaml");
        match look(&file, folder, &around.system) {
            Ok(path) => return open(&path),
            Err(tried) => match included(Path::new(&file)) {
                Some(_) => return builtin(wanted).map_err(|error| error.problems),
                None => tried,
            },
        }
    };
    let near = builtin_names().find(|name| nearest(wanted, [*name]).is_some());
    let help = match near {
        Some(near) => format!("did you mean `{near}`? Tried {tried}; built in are {}", names()),
        None => format!("tried {tried}; built in are {}", names()),
    };
    Err(vec![shown.problem(survey.place, format!("there is no survey `{wanted}`"), help)])
}

fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().filter_map(|(path, _)| path.strip_prefix("surveys/")?.strip_suffix(".yaml"))
}

fn names() -> String {
    builtin_names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn included(path: &Path) -> Option<&'static str> {
    BUILTIN.iter().find(|(known, _)| Path::new(known) == path).map(|(_, text)| *text)
}

fn open(path: &Path) -> Result<Arc<Survey>, Vec<Problem>> {
    let text = read(path).map_err(|problem| vec![problem])?;
    load(path, &text, &|path| read(path).ok())
}

fn load(path: &Path, text: &str, fetch: &dyn Fn(&Path) -> Option<String>) -> Result<Arc<Survey>, Vec<Problem>> {
    let shown = Shown::new(path, text);
    let raw: Profile = yaml::parse(text, &shown).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let mut paths = |paths: &At<Paths>| field_paths(paths, &shown, &mut problems);
    let mut survey = Survey {
        name: raw.name.value.clone(),
        alert_id: paths(&raw.alert_id),
        object_id: paths(&raw.object_id),
        ra: paths(&raw.ra),
        dec: paths(&raw.dec),
        time: paths(&raw.time),
        time_scale: match raw.time_scale {
            Clock::Jd => TimeScale::Jd,
            Clock::Mjd => TimeScale::Mjd,
            Clock::MjdTai => TimeScale::MjdTai,
        },
        magnitude: raw.magnitude.as_ref().map(&mut paths).unwrap_or_default(),
        magnitude_unit: match raw.magnitude_unit {
            None | Some(Brightness::Mag) => MagnitudeUnit::Mag,
            Some(Brightness::NanoJansky) => MagnitudeUnit::NanoJansky,
        },
        history: raw.history.as_ref().map(&mut paths).unwrap_or_default(),
        cutouts: raw.cutouts.as_ref().map(&mut paths).unwrap_or_default(),
        solar_system: raw.solar_system.as_ref().map(&mut paths).unwrap_or_default(),
        none_texts: raw.none_texts,
        none_numbers: raw.none_numbers,
        schemas: Vec::new(),
        fields: BTreeMap::new(),
        schema_ids: BTreeMap::new(),
    };
    for (path, At { value, place }) in raw.fields {
        match meaning(&path, value) {
            Ok(meaning) => drop(survey.fields.insert(path, meaning)),
            Err((message, help)) => problems.push(shown.problem(place, message, help)),
        }
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut read = |schema: &At<String>| {
        let file = normal(&folder.join(&schema.value));
        let (message, help) = match fetch(&file).map(|text| json(&text).map(|()| text)) {
            Some(Ok(text)) => return Some(Arc::from(text)),
            Some(Err(reason)) => {
                (format!("{} is not JSON: {reason}", file.display()), "a schema is the JSON text of an Avro record")
            }
            None => (format!("cannot read the schema {}", file.display()), "its path is relative to the folder of the profile"),
        };
        problems.push(shown.problem(schema.place, message, help));
        None
    };
    survey.schemas = raw.schemas.iter().filter_map(&mut read).collect();
    survey.schema_ids = raw.schema_ids.iter().filter_map(|(id, schema)| Some((*id, read(schema)?))).collect();
    if survey.schemas.is_empty() {
        survey.schemas = survey.schema_ids.values().cloned().collect();
    }
    if problems.is_empty() { Ok(Arc::new(survey)) } else { Err(problems) }
}

fn field_paths(paths: &At<Paths>, shown: &Shown, problems: &mut Vec<Problem>) -> Vec<FieldPath> {
    let mut problem = |place: Place, message: String| {
        problems.push(shown.problem(place, message, PATH_HELP));
    };
    if paths.value.0.is_empty() {
        problem(paths.place, "the list of paths is empty".to_owned());
    }
    let mut checked = Vec::with_capacity(paths.value.0.len());
    for path in &paths.value.0 {
        if !is_path(path) {
            problem(paths.place, format!("`{path}` is not a path to a field"));
        }
        checked.push(FieldPath(path.split('.').map(str::to_owned).collect()));
    }
    checked
}

/// What a field means, or what is wrong with that and what to write instead.
fn meaning(path: &str, raw: FieldMeaning) -> Result<Meaning, (String, &'static str)> {
    if !is_path(path) {
        return Err((format!("`{path}` is not a path to a field"), PATH_HELP));
    }
    let one_line = |text: &str| !text.trim().is_empty() && text.trim() == text && !text.contains(char::is_control);
    if let Some(unit) = raw.unit.as_deref().filter(|unit| !one_line(unit) || unit.len() > 40) {
        return Err((format!("`{unit}` cannot be the unit of `{path}`"), "write a short unit such as `deg`, or leave it out"));
    }
    if raw.doc.as_deref().is_some_and(|doc| !one_line(doc)) {
        return Err((format!("`doc` of `{path}` has to be one line of text"), "write one sentence, or leave it out"));
    }
    if raw.unit.is_none() && raw.doc.is_none() {
        return Err((format!("nothing is said about `{path}`"), "add `unit`, `doc` or both, or remove the path"));
    }
    Ok(Meaning { unit: raw.unit, doc: raw.doc })
}

fn is_path(path: &str) -> bool {
    path.split('.').all(|part| !part.is_empty() && !part.contains(char::is_whitespace))
}

/// Tells why a text is not JSON.
///
/// # Errors
///
/// What the parser says.
pub fn json(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ())
}
