//! The second pass of a build: pieces of the sky that fit into memory, sorted on all cores.
//!
//! A unit is some whole zones and whole bands of one class. One that is too large for the memory is cut by ranges of its sort
//! key, each of which reads the unit's records again and keeps its own.

use std::ops::Range;

use super::ZoneError;
use super::footprint::Cells;
use super::grid;
use super::spill::{BAND_SHIFT, BANDS, Extent, Record, Spill};

/// Records that a unit has at most where zones and bands are small enough: two megabytes or so, which caches hold.
const UNIT: u64 = 1 << 15;
/// Ranges that a unit is cut into at a time.
const CUTS: u64 = 1024;
/// Records that are read at a time where a unit is only looked through.
const STRIDE: u32 = 1 << 14;

/// Zone and right ascension of a source, one behind the other.
type SortKey = u64;

/// A piece of the work.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Bits of the height of its zones.
    shift: u32,
    /// Its buckets in the spill.
    buckets: Range<usize>,
    /// Its sort keys: those of its zones, or a part of them.
    keys: Range<SortKey>,
    /// Its records.
    pub records: u64,
}

/// A unit's sources in their order, ready to be appended to the sections.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub rows: Vec<[u32; 2]>,
    pub payload: Vec<u8>,
    pub radii: Vec<u8>,
    pub order: Vec<u32>,
    pub motions: Vec<u8>,
}

/// What is common to all units.
pub(super) struct Sorter<'a> {
    pub spill: &'a Spill,
    pub footprint: Option<Cells>,
    /// Whether the place in the input is kept.
    pub order: bool,
}

