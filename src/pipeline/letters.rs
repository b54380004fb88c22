//! What commands do with dead letters: reading them wherever they are, processing them again, removing them.
//!
//! Letters that are processed again go through the pipeline of their component under another name, `NAME-requeue`: it has its own
//! staging folder and marks in the same archive, so that a running service and it do not meet, and what it archived once it
//! archives never again. A letter passes only the sinks that lack it (see [`Route`]).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;

use super::{Pipeline, PrepareError, Summary, check};
use crate::actor::{End, StopSignal};
use crate::alert::{DeadLetter, Fault, LetterBox, TopicPartition};
use crate::config::{self, DeadLetters, LettersSource, Settings, Source};
use crate::durable;
use crate::letters::{LetterError, Plan, Round, Route, Selection, Shelf, StoredLetter, containers, read_file, write};
use crate::source::{LetterTopic, TopicLetter};

/// Letters, and bytes of their payloads, that are written into one container of those read from a topic.
const CONTAINER: (usize, usize) = (256, 4 << 20);

/// Where the letters of a component are.
#[derive(Clone, Debug)]
pub enum LetterStore {
    /// In a folder.
    Folder(Shelf),
    /// In a topic.
    Topic(LetterTopic),
}

/// A letter that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The letter.
    pub letter: StoredLetter,
    /// Bytes of the message where the topic did not take them, so that there is no payload.
    pub omitted: Option<u64>,
    /// In a folder: it lies aside, as it is being processed again or such an attempt was cut short. In a topic: it lies before the
    /// position up to which letters were processed again.
    pub aside: bool,
}

/// Letters that are to be removed.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// How many.
    pub count: u64,
    below: BTreeMap<i32, i64>,
}

impl LetterStore {
    /// That of a component.
    #[must_use]
    pub fn of(component: &config::Pipeline) -> LetterStore {
        match &component.dead_letters {
            DeadLetters::Folder(folder) => LetterStore::Folder(Shelf::new(folder)),
            DeadLetters::Topic { brokers, topic, properties } => {
                let properties = config::security(properties);
                LetterStore::Topic(LetterTopic::new(&component.name, brokers, topic, properties))
            }
        }
    }

