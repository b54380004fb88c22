//! Rows as bytes: BINARY and BINARY2, in base64 inside an element STREAM, decoded as they come.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::Event;

use super::Filling;
use super::field::{Base, Count, Field};
use super::xml::{Xml, attribute};
use crate::catalog::table::TableError;
use crate::catalog::table::cells::{Cells, shown};

/// The bytes of a stream.
pub struct Stream {
    /// A bit for each cell that has no value comes before each row.
    flags: bool,
    coded: Vec<u8>,
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Stream {
    /// Goes to the beginning of the bytes.
    pub fn begin(xml: &mut Xml, flags: bool) -> Result<Stream, TableError> {
        let mut bad = None;
        loop {
            if let Some(reason) = bad {
                return Err(xml.error(reason));
            }
            match xml.next()? {
                Event::Start(start) if start.local_name().into_inner() == "STREAM" => {
                    let (coding, link) = (attribute(&start, "encoding"), attribute(&start, "href"));
                    bad = match (coding.as_deref(), link) {
                        (_, Some(link)) => Some(format!(
                            "the rows are elsewhere, at `{}`: fetch a table that holds its rows",
                            shown(link.as_bytes())
                        )),
                        (Some("base64"), None) => break,
                        (other, None) => {
                            Some(format!("the stream is in `{}`, not in base64", shown(other.unwrap_or("nothing").as_bytes())))
                        }
                    };
                }
                Event::Start(_) | Event::Eof => bad = Some("there is no STREAM with the rows".to_owned()),
                _ => {}
            }
        }
        Ok(Stream { flags, coded: Vec::new(), bytes: Vec::new(), at: 0, ended: false })
    }

    /// Makes so many bytes ready, and says whether there are.
    fn ready(&mut self, xml: &mut Xml, count: usize) -> Result<bool, TableError> {
        while self.bytes.len() - self.at < count {
            if self.ended {
                return Ok(false);
            }
            if self.at > 0 {
                self.bytes.drain(..self.at);
                self.at = 0;
            }
            self.ended = xml.raw(&mut self.coded)?.is_none();
            let whole = self.coded.len() / 4 * 4;
            if self.ended && whole < self.coded.len() {
                return Err(xml.error("the base64 of the rows ends in the middle: the document is cut off; fetch it again"));
            }
            let before = self.bytes.len();
            self.bytes.resize(before + whole / 4 * 3, 0);
            let decoded = STANDARD
                .decode_slice(&self.coded[..whole], &mut self.bytes[before..])
                .map_err(|e| xml.error(format!("the rows are not base64: {e}")))?;
            self.bytes.truncate(before + decoded);
            self.coded.drain(..whole);
        }
        Ok(true)
    }

    /// Takes bytes inside a row.
    fn take(&mut self, xml: &mut Xml, count: usize) -> Result<&[u8], TableError> {
        if !self.ready(xml, count)? {
            return Err(
                xml.error("the stream ends inside a row: the document is cut off, or its fields are not those of its rows")
            );
        }
        self.at += count;
        Ok(&self.bytes[self.at - count..self.at])
    }

    /// Reads a row; `false` at the end of the stream.
    pub fn row(&mut self, xml: &mut Xml, filling: &mut Filling<'_>) -> Result<bool, TableError> {
        if !self.ready(xml, 1)? {
            // The element has to be closed: otherwise this is not the end of the rows.
            return match xml.next()? {
                Event::End(_) => Ok(false),
                _ => Err(xml.error("the document ends inside the rows: it is cut off; fetch it again")),
            };
        }
        // Rows without a byte would never end.
        if !self.flags && filling.fields.iter().all(|field| field.count == Count::Fixed(0)) || filling.fields.is_empty() {
            return Err(xml.error("the table has rows, but no fields that hold anything"));
        }
        let flags = if self.flags { self.take(xml, filling.fields.len().div_ceil(8))?.to_vec() } else { Vec::new() };
        let (fields, targets) = (filling.fields, filling.targets);
        for (place, field) in fields.iter().enumerate() {
            let count = match field.count {
                Count::Fixed(count) => count,
                Count::Varying => {
                    let mut length = [0; 4];
                    length.copy_from_slice(self.take(xml, 4)?);
                    u64::from(u32::from_be_bytes(length))
                }
            };
            // At most LARGEST, which fits.
            let Some(bytes) = field.bytes(count).map(|bytes| bytes as usize) else {
                return Err(xml.error(format!("a cell has {count} values: the stream is broken, or its fields are not its own")));
            };
            let empty = flags.get(place / 8).is_some_and(|byte| byte & (0x80 >> (place % 8)) != 0);
            let cell = self.take(xml, bytes)?;
            for &target in &targets[place] {
                if empty {
                    filling.columns[target].null();
                } else {
                    decode(field, cell, &mut filling.columns[target]);
                }
            }
        }
        filling.met = fields.len();
        filling.close();
        Ok(true)
    }
}

/// The first `N` bytes of a cell, which has as many by the type of its field.
fn first<const N: usize>(cell: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let count = cell.len().min(N);
    bytes[..count].copy_from_slice(&cell[..count]);
    bytes
}

fn decode(field: &Field, cell: &[u8], column: &mut Cells) {
    let is_null = |value: i64| field.null.as_deref().is_some_and(|null| null.parse() == Ok(value));
    macro_rules! whole {
        ($builder:expr, $value:expr) => {{
            let value = $value;
            if is_null(i64::from(value)) { $builder.append_null() } else { $builder.append_value(value) }
        }};
    }
    match (column, field.base) {
        // The standard has the bit in the highest place and zeros behind it; astropy writes 8.
        (Cells::Bool(builder), Base::Bit) => builder.append_value(first::<1>(cell)[0] != 0),
        (Cells::Bool(builder), _) => match first::<1>(cell)[0] {
            b'T' | b't' | b'1' => builder.append_value(true),
            b'F' | b'f' | b'0' => builder.append_value(false),
            _ => builder.append_null(),
        },
        (Cells::U8(builder), _) => whole!(builder, first::<1>(cell)[0]),
        (Cells::I16(builder), _) => whole!(builder, i16::from_be_bytes(first(cell))),
        (Cells::I32(builder), _) => whole!(builder, i32::from_be_bytes(first(cell))),
        (Cells::I64(builder), _) => whole!(builder, i64::from_be_bytes(first(cell))),
        (Cells::F32(builder), _) => builder.append_value(f32::from_be_bytes(first(cell))),
        (Cells::F64(builder), _) => builder.append_value(f64::from_be_bytes(first(cell))),
        (Cells::Text(builder), base) => {
            let text = if base == Base::UnicodeChar { wide(cell) } else { narrow(cell) };
            if text.is_empty() || field.null.as_deref() == Some(text.as_str()) {
                builder.append_null();
            } else {
                builder.append_value(text);
            }
        }
        // The types of VOTable have no others.
        (other, _) => other.null(),
    }
}

/// UTF-16 with the high byte first, up to a NUL.
fn wide(cell: &[u8]) -> String {
    let units: Vec<u16> =
        cell.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).take_while(|&u| u != 0).collect();
    String::from_utf16_lossy(&units)
}

/// ASCII (or, from 1.5 on, UTF-8), up to a NUL; other bytes are taken as ISO 8859-1.
fn narrow(cell: &[u8]) -> String {
    let cell = &cell[..memchr::memchr(0, cell).unwrap_or(cell.len())];
    match std::str::from_utf8(cell) {
        Ok(text) => text.to_owned(),
        Err(_) => cell.iter().map(|&byte| char::from(byte)).collect(),
    }
}
