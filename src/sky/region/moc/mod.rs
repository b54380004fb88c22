//! Multi-order coverage maps (MOC): sets of HEALPix cells of any order, as the IVOA standard MOC 2.0 has them (Fernique et al.
//! 2022, REC-moc-2.0), read from FITS (`fits.rs`), ASCII (`ascii.rs`) and JSON (`json.rs`).
//!
//! **Invariants:** the ranges are those of order 29, in order, not empty, and no two touch; whatever stands in a file, reading it
//! ends with a MOC or an error and takes no more memory than the limits here let it.

mod ascii;
mod fits;
mod json;

#[cfg(test)]
mod tests;

use std::f64::consts::{FRAC_PI_2, PI};

use super::RegionError;
use crate::sky;

/// The order that ranges are of: cells of 0.4 mas.
const FINEST: u8 = 29;
/// Cells of that order on the whole sphere.
const ALL: u64 = cells(FINEST);
/// Bytes of a file, at most.
pub(super) const MOST_BYTES: usize = 256 << 20;
/// Ranges while they are read, at most: 256 MiB.
const MOST_RANGES: usize = 16 << 20;

/// Cells of an order on the whole sphere.
const fn cells(order: u8) -> u64 {
    12 << (2 * order)
}

/// A coverage map of the sky.
///
/// A position is inside where its HEALPix cell of order 29 (nested scheme) is: every position has exactly one cell, and on the
/// border between two it is the one that cdshealpix says, right to the rounding of the position.
#[derive(Clone, Debug)]
pub struct Moc {
    /// First cell of each range.
    starts: Box<[u64]>,
    /// First cell behind each range.
    ends: Box<[u64]>,
    /// Of each cell of a coarse order: how many ranges start before it. One more for the end.
    index: Box<[u32]>,
    /// How far a cell of order 29 is to be shifted for its coarse cell.
    shift: u32,
    order: u8,
}

impl Moc {
    /// Reads a MOC of space. The bytes tell of which kind they are: FITS (the first table, with ordering RANGE or NUNIQ), JSON
    /// (`{"3": [1, 2]}`), or else ASCII (`3/1-5 7 4/80`).
    ///
    /// # Errors
    /// With the place: bytes of another kind, MOCs of time or frequency, frames that are not ICRS, cells that do not exist, files
    /// that are cut off, and files beyond 256 MiB or 16,777,216 ranges.
    pub fn parse(bytes: &[u8]) -> Result<Moc, RegionError> {
        if bytes.len() > MOST_BYTES {
            return Err(RegionError::moc("its end", "it has more than 256 MiB: degrade it to a lower order"));
        }
        let mut ranges = Ranges::default();
        match kind(bytes)? {
            Kind::Fits => fits::read(bytes, &mut ranges)?,
            Kind::Json(text) => json::read(text, &mut ranges)?,
            Kind::Ascii(text) => ascii::read(text, &mut ranges)?,
        }
        Ok(ranges.finish())
    }

    /// Whether a position (ICRS degrees) lies in a cell of the MOC; never so for NaN or off the sphere.
    #[must_use]
    #[inline]
    pub fn contains(&self, ra: f64, dec: f64) -> bool {
        if !sky::is_position(ra, dec) {
            return false;
        }
        let lat = dec.to_radians().clamp(-FRAC_PI_2, FRAC_PI_2);
        self.has(cdshealpix::nested::get(FINEST).hash(ra.to_radians(), lat))
    }

    #[inline]
    fn has(&self, cell: u64) -> bool {
        let coarse = (cell >> self.shift) as usize;
        let (first, last) = (self.index[coarse] as usize, self.index[coarse + 1] as usize);
        let behind = first + self.starts[first..last].partition_point(|&start| start <= cell);
        behind > 0 && cell < self.ends[behind - 1]
    }

    /// The order that the file says it has, or the highest of its cells: from 0 to 29.
    #[must_use]
    pub fn order(&self) -> u8 {
        self.order
    }

    /// Whether it covers nothing, so that no position lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Ranges of cells of order 29: from the first to before the second. In order; no two touch.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.starts.iter().copied().zip(self.ends.iter().copied())
    }

    pub(super) fn steradians(&self) -> f64 {
        let covered: u64 = self.ranges().map(|(start, end)| end - start).sum();
        covered as f64 / ALL as f64 * 4.0 * PI
    }
}

