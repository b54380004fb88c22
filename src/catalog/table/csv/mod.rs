//! Texts with a row in each line: CSV, TSV and every dialect between them.
//!
//! Cut here and not by the `csv` crate, which knows no blanks around quotes, no fields by need, and no place for a byte that is
//! no UTF-8.

mod ecsv;
mod infer;
mod split;

use std::path::Path;

use arrow_schema::{DataType, Field};

use super::cells::{Cells, called, shown};
use super::dialect::{Delimiter, Dialect, Encoding, Header, Kind};
use super::input::Input;
use super::{Block, Column, Fault, Faults, LeftOut, Meta, Opened, Place, Source, TableError, Wish};
use split::{LONGEST, Next, Rules, Splitter};

pub(super) use ecsv::header as ecsv_header;

/// How the rows of a text are read.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    rules: Rules,
    skip: u64,
    /// The first record is the header.
    header: bool,
    /// Cells of a row.
    width: usize,
    /// Place of each readable column among the cells.
    places: Vec<usize>,
    nulls: Nulls,
    encoding: Encoding,
    sampled: usize,
}

/// Texts that mean "no value".
#[derive(Clone, Debug)]
struct Nulls {
    words: Vec<Vec<u8>>,
    /// Bit n is set when a word has n bytes: most cells are done with this.
    lengths: u64,
}

impl Nulls {
    fn new(dialect: &Dialect) -> Nulls {
        let words: Vec<Vec<u8>> = match &dialect.nulls {
            Some(words) => words.iter().map(|word| word.trim().as_bytes().to_vec()).collect(),
            None => Dialect::NULLS.iter().map(|word| word.as_bytes().to_vec()).collect(),
        };
        let lengths = words.iter().fold(1, |bits, word| bits | 1 << word.len().min(63));
        Nulls { words, lengths }
    }

    fn has(&self, cell: &[u8]) -> bool {
        self.lengths >> cell.len().min(63) & 1 == 1 && (cell.is_empty() || self.words.iter().any(|word| word == cell))
    }
}

fn one_byte(path: &Path, what: &str, text: Option<&str>, usual: u8) -> Result<Option<u8>, TableError> {
    match text.map(str::as_bytes) {
        None => Ok(Some(usual)),
        Some([]) => Ok(None),
        Some([byte]) if byte.is_ascii_graphic() => Ok(Some(*byte)),
        Some(_) => Err(TableError::Asked { path: path.to_owned(), reason: format!("the {what} has to be one sign of ASCII") }),
    }
}

