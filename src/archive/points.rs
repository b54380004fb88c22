//! Numbers of histories on their way into a column chunk: plain pages of our own behind levels that the columns of a history share.
//!
//! A general encoder works out for each value of each column where it stands in which list, and sets up a codec for each column; of a
//! run that was a fifth. Here the lists are looked at once for all of their columns, and a codec is kept. What does not
//! compress is stored as it is.
//!
//! May depend on: arrow arrays, parquet. **Invariant:** a reader finds what the encoder of the parquet crate would have written.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

use arrow_array::Array;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use bytes::{Buf, Bytes};
use parquet::basic::{CompressionCodec, Encoding, LogicalType, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::page::{PAGE, append_levels, general, header, pack};

/// Values of a page, at most, but for those of its last row: so that eight bytes each make no more than a page.
const VALUES: usize = PAGE / 8;
/// Bytes that are compressed to see whether that is worth it.
const SAMPLE: usize = 16 << 10;

/// How rows and the values of their lists are dealt out to pages. All columns of a history share it.
pub(super) struct Lists {
    pages: Vec<Lot>,
    /// Levels of a column, those of what is not there included.
    levels: usize,
}

/// The lists of one page.
struct Lot {
    rows: usize,
    values: Range<usize>,
    /// Repetition levels as they are stored.
    repetition: Vec<u8>,
    /// Rows without values: before which of the values of this page they stand, and their definition level.
    without: Vec<(usize, u8)>,
}

impl Lists {
    /// The lists of all rows in the order of the file. `nullable`: whether the column may have rows without a list.
    ///
    /// # Errors
    /// When a page would hold more than a page can.
    pub fn new(offsets: &OffsetBuffer<i32>, nulls: Option<&NullBuffer>, nullable: bool) -> Result<Lists> {
        let mut lists = Lists { pages: Vec::new(), levels: 0 };
        let (mut repetition, mut without) = (Vec::new(), Vec::new());
        let (mut rows, mut start) = (0, 0);
        let last = offsets.len().saturating_sub(2);
        for (row, ends) in offsets.windows(2).enumerate() {
            let (from, to) = (ends[0] as usize, ends[1] as usize);
            repetition.push(0);
            if from == to {
                let there = nulls.is_none_or(|nulls| nulls.is_valid(row));
                without.push((from - start, u8::from(nullable && there)));
            } else {
                repetition.resize(repetition.len() + to - from - 1, 1);
            }
            rows += 1;
            if to - start >= VALUES || repetition.len() >= 2 * VALUES || row == last {
                let mut stored = Vec::new();
                append_levels(&repetition, 1, &mut stored)?;
                lists.levels += repetition.len();
                repetition.clear();
                lists.pages.push(Lot { rows, values: start..to, repetition: stored, without: std::mem::take(&mut without) });
                (rows, start) = (0, to);
            }
        }
        Ok(lists)
    }
}

/// A column of numbers of a history, laid out as a chunk.
pub(super) struct Points {
    pieces: VecDeque<Bytes>,
    length: u64,
}

impl Points {
    /// Whether a column can be laid out so: numbers that Parquet has as they are, of lists that no other list repeats.
    pub fn suit(column: &ColumnDescriptor) -> bool {
        let plain = matches!(column.logical_type_ref(), None | Some(LogicalType::Timestamp { .. }));
        column.max_rep_level() == 1
            && plain
            && matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE | Type::INT32 | Type::INT64)
    }

    /// Whether values of such a column lie in memory as they do in a file.
    pub fn lie_plain(data_type: &DataType) -> bool {
        matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(..))
    }

    /// Lays out the `values` of a `column` that suits.
    ///
    /// # Errors
    /// When the values are not of the column's type, or some are missing that may not.
    pub fn lay_out(column: &ColumnDescPtr, lists: &Lists, values: &dyn Array) -> Result<(Points, ColumnCloseResult)> {
        let width = if matches!(column.physical_type(), Type::FLOAT | Type::INT32) { 4 } else { 8 };
        let most = u8::try_from(column.max_def_level()).map_err(general)?;
        let wrong = || general(format!("column {} was given values of another type", column.path().string()));
        let data = values.to_data();
        let [buffer] = data.buffers() else { return Err(wrong()) };
        let plain = data.data_type().primitive_width() == Some(width);
        let whole = lists.pages.last().map_or(0, |page| page.values.end);
        if !plain || values.len() != whole || (values.null_count() > 0 && !column.self_type().is_optional()) {
            return Err(wrong());
        }
        let bytes = &buffer.as_slice()[data.offset() * width..(data.offset() + values.len()) * width];
        let (mut index, mut pieces) = (OffsetIndexBuilder::new(), VecDeque::with_capacity(2 * lists.pages.len()));
        let (mut length, mut unpacked, mut packs) = (0, 0, None);
        let mut levels = Vec::new();
        for page in &lists.pages {
            let nulls = values.nulls().map(|nulls| nulls.slice(page.values.start, page.values.len()));
            let mut body = Vec::with_capacity(page.repetition.len() + page.values.len() * (width + 1));
            body.extend_from_slice(&page.repetition);
            definition(page, nulls.as_ref(), most, &mut levels);
            append_levels(&levels, most, &mut body)?;
            let bytes = &bytes[page.values.start * width..page.values.end * width];
            match &nulls {
                None => body.extend_from_slice(bytes),
                Some(nulls) => {
                    nulls.valid_slices().for_each(|(from, to)| body.extend_from_slice(&bytes[from * width..to * width]));
                }
            }
            let whole = body.len();
            let pays = match packs {
                Some(pays) => pays,
                None => *packs.insert(is_worth_it(&body)?),
            };
            if pays {
                body = pack(&body)?;
            }
            let head = header(levels.len(), body.len(), whole)?;
            let stored = head.len() + body.len();
            index.append_offset_and_size(length, i32::try_from(stored).map_err(general)?);
            index.append_row_count(i64::try_from(page.rows).map_err(general)?);
            length += i64::try_from(stored).map_err(general)?;
            unpacked += i64::try_from(head.len() + whole).map_err(general)?;
            pieces.extend([Bytes::from(head), Bytes::from(body)]);
        }
        let codec = if packs == Some(true) { CompressionCodec::ZSTD } else { CompressionCodec::UNCOMPRESSED };
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression_codec(codec)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_num_values(i64::try_from(lists.levels).map_err(general)?)
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(unpacked)
            .set_data_page_offset(0)
            .build()?;
        let length = u64::try_from(length).map_err(general)?;
        let close = ColumnCloseResult {
            bytes_written: length,
            rows_written: lists.pages.iter().map(|page| page.rows as u64).sum(),
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        Ok((Points { pieces, length }, close))
    }
}