    /// Reads all letters, and says how many messages of a topic are none.
    ///
    /// # Errors
    /// When a folder, a file or a topic can't be read.
    pub fn each(&self, mut take: impl FnMut(Found)) -> Result<u64, Fault> {
        match self {
            LetterStore::Folder(shelf) => {
                for (path, aside) in shelf.files()? {
                    match read_file(&path) {
                        Ok(letters) => letters.into_iter().for_each(|letter| take(Found { letter, omitted: None, aside })),
                        // Moved or removed since it was listed.
                        Err(LetterError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(0)
            }
            LetterStore::Topic(topic) => {
                let extents = topic.extents()?;
                let ranges = extents.iter().map(|(partition, e)| (*partition, (e.first, e.end))).collect();
                let mut strangers = 0;
                topic.read(&ranges, |TopicLetter { partition, offset, omitted, letter }| {
                    let aside = extents.get(&partition).is_some_and(|e| offset < e.requeued);
                    match letter {
                        Some(letter) => take(Found { letter, omitted, aside }),
                        None => strangers += 1,
                    }
                    Ok::<(), Fault>(())
                })?;
                Ok(strangers)
            }
        }
    }

    /// Finds the letters to remove. Nothing is removed yet.
    ///
    /// # Errors
    /// When letters can't be read, or the topic can't do what is asked.
    pub fn doom(&self, selection: &Selection) -> Result<Doomed, Fault> {
        let LetterStore::Topic(topic) = self else {
            let mut count = 0;
            self.each(|found| count += u64::from(selection.picks(&found.letter)))?;
            return Ok(Doomed { count, below: BTreeMap::new() });
        };
        if !(Selection { before: None, ..selection.clone() }).is_all() {
            return Err(Fault::defect(format!(
                "a topic lets go of its oldest messages alone: remove letters of {} by --older-than, or all of them",
                topic.name()
            )));
        }
        let extents = topic.extents()?;
        let mut below: BTreeMap<i32, i64> = extents.iter().map(|(partition, e)| (*partition, e.end)).collect();
        if selection.before.is_some() {
            let ranges = extents.iter().map(|(partition, e)| (*partition, (e.first, e.end))).collect();
            topic.read(&ranges, |found| {
                let picked = found.letter.is_some_and(|letter| selection.picks(&letter));
                if let Some(end) = below.get_mut(&found.partition).filter(|_| !picked) {
                    *end = found.offset.min(*end);
                }
                Ok::<(), Fault>(())
            })?;
        }
        below.retain(|partition, end| extents.get(partition).is_some_and(|e| e.first < *end));
        let first = |partition: &i32| extents.get(partition).map_or(0, |e| e.first);
        let count = below.iter().map(|(partition, end)| u64::try_from(*end - first(partition)).unwrap_or(0)).sum();
        Ok(Doomed { count, below })
    }

    /// Removes letters for good, and says how many.
    ///
    /// # Errors
    /// When a file can't be replaced, or the broker refuses.
    pub fn remove(&self, selection: &Selection, doomed: &Doomed) -> Result<u64, Fault> {
        match self {
            LetterStore::Folder(shelf) => {
                let _lock = shelf.lock()?;
                Ok(shelf.remove(&|letter| selection.picks(letter))? as u64)
            }
            LetterStore::Topic(_) if doomed.below.is_empty() => Ok(0),
            LetterStore::Topic(topic) => topic.delete_below(&doomed.below).map(|()| doomed.count),
        }
    }
}

/// What became of letters that were processed again.
#[derive(Debug, Default)]
pub struct Requeued {
    /// Letters in hand.
    pub letters: usize,
    /// Of these, letters that an attempt before had left.
    pub taken_up: usize,
    /// Letters that are not done yet: a stop was asked for, or the pipeline gave up. The next attempt takes them up.
    pub left: usize,
    /// Letters whose bytes the topic did not take, so that nothing can be processed.
    pub omitted: u64,
    /// Letters of a sink that the component has no more.
    pub unfit: u64,
    /// What the pipeline did, run by run.
    pub runs: Vec<Summary>,
    /// Letters that were written anew, by the stage that gave up.
    pub again: BTreeMap<&'static str, u64>,
}

/// Processes the letters of a component once more. `selection` is for folders: a topic is worked off as a whole.
///
/// # Errors
/// When nothing could be begun: the configuration, the folder, the brokers.
pub fn requeue(
    settings: &Settings,
    index: usize,
    selection: &Selection,
    stop: &StopSignal,
    pool: &Arc<ThreadPool>,
) -> Result<Requeued, PrepareError> {
    let component = &settings.components[index];
    let name = requeue_name(&component.name);
    if settings.components.iter().any(|other| other.name == name) {
        let why = format!(
            "letters of {} are processed under the name {name}, which another component has: rename that",
            component.name
        );
        return Err(Fault::defect(why).into());
    }
    // Before anything is moved.
    check(settings, index)?;
    let work = Work { settings, index, name, stop, pool };
    match LetterStore::of(component) {
        LetterStore::Folder(shelf) => work.folder(&shelf, selection),
        LetterStore::Topic(topic) if selection.is_all() => work.topic(&topic),
        LetterStore::Topic(topic) => Err(Fault::defect(format!(
            "letters can be chosen in a folder alone: the position in topic {} would pass over the others; requeue all of it",
            topic.name()
        ))
        .into()),
    }
}

/// Name under which letters of a component are processed again.
#[must_use]
pub fn requeue_name(component: &str) -> String {
    format!("{component}-requeue")
}

/// A letter by what it speaks of, and the stage.
type Spoken = (&'static str, TopicPartition, i64, Option<u32>);

/// Notes the letters that pass through to another box. The same letter, put again after a failure, is noted once.
struct Noted {
    inner: Arc<dyn LetterBox>,
    seen: Arc<Mutex<BTreeSet<Spoken>>>,
}

impl LetterBox for Noted {
    fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
        self.inner.put(letters)?;
        let spoken = |letter: &DeadLetter| (letter.stage, (*letter.origin).clone(), letter.offset, letter.record);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(letters.iter().map(spoken));
        Ok(())
    }
}

struct Work<'a> {
    settings: &'a Settings,
    index: usize,
    name: String,
    stop: &'a StopSignal,
    pool: &'a Arc<ThreadPool>,
}

impl Work<'_> {
    fn component(&self) -> &config::Pipeline {
        &self.settings.components[self.index]
    }

    fn folder(&self, shelf: &Shelf, selection: &Selection) -> Result<Requeued, PrepareError> {
        let _lock = shelf.lock().map_err(Fault::from)?;
        let aside = shelf.aside(&self.component().name);
        let unfit = std::cell::Cell::new(0);
        let wanted = |letter: &StoredLetter| {
            let chosen = selection.picks(letter) && self.owns(letter);
            let fits = self.fits(Route::of(&letter.stage));
            unfit.set(unfit.get() + u64::from(chosen && !fits));
            chosen && fits
        };
        let moved = shelf.set_aside(&self.component().name, &wanted).map_err(Fault::from)?;
        let plan = Plan::of(containers(&aside).map_err(Fault::from)?).map_err(Fault::from)?;
        let (mut requeued, done) = self.run(&plan)?;
        requeued.left = plan.finish(&done).map_err(Fault::from)?;
        requeued.taken_up = plan.letters - moved;
        requeued.unfit = unfit.get();
        Ok(requeued)
    }

    /// The topic stays the only store: what is read from it into files is read again after a crash, as nothing is committed
    /// before it is done.
    fn topic(&self, topic: &LetterTopic) -> Result<Requeued, PrepareError> {
        let folder = self.settings.service.data.join(&self.name).join("letters");
        durable::create_folders(&folder).map_err(Fault::from)?;
        let _lock = durable::lock(&folder).map_err(Fault::from)?;
        durable::remove_files(&folder, ".avro").map_err(Fault::from)?;

        let extents = topic.extents()?;
        let ranges: BTreeMap<i32, (i64, i64)> = extents.iter().map(|(p, e)| (*p, (e.requeued, e.end))).collect();
        let mut copy = Copy { folder: &folder, letters: Vec::new(), bytes: 0, places: vec![Vec::new()] };
        let (mut omitted, mut unfit) = (0, 0);
        topic.read(&ranges, |found| {
            match found.letter {
                Some(_) if found.omitted.is_some() => omitted += 1,
                Some(letter) if !self.fits(Route::of(&letter.stage)) => unfit += 1,
                Some(letter) => copy.add(letter, (found.partition, found.offset))?,
                None => {}
            }
            Ok::<(), Fault>(())
        })?;
        copy.flush()?;
        let places = copy.places;

        let plan = Plan::of(containers(&folder).map_err(Fault::from)?).map_err(Fault::from)?;
        let (mut requeued, done) = self.run(&plan)?;
        let open = plan.open(&done);
        let mut positions: BTreeMap<i32, i64> = ranges.into_iter().map(|(p, (_, end))| (p, end)).collect();
        for (partition, offset) in open.iter().filter_map(|(file, index)| places.get(*file)?.get(*index)) {
            positions.entry(*partition).and_modify(|position| *position = (*position).min(*offset));
        }
        positions.retain(|partition, position| extents.get(partition).is_some_and(|e| e.requeued < *position));
        topic.commit(&positions)?;
        durable::remove_files(&folder, ".avro").map_err(Fault::from)?;
        (requeued.left, requeued.omitted, requeued.unfit) = (open.len(), omitted, unfit);
        Ok(requeued)
    }

    /// Whether the component has the sinks of a route.
    fn fits(&self, route: Route) -> bool {
        match route {
            Route::All => true,
            Route::Archive => self.component().archive.is_some(),
            Route::Backup => self.component().backup.is_some(),
            Route::Publish => !self.component().publish.is_empty(),
        }
    }

    /// Whether a letter is of this component. Several may put theirs into one folder: then the topic tells.
    fn owns(&self, letter: &StoredLetter) -> bool {
        let folder = |component: &config::Pipeline| match &component.dead_letters {
            DeadLetters::Folder(folder) => Some(folder.clone()),
            DeadLetters::Topic { .. } => None,
        };
        let reads = |component: &config::Pipeline| match &component.source {
            Source::Kafka(kafka) => kafka.topics.contains(&letter.topic),
            Source::Files(_) => letter.topic == format!("{}.files", component.name),
            Source::Simulator(_) => letter.topic == format!("{}.simulated", component.name),
            Source::Letters(_) => false,
        };
        let mine = folder(self.component());
        let mut others = self.settings.components.iter().enumerate().filter(|(i, c)| *i != self.index && folder(c) == mine);
        others.clone().next().is_none() || (reads(self.component()) && !others.any(|(_, other)| reads(other)))
    }

    /// Runs the rounds of a plan, and says which letters are done: all sinks have made durable what became of them.
    fn run(&self, plan: &Plan) -> Result<(Requeued, HashSet<(usize, usize)>), PrepareError> {
        let mut requeued = Requeued { letters: plan.letters, ..Requeued::default() };
        let (mut done, seen) = (HashSet::new(), Arc::new(Mutex::new(BTreeSet::new())));
        for round in plan.rounds.iter().filter(|round| self.fits(round.route)) {
            if self.stop.asked() {
                break;
            }
            let mut pipeline = Pipeline::prepare(&self.settings_of(round), self.index, self.stop.clone(), self.pool.clone())?;
            pipeline.letters = Arc::new(Noted { inner: pipeline.letters.clone(), seen: seen.clone() });
            let summary = pipeline.run();
            let ledger = pipeline.ledger();
            for planned in &round.messages {
                let origin = TopicPartition { topic: planned.place.topic.clone(), partition: planned.place.partition };
                if ledger.watermark(&origin).is_some_and(|watermark| watermark > planned.place.offset) {
                    done.extend(&planned.letters);
                }
            }
            let finished = summary.outcome.end == End::Finished;
            requeued.runs.push(summary);
            if !finished {
                break;
            }
        }
        for (stage, ..) in seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *requeued.again.entry(*stage).or_default() += 1;
        }
        Ok((requeued, done))
    }

