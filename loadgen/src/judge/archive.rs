//! What the archive holds: every row of every Parquet file, compared with what was sent.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, StructArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::cell::{Comparer, number, text};
use super::sent::{Again, Sent};
use super::tally::{Origin, Tally, Wrong, identify};
use crate::error::Error;
use crate::files;

/// The column that says where a row came from.
const OWN: &str = "skysluice";
/// Rows that are decoded at once: with cut-outs a few megabytes.
const ROWS: usize = 64;

/// Reads an archive. Returns the columns of the alerts that it doesn't have, too.
pub(super) fn read(root: &Path, sent: &Sent, again: &mut Again) -> Result<(Tally, BTreeSet<String>), Error> {
    let mut reader = Reading { sent, again, tally: Tally::new(sent.len()), comparer: Comparer::default() };
    for path in files::below(root, "parquet")? {
        reader.tally.files += 1;
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        match reader.file(&path, &name)? {
            Ok(()) => {}
            Err(problem) => reader.tally.fault(Wrong::Unreadable, None, || format!("{name}: {problem}")),
        }
    }
    let Reading { mut tally, comparer, .. } = reader;
    tally.compared = comparer.compared;
    Ok((tally, comparer.absent))
}

/// Reads the footer of a file and its column of ids; returns its rows.
pub(crate) fn ids(path: &Path, column: &str) -> Result<u64, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).map_err(|e| text(&e))?).map_err(|e| text(&e))?;
    let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
    let columns = ProjectionMask::columns(reader.parquet_schema(), [column]);
    let mut read = 0;
    for batch in reader.with_projection(columns).build().map_err(|e| text(&e))? {
        let batch = batch.map_err(|e| text(&e))?;
        if batch.num_columns() != 1 {
            return Err(format!("has no column {column}"));
        }
        read += batch.num_rows() as u64;
    }
    if read == rows { Ok(rows) } else { Err(format!("has {read} rows where its footer says {rows}")) }
}

struct Reading<'a> {
    sent: &'a Sent,
    again: &'a mut Again,
    tally: Tally,
    comparer: Comparer,
}

impl Reading<'_> {
    /// Reads a file; the inner error is the file's fault.
    fn file(&mut self, path: &Path, name: &str) -> Result<Result<(), String>, Error> {
        let opened = File::open(path).map_err(|error| error.to_string());
        let reader = opened.and_then(|file| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
            reader.with_batch_size(ROWS).build().map_err(|error| error.to_string())
        });
        let reader = match reader {
            Ok(reader) => reader,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut at = 0;
        for batch in reader {
            let rows = match batch {
                Ok(batch) => StructArray::from(batch),
                Err(error) => return Ok(Err(format!("from row {at} on: {error}"))),
            };
            for row in 0..rows.len() {
                self.row(&rows, row, &|| format!("{name} row {}", at + row))?;
            }
            at += rows.len();
        }
        Ok(Ok(()))
    }

    fn row(&mut self, rows: &StructArray, row: usize, here: &dyn Fn() -> String) -> Result<(), Error> {
        self.tally.found += 1;
        let own = rows.column_by_name(OWN).and_then(|own| own.as_struct_opt());
        let own = |name: &str| own.and_then(|own| own.column_by_name(name)).filter(|column| column.is_valid(row));
        let origin = Origin {
            topic: own("topic").and_then(|column| text(column, row)),
            partition: own("partition").and_then(|column| number::<Int32Type>(column, row)),
            offset: own("offset").and_then(|column| number::<Int64Type>(column, row)),
            record: own("record").and_then(|column| number::<Int32Type>(column, row)),
            timestamp: own("received").and_then(|column| number::<TimestampMillisecondType>(column, row)),
        };
        let id = self.sent.id_field.and_then(|field| rows.column_by_name(field)).filter(|column| column.is_valid(row));
        let id = id.and_then(|column| number::<Int64Type>(column, row));
        let Some(who) = identify(self.sent, &mut self.tally, &origin, id, here) else { return Ok(()) };
        self.tally.hit(who);
        let original = self.again.make(self.sent, who)?;
        let altered = match &original.alert {
            None => Some("was broken when it was sent, so that nobody can have decoded it".to_owned()),
            Some((alert, writer)) => self.comparer.row(writer, alert, rows, row).err().map(|difference| difference.to_string()),
        };
        if let Some(difference) = altered {
            let sent = self.sent;
            self.tally.fault(Wrong::Altered, Some(who), || format!("{}: {}: {difference}", here(), sent.name(who)));
        }
        Ok(())
    }
}