/// The definition levels of a page, of values that have the level `most` where they are there.
fn definition(page: &Lot, nulls: Option<&NullBuffer>, most: u8, levels: &mut Vec<u8>) {
    levels.clear();
    match nulls {
        None => levels.resize(page.values.len(), most),
        Some(nulls) => {
            levels.resize(page.values.len(), most - 1);
            nulls.valid_slices().for_each(|(from, to)| levels[from..to].fill(most));
        }
    }
    if page.without.is_empty() {
        return;
    }
    let of_values = std::mem::take(levels);
    levels.reserve(of_values.len() + page.without.len());
    let mut from = 0;
    for (before, level) in &page.without {
        levels.extend_from_slice(&of_values[from..*before]);
        levels.push(*level);
        from = *before;
    }
    levels.extend_from_slice(&of_values[from..]);
}

/// Whether compressing saves a third. Numbers that repeat lose most of their size; magnitudes and positions a tenth, for more time than
/// all else about them takes, and they are a few per cent of an alert beside its cut-outs.
fn is_worth_it(body: &[u8]) -> Result<bool> {
    // Of the middle: levels are at the beginning.
    let sample = &body[body.len() / 2..];
    let sample = &sample[..sample.len().min(SAMPLE)];
    Ok(pack(sample)?.len() * 3 <= sample.len() * 2)
}

impl Length for Points {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Points {
    type T = Pieces;

    fn get_read(&self, start: u64) -> Result<Pieces> {
        if start != 0 {
            return Err(general("a column of numbers is read from its beginning only"));
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
