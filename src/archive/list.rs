//! What an archive holds, from its footers alone. Files may be added while it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::contents::STAGING_SUFFIX;
use super::footer::{self, FileSummary, ReadError, key};
use super::hour::Hour;
use super::place::WantedHours;

/// Which files are asked for; by default all.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of this component.
    pub component: Option<String>,
    /// Those of any of these hours.
    pub hours: Vec<WantedHours>,
}

/// A file of an archive.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What its footer says.
    pub file: FileSummary,
    /// The hour of its folder; `None` where it lies in no folder of an hour.
    pub hour: Option<Hour>,
    /// Full name of the alerts' schema; empty where Skysluice did not write the file.
    pub schema: String,
    /// The survey; empty where Skysluice did not write the file.
    pub survey: String,
}

/// What was found below a path.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files, by hour, then by path.
    pub files: Vec<Listed>,
    /// What can't be read, with the reason.
    pub damaged: Vec<(PathBuf, ReadError)>,
    /// Unfinished files where none should be.
    pub unfinished: Vec<PathBuf>,
}

/// Lists the files below a folder, or a file alone.
///
/// # Errors
/// When a folder can't be read, or the path is not there. That a file can't be read is part of what is found.
pub fn list(path: &Path, wanted: &Wanted) -> Result<Listing, ReadError> {
    let failed = |source| ReadError::Io { path: path.to_path_buf(), source };
    // Resolved, so that the folders above a path that is given are known too.
    let path = path.canonicalize().map_err(failed)?;
    let mut found = Listing::default();
    let mut paths = Vec::new();
    if path.is_file() {
        paths.push(path);
    } else {
        let mut folders = vec![path];
        while let Some(folder) = folders.pop() {
            for (entry, is_folder) in footer::entries(&folder)? {
                match entry.extension() {
                    _ if is_folder => folders.push(entry),
                    Some(ending) if ending == "parquet" => paths.push(entry),
                    Some(ending) if ending == &STAGING_SUFFIX[1..] => found.unfinished.push(entry),
                    _ => {}
                }
            }
        }
    }
    let hour = |path: &Path| path.parent().and_then(Hour::of_folder);
    paths.retain(|path| wanted.hours.is_empty() || hour(path).is_some_and(|h| wanted.hours.iter().any(|w| w.has(h))));
    let read: Vec<_> = paths.into_par_iter().map(|path| (hour(&path), read(&path), path)).collect();
    for (hour, read, path) in read {
        match read {
            Ok((file, schema, survey)) => {
                if wanted.component.as_ref().is_none_or(|component| *component == file.component) {
                    found.files.push(Listed { file, hour, schema, survey });
                }
            }
            // Taken away since the folder was read.
            Err(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => found.damaged.push((path, error)),
        }
    }
    found.files.sort_by(|a, b| (a.hour, &a.file.path).cmp(&(b.hour, &b.file.path)));
    found.damaged.sort_by(|a, b| a.0.cmp(&b.0));
    found.unfinished.sort();
    Ok(found)
}

/// Summary, name of the schema, survey.
fn read(path: &Path) -> Result<(FileSummary, String, String), ReadError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        namespace: Option<String>,
    }
    let (file, metadata, _) = footer::open(path)?;
    let named = footer::value(&metadata, key::SCHEMA).and_then(|json| serde_json::from_str::<Named>(json).ok());
    let name = named.map(|named| match named.namespace.filter(|space| !space.is_empty() && !named.name.contains('.')) {
        Some(space) => format!("{space}.{}", named.name),
        None => named.name,
    });
    let survey = footer::value(&metadata, key::SURVEY).unwrap_or_default().to_owned();
    Ok((file, name.unwrap_or_default(), survey))
}

/// A partition of a topic, as a component archived it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Component.
    pub component: String,
    /// Topic.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
}

/// What there is of an hour, a component or a schema.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// First and last offset and rows of each partition.
    pub partitions: BTreeMap<Origin, (i64, i64, u64)>,
}

impl Share {
    fn add(&mut self, listed: &Listed) {
        self.files += 1;
        self.rows += listed.file.rows;
        self.bytes += listed.file.bytes;
        for range in &listed.file.ranges {
            let origin = origin(&listed.file, range);
            let (first, last, rows) = self.partitions.entry(origin).or_insert((range.first, range.last, 0));
            *first = range.first.min(*first);
            *last = range.last.max(*last);
            *rows += range.rows;
        }
    }
}

pub(super) fn origin(file: &FileSummary, range: &footer::OffsetRange) -> Origin {
    Origin { component: file.component.clone(), topic: range.topic.clone(), partition: range.partition }
}

impl Listing {
    /// What there is by anything that a file tells of itself.
    pub fn by<K: Ord>(&self, of: impl Fn(&Listed) -> K) -> BTreeMap<K, Share> {
        let mut shares: BTreeMap<K, Share> = BTreeMap::new();
        for listed in &self.files {
            shares.entry(of(listed)).or_default().add(listed);
        }
        shares
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> Share {
        let mut total = Share::default();
        self.files.iter().for_each(|listed| total.add(listed));
        total
    }

    /// Names of components.
    #[must_use]
    pub fn components(&self) -> BTreeSet<&str> {
        self.files.iter().map(|listed| listed.file.component.as_str()).collect()
    }

    /// Offsets between the ranges of a partition that no file has, of whatever hour: first and last of each gap. Dead letters
    /// and topics that were created anew leave gaps too.
    #[must_use]
    pub fn gaps(&self) -> Vec<(Origin, i64, i64)> {
        let mut ranges: BTreeMap<Origin, Vec<(i64, i64)>> = BTreeMap::new();
        for listed in &self.files {
            for range in &listed.file.ranges {
                ranges.entry(origin(&listed.file, range)).or_default().push((range.first, range.last));
            }
        }
        let mut gaps = Vec::new();
        for (origin, mut ranges) in ranges {
            ranges.sort_unstable();
            let mut end = ranges.first().map_or(0, |(first, _)| *first);
            for (first, last) in ranges {
                if first > end {
                    gaps.push((origin.clone(), end, first - 1));
                }
                end = end.max(last.saturating_add(1));
            }
        }
        gaps
    }
}
