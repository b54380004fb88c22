//! What the archive holds already, hour by hour, read from the footers of its files when an alert of that hour comes.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::contents::component_prefix;
use super::footer::{self, FileSummary, OffsetRange, ReadError};
use super::format::Format;
use super::hour::Hour;
use crate::alert::{Fault, RowOrigin, TopicPartition};
use crate::config::Layout;
use crate::durable;

/// Hours kept in memory; an hour that was dropped is read again when it is needed.
const HOURS_KEPT: usize = 1024;

/// How the files of an archive are known and read.
#[derive(Clone, Copy, Debug)]
struct Kind {
    ending: &'static str,
    read: fn(&Path) -> Result<FileSummary, ReadError>,
}

/// Components, and what the names of their files begin with.
#[derive(Debug)]
struct Writers {
    components: Vec<String>,
    prefixes: Vec<String>,
}

/// What is archived of each hour.
///
/// An hour is listed when the first alert of a partition comes for a file of it: before that, another process may have read
/// that partition and written files into the same archive.
#[derive(Debug)]
pub(super) struct Marks {
    root: PathBuf,
    layout: Layout,
    writers: Writers,
    kind: Kind,
    hours: HashMap<Hour, HourMarks>,
    clock: u64,
}

#[derive(Debug, Default)]
struct HourMarks {
    files: HashSet<OsString>,
    ranges: HashMap<(u64, TopicPartition), Vec<OffsetRange>>,
    used: u64,
}

impl HourMarks {
    fn add(&mut self, name: OsString, fingerprint: u64, ranges: &[OffsetRange]) {
        if !self.files.insert(name) {
            return;
        }
        for range in ranges {
            let origin = TopicPartition { topic: range.topic.as_str().into(), partition: range.partition };
            self.ranges.entry((fingerprint, origin)).or_default().push(range.clone());
        }
    }

    /// Reads the footers of the files of these components that are not known yet.
    fn list(&mut self, root: &Path, folder: &Path, kind: Kind, writers: &Writers) -> Result<(), Fault> {
        let mut found = false;
        for (path, is_folder) in footer::entries(folder)? {
            let Some(name) = path.file_name() else { continue };
            let (text, whole) = (name.to_string_lossy(), path.extension().is_some_and(|e| e == kind.ending));
            let ours = whole && writers.prefixes.iter().any(|prefix| text.starts_with(prefix));
            if is_folder || !ours || self.files.contains(name) {
                continue;
            }
            let file = (kind.read)(&path)?;
            let fingerprint = u64::from_str_radix(&file.fingerprint, 16);
            match fingerprint {
                Ok(fingerprint) if writers.components.contains(&file.component) => {
                    found = true;
                    self.add(name.to_owned(), fingerprint, &file.ranges);
                }
                _ => tracing::debug!(path = %path.display(), "a file in the archive that this component did not write"),
            }
        }
        if found {
            // Whoever published those files may have failed before the name was durable.
            durable::sync_up_to(root, folder)?;
        }
        Ok(())
    }
}

/// Whether a row is archived already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is not.
    New,
    /// It is.
    Archived,
    /// Its offset is, but with messages of another time: the topic was deleted and created again.
    Reused,
}

/// Ranges of one hour, schema and partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a>(&'a [OffsetRange]);

impl Seen<'_> {
    /// Whether one of these rows (ascending by offset) may be archived. New alerts come after all that is archived, so this
    /// is what the usual batch pays.
    pub fn touches(self, rows: &[RowOrigin]) -> bool {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return false };
        self.0.iter().any(|r| r.first <= last.offset && first.offset <= r.last)
    }

    /// Looks a row up.
    pub fn look_up(self, row: &RowOrigin) -> Mark {
        let mut mark = Mark::New;
        for range in self.0.iter().filter(|r| r.has_row(row)) {
            if range.has_time(row.timestamp) {
                return Mark::Archived;
            }
            mark = Mark::Reused;
        }
        mark
    }
}

impl Marks {
    /// Marks of the files of one kind that `components` have below `root`.
    pub fn new<'a, F: Format>(root: &Path, layout: Layout, components: impl Iterator<Item = &'a String>) -> Marks {
        let components: Vec<String> = components.cloned().collect();
        let prefixes = components.iter().map(|component| component_prefix(component)).collect();
        let kind = Kind { ending: F::ENDING, read: F::read };
        let writers = Writers { components, prefixes };
        Marks { root: root.to_path_buf(), layout, writers, kind, hours: HashMap::new(), clock: 0 }
    }

    /// What is archived of an hour, a schema and a partition. `list` asks to look at the folder again.
    ///
    /// # Errors
    /// When the folder or a footer in it can't be read: without it no one knows what is archived.
    pub fn seen(&mut self, hour: Hour, fingerprint: u64, origin: &TopicPartition, list: bool) -> Result<Seen<'_>, Fault> {
        self.clock += 1;
        if !self.hours.contains_key(&hour) && self.hours.len() >= HOURS_KEPT {
            let oldest = self.hours.iter().min_by_key(|(_, marks)| marks.used).map(|(hour, _)| *hour);
            oldest.map(|hour| self.hours.remove(&hour));
        }
        let known = self.hours.contains_key(&hour);
        let marks = self.hours.entry(hour).or_default();
        marks.used = self.clock;
        if list || !known {
            marks.list(&self.root, &self.root.join(hour.folder(self.layout)), self.kind, &self.writers)?;
        }
        // A key needs an owned partition; its topic is shared, so this does not allocate.
        Ok(Seen(marks.ranges.get(&(fingerprint, origin.clone())).map_or(&[], Vec::as_slice)))
    }

    /// A file of an hour has been published.
    pub fn published(&mut self, hour: Hour, fingerprint: u64, path: &Path, ranges: &[OffsetRange]) {
        // An hour that is not in memory will be listed, with this file in it.
        if let (Some(marks), Some(name)) = (self.hours.get_mut(&hour), path.file_name()) {
            marks.add(name.to_owned(), fingerprint, ranges);
        }
    }
}
