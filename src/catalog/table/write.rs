//! Writing a table: Parquet or CSV, by the ending of its name.
//!
//! **Invariant:** the name is given to a whole and synced file alone; a writer that is dropped before its end leaves nothing.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Names of unfinished tables that are tried.
const MOST: u32 = 1_000;

/// A table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name has an ending that says no format.
    #[error("{}: a table is written as Parquet or CSV: let its name end in .parquet or .csv", path.display())]
    Ending {
        /// The file to be.
        path: PathBuf,
    },
    /// The disk or the system refused something.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// What was tried, such as `create`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// The rows could not be put into the format.
    #[error("{}: the rows cannot be written: {reason}", path.display())]
    Rows {
        /// The file to be.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A table that is being written.
pub struct TableWriter {
    target: PathBuf,
    partial: PathBuf,
    out: Out,
    done: bool,
}

enum Out {
    Parquet(Box<ArrowWriter<File>>),
    Csv(Box<csv::Writer<BufWriter<File>>>),
    /// After the end.
    Closed,
}

impl TableWriter {
    /// Begins a table of these columns under another name beside its own.
    ///
    /// # Errors
    /// When the ending says no format, or the file cannot be created.
    pub fn create(target: &Path, schema: &Arc<Schema>) -> Result<TableWriter, WriteError> {
        let ending = target.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let parquet = match ending.as_str() {
            "parquet" | "pq" | "parq" => true,
            "csv" => false,
            _ => return Err(WriteError::Ending { path: target.to_owned() }),
        };
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // A name that nobody has: another process may write the same table, a killed one may have left its own.
        let mut number = 0;
        let (partial, file) = loop {
            let partial = target.with_file_name(format!(".{name}.{number}.partial"));
            match File::create_new(&partial) {
                Ok(file) => break (partial, file),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < MOST => number += 1,
                Err(source) => return Err(WriteError::Io { doing: "create", path: partial, source }),
            }
        };
        let mut writer = TableWriter { target: target.to_owned(), partial, out: Out::Closed, done: false };
        writer.out = if parquet {
            let level = ZstdLevel::try_new(3).map_err(|e| writer.refused(&e))?;
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
            let out = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|e| writer.refused(&e))?;
            Out::Parquet(Box::new(out))
        } else {
            let mut out = csv::Writer::from_writer(BufWriter::new(file));
            let names = schema.fields().iter().map(|field| field.name());
            out.write_record(names).map_err(|e| writer.unwritten(&e))?;
            Out::Csv(Box::new(out))
        };
        Ok(writer)
    }

    fn refused(&self, error: &ParquetError) -> WriteError {
        WriteError::Rows { path: self.target.clone(), reason: error.to_string() }
    }

    fn unwritten(&self, error: &csv::Error) -> WriteError {
        WriteError::Rows { path: self.target.clone(), reason: error.to_string() }
    }

    /// Appends rows of the columns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), WriteError> {
        let failed = |reason: String| WriteError::Rows { path: self.target.clone(), reason };
        match &mut self.out {
            Out::Parquet(out) => out.write(rows).map_err(|e| failed(e.to_string())),
            Out::Csv(out) => csv_rows(rows, |record| out.write_record(record)).map_err(failed),
            Out::Closed => Ok(()),
        }
    }

    /// Ends the table: syncs it and gives it its name, in the place of what had it.
    ///
    /// # Errors
    /// When the disk refuses; then nothing has changed under the name.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let failed = |doing: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::Io { doing, path, source }
        };
        let file = match std::mem::replace(&mut self.out, Out::Closed) {
            Out::Parquet(out) => out.into_inner().map_err(|e| self.refused(&e))?,
            Out::Csv(out) => {
                let buffered =
                    out.into_inner().map_err(|e| WriteError::Rows { path: self.target.clone(), reason: e.to_string() })?;
                buffered.into_inner().map_err(|e| failed("write", &self.partial)(e.into_error()))?
            }
            Out::Closed => return Ok(()),
        };
        file.sync_all().map_err(failed("sync", &self.partial))?;
        fs::rename(&self.partial, &self.target).map_err(failed("rename to", &self.target))?;
        self.done = true;
        let folder = self.target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync", folder))
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Rows as texts: numbers so that they read back the same, nothing for what is missing.
fn csv_rows(rows: &RecordBatch, mut write: impl FnMut(&[String]) -> csv::Result<()>) -> Result<(), String> {
    let options = FormatOptions::default();
    let columns: Vec<(&dyn Array, ArrayFormatter)> = rows
        .columns()
        .iter()
        .map(|column| Ok((column.as_ref(), ArrayFormatter::try_new(column.as_ref(), &options).map_err(|e| e.to_string())?)))
        .collect::<Result<_, String>>()?;
    let mut record = Vec::with_capacity(columns.len());
    for row in 0..rows.num_rows() {
        record.clear();
        for (column, formatter) in &columns {
            record.push(match column.data_type() {
                _ if column.is_null(row) => String::new(),
                DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
                _ => formatter.value(row).try_to_string().map_err(|e| e.to_string())?,
            });
        }
        write(&record).map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_array::{Float64Array, StringArray};
    use arrow_schema::Field;

    use super::*;
    use crate::catalog::table::{Dialect, Table};

    #[test]
    fn what_is_written_reads_back_and_nothing_is_left_of_what_is_not_ended() {
        let folder = tempfile::tempdir().unwrap();
        let fields = vec![Field::new("id", DataType::Utf8, false), Field::new("x", DataType::Float64, true)];
        let schema = Arc::new(Schema::new(fields));
        let ids = StringArray::from(vec!["a,b", "c \"d\""]);
        let numbers = Float64Array::from(vec![Some(0.1 + 0.2), None]);
        let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(ids), Arc::new(numbers.clone())]).unwrap();
        for name in ["x.csv", "x.parquet"] {
            let path = folder.path().join(name);
            let mut writer = TableWriter::create(&path, &schema).unwrap();
            writer.write(&rows).unwrap();
            drop(writer);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
            let mut writer = TableWriter::create(&path, &schema).unwrap();
            writer.write(&rows).unwrap();
            writer.finish().unwrap();
            let table = Table::open(&path, &Dialect::default()).unwrap();
            let block = table.batches(&["id", "x"], 10).unwrap().next().unwrap().unwrap();
            assert_eq!(block.batch.column(0).as_string::<i32>().value(1), "c \"d\"");
            assert_eq!(block.batch.column(1).as_primitive::<arrow_array::types::Float64Type>(), &numbers);
            fs::remove_file(&path).unwrap();
        }
        let error = TableWriter::create(&folder.path().join("x.txt"), &schema).err().unwrap().to_string();
        assert!(error.contains(".parquet or .csv"), "{error}");
    }
}
