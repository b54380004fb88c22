//! The sinks of a component, made anew for each generation.
//!
//! **Invariant:** exactly one of them accounts for the rows of a batch: the archive where there is one, else the backup, else the
//! sink of the dead letters, which counts them as skipped.

use std::sync::Arc;

use super::late;
use super::letters::requeue_name;
use super::replay::replay_name;
use super::{ARCHIVE, ArchiveCounts, BACKUP, LETTERS, PUBLISH, Pipeline};
use crate::actor::Generation;
use crate::alert::{Fault, Sink};
use crate::archive::{self, ArchiveContext, ArchiveSink, BackupSink, Editions, Means, PatientSink};
use crate::config::{self, KafkaSource, late_name};
use crate::durable::Way;
use crate::ledger::SinkId;
use crate::letters::LetterSink;
use crate::publish::{PublishContext, PublishSink};

/// The sinks by the names of their stages, and which of them counts rows.
pub(super) struct Sinks {
    pub(super) sinks: Vec<(&'static str, SinkId, Box<dyn Sink>)>,
    pub(super) accounts: SinkId,
}

impl Pipeline {
    pub(super) fn sinks(&self, generation: &Generation) -> Result<Sinks, Fault> {
        let ledger = &self.supervision.ledger;
        let mut sinks: Vec<(&'static str, SinkId, Box<dyn Sink>)> = Vec::new();
        let (archive, backup) = (&self.config.archive, &self.config.backup);
        let accounts = match (archive, backup) {
            (Some(_), _) => ARCHIVE,
            (None, Some(_)) => BACKUP,
            (None, None) => LETTERS,
        };
        // All that write into the archive of a component, but for the one that does.
        let once_more = |of: &str| {
            let all = [of.to_owned(), requeue_name(of), replay_name(of), late_name(of)];
            all.into_iter().filter(|name| *name != self.config.name).collect()
        };
        let keeps = |sink: SinkId, memory: u64, counts: &Arc<ArchiveCounts>| ArchiveContext {
            component: self.config.name.clone(),
            sink,
            accounts: sink == accounts,
            ledger: ledger.clone(),
            survey: self.config.survey.clone(),
            configuration: self.fingerprint.clone(),
            catalogs: {
                let chain = self.chain.clone();
                Editions::new(move || chain.catalogs())
            },
            memory,
            counts: counts.clone(),
            beside: match &self.config.source {
                config::Source::Letters(letters) => once_more(&letters.component),
                config::Source::Kafka(KafkaSource { replay: Some(replay), .. }) => once_more(&replay.of),
                config::Source::Kafka(KafkaSource { backlog: Some(backlog), .. }) => once_more(&backlog.of),
                _ => Vec::new(),
            },
            // Of a backup the ranges of the service tell what it has of the backlog, those of letters name their rows.
            covered: match late::backlog(&self.config) {
                Some(backlog) if sink == BACKUP => vec![backlog.of.clone(), requeue_name(&backlog.of)],
                _ => Vec::new(),
            },
        };
        let backlog = late::backlog(&self.config);
        // A backup needs less: it has no columns, only bytes.
        let quarter = self.memory / 4;
        let for_backup = if archive.is_some() { quarter / 4 } else { quarter };
        if let Some(archive) = archive {
            generation.opens("archive");
            let memory = if backup.is_some() { quarter - for_backup } else { quarter };
            let context = keeps(ARCHIVE, memory, &self.archived);
            let way = match archive.way {
                config::WritePath::Direct => Way::Direct,
                config::WritePath::Cached => Way::Cached,
            };
            let wanted = archive::wanted(&archive.columns, &self.config.survey);
            let means = Means { pool: self.pool.clone(), way, cutouts: archive.cutouts, wanted };
            sinks.push((
                "archive",
                ARCHIVE,
                Box::new(PatientSink::new(ArchiveSink::open(archive, means, context)?, archive.keep_free)),
            ));
        }
        if let Some(backup) = backup {
            generation.opens("backup");
            let context = keeps(BACKUP, for_backup, &self.backed_up);
            sinks.push((
                "backup",
                BACKUP,
                Box::new(PatientSink::new(BackupSink::open(&backup.files, backup.codec, context)?, backup.files.keep_free)),
            ));
        }
        if !self.config.publish.is_empty() {
            generation.opens("publish");
            let context = PublishContext {
                component: self.config.name.clone(),
                sink: PUBLISH,
                ledger: ledger.clone(),
                letters: self.letters.clone(),
                report: self.published.clone(),
                group: match &self.config.source {
                    config::Source::Kafka(kafka) => Some(kafka.group.clone()),
                    _ => None,
                },
                before: backlog.map(|backlog| backlog.group.clone()),
                state: self.state.clone(),
            };
            sinks.push(("publish", PUBLISH, Box::new(PublishSink::open(&self.config.publish, context)?)));
        }
        let letters = LetterSink::new(self.letters.clone(), ledger.clone(), LETTERS, accounts == LETTERS);
        sinks.push(("letters", LETTERS, Box::new(letters)));
        Ok(Sinks { sinks, accounts })
    }
}
