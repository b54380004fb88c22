//! Archive, output and dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Checker;
use super::claims::{Folder, Target};
use super::source::security;
use crate::config::at::{At, Place};
use crate::config::checked::{
    Archive, ColumnChoice, DeadLetters, FieldPath, HourBy, Layout, Publish, PublishFormat, PublishTarget, Source, Survey,
};
use crate::config::problem::nearest;
use crate::config::raw;
use crate::config::spots::Spot;

impl Checker<'_> {
    /// `survey` is absent where it has a problem of its own.
    pub(super) fn archive(&mut self, component: usize, raw: &At<raw::Archive>, survey: Option<&Survey>) -> Archive {
        let raw = &raw.value;
        let default = Archive::new(self.output(&raw.root));
        let staging = raw.staging.as_ref().map(|staging| self.output(staging)).unwrap_or(default.staging);
        let place = raw.staging.as_ref().map_or(raw.root.place, |staging| staging.place);
        if let (Some(left), Some(right)) = (device(&default.root), device(&staging))
            && left != right
        {
            let message = format!("{} is on another file system than {}", staging.display(), default.root.display());
            self.problem(place, message, "files are moved from one to the other in one step, which works only inside one");
        }
        self.claims.folder(component, Folder::Archive, &default.root, raw.root.place);
        self.claims.folder(component, Folder::Staging, &staging, place);
        let raw::Partition::Hour = raw.partition.unwrap_or(raw::Partition::Hour);
        let roll = raw.roll.as_ref();
        Archive {
            staging,
            by: match raw.by {
                None | Some(raw::HourOf::Ingest) => HourBy::Ingest,
                Some(raw::HourOf::Observation) => HourBy::Observation,
            },
            roll_size: self.size(roll.and_then(|roll| roll.size.as_ref()), default.roll_size),
            roll_age: self.time_above_zero(roll.and_then(|roll| roll.age.as_ref()), default.roll_age),
            layout: Layout::Hive,
            columns: raw.columns.as_ref().map_or(ColumnChoice::All, |columns| self.columns(component, columns, survey)),
            root: default.root,
        }
    }

    fn columns(&mut self, component: usize, raw: &At<raw::Columns>, survey: Option<&Survey>) -> ColumnChoice {
        const WORDS: [&str; 2] = ["all", "all except cutouts"];
        let paths = match &raw.value {
            raw::Columns::List(paths) => paths,
            raw::Columns::Word(word) if word == WORDS[0] => return ColumnChoice::All,
            raw::Columns::Word(word) if word == WORDS[1] => {
                if let Some(survey) = survey.filter(|survey| survey.cutouts.is_empty()) {
                    let message = format!("the survey `{}` has no cut-outs", survey.name);
                    self.problem(raw.place, message, "write `all`, or name the cut-outs in the profile: `cutouts: [PATH, ...]`");
                }
                return ColumnChoice::AllExceptCutouts;
            }
            raw::Columns::Word(word) => {
                let meant = nearest(word, WORDS).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                let help = format!("{meant}There are `all`, `all except cutouts`, and lists of paths such as `[candidate.*]`");
                self.problem(raw.place, format!("`{word}` is no choice of columns"), help);
                return ColumnChoice::All;
            }
        };
        if paths.is_empty() {
            let help = "write `all`, or leave `archive` away to archive nothing";
            self.problem(raw.place, "the list of columns is empty", help);
        }
        let mut checked = Vec::with_capacity(paths.len());
        for (index, At { value: path, place }) in paths.iter().enumerate() {
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            let letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '*');
            if names.iter().any(|name| name.is_empty() || !name.chars().all(letter)) {
                let help = "a path names fields from the outermost to the innermost, `*` is any text: `candidate.*`";
                self.problem(*place, format!("`{path}` is not a path to columns"), help);
            }
            self.places.insert(Spot::Column(component, index), *place);
            checked.push(FieldPath(names));
        }
        ColumnChoice::These(checked)
    }

    pub(super) fn publish(
        &mut self,
        component: usize,
        raw: &[At<raw::Publish>],
        source: Option<&Source>,
        home: &Path,
    ) -> Vec<Publish> {
        let mut outputs = Vec::with_capacity(raw.len());
        for (index, At { value: raw, .. }) in raw.iter().enumerate() {
            self.topic(&raw.topic);
            if let Some(condition) = &raw.condition {
                self.condition(condition);
                self.places.insert(Spot::Publish(component, index), condition.place);
            }
            let target = self.target(component, raw, source);
            let format = match (raw.format.as_ref().map(|format| format.value), &raw.schemas) {
                (Some(raw::Format::Confluent), None) => PublishFormat::Confluent { schemas: home.join("schemas") },
                (Some(raw::Format::Confluent), Some(folder)) => PublishFormat::Confluent { schemas: self.output(folder) },
                (format, given) => {
                    if let Some(given) = given {
                        let help = "write `format: confluent`, or remove `schemas`";
                        self.problem(given.place, "`schemas` belongs to the format `confluent`", help);
                    }
                    if format == Some(raw::Format::Bare) { PublishFormat::Bare } else { PublishFormat::Container }
                }
            };
            outputs.extend(target.map(|target| Publish {
                topic: raw.topic.value.clone(),
                target,
                condition: raw.condition.as_ref().map(|condition| condition.value.clone()),
                format,
            }));
        }
        outputs
    }

    fn target(&mut self, component: usize, raw: &raw::Publish, source: Option<&Source>) -> Option<PublishTarget> {
        if let Some(files) = &raw.files {
            let folder = self.output(files);
            if let Some(brokers) = &raw.brokers {
                let help = "keep `brokers` for Kafka or `files` for a folder";
                self.problem(brokers.place, "an output goes to Kafka or to files, not to both", help);
            }
            self.claims.folder(component, Folder::Output, &folder, files.place);
            self.claims.output(component, Target::Folder(folder.clone()), &raw.topic.value, raw.topic.place);
            return Some(PublishTarget::Files { folder });
        }
        let own = self.properties(&raw.properties)?;
        let (brokers, properties) = self.cluster(raw.brokers.as_ref(), own, source, raw.topic.place)?;
        let cluster = cluster(&brokers);
        self.claims.output(component, Target::Cluster(cluster), &raw.topic.value, raw.topic.place);
        Some(PublishTarget::Kafka { brokers, properties })
    }

    /// The brokers of a producer: its own, or the source's with what is needed to talk to them.
    fn cluster(
        &mut self,
        brokers: Option<&At<String>>,
        own: BTreeMap<String, String>,
        source: Option<&Source>,
        place: Place,
    ) -> Option<(String, BTreeMap<String, String>)> {
        match (brokers, source) {
            (Some(brokers), _) => {
                self.brokers(brokers);
                Some((brokers.value.trim().to_owned(), own))
            }
            (None, Some(Source::Kafka(kafka))) => {
                let mut properties = security(&kafka.properties);
                properties.extend(own);
                Some((kafka.brokers.clone(), properties))
            }
            (None, Some(_)) => {
                let help = "add `brokers: \"host:port\"`, or `files: FOLDER` for files in place of Kafka";
                self.problem(place, "the source has no brokers that the topic could be on", help);
                None
            }
            // The source has a problem of its own, which is told there.
            (None, None) => None,
        }
    }

    pub(super) fn dead_letters(
        &mut self,
        component: usize,
        raw: Option<&At<raw::DeadLetters>>,
        source: Option<&Source>,
        home: &Path,
    ) -> Option<DeadLetters> {
        let default = home.join("dead-letters");
        let Some(At { value: raw, place }) = raw else { return Some(DeadLetters::Folder(default)) };
        match (&raw.folder, &raw.topic) {
            (None, Some(topic)) => {
                self.topic(topic);
                let own = self.properties(&raw.properties)?;
                let (brokers, properties) = self.cluster(raw.brokers.as_ref(), own, source, topic.place)?;
                self.claims.output(component, Target::Cluster(cluster(&brokers)), &topic.value, topic.place);
                Some(DeadLetters::Topic { brokers, topic: topic.value.clone(), properties })
            }
            (Some(_), Some(topic)) => {
                self.problem(topic.place, "dead letters go to a folder or to a topic, not to both", "remove one of them");
                None
            }
            (folder, None) => {
                if let Some(brokers) = &raw.brokers {
                    self.problem(brokers.place, "`brokers` belongs to a topic of dead letters", "add `topic: NAME`");
                }
                let Some(folder) = folder else {
                    let help = "add `folder: DIR` or `topic: NAME`, or remove `dead_letters`";
                    self.problem(*place, "dead letters need a folder or a topic", help);
                    return None;
                };
                let path = self.output(folder);
                self.claims.folder(component, Folder::Dead, &path, folder.place);
                Some(DeadLetters::Folder(path))
            }
        }
    }
}

fn cluster(brokers: &str) -> BTreeSet<String> {
    brokers.split(',').map(|broker| broker.trim().to_ascii_lowercase()).collect()
}

/// The file system of a path or of its nearest folder that exists.
fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|path| path.metadata().ok()).map(|found| found.dev())
}
