//! The sink: which rows go into which file, when a file is sealed, which batches are acknowledged then.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow_array::BooleanArray;

use super::container::ContainerWriter;
use super::contents::{Contents, STAGING_SUFFIX, component_prefix, stem};
use super::context::{ArchiveContext, Counts};
use super::folders;
use super::format::Format;
use super::hour::{Hour, Hours};
use super::marks::{Mark, Marks};
use super::rows::Rows;
use super::writer::FileWriter;
use crate::alert::{AlertBatch, Decoded, Fault, Permit, Sink, Token, TopicPartition};
use crate::config;
use crate::durable::{self, FolderLock, name_part};
use crate::ledger::Handled;

/// Files on disk at once, each with a thread and blocks of its own; one more seals the one that was not written to for
/// longest. Hours with few rows are gathered in memory, so that late data of many hours does not come here.
const ON_DISK: usize = 64;

/// Files open at once, in memory or on disk. What a file takes besides the memory that it tells of stays small with these.
const OPEN: usize = 512;

/// Writes alerts to Parquet.
pub type ArchiveSink = HourlySink<FileWriter>;

/// Writes alerts to Avro files, as they came.
pub type BackupSink = HourlySink<ContainerWriter>;

/// Writes alerts to files of one kind, in the folders of their hours.
///
/// After a fault it does nothing more and its unfinished files are gone; a new one is opened in its place.
pub struct HourlySink<F: Format> {
    config: config::Archive,
    settings: F::Settings,
    context: ArchiveContext,
    staging: PathBuf,
    prefix: String,
    marks: Marks,
    // What the component has whose dead letters these are.
    theirs: Option<Rows>,
    // By fingerprint of the schema.
    shapes: HashMap<u64, Arc<F::Shape>>,
    // One per hour and schema.
    open: BTreeMap<(Hour, u64), OpenFile<F>>,
    // By number of the batch; the last one is in hand.
    pending: HashMap<u64, Pending>,
    partitions: HashMap<TopicPartition, Place>,
    batches: u64,
    files: u64,
    failed: Option<Fault>,
    _lock: FolderLock,
}

