//! Lines into cells: quotes, comments, blanks, and every kind of line end, in place in one buffer.
//!
//! **Invariant:** a record is at most [`LONGEST`] bytes, so that a quote that is never closed cannot take all memory.

use std::io::{self, Read};

use memchr::memchr;

use crate::catalog::table::dialect::Delimiter;
use crate::catalog::table::input::Input;

/// The longest record, bytes.
pub const LONGEST: usize = 8 << 20;

const CHUNK: usize = 256 << 10;

/// How a text is cut.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What stands between cells.
    pub delimiter: Delimiter,
    /// Around cells.
    pub quote: Option<u8>,
    /// At the beginning of lines that are no records.
    pub comment: Vec<u8>,
}

/// A cell in the buffer.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: usize,
    end: usize,
    /// Holds quotes that are written twice.
    doubled: bool,
}

/// Where a record is, after [`Splitter::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record, whose first line this is.
    Record {
        /// From 1.
        line: u64,
        /// There is something behind a closing quote.
        stray: bool,
    },
    /// The end of the file.
    End,
    /// A record that does not end: the line that it begins in.
    Endless(u64),
}

/// Cuts a text into records.
pub struct Splitter {
    input: Input,
    rules: Rules,
    /// Bytes that end a cell without quotes.
    stops: [bool; 256],
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    ended: bool,
    line: u64,
    spans: Vec<Span>,
    /// Comments before the first record, without their sign, as far as they are kept.
    comments: Option<Vec<String>>,
}

enum Scan {
    /// Bytes used, lines used, whether something is behind a quote.
    Record(usize, u64, bool),
    /// A line that is no record: bytes, lines.
    Nothing(usize, u64),
    /// More bytes are needed to tell.
    More,
}

impl Splitter {
    /// Begins behind `skip` lines; a byte order mark is no part of the text.
    pub fn new(input: Input, rules: Rules, skip: u64) -> io::Result<Splitter> {
        let mut stops = [false; 256];
        for byte in [b'\n', b'\r'] {
            stops[usize::from(byte)] = true;
        }
        match rules.delimiter {
            Delimiter::Byte(byte) => stops[usize::from(byte)] = true,
            Delimiter::Blanks => [b' ', b'\t'].iter().for_each(|&byte| stops[usize::from(byte)] = true),
        }
        let mut splitter = Splitter {
            input,
            rules,
            stops,
            buffer: vec![0; CHUNK],
            start: 0,
            filled: 0,
            ended: false,
            line: 1,
            spans: Vec::new(),
            comments: Some(Vec::new()),
        };
        splitter.fill()?;
        if splitter.buffer[..splitter.filled].starts_with(b"\xef\xbb\xbf") {
            splitter.start = 3;
        }
        for _ in 0..skip {
            splitter.skip_line()?;
        }
        Ok(splitter)
    }

