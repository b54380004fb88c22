//! The sink: which rows go into which file, when a file is sealed, which batches are acknowledged then.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow_array::{BooleanArray, RecordBatch};

use super::choice;
use super::columns::Columns;
use super::folders;
use super::hour::{Hour, Hours};
use super::marks::{Mark, Marks};
use super::writer::{FileWriter, STAGING_SUFFIX, component_prefix};
use crate::alert::{AlertBatch, Decoded, Fault, Sink, Token, TopicPartition};
use crate::avro::Wanted;
use crate::config;
use crate::durable::{self, FolderLock, name_part};
use crate::ledger::{Handled, Ledger, SinkId};

/// Files open at once; one more seals the one that was not written to for longest.
const OPEN_FILES: usize = 16;

/// What the sink is told besides its configuration.
#[derive(Clone, Debug)]
pub struct ArchiveContext {
    /// Name of the component; files of two components may share an archive.
    pub component: String,
    /// Whom it acknowledges as.
    pub sink: SinkId,
    /// Where it acknowledges.
    pub ledger: Ledger,
    /// The survey, named in the footer.
    pub survey: Arc<config::Survey>,
    /// Fingerprint of the configuration, for the footer.
    pub configuration: String,
    /// Names and versions of the catalogues that were matched against, for the footer.
    pub catalogs: Vec<String>,
    /// Bytes that all files being written may hold in memory together.
    pub memory: u64,
    /// Counts what is done, also over several generations of the sink.
    pub counts: Arc<Counts>,
}

/// What a sink has done so far. Shared: it can be read after the sink has moved to its thread.
#[derive(Debug, Default)]
pub struct Counts {
    /// Files published.
    pub files: AtomicU64,
    /// Bytes of them.
    pub bytes: AtomicU64,
    /// Rows in them.
    pub rows: AtomicU64,
    /// Rows left out because they were archived before.
    pub skipped: AtomicU64,
    /// Rows without a usable time, written to the quarantine.
    pub quarantined: AtomicU64,
}

/// Writes alerts to Parquet.
///
/// After a fault it does nothing more and its unfinished files are gone; a new one is opened in its place.
pub struct ArchiveSink {
    config: config::Archive,
    context: ArchiveContext,
    staging: PathBuf,
    prefix: String,
    wanted: Wanted,
    marks: Marks,
    columns: HashMap<u64, Arc<Columns>>,
    // One open file per hour and schema.
    writers: BTreeMap<(Hour, u64), FileWriter>,
    // By number of the batch; the last one is in hand.
    pending: HashMap<u64, Pending>,
    partitions: HashMap<TopicPartition, Place>,
    batches: u64,
    files: u64,
    failed: Option<Fault>,
    _lock: FolderLock,
}

/// A batch that waits for files to be sealed.
struct Pending {
    token: Token,
    files: usize,
    handled: Handled,
}

/// Where a partition has been read to, and how often it was taken up anew.
#[derive(Clone, Copy)]
struct Place {
    end: i64,
    epoch: u64,
}

