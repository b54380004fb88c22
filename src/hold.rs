//! The hold on a component whose stream fails too often: counted by the ledger's breaker, kept in `breaker.json` in the
//! component's folder of `service.data`, so that a restart does not go on as if nothing had been.
//!
//! May depend on: `alert`, `durable`, `ledger`; serde. Its file is written here alone; `skysluice breaker` reads and removes it.
//!
//! **Invariant:** a hold that is not in its file yet does not end by itself: the file is written again and again until it is.
//! **Invariant:** a held stream loses nothing: reading stands still, and goes on where it stood.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::alert::{DeadLetter, Fault};
use crate::durable::{self, DurableError, Staged, Way};
use crate::ledger::{Breaker, Trip};

const FILE: &str = "breaker.json";
const UNFINISHED: &str = ".breaker.json.part";

/// How often a held component looks whether its file was removed.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of a hold: the content of its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it began, UTC, RFC 3339.
    pub since: String,
    /// Alerts that had failed of the last `alerts`.
    pub failed: u64,
    /// Alerts in the window.
    pub alerts: u64,
    /// The stage of the commonest reason.
    pub stage: String,
    /// An example of the commonest reason.
    pub reason: String,
    /// How often it came.
    pub times: u64,
    /// Fingerprint of the configuration that was running: with another one the component goes on.
    pub configuration: String,
}

impl Record {
    fn new(trip: Trip, configuration: &str) -> Self {
        let since = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Secs, true);
        let Trip { failed, alerts, stage, reason, times } = trip;
        Self { since, failed, alerts, stage: stage.to_owned(), reason, times, configuration: configuration.to_owned() }
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { since, failed, alerts, stage, reason, times, .. } = self;
        write!(
            f,
            "held since {since}: {failed} of the last {alerts} alerts failed, {times} of them in {stage} like this: {reason}"
        )
    }
}

/// The file of a hold can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The disk.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// It can't be read or removed.
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
    #[error("{} is not the record of a hold: {source}; remove it to let the component go on", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl From<HoldError> for Fault {
    fn from(error: HoldError) -> Fault {
        Fault::environment(error.to_string())
    }
}

/// The hold of the component that keeps its state in `folder`, if it is held.
///
/// # Errors
/// When there is a file that can't be read or is no record.
pub fn read(folder: &Path) -> Result<Option<Record>, HoldError> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HoldError::File { what: "read", path, source }),
    };
    serde_json::from_str(&text).map(Some).map_err(|source| HoldError::Json { path, source })
}

/// Ends the hold of the component that keeps its state in `folder`. Says whether there was one.
///
/// # Errors
/// When the file can't be removed.
pub fn release(folder: &Path) -> Result<bool, HoldError> {
    let path = folder.join(FILE);
    match fs::remove_file(&path) {
        Ok(()) => {
            durable::sync_folder(folder)?;
            Ok(true)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(HoldError::File { what: "remove", path, source }),
    }
}

/// The breaker of a component with its hold. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Hold {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    component: String,
    folder: PathBuf,
    configuration: String,
    /// What is to be done about a hold.
    advice: String,
    held: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    record: Option<Record>,
    /// Whether the record is in its file.
    stored: bool,
    looked: Instant,
}

/// Whose hold it is.
#[derive(Clone, Debug)]
pub struct HoldContext {
    /// Name of the component.
    pub component: String,
    /// Where it keeps its state.
    pub folder: PathBuf,
    /// Fingerprint of the configuration.
    pub configuration: String,
    /// The configuration's file.
    pub file: PathBuf,
}

impl Hold {
    /// Takes up a hold of an earlier run with the same configuration. One of another configuration ends here.
    ///
    /// # Errors
    /// As [`read`] and [`release`].
    pub fn open(breaker: Breaker, context: HoldContext) -> Result<Hold, HoldError> {
        let HoldContext { component, folder, configuration, file } = context;
        let advice = format!(
            "nothing is read and nothing is lost: see its dead letters, then correct the configuration and start again, or let it \
             go on as it is with `skysluice breaker reset {} --component {component}`",
            file.display()
        );
        let mut record = read(&folder)?;
        if record.as_ref().is_some_and(|record| record.configuration != configuration) {
            release(&folder)?;
            tracing::info!(component, "goes on: the configuration is another than the one that was {}", told(&record));
            record = None;
        }
        if record.is_some() {
            tracing::error!(component, "the breaker holds the stream, {}; {advice}", told(&record));
        }
        let held = AtomicBool::new(record.is_some());
        let state = Mutex::new(State { breaker, record, stored: true, looked: Instant::now() });
        Ok(Hold { shared: Arc::new(Shared { component, folder, configuration, advice, held, state }) })
    }

