//! Files that are whole and durable, or not there at all.
//!
//! A file is written under a staging name, synced, given its real name in one step that never replaces another file, and
//! the folder is synced. May depend on: `alert` (faults). Shared by everything that keeps alerts on disk.
//!
//! **Invariant:** a name that [`Staged::publish`] has returned is durable, and no reader ever sees less than the whole file
//! under it.
//! **Invariant:** a [`Staged`] that is dropped unpublished leaves nothing behind.

mod output;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, RenameFlags};
use rustix::io::{Errno, retry_on_intr};
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::Fault;
use output::Output;
pub use output::Way;

/// Names tried before a publication gives up: each is taken by another file.
const NAMES_TRIED: u32 = 10_000;
/// Bytes that a disk is tried with.
const TRIAL: usize = 1 << 20;

/// Something about a file or folder did not work.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}; {}", path.display(), advice(source))]
pub struct DurableError {
    /// What was tried, such as `sync`.
    pub doing: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it did not work.
    pub source: io::Error,
}

impl DurableError {
    fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
        let path = path.to_path_buf();
        move |source| DurableError { doing, path, source }
    }
}

impl From<DurableError> for Fault {
    fn from(error: DurableError) -> Fault {
        Fault::environment(error.to_string())
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space there, then it goes on by itself",
        ErrorKind::PermissionDenied => "let the user of this process write there",
        ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        ErrorKind::CrossesDevices => "staging and archive must be on one mounted file system",
        ErrorKind::NotADirectory => "a file is in the place of a folder: move it away",
        ErrorKind::WouldBlock => "another process works there: stop it, or give each its own folder",
        _ => "see the system's log for the state of the disk",
    }
}

/// A file being written under a staging name.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    out: Output,
    written: u64,
    start: Vec<u8>,
    published: bool,
}

impl Staged {
    /// Starts the file `name` in the folder `staging`; what an earlier process left under that name is overwritten.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn create(staging: &Path, name: &str, way: Way) -> Result<Staged, DurableError> {
        let path = staging.join(name);
        let out = Output::create(&path, way).map_err(DurableError::at("create", &path))?;
        Ok(Staged { path, out, written: 0, start: Vec::new(), published: false })
    }

    /// Where the file is until it is published.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Lets the file begin with these bytes, in place of as many that were written, when it is published: for what is known
    /// last and has to stand first.
    pub fn begin_with(&mut self, start: Vec<u8>) {
        debug_assert!(start.len() as u64 <= self.written);
        self.start = start;
    }

    /// Makes the file durable under the first of the names `name(0)`, `name(1)`, ... that no file in `folder` has. The
    /// folder is created where it is missing.
    ///
    /// # Errors
    /// When a write, a sync or the rename fails. Where only the last sync fails, the file may be visible already, whole:
    /// whoever finds it later calls [`sync_up_to`] before relying on it.
    pub fn publish(mut self, folder: &Path, name: impl Fn(u32) -> String) -> Result<PathBuf, DurableError> {
        self.complete(folder)?;
        for n in 0..NAMES_TRIED {
            let target = folder.join(name(n));
            if self.named(folder, &target)? {
                return Ok(target);
            }
        }
        let target = folder.join(name(NAMES_TRIED));
        Err(DurableError::at("find a free name for", &target)(ErrorKind::AlreadyExists.into()))
    }

    /// Makes the file durable under this name, or gives it up where another file has the name. Returns whether it was free.
    ///
    /// # Errors
    /// As [`Staged::publish`].
    pub fn publish_as(mut self, folder: &Path, name: &str) -> Result<bool, DurableError> {
        self.complete(folder)?;
        self.named(folder, &folder.join(name))
    }

    /// Makes the file durable in the place of `target`, in the same folder as it was staged in: a reader, and a crash, meets the
    /// one or the other.
    ///
    /// # Errors
    /// As [`Staged::publish`].
    pub fn replace(mut self, target: &Path) -> Result<(), DurableError> {
        let folder = target.parent().unwrap_or(Path::new("."));
        self.complete(folder)?;
        fs::rename(&self.path, target).map_err(DurableError::at("replace", target))?;
        self.published = true;
        sync_folder(folder)
    }

    fn complete(&mut self, folder: &Path) -> Result<(), DurableError> {
        self.out.finish(std::mem::take(&mut self.start)).map_err(DurableError::at("write", &self.path))?;
        create_folders(folder)
    }

    fn named(&mut self, folder: &Path, target: &Path) -> Result<bool, DurableError> {
        match rename_new(&self.path, target) {
            Ok(()) => {
                self.published = true;
                sync_folder(folder)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(DurableError::at("publish", target)(error)),
        }
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a staging file stays behind until the next start");
        }
    }
}