/// What the bytes are.
enum Kind<'a> {
    Fits,
    Json(&'a str),
    Ascii(&'a str),
}

fn kind(bytes: &[u8]) -> Result<Kind<'_>, RegionError> {
    let start = "its first bytes";
    if bytes.starts_with(b"SIMPLE  =") {
        return Ok(Kind::Fits);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(RegionError::moc(start, "it is compressed with gzip: decompress it"));
    }
    let text = str::from_utf8(bytes)
        .map_err(|e| RegionError::moc(format!("byte {}", e.valid_up_to()), "it is neither FITS nor text: give another file"))?;
    match text.trim_start().chars().next() {
        None => Err(RegionError::moc(start, "there is nothing in it: a MOC that covers nothing is 0/")),
        Some('{') => Ok(Kind::Json(text)),
        Some('[') => Err(RegionError::moc(start, format!("it is a list, as MOCs of space and time are: {SPACE_ONLY}"))),
        Some('<') => Err(RegionError::moc(start, "it is a page or XML, not a MOC: look at the address it was fetched from")),
        Some(_) => Ok(Kind::Ascii(text)),
    }
}

/// What to do about time and frequency.
const SPACE_ONLY: &str = "only MOCs of space can be regions: give its part of space alone";

/// Ranges as they are read: of order 29, half open.
#[derive(Default)]
struct Ranges {
    ranges: Vec<(u64, u64)>,
    order: u8,
}

impl Ranges {
    /// That cells have this order, or those of an order that has none.
    fn order(&mut self, order: u64) -> Result<u8, String> {
        let order = u8::try_from(order)
            .ok()
            .filter(|order| *order <= FINEST)
            .ok_or_else(|| format!("order {order} is above 29, the highest of space: {SPACE_ONLY}"))?;
        self.order = self.order.max(order);
        Ok(order)
    }

    /// Cells of an order that was taken by [`Ranges::order`], from the first to the last.
    fn cells(&mut self, order: u8, first: u64, last: u64) -> Result<(), String> {
        if last >= cells(order) {
            return Err(format!("order {order} has no cell {last}: its last is {}", cells(order) - 1));
        }
        if first > last {
            return Err(format!("the range from {first} to {last} is backward"));
        }
        let shift = 2 * (FINEST - order);
        self.range(first << shift, (last + 1) << shift)
    }

    /// Cells of order 29 from the first to before the second.
    fn range(&mut self, start: u64, end: u64) -> Result<(), String> {
        if start >= end || end > ALL {
            return Err(format!("cells {start} to before {end} of order 29 are no range of cells, which end at {ALL}"));
        }
        match self.ranges.last_mut() {
            // Most files are in order, and many have what touches as single cells.
            Some(last) if last.0 <= start && start <= last.1 => last.1 = last.1.max(end),
            _ => self.ranges.push((start, end)),
        }
        if self.ranges.len() > MOST_RANGES {
            return Err(format!("it has more than {MOST_RANGES} ranges: degrade it to a lower order"));
        }
        Ok(())
    }

    fn finish(mut self) -> Moc {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, last| {
            let touch = next.0 <= last.1;
            if touch {
                last.1 = last.1.max(next.1);
            }
            touch
        });
        // About as many coarse cells as ranges, so that few ranges start in each.
        let coarse = (0..9).find(|order| cells(*order) >= self.ranges.len() as u64).unwrap_or(9);
        let shift = u32::from(2 * (FINEST - coarse));
        let mut index = Vec::with_capacity(cells(coarse) as usize + 1);
        let mut before = 0;
        for cell in 0..=cells(coarse) {
            while self.ranges.get(before).is_some_and(|range| range.0 < cell << shift) {
                before += 1;
            }
            // There are at most 2^24 ranges.
            index.push(before as u32);
        }
        let (starts, ends): (Vec<u64>, Vec<u64>) = self.ranges.into_iter().unzip();
        Moc { starts: starts.into(), ends: ends.into(), index: index.into(), shift, order: self.order }
    }
}
