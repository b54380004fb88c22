//! MOCs as FITS (MOC 2.0, section 4.2.1 and 4.2.2; MOC 1.1, section 2.3): the first binary table, one column of integers, which
//! are the ends of ranges of order 29 (RANGE) or cells with their orders (NUNIQ).

use std::collections::HashMap;

use super::{FINEST, Ranges, SPACE_ONLY};
use crate::sky::region::RegionError;

const BLOCK: usize = 2_880;
const CARD: usize = 80;
/// A header of more blocks is none.
const MOST_BLOCKS: usize = 1_000;
/// A file with more parts before its table is no MOC.
const MOST_PARTS: usize = 100;

type Result<T> = std::result::Result<T, RegionError>;

pub(super) fn read(bytes: &[u8], ranges: &mut Ranges) -> Result<()> {
    let mut at = 0;
    for part in 0..MOST_PARTS {
        let header = Header::read(bytes, at, part)?;
        let table = header.text("XTENSION") == Some("BINTABLE");
        let size = header.data_bytes()?;
        let data = bytes.get(header.end..).and_then(|rest| rest.get(..size)).ok_or_else(|| {
            let there = bytes.len().saturating_sub(header.end);
            header.error(format!("it says that {size} bytes follow, there are {there}: the file is cut off; fetch it again"))
        })?;
        if table {
            return header.column(data, ranges);
        }
        at = header.end + size.div_ceil(BLOCK) * BLOCK;
        if at >= bytes.len() {
            break;
        }
    }
    Err(RegionError::moc("its parts", "there is no binary table among them: this FITS is no MOC"))
}

/// Keywords and their values.
struct Header {
    cards: HashMap<String, String>,
    /// Of the file, from 0.
    part: usize,
    /// First byte behind it.
    end: usize,
}

impl Header {
    fn read(bytes: &[u8], start: usize, part: usize) -> Result<Header> {
        let mut header = Header { cards: HashMap::new(), part, end: start };
        for _ in 0..MOST_BLOCKS {
            let block = bytes.get(header.end..).and_then(|rest| rest.get(..BLOCK));
            let block = block.ok_or_else(|| header.error("the file ends inside it: it is cut off; fetch it again"))?;
            header.end += BLOCK;
            for card in block.chunks_exact(CARD) {
                let keyword = String::from_utf8_lossy(&card[..8]).trim_end().to_owned();
                if keyword == "END" {
                    return Ok(header);
                }
                if &card[8..10] == b"= " {
                    header.cards.entry(keyword).or_insert_with(|| value(&card[10..]));
                }
            }
        }
        Err(header.error("it has no END: this is no FITS"))
    }

    fn error(&self, what: impl Into<String>) -> RegionError {
        RegionError::moc(format!("the header of HDU {}", self.part), what)
    }

    fn text(&self, keyword: &str) -> Option<&str> {
        self.cards.get(keyword).map(String::as_str)
    }

    /// A number from 0; where it is not there, the default or an error.
    fn count(&self, keyword: &str, default: Option<usize>) -> Result<usize> {
        let found = self.text(keyword).map_or(default, |text| text.parse().ok());
        found.ok_or_else(|| {
            let found = self.text(keyword).map_or("missing".to_owned(), |text| format!("{text:?}"));
            self.error(format!("{keyword} is {found}, not a number from 0: write the file again"))
        })
    }

    fn data_bytes(&self) -> Result<usize> {
        let mut elements = (self.count("NAXIS", None)? > 0).then_some(1usize).or(Some(0));
        for axis in 1..=self.count("NAXIS", None)?.min(999) {
            let length = self.count(&format!("NAXIS{axis}"), None)?;
            elements = elements.and_then(|n| n.checked_mul(length));
        }
        let (heap, groups) = (self.count("PCOUNT", Some(0))?, self.count("GCOUNT", Some(1))?);
        let bits = self.text("BITPIX").and_then(|text| text.parse::<i64>().ok()).unwrap_or(8).unsigned_abs() as usize;
        elements
            .and_then(|n| n.checked_add(heap)?.checked_mul(groups)?.checked_mul(bits / 8))
            .filter(|bytes| *bytes < 1 << 48)
            .ok_or_else(|| self.error("what follows would be larger than any disk: write the file again"))
    }

