//! Looking into one archived file: its schema, one of its rows, and how columns are stored.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;

use super::footer::{ReadError, key};

/// The JSON text of the schema that the alerts of a file were written with, from its footer; `None` where Skysluice did not
/// write the file.
///
/// # Errors
/// When the file can't be read or is no Parquet file.
pub fn read_schema(path: &Path) -> Result<Option<String>, ReadError> {
    let file = open(path)?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|e| no_parquet(path, e))?;
    let pairs = metadata.file_metadata().key_value_metadata();
    Ok(pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key::SCHEMA)?.value.clone()))
}

/// One row of a file, counted from 0, with all its columns; no row where the file has fewer. And how many rows it has.
///
/// # Errors
/// When the file can't be read or is no Parquet file.
pub fn read_row(path: &Path, row: usize) -> Result<(Option<RecordBatch>, usize), ReadError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|e| no_parquet(path, e))?;
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let reader = builder.with_offset(row).with_limit(1).with_batch_size(1).build().map_err(|e| no_parquet(path, e))?;
    let batch = reader.into_iter().next().transpose().map_err(|e| no_parquet(path, e.into()))?;
    Ok((batch.filter(|batch| batch.num_rows() == 1), rows))
}

/// How each leaf of a schema is stored: physical and logical type, in the order of the leaves.
///
/// # Errors
/// When a type cannot be stored.
pub fn column_types(schema: &Schema) -> Result<Vec<String>, ParquetError> {
    let stored = ArrowSchemaConverter::new().convert(schema)?;
    let words = |column: &parquet::schema::types::ColumnDescPtr| match column.logical_type_ref() {
        None => column.physical_type().to_string(),
        Some(logical) => format!("{} ({logical:?})", column.physical_type()),
    };
    Ok(stored.columns().iter().map(words).collect())
}

fn open(path: &Path) -> Result<File, ReadError> {
    File::open(path).map_err(|source| ReadError::Io { path: path.to_path_buf(), source })
}

fn no_parquet(path: &Path, source: ParquetError) -> ReadError {
    ReadError::Parquet { path: path.to_path_buf(), source }
}
