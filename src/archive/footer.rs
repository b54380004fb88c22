//! What the footer of an archived file says of it, and reading that back.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde::{Deserialize, Serialize};

use crate::alert::{Fault, RowOrigin};
use crate::avro::FrameError;

/// Keys of the footer.
pub(super) mod key {
    pub const VERSION: &str = "skysluice.version";
    pub const COMPONENT: &str = "skysluice.component";
    pub const CONFIGURATION: &str = "skysluice.configuration";
    pub const CATALOGS: &str = "skysluice.catalogs";
    pub const SURVEY: &str = "skysluice.survey";
    pub const SCHEMA: &str = "skysluice.schema";
    pub const FINGERPRINT: &str = "skysluice.fingerprint";
    pub const RANGES: &str = "skysluice.ranges";
    /// Length of the file: what shows that an Avro file is cut, as it has no end of its own.
    pub const BYTES: &str = "skysluice.bytes";
}

/// A run of offsets of one partition: every alert from `first` to `last` that has the hour and the schema of the file is in
/// it, or was in the archive before (or is a dead letter, which is archived, if at all, by another component's name).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// Topic.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Offset of the first row.
    pub first: i64,
    /// Offset of the last row.
    pub last: i64,
    /// Rows of this range in the file.
    pub rows: u64,
    /// Earliest time of a message, milliseconds since 1970, UTC; null where none has a time.
    pub min_timestamp: Option<i64>,
    /// Latest time of a message.
    pub max_timestamp: Option<i64>,
    /// Where the range is exact: the only record of its messages that it speaks of; that of each offset is in this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u32>,
}

impl OffsetRange {
    /// Whether a row with this offset and record lies in the range, whatever its time.
    pub(super) fn has_row(&self, row: &RowOrigin) -> bool {
        (self.first..=self.last).contains(&row.offset) && self.record.is_none_or(|record| record == row.record)
    }

    /// Whether an exact range can be made longer by this row without a hole.
    pub(super) fn goes_on_with(&self, row: &RowOrigin) -> bool {
        self.record == Some(row.record) && self.last.checked_add(1) == Some(row.offset)
    }

    /// Whether a message's time lies among those of the range. Without times there is nothing that speaks against it.
    pub(super) fn has_time(&self, timestamp: Option<i64>) -> bool {
        match (timestamp, self.min_timestamp, self.max_timestamp) {
            (Some(t), Some(min), Some(max)) => (min..=max).contains(&t),
            _ => true,
        }
    }
}

/// An archived file, as its footer describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// Where it is.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Name of the component that wrote it; empty where Skysluice didn't.
    pub component: String,
    /// Fingerprint of the alerts' schema, 16 hexadecimal digits; empty where Skysluice didn't write the file.
    pub fingerprint: String,
    /// Where its rows came from.
    pub ranges: Vec<OffsetRange>,
}

/// Sums over files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes they take.
    pub bytes: u64,
}

/// An archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has no footer that can be read.
    #[error("{} is no whole Parquet file: {source}; restore it from a copy, or move it out of the archive to have its alerts written again", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// The file has no header that can be read.
    #[error("{} is no Avro file: {source}; restore it from a copy, or move it out of the backup to have its alerts written again", path.display())]
    Avro {
        /// Which.
        path: PathBuf,
        /// Why.
        source: FrameError,
    },
    /// The file is not as long as it was written.
    #[error("{} has {bytes} bytes where {whole} were written; restore it from a copy, or move it out of the backup to have its alerts written again", path.display())]
    Cut {
        /// Which.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The length that its header tells.
        whole: u64,
    },
    /// The list of offset ranges is not as Skysluice writes it.
    #[error("the footer of {} lists its offsets in a way this version does not know: {source}", path.display())]
    Ranges {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Fault {
        Fault::environment(error.to_string())
    }
}

/// Reads the footer of one file.
///
/// # Errors
/// When the file can't be read or is no Parquet file.
pub fn read_footer(path: &Path) -> Result<FileSummary, ReadError> {
    open(path).map(|(summary, ..)| summary)
}

/// Opens a file: its summary, its metadata, and the file for reading on.
pub(super) fn open(path: &Path) -> Result<(FileSummary, ParquetMetaData, File), ReadError> {
    let failed = |source| ReadError::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&file)
        .map_err(|source| ReadError::Parquet { path: path.to_path_buf(), source })?;
    let value = |key: &str| value(&metadata, key);
    let ranges = value(key::RANGES)
        .map(serde_json::from_str)
        .transpose()
        .map_err(|source| ReadError::Ranges { path: path.to_path_buf(), source })?;
    let summary = FileSummary {
        path: path.to_path_buf(),
        rows: u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0),
        bytes,
        component: value(key::COMPONENT).unwrap_or_default().to_owned(),
        fingerprint: value(key::FINGERPRINT).unwrap_or_default().to_owned(),
        ranges: ranges.unwrap_or_default(),
    };
    Ok((summary, metadata, file))
}

/// What the footer says under a key.
pub(super) fn value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// Every Parquet file below `root`, by path. An archive that does not exist yet has none.
///
/// # Errors
/// When a folder or a footer can't be read.
pub fn inventory(root: &Path) -> Result<Vec<FileSummary>, ReadError> {
    files_below(root, "parquet", read_footer)
}

/// Every file below `root` whose name ends so, by path.
pub(super) fn files_below(
    root: &Path,
    ending: &str,
    read: fn(&Path) -> Result<FileSummary, ReadError>,
) -> Result<Vec<FileSummary>, ReadError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for (path, is_folder) in entries(&folder)? {
            if is_folder {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                files.push(read(&path)?);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Sums over files.
#[must_use]
pub fn totals(files: &[FileSummary]) -> Totals {
    files.iter().fold(Totals::default(), |sum, f| Totals {
        files: sum.files + 1,
        rows: sum.rows + f.rows,
        bytes: sum.bytes + f.bytes,
    })
}

/// Entries of a folder, and whether each is a folder; none where the folder does not exist.
pub(super) fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, ReadError> {
    let failed = |source| ReadError::Io { path: folder.to_path_buf(), source };
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let entry = |entry: fs::DirEntry| Ok((entry.path(), entry.file_type()?.is_dir()));
    listing.map(|e| e.and_then(entry)).collect::<io::Result<_>>().map_err(failed)
}
