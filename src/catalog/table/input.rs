//! The bytes of a table's file: plain, or gzip of one or several members. Told apart by the first bytes, not by the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::TableError;

const BUFFER: usize = 256 << 10;

/// A table compresses to a third or a tenth. What swells beyond these both is not one, but an attack or an accident, and
/// would keep a reader busy for days.
const SWELLING: u64 = 400;
const SWOLLEN: u64 = 256 << 20;

/// A file that is read from its beginning to its end.
pub(super) enum Input {
    /// As it lies on the disk, with its length.
    Plain(BufReader<File>, u64),
    /// Uncompressed on the way.
    Gzip(Box<BufReader<Gunzip>>),
}

/// A gzip stream that refuses to swell without end.
pub(super) struct Gunzip {
    decoder: MultiGzDecoder<BufReader<Counted>>,
    given: u64,
}

struct Counted {
    file: File,
    taken: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.taken += count as u64;
        Ok(count)
    }
}

impl Read for Gunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.given += count as u64;
        let taken = self.decoder.get_ref().get_ref().taken;
        if self.given > SWOLLEN && self.given / SWELLING > taken {
            return Err(io::Error::other(format!(
                "{taken} bytes of gzip gave {} bytes and more; no table compresses so well: uncompress it by hand if it is one",
                self.given
            )));
        }
        Ok(count)
    }
}

impl Input {
    pub fn open(path: &Path) -> Result<Input, TableError> {
        let failed = |source| TableError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut plain = BufReader::with_capacity(BUFFER, file);
        if plain.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
            let file = Counted { file: File::open(path).map_err(failed)?, taken: 0 };
            let decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
            return Ok(Input::Gzip(Box::new(BufReader::with_capacity(BUFFER, Gunzip { decoder, given: 0 }))));
        }
        Ok(Input::Plain(plain, length))
    }

    pub fn is_gzip(&self) -> bool {
        matches!(self, Input::Gzip(_))
    }

    /// Length of a plain file, bytes.
    pub fn length(&self) -> Option<u64> {
        match self {
            Input::Plain(_, length) => Some(*length),
            Input::Gzip(_) => None,
        }
    }

    /// Leaves out `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` for a compressed file that ends before; a plain one is not looked at (see [`Input::length`]).
    pub fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Input::Plain(file, _) => {
                file.seek_relative(i64::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?)
            }
            Input::Gzip(stream) => {
                let skipped = io::copy(&mut stream.take(count), &mut io::sink())?;
                if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Plain(file, _) => file.read(buffer),
            Input::Gzip(stream) => stream.read(buffer),
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Input::Plain(file, _) => file.fill_buf(),
            Input::Gzip(stream) => stream.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Input::Plain(file, _) => file.consume(count),
            Input::Gzip(stream) => stream.consume(count),
        }
    }
}

/// Reads until the buffer is full or the file at its end; gives how much there was.
pub(super) fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
