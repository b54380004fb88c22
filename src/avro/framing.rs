//! Avro object containers: header and blocks (Avro specification 1.12, "Object Container Files").

use std::ops::Range;

use super::codec::Codec;
use super::cursor::Cursor;
use super::error::{Flaw, FrameError};

/// How every object container begins.
const MAGIC: [u8; 4] = *b"Obj\x01";
/// Entries of the header's metadata that are read.
const MAX_METADATA: u64 = 1000;

/// Whether a message begins as an object container does.
#[must_use]
pub fn container_magic(payload: &[u8]) -> bool {
    payload.starts_with(&MAGIC)
}

/// JSON text of the schema in the header of a container, of which `payload` holds the beginning.
///
/// # Errors
/// When it is no container, or ends inside its header.
pub fn embedded_schema(payload: &[u8]) -> Result<&str, FrameError> {
    if !container_magic(payload) {
        return Err(FrameError::Header("it does not begin with 'Obj\\x01'"));
    }
    Header::parse(payload).map(|header| header.schema)
}

/// The header of a container, up to its sync marker.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    /// JSON text of the schema.
    pub schema: &'a str,
    /// How the blocks are compressed.
    pub codec: Codec,
    /// Length of the header without the sync marker, bytes.
    pub length: usize,
}

impl<'a> Header<'a> {
    /// Parses the header at the beginning of `payload`, which begins with the magic.
    pub fn parse(payload: &'a [u8]) -> Result<Header<'a>, FrameError> {
        let (mut schema, mut codec) = (None, Codec::Null);
        let length = metadata(payload, |key, value| {
            match key {
                b"avro.schema" => {
                    schema = Some(std::str::from_utf8(value).map_err(|_| FrameError::Header("its schema is not UTF-8"))?);
                }
                b"avro.codec" => codec = Codec::named(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Header { schema: schema.ok_or(FrameError::NoSchema)?, codec, length })
    }
}

/// Shows the metadata in the header of a container, which begins with the magic, key by key. Says the length of the header
/// without its sync marker.
pub(crate) fn metadata<'a>(
    payload: &'a [u8],
    mut show: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), FrameError>,
) -> Result<usize, FrameError> {
    let flawed = |flaw| match flaw {
        Flaw::Truncated | Flaw::Length(_) => FrameError::Truncated("its header"),
        _ => FrameError::Header("a count or a length makes no sense"),
    };
    let mut cursor = Cursor { data: payload, at: MAGIC.len() };
    let mut entries = 0;
    loop {
        let (count, _) = cursor.sized_block().map_err(flawed)?;
        entries += count.min(MAX_METADATA + 1);
        if entries > MAX_METADATA {
            return Err(FrameError::Header("too many metadata entries"));
        }
        if count == 0 {
            return Ok(cursor.at);
        }
        for _ in 0..count {
            let key = cursor.bytes().map_err(flawed)?;
            let value = cursor.bytes().map_err(flawed)?;
            show(key, value)?;
        }
    }
}

/// A block of a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Records in it.
    pub records: u64,
    /// Its bytes in the container, compressed as the header says.
    pub bytes: Range<usize>,
}

/// The blocks of a container, each checked for its sync marker.
pub(crate) struct Blocks<'a> {
    cursor: Cursor<'a>,
    sync: [u8; 16],
    next: usize,
}

impl<'a> Blocks<'a> {
    /// The blocks behind a header of `header` bytes; `payload` ends where the container ends.
    pub fn new(payload: &'a [u8], header: usize) -> Result<Self, FrameError> {
        let rest = payload.get(header..).unwrap_or_default();
        let sync = *rest.first_chunk::<16>().ok_or(FrameError::Truncated("its sync marker"))?;
        Ok(Self { cursor: Cursor { data: payload, at: header + 16 }, sync, next: 0 })
    }

    fn block(&mut self) -> Result<Block, FrameError> {
        let index = self.next;
        self.next += 1;
        let number = |cursor: &mut Cursor<'_>| {
            cursor.long().map_err(|flaw| match flaw {
                Flaw::Truncated => FrameError::Truncated("the head of a block"),
                _ => FrameError::Block { block: index, count: -1, size: -1 },
            })
        };
        let count = number(&mut self.cursor)?;
        let size = number(&mut self.cursor)?;
        let (Ok(records), Ok(length)) = (u64::try_from(count), usize::try_from(size)) else {
            return Err(FrameError::Block { block: index, count, size });
        };
        let start = self.cursor.at;
        self.cursor.take(length).map_err(|_| FrameError::Truncated("a block"))?;
        let sync = self.cursor.take(16).map_err(|_| FrameError::Truncated("the sync marker of a block"))?;
        if sync != self.sync {
            return Err(FrameError::Sync { block: index });
        }
        Ok(Block { records, bytes: start..start + length })
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.at == self.cursor.data.len() {
            return None;
        }
        let block = self.block();
        if block.is_err() {
            self.cursor.at = self.cursor.data.len();
        }
        Some(block)
    }
}
