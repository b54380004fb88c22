//! The sums of a component on disk, by UTC day and partition, so that they outlast the process: `ledger-DAY.json` in its folder of
//! `service.data`, replaced as a whole every few seconds and at the end of a run.
//!
//! May depend on: `alert`, `durable`, `ledger`; serde. `skysluice ledger` reads what is written here.
//!
//! A day is the one on which batches were settled: made durable by every sink. A process that is killed takes with it what was
//! settled since the file was written last, [`EVERY`] at most; what it had settled and not committed is read again by the next one
//! and counts again, as read and as skipped where the archive has it. Sums balance all the same: they are taken of whole batches.
//!
//! **Invariant:** what one process has settled is added once, however often the file is written and whatever fails on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::alert::TopicPartition;
use crate::durable::{self, DurableError, Staged, Way};
use crate::ledger::{Ledger, Totals};

/// How often the file is written while something is settled.
pub const EVERY: Duration = Duration::from_secs(5);

const STAGED: &str = ".ledger.json.part";

/// Sums of a partition on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSums {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The sums, as [`Totals`] has them.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Sums that can be added; the fields are those of [`Totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Messages settled.
    pub messages: u64,
    /// Alerts in them.
    pub alerts: u64,
    /// Rows archived.
    pub archived: u64,
    /// Rows not archived on purpose.
    pub skipped: u64,
    /// Dead letters.
    pub dead: u64,
    /// Messages that were gone before they were read.
    pub expired: u64,
    /// Alerts that the ledger could not account for.
    pub imbalance: u64,
}

impl Sums {
    /// Adds others.
    pub fn add(&mut self, other: &Sums) {
        self.messages += other.messages;
        self.alerts += other.alerts;
        self.archived += other.archived;
        self.skipped += other.skipped;
        self.dead += other.dead;
        self.expired += other.expired;
        self.imbalance += other.imbalance;
    }

    /// Whether every alert is accounted for: in = archived + skipped + dead-lettered.
    #[must_use]
    pub fn are_balanced(&self) -> bool {
        self.imbalance == 0 && self.alerts == self.archived + self.skipped + self.dead
    }

    /// What came to a ledger's sums since they were `before`. They only grow.
    fn since(now: &Totals, before: &Totals) -> Sums {
        Sums {
            messages: now.messages - before.messages,
            alerts: now.alerts - before.alerts,
            archived: now.archived - before.archived,
            skipped: now.skipped - before.skipped,
            dead: now.dead - before.dead,
            expired: now.expired - before.expired,
            imbalance: now.imbalance - before.imbalance,
        }
    }
}

/// The sums of one day: the content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// By topic and partition.
    pub partitions: Vec<PartitionSums>,
    /// Messages sent to each output.
    #[serde(default)]
    pub published: BTreeMap<String, u64>,
}

impl Day {
    fn add(&mut self, origin: &TopicPartition, sums: &Sums) {
        let place =
            self.partitions.binary_search_by(|p| (p.topic.as_str(), p.partition).cmp(&(&*origin.topic, origin.partition)));
        let at = place.unwrap_or_else(|at| {
            let new = PartitionSums { topic: origin.topic.to_string(), partition: origin.partition, sums: Sums::default() };
            self.partitions.insert(at, new);
            at
        });
        self.partitions[at].sums.add(sums);
    }
}

/// The sums on disk can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SumsError {
    /// The disk.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// It can't be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Someone else wrote into it.
    #[error("{} does not hold the sums of a day: {source}; remove it, or restore it", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

fn path_of(folder: &Path, day: NaiveDate) -> PathBuf {
    folder.join(format!("ledger-{day}.json"))
}

/// The sums of a day that a component has in its folder; none where there is no file.
///
/// # Errors
/// When there is a file that can't be read or is none of sums.
pub fn read(folder: &Path, day: NaiveDate) -> Result<Option<Day>, SumsError> {
    let path = path_of(folder, day);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SumsError::File { what: "read", path, source }),
    };
    serde_json::from_str(&text).map(Some).map_err(|source| SumsError::Json { path, source })
}