/// Gives a file another name, unless that name is taken.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match retry_on_intr(|| rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)) {
        // NFS and some others know no such rename; a second link refuses a taken name just as well.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            if let Err(error) = fs::remove_file(from) {
                tracing::warn!(path = %from.display(), %error, "a staging file stays behind until the next start");
            }
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Moves a file, durably, to the first of the names `name(0)`, `name(1)`, ... that no file in `folder` has. The folder is created
/// where it is missing; it must be on the same file system.
///
/// # Errors
/// When the file can't be moved, or a folder can't be made or synced.
pub fn move_file(path: &Path, folder: &Path, name: impl Fn(u32) -> String) -> Result<PathBuf, DurableError> {
    create_folders(folder)?;
    for n in 0..NAMES_TRIED {
        let target = folder.join(name(n));
        match rename_new(path, &target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DurableError::at("move", path)(error)),
            Ok(()) => {
                // The new name before the loss of the old one: a crash must not leave neither.
                sync_folder(folder)?;
                sync_folder(path.parent().unwrap_or(Path::new(".")))?;
                return Ok(target);
            }
        }
    }
    let target = folder.join(name(NAMES_TRIED));
    Err(DurableError::at("find a free name for", &target)(ErrorKind::AlreadyExists.into()))
}

/// Removes a file durably.
///
/// # Errors
/// When it can't be removed, or its folder can't be synced.
pub fn remove(path: &Path) -> Result<(), DurableError> {
    fs::remove_file(path).map_err(DurableError::at("remove", path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// When the folder can't be opened or synced.
pub fn sync_folder(folder: &Path) -> Result<(), DurableError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(DurableError::at("sync the folder", folder))
}

/// Makes the entries of `folder` and of every folder above it, up to `top` included, durable.
///
/// # Errors
/// As [`sync_folder`].
pub fn sync_up_to(top: &Path, folder: &Path) -> Result<(), DurableError> {
    folder.ancestors().take_while(|f| f.starts_with(top)).try_for_each(sync_folder)
}

/// Creates a folder and those above it, durably. Nothing happens where it exists.
///
/// # Errors
/// When one can't be created or synced.
pub fn create_folders(folder: &Path) -> Result<(), DurableError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folders(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !folder.is_dir() => {
            Err(DurableError::at("create the folder", folder)(error))
        }
        _ => sync_folder(parent),
    }
}

/// Fails where this process may not create files in the folder.
///
/// # Errors
/// As described.
pub fn check_writable(folder: &Path) -> Result<(), DurableError> {
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|errno| DurableError::at("write into", folder)(errno.into()))
}

/// Writes a file of a mebibyte into a folder, syncs and removes it: fails where a disk refuses what it is there for, whatever it says of its
/// room.
///
/// # Errors
/// When one of these fails.
pub fn try_writing(folder: &Path, name: &str) -> Result<(), DurableError> {
    let mut staged = Staged::create(folder, name, Way::Cached)?;
    let path = staged.path.clone();
    staged.write_all(&vec![1; TRIAL]).map_err(DurableError::at("write", &path))?;
    staged.out.finish(Vec::new()).map_err(DurableError::at("write", &path))?;
    staged.published = true;
    remove(&path)
}