    /// Counts alerts that were decoded (none where they are counted already) and those of them that became dead letters.
    pub fn count<'a>(&self, alerts: usize, letters: impl Iterator<Item = &'a DeadLetter>) {
        if self.shared.held.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        let Some(trip) = state.breaker.count(alerts as u64, letters.map(|l| (l.stage, l.reason.as_str()))) else { return };
        state.record = Some(Record::new(trip, &self.shared.configuration));
        state.stored = false;
        self.shared.held.store(true, Ordering::Release);
        let Shared { component, advice, .. } = &*self.shared;
        tracing::error!(component, "the breaker holds the stream, {}; {advice}", told(&state.record));
        self.store(&mut state);
    }

    /// Whether the stream stands still. Looks now and then whether the hold has been ended from outside.
    #[must_use]
    pub fn is_held(&self) -> bool {
        if !self.shared.held.load(Ordering::Acquire) {
            return false;
        }
        let mut state = self.state();
        if state.looked.elapsed() < LOOK {
            return true;
        }
        state.looked = Instant::now();
        if !state.stored {
            self.store(&mut state);
            return true;
        }
        // A folder that can't be looked into says nothing.
        if !matches!(fs::exists(self.shared.folder.join(FILE)), Ok(false)) {
            return true;
        }
        state.record = None;
        state.breaker.clear();
        self.shared.held.store(false, Ordering::Release);
        tracing::info!(component = self.shared.component, "the breaker was reset: the stream goes on where it stood");
        false
    }

    /// Why the stream stands still and what to do about it, if it does.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        let state = self.state();
        state.record.as_ref().map(|record| format!("{record}; {}", self.shared.advice))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A record is made before it is put in its place: a poisoned lock holds a good state.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, state: &mut State) {
        let Some(record) = &state.record else { return };
        state.looked = Instant::now();
        match write(&self.shared.folder, record) {
            Ok(()) => state.stored = true,
            Err(error) => {
                let component = &self.shared.component;
                tracing::error!(component, %error, "the hold can't be stored, so a restart would end it; trying again");
            }
        }
    }
}

fn told(record: &Option<Record>) -> String {
    record.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn write(folder: &Path, record: &Record) -> Result<(), HoldError> {
    let path = || folder.join(FILE);
    let text = serde_json::to_string_pretty(record).map_err(|source| HoldError::Json { path: path(), source })?;
    durable::create_folders(folder)?;
    let mut staged = Staged::create(folder, UNFINISHED, Way::Cached)?;
    let wrong = |source| HoldError::File { what: "write", path: path(), source };
    staged.write_all(text.as_bytes()).and_then(|()| staged.write_all(b"\n")).map_err(wrong)?;
    // A record that is there already holds as well as this one.
    staged.publish_as(folder, FILE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::alert::TopicPartition;

    fn hold(folder: &Path, configuration: &str) -> Hold {
        let context = HoldContext {
            component: "ztf".into(),
            folder: folder.join("ztf"),
            configuration: configuration.into(),
            file: "night.yaml".into(),
        };
        Hold::open(Breaker::new(0.5, 10), context).unwrap()
    }

    fn letters(count: i64) -> Vec<DeadLetter> {
        let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
        let letter = |offset| DeadLetter {
            origin: origin.clone(),
            offset,
            record: None,
            timestamp: None,
            key: None,
            headers: Vec::new(),
            payload: None,
            stage: "decode",
            reason: format!("no schema {offset}"),
        };
        (0..count).map(letter).collect()
    }

    fn until_released(hold: &Hold) {
        let end = Instant::now() + Duration::from_secs(30);
        while hold.is_held() {
            assert!(Instant::now() < end, "the hold does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_hold_outlasts_the_process_and_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let first = hold(folder.path(), "a");
        first.count(10, letters(5).iter());
        assert!(!first.is_held() && first.told().is_none());
        first.count(10, letters(6).iter());
        assert!(first.is_held());
        let record = read(&folder.path().join("ztf")).unwrap().unwrap();
        assert_eq!((record.failed, record.alerts, record.times, &*record.configuration), (6, 10, 6, "a"));
        assert!(DateTime::parse_from_rfc3339(&record.since).is_ok(), "{record:?}");
        let again = hold(folder.path(), "a");
        assert!(again.is_held());
        let told = again.told().unwrap();
        for part in ["6 of the last 10", "no schema 0", "skysluice breaker reset night.yaml --component ztf"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn another_configuration_ends_a_hold() {
        let folder = tempfile::tempdir().unwrap();
        hold(folder.path(), "a").count(10, letters(10).iter());
        assert!(!hold(folder.path(), "b").is_held());
        assert!(!hold(folder.path(), "a").is_held(), "it was ended for good");
    }

    #[test]
    fn a_running_component_goes_on_when_its_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let hold = hold(folder.path(), "a");
        hold.count(10, letters(10).iter());
        assert!(hold.is_held());
        assert!(release(&folder.path().join("ztf")).unwrap());
        assert!(!release(&folder.path().join("ztf")).unwrap());
        until_released(&hold);
        hold.count(10, letters(5).iter());
        assert!(!hold.is_held(), "what was counted before the reset is forgotten");
        hold.count(10, letters(6).iter());
        assert!(hold.is_held() && read(&folder.path().join("ztf")).unwrap().is_some());
    }

    #[test]
    fn a_hold_that_can_not_be_stored_holds_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("ztf");
        fs::write(&blocked, "a file in place of the folder").unwrap();
        let hold = {
            let context = HoldContext {
                component: "ztf".into(),
                folder: folder.path().join("ztf/state"),
                configuration: "a".into(),
                file: "night.yaml".into(),
            };
            Hold::open(Breaker::new(0.5, 10), context)
        };
        // The folder can't even be looked into: that is said before anything runs.
        assert!(hold.is_err());
        fs::remove_file(&blocked).unwrap();
        let hold = self::hold(folder.path(), "a");
        fs::write(&blocked, "a file in place of the folder").unwrap();
        hold.count(10, letters(10).iter());
        let end = Instant::now() + LOOK + Duration::from_millis(500);
        while Instant::now() < end {
            assert!(hold.is_held());
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::remove_file(&blocked).unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while read(&blocked).unwrap().is_none() {
            assert!(hold.is_held() && Instant::now() < end, "the record was not stored in the end");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(hold.is_held());
    }

    #[test]
    fn a_file_of_someone_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{}").unwrap();
        let said = read(folder.path()).unwrap_err().to_string();
        assert!(said.contains(FILE) && said.contains("remove it"), "{said}");
    }
}