    /// The settings with the component made one that reads the letters of a round.
    fn settings_of(&self, round: &Round) -> Settings {
        let mut settings = self.settings.clone();
        let component = &mut settings.components[self.index];
        component.source = Source::Letters(LettersSource {
            component: std::mem::replace(&mut component.name, self.name.clone()),
            messages: round.messages.iter().map(|planned| planned.place.clone()).collect(),
        });
        // Letters have failed before: that they fail again is told at the end, and holds nothing.
        component.breaker.share = 1.0;
        match round.route {
            Route::All => {}
            Route::Archive => (component.publish, component.backup) = (Vec::new(), None),
            Route::Backup => (component.publish, component.archive) = (Vec::new(), None),
            Route::Publish => (component.archive, component.backup) = (None, None),
        }
        settings
    }
}

/// Letters of a topic on their way into containers.
struct Copy<'a> {
    folder: &'a Path,
    letters: Vec<StoredLetter>,
    bytes: usize,
    /// Partition and offset in the topic, of each letter in each container; the last one is being filled.
    places: Vec<Vec<(i32, i64)>>,
}

impl Copy<'_> {
    fn add(&mut self, letter: StoredLetter, place: (i32, i64)) -> Result<(), Fault> {
        self.bytes += letter.payload.as_ref().map_or(0, Vec::len);
        self.letters.push(letter);
        if let Some(places) = self.places.last_mut() {
            places.push(place);
        }
        if self.letters.len() >= CONTAINER.0 || self.bytes >= CONTAINER.1 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if !self.letters.is_empty() {
            // By name the containers come in the order in which they were made.
            let number = self.places.len();
            write(self.folder, |n| format!("{number:08}-{n}.avro"), &self.letters)?;
            self.letters.clear();
            self.bytes = 0;
            self.places.push(Vec::new());
        }
        Ok(())
    }
}
