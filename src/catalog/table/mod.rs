//! Tables of positions as surveys publish them: CSV and its kin, Parquet and HATS, FITS binary tables, VOTable. A table is
//! opened, says which columns it has, and gives those that are wanted in batches of arrow arrays.
//!
//! May depend on: `sky`, and of `config` on how its files are read; arrow, parquet, quick-xml, flate2. Reads files and nothing
//! else.
//!
//! **Invariants:** memory is bounded by the batch that is asked for, whatever the file holds; of a row only what is wanted is
//! parsed; each row and each fault can be named by its place; no file, however broken, makes a reader panic or read without end.

mod cells;
mod csv;
mod descriptor;
mod dialect;
mod error;
mod fits;
mod input;
mod names;
mod parquet;
mod place;
mod positions;
mod sniff;
mod votable;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};

pub use descriptor::{Carried, Descriptor, DescriptorColumns};
pub use dialect::{Delimiter, Dialect, Encoding, Format, Header, Kind};
pub use error::TableError;
pub use place::{Counted, Place};
pub use positions::{Frame, IdColumn, Oddity, Part, PositionColumns, Positions, Rejects, Report, Unit, position};
pub use write::{TableWriter, WriteError};

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name; of several with the same name the second is called `name#2`, and so on.
    pub name: String,
    /// The type of its arrow arrays: Boolean, the numbers of 8 to 64 bits, Utf8, and the times of Parquet.
    pub data_type: DataType,
    /// Its unit as the file writes it.
    pub unit: Option<String>,
    /// What the file says about it, one line.
    pub description: Option<String>,
    /// What it means, in the words of the Virtual Observatory (UCD 1+), where the file says so.
    pub ucd: Option<String>,
    /// The frame that it belongs to, where the file says so for this column.
    pub frame: Option<String>,
}

impl Column {
    pub(super) fn new(name: impl Into<String>, data_type: DataType) -> Column {
        Column { name: name.into(), data_type, unit: None, description: None, ucd: None, frame: None }
    }
}

/// A column that is in the file and cannot be read as one value in each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What a file says about its table as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Name of the table.
    pub name: Option<String>,
    /// The frame of its positions, as written: `ICRS`, `FK5`...
    pub frame: Option<String>,
    /// The equinox of the frame, where one is given: `J2000`, `2000.0`.
    pub equinox: Option<String>,
    /// The epoch of its positions, Julian years.
    pub epoch: Option<f64>,
    /// The scale of its times, as written.
    pub time_scale: Option<String>,
    /// Names of the columns of right ascension and declination, where the file names them (HATS).
    pub position: Option<(String, String)>,
}

/// A table that was opened.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    format: Format,
    columns: Vec<Column>,
    left_out: Vec<LeftOut>,
    rows: Option<u64>,
    meta: Meta,
    source: Source,
}

/// What each format has to know to read its rows.
#[derive(Debug)]
enum Source {
    Csv(csv::Layout),
    Parquet(parquet::Layout),
    Fits(fits::Layout),
    Votable(votable::Layout),
}

/// What opening a file of any format gives.
struct Opened {
    columns: Vec<Column>,
    left_out: Vec<LeftOut>,
    rows: Option<u64>,
    meta: Meta,
    source: Source,
}

/// Rows in the order of the file.
#[derive(Clone, Debug)]
pub struct Block {
    /// The wanted columns, in the order in which they were asked for, under the names of the table.
    pub batch: RecordBatch,
    /// Where its first row is.
    pub first: Place,
    /// What is wrong with its rows, where that is to be noted and not refused ([`Faults::Note`]): by row.
    pub faults: Vec<Fault>,
    /// Line of each row, where lines are counted and rows can be of several lines.
    lines: Vec<u64>,
}

/// A cell that cannot be read, or a row that is no row. Its cells are null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Row of the block, from 0.
    pub row: usize,
    /// Place of the column among those that were asked for; none when it is the whole row.
    pub column: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

/// What becomes of cells and rows that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    /// The first of them ends the reading.
    #[default]
    Refuse,
    /// They are null, and noted in [`Block::faults`].
    Note,
}

impl Block {
    /// Where a row of it is, from 0.
    #[must_use]
    pub fn place(&self, row: usize) -> Place {
        Place { number: self.number(row), ..self.first.clone() }
    }

    /// The number of the place alone.
    fn number(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or(self.first.number + row as u64)
    }
}

/// The rows of a table, block by block.
pub struct Batches(Box<dyn Iterator<Item = Result<Block, TableError>> + Send>);

