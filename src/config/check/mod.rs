//! From the configuration as written to the configuration as used. It goes on after a problem, so that all of them are told
//! at once.

mod claims;
mod decode;
mod paths;
mod sinks;
mod source;
mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use paths::{Surroundings, look, normal, read};
pub use source::security;

use super::at::{At, Place};
use super::checked::{BatchLimits, Breaker, Pipeline, Service, Settings, Survey};
use super::problem::{ConfigError, Problem, Shown};
use super::raw;
use super::spots::{Spot, Spots};
use super::units::{self, Angle, Size, Time, UnitError};
use super::{survey, yaml};
use claims::Claims;

/// Largest radius of a cross-match, arcseconds: beyond a degree the matches of one alert are a catalogue of their own.
const LARGEST_RADIUS: f64 = 30.0 * 3600.0;

/// Checks a text as if it were in the file `path`.
///
/// # Errors
///
/// Every problem found.
pub fn check(text: &str, path: &Path, around: &Surroundings) -> Result<Settings, ConfigError> {
    let shown = Shown::new(path, text);
    let raw: raw::File = yaml::parse(text, &shown).map_err(|problem| ConfigError::new(vec![problem]))?;
    let folder = normal(&around.folder.join(path.parent().unwrap_or(Path::new(""))));
    let mut checker = Checker {
        text,
        shown,
        folder,
        around,
        problems: Vec::new(),
        claims: Claims::default(),
        places: BTreeMap::new(),
        surveys: BTreeMap::new(),
    };
    let service = checker.service(raw.service.as_ref());
    if raw.components.value.is_empty() {
        let help = "add at least one: `- name: ztf`, `type: pipeline`, ...";
        checker.problem(raw.components.place, "there are no components", help);
    }
    let mut components = Vec::with_capacity(raw.components.value.len());
    for (index, component) in raw.components.value.iter().enumerate() {
        components.extend(checker.component(index, component, &service));
    }
    let Checker { claims, mut problems, shown, places, .. } = checker;
    claims.clashes(&shown, &mut problems);
    if !problems.is_empty() {
        // Those of this file before those of profiles.
        problems.sort_by_key(|problem| problem.file() != path);
        return Err(ConfigError::new(problems));
    }
    Ok(Settings {
        file: path.to_owned(),
        service,
        components,
        fingerprint: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())),
        spots: Spots::new(shown, places),
    })
}

/// What is known while a file is checked.
struct Checker<'a> {
    /// The text with its secrets; everything that is shown is taken from `shown`.
    text: &'a str,
    shown: Shown,
    /// Folder of the file.
    folder: PathBuf,
    around: &'a Surroundings,
    problems: Vec<Problem>,
    claims: Claims,
    places: BTreeMap<Spot, Place>,
    /// Profiles by the name they were asked by; `None` was told already.
    surveys: BTreeMap<String, Option<Arc<Survey>>>,
}

