//! XML as it comes, with line numbers and bounds: no event is longer than [`LONGEST`], no entity is expanded but the five of
//! XML and characters by number.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::catalog::table::TableError;
use crate::catalog::table::input::Input;

/// The longest element or text, bytes.
const LONGEST: usize = 16 << 20;

/// Deepest nesting of elements.
const DEEPEST: usize = 256;

/// Counts lines, and refuses what has no end.
pub struct Lines {
    input: Input,
    line: u64,
    since: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since > LONGEST {
            return Err(io::Error::other(format!("an element or a text is longer than {} MiB", LONGEST >> 20)));
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is consumed was filled before: this reads nothing.
        if let Ok(ready) = self.input.fill_buf() {
            self.line += memchr::memchr_iter(b'\n', &ready[..count.min(ready.len())]).count() as u64;
        }
        self.since += count;
        self.input.consume(count);
    }
}

/// A document.
pub struct Xml {
    path: Arc<Path>,
    reader: Reader<Lines>,
    buffer: Vec<u8>,
    depth: usize,
}

impl Xml {
    pub fn open(path: &Path) -> Result<Xml, TableError> {
        let mut reader = Reader::from_reader(Lines { input: Input::open(path)?, line: 1, since: 0 });
        reader.config_mut().expand_empty_elements = true;
        Ok(Xml { path: Arc::from(path), reader, buffer: Vec::new(), depth: 0 })
    }

    /// The line that is read.
    pub fn line(&mut self) -> u64 {
        self.reader.get_mut().line
    }

    /// An error at the line that is read.
    pub fn error(&mut self, reason: impl Into<String>) -> TableError {
        let line = self.line();
        TableError::format(&self.path, format!("line {line}"), reason)
    }

    /// The next event. An empty element comes as its start and its end.
    pub fn next(&mut self) -> Result<Event<'_>, TableError> {
        self.buffer.clear();
        let lines = self.reader.get_mut();
        lines.since = 0;
        let before = lines.line;
        let event = self.reader.read_event_into(&mut self.buffer);
        match event {
            Ok(event) => {
                match &event {
                    Event::Start(_) => self.depth += 1,
                    Event::End(_) => self.depth = self.depth.saturating_sub(1),
                    Event::Decl(about) => check_encoding(&self.path, about.encoding().and_then(Result::ok))?,
                    _ => {}
                }
                if self.depth > DEEPEST {
                    let reason = format!("elements are nested more than {DEEPEST} times: this is no table");
                    return Err(TableError::format(&self.path, format!("line {before}"), reason));
                }
                Ok(event)
            }
            Err(quick_xml::Error::Io(source)) => {
                Err(TableError::read(&self.path, format!("line {before}"), io::Error::new(source.kind(), source.to_string())))
            }
            Err(error) => {
                Err(TableError::format(&self.path, format!("line {before}"), format!("this is not XML: {error}; is it cut off?")))
            }
        }
    }

    /// Takes bytes of the text that comes next, up to the next `<`; `None` there and at the end of the file.
    pub fn raw(&mut self, take: &mut Vec<u8>) -> Result<Option<()>, TableError> {
        let lines = self.reader.get_mut();
        lines.since = 0;
        let line = lines.line;
        let mut stream = self.reader.stream();
        let ready = stream.fill_buf().map_err(|e| TableError::read(&self.path, format!("line {line}"), e))?;
        let count = memchr::memchr(b'<', ready).unwrap_or(ready.len());
        take.extend(ready[..count].iter().filter(|byte| !byte.is_ascii_whitespace()));
        stream.consume(count);
        Ok((count > 0).then_some(()))
    }
}

fn check_encoding(path: &Path, encoding: Option<Cow<'_, str>>) -> Result<(), TableError> {
    let known = ["utf-8", "utf8", "us-ascii", "ascii"];
    match encoding {
        Some(encoding) if !known.iter().any(|name| encoding.eq_ignore_ascii_case(name)) => Err(TableError::format(
            path,
            "line 1",
            format!("the document is in {encoding}: write it as UTF-8 (`iconv -f {encoding} -t UTF-8`, and say so in line 1)"),
        )),
        _ => Ok(()),
    }
}

/// An attribute of an element; malformed ones are none.
pub fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = start.attributes().flatten().find(|attribute| attribute.key.local_name().into_inner() == name)?;
    let value = found.normalized_value(XmlVersion::Implicit1_0).map_or_else(|_| found.value.to_string(), Cow::into_owned);
    Some(value.trim().to_owned())
}

/// The character that a reference stands for.
pub fn resolve(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Ok(c);
    }
    let name: &str = reference;
    match name {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("the entity `&{};` is none of XML's own, and others are not expanded", shown(other))),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}