impl Sorter<'_> {
    /// Cuts a class, by its number in the spill, into units that take at most `memory` bytes each.
    pub fn units(&self, class: usize, shift: u32, memory: u64) -> Result<Vec<Unit>, ZoneError> {
        let grain = shift.max(BAND_SHIFT);
        let step = 1usize << (grain - BAND_SHIFT);
        let held = |bucket: usize| {
            let extents = self.spill.extents.get(bucket).map_or(&[][..], Vec::as_slice);
            extents.iter().map(|e| u64::from(e.records)).sum::<u64>()
        };
        let mut whole: Vec<Unit> = Vec::new();
        for start in (0..BANDS).step_by(step) {
            let buckets = class * BANDS + start..class * BANDS + start + step;
            let records = buckets.clone().map(held).sum();
            let end = ((start + step) as u64) << BAND_SHIFT >> shift << 32;
            match whole.last_mut() {
                Some(last) if last.records + records <= UNIT => {
                    (last.buckets.end, last.keys.end) = (buckets.end, end);
                    last.records += records;
                }
                _ => whole.push(Unit { shift, buckets, keys: ((start as u64) << BAND_SHIFT >> shift << 32)..end, records }),
            }
        }
        let mut units = Vec::new();
        for unit in whole {
            self.cut(unit, memory, &mut units)?;
        }
        Ok(units)
    }

    /// Bytes that a unit takes while it is sorted: its records as read and as sorted, and the keys.
    pub fn memory(&self, unit: &Unit) -> u64 {
        unit.records * (2 * self.spill.record.len as u64 + 16 + 8)
    }

    fn cut(&self, unit: Unit, memory: u64, out: &mut Vec<Unit>) -> Result<(), ZoneError> {
        if self.memory(&unit) <= memory {
            out.push(unit);
            return Ok(());
        }
        let span = unit.keys.end - unit.keys.start;
        if span <= 1 {
            return Err(ZoneError::Memory { rows: unit.records, needed: 2 * self.memory(&unit), memory: 2 * memory });
        }
        let width = span.div_ceil(CUTS).max(1);
        let mut counts = vec![0u64; span.div_ceil(width) as usize];
        self.each(&unit, |key, _| counts[((key - unit.keys.start) / width) as usize] += 1)?;
        let mut part: Option<Unit> = None;
        for (i, records) in (0u64..).zip(counts).filter(|(_, records)| *records > 0) {
            let start = unit.keys.start + i * width;
            let keys = start..(start + width).min(unit.keys.end);
            let next = Unit { keys, records, ..unit.clone() };
            part = match part.take() {
                None => Some(next),
                Some(before) => {
                    let keys = before.keys.start..next.keys.end;
                    let both = Unit { keys, records: before.records + records, ..before.clone() };
                    if self.memory(&both) <= memory {
                        Some(both)
                    } else {
                        self.cut(before, memory, out)?;
                        Some(next)
                    }
                }
            };
        }
        // Each part is narrower than the whole: its range is that of one cut, or it fits.
        part.map_or(Ok(()), |part| self.cut(part, memory, out))
    }

    /// Looks through the records of a unit.
    fn each(&self, unit: &Unit, mut see: impl FnMut(SortKey, &[u8])) -> Result<(), ZoneError> {
        let mut bytes = Vec::new();
        for extent in self.extents(unit) {
            for from in (0..extent.records).step_by(STRIDE as usize) {
                bytes.clear();
                self.spill.read(extent, from, STRIDE.min(extent.records - from), &mut bytes)?;
                for record in bytes.chunks_exact(self.spill.record.len) {
                    let key = key(record, unit.shift);
                    if unit.keys.contains(&key) {
                        see(key, record);
                    }
                }
            }
        }
        Ok(())
    }

    fn extents(&self, unit: &Unit) -> impl Iterator<Item = Extent> {
        let end = unit.buckets.end.min(self.spill.extents.len());
        self.spill.extents[unit.buckets.start.min(end)..end].iter().flatten().copied()
    }

    /// Reads and sorts a unit.
    pub fn sort(&self, unit: &Unit) -> Result<Sorted, ZoneError> {
        let record = self.spill.record;
        let count = unit.records as usize;
        let mut bytes = Vec::with_capacity(count * record.len);
        let whole: u64 = self.extents(unit).map(|e| u64::from(e.records)).sum();
        if whole == unit.records {
            for extent in self.extents(unit) {
                self.spill.read(extent, 0, extent.records, &mut bytes)?;
            }
        } else {
            self.each(unit, |_, record| bytes.extend_from_slice(record))?;
        }
        // Records of one position are in one band, and there in the order of the input: so their place is that order.
        let mut keys: Vec<u128> = Vec::with_capacity(count);
        keys.extend((0u128..).zip(bytes.chunks_exact(record.len)).map(|(i, bytes)| {
            let (_, dec) = Record::quanta(bytes);
            u128::from(key(bytes, unit.shift)) << 64 | u128::from(dec) << 32 | i
        }));
        keys.sort_unstable();
        let mut out = Sorted {
            rows: Vec::with_capacity(count),
            payload: Vec::with_capacity(count * record.stride),
            order: Vec::with_capacity(if self.order { count } else { 0 }),
            ..Sorted::default()
        };
        let layer = Cells::layer();
        for key in keys {
            let at = (key as u32) as usize * record.len;
            let bytes = &bytes[at..at + record.len];
            let (ra, dec) = Record::quanta(bytes);
            out.rows.push([ra, dec]);
            out.payload.extend_from_slice(record.payload(bytes));
            out.radii.extend_from_slice(record.radius(bytes).unwrap_or(&[]));
            out.motions.extend_from_slice(record.motion(bytes).unwrap_or(&[]));
            if self.order {
                out.order.push(Record::row(bytes));
            }
            if let Some(cells) = &self.footprint {
                let (ra, dec) = grid::position((ra, dec));
                cells.add(layer, ra, dec);
            }
        }
        Ok(out)
    }
}

fn key(record: &[u8], shift: u32) -> SortKey {
    let (ra, dec) = Record::quanta(record);
    u64::from(dec >> shift) << 32 | u64::from(ra)
}
