//! The first pass of a build: records on their way to disk, partitioned by class and band of declination.
//!
//! Records are gathered in memory up to a limit, sorted by their band (stable, by counting) and written one after the other as
//! a run; where each band of a run lies is kept. The second pass reads a band from all runs, in the order of the input.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::ZoneError;
use super::payload::Layout;

/// A band is 2^20 quanta of declination high, 158 arcseconds.
pub(super) const BAND_SHIFT: u32 = 20;
/// Bands of the sky.
pub(super) const BANDS: usize = 1 << (32 - BAND_SHIFT);
/// Bytes of a record before the payload: quanta, and the place in the input.
const KEYS: usize = 12;

/// Where everything is in a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Bytes of the payload, 0 without.
    pub stride: usize,
    radius: Option<usize>,
    motion: Option<usize>,
    /// Bytes in all.
    pub len: usize,
}

impl Record {
    pub fn new(layout: Option<&Layout>, radius: bool, motion: bool) -> Record {
        let stride = layout.map_or(0, |l| l.stride);
        let mut len = KEYS + stride;
        let mut room = |wanted: bool, bytes: usize| {
            wanted.then(|| {
                len += bytes;
                len - bytes
            })
        };
        let (radius, motion) = (room(radius, 8), room(motion, 16));
        Record { stride, radius, motion, len }
    }

    pub fn put_keys(record: &mut [u8], (ra, dec): (u32, u32), row: u32) {
        record[..4].copy_from_slice(&ra.to_le_bytes());
        record[4..8].copy_from_slice(&dec.to_le_bytes());
        record[8..12].copy_from_slice(&row.to_le_bytes());
    }

    pub fn put_radius(&self, record: &mut [u8], radius: f64) {
        if let Some(at) = self.radius {
            record[at..at + 8].copy_from_slice(&radius.to_le_bytes());
        }
    }

    pub fn put_motion(&self, record: &mut [u8], (ra, dec): (f64, f64)) {
        if let Some(at) = self.motion {
            record[at..at + 8].copy_from_slice(&ra.to_le_bytes());
            record[at + 8..at + 16].copy_from_slice(&dec.to_le_bytes());
        }
    }

    /// Where the payload begins.
    pub const PAYLOAD: usize = KEYS;

    pub fn quanta(record: &[u8]) -> (u32, u32) {
        let word = |at: usize| u32::from_le_bytes(super::format::part(record, at));
        (word(0), word(4))
    }

    pub fn row(record: &[u8]) -> u32 {
        u32::from_le_bytes(super::format::part(record, 8))
    }

    pub fn payload<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        &record[KEYS..KEYS + self.stride]
    }

    /// The bytes of the radius, where there is one.
    pub fn radius<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        self.radius.map(|at| &record[at..at + 8])
    }

    /// The bytes of the motion, where there is one.
    pub fn motion<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        self.motion.map(|at| &record[at..at + 16])
    }
}

/// A piece of a band: where, and how many records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub offset: u64,
    pub records: u32,
}

/// The file of runs, and the run in memory.
pub(super) struct Spill {
    file: File,
    path: PathBuf,
    pub record: Record,
    /// Records of a run.
    run: usize,
    records: Vec<u8>,
    /// Class and band of each record: class * BANDS + band.
    buckets: Vec<u32>,
    sorted: Vec<u8>,
    written: u64,
    /// Pieces of each bucket.
    pub extents: Vec<Vec<Extent>>,
}

impl Spill {
    /// Starts the file; `memory` bounds the bytes of a run with all that its sorting takes.
    pub fn create(path: &Path, record: Record, memory: u64) -> Result<Spill, ZoneError> {
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(ZoneError::io("create", path))?;
        let run = (memory / (2 * record.len as u64 + 4)).clamp(1024, u64::from(u32::MAX)) as usize;
        Ok(Spill {
            file,
            path: path.to_path_buf(),
            record,
            run,
            records: Vec::new(),
            buckets: Vec::new(),
            sorted: Vec::new(),
            written: 0,
            extents: Vec::new(),
        })
    }

    /// Room for so many records as the run still takes, at most `wanted`; each with its bucket 0.
    pub fn room(&mut self, wanted: usize) -> Result<usize, ZoneError> {
        if self.buckets.len() >= self.run {
            self.flush()?;
        }
        Ok(wanted.min(self.run - self.buckets.len()))
    }

    /// Appends `count` empty records and gives them with their buckets to fill in.
    pub fn append(&mut self, count: usize) -> (&mut [u8], &mut [u32]) {
        let start = self.buckets.len();
        if self.records.capacity() == 0 {
            // The vectors grow by doubling up to here and no further.
            let first = self.run.min(1 << 16);
            self.records.reserve_exact(first * self.record.len);
            self.buckets.reserve_exact(first);
        } else if start + count > self.buckets.capacity() {
            let more = (2 * self.buckets.capacity()).clamp(start + count, self.run.max(start + count)) - start;
            self.buckets.reserve_exact(more);
            self.records.reserve_exact(more * self.record.len);
        }
        self.records.resize((start + count) * self.record.len, 0);
        self.buckets.resize(start + count, 0);
        (&mut self.records[start * self.record.len..], &mut self.buckets[start..])
    }

    /// Writes the run.
    pub fn flush(&mut self) -> Result<(), ZoneError> {
        let len = self.record.len;
        let most = self.buckets.iter().max().map_or(0, |m| *m as usize + 1);
        if self.extents.len() < most {
            self.extents.resize_with(most, Vec::new);
        }
        let mut next = vec![0u32; most];
        for &bucket in &self.buckets {
            next[bucket as usize] += 1;
        }
        let mut at = 0;
        for (bucket, count) in next.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            let offset = self.written + u64::from(at) * len as u64;
            self.extents[bucket].push(Extent { offset, records: *count });
            at += std::mem::replace(count, at);
        }
        self.sorted.resize(self.records.len(), 0);
        for (record, &bucket) in self.records.chunks_exact(len).zip(&self.buckets) {
            let to = next[bucket as usize] as usize * len;
            self.sorted[to..to + len].copy_from_slice(record);
            next[bucket as usize] += 1;
        }
        self.file.write_all(&self.sorted).map_err(ZoneError::io("write", &self.path))?;
        self.written += self.sorted.len() as u64;
        self.records.clear();
        self.buckets.clear();
        Ok(())
    }

    /// Ends the pass: the memory is given back.
    pub fn finish(&mut self) -> Result<(), ZoneError> {
        self.flush()?;
        (self.records, self.buckets, self.sorted) = (Vec::new(), Vec::new(), Vec::new());
        Ok(())
    }

    /// Reads `records` of an extent, from its record `from` on, to the end of `out`.
    pub fn read(&self, extent: Extent, from: u32, records: u32, out: &mut Vec<u8>) -> Result<(), ZoneError> {
        let (start, len) = (out.len(), records as usize * self.record.len);
        out.resize(start + len, 0);
        let offset = extent.offset + u64::from(from) * self.record.len as u64;
        self.file.read_exact_at(&mut out[start..], offset).map_err(ZoneError::io("read", &self.path))
    }
}