/// Finds out the columns of a text and their types.
pub(super) fn open(path: &Path, dialect: &Dialect) -> Result<Opened, TableError> {
    let broken = |source| TableError::read(path, "the first lines", source);
    let quote = one_byte(path, "quote", dialect.quote.as_deref(), b'"')?;
    let comment = dialect.comment.clone().unwrap_or_else(|| "#".to_owned()).into_bytes();
    let mut rules = Rules { delimiter: Delimiter::Byte(b','), quote, comment };
    let start = |rules: &Rules| Splitter::new(Input::open(path)?, rules.clone(), dialect.skip_lines).map_err(broken);

    // The comments come first: an ECSV says its delimiter in them.
    let mut head = start(&rules)?;
    let endless = |line| TableError::format(path, format!("line {line}"), endless(line));
    if let Next::Endless(line) = head.next().map_err(broken)? {
        return Err(endless(line));
    }
    let comments = head.comments();
    let ecsv = match ecsv::read(&comments) {
        None => None,
        Some(Ok(ecsv)) => Some(ecsv),
        Some(Err(reason)) => return Err(TableError::format(path, "the ECSV header", format!("{reason}; is it cut off?"))),
    };
    let said = ecsv.as_ref().and_then(|ecsv| ecsv.delimiter);
    rules.delimiter = match dialect.delimiter.or(said) {
        Some(delimiter) => delimiter,
        None => infer::delimiter(start(&rules)?.ahead().map_err(broken)?, &rules),
    };

    let mut text = start(&rules)?;
    let mut names = None;
    let mut scratch = Vec::new();
    let mut line = 1;
    let from_comment = dialect.header == Header::Comment;
    if dialect.header == Header::Line {
        match text.next().map_err(broken)? {
            Next::Record { line: at, .. } => line = at,
            Next::End if dialect.names.is_some() => {}
            Next::End => {
                return Err(TableError::format(path, format!("line {}", text.line()), "the file ends before its header"));
            }
            Next::Endless(line) => return Err(endless(line)),
        }
        names = Some(cells(&text, dialect.encoding, &mut scratch));
    } else if from_comment && let Some(last) = comments.last() {
        let inner: Rules = Rules { comment: Vec::new(), ..rules.clone() };
        names = Some(infer::cut(last.trim(), &inner));
    }
    let nulls = Nulls::new(dialect);
    let rows = dialect.sample_rows.unwrap_or(Dialect::SAMPLE_ROWS);
    let sample = infer::sample(&mut text, rows, |cell| nulls.has(cell)).map_err(broken)?;
    if let Some(names) = &names
        && names.len() == 1
        && sample.width > 1
        && dialect.names.is_none()
    {
        return Err(TableError::format(
            path,
            format!("line {line}"),
            format!(
                "the header `{}` has one cell, but the rows below have {}: if it is no header, give `skip_lines`",
                shown(names[0].as_bytes()),
                sample.width
            ),
        ));
    }
    let names = match (&dialect.names, names) {
        (Some(given), found) => {
            let width = found.as_ref().map_or(sample.width, Vec::len).max(usize::from(sample.width == 0) * given.len());
            if given.len() != width {
                let reason = format!("there are {width} columns, but {} names for them are given", given.len());
                return Err(TableError::format(path, format!("line {line}"), reason));
            }
            given.clone()
        }
        (None, Some(mut found)) => {
            // A delimiter at the end of each line makes no column.
            while found.len() > 1 && found.last().is_some_and(String::is_empty) {
                found.pop();
            }
            found
        }
        (None, None) => (1..=sample.width).map(|i| format!("col{i}")).collect(),
    };
    for wanted in dialect.types.keys() {
        if !names.contains(wanted) {
            let columns: Vec<Column> = names.iter().map(|name| Column::new(name, DataType::Utf8)).collect();
            return super::names::find(path, &columns, &[], wanted).and(Err(TableError::Asked {
                path: path.to_owned(),
                reason: format!("a type is given for the column `{wanted}`: write it as the table does"),
            }));
        }
    }
    let (mut columns, mut left_out, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        let stated = ecsv.as_ref().and_then(|ecsv| ecsv.columns.iter().find(|(column, _)| column.name == *name));
        let column = match (dialect.types.get(name), stated) {
            (Some(kind), said) => {
                Column { data_type: data_type(*kind), ..said.map_or(Column::new(name, DataType::Utf8), |said| said.0.clone()) }
            }
            (None, Some((column, Some(_)))) => column.clone(),
            (None, Some((_, None))) => {
                left_out.push(LeftOut { name: name.clone(), reason: "it holds several values in each row".to_owned() });
                continue;
            }
            (None, None) => Column::new(name, sample.kind(place)),
        };
        columns.push(column);
        places.push(place);
    }
    let layout = Layout {
        rules,
        skip: dialect.skip_lines,
        header: dialect.header == Header::Line,
        width: names.len(),
        places,
        nulls,
        encoding: dialect.encoding,
        sampled: sample.rows,
    };
    Ok(Opened { columns, left_out, rows: None, meta: Meta::default(), source: Source::Csv(layout) })
}

fn endless(line: u64) -> String {
    format!("the record that begins in line {line} is longer than {} MiB: is a quote not closed?", LONGEST >> 20)
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Int => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Text => DataType::Utf8,
    }
}

/// The cells of a record as texts.
fn cells(text: &Splitter, encoding: Encoding, scratch: &mut Vec<u8>) -> Vec<String> {
    let word = |bytes: &[u8]| match encoding {
        Encoding::Utf8 => String::from_utf8_lossy(bytes).trim().to_owned(),
        Encoding::Latin1 => latin1(bytes).trim().to_owned(),
    };
    (0..text.len()).map(|place| word(text.cell(place, scratch))).collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Reads the rows of a text.
pub(super) fn read(layout: &Layout, wish: Wish) -> Result<Rows, TableError> {
    let broken = |source| TableError::read(&wish.path, "the first lines", source);
    let mut text = Splitter::new(Input::open(&wish.path)?, layout.rules.clone(), layout.skip).map_err(broken)?;
    if layout.header {
        text.next().map_err(broken)?;
    }
    text.comments();
    Ok(Rows { text, layout: layout.clone(), wish, scratch: Vec::new() })
}

/// The rows of a text.
pub(super) struct Rows {
    text: Splitter,
    layout: Layout,
    wish: Wish,
    scratch: Vec<u8>,
}

impl Iterator for Rows {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.block().transpose()
    }
}

