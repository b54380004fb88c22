//! The folder of letters as those see it who come after the service: what lies there, what is moved aside, what is removed.
//!
//! The service only adds files, whole, and never touches one again; so a file may be moved, or replaced by one with fewer letters,
//! while it runs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::folder::{LetterError, StoredLetter, encode, read_file};
use crate::durable::{self, DurableError, FolderLock, Staged, Way, name_part};

/// Folder, in that of the letters, of those that are being processed again.
const ASIDE: &str = "requeue";

/// Name of a container while it is written. One for all: whoever writes holds the lock, or a folder of its own.
const STAGED: &str = ".requeue.part";

/// The folder of letters of a component.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The shelf in this folder, which need not exist.
    #[must_use]
    pub fn new(folder: &Path) -> Shelf {
        Shelf { folder: folder.to_path_buf() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where letters of a component lie while they are processed again.
    #[must_use]
    pub fn aside(&self, component: &str) -> PathBuf {
        self.folder.join(ASIDE).join(name_part(component, 100))
    }

    /// All containers, by name; those that lie aside (whose flag is set) come last.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn files(&self) -> Result<Vec<(PathBuf, bool)>, LetterError> {
        let mut files: Vec<(PathBuf, bool)> = containers(&self.folder)?.into_iter().map(|path| (path, false)).collect();
        let mut folders: Vec<PathBuf> = entries(&self.folder.join(ASIDE))?.into_iter().filter(|path| path.is_dir()).collect();
        folders.sort();
        for folder in folders {
            files.extend(containers(&folder)?.into_iter().map(|path| (path, true)));
        }
        Ok(files)
    }

    /// Takes the shelf for oneself: whoever changes what the service has written holds it. The service does not ask for it.
    ///
    /// # Errors
    /// When another process has it, or the folder can't be made.
    pub fn lock(&self) -> Result<FolderLock, LetterError> {
        let folder = self.folder.join(ASIDE);
        durable::create_folders(&folder)?;
        Ok(durable::lock(&folder)?)
    }

    /// Moves letters aside for a component, and says how many. A file that holds others as well is divided: after a crash
    /// between the two steps, letters are in both places, which a [`super::Plan`] takes for one.
    ///
    /// # Errors
    /// When a file can't be read, written or moved.
    pub fn set_aside(&self, component: &str, wanted: &dyn Fn(&StoredLetter) -> bool) -> Result<usize, LetterError> {
        let aside = self.aside(component);
        let mut moved = 0;
        for path in containers(&self.folder)? {
            let letters = read_file(&path)?;
            let (chosen, others): (Vec<_>, Vec<_>) = letters.into_iter().partition(wanted);
            if chosen.is_empty() {
                continue;
            }
            moved += chosen.len();
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let name = |n: u32| if n == 0 { format!("{stem}.avro") } else { format!("{stem}-{n}.avro") };
            if others.is_empty() {
                durable::move_file(&path, &aside, name)?;
            } else {
                write(&aside, name, &chosen)?;
                keep(&path, &others)?;
            }
        }
        Ok(moved)
    }

    /// Removes letters for good, also those that lie aside, and says how many.
    ///
    /// # Errors
    /// As [`Shelf::set_aside`].
    pub fn remove(&self, unwanted: &dyn Fn(&StoredLetter) -> bool) -> Result<usize, LetterError> {
        let mut removed = 0;
        for (path, _) in self.files()? {
            let letters = read_file(&path)?;
            let count = letters.len();
            let others: Vec<StoredLetter> = letters.into_iter().filter(|letter| !unwanted(letter)).collect();
            if others.len() < count {
                removed += count - others.len();
                keep(&path, &others)?;
            }
        }
        Ok(removed)
    }
}

/// Writes letters as a new container, durably, under the first name that is free.
///
/// # Errors
/// When it can't be written.
pub fn write(folder: &Path, name: impl Fn(u32) -> String, letters: &[StoredLetter]) -> Result<PathBuf, LetterError> {
    durable::create_folders(folder)?;
    Ok(stage(folder, letters)?.publish(folder, name)?)
}

/// Lets a container hold these letters alone; without any it is removed. Whole before or after a crash, never between.
///
/// # Errors
/// When it can't be replaced or removed.
pub fn keep(path: &Path, letters: &[StoredLetter]) -> Result<(), LetterError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if letters.is_empty() {
        durable::remove(path)?;
    } else {
        stage(folder, letters)?.replace(path)?;
    }
    Ok(())
}

