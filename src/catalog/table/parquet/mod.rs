//! Parquet: one file, a folder of files of one schema, or a HATS directory.
//!
//! The types that writers noted beside the schema (the Arrow schema: dictionaries, views, large texts) are left aside: they say
//! how an array was in memory, and without them every text comes as Utf8. A library that meets broken pages may panic inside;
//! this is caught here and told as an error.

mod folder;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, cast::AsArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{Block, Column, Fault, Faults, LeftOut, Opened, Place, Source, TableError, Wish};

/// Files whose footers are read to count the rows when the table is opened.
const COUNTED: usize = 256;

/// The files of a table.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    files: Arc<Vec<PathBuf>>,
    folder: bool,
    /// Names of the columns in the files.
    names: Vec<String>,
}

impl Layout {
    /// The files, in their order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// Finds the files, and the columns of the first.
pub(super) fn open(path: &Path) -> Result<Opened, TableError> {
    let files = folder::find(path)?;
    let builder = builder(&files.paths[0])?;
    let (mut columns, mut left_out, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let told = described(&builder);
    for field in builder.schema().fields() {
        let name = field.name().clone();
        // What lies in a cell that the mask hides is no value.
        let mask = format!("{name}.mask");
        let kind = if told.iter().any(|column| column.name == mask && column.data_type == DataType::Boolean) {
            Err(format!("astropy tells in another column, `{mask}`, which of its cells hold a value: write it as FITS or ECSV"))
        } else {
            readable(field.data_type())
        };
        match kind {
            Ok(data_type) => {
                let said = told.iter().find(|column| column.name == name);
                let column = said.map_or_else(|| Column::new(&name, DataType::Null), Column::clone);
                columns.push(Column { data_type, ..column });
                names.push(name);
            }
            Err(reason) => left_out.push(LeftOut { name, reason }),
        }
    }
    let rows = match files.rows {
        Some(rows) => Some(rows),
        None if files.paths.len() <= COUNTED => {
            let mut rows = count(&builder);
            for other in &files.paths[1..] {
                rows = rows.saturating_add(count(&self::builder(other)?));
            }
            Some(rows)
        }
        None => None,
    };
    let layout = Layout { files: Arc::new(files.paths), folder: files.folder, names };
    Ok(Opened { columns, left_out, rows, meta: files.meta, source: Source::Parquet(layout) })
}

type Builder = ParquetRecordBatchReaderBuilder<File>;

fn count(builder: &Builder) -> u64 {
    u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0)
}

/// Opens a file and reads its footer.
fn builder(path: &Path) -> Result<Builder, TableError> {
    let file = File::open(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    caught(path, "the footer", || Builder::try_new_with_options(file, options).map_err(|e| e.to_string()))
}

/// Does something with a file that may be broken in ways that the library does not expect.
fn caught<T>(path: &Path, at: &str, what: impl FnOnce() -> Result<T, String>) -> Result<T, TableError> {
    let broken = |reason: String| TableError::format(path, at, format!("{reason}; if it was fetched, fetch it again"));
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(done) => done.map_err(broken),
        Err(_) => Err(broken("this is no sound Parquet".to_owned())),
    }
}

/// Units and descriptions, where astropy wrote the file: the header of an ECSV among its metadata.
fn described(builder: &Builder) -> Vec<Column> {
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let text =
        pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == "table_meta_yaml")).and_then(|pair| pair.value.as_ref());
    let header = text.and_then(|text| super::csv::ecsv_header(text, None).ok());
    header.map(|header| header.columns.into_iter().map(|(column, _)| column).collect()).unwrap_or_default()
}

/// The type in which a column of the file is given, or why it is not.
fn readable(kind: &DataType) -> Result<DataType, String> {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(DataType::Utf8),
        // Texts of writers that do not mark them as such.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Ok(DataType::Utf8),
        DataType::Dictionary(_, values) => readable(values),
        DataType::Float16 => Ok(DataType::Float32),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Ok(DataType::Float64)
        }
        DataType::Null => Ok(DataType::Utf8),
        DataType::Boolean | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Ok(kind.clone()),
        DataType::Time32(_) | DataType::Time64(_) => Ok(kind.clone()),
        kind if kind.is_primitive() && kind.is_numeric() => Ok(kind.clone()),
        DataType::Struct(_) => Err("it is a structure of several columns".to_owned()),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            Err("it holds several values in each row".to_owned())
        }
        other => Err(format!("its type {other} is not read")),
    }
}

/// Reads the rows, file by file.
pub(super) fn read(layout: &Layout, wish: Wish) -> Rows {
    Rows { layout: layout.clone(), wish, next: 0, now: None }
}

/// The rows of a table.
pub(super) struct Rows {
    layout: Layout,
    wish: Wish,
    /// The file after the one that is read.
    next: usize,
    now: Option<Reading>,
}

