//! A reader beside the killed program: opens every file of the archive as soon as it is seen, reads its footer and all its rows' ids, and
//! looks whether what was seen once stays as it is.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Error;
use crate::files;
use crate::judge::ids;

/// Between two looks at the archive.
const LOOK: Duration = Duration::from_millis(50);

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// What the reader saw.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// With the checksum of each.
    seen: BTreeMap<PathBuf, (Look, Option<u32>)>,
    /// Rows of all files.
    pub(super) rows: u64,
    /// Times that it looked.
    pub(super) looks: u64,
    /// Files that could not be read when they were first seen, and why.
    pub(super) unreadable: Vec<String>,
    /// Files that were changed after they were seen, or are gone.
    pub(super) changed: Vec<String>,
}

impl Watched {
    /// Files that were seen.
    pub(super) fn files(&self) -> usize {
        self.seen.len()
    }

    fn look(&mut self, root: &Path, column: &str) -> Result<(), Error> {
        self.looks += 1;
        let found = files::below(root, "parquet")?;
        for path in &found {
            let metadata = match std::fs::metadata(path) {
                Ok(metadata) => Look::of(&metadata),
                // Told below, as it was in the list.
                Err(_) => continue,
            };
            match self.seen.get_mut(path) {
                Some((before, _)) if *before != metadata => {
                    self.changed.push(format!("{}: {before:?}, then {metadata:?}", path.display()));
                    *before = metadata;
                }
                Some(_) => {}
                None => {
                    let sum = checksum(path).map_err(|error| error.to_string());
                    match ids(path, column).and_then(|rows| sum.clone().map(|_| rows)) {
                        Ok(rows) => self.rows += rows,
                        Err(problem) => self.unreadable.push(format!("{}: {problem}", path.display())),
                    }
                    self.seen.insert(path.clone(), (metadata, sum.ok()));
                }
            }
        }
        if found.len() < self.seen.len() {
            let gone: Vec<PathBuf> = self.seen.keys().filter(|path| found.binary_search(path).is_err()).cloned().collect();
            for path in gone {
                self.seen.remove(&path);
                self.changed.push(format!("{} is gone", path.display()));
            }
        }
        Ok(())
    }

    /// Reads every file once more: it has the bytes that it had when it was first seen.
    fn close(&mut self) {
        for (path, (_, before)) in &self.seen {
            if checksum(path).ok() != *before {
                self.changed.push(format!("{} has other bytes than when it was first seen", path.display()));
            }
        }
    }
}

/// Watches an archive, the ids of which are in `column`, until it is told to stop. `files` is kept at the number seen.
pub(super) fn watch(root: &Path, column: &str, stop: &AtomicBool, seen: &AtomicU64) -> Result<Watched, Error> {
    let mut watched = Watched::default();
    loop {
        // What appeared before it was told to stop is looked at too.
        let last = stop.load(Ordering::Acquire);
        let start = Instant::now();
        watched.look(root, column)?;
        seen.store(watched.files() as u64, Ordering::Relaxed);
        if last {
            watched.close();
            return Ok(watched);
        }
        std::thread::sleep(LOOK.saturating_sub(start.elapsed()));
    }
}

fn checksum(path: &Path) -> std::io::Result<u32> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, crc32fast::Hasher::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::bench::oracle::tests::write;

    #[test]
    fn what_is_torn_changed_or_gone_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("archive");
        let message = "message m { optional int64 candid; }";
        let (a, b, c) = (root.join("year=2026/a.parquet"), root.join("b.parquet"), root.join("c.parquet"));
        let mut watched = Watched::default();
        watched.look(&root, "candid").unwrap();
        write(&a, message, &[&[1, 2], &[3]]);
        write(&b, message, &[&[4]]);
        write(&c, message, &[&[5]]);
        watched.look(&root, "candid").unwrap();
        watched.look(&root, "candid").unwrap();
        watched.close();
        assert_eq!((watched.files(), watched.rows, watched.looks), (3, 5, 3));
        assert!(watched.unreadable.is_empty() && watched.changed.is_empty(), "{watched:?}");

        std::fs::write(root.join("torn.parquet"), b"PAR1").unwrap();
        write(&b, message, &[&[4, 4]]);
        std::fs::remove_file(&c).unwrap();
        // One byte, and the time set back: only the bytes tell.
        let mut bytes = std::fs::read(&a).unwrap();
        let modified = std::fs::metadata(&a).unwrap().modified().unwrap();
        bytes[10] ^= 1;
        std::fs::write(&a, bytes).unwrap();
        File::options().write(true).open(&a).unwrap().set_modified(modified).unwrap();
        watched.look(&root, "candid").unwrap();
        watched.close();
        assert!(watched.unreadable.len() == 1 && watched.unreadable[0].contains("torn.parquet"), "{watched:?}");
        let told = watched.changed.join("\n");
        assert!(
            told.contains("b.parquet") && told.contains("c.parquet is gone") && told.contains("a.parquet has other"),
            "{told}"
        );
    }
}