/// Bytes that an unprivileged process may still write on the file system of `folder`.
///
/// # Errors
/// When the file system doesn't say.
pub fn free_bytes(folder: &Path) -> Result<u64, DurableError> {
    let stat =
        rustix::fs::statvfs(folder).map_err(|errno| DurableError::at("ask for the free space of", folder)(errno.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A folder that belongs to one owner at a time, until this is dropped or the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Takes a folder for oneself.
///
/// # Errors
/// When another process, or another owner in this one, has it.
pub fn lock(folder: &Path) -> Result<FolderLock, DurableError> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(DurableError::at("create", &path))?;
    file.try_lock().map_err(|error| DurableError::at("lock", &path)(error.into()))?;
    Ok(FolderLock { _file: file })
}

/// Removes the files of a folder whose name ends in `suffix`; says how many there were.
///
/// # Errors
/// When the folder can't be read or a file can't be removed.
pub fn remove_files(folder: &Path, suffix: &str) -> Result<usize, DurableError> {
    let failed = || DurableError::at("clear", folder);
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_name().to_string_lossy().ends_with(suffix) && entry.file_type().map_err(failed())?.is_file() {
            fs::remove_file(entry.path()).map_err(failed())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Part of a file name, made of `[A-Za-z0-9._-]` alone, of at most `limit` bytes (at least 16), not beginning with `.`, `_`
/// or `-`. A text that is such a part stays as it is; any other is made one and gets a hash, so that two texts never
/// become the same part.
#[must_use]
pub fn name_part(text: &str, limit: usize) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && text.len() <= limit && text.chars().all(fits) {
        return text.to_owned();
    }
    let mut part = String::from(if begins { "" } else { "x" });
    part.extend(text.chars().map(|c| if fits(c) { c } else { '_' }));
    part.truncate(limit - 9);
    part + &format!("-{:08x}", xxh3_64(text.as_bytes()) as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn staged(folder: &Path, text: &str) -> Staged {
        let mut staged = Staged::create(folder, "a.part", Way::Cached).unwrap();
        staged.write_all(text.as_bytes()).unwrap();
        staged
    }

    #[test]
    fn a_published_file_replaces_none_and_a_dropped_one_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("year=1/month=2");
        let name = |n| format!("f-{n}");
        let first = staged(home.path(), "first").publish(&target, name).unwrap();
        let second = staged(home.path(), "second").publish(&target, name).unwrap();
        assert_eq!((first.clone(), second.clone()), (target.join("f-0"), target.join("f-1")));
        assert_eq!(fs::read_to_string(first).unwrap(), "first");
        assert_eq!(fs::read_to_string(second).unwrap(), "second");
        drop(staged(home.path(), "third"));
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["year=1"]);
    }

    #[test]
    fn a_second_link_keeps_a_taken_name_too() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert_eq!(rename_new(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::hard_link(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
    }

    #[test]
    fn a_file_is_moved_to_a_free_name_replaced_whole_and_removed() {
        let home = tempfile::tempdir().unwrap();
        let (from, aside) = (home.path().join("from"), home.path().join("aside"));
        for text in ["first", "second"] {
            fs::write(&from, text).unwrap();
            move_file(&from, &aside, |n| format!("f-{n}")).unwrap();
        }
        assert!(!from.exists());
        let target = aside.join("f-1");
        assert_eq!(fs::read_to_string(&target).unwrap(), "second");
        staged(&aside, "third").replace(&target).unwrap();
        assert_eq!((fs::read_to_string(&target).unwrap().as_str(), fs::read_dir(&aside).unwrap().count()), ("third", 2));
        remove(&target).unwrap();
        assert!(!target.exists() && remove(&target).unwrap_err().to_string().contains("f-1"));
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let held = lock(home.path()).unwrap();
        let refused = lock(home.path()).unwrap_err().to_string();
        assert!(refused.contains("another process"), "{refused}");
        drop(held);
        lock(home.path()).unwrap();
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        // Every write to this device fails with ENOSPC.
        let Ok(file) = File::options().write(true).open("/dev/full") else {
            eprintln!("skipped: no /dev/full");
            return;
        };
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.part");
        fs::write(&path, "").unwrap();
        let mut staged = Staged {
            path: path.clone(),
            out: Output::over(file, Way::Cached).unwrap(),
            written: 0,
            start: Vec::new(),
            published: false,
        };
        staged.write_all(b"alert").unwrap();
        let target = home.path().join("root");
        let refused = staged.publish(&target, |_| "f".into()).unwrap_err().to_string();
        assert!(refused.contains("free space"), "{refused}");
        assert!(!path.exists() && !target.exists());
    }

    proptest! {
        #[test]
        fn a_name_part_is_safe_and_tells_texts_apart(a in ".{0,80}", b in "[.a-z/_-]{0,40}") {
            let (x, y) = (name_part(&a, 40), name_part(&b, 40));
            for part in [&x, &y] {
                prop_assert!(part.len() <= 40 && part.starts_with(|c: char| c.is_ascii_alphanumeric()));
                prop_assert!(part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c)));
                prop_assert!(!part.contains('/'));
            }
            prop_assert_eq!(a == b, x == y);
        }
    }
}
