//! Schema ids of Confluent frames: given out here, kept as `ID.avsc` in a folder, the same for the same text for ever.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::alert::Fault;
use crate::durable::{self, Staged, Way};

/// Tells apart what this process writes.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The ids of one folder.
#[derive(Debug)]
pub(super) struct SchemaIds {
    folder: PathBuf,
    ids: HashMap<String, u32>,
    /// The highest id that any file has.
    last: u32,
}

impl SchemaIds {
    /// Reads the folder, which is made where it is missing.
    pub(super) fn open(folder: &Path) -> Result<Self, Fault> {
        durable::create_folders(folder)?;
        let mut ids = Self { folder: folder.to_owned(), ids: HashMap::new(), last: 0 };
        ids.read()?;
        Ok(ids)
    }

    fn read(&mut self) -> Result<(), Fault> {
        let wrong = |e| Fault::environment(format!("the schemas in {} cannot be read: {e}", self.folder.display()));
        for entry in fs::read_dir(&self.folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_none_or(|e| e != "avsc") {
                continue;
            }
            let Some(id) = path.file_stem().and_then(|s| s.to_str()?.parse::<u32>().ok()) else { continue };
            let text = fs::read_to_string(&path)
                .map_err(|e| Fault::environment(format!("the schema {} cannot be read: {e}", path.display())))?;
            self.last = self.last.max(id);
            // The lowest id stands where two files have the same text.
            self.ids.entry(text).and_modify(|known| *known = id.min(*known)).or_insert(id);
        }
        Ok(())
    }

    /// The id of a schema. A new one is durable in the folder when this returns.
    pub(super) fn id(&mut self, json: &str) -> Result<u32, Fault> {
        loop {
            if let Some(id) = self.ids.get(json) {
                return Ok(*id);
            }
            let id = self.last.checked_add(1).ok_or_else(|| {
                Fault::environment(format!("{} has a schema with the highest id there is; take it away", self.folder.display()))
            })?;
            // Two components of a process may share the folder: those that send the live stream and its backlog do.
            let mine = format!(".{id}.avsc.{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let mut file = Staged::create(&self.folder, &mine, Way::Cached)?;
            file.write_all(json.as_bytes())
                .map_err(|e| Fault::environment(format!("the schema {} cannot be written: {e}", file.path().display())))?;
            if file.publish_as(&self.folder, &format!("{id}.avsc"))? {
                tracing::info!(id, folder = %self.folder.display(), "a new schema of published messages");
                self.ids.insert(json.to_owned(), id);
                self.last = id;
                return Ok(id);
            }
            // Another process has taken the number meanwhile.
            self.read()?;
        }
    }
}