    /// Reads the ranges or cells of the table that this is the header of.
    fn column(&self, data: &[u8], ranges: &mut Ranges) -> Result<()> {
        if let Some(dimension) = self.text("MOCDIM").filter(|dimension| *dimension != "SPACE") {
            return Err(self.error(format!("MOCDIM is {dimension:?}: {SPACE_ONLY}")));
        }
        if let Some(frame) = self.text("COORDSYS").filter(|frame| !matches!(*frame, "C" | "ICRS")) {
            return Err(self.error(format!("COORDSYS is {frame:?}, not 'C', which is ICRS: convert it")));
        }
        let (fields, heap) = (self.count("TFIELDS", None)?, self.count("PCOUNT", Some(0))?);
        if fields != 1 || heap != 0 || self.text("TZERO1").is_some_and(|zero| zero.parse() != Ok(0.0)) {
            return Err(self.error(format!(
                "a table of {fields} columns, with {heap} bytes besides: a MOC has one column of integers (of a multi-order map of \
                 probabilities, give the MOC of a credible region)"
            )));
        }
        let form = self.text("TFORM1").unwrap_or_default();
        let digits = form.find(|c: char| !c.is_ascii_digit()).unwrap_or(form.len());
        let bytes = match &form[digits..] {
            "I" => 2,
            "J" => 4,
            "K" => 8,
            _ => return Err(self.error(format!("TFORM1 is {form:?}: a MOC is a column of integers, such as 1K"))),
        };
        let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().unwrap_or(0) };
        if repeat == 0 || repeat.checked_mul(bytes) != Some(self.count("NAXIS1", None)?) {
            return Err(self.error(format!("rows of {} bytes are not of one column {form}", self.count("NAXIS1", None)?)));
        }
        if let Some(order) = self.text("MOCORD_S").or_else(|| self.text("MOCORDER")) {
            let order = order.parse().map_err(|_| self.error(format!("its order is {order:?}, which is no number from 0")))?;
            ranges.order(order).map_err(|what| self.error(what))?;
        }
        let mut numbers = data.chunks_exact(bytes).map(|number| number.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
        let entry = |number: usize, what: String| {
            RegionError::moc(
                format!("entry {number} (from 1) of the table of HDU {}", self.part),
                what + ": write the file again",
            )
        };
        match self.text("ORDERING") {
            Some("NUNIQ") => {
                for (i, uniq) in numbers.enumerate() {
                    // Integers of FITS have a sign.
                    let uniq = if uniq >> (8 * bytes - 1) == 0 { uniq } else { 0 };
                    unique(uniq, ranges).map_err(|what| entry(i + 1, what))?;
                }
                Ok(())
            }
            Some("RANGE") if bytes != 8 => Err(self.error(format!("ranges of {bytes} bytes: they must have 8, TFORM1 = '1K'"))),
            Some("RANGE") => {
                let mut i = 1;
                while let Some(start) = numbers.next() {
                    let end = numbers.next().ok_or_else(|| entry(i, "the last range has no end".to_owned()))?;
                    ranges.range(start, end).map_err(|what| entry(i, what))?;
                    i += 2;
                }
                Ok(())
            }
            other => Err(self.error(format!(
                "ORDERING is {}: a MOC of space has 'NUNIQ' or 'RANGE'",
                other.map_or("missing".to_owned(), |text| format!("{text:?}"))
            ))),
        }
    }
}

/// A cell with its order: 4 * 4^order + cell (MOC 1.1, section 2.3.1).
fn unique(uniq: u64, ranges: &mut Ranges) -> std::result::Result<(), String> {
    let wrong = || format!("{uniq} stands for no cell of an order up to {FINEST}");
    let order = (uniq.checked_ilog2().ok_or_else(wrong)? / 2).checked_sub(1).ok_or_else(wrong)?;
    if order > u32::from(FINEST) {
        return Err(wrong());
    }
    let cell = uniq - (4 << (2 * order));
    let order = ranges.order(u64::from(order))?;
    ranges.cells(order, cell, cell).map_err(|_| wrong())
}

/// The value of a card, from behind the sign of equality: a text without its quotes, or what stands before the comment.
fn value(card: &[u8]) -> String {
    let text: String = card.iter().map(|&byte| char::from(byte)).collect();
    let text = text.trim_start();
    match text.strip_prefix('\'') {
        Some(inner) => inner.split('\'').next().unwrap_or_default().trim_end().to_owned(),
        None => text.split('/').next().unwrap_or_default().trim().to_owned(),
    }
}