/// The days that a component has sums of in its folder, ascending.
///
/// # Errors
/// When the folder can't be read.
pub fn days(folder: &Path) -> Result<Vec<NaiveDate>, SumsError> {
    let wrong = |source| SumsError::File { what: "list", path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(wrong(source)),
    };
    let mut days = Vec::new();
    for entry in entries {
        let name = entry.map_err(wrong)?.file_name();
        let day = name.to_str().and_then(|name| name.strip_prefix("ledger-")?.strip_suffix(".json")?.parse::<NaiveDate>().ok());
        days.extend(day);
    }
    days.sort();
    Ok(days)
}

/// What a process has added to the files so far.
struct Written {
    folder: PathBuf,
    partitions: BTreeMap<TopicPartition, Totals>,
    published: BTreeMap<String, u64>,
}

impl Written {
    /// Adds what is new to the file of the day.
    fn fold(
        &mut self,
        day: NaiveDate,
        now: BTreeMap<TopicPartition, Totals>,
        published: BTreeMap<String, u64>,
    ) -> Result<(), SumsError> {
        if now == self.partitions && published == self.published {
            return Ok(());
        }
        let mut sums = match read(&self.folder, day) {
            Err(SumsError::Json { path, source }) => {
                let aside = path.with_extension("json.broken");
                tracing::warn!(path = %path.display(), %source, "these are no sums of a day; put aside as {}", aside.display());
                fs::rename(&path, aside).map_err(|source| SumsError::File { what: "put aside", path, source })?;
                Day::default()
            }
            found => found?.unwrap_or_default(),
        };
        for (origin, totals) in &now {
            let before = self.partitions.get(origin).copied().unwrap_or_default();
            if *totals != before {
                sums.add(origin, &Sums::since(totals, &before));
            }
        }
        for (topic, count) in &published {
            let news = count - self.published.get(topic).unwrap_or(&0);
            *sums.published.entry(topic.clone()).or_insert(0) += news;
        }
        self.write(day, &sums)?;
        (self.partitions, self.published) = (now, published);
        Ok(())
    }

    fn write(&self, day: NaiveDate, sums: &Day) -> Result<(), SumsError> {
        let path = path_of(&self.folder, day);
        let text = serde_json::to_string_pretty(sums).map_err(|source| SumsError::Json { path: path.clone(), source })?;
        durable::create_folders(&self.folder)?;
        let mut staged = Staged::create(&self.folder, STAGED, Way::Cached)?;
        let wrong = |source| SumsError::File { what: "write", path: path.clone(), source };
        staged.write_all(text.as_bytes()).and_then(|()| staged.write_all(b"\n")).map_err(wrong)?;
        Ok(staged.replace(&path)?)
    }
}