impl Iterator for Batches {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// What the readers of all formats are asked for.
#[derive(Clone)]
struct Wish {
    path: Arc<Path>,
    /// Places in [`Table::columns`], in the order that is wanted.
    wanted: Vec<usize>,
    schema: Arc<Schema>,
    rows: usize,
    faults: Faults,
}

impl Wish {
    /// Puts the arrays of a block together.
    fn batch(&self, arrays: Vec<arrow_array::ArrayRef>, rows: usize) -> Result<RecordBatch, TableError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|e| TableError::Asked { path: self.path.to_path_buf(), reason: format!("its columns do not fit: {e}") })
    }
}

impl Table {
    /// Rows of a block that suits most tables.
    pub const BLOCK_ROWS: usize = 16_384;

    /// Opens a file (or a folder of Parquet files) and finds out its columns.
    ///
    /// # Errors
    /// When it cannot be opened, is of no known format, or its head is broken.
    pub fn open(path: &Path, dialect: &Dialect) -> Result<Table, TableError> {
        let format = match dialect.format {
            Some(format) => format,
            None => sniff::format(path)?,
        };
        let Opened { mut columns, left_out, rows, meta, source } = match format {
            Format::Csv => csv::open(path, dialect)?,
            Format::Parquet => parquet::open(path)?,
            Format::Fits => fits::open(path, dialect)?,
            Format::Votable => votable::open(path, dialect)?,
        };
        names::tell_apart(&mut columns);
        Ok(Table { path: path.to_owned(), format, columns, left_out, rows, meta, source })
    }

    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The columns that can be read, in the order of the file.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns that cannot be read, with the reason.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Number of rows, where the file says it before it is read. It is what the file promises: count what comes.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// The files that its rows are in: itself, or those of the folder in their order.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Parquet(layout) => layout.files().to_vec(),
            _ => vec![self.path.clone()],
        }
    }

    /// What the file says about the table as a whole.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Place of a column among [`Table::columns`]: by its very name, or by the only one that differs in case alone.
    ///
    /// # Errors
    /// When there is none, or several that differ in case, or it cannot be read; the nearest names are told.
    pub fn column(&self, name: &str) -> Result<usize, TableError> {
        names::find(&self.path, &self.columns, &self.left_out, name)
    }

    /// Its columns for a message.
    fn listed(&self) -> String {
        names::list(&self.columns)
    }

    /// Reads the wanted columns from the beginning, `rows` rows at a time (the last block, and the last of each file of a
    /// folder, may be shorter). A cell that cannot be read ends it with an error.
    ///
    /// # Errors
    /// When a column is not there or the file cannot be opened again; each block may be an error, which is the last.
    pub fn batches(&self, wanted: &[&str], rows: usize) -> Result<Batches, TableError> {
        self.batches_with(wanted, rows, Faults::Refuse)
    }

    /// As [`Table::batches`]; `faults` says what becomes of cells that cannot be read.
    ///
    /// # Errors
    /// As [`Table::batches`].
    pub fn batches_with(&self, wanted: &[&str], rows: usize, faults: Faults) -> Result<Batches, TableError> {
        self.batches_of(wanted, rows, faults, None)
    }

    /// As [`Table::batches_with`]; `text` is the place among those wanted of a column that is read as it is written, where the file
    /// is one of texts.
    fn batches_of(&self, wanted: &[&str], rows: usize, faults: Faults, text: Option<usize>) -> Result<Batches, TableError> {
        let text = text.filter(|_| self.format == Format::Csv);
        let wanted: Vec<usize> = wanted.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?;
        let fields: Vec<Field> = wanted
            .iter()
            .enumerate()
            .map(|(place, &column)| {
                let Column { name, data_type, .. } = &self.columns[column];
                Field::new(name, if text == Some(place) { DataType::Utf8 } else { data_type.clone() }, true)
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let wish = Wish { path: Arc::from(self.path.as_path()), wanted, schema, rows: rows.max(1), faults };
        let blocks: Box<dyn Iterator<Item = Result<Block, TableError>> + Send> = match &self.source {
            Source::Csv(layout) => Box::new(csv::read(layout, wish)?),
            Source::Parquet(layout) => Box::new(parquet::read(layout, wish)),
            Source::Fits(layout) => Box::new(fits::read(layout, wish)?),
            Source::Votable(layout) => Box::new(votable::read(layout, wish)?),
        };
        Ok(Batches(Box::new(UntilError { blocks: Some(blocks) })))
    }
}

/// Ends after an error: what a reader would find behind it is not to be trusted.
struct UntilError<I> {
    blocks: Option<I>,
}

impl<I: Iterator<Item = Result<Block, TableError>>> Iterator for UntilError<I> {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.blocks.as_mut()?.next();
        if !matches!(next, Some(Ok(_))) {
            self.blocks = None;
        }
        next
    }
}
