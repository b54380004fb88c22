//! Archive, output and dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Checker;
use super::claims::{Folder, Target};
use super::source::security;
use crate::config::at::{At, Place};
use crate::config::checked::{
    Archive, Backup, Codec, ColumnChoice, CutoutCodec, DeadLetters, FieldPath, HourBy, Layout, Publish, PublishFormat,
    PublishTarget, Source, Survey, WritePath,
};
use crate::config::problem::nearest;
use crate::config::raw;
use crate::config::spots::Spot;

impl Checker<'_> {
    /// `survey` is absent where it has a problem of its own.
    pub(super) fn archive(&mut self, component: usize, raw: &At<raw::Archive>, survey: Option<&Survey>) -> Archive {
        let raw = &raw.value;
        let raw::Partition::Hour = raw.partition.unwrap_or(raw::Partition::Hour);
        let (root, staging) = self.root(component, Folder::Archive, &raw.root, raw.staging.as_ref());
        Archive {
            way: match raw.write {
                None | Some(raw::Write::Direct) => WritePath::Direct,
                Some(raw::Write::Cached) => WritePath::Cached,
            },
            cutouts: match raw.cutouts {
                None | Some(raw::Compression::None) => CutoutCodec::None,
                Some(raw::Compression::Lz4) => CutoutCodec::Lz4,
                Some(raw::Compression::Zstd) => CutoutCodec::Zstd,
            },
            columns: raw.columns.as_ref().map_or(ColumnChoice::All, |columns| self.columns(component, columns, survey)),
            keep_free: self.size(raw.keep_free.as_ref(), Archive::KEEP_FREE),
            ..self.hours((root, staging), raw.by, raw.layout, raw.roll.as_ref())
        }
    }

    pub(super) fn backup(&mut self, component: usize, raw: &At<raw::Backup>) -> Backup {
        let raw = &raw.value;
        let (root, staging) = self.root(component, Folder::Backup, &raw.root, raw.staging.as_ref());
        let codec = match raw.codec {
            Some(raw::Codec::None) => Codec::None,
            Some(raw::Codec::Deflate) => Codec::Deflate,
            Some(raw::Codec::Snappy) => Codec::Snappy,
            None | Some(raw::Codec::Zstandard) => Codec::Zstandard,
        };
        let keep_free = self.size(raw.keep_free.as_ref(), Archive::KEEP_FREE);
        let files = Archive { keep_free, ..self.hours((root, staging), raw.by, raw.layout, raw.roll.as_ref()) };
        Backup { files, codec }
    }

    /// The root of an archive or a backup and the folder of the files being written.
    fn root(&mut self, component: usize, what: Folder, root: &At<String>, staging: Option<&At<String>>) -> (PathBuf, PathBuf) {
        let default = Archive::new(self.output(root));
        let place = staging.map_or(root.place, |staging| staging.place);
        let (root_place, root) = (root.place, default.root);
        let staging = staging.map(|staging| self.output(staging)).unwrap_or(default.staging);
        if let (Some(left), Some(right)) = (device(&root), device(&staging))
            && left != right
        {
            let message = format!("{} is on another file system than {}", staging.display(), root.display());
            self.problem(place, message, "files are moved from one to the other in one step, which works only inside one");
        }
        self.claims.folder(component, what, &root, root_place);
        self.claims.folder(component, Folder::Staging, &staging, place);
        (root, staging)
    }

    fn hours(
        &mut self,
        (root, staging): (PathBuf, PathBuf),
        by: Option<raw::HourOf>,
        layout: Option<raw::Layout>,
        roll: Option<&raw::Roll>,
    ) -> Archive {
        Archive {
            root,
            staging,
            by: match by {
                None | Some(raw::HourOf::Ingest) => HourBy::Ingest,
                Some(raw::HourOf::Observation) => HourBy::Observation,
            },
            roll_size: self.size(roll.and_then(|roll| roll.size.as_ref()), Archive::ROLL_SIZE),
            roll_age: self.time_above_zero(roll.and_then(|roll| roll.age.as_ref()), Archive::ROLL_AGE),
            keep_free: Archive::KEEP_FREE,
            layout: match layout {
                None | Some(raw::Layout::Hive) => Layout::Hive,
                Some(raw::Layout::Plain) => Layout::Plain,
            },
            way: WritePath::Direct,
            cutouts: CutoutCodec::None,
            columns: ColumnChoice::All,
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
            if let Some(wrong) = raw.transactions.as_ref().filter(|wanted| wanted.value) {
                let help = "remove `transactions`, or send to Kafka";
                self.problem(wrong.place, "files have no transactions: a file is whole or not there", help);
            }
            self.claims.folder(component, Folder::Output, &folder, files.place);
            self.claims.output(component, Target::Folder(folder.clone()), &raw.topic.value, raw.topic.place);
            return Some(PublishTarget::Files { folder });
        }
        let own = self.properties(&raw.properties)?;
        let (brokers, properties) = self.cluster(raw.brokers.as_ref(), own, source, raw.topic.place)?;
        let cluster = cluster(&brokers);
        self.claims.output(component, Target::Cluster(cluster), &raw.topic.value, raw.topic.place);
        let transactions = self.transactions(raw, source, &properties);
        Some(PublishTarget::Kafka { brokers, properties, transactions })
    }

    /// Whether the output has transactions, and that nothing stands against them.
    fn transactions(&mut self, raw: &raw::Publish, source: Option<&Source>, properties: &BTreeMap<String, String>) -> bool {
        let Some(wanted) = raw.transactions.as_ref().filter(|wanted| wanted.value) else { return false };
        if !matches!(source, None | Some(Source::Kafka(_))) {
            let help = "read from Kafka, or remove `transactions`";
            self.problem(wanted.place, "transactions need a source whose offsets say what was published: Kafka", help);
        }
        // Transactions are made of these; the client library takes nothing else.
        let needed = [("enable.idempotence", "true"), ("acks", "all"), ("request.required.acks", "all")];
        for (key, value) in needed {
            if properties.get(key).is_some_and(|given| given != value && !(value == "all" && given == "-1")) {
                let help = format!("remove `{key}` or `transactions`");
                self.problem(wanted.place, format!("transactions need `{key}: {value}`"), help);
            }
        }
        if properties.contains_key("transactional.id") {
            let help = "remove the property: the id follows from component and data folder";
            self.problem(wanted.place, "`transactional.id` is given, and transactions choose their own", help);
        }
        true
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
