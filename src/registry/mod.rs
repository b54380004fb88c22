//! Schemas from a registry with Confluent's interface: asked once for each id, kept on disk, and told to the source, which
//! holds a partition back as long as the schema of its next message is not at hand.
//!
//! May depend on: `alert`, `avro`, `config`, `durable`; ureq (here alone). Below the stages: it knows none of them.
//!
//! The `book` says what is known of each id and which partition waits for which (pure); one thread looks ids up in the
//! `cache` on disk and asks the registry by the `client`.
//!
//! **Invariant:** a message whose id could not be asked for (registry away, credentials refused) waits, however long.
//! **Invariant:** an id is asked for by one call at a time, whoever waits for it; what was found is never asked for again.

mod book;
mod cache;
mod client;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use self::book::{Admitted, Book, Next, Notice};
use self::cache::Cache;
use self::client::{Answer, Client};
use crate::alert::{Admission, Gate, SchemasById, TopicPartition};
use crate::config;

pub use self::book::{Hold, Why};

/// A registry that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file of certificates.
    #[error("decode.registry.ca: {path}: {reason}; it has to hold certificates in PEM")]
    Authority {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No thread can be had.
    #[error("no thread to ask the registry: {0}; see the limit on tasks")]
    Thread(#[from] std::io::Error),
}

/// Checks what can be checked without asking the registry.
///
/// # Errors
/// As [`Registry::start`].
pub fn check(settings: &config::Registry) -> Result<(), RegistryError> {
    Client::open(settings).map(drop)
}

/// A registry and what is known of its schemas.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
}

/// What the asking thread shares with those who wait.
#[derive(Debug)]
struct Shared {
    component: String,
    /// Ids whose schemas come from elsewhere.
    known: BTreeSet<u32>,
    url: String,
    client: Client,
    cache: Cache,
    book: Mutex<Book>,
    bell: Condvar,
    ended: AtomicBool,
}

impl Registry {
    /// A registry for one component, that is never asked for the ids that are `known`. What it tells is kept below `data`.
    /// Nothing is asked before someone waits.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub fn start(settings: &config::Registry, component: &str, known: BTreeSet<u32>, data: &Path) -> Result<Self, RegistryError> {
        let shared = Arc::new(Shared {
            component: component.to_owned(),
            known,
            url: settings.url.clone(),
            client: Client::open(settings)?,
            cache: Cache::new(data, &settings.url),
            book: Mutex::new(Book::new(settings.unknown)),
            bell: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let asking = shared.clone();
        thread::Builder::new().name(format!("registry-{component}")).spawn(move || asking.run())?;
        Ok(Self { shared })
    }

    /// The partitions that wait, and for what.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.shared.book().holds()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The thread may be in the middle of a call: it is not waited for, and ends with it.
        self.shared.ended.store(true, Ordering::Release);
        let _book = self.shared.book();
        self.shared.bell.notify_all();
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // The book's methods leave it whole at every point where they could panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the asking thread.
    fn run(&self) {
        let mut book = self.book();
        while !self.ended.load(Ordering::Acquire) {
            let now = Instant::now();
            book = match book.next(now) {
                Next::Look(id) => {
                    drop(book);
                    let found = self.cache.get(id);
                    let mut book = self.book();
                    book.looked(id, found, Instant::now());
                    book
                }
                Next::Ask(id) => {
                    drop(book);
                    let answer = self.ask(id);
                    let mut book = self.book();
                    book.answer(id, answer, Instant::now());
                    book
                }
                Next::At(time) => {
                    let wait = time.saturating_duration_since(now);
                    self.bell.wait_timeout(book, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Never => self.bell.wait(book).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn ask(&self, id: u32) -> Answer {
        // Everything that waits would wait for ever if this thread ended.
        let answer = catch_unwind(AssertUnwindSafe(|| self.client.schema(id)));
        let answer = answer.unwrap_or_else(|_| Answer::Away("the HTTP client panicked; please report this".to_owned()));
        if let Answer::Found(json) = &answer {
            tracing::info!(component = self.component, id, registry = self.url, "a schema came from the registry");
            self.cache.put(id, json);
        }
        answer
    }

    fn say(&self, origin: &TopicPartition, id: u32, notice: Notice) {
        let (component, registry) = (self.component.as_str(), self.url.as_str());
        match notice {
            Notice::Waits(why) => {
                tracing::warn!(component, partition = %origin, id, registry, %why, "the partition waits for a schema; the others go on");
            }
            Notice::GoesOn { after } => {
                tracing::info!(component, partition = %origin, id, ?after, "the schema has come; the partition goes on");
            }
            Notice::GaveUp { after } => {
                tracing::warn!(
                    component, partition = %origin, id, registry, ?after,
                    "the registry does not know the schema; messages with it become dead letters, the partition goes on"
                );
            }
        }
    }
}

impl Gate for Registry {
    fn admit(&self, origin: &Arc<TopicPartition>, id: u32) -> Admission {
        let shared = &*self.shared;
        if shared.known.contains(&id) {
            // A partition that waited for another id before can't be here: it has one message in hand, which it asks for.
            return Admission::Always;
        }
        let mut book = shared.book();
        let Admitted { admission, notice, new } = book.admit(origin, id, Instant::now());
        drop(book);
        if new {
            shared.bell.notify_all();
        }
        if let Some(notice) = notice {
            shared.say(origin, id, notice);
        }
        admission
    }

    fn leave(&self, origin: &TopicPartition) {
        self.shared.book().leave(origin);
    }
}

impl SchemasById for Registry {
    fn schema(&self, id: u32) -> Result<Arc<str>, String> {
        self.shared.book().schema(id).map_err(|why| format!("{why} (registry {})", self.shared.url))
    }
}

#[cfg(test)]
mod tests;
