//! What the archive of a run holds, counted from its Parquet files: the only part of this program that looks at what the measured
//! one has made. Shares no code with it but the parquet crate's own reader.

use std::fs::File;
use std::path::Path;

use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::error::Error;
use crate::files;

/// Rows that are read at once.
const CHUNK: usize = 64 << 10;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Rows of all files.
    pub(crate) rows: u64,
    /// Ids of the alerts, sorted; `None` where a file has no such column.
    pub(crate) ids: Option<Vec<i64>>,
}

/// What became of the alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Alerts that are neither in the archive nor dead letters.
    pub(crate) lost: u64,
    /// Rows too many.
    pub(crate) duplicated: u64,
    /// How it was counted.
    pub(crate) oracle: &'static str,
}

/// Counts the rows below `root`, which need not be there, and reads the ids from the column `id`.
pub(crate) fn count(root: &Path, id: &str) -> Result<Found, Error> {
    let mut found = Found { rows: 0, ids: Some(Vec::new()) };
    for path in files::below(root, "parquet")? {
        read(&path, id, &mut found).map_err(|source| Error::Archive { path, source })?;
    }
    if let Some(ids) = &mut found.ids {
        ids.sort_unstable();
    }
    Ok(found)
}

fn read(path: &Path, id: &str, found: &mut Found) -> Result<(), ParquetError> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let metadata = reader.metadata().file_metadata();
    found.rows += u64::try_from(metadata.num_rows()).unwrap_or(0);
    let column = metadata.schema_descr().columns().iter().position(|column| column.path().parts() == [id]);
    let Some(column) = column else {
        found.ids = None;
        return Ok(());
    };
    for group in 0..reader.num_row_groups() {
        let (ColumnReader::Int64ColumnReader(mut values), Some(ids)) =
            (reader.get_row_group(group)?.get_column_reader(column)?, &mut found.ids)
        else {
            found.ids = None;
            return Ok(());
        };
        let mut levels = Vec::new();
        while values.read_records(CHUNK, Some(&mut levels), None, ids)?.0 > 0 {
            levels.clear();
        }
    }
    Ok(())
}

/// What became of `count` alerts, of which `dead` are dead letters. `expected` are their ids, where they are known; `unique` says
/// that no two have the same.
pub(crate) fn judge(found: &Found, count: u64, dead: u64, unique: bool, expected: Option<&[i64]>) -> Fate {
    let Some(ids) = found.ids.as_ref().filter(|_| unique) else {
        return Fate {
            lost: count.saturating_sub(found.rows + dead),
            duplicated: found.rows.saturating_sub(count),
            oracle: "rows of the Parquet files against what was sent",
        };
    };
    let distinct = ids.chunk_by(|a, b| a == b).count() as u64;
    let there = match expected {
        Some(expected) => expected.iter().filter(|id| ids.binary_search(id).is_ok()).count() as u64,
        None => distinct,
    };
    Fate {
        lost: count.saturating_sub(there + dead),
        // Also those that nobody sent.
        duplicated: found.rows - there.min(found.rows),
        oracle: match expected {
            Some(_) => "each id that was sent, in the Parquet files",
            None => "distinct ids in the Parquet files against what was sent",
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use parquet::data_type::Int64Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    pub(crate) fn write(path: &Path, message: &str, groups: &[&[i64]]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let schema = Arc::new(parse_message_type(message).unwrap());
        let properties = Arc::new(WriterProperties::default());
        let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
        for group in groups {
            let mut rows = file.next_row_group().unwrap();
            while let Some(mut column) = rows.next_column().unwrap() {
                let levels = vec![1; group.len()];
                column.typed::<Int64Type>().write_batch(group, Some(&levels), None).unwrap();
                column.close().unwrap();
            }
            rows.close().unwrap();
        }
        file.close().unwrap();
    }

    #[test]
    fn ids_of_all_files_and_row_groups_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let message = "message m { optional int64 other; optional int64 candid; }";
        write(&folder.path().join("year=2026/a.parquet"), message, &[&[3, 1], &[2]]);
        write(&folder.path().join("b.parquet"), message, &[&[9]]);
        std::fs::write(folder.path().join("note.txt"), "no Parquet").unwrap();
        let found = count(folder.path(), "candid").unwrap();
        assert_eq!(found, Found { rows: 4, ids: Some(vec![1, 2, 3, 9]) });
        assert_eq!(count(folder.path(), "diaSourceId").unwrap(), Found { rows: 4, ids: None });
        std::fs::write(folder.path().join("torn.parquet"), "PAR1").unwrap();
        assert!(count(folder.path(), "candid").unwrap_err().to_string().contains("torn.parquet"));
    }

    #[test]
    fn what_is_missing_twice_or_nobodys_is_told() {
        let found = |ids: &[i64]| Found { rows: ids.len() as u64, ids: Some(ids.to_vec()) };
        let of = |fate: Fate| (fate.lost, fate.duplicated);
        let sent = [1, 2, 3, 4];
        assert_eq!(of(judge(&found(&[1, 2, 3, 4]), 4, 0, true, Some(&sent))), (0, 0));
        assert_eq!(of(judge(&found(&[1, 2, 2, 4]), 4, 0, true, Some(&sent))), (1, 1));
        assert_eq!(of(judge(&found(&[1, 2, 4, 7]), 4, 0, true, Some(&sent))), (1, 1));
        assert_eq!(of(judge(&found(&[1, 2, 4]), 4, 1, true, Some(&sent))), (0, 0));
        assert_eq!(of(judge(&found(&[1, 1, 2]), 4, 0, true, None)), (2, 1));
        // The same few ids over and over say nothing.
        assert_eq!(of(judge(&found(&[1, 1, 1, 1, 1]), 4, 0, false, None)), (0, 1));
        assert_eq!(of(judge(&Found { rows: 3, ids: None }, 4, 0, true, Some(&sent))), (1, 0));
    }
}
