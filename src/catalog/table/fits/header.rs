//! Headers of FITS: cards of 80 bytes in blocks of 2,880 (FITS standard 4.0, section 4), and how long the data behind them are.

use std::collections::HashMap;
use std::path::Path;

use crate::catalog::table::TableError;
use crate::catalog::table::input::{Input, read_full};

/// Bytes of a block.
pub const BLOCK: u64 = 2_880;
const CARD: usize = 80;

/// A header of more blocks (100,000 cards) is none.
const MOST_BLOCKS: usize = 2_800;

/// The keywords of a header with their values; of a keyword that is there twice the first.
#[derive(Debug, Default)]
pub struct Cards(HashMap<String, Value>, u64);

#[derive(Debug)]
enum Value {
    Text(String),
    Other(String),
}

impl Cards {
    /// Reads a header; `None` at the end of the file.
    pub fn read(path: &Path, input: &mut Input, hdu: usize) -> Result<Option<Cards>, TableError> {
        let at = format!("the header of HDU {hdu}");
        let mut cards = Cards::default();
        let mut long: Option<String> = None;
        let mut block = [0; BLOCK as usize];
        for number in 0..MOST_BLOCKS {
            let count = read_full(input, &mut block).map_err(|e| TableError::read(path, at.as_str(), e))?;
            if number == 0 && (count == 0 || hdu > 0 && block[..count].iter().all(|&byte| byte == 0 || byte == b' ')) {
                return Ok(None);
            }
            if count < block.len() {
                return Err(TableError::format(path, at, "the file ends inside the header: it is cut off; fetch it again"));
            }
            if number == 0 && !block.starts_with(b"SIMPLE  ") && !block.starts_with(b"XTENSION") {
                // What stands behind the last HDU is no part of the file (section 3.5 of the standard).
                return if hdu > 0 {
                    Ok(None)
                } else {
                    Err(TableError::format(path, at, "it does not begin with SIMPLE: this is no FITS"))
                };
            }
            cards.1 += 1;
            for card in block.chunks_exact(CARD) {
                let keyword = String::from_utf8_lossy(&card[..8]).trim_end().to_owned();
                if keyword == "END" {
                    return Ok(Some(cards));
                }
                if keyword == "CONTINUE" {
                    cards.extend(long.as_deref(), &card[8..]);
                    continue;
                }
                long = None;
                if &card[8..10] == b"= " {
                    let value = value(&card[10..]);
                    if matches!(&value, Value::Text(text) if text.ends_with('&')) {
                        long = Some(keyword.clone());
                    }
                    cards.0.entry(keyword).or_insert(value);
                }
            }
        }
        Err(TableError::format(path, at, "it has no END within 100,000 cards"))
    }

    fn extend(&mut self, keyword: Option<&str>, card: &[u8]) {
        if let Some(Value::Text(text)) = keyword.and_then(|keyword| self.0.get_mut(keyword))
            && text.ends_with('&')
            && let Value::Text(more) = value(card)
        {
            text.pop();
            text.push_str(&more);
        }
    }

    /// Blocks that the header takes.
    pub fn blocks(&self) -> u64 {
        self.1
    }

    /// A text without the blanks at its end.
    pub fn text(&self, keyword: &str) -> Option<&str> {
        match self.0.get(keyword)? {
            Value::Text(text) => Some(text.as_str()),
            Value::Other(_) => None,
        }
    }

    /// A number, also where it is written as a text.
    pub fn number(&self, keyword: &str) -> Option<f64> {
        match self.0.get(keyword)? {
            Value::Text(text) | Value::Other(text) => text.trim().replace(['D', 'd'], "E").parse().ok(),
        }
    }

    pub fn integer(&self, keyword: &str) -> Option<i64> {
        match self.0.get(keyword)? {
            Value::Other(text) => text.parse().ok(),
            Value::Text(_) => None,
        }
    }

    pub fn is_true(&self, keyword: &str) -> bool {
        matches!(self.0.get(keyword), Some(Value::Other(text)) if text == "T")
    }

    pub fn has(&self, keyword: &str) -> bool {
        self.0.contains_key(keyword)
    }

    /// A number from 0 that must be there, or may be left out where there is a default.
    pub fn count(&self, path: &Path, hdu: usize, keyword: &str, default: Option<u64>) -> Result<u64, TableError> {
        match (self.integer(keyword).and_then(|value| u64::try_from(value).ok()), default) {
            (Some(value), _) => Ok(value),
            (None, Some(default)) if !self.has(keyword) => Ok(default),
            _ => Err(TableError::format(
                path,
                format!("the header of HDU {hdu}"),
                format!("{keyword} is missing or no number from 0"),
            )),
        }
    }

    /// Bytes of the data behind the header, without the filling of the last block.
    pub fn data_bytes(&self, path: &Path, hdu: usize) -> Result<u64, TableError> {
        let axes = self.count(path, hdu, "NAXIS", None)?;
        let bits = self.integer("BITPIX").unwrap_or(8).unsigned_abs();
        if axes == 0 {
            return Ok(0);
        }
        let mut elements = Some(1u64);
        for axis in 1..=axes.min(999) {
            let length = self.count(path, hdu, &format!("NAXIS{axis}"), None)?;
            // Random groups: the first axis is empty and does not count.
            if !(axis == 1 && length == 0 && self.is_true("GROUPS")) {
                elements = elements.and_then(|n| n.checked_mul(length));
            }
        }
        let (heap, groups) = (self.count(path, hdu, "PCOUNT", Some(0))?, self.count(path, hdu, "GCOUNT", Some(1))?);
        elements
            .and_then(|n| n.checked_add(heap)?.checked_mul(groups)?.checked_mul(bits / 8))
            .filter(|bytes| *bytes < 1 << 60)
            .ok_or_else(|| TableError::format(path, format!("the header of HDU {hdu}"), "its data would be larger than any disk"))
    }
}

/// The value of a card, from behind the sign of equality.
fn value(card: &[u8]) -> Value {
    let text: String = card.iter().map(|&byte| char::from(byte)).collect();
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('\'') else {
        return Value::Other(text.split('/').next().unwrap_or_default().trim().to_owned());
    };
    let mut out = String::new();
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            if chars.peek() != Some(&'\'') {
                break;
            }
            chars.next();
        }
        out.push(c);
    }
    Value::Text(out.trim_end().to_owned())
}
