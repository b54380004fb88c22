//! Committed positions of sources that have no broker to keep them: a small text file, replaced as a whole.
//!
//! **Invariant:** after a crash the file holds either the old positions or the new ones, never part of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::alert::{Fault, TopicPartition};

/// Positions per partition, and what they belong to.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
    /// The first line of the file: what the positions mean. Positions of another meaning are refused.
    meaning: String,
    offsets: BTreeMap<i32, i64>,
}

impl Positions {
    /// Reads the file, or begins at nothing where there is none.
    pub(super) fn load(path: PathBuf, meaning: String) -> Result<Self, Fault> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self { path, meaning, offsets: BTreeMap::new() }),
            Err(e) => return Err(fault(&path, "can't read", &e)),
        };
        let mut lines = text.lines();
        let found = lines.next().and_then(|l| l.strip_prefix("# ")).unwrap_or_default();
        if found != meaning {
            return Err(Fault::defect(format!(
                "{}: these are positions of `{found}`, but the source is now `{meaning}`; take back the change, or remove the \
                 file (or choose another data folder) to begin anew",
                path.display()
            )));
        }
        let mut offsets = BTreeMap::new();
        for line in lines {
            let entry = line.split_once(' ').and_then(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
            let Some((partition, offset)) = entry else {
                return Err(Fault::defect(format!(
                    "{}: `{line}` is not a partition and an offset; restore the file, or remove it to begin anew",
                    path.display()
                )));
            };
            offsets.insert(partition, offset);
        }
        Ok(Self { path, meaning, offsets })
    }

    /// The committed position of a partition, 0 where nothing was committed.
    pub(super) fn get(&self, partition: i32) -> i64 {
        self.offsets.get(&partition).copied().unwrap_or(0)
    }

    /// Takes over the watermarks of `topic` and stores them durably when one has moved. Positions never go back.
    pub(super) fn commit(&mut self, topic: &str, watermarks: &[(TopicPartition, i64)]) -> Result<(), Fault> {
        let mut moved = false;
        for (origin, offset) in watermarks.iter().filter(|(origin, _)| &*origin.topic == topic) {
            let entry = self.offsets.entry(origin.partition).or_insert(0);
            moved |= *offset > *entry;
            *entry = (*entry).max(*offset);
        }
        if moved { self.store().map_err(|e| fault(&self.path, "can't store positions in", &e)) } else { Ok(()) }
    }

    fn store(&self) -> std::io::Result<()> {
        let mut text = format!("# {}\n", self.meaning);
        for (partition, offset) in &self.offsets {
            text += &format!("{partition} {offset}\n");
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        sync_folder(&self.path)
    }
}

/// Makes a new name in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Makes the state folder.
pub(super) fn make_folder(path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).map_err(|e| fault(path, "can't make the folder", &e))
}

/// A fault of a file, in words: what was tried, where, what the system said.
pub(super) fn fault(path: &Path, what: &str, error: &std::io::Error) -> Fault {
    Fault::environment(format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn marks(topic: &str, offsets: &[i64]) -> Vec<(TopicPartition, i64)> {
        (0..).zip(offsets).map(|(partition, o)| (TopicPartition { topic: topic.into(), partition }, *o)).collect()
    }

    #[test]
    fn positions_are_read_back_and_never_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        let mut positions = Positions::load(path.clone(), "seed 1".into()).unwrap();
        positions.commit("t", &marks("t", &[5, 7])).unwrap();
        positions.commit("t", &marks("t", &[3, 8])).unwrap();
        positions.commit("t", &marks("another", &[100, 100])).unwrap();
        let again = Positions::load(path.clone(), "seed 1".into()).unwrap();
        assert_eq!((again.get(0), again.get(1), again.get(2)), (5, 8, 0));
        let message = Positions::load(path, "seed 2".into()).unwrap_err().message;
        assert!(message.contains("seed 1") && message.contains("seed 2"), "{message}");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        fs::write(&path, "# m\n0 12\n1 x\n").unwrap();
        assert!(Positions::load(path, "m".into()).unwrap_err().message.contains("1 x"));
    }
}
