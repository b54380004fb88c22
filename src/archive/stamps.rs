//! Cut-outs on their way into a column chunk without being touched: the chunk is made of page headers, levels and lengths of
//! our own, and of the values where they already lie, which are copied once, into the file.
//!
//! A general encoder copies each value into a page, the page into a chunk and the chunk into the file; cut-outs are half of
//! a packet, and that was a quarter of the time of a whole run. Layout of values: Apache Parquet format 2.11, "Plain encoding
//! (PLAIN)".
//!
//! May depend on: arrow arrays, parquet. **Invariant:** the pieces of a chunk, read in order, are exactly as long as its
//! metadata says.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryViewArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::basic::{CompressionCodec, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::page::{PAGE, append_levels, general, header};

/// A column of bytes without repetition, laid out as a chunk.
pub(super) struct Stamps {
    inner: Arc<Chunk>,
    length: u64,
}

struct Chunk {
    values: BinaryViewArray,
    /// Headers, levels, lengths.
    own: Vec<u8>,
    pieces: Vec<Piece>,
}

/// Bytes of our own, and the value that follows them.
struct Piece {
    own_end: usize,
    row: Option<usize>,
}

impl Stamps {
    /// Whether a column can be laid out so: bytes that no list repeats.
    pub fn suit(column: &ColumnDescriptor, leaf: &DataType) -> bool {
        column.max_rep_level() == 0 && *leaf == DataType::BinaryView
    }

    /// Lays out `column`, which lies in the top-level column `field` with the values `array`.
    ///
    /// # Errors
    /// When the array has no such column.
    pub fn lay_out(column: &ColumnDescPtr, field: &Field, array: &ArrayRef) -> Result<(Stamps, ColumnCloseResult)> {
        let (values, levels) = leaf(column, field, array)?;
        let most = u8::try_from(column.max_def_level()).map_err(general)?;
        let mut chunk = Chunk { values, own: Vec::new(), pieces: Vec::new() };
        let mut index = OffsetIndexBuilder::new();
        let (mut start, mut length, mut payload) = (0, 0, 0);
        while start < levels.len() {
            let (mut end, mut bytes) = (start, 0);
            while end < levels.len() && (end == start || bytes < PAGE) {
                bytes += if levels[end] == most { 4 + chunk.values.value(end).len() } else { 0 };
                end += 1;
            }
            let page = chunk.page(start..end, &levels, most, bytes)?;
            payload += page.payload;
            index.append_offset_and_size(length, i32::try_from(page.length).map_err(general)?);
            index.append_row_count((end - start) as i64);
            index.append_unencoded_byte_array_data_bytes(Some(page.payload));
            length += page.length;
            start = end;
        }
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression_codec(CompressionCodec::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_num_values(levels.len() as i64)
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(length)
            .set_unencoded_byte_array_data_bytes(Some(payload))
            .set_data_page_offset(0)
            .build()?;
        let length = length as u64;
        let close = ColumnCloseResult {
            bytes_written: length,
            rows_written: levels.len() as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        Ok((Stamps { inner: Arc::new(chunk), length }, close))
    }
}

/// What a page takes, bytes: all of it, and its values alone.
struct Size {
    length: i64,
    payload: i64,
}

impl Chunk {
    /// One page of rows; `bytes` is what its values take with their lengths.
    fn page(&mut self, rows: Range<usize>, levels: &[u8], most: u8, bytes: usize) -> Result<Size> {
        let mut stored = Vec::new();
        append_levels(&levels[rows.clone()], most, &mut stored)?;
        let whole = stored.len() + bytes;
        let head = header(rows.len(), whole, whole)?;
        self.own.extend_from_slice(&head);
        self.own.extend_from_slice(&stored);
        let mut payload = 0;
        for row in rows.filter(|row| levels[*row] == most) {
            let length = self.values.value(row).len();
            self.own.extend_from_slice(&u32::try_from(length).map_err(general)?.to_le_bytes());
            self.pieces.push(Piece { own_end: self.own.len(), row: Some(row) });
            payload += length as i64;
        }
        self.pieces.push(Piece { own_end: self.own.len(), row: None });
        Ok(Size { length: (head.len() + whole) as i64, payload })
    }
}

/// The values of a column below the top-level column `field`, and the definition level of each row.
fn leaf(column: &ColumnDescPtr, field: &Field, array: &ArrayRef) -> Result<(BinaryViewArray, Vec<u8>)> {
    let missing = || general(format!("the rows have no column {}", column.path().string()));
    let mut levels = vec![0_u8; array.len()];
    // Where everything is there, as far as the walk has come.
    let mut there: Option<NullBuffer> = None;
    let (mut array, mut field) = (array.clone(), field);
    let mut names = column.path().parts().iter().skip(1);
    loop {
        there = NullBuffer::union(there.as_ref(), array.nulls());
        if field.is_nullable() {
            match &there {
                None => levels.iter_mut().for_each(|level| *level += 1),
                Some(there) => levels.iter_mut().zip(there).for_each(|(level, there)| *level += u8::from(there)),
            }
        }
        let Some(name) = names.next() else { break };
        let DataType::Struct(fields) = field.data_type() else { return Err(missing()) };
        field = fields.find(name).ok_or_else(missing)?.1;
        array = array.as_struct_opt().and_then(|s| s.column_by_name(name)).ok_or_else(missing)?.clone();
    }
    Ok((array.as_binary_view_opt().ok_or_else(missing)?.clone(), levels))
}

impl Length for Stamps {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Stamps {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader> {
        if start != 0 {
            return Err(general("cut-outs are read from their beginning only"));
        }
        Ok(Reader { chunk: self.inner.clone(), piece: 0, own: 0, value: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads a chunk from its beginning to its end.
pub(super) struct Reader {
    chunk: Arc<Chunk>,
    piece: usize,
    /// Bytes of our own that have been read.
    own: usize,
    /// Bytes of the value of the piece that have been read.
    value: usize,
}

impl Read for Reader {
    fn read(&mut self, mut out: &mut [u8]) -> io::Result<usize> {
        let room = out.len();
        while !out.is_empty() {
            let Some(piece) = self.chunk.pieces.get(self.piece) else { break };
            let own = &self.chunk.own[self.own..piece.own_end];
            let value = piece.row.map_or(&[][..], |row| self.chunk.values.value(row));
            let (from, read) = if own.is_empty() { (&value[self.value..], &mut self.value) } else { (own, &mut self.own) };
            let count = from.len().min(out.len());
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&from[..count]);
            *read += count;
            out = later;
            if self.own == piece.own_end && self.value == value.len() {
                self.piece += 1;
                self.value = 0;
            }
        }
        Ok(room - out.len())
    }
}
