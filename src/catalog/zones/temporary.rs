//! The folder in which an index is built: beside its target, on the same file system, so that a rename ends the work.
//!
//! Its name follows from the target's, `.NAME.building`. A lock tells a build that goes on from what a killed one left behind:
//! the kernel gives the lock up with the process, so what is found unlocked is removed and the work begins anew.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ZoneError;

/// The folder; removed with all in it when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder for a target, alone.
    pub fn create(target: &Path) -> Result<Folder, ZoneError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = parent(target).join(format!(".{name}.building"));
        loop {
            fs::create_dir_all(&path).map_err(ZoneError::io("create", &path))?;
            let held = path.join("lock");
            let lock = match File::options().create(true).append(true).open(&held) {
                Ok(lock) => lock,
                // Another build has just ended and taken the folder away.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(ZoneError::io("create", &held)(e)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(ZoneError::Busy { path: target.to_path_buf() }),
                Err(TryLockError::Error(e)) => return Err(ZoneError::io("lock", &held)(e)),
            }
            // The one who had the lock before may have removed the file under it: then it locks nobody out.
            let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
            if lock.metadata().ok().zip(fs::metadata(&held).ok()).is_some_and(|(a, b)| same(&a, &b)) {
                let folder = Folder { path, _lock: lock };
                folder.clean()?;
                return Ok(folder);
            }
        }
    }

    /// Removes what an earlier build left.
    fn clean(&self) -> Result<(), ZoneError> {
        for entry in fs::read_dir(&self.path).map_err(ZoneError::io("list", &self.path))? {
            let path = entry.map_err(ZoneError::io("list", &self.path))?.path();
            if path.file_name().is_some_and(|name| name != "lock") {
                fs::remove_file(&path).map_err(ZoneError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// A path in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Gives a file of the folder its final name, durably; the file must have been synced.
    pub fn publish(&self, file: &Path, target: &Path) -> Result<(), ZoneError> {
        fs::rename(file, target).map_err(ZoneError::io("rename to", target))?;
        let folder = parent(target);
        File::open(folder).and_then(|f| f.sync_all()).map_err(ZoneError::io("sync", folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is cleaned by the next build.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The folder of a file.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
