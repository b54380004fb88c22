//! The binary tables of FITS (FITS standard 4.0, section 7.3).
//!
//! Decoded here. fitsio-pure 0.25 was looked at first: it reads tables only out of a file that is in memory as a whole, does
//! not know TNULL, makes f64 of all that is scaled (an id of 64 bits without sign loses digits), and takes a header that it
//! cannot read for the end of the file. Texts that are no UTF-8 are taken as ISO 8859-1; they should be ASCII.

mod decode;
mod header;

use std::path::Path;

use arrow_schema::DataType;

use super::dialect::Dialect;
use super::input::{Input, read_full};
use super::{Block, Column, LeftOut, Meta, Opened, Place, Source, TableError, Wish};
use decode::Cell;
use header::{BLOCK, Cards};

/// HDUs of a file that are looked through.
const MOST_HDUS: usize = 10_000;
/// Columns of a table (section 7.3.1).
const MOST_COLUMNS: u64 = 999;
/// Bytes of a row; the standard knows no bound, a buffer needs one.
const WIDEST: u64 = 64 << 20;
/// Bytes of the buffer in which rows are read: they should stay in the cache until they are decoded.
const BUFFER: usize = 1 << 20;

/// Where the rows are, and what is in them.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    hdu: usize,
    start: u64,
    row_bytes: usize,
    rows: u64,
    cells: Vec<Cell>,
}

/// Finds the table and its columns.
pub(super) fn open(path: &Path, dialect: &Dialect) -> Result<Opened, TableError> {
    let mut input = Input::open(path)?;
    let (mut start, mut tables) = (0u64, Vec::new());
    for hdu in 0..MOST_HDUS {
        let Some(cards) = Cards::read(path, &mut input, hdu)? else { break };
        start += cards.blocks() * BLOCK;
        let name = cards.text("EXTNAME").unwrap_or_default().to_owned();
        let is_table = matches!(cards.text("XTENSION"), Some("BINTABLE" | "A3DTABLE"));
        // A compressed image is stored as a table, but is none.
        let is_data = is_table && !cards.is_true("ZIMAGE");
        let wanted = match &dialect.table {
            None => is_data,
            Some(wanted) => hdu > 0 && (wanted.eq_ignore_ascii_case(&name) || wanted.parse() == Ok(hdu)),
        };
        if wanted {
            if !is_table {
                let kind = cards.text("XTENSION").unwrap_or("no extension").to_owned();
                let reason = format!("it is {kind} and no binary table (BINTABLE)");
                return Err(TableError::format(path, format!("HDU {hdu}"), reason));
            }
            return table(path, &input, hdu, start, &cards);
        }
        tables.push(format!("{hdu} ({})", if name.is_empty() { "no name" } else { &name }));
        let bytes = cards.data_bytes(path, hdu)?.div_ceil(BLOCK) * BLOCK;
        let behind = start.saturating_add(bytes);
        if input.length().is_some_and(|length| behind > length.div_ceil(BLOCK) * BLOCK) {
            return Err(cut_off(path, hdu, "its data end behind the end of the file"));
        }
        input.skip(bytes).map_err(|e| TableError::read(path, format!("the data of HDU {hdu}"), e))?;
        start = behind;
    }
    let at = "the file".to_owned();
    Err(match &dialect.table {
        Some(wanted) => TableError::format(
            path,
            at,
            format!("no extension is called or numbered `{wanted}`; there are {}", tables.join(", ")),
        ),
        None => TableError::format(path, at, format!("it has no binary table; its HDUs are {}", tables.join(", "))),
    })
}

fn cut_off(path: &Path, hdu: usize, what: &str) -> TableError {
    TableError::format(path, format!("HDU {hdu}"), format!("{what}: the file is cut off; fetch it again"))
}