/// A file being written, on disk or so far in memory alone.
struct OpenFile<F> {
    writer: F,
    contents: Contents,
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

impl<F: Format> std::fmt::Debug for HourlySink<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HourlySink")
            .field("kind", &F::ENDING)
            .field("root", &self.config.root)
            .field("open", &self.open.len())
            .field("waiting", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl<F: Format> HourlySink<F> {
    /// Checks and prepares the folders. What an earlier process left in staging was never acknowledged and is removed.
    ///
    /// # Errors
    /// When staging lies inside the root or on another file system (a defect of the configuration), when a folder can't be
    /// written, or another process works in the same staging folder (the world's fault, worth a retry).
    pub fn open(config: &config::Archive, settings: F::Settings, context: ArchiveContext) -> Result<Self, Fault> {
        let mut config = config.clone();
        let component = name_part(&context.component, 64);
        let staging = folders::prepare(&mut config, &component)?;
        let lock = durable::lock(&staging)?;
        let removed = durable::remove_files(&staging, STAGING_SUFFIX)?;
        if removed > 0 {
            tracing::info!(component, removed, "removed unfinished files of an earlier run; their alerts are read again");
        }
        let prefix = component_prefix(&context.component);
        Ok(HourlySink {
            theirs: (!context.beside.is_empty()).then(|| Rows::new(&config.root, config.layout, &context.beside)),
            marks: Marks::new::<F>(&config.root, config.layout, [&context.component].into_iter().chain(&context.covered)),
            config,
            settings,
            context,
            staging,
            prefix,
            shapes: HashMap::new(),
            open: BTreeMap::new(),
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

    /// The folder of unfinished files.
    pub(super) fn staging(&self) -> &Path {
        &self.staging
    }

    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let done = work(self);
        if let Err(fault) = &done {
            // Dropping them removes them from the disk.
            self.open.clear();
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
            self.take_part(&batch.token.origin, epoch, part, &batch.permit)?;
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
                    self.seal_where(|file| file.contents.has(&token.origin))?;
                }
                place.epoch + 1
            }
            None => 0,
        };
        self.partitions.insert((*token.origin).clone(), Place { end: token.span.end, epoch });
        Ok(epoch)
    }

    fn take_part(
        &mut self,
        origin: &Arc<TopicPartition>,
        epoch: u64,
        part: &AlertBatch,
        permit: &Arc<Permit>,
    ) -> Result<(), Fault> {
        let shape = self.shape(part)?;
        let hours = Hours::of(part, self.config.by)?;
        let mut rows = None;
        for hour in hours.distinct() {
            let Some(kept) = self.unseen(hour, &hours, origin, epoch, part)? else { continue };
            let count = kept.as_ref().map_or(part.len(), BooleanArray::true_count);
            if count == 0 {
                continue;
            }
            let rows = match &rows {
                Some(rows) => rows,
                None => rows.insert(F::rows(&shape, part, origin, permit)?),
            };
            self.write((hour, part.schema.fingerprint), &shape, origin, epoch, (rows, part, kept.as_ref()))?;
            self.in_hand(|pending| pending.handled.archived += count as u64);
        }
        Ok(())
    }

    fn shape(&mut self, part: &AlertBatch) -> Result<Arc<F::Shape>, Fault> {
        if let Some(shape) = self.shapes.get(&part.schema.fingerprint)
            && F::fits(shape, part)
        {
            return Ok(shape.clone());
        }
        let shape = Arc::new(F::shape(&self.settings, part, &self.context)?);
        self.shapes.insert(part.schema.fingerprint, shape.clone());
        Ok(shape)
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
        let goes_on = self.open.get(&(hour, fingerprint)).is_some_and(|file| file.contents.follows(origin, epoch));
        let theirs = self.theirs.as_mut().map_or(Ok(Vec::new()), |rows| rows.held(hour, origin, &part.rows))?;
        let seen = self.marks.seen(hour, fingerprint, origin, !goes_on)?;
        if !seen.touches(&part.rows) && !theirs.contains(&true) {
            return Ok(Some(hours.mask(hour)));
        }
        let (mut skipped, mut reused) = (0, 0);
        let kept: BooleanArray = part
            .rows
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let here = hours.at(i) == hour;
                let mark = match theirs.get(i) {
                    _ if !here => Mark::New,
                    Some(true) => Mark::Archived,
                    _ => seen.look_up(row),
                };
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
        key: (Hour, u64),
        shape: &Arc<F::Shape>,
        origin: &Arc<TopicPartition>,
        epoch: u64,
        (rows, part, kept): (&F::Rows<'_>, &AlertBatch, Option<&BooleanArray>),
    ) -> Result<(), Fault> {
        self.make_way(key, shape, origin, epoch)?;
        let file = match self.open.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => {
                self.files += 1;
                let name = format!("{:08}{STAGING_SUFFIX}", self.files);
                let contents = Contents::new(!self.context.beside.is_empty());
                free.insert(OpenFile { writer: F::create(&self.staging, &name, shape)?, contents })
            }
        };
        let was_on_disk = file.writer.on_disk();
        file.writer.write(rows, kept)?;
        let chosen = |(i, row)| kept.is_none_or(|mask: &BooleanArray| mask.value(i)).then_some(row);
        file.contents.add(origin, epoch, part.rows.iter().enumerate().filter_map(chosen));
        file.contents.used = self.batches;
        let came_to_disk = !was_on_disk && file.writer.on_disk();
        if file.contents.waiting.last() != Some(&self.batches) {
            file.contents.waiting.push(self.batches);
            self.in_hand(|pending| pending.files += 1);
        }
        if came_to_disk && self.on_disk() > ON_DISK { self.seal_idle(|file| file.writer.on_disk()) } else { Ok(()) }
    }

    /// Notes something about the batch in hand.
    fn in_hand(&mut self, note: impl FnOnce(&mut Pending)) {
        if let Some(pending) = self.pending.get_mut(&self.batches) {
            note(pending);
        }
    }

    /// Sees that rows can be written for `key`: to the file that is open, or to one that can be begun.
    fn make_way(&mut self, key: (Hour, u64), shape: &Arc<F::Shape>, origin: &TopicPartition, epoch: u64) -> Result<(), Fault> {
        if let Some(OpenFile { writer, contents }) = self.open.get(&key) {
            let has_room = contents.follows(origin, epoch) || contents.json_with(origin) <= F::RANGES;
            if has_room && Arc::ptr_eq(writer.shaped(), shape) {
                return Ok(());
            }
            // A file has one shape, and only one file of a key may be open.
            self.seal_one(key)?;
        }
        if self.open.len() >= OPEN {
            self.seal_idle(|_| true)?;
        }
        Ok(())
    }

    /// Keeps files in their size and memory in its bound.
    fn bound(&mut self) -> Result<(), Fault> {
        let (batch, limit) = (self.batches, self.config.roll_size);
        self.seal_where(|file| file.contents.used == batch && file.writer.bytes() >= limit)?;
        while self.memory() > self.context.memory {
            let Some((key, largest)) = self.open.iter().max_by_key(|(_, file)| file.writer.memory()) else { break };
            let (key, before) = (*key, largest.writer.memory());
            if !largest.writer.on_disk() && self.on_disk() >= ON_DISK {
                self.seal_idle(|file| file.writer.on_disk())?;
                continue;
            }
            let Some(largest) = self.open.get_mut(&key) else { break };
            largest.writer.flush()?;
            if largest.writer.memory() >= before {
                break;
            }
        }
        Ok(())
    }

    /// Bytes that the files hold in memory.
    pub(super) fn memory(&self) -> u64 {
        self.open.values().map(|file| file.writer.memory()).sum()
    }

    /// Files that are on disk.
    pub(super) fn on_disk(&self) -> usize {
        self.open.values().filter(|file| file.writer.on_disk()).count()
    }

    /// Seals the file that was not written to for longest, of those that are `wanted`.
    fn seal_idle(&mut self, wanted: impl Fn(&OpenFile<F>) -> bool) -> Result<(), Fault> {
        let wanted = self.open.iter().filter(|(_, file)| wanted(file));
        match wanted.min_by_key(|(_, file)| file.contents.used).map(|(key, _)| *key) {
            Some(key) => self.seal_one(key),
            None => Ok(()),
        }
    }

    fn seal_where(&mut self, wanted: impl Fn(&OpenFile<F>) -> bool) -> Result<(), Fault> {
        let keys: Vec<_> = self.open.iter().filter(|(_, file)| wanted(file)).map(|(key, _)| *key).collect();
        keys.into_iter().try_for_each(|key| self.seal_one(key))
    }

    fn seal_one(&mut self, key: (Hour, u64)) -> Result<(), Fault> {
        let Some(OpenFile { writer, contents }) = self.open.remove(&key) else { return Ok(()) };
        let (hour, fingerprint) = key;
        let ranges = contents.ranges();
        let staged = writer.finish(&ranges)?;
        let bytes = staged.written();
        let stem = stem(&format!("{}{fingerprint:016x}", self.prefix), &ranges);
        let path = staged.publish(&self.config.root.join(hour.folder(self.config.layout)), |n| match n {
            0 => format!("{stem}.{}", F::ENDING),
            n => format!("{stem}-{n}.{}", F::ENDING),
        })?;
        self.marks.published(hour, fingerprint, &path, &ranges);
        self.context.counts.files.fetch_add(1, Ordering::Relaxed);
        self.context.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.context.counts.rows.fetch_add(contents.rows, Ordering::Relaxed);
        tracing::debug!(path = %path.display(), rows = contents.rows, bytes, "sealed");
        if hour == Hour::QUARANTINE {
            self.context.counts.quarantined.fetch_add(contents.rows, Ordering::Relaxed);
            let (path, rows) = (path.display(), contents.rows);
            tracing::warn!(%path, rows, "alerts without a usable time are in the quarantine; see the time of their messages, or of observation");
        }
        contents.waiting.into_iter().for_each(|number| self.release(number));
        Ok(())
    }

    /// One file less that a batch waits for; the last one acknowledges it.
    fn release(&mut self, number: u64) {
        let Some(pending) = self.pending.get_mut(&number) else { return };
        pending.files -= 1;
        if pending.files == 0
            && let Some(done) = self.pending.remove(&number)
        {
            if done.handled.archived > 0 {
                self.context.ledger.arrived(self.context.sink, &done.token);
            }
            let handled = if self.context.accounts { done.handled } else { Handled::default() };
            self.context.ledger.acknowledge(self.context.sink, &done.token, handled);
        }
    }
}

impl<F: Format> Sink for HourlySink<F> {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        self.guard(|sink| sink.take(batch))
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        self.guard(|sink| {
            if sink.context.ledger.seal_asked() {
                return sink.seal_where(|_| true);
            }
            let age = sink.config.roll_age;
            let mut due = false;
            for file in sink.open.values_mut() {
                let opened = *file.contents.opened.get_or_insert(now);
                due |= now.saturating_duration_since(opened) >= age;
            }
            if due {
                sink.seal_where(|file| file.contents.opened.is_some_and(|opened| now.saturating_duration_since(opened) >= age))?;
            }
            Ok(())
        })
    }

    fn seal(&mut self) -> Result<(), Fault> {
        self.guard(|sink| sink.seal_where(|_| true))
    }
}