fn stage(folder: &Path, letters: &[StoredLetter]) -> Result<Staged, LetterError> {
    let bytes = encode(letters).map_err(|source| LetterError::Avro { path: folder.to_path_buf(), source: source.into() })?;
    let mut staged = Staged::create(folder, STAGED, Way::Cached)?;
    io::Write::write_all(&mut staged, &bytes).map_err(|source| DurableError {
        doing: "write",
        path: staged.path().to_path_buf(),
        source,
    })?;
    Ok(staged)
}

/// The containers of a folder by name; none where there is no folder.
///
/// # Errors
/// When the folder can't be read.
pub fn containers(folder: &Path) -> Result<Vec<PathBuf>, LetterError> {
    let mut paths = entries(folder)?;
    // What is being written begins with a dot and ends otherwise.
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "avro"));
    paths.sort();
    Ok(paths)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, LetterError> {
    let failed = |source| LetterError::Read { path: folder.to_path_buf(), source };
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    listing.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed)
}

/// All letters of a folder, file by file in the order of their names, without those that lie aside.
///
/// # Errors
/// When the folder or a file in it can't be read.
pub fn read_folder(folder: &Path) -> Result<Vec<StoredLetter>, LetterError> {
    let mut letters = Vec::new();
    for path in containers(folder)? {
        letters.extend(read_file(&path)?);
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::letters::FolderLetters;
    use crate::letters::digest::tests::letter;

    fn shelf(letters: &[&[i64]]) -> (tempfile::TempDir, Shelf) {
        let home = tempfile::tempdir().unwrap();
        for (number, offsets) in letters.iter().enumerate() {
            let stored: Vec<StoredLetter> = offsets.iter().map(|o| letter("t", *o)).collect();
            write(home.path(), |n| format!("t-{number}-{n}.avro"), &stored).unwrap();
        }
        let shelf = Shelf::new(home.path());
        (home, shelf)
    }

    fn offsets(folder: &Path) -> Vec<i64> {
        read_folder(folder).unwrap().iter().map(|l| l.offset).collect()
    }

    #[test]
    fn whole_files_are_moved_aside_and_others_are_divided() {
        let (home, shelf) = shelf(&[&[1, 2], &[3, 4], &[5]]);
        assert_eq!(shelf.set_aside("ztf", &|l| l.offset <= 3).unwrap(), 3);
        assert_eq!((offsets(home.path()), offsets(&shelf.aside("ztf"))), (vec![4, 5], vec![1, 2, 3]));
        assert_eq!(shelf.set_aside("ztf", &|_| true).unwrap(), 2);
        assert_eq!((offsets(home.path()), offsets(&shelf.aside("ztf")).len()), (vec![], 5));
        assert_eq!(shelf.files().unwrap().iter().filter(|(_, aside)| *aside).count(), 4);
        assert_eq!(shelf.set_aside("ztf", &|_| true).unwrap(), 0);
    }

    #[test]
    fn a_name_that_is_taken_aside_is_not_replaced() {
        let (home, shelf) = shelf(&[&[1]]);
        shelf.set_aside("ztf", &|_| true).unwrap();
        write(home.path(), |n| format!("t-0-{n}.avro"), &[letter("t", 2)]).unwrap();
        shelf.set_aside("ztf", &|_| true).unwrap();
        assert_eq!(offsets(&shelf.aside("ztf")), [2, 1], "by name: the second file got another");
    }

    #[test]
    fn what_is_removed_is_gone_wherever_it_lay_and_the_rest_stays() {
        let (home, shelf) = shelf(&[&[1, 2], &[3]]);
        shelf.set_aside("ztf", &|l| l.offset == 3).unwrap();
        assert_eq!(shelf.remove(&|l| l.offset != 2).unwrap(), 2);
        assert_eq!((offsets(home.path()), offsets(&shelf.aside("ztf"))), (vec![2], vec![]));
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "one file and the folder of those aside, nothing half written: {left:?}");
    }

    #[test]
    fn one_changes_a_shelf_at_a_time_and_a_folder_that_is_not_there_is_empty() {
        let home = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(&home.path().join("none"));
        assert_eq!(shelf.files().unwrap(), []);
        let _held = shelf.lock().unwrap();
        assert!(shelf.lock().unwrap_err().to_string().contains("another process"));
    }

    #[test]
    fn letters_of_the_service_are_put_beside_those_that_are_aside() {
        let (home, shelf) = shelf(&[&[1]]);
        shelf.set_aside("ztf", &|_| true).unwrap();
        let _letters = FolderLetters::open(home.path()).unwrap();
        assert_eq!((offsets(home.path()), offsets(&shelf.aside("ztf"))), (vec![], vec![1]));
    }
}
