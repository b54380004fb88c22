//! Texts on their way into the heap: in the order of the input, those of columns that repeat themselves only once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ZoneError;
use super::payload::{LARGEST_HEAP, LONGEST_TEXT, reference};

/// Different texts of a column that are remembered; a column that has more is taken as one of distinct texts.
const REMEMBERED: usize = 4096;

/// The heap of a file that is being built.
pub(super) struct Heap {
    out: BufWriter<File>,
    path: PathBuf,
    len: u64,
    /// For each column the texts so far, none once they are too many.
    known: Vec<Option<HashMap<Box<str>, u64>>>,
}

impl Heap {
    /// Starts the file.
    pub fn create(path: &Path) -> Result<Heap, ZoneError> {
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(ZoneError::io("create", path))?;
        Ok(Heap { out: BufWriter::with_capacity(1 << 18, file), path: path.to_path_buf(), len: 0, known: Vec::new() })
    }

    /// Adds a text; the reference to it.
    pub fn add(&mut self, text: &str) -> Result<u64, String> {
        if text.len() > LONGEST_TEXT {
            return Err(format!("a text of {} bytes is too long, {LONGEST_TEXT} are the most", text.len()));
        }
        if self.len + text.len() as u64 > LARGEST_HEAP {
            return Err(format!("the texts of the catalogue are longer than {LARGEST_HEAP} bytes: carry fewer columns"));
        }
        let at = self.len;
        self.out.write_all(text.as_bytes()).map_err(|e| format!("cannot write {}: {e}", self.path.display()))?;
        self.len += text.len() as u64;
        Ok(reference(at, text.len()))
    }

    /// Adds a text of a column, or finds it again.
    pub fn intern(&mut self, column: usize, text: &str) -> Result<u64, String> {
        if text.is_empty() {
            return Ok(reference(0, 0));
        }
        if self.known.len() <= column {
            self.known.resize_with(column + 1, || Some(HashMap::new()));
        }
        let Some(known) = &self.known[column] else { return self.add(text) };
        if let Some(&found) = known.get(text) {
            return Ok(found);
        }
        let added = self.add(text)?;
        if let Some(known) = &mut self.known[column] {
            known.insert(text.into(), added);
            if known.len() > REMEMBERED {
                self.known[column] = None;
            }
        }
        Ok(added)
    }

    /// Ends the writing: the file and its length.
    pub fn finish(self) -> Result<(File, u64), ZoneError> {
        let path = self.path;
        let file = self.out.into_inner().map_err(|e| ZoneError::io("write", &path)(e.into_error()))?;
        Ok((file, self.len))
    }
}