impl Rows {
    fn block(&mut self) -> Result<Option<Block>, TableError> {
        let fields = self.wish.schema.fields().clone();
        let mut columns: Vec<Cells> = fields.iter().map(|field| Cells::new(field.data_type())).collect();
        let (mut lines, mut faults) = (Vec::new(), Vec::new());
        while lines.len() < self.wish.rows {
            let at = self.text.line();
            let next = self.text.next();
            let (line, stray) = match next.map_err(|e| TableError::read(&self.wish.path, format!("line {at}"), e))? {
                Next::Record { line, stray } => (line, stray),
                Next::End => break,
                Next::Endless(line) => {
                    return Err(TableError::format(&self.wish.path, format!("line {line}"), endless(line)));
                }
            };
            let row = lines.len();
            lines.push(line);
            if let Some(reason) = self.wrong_row(stray) {
                self.fault(&mut faults, line, Fault { row, column: None, reason })?;
                columns.iter_mut().for_each(Cells::null);
                continue;
            }
            for (wanted, cells) in columns.iter_mut().enumerate() {
                let place = self.layout.places[self.wish.wanted[wanted]];
                let cell = self.text.cell(place, &mut self.scratch);
                if self.layout.nulls.has(cell) {
                    cells.null();
                    continue;
                }
                if let Err(why) = take(cells, cell, self.layout.encoding) {
                    let reason = reason(why, cell, &fields[wanted], self.layout.sampled);
                    self.fault(&mut faults, line, Fault { row, column: Some(wanted), reason })?;
                    cells.null();
                }
            }
        }
        let Some(&first) = lines.first() else { return Ok(None) };
        let batch = self.wish.batch(columns.iter_mut().map(Cells::finish).collect(), lines.len())?;
        Ok(Some(Block { batch, first: Place::line(first), faults, lines }))
    }

    /// What is wrong with the row as a whole.
    fn wrong_row(&mut self, stray: bool) -> Option<String> {
        let (found, width) = (self.text.len(), self.layout.width);
        if stray {
            return Some("a quote is not closed, or something is behind it before the next delimiter".to_owned());
        }
        // A delimiter behind the last cell is no further cell.
        let trailing = found == width + 1 && self.text.cell(width, &mut self.scratch).is_empty();
        (found != width && !trailing).then(|| format!("the row has {found} cells, the table {width} columns"))
    }

    fn fault(&self, faults: &mut Vec<Fault>, line: u64, fault: Fault) -> Result<(), TableError> {
        if self.wish.faults == Faults::Refuse {
            let path = self.wish.path.to_path_buf();
            return Err(TableError::Row { path, place: Place::line(line), reason: fault.reason });
        }
        faults.push(fault);
        Ok(())
    }
}

/// What is said of a cell.
fn reason(why: Wrong, cell: &[u8], field: &Field, sampled: usize) -> String {
    let (name, cell) = (field.name(), shown(cell));
    match why {
        Wrong::Bytes => {
            format!("column `{name}`: `{cell}` is not UTF-8; if the file is in ISO 8859-1, give `encoding: latin-1`")
        }
        Wrong::Type => format!(
            "column `{name}`: `{cell}` is not {}, as the column is by its header or its first {sampled} rows; give its type in \
             `types` or, if it means that there is no value, name it in `nulls`",
            called(field.data_type())
        ),
    }
}

enum Wrong {
    Bytes,
    Type,
}

fn take(cells: &mut Cells, cell: &[u8], encoding: Encoding) -> Result<(), Wrong> {
    let parsed = match std::str::from_utf8(cell) {
        Ok(text) if encoding == Encoding::Utf8 || text.is_ascii() => cells.parse(text),
        Err(_) if encoding == Encoding::Utf8 => return Err(Wrong::Bytes),
        _ => cells.parse(&latin1(cell)),
    };
    if parsed { Ok(()) } else { Err(Wrong::Type) }
}