struct Reading {
    reader: ParquetRecordBatchReader,
    path: PathBuf,
    /// Place of each wanted column among those that are read: the file's order, each once.
    order: Vec<usize>,
    done: u64,
}

impl Iterator for Rows {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.now.is_none() {
                let path = self.layout.files.get(self.next)?.clone();
                self.next += 1;
                match self.start(path) {
                    Ok(reading) => self.now = Some(reading),
                    Err(error) => return Some(Err(error)),
                }
            }
            match self.block() {
                Ok(None) => self.now = None,
                Ok(Some(block)) => return Some(Ok(block)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Rows {
    fn start(&self, path: PathBuf) -> Result<Reading, TableError> {
        let builder = builder(&path)?;
        let schema = builder.schema().clone();
        let mut places = Vec::with_capacity(self.wish.wanted.len());
        for &wanted in &self.wish.wanted {
            let name = &self.layout.names[wanted];
            // Of several columns with one name the first, second...
            let before = self.layout.names[..wanted].iter().filter(|other| *other == name).count();
            let mut found = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name).map(|(place, _)| place);
            let place = found.nth(before).ok_or_else(|| {
                let reason = format!("it has no column `{name}`, which the first file of the folder has");
                TableError::format(&path, "the footer", reason)
            })?;
            places.push(place);
        }
        let mut read = places.clone();
        read.sort_unstable();
        read.dedup();
        let order = places.iter().map(|place| read.binary_search(place).unwrap_or(0)).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), read);
        let rows = self.wish.rows;
        let reader = caught(&path, "the footer", || {
            builder.with_projection(mask).with_batch_size(rows).build().map_err(|e| e.to_string())
        })?;
        Ok(Reading { reader, path, order, done: 0 })
    }

    fn block(&mut self) -> Result<Option<Block>, TableError> {
        let Some(now) = &mut self.now else { return Ok(None) };
        let at = format!("the rows from {}", now.done + 1);
        let next = caught(&now.path, &at, || now.reader.next().transpose().map_err(|e| e.to_string()))?;
        let Some(batch) = next else { return Ok(None) };
        let file = self.layout.folder.then(|| {
            let inside = now.path.strip_prefix(&self.wish.path).unwrap_or(&now.path);
            Arc::from(inside)
        });
        let first = Place { file, ..Place::row(now.done + 1) };
        let (mut arrays, mut faults) = (Vec::with_capacity(now.order.len()), Vec::new());
        for (column, (&place, field)) in now.order.iter().zip(self.wish.schema.fields()).enumerate() {
            let array = batch.column(place);
            let (array, wrong) = convert(array, field.data_type())
                .map_err(|reason| TableError::format(&now.path, at.as_str(), format!("column `{}`: {reason}", field.name())))?;
            for row in wrong {
                let reason = format!("column `{}` is not UTF-8", field.name());
                if self.wish.faults == Faults::Refuse {
                    let place = Place { number: first.number + row as u64, ..first.clone() };
                    return Err(TableError::Row { path: self.wish.path.to_path_buf(), place, reason });
                }
                faults.push(Fault { row, column: Some(column), reason });
            }
            arrays.push(array);
        }
        faults.sort_by_key(|fault| fault.row);
        now.done += batch.num_rows() as u64;
        let batch = self.wish.batch(arrays, batch.num_rows())?;
        Ok(Some(Block { batch, first, faults, lines: Vec::new() }))
    }
}

/// An array in the type of the table, and the rows that are no text.
fn convert(array: &ArrayRef, kind: &DataType) -> Result<(ArrayRef, Vec<usize>), String> {
    if array.data_type() == kind {
        return Ok((array.clone(), Vec::new()));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |array: &dyn Array, kind: &DataType| cast_with_options(array, kind, &strict).map_err(|e| e.to_string());
    let bytes = match array.data_type() {
        DataType::Dictionary(_, values) if values.is_binary() || matches!(**values, DataType::FixedSizeBinary(_)) => {
            cast(array, values)?
        }
        _ => array.clone(),
    };
    if !(bytes.data_type().is_binary() || matches!(bytes.data_type(), DataType::FixedSizeBinary(_))) {
        return Ok((cast(array, kind)?, Vec::new()));
    }
    let bytes = cast(&bytes, &DataType::Binary)?;
    let bytes: &BinaryArray = bytes.as_binary();
    let mut wrong = Vec::new();
    let texts = bytes.iter().enumerate().map(|(row, value)| {
        let value = value?;
        let value = &value[..memchr::memchr(0, value).unwrap_or(value.len())];
        let text = std::str::from_utf8(value);
        if text.is_err() {
            wrong.push(row);
        }
        text.ok()
    });
    let texts: StringArray = texts.collect();
    Ok((Arc::new(texts), wrong))
}