/// Writes the sums of a run until it is dropped, and once more then.
pub struct Keeper {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins to write the sums of a ledger into `folder`. `published` tells the messages sent to each output so far.
    pub fn start(
        component: &str,
        folder: &Path,
        ledger: Ledger,
        published: impl Fn() -> BTreeMap<String, u64> + Send + 'static,
    ) -> Keeper {
        let done = Arc::new(AtomicBool::new(false));
        let (ended, component) = (done.clone(), component.to_owned());
        let mut written = Written { folder: folder.to_path_buf(), partitions: BTreeMap::new(), published: BTreeMap::new() };
        let work = move || {
            let mut failing = false;
            loop {
                let last = ended.load(Ordering::Acquire);
                let today = DateTime::<Utc>::from(SystemTime::now()).date_naive();
                match written.fold(today, ledger.partitions(), published()) {
                    Ok(()) => failing = false,
                    // Said once: the disk may be full for hours. What is not written now is with the next time.
                    Err(error) if !std::mem::replace(&mut failing, true) => {
                        tracing::error!(component, %error, "the sums of the ledger can't be stored; trying again");
                    }
                    Err(_) => {}
                }
                if last {
                    return;
                }
                std::thread::park_timeout(EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("sums".into()).spawn(work);
        if let Err(error) = &thread {
            tracing::error!(%error, "no thread for the sums of the ledger: they are not stored in this run");
        }
        Keeper { done, thread: thread.ok() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in it must not hide the run's result.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn totals(alerts: u64, dead: u64) -> Totals {
        Totals { messages: alerts, alerts, archived: alerts - dead, dead, ..Totals::default() }
    }

    fn all(partition: i32, totals: Totals) -> BTreeMap<TopicPartition, Totals> {
        [(TopicPartition { topic: "t".into(), partition }, totals)].into()
    }

    fn written(folder: &Path) -> Written {
        Written { folder: folder.to_path_buf(), partitions: BTreeMap::new(), published: BTreeMap::new() }
    }

    #[test]
    fn sums_are_added_once_each_to_their_day_and_outlast_the_process() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("ztf");
        let (first, second) = (day("2026-11-20"), day("2026-11-21"));
        let out = |n: u64| BTreeMap::from([("out".to_owned(), n)]);
        let mut process = written(&folder);
        process.fold(first, all(0, totals(10, 1)), out(9)).unwrap();
        process.fold(first, all(0, totals(10, 1)), out(9)).unwrap();
        process.fold(first, all(0, totals(15, 1)), out(14)).unwrap();
        process.fold(second, all(0, totals(18, 2)), out(16)).unwrap();
        // Another process counts from nothing.
        let mut process = written(&folder);
        process.fold(second, all(1, totals(5, 0)), out(5)).unwrap();
        assert_eq!(days(&folder).unwrap(), [first, second]);
        let of = |day, partition: usize| read(&folder, day).unwrap().unwrap().partitions[partition].sums;
        assert_eq!((of(first, 0).alerts, of(first, 0).archived, of(first, 0).dead), (15, 14, 1));
        assert_eq!((of(second, 0).alerts, of(second, 1).alerts), (3, 5));
        assert!(of(first, 0).are_balanced() && of(second, 0).are_balanced());
        assert_eq!(read(&folder, first).unwrap().unwrap().published["out"], 14);
        assert_eq!(read(&folder, second).unwrap().unwrap().published["out"], 2 + 5);
    }

    #[test]
    fn a_write_that_fails_is_made_up_for_and_what_is_no_sums_is_put_aside() {
        let home = tempfile::tempdir().unwrap();
        let (folder, today) = (home.path().join("ztf"), day("2026-11-20"));
        fs::write(&folder, "a file in place of the folder").unwrap();
        let mut process = written(&folder);
        assert!(process.fold(today, all(0, totals(10, 1)), BTreeMap::new()).is_err());
        fs::remove_file(&folder).unwrap();
        process.fold(today, all(0, totals(12, 1)), BTreeMap::new()).unwrap();
        assert_eq!(read(&folder, today).unwrap().unwrap().partitions[0].sums.alerts, 12);
        fs::write(path_of(&folder, today), "{").unwrap();
        assert!(read(&folder, today).unwrap_err().to_string().contains("ledger-2026-11-20.json does not hold"));
        process.fold(today, all(0, totals(15, 1)), BTreeMap::new()).unwrap();
        assert_eq!(read(&folder, today).unwrap().unwrap().partitions[0].sums.alerts, 3);
        assert_eq!(fs::read_to_string(folder.join("ledger-2026-11-20.json.broken")).unwrap(), "{");
        assert_eq!(days(&folder).unwrap(), [today]);
    }

    #[test]
    fn a_keeper_writes_the_last_sums_when_it_is_dropped() {
        use crate::alert::{Span, Token};
        use crate::ledger::{Handled, SinkId};
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::default();
        ledger.start_generation(1, &[SinkId(0)]);
        let keeper = Keeper::start("ztf", home.path(), ledger.clone(), BTreeMap::new);
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 3 });
        let token = Token { origin, span: Span { start: 0, end: 4 }, generation: 1 };
        ledger.begin(&token, 4);
        ledger.decoded(&token, 4);
        ledger.acknowledge(SinkId(0), &token, Handled { archived: 3, skipped: 1, dead: 0 });
        drop(keeper);
        let [today] = days(home.path()).unwrap()[..] else { panic!("one day") };
        let found = read(home.path(), today).unwrap().unwrap();
        let sums = Sums { messages: 4, alerts: 4, archived: 3, skipped: 1, ..Sums::default() };
        assert_eq!(found.partitions, [PartitionSums { topic: "t".into(), partition: 3, sums }]);
    }
}