    /// What is there of the text before the next record, at least `CHUNK` bytes if the file has them.
    pub fn ahead(&mut self) -> io::Result<&[u8]> {
        while !self.ended && self.filled - self.start < CHUNK {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.filled])
    }

    /// The comments before the first record, once that is read.
    pub fn comments(&mut self) -> Vec<String> {
        self.comments.take().unwrap_or_default()
    }

    /// The number of the line that comes next.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Number of cells of the record.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// A cell of the record. `scratch` is where quotes that are written twice are made single.
    pub fn cell<'a>(&'a self, place: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let Some(span) = self.spans.get(place) else { return b"" };
        let raw = &self.buffer[span.start..span.end];
        if !span.doubled {
            return raw;
        }
        scratch.clear();
        let quote = self.rules.quote.unwrap_or(b'"');
        let mut bytes = raw.iter();
        while let Some(&byte) = bytes.next() {
            scratch.push(byte);
            if byte == quote {
                bytes.next();
            }
        }
        scratch
    }

    /// Goes to the next record; empty lines and comments are passed over.
    pub fn next(&mut self) -> io::Result<Next> {
        loop {
            if self.start == self.filled && self.ended {
                return Ok(Next::End);
            }
            match self.scan() {
                Scan::Record(bytes, lines, stray) => {
                    let line = self.line;
                    self.line += lines;
                    self.start += bytes;
                    return Ok(Next::Record { line, stray });
                }
                Scan::Nothing(bytes, lines) => {
                    self.line += lines;
                    self.start += bytes;
                }
                Scan::More if self.filled - self.start >= LONGEST => return Ok(Next::Endless(self.line)),
                Scan::More => self.fill()?,
            }
        }
    }

    /// Reads more; what is used up makes room.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.filled < CHUNK {
            let room = (2 * self.buffer.len()).min(LONGEST + 2 * CHUNK).max(self.filled + CHUNK);
            self.buffer.resize(room, 0);
        }
        // One read, not more: a text can be broken off behind what was asked for.
        let count = loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.filled += count;
        self.ended = count == 0;
        Ok(())
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let rest = &self.buffer[self.start..self.filled];
            match line_end(rest, self.ended) {
                Some((_, used)) => {
                    self.start += used;
                    self.line += u64::from(used > 0);
                    return Ok(());
                }
                None if rest.len() >= LONGEST => {
                    return Err(io::Error::other(format!("line {} is longer than {} MiB", self.line, LONGEST >> 20)));
                }
                None => self.fill()?,
            }
        }
    }

    fn scan(&mut self) -> Scan {
        let Splitter { buffer, start, filled, ended, spans, rules, stops, comments, .. } = self;
        let (base, text) = (*start, &buffer[*start..*filled]);
        if !rules.comment.is_empty() && text.len() < rules.comment.len() && !*ended {
            return Scan::More;
        }
        if !rules.comment.is_empty() && text.starts_with(&rules.comment) {
            let Some((length, used)) = line_end(text, *ended) else { return Scan::More };
            if let Some(kept) = comments
                && kept.len() < 10_000
            {
                kept.push(String::from_utf8_lossy(&text[rules.comment.len()..length]).into_owned());
            }
            return Scan::Nothing(used, 1);
        }
        spans.clear();
        let blanks = rules.delimiter == Delimiter::Blanks;
        let blank = |byte: u8| byte == b' ' || byte == b'\t' && (blanks || rules.delimiter != Delimiter::Byte(b'\t'));
        let (mut at, mut lines, mut stray) = (0, 1, false);
        loop {
            while at < text.len() && blank(text[at]) && rules.delimiter != Delimiter::Byte(text[at]) {
                at += 1;
            }
            if at < text.len() && rules.quote == Some(text[at]) {
                let quote = text[at];
                at += 1;
                let from = at;
                let mut doubled = false;
                let to = loop {
                    match memchr(quote, &text[at..]) {
                        None if *ended => {
                            // The file ends inside the quotes: the cell is its rest.
                            stray = true;
                            break text.len();
                        }
                        None => return Scan::More,
                        Some(found) if text.get(at + found + 1) == Some(&quote) => {
                            doubled = true;
                            at += found + 2;
                        }
                        Some(found) if at + found + 1 == text.len() && !*ended => return Scan::More,
                        Some(found) => break at + found,
                    }
                };
                lines += count_lines(&text[from..to]);
                spans.push(Span { start: base + from, end: base + to, doubled });
                at = (to + 1).min(text.len());
                while at < text.len() && !stops[usize::from(text[at])] {
                    stray |= !blank(text[at]);
                    at += 1;
                }
            } else {
                let from = at;
                while at < text.len() && !stops[usize::from(text[at])] {
                    at += 1;
                }
                let mut to = at;
                while to > from && blank(text[to - 1]) {
                    to -= 1;
                }
                // Blanks at the end of a line are no further cell.
                if !(blanks && to == from && !spans.is_empty()) {
                    spans.push(Span { start: base + from, end: base + to, doubled: false });
                }
            }
            match text.get(at) {
                None if !*ended => return Scan::More,
                None => break,
                Some(b'\n') => {
                    at += 1;
                    break;
                }
                Some(b'\r') => {
                    if at + 1 == text.len() && !*ended {
                        return Scan::More;
                    }
                    at += if text.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
                    break;
                }
                Some(_) => at += 1,
            }
        }
        let empty = spans.len() == 1 && spans[0].start == spans[0].end && text[..at].iter().all(u8::is_ascii_whitespace);
        if empty {
            return Scan::Nothing(at, 1);
        }
        Scan::Record(at, lines, stray)
    }
}

/// Length of the first line, without and with its end.
fn line_end(text: &[u8], ended: bool) -> Option<(usize, usize)> {
    let Some(at) = memchr::memchr2(b'\n', b'\r', text) else {
        return ended.then_some((text.len(), text.len()));
    };
    if text[at] == b'\r' {
        match text.get(at + 1) {
            Some(b'\n') => return Some((at, at + 2)),
            None if !ended => return None,
            _ => {}
        }
    }
    Some((at, at + 1))
}

fn count_lines(text: &[u8]) -> u64 {
    let feeds = memchr::memchr_iter(b'\n', text).count();
    let lone = memchr::memchr_iter(b'\r', text).filter(|&at| text.get(at + 1) != Some(&b'\n')).count();
    (feeds + lone) as u64
}
