//! What is made from a file and made anew when the file is another: who uses the old one finishes with it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::CatalogError;

/// How a file was last seen: when one of these is another, so is its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let about = std::fs::metadata(path).ok()?;
        let changed = (about.mtime(), about.mtime_nsec());
        Some(Stamp { device: about.dev(), inode: about.ino(), bytes: about.len(), changed })
    }
}

/// What [`Live::look`] found.
#[derive(Debug)]
pub enum Seen {
    /// The file is as it was, or is still changing.
    Same,
    /// The file was another, and what was made of it is in use.
    New,
    /// The file was another and cannot be used: what was made before stays.
    Bad(CatalogError),
}

type Make<T> = dyn Fn() -> Result<T, CatalogError> + Send + Sync;

/// Something made from a file (and the files that it leads to).
pub struct Live<T> {
    watched: Vec<PathBuf>,
    make: Box<Make<T>>,
    now: RwLock<Arc<T>>,
    looks: Mutex<Looks>,
}

/// What the last look has seen.
struct Looks {
    /// Of the files from which what is in use was made, or could not be made.
    settled: Vec<Option<Stamp>>,
    /// Of another state of the files: it has to be seen twice, for a file may be written in place.
    coming: Option<Vec<Option<Stamp>>>,
}

impl<T> std::fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl<T> Live<T> {
    /// Makes it; `watched` are the files whose change is a reason to make it again.
    ///
    /// # Errors
    /// What `make` says.
    pub fn new(
        watched: Vec<PathBuf>,
        make: impl Fn() -> Result<T, CatalogError> + Send + Sync + 'static,
    ) -> Result<Live<T>, CatalogError> {
        let settled = stamps(&watched);
        let now = RwLock::new(Arc::new(make()?));
        Ok(Live { watched, make: Box::new(make), now, looks: Mutex::new(Looks { settled, coming: None }) })
    }

    /// What is in use. It stays as it is as long as the caller keeps it.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        // A poisoned lock still guards a whole value: it is replaced, never changed.
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first of the files.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.watched.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Looks whether a file is another; makes it again when it is, and has been so at the look before. A file that is not there
    /// is no news: it may be on its way to another place.
    pub fn look(&self) -> Seen {
        let mut looks = self.looks();
        let now = stamps(&self.watched);
        if now == looks.settled || now.contains(&None) {
            looks.coming = None;
            return Seen::Same;
        }
        if looks.coming.as_ref() != Some(&now) {
            looks.coming = Some(now);
            return Seen::Same;
        }
        looks.coming = None;
        looks.settled = now;
        match (self.make)() {
            Ok(made) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                Seen::New
            }
            Err(error) => Seen::Bad(error),
        }
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        // Its state is whole after each statement.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}