impl Checker<'_> {
    fn problem(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(self.shown.problem(place, message, help));
    }

    fn unit<T>(&mut self, place: Place, result: Result<T, UnitError>) -> Option<T> {
        result.map_err(|error| self.problem(place, error.message, error.help)).ok()
    }

    /// A size above zero.
    fn size(&mut self, size: Option<&At<Size>>, default: u64) -> u64 {
        let Some(At { value, place }) = size else { return default };
        match self.unit(*place, units::size(&value.0)) {
            Some(0) => {
                let help = format!("the default is `{}`", units::show_size(default));
                self.problem(*place, "a size of zero leaves room for nothing", help);
                default
            }
            Some(bytes) => bytes,
            None => default,
        }
    }

    fn time(&mut self, time: Option<&At<Time>>, default: Duration) -> Duration {
        let Some(At { value, place }) = time else { return default };
        self.unit(*place, units::time(&value.0)).unwrap_or(default)
    }

    /// A time above zero.
    fn time_above_zero(&mut self, time: Option<&At<Time>>, default: Duration) -> Duration {
        let checked = self.time(time, default);
        if let Some(At { place, .. }) = time
            && checked.is_zero()
        {
            let help = format!("the default is `{}`", units::show_time(default));
            self.problem(*place, "a time of zero leaves no time for anything", help);
        }
        checked
    }

    /// A count in a range.
    fn count(&mut self, count: Option<&At<u32>>, default: u32, most: u32) -> u32 {
        let Some(At { value, place }) = count else { return default };
        if !(1..=most).contains(value) {
            self.problem(*place, format!("{value} is out of range"), format!("write 1 to {most}; the default is {default}"));
        }
        *value
    }

    fn service(&mut self, raw: Option<&raw::Service>) -> Service {
        let default = Service::default();
        let Some(raw) = raw else { return default };
        Service {
            data: raw.data.as_ref().map_or(default.data, |data| self.output(data)),
            memory: self.size(raw.memory.as_ref(), default.memory),
            grace: self.time_above_zero(raw.grace.as_ref(), default.grace),
            stall: self.time_above_zero(raw.stall.as_ref(), default.stall),
            restarts: raw.restarts.as_ref().map_or(default.restarts, |restarts| restarts.value),
            threads: match &raw.threads {
                Some(At { value, place }) if *value > 1024 => {
                    self.problem(*place, format!("{value} threads are too many"), "write 0 for one per core");
                    default.threads
                }
                Some(At { value, .. }) => *value as usize,
                None => default.threads,
            },
        }
    }

    fn component(&mut self, index: usize, raw: &At<raw::Component>, service: &Service) -> Option<Pipeline> {
        let raw = &raw.value;
        let raw::ComponentKind::Pipeline = raw.kind;
        let name = raw.name.value.clone();
        self.name(&raw.name, "component");
        if let Some(first) = self.claims.name(&name, raw.name.place) {
            let line = self.line(first);
            self.problem(
                raw.name.place,
                format!("there are two components named `{name}`"),
                format!("the other is in line {line}"),
            );
        }
        let survey = self.survey(&raw.survey);
        let source = self.source(index, &name, &raw.source);
        let decode = self.decode(raw.decode.as_ref(), survey.as_deref());
        let batch = self.batch(raw.batch.as_ref(), service);
        let breaker = self.breaker(raw.breaker.as_ref());
        let steps = self.steps(index, &raw.steps);
        let archive = raw.archive.as_ref().map(|archive| self.archive(index, archive, survey.as_deref()));
        let backup = raw.backup.as_ref().map(|backup| self.backup(index, backup));
        let home = service.home(&name);
        let publish = self.publish(index, &raw.publish, source.as_ref(), &home);
        let dead_letters = self.dead_letters(index, raw.dead_letters.as_ref(), source.as_ref(), &home);
        let decode = decode?;
        self.simulated_framing(&raw.source.value, &decode.framing);
        Some(Pipeline {
            name,
            survey: decode::with_schemas(survey?, &decode),
            source: source?,
            decode,
            batch,
            breaker,
            steps,
            archive,
            backup,
            publish,
            dead_letters: dead_letters?,
        })
    }

    /// The line of a place, from 1.
    fn line(&self, place: Place) -> usize {
        self.text[..place.offset.min(self.text.len())].matches('\n').count() + 1
    }

    /// A name that may become part of the name of a folder.
    fn name(&mut self, name: &At<String>, what: &str) {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let text = &name.value;
        if text.is_empty() || text.len() > 64 || !text.chars().all(legal) || text.starts_with('-') {
            let help = "write 1 to 64 small letters, digits, `-` and `_`, such as `ztf-public`";
            self.problem(name.place, format!("`{text}` cannot be the name of a {what}"), help);
        }
    }

    fn survey(&mut self, wanted: &At<String>) -> Option<Arc<Survey>> {
        if let Some(known) = self.surveys.get(&wanted.value) {
            return known.clone();
        }
        let found = match survey::find(wanted, &self.shown, &self.folder, self.around) {
            Ok(survey) => Some(survey),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        };
        self.surveys.insert(wanted.value.clone(), found.clone());
        found
    }

    fn batch(&mut self, raw: Option<&raw::Batch>, service: &Service) -> BatchLimits {
        let default = BatchLimits::default();
        let Some(raw) = raw else { return default };
        let bytes = self.size(raw.bytes.as_ref(), default.bytes as u64);
        if let Some(At { place, .. }) = &raw.bytes
            && bytes > service.memory / 4
        {
            let memory = units::show_size(service.memory);
            let help = format!("write `{}` or less, or raise `service.memory`", units::show_size(service.memory / 4));
            self.problem(*place, format!("four batches do not fit in the memory of {memory}"), help);
        }
        BatchLimits {
            alerts: self.count(raw.alerts.as_ref(), default.alerts as u32, 65_536) as usize,
            bytes: bytes as usize,
            linger: self.time(raw.linger.as_ref(), default.linger),
        }
    }

    fn breaker(&mut self, raw: Option<&raw::Breaker>) -> Breaker {
        let default = Breaker::default();
        let Some(raw) = raw else { return default };
        let share = raw.share.as_ref().map_or(default.share, |share| share.value);
        if let Some(At { value, place }) = &raw.share
            && !(0.0..=1.0).contains(value)
        {
            let help = format!("write 0 to 1, such as {}; 1 turns the breaker off", default.share);
            self.problem(*place, format!("{value} is no share"), help);
        }
        Breaker { share, of: self.count(raw.of.as_ref(), default.of, 10_000_000) }
    }

    fn angle(&mut self, angle: &At<Angle>) -> Option<f64> {
        self.unit(angle.place, units::angle(&angle.value.0))
    }
}