impl std::fmt::Debug for ArchiveSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveSink")
            .field("root", &self.config.root)
            .field("open", &self.writers.len())
            .field("waiting", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl ArchiveSink {
    /// Checks and prepares the folders. What an earlier process left in staging was never acknowledged and is removed.
    ///
    /// # Errors
    /// When staging lies inside the root or on another file system (a defect of the configuration), when a folder can't be
    /// written, space is low, or another process works in the same staging folder (the world's fault, worth a retry).
    pub fn open(config: &config::Archive, context: ArchiveContext) -> Result<ArchiveSink, Fault> {
        let mut config = config.clone();
        let component = name_part(&context.component, 64);
        let staging = folders::prepare(&mut config, &component)?;
        let lock = durable::lock(&staging)?;
        let removed = durable::remove_files(&staging, STAGING_SUFFIX)?;
        if removed > 0 {
            tracing::info!(component, removed, "removed unfinished files of an earlier run; their alerts are read again");
        }
        let prefix = component_prefix(&context.component);
        Ok(ArchiveSink {
            marks: Marks::new(&config.root, config.layout, &context.component, prefix.clone()),
            wanted: choice::wanted(&config.columns, &context.survey),
            config,
            context,
            staging,
            prefix,
            columns: HashMap::new(),
            writers: BTreeMap::new(),
            pending: HashMap::new(),
            partitions: HashMap::new(),
            batches: 0,
            files: 0,
            failed: None,
            _lock: lock,
        })
    }

    /// What has been done so far.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.context.counts.clone()
    }

    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let done = work(self);
        if let Err(fault) = &done {
            // Dropping the writers removes their files.
            self.writers.clear();
            self.failed = Some(fault.clone());
        }
        done
    }

    fn take(&mut self, batch: &Decoded) -> Result<(), Fault> {
        let epoch = self.follow(&batch.token)?;
        self.batches += 1;
        // The batch itself counts as one file until all of it is written: a file may be sealed on the way.
        self.pending.insert(self.batches, Pending { token: batch.token.clone(), files: 1, handled: Handled::default() });
        for part in batch.parts.iter().filter(|p| !p.is_empty()) {
            self.take_part(&batch.token.origin, epoch, part)?;
        }
        self.release(self.batches);
        self.bound()
    }

    /// Notes how far a partition has come. Says its epoch, which changes when batches do not follow each other: the partition
    /// was given away and is back, or its offsets were set to another place.
    fn follow(&mut self, token: &Token) -> Result<u64, Fault> {
        let place = self.partitions.get(&*token.origin).copied();
        let epoch = match place {
            Some(place) if place.end == token.span.start => place.epoch,
            Some(place) => {
                if token.span.start < place.end {
                    // What is read a second time may lie in open files; sealed, it is known by its marks.
                    self.seal_where(|_, writer| writer.has(&token.origin))?;
                }
                place.epoch + 1
            }
            None => 0,
        };
        self.partitions.insert((*token.origin).clone(), Place { end: token.span.end, epoch });
        Ok(epoch)
    }

    fn take_part(&mut self, origin: &Arc<TopicPartition>, epoch: u64, part: &AlertBatch) -> Result<(), Fault> {
        let columns = self.columns(part)?;
        let hours = Hours::of(part, self.config.by)?;
        let mut assembled = None;
        for hour in hours.distinct() {
            let Some(kept) = self.unseen(hour, &hours, origin, epoch, part)? else { continue };
            let count = kept.as_ref().map_or(part.len(), BooleanArray::true_count);
            if count == 0 {
                continue;
            }
            let whole = match &assembled {
                Some(whole) => whole,
                None => {
                    let failed = |e| Fault::defect(format!("alerts of {origin} do not fit their columns: {e}"));
                    assembled.insert(columns.assemble(part, &origin.topic, origin.partition).map_err(failed)?)
                }
            };
            self.write(hour, &columns, origin, epoch, (whole, part, kept.as_ref()))?;
            self.in_hand(|pending| pending.handled.archived += count as u64);
            if hour == Hour::QUARANTINE {
                self.context.counts.quarantined.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn columns(&mut self, part: &AlertBatch) -> Result<Arc<Columns>, Fault> {
        if let Some(columns) = self.columns.get(&part.schema.fingerprint)
            && columns.fit(part)
        {
            return Ok(columns.clone());
        }
        let columns = Arc::new(Columns::of(part, &self.wanted, &self.context)?);
        self.columns.insert(part.schema.fingerprint, columns.clone());
        Ok(columns)
    }

    /// Which rows of the part belong to the hour and are not archived yet: all (`Some(None)`), those of a mask, or none.
    fn unseen(
        &mut self,
        hour: Hour,
        hours: &Hours,
        origin: &TopicPartition,
        epoch: u64,
        part: &AlertBatch,
    ) -> Result<Option<Option<BooleanArray>>, Fault> {
        let fingerprint = part.schema.fingerprint;
        let goes_on = self.writers.get(&(hour, fingerprint)).is_some_and(|writer| writer.follows(origin, epoch));
        let seen = self.marks.seen(hour, fingerprint, origin, !goes_on)?;
        if !seen.touches(&part.rows) {
            return Ok(Some(hours.mask(hour)));
        }
        let (mut skipped, mut reused) = (0, 0);
        let kept: BooleanArray = part
            .rows
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let here = hours.at(i) == hour;
                let mark = if here { seen.look_up(row) } else { Mark::New };
                skipped += u64::from(mark == Mark::Archived);
                reused += u64::from(mark == Mark::Reused);
                Some(here && mark != Mark::Archived)
            })
            .collect();
        if reused > 0 {
            tracing::warn!(%origin, rows = reused, "offsets that are archived come with another time: the topic was created anew; these alerts are archived too");
        }
        self.context.counts.skipped.fetch_add(skipped, Ordering::Relaxed);
        self.in_hand(|pending| pending.handled.skipped += skipped);
        Ok(match kept.true_count() {
            0 => None,
            count if count == part.len() => Some(None),
            _ => Some(Some(kept)),
        })
    }

    fn write(
        &mut self,
        hour: Hour,
        columns: &Arc<Columns>,
        origin: &Arc<TopicPartition>,
        epoch: u64,
        (whole, part, kept): (&RecordBatch, &AlertBatch, Option<&BooleanArray>),
    ) -> Result<(), Fault> {
        let failed = |e| Fault::defect(format!("choosing the alerts of an hour from {origin}: {e}"));
        let batch = match kept {
            Some(mask) => Cow::Owned(arrow_select::filter::filter_record_batch(whole, mask).map_err(failed)?),
            None => Cow::Borrowed(whole),
        };
        let key = (hour, part.schema.fingerprint);
        self.make_way(key, columns)?;
        let writer = match self.writers.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => {
                self.files += 1;
                let name = format!("{:08}{STAGING_SUFFIX}", self.files);
                free.insert(FileWriter::create(&self.staging, &name, columns)?)
            }
        };
        let chosen = |(i, row)| kept.is_none_or(|mask: &BooleanArray| mask.value(i)).then_some(row);
        writer.write(origin, epoch, &batch, part.rows.iter().enumerate().filter_map(chosen))?;
        writer.used = self.batches;
        if writer.waiting.last() != Some(&self.batches) {
            writer.waiting.push(self.batches);
            self.in_hand(|pending| pending.files += 1);
        }
        Ok(())
    }

    /// Notes something about the batch in hand.
    fn in_hand(&mut self, note: impl FnOnce(&mut Pending)) {
        if let Some(pending) = self.pending.get_mut(&self.batches) {
            note(pending);
        }
    }

    /// Sees that a file can be begun for `key`, unless one with these columns is open.
    fn make_way(&mut self, key: (Hour, u64), columns: &Arc<Columns>) -> Result<(), Fault> {
        match self.writers.get(&key) {
            Some(writer) if Arc::ptr_eq(&writer.columns, columns) => return Ok(()),
            // The steps add other columns now; a file has one set, and only one file of a key may be open.
            Some(_) => self.seal_one(key)?,
            None => {}
        }
        if self.writers.len() >= OPEN_FILES
            && let Some(key) = self.writers.iter().min_by_key(|(_, w)| w.used).map(|(key, _)| *key)
        {
            self.seal_one(key)?;
        }
        folders::check_space(&self.staging)
    }

    /// Keeps files in their size and memory in its bound.
    fn bound(&mut self) -> Result<(), Fault> {
        let (batch, limit) = (self.batches, self.config.roll_size);
        self.seal_where(|_, writer| writer.used == batch && writer.bytes() >= limit)?;
        while self.writers.values().map(|w| w.memory).sum::<u64>() > self.context.memory {
            let Some(largest) = self.writers.values_mut().max_by_key(|w| w.memory) else { break };
            largest.flush()?;
        }
        Ok(())
    }

    fn seal_where(&mut self, wanted: impl Fn(&(Hour, u64), &FileWriter) -> bool) -> Result<(), Fault> {
        let keys: Vec<_> = self.writers.iter().filter(|(key, writer)| wanted(key, writer)).map(|(key, _)| *key).collect();
        keys.into_iter().try_for_each(|key| self.seal_one(key))
    }

    fn seal_one(&mut self, key: (Hour, u64)) -> Result<(), Fault> {
        let Some(writer) = self.writers.remove(&key) else { return Ok(()) };
        let (hour, fingerprint) = key;
        let folder = self.config.root.join(hour.folder(self.config.layout));
        let sealed = writer.seal(&folder, &format!("{}{fingerprint:016x}", self.prefix))?;
        self.marks.published(hour, fingerprint, &sealed.path, &sealed.ranges);
        self.context.counts.files.fetch_add(1, Ordering::Relaxed);
        self.context.counts.bytes.fetch_add(sealed.bytes, Ordering::Relaxed);
        self.context.counts.rows.fetch_add(sealed.rows, Ordering::Relaxed);
        tracing::debug!(path = %sealed.path.display(), rows = sealed.rows, bytes = sealed.bytes, "sealed");
        sealed.waiting.into_iter().for_each(|number| self.release(number));
        Ok(())
    }

    /// One file less that a batch waits for; the last one acknowledges it.
    fn release(&mut self, number: u64) {
        let Some(pending) = self.pending.get_mut(&number) else { return };
        pending.files -= 1;
        if pending.files == 0
            && let Some(done) = self.pending.remove(&number)
        {
            self.context.ledger.acknowledge(self.context.sink, &done.token, done.handled);
        }
    }
}

impl Sink for ArchiveSink {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        self.guard(|sink| sink.take(batch))
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        self.guard(|sink| {
            if sink.context.ledger.seal_asked() {
                return sink.seal_where(|_, _| true);
            }
            let age = sink.config.roll_age;
            let mut due = false;
            for writer in sink.writers.values_mut() {
                let opened = *writer.opened.get_or_insert(now);
                due |= now.saturating_duration_since(opened) >= age;
            }
            if due {
                sink.seal_where(|_, w| w.opened.is_some_and(|opened| now.saturating_duration_since(opened) >= age))?;
            }
            Ok(())
        })
    }

    fn seal(&mut self) -> Result<(), Fault> {
        self.guard(|sink| sink.seal_where(|_, _| true))
    }
}