fn table(path: &Path, input: &Input, hdu: usize, start: u64, cards: &Cards) -> Result<Opened, TableError> {
    let bad = |reason: String| TableError::format(path, format!("the header of HDU {hdu}"), reason);
    let row_bytes = cards.count(path, hdu, "NAXIS1", None)?;
    let rows = cards.count(path, hdu, "NAXIS2", None)?;
    let fields = cards.count(path, hdu, "TFIELDS", None)?;
    if cards.integer("BITPIX") != Some(8) || cards.integer("NAXIS") != Some(2) || fields > MOST_COLUMNS {
        return Err(bad("a binary table has BITPIX = 8, NAXIS = 2 and TFIELDS up to 999".to_owned()));
    }
    if row_bytes > WIDEST {
        return Err(bad(format!("NAXIS1 = {row_bytes}: rows of more than {} MiB are not read", WIDEST >> 20)));
    }
    if row_bytes == 0 && rows > 0 {
        return Err(bad(format!("NAXIS1 = 0: its {rows} rows hold nothing")));
    }
    let bytes = row_bytes.checked_mul(rows).and_then(|bytes| bytes.checked_add(start));
    let Some(end) = bytes else { return Err(bad(format!("NAXIS2 = {rows}: no file is that large"))) };
    if let Some(length) = input.length().filter(|length| *length < end) {
        let there = length.saturating_sub(start) / row_bytes.max(1);
        return Err(cut_off(path, hdu, &format!("of the {rows} rows that NAXIS2 promises, {there} are there")));
    }
    let (mut columns, mut cells, mut left_out, mut offset) = (Vec::new(), Vec::new(), Vec::new(), 0u64);
    for n in 1..=fields {
        let name = cards.text(&format!("TTYPE{n}")).map_or_else(|| format!("col{n}"), |name| name.trim().to_owned());
        let form = cards.text(&format!("TFORM{n}")).ok_or_else(|| bad(format!("TFORM{n} is missing")))?;
        let (width, cell) = decode::cell(cards, n, form, offset)
            .map_err(|reason| bad(format!("TFORM{n} = '{form}' (column `{name}`): {reason}")))?;
        offset += width;
        match cell {
            Ok((cell, data_type)) => {
                let mut column = Column::new(name, data_type);
                column.unit = cards.text(&format!("TUNIT{n}")).filter(|unit| !unit.is_empty()).map(str::to_owned);
                column.description = cards.text(&format!("TCOMM{n}")).map(str::to_owned);
                column.ucd = cards.text(&format!("TUCD{n}")).map(str::to_owned);
                columns.push(column);
                cells.push(cell);
            }
            Err(reason) => left_out.push(LeftOut { name, reason }),
        }
    }
    if offset > row_bytes {
        return Err(bad(format!("its columns take {offset} bytes, its rows have NAXIS1 = {row_bytes}")));
    }
    let text = |keyword: &str| cards.text(keyword).map(str::to_owned);
    let meta = Meta {
        name: text("EXTNAME"),
        frame: text("RADESYS").or_else(|| text("RADECSYS")),
        equinox: cards.number("EQUINOX").map(|year| year.to_string()),
        epoch: cards.number("EPOCH").filter(|_| cards.has("EQUINOX")),
        time_scale: text("TIMESYS"),
        position: None,
    };
    // At most WIDEST, which fits.
    let row_bytes = row_bytes as usize;
    let layout = Layout { hdu, start, row_bytes, rows, cells };
    Ok(Opened { columns, left_out, rows: Some(rows), meta, source: Source::Fits(layout) })
}

/// Reads the rows.
pub(super) fn read(layout: &Layout, wish: Wish) -> Result<Rows, TableError> {
    let mut input = Input::open(&wish.path)?;
    input.skip(layout.start).map_err(|e| TableError::read(&wish.path, format!("HDU {}", layout.hdu), e))?;
    let cells = wish.wanted.iter().map(|&column| layout.cells[column].clone()).collect();
    Ok(Rows { input, layout: layout.clone(), wish, cells, done: 0, buffer: Vec::new() })
}

/// The rows of a table.
pub(super) struct Rows {
    input: Input,
    layout: Layout,
    wish: Wish,
    cells: Vec<Cell>,
    done: u64,
    buffer: Vec<u8>,
}

impl Iterator for Rows {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.block().transpose()
    }
}

impl Rows {
    fn block(&mut self) -> Result<Option<Block>, TableError> {
        let width = self.layout.row_bytes;
        let left = usize::try_from(self.layout.rows - self.done).unwrap_or(usize::MAX);
        let rows = self.wish.rows.min(left);
        if rows == 0 {
            return Ok(None);
        }
        let kinds: Vec<DataType> = self.wish.schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let mut columns: Vec<_> = self.cells.iter().zip(&kinds).map(|(cell, kind)| cell.column(kind)).collect();
        let at_once = (BUFFER / width.max(1)).clamp(1, rows);
        let mut read = 0;
        while read < rows {
            let now = at_once.min(rows - read);
            self.buffer.resize(now * width, 0);
            let count = read_full(&mut self.input, &mut self.buffer)
                .map_err(|e| TableError::read(&self.wish.path, format!("row {}", self.done + read as u64 + 1), e))?;
            if count < self.buffer.len() {
                let there = self.done + (read + count / width.max(1)) as u64;
                let what = format!("of the {} rows that NAXIS2 promises, {there} are there", self.layout.rows);
                return Err(cut_off(&self.wish.path, self.layout.hdu, &what));
            }
            for column in &mut columns {
                column.take(&self.buffer, width, now);
            }
            read += now;
        }
        let batch = self.wish.batch(columns.into_iter().map(decode::Filling::finish).collect(), rows)?;
        let first = Place::row(self.done + 1);
        self.done += rows as u64;
        Ok(Some(Block { batch, first, faults: Vec::new(), lines: Vec::new() }))
    }
}
