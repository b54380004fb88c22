//! What pages of our own in a Parquet file are made of: headers, levels, a codec that is kept, and a chunk of such pages.
//!
//! Layout: Apache Parquet format 2.11, "Data Pages" (version 1), "RLE/Bit-packing hybrid".
//!
//! May depend on: parquet, zstd.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use parquet::basic::{CompressionCodec, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Bytes of values at which a page ends.
pub(super) const PAGE: usize = 1 << 20;
/// The level at which Zstandard compresses.
pub(super) const LEVEL: i32 = 1;
/// Bytes that are compressed to see whether that is worth it.
const SAMPLE: usize = 16 << 10;
/// Bytes of a page below which it is not compressed: that of a column without values has a few.
const LEAST: usize = 64;
/// Equal levels that are worth a run of their own between others.
const RUN: usize = 16;
/// What a page header is told that its page is; only the length of it matters.
static STAND_IN: [u8; 2 * PAGE] = [0; 2 * PAGE];

/// The header of a page of plain values: how many there are with those that are not there, the bytes of the page as it is stored, and
/// before it was compressed.
///
/// # Errors
/// When it is longer than any known.
pub(super) fn header(values: usize, stored: usize, whole: usize) -> Result<Vec<u8>> {
    let body = if stored <= STAND_IN.len() { Bytes::from_static(&STAND_IN[..stored]) } else { Bytes::from(vec![0; stored]) };
    let page = Page::DataPage {
        buf: body,
        num_values: u32::try_from(values).map_err(general)?,
        encoding: Encoding::PLAIN,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let mut sink = TrackedWrite::new(Head(Vec::with_capacity(Head::MOST)));
    let written = SerializedPageWriter::new(&mut sink).write_page(CompressedPage::new(page, whole))?.bytes_written;
    sink.flush()?;
    let head = &sink.inner().0;
    let length = usize::try_from(written).map_err(general)? - stored;
    head.get(..length).map(<[u8]>::to_vec).ok_or_else(|| general("a page header is longer than any known"))
}

/// Keeps the first bytes of what is written, for the rest is the stand-in.
struct Head(Vec<u8>);

impl Head {
    const MOST: usize = 256;
}

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = Self::MOST - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends levels that are `most` at most as a hybrid of runs and packed bits, with its length before it; nothing where there can be
/// but one level.
///
/// # Errors
/// When there are more than a page may have.
pub(super) fn append_levels(levels: &[u8], most: u8, out: &mut Vec<u8>) -> Result<()> {
    if most == 0 {
        return Ok(());
    }
    let start = out.len();
    out.extend([0; 4]);
    let width = u8::BITS - most.leading_zeros();
    let mut at = 0;
    while at < levels.len() {
        let run = run(&levels[at..], usize::MAX);
        if run >= 8 || at + run == levels.len() {
            append_number(run << 1, out);
            out.push(levels[at]);
            at += run;
            continue;
        }
        let from = at;
        while at < levels.len() && (at == from || run_is_short(&levels[at..])) {
            at += 8;
        }
        append_number((((at - from) / 8) << 1) | 1, out);
        for eight in levels[from..at.min(levels.len())].chunks(8) {
            let bits = eight.iter().rev().fold(0_u64, |bits, level| (bits << width) | u64::from(*level));
            out.extend_from_slice(&bits.to_le_bytes()[..width as usize]);
        }
        at = at.min(levels.len());
    }
    let length = u32::try_from(out.len() - start - 4).map_err(general)?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn run_is_short(levels: &[u8]) -> bool {
    run(levels, RUN) < RUN
}

/// How many of the first levels are equal, where it does not matter how many more than `enough`.
fn run(levels: &[u8], enough: usize) -> usize {
    let Some(first) = levels.first() else { return 0 };
    let mut eights = levels.chunks_exact(8);
    let same = eights.by_ref().take(enough.div_ceil(8)).take_while(|eight| **eight == [*first; 8]).count() * 8;
    same + levels[same..].iter().take(8).take_while(|level| *level == first).count()
}

/// A number of seven bits a byte, the lowest first (ULEB128).
fn append_number(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Compresses with Zstandard.
///
/// # Errors
/// When the library does not.
pub(super) fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    thread_local! {
        // To set one up takes as long as compressing a page.
        static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    PACKER.with_borrow_mut(|packer| {
        let packer = match packer {
            Some(packer) => packer,
            None => packer.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        Ok(packer.compress(bytes)?)
    })
}

/// A page as it is stored, and whether that is compressed. Numbers that repeat lose most of their size; magnitudes and positions a
/// tenth, for more time than all else about them takes, and they are a few per cent of an alert beside its cut-outs. So a large page
/// is compressed where a sample of it loses a third; a small one has been compressed when that is known, and remains so where it has lost
/// an eighth. `packs` is what was found for the pages before it.
fn stored(body: Vec<u8>, packs: Option<bool>) -> Result<(Vec<u8>, bool)> {
    if packs == Some(false) || (packs.is_none() && body.len() < LEAST) {
        return Ok((body, false));
    }
    if packs == Some(true) {
        return Ok((pack(&body)?, true));
    }
    if body.len() <= 2 * SAMPLE {
        let packed = pack(&body)?;
        return Ok(if packed.len() * 8 <= body.len() * 7 { (packed, true) } else { (body, false) });
    }
    // Of the middle: levels are at the beginning.
    let sample = &body[body.len() / 2..][..SAMPLE];
    Ok(if pack(sample)?.len() * 3 <= SAMPLE * 2 { (pack(&body)?, true) } else { (body, false) })
}

/// A column chunk of pages of our own.
pub(super) struct Pages {
    pieces: VecDeque<Bytes>,
    length: u64,
}

/// A column chunk while it is laid out.
pub(super) struct Layout {
    pages: Pages,
    index: OffsetIndexBuilder,
    /// Bytes before they were compressed, headers included.
    unpacked: usize,
    values: usize,
    rows: usize,
    packs: Option<bool>,
}

impl Layout {
    /// Of no pages yet. Whether they are compressed is left to what the first of them gains.
    pub fn new() -> Layout {
        let pages = Pages { pieces: VecDeque::new(), length: 0 };
        Layout { pages, index: OffsetIndexBuilder::new(), unpacked: 0, values: 0, rows: 0, packs: None }
    }

    /// Adds a page of levels and plain values: how many values it has, with those that are not there, and of how many rows.
    ///
    /// # Errors
    /// When it holds more than a page can.
    pub fn page(&mut self, body: Vec<u8>, values: usize, rows: usize) -> Result<()> {
        let whole = body.len();
        let (body, packs) = stored(body, self.packs)?;
        self.packs = Some(packs);
        let head = header(values, body.len(), whole)?;
        let stored = head.len() + body.len();
        self.index
            .append_offset_and_size(i64::try_from(self.pages.length).map_err(general)?, i32::try_from(stored).map_err(general)?);
        self.index.append_row_count(i64::try_from(rows).map_err(general)?);
        self.pages.length += stored as u64;
        self.unpacked += head.len() + whole;
        self.values += values;
        self.rows += rows;
        self.pages.pieces.extend([Bytes::from(head), Bytes::from(body)]);
        Ok(())
    }

    /// The chunk, and what the footer says of it.
    ///
    /// # Errors
    /// When it is longer than a chunk can be.
    pub fn close(self, column: &ColumnDescPtr, statistics: Option<Statistics>) -> Result<(Pages, ColumnCloseResult)> {
        let codec = if self.packs == Some(true) { CompressionCodec::ZSTD } else { CompressionCodec::UNCOMPRESSED };
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression_codec(codec)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_num_values(i64::try_from(self.values).map_err(general)?)
            .set_total_compressed_size(i64::try_from(self.pages.length).map_err(general)?)
            .set_total_uncompressed_size(i64::try_from(self.unpacked).map_err(general)?)
            .set_data_page_offset(0);
        let metadata = match statistics {
            Some(statistics) => metadata.set_statistics(statistics),
            None => metadata,
        };
        let close = ColumnCloseResult {
            bytes_written: self.pages.length,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(self.index.build()),
        };
        Ok((self.pages, close))
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Pages {
    type T = Pieces;

    fn get_read(&self, start: u64) -> Result<Pieces> {
        if start != 0 {
            return Err(general("a column chunk of our own is read from its beginning only"));
        }
        Ok(Pieces(self.pieces.clone()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads pieces one after the other.
pub(super) struct Pieces(VecDeque<Bytes>);

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.0.front().is_some_and(Bytes::is_empty) {
            self.0.pop_front();
        }
        let Some(piece) = self.0.front_mut() else { return Ok(0) };
        let count = piece.len().min(out.len());
        piece.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

pub(super) fn general(error: impl ToString) -> ParquetError {
    ParquetError::General(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The hybrid as the format describes it, read one by one.
    fn read(mut bytes: &[u8], width: usize, count: usize) -> Vec<u8> {
        let mut levels = Vec::new();
        while !bytes.is_empty() {
            let (mut head, mut shift) = (0_usize, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                head |= usize::from(byte & 0x7F) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if head & 1 == 0 {
                levels.extend(std::iter::repeat_n(bytes[0], head >> 1));
                bytes = &bytes[1..];
            } else {
                let (packed, rest) = bytes.split_at((head >> 1) * width);
                let bit = |at: usize| packed[at / 8] >> (at % 8) & 1;
                levels.extend((0..(head >> 1) * 8).map(|n| (0..width).fold(0, |level, b| level | bit(n * width + b) << b)));
                bytes = rest;
            }
        }
        assert!(levels.len() < count + 8 && levels[count..].iter().all(|pad| *pad == 0));
        levels.truncate(count);
        levels
    }

    proptest! {
        #[test]
        fn levels_are_read_as_they_were(
            runs in prop::collection::vec((0u8..8, prop_oneof![1usize..4, 1usize..40, 100usize..3000]), 0..60),
            width in 1u32..4,
        ) {
            let most = ((1_u32 << width) - 1) as u8;
            let levels: Vec<u8> = runs.iter().flat_map(|(level, times)| std::iter::repeat_n(level & most, *times)).collect();
            let mut out = vec![7, 7];
            append_levels(&levels, most, &mut out).unwrap();
            prop_assert_eq!(&out[..2], &[7, 7]);
            prop_assert_eq!(u32::from_le_bytes(out[2..6].try_into().unwrap()) as usize, out.len() - 6);
            prop_assert_eq!(read(&out[6..], width as usize, levels.len()), levels);
        }
    }

    #[test]
    fn levels_that_are_all_the_same_take_a_run() {
        let mut out = Vec::new();
        append_levels(&[3; 100_000], 3, &mut out).unwrap();
        assert_eq!(out.len(), 4 + 3 + 1);
        out.clear();
        append_levels(&[0; 100_000], 0, &mut out).unwrap();
        assert!(out.is_empty(), "there is nothing to say");
    }
}
