//! Where a catalogue has sources at all: so that "no match" differs from "not covered".
//!
//! The footprint is a list of ranges of HEALPix cells, nested, order 29, as IVOA's MOC 2.0 has them in memory. Where the maker of a
//! catalogue does not give one, it is estimated from the sources: the cells that hold any, at the finest order at which
//! hardly any cell of the true footprint can be empty by chance. How many such cells there are is told by those that hold one
//! source and those that hold two (Chao 1984, Scandinavian Journal of Statistics 11, 265): n1^2 / (2 n2).

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

/// Finest order of an estimate: cells of 6.9 arcminutes.
const FINEST: u8 = 9;
/// The deepest order of HEALPix in 64 bits, which ranges are given in.
pub(super) const DEEPEST: u8 = 29;
/// Sources of a cell, on average, from which on the estimate is one.
const ENOUGH: f64 = 10.0;
/// Share of the cells that may be empty by chance.
const MISSED: f64 = 0.001;

/// Cells of the sky with the number of their sources: 0, 1, 2, more.
pub(super) struct Cells(Vec<AtomicU8>);

impl Cells {
    pub fn new() -> Cells {
        let cells = cdshealpix::n_hash(FINEST);
        Cells((0..cells).map(|_| AtomicU8::new(0)).collect())
    }

    /// Counts a source (degrees).
    #[inline]
    pub fn add(&self, layer: &cdshealpix::nested::Layer, ra: f64, dec: f64) {
        let cell = &self.0[layer.hash(ra.to_radians(), dec.to_radians()) as usize];
        // Most cells have had their three long since: then nothing is written.
        if cell.load(Ordering::Relaxed) < 3 {
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < 3).then_some(n + 1));
        }
    }

    /// The layer that [`Cells::add`] takes.
    pub fn layer() -> &'static cdshealpix::nested::Layer {
        cdshealpix::nested::get(FINEST)
    }

    /// The estimate: order and ranges; none where the sources are too few to tell.
    pub fn estimate(self, sources: u64) -> Option<(u8, Vec<Range<u64>>)> {
        let mut counts: Vec<u8> = self.0.into_iter().map(AtomicU8::into_inner).collect();
        for order in (0..=FINEST).rev() {
            let of = |n: u8| counts.iter().filter(|c| **c == n).count() as f64;
            let (one, two) = (of(1), of(2));
            let held = counts.iter().filter(|c| **c > 0).count() as f64;
            let missed = if two > 0.0 { one * one / (2.0 * two) } else { one * (one - 1.0).max(1.0) / 2.0 };
            if held > 0.0 && missed <= MISSED * held && sources as f64 >= ENOUGH * held {
                return Some((order, ranges(&counts, order)));
            }
            counts = counts.chunks_exact(4).map(|four| four.iter().sum::<u8>().min(3)).collect();
        }
        None
    }
}

/// The cells that hold any, as ranges of the deepest order.
fn ranges(counts: &[u8], order: u8) -> Vec<Range<u64>> {
    let shift = 2 * (DEEPEST - order);
    let mut out: Vec<Range<u64>> = Vec::new();
    for (cell, _) in (0u64..).zip(counts).filter(|(_, count)| **count > 0) {
        match out.last_mut() {
            Some(last) if last.end == cell << shift => last.end = (cell + 1) << shift,
            _ => out.push(cell << shift..(cell + 1) << shift),
        }
    }
    out
}

/// Brings ranges into order, those that touch made one; empty ones are left out.
pub(super) fn tidy(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|r| r.start < r.end);
    ranges.sort_unstable_by_key(|r| r.start);
    let mut out: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// The coarsest order in which ranges are whole cells.
pub(super) fn order(ranges: &[Range<u64>]) -> u8 {
    let bits = ranges.iter().map(|r| r.start.trailing_zeros().min(r.end.trailing_zeros())).min().unwrap_or(64);
    DEEPEST - (bits / 2).min(u32::from(DEEPEST)) as u8
}

/// The cell of a position (right ascension in [0, 360), declination; degrees): nested, order 29.
#[must_use]
pub fn cell(ra: f64, dec: f64) -> u64 {
    cdshealpix::nested::get(DEEPEST).hash(ra.to_radians(), dec.to_radians())
}

/// Whether sorted ranges (start, end) have a cell of order 29.
pub(super) fn covers(ranges: &[[u64; 2]], cell: u64) -> bool {
    let after = ranges.partition_point(|r| r[0] <= cell);
    after > 0 && cell < ranges[after - 1][1]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_brought_into_order() {
        assert_eq!(tidy(vec![8..12, 5..5, 0..4, 4..6, 10..11]), vec![0..6, 8..12]);
        let unit = 1u64 << (2 * 19);
        assert_eq!(
            (
                order(std::slice::from_ref(&(0..unit))),
                order(&[0..4 * unit, 8 * unit..12 * unit]),
                order(std::slice::from_ref(&(0..1)))
            ),
            (10, 9, 29)
        );
        assert!(covers(&[[0, 12 << 58]], cell(1.0, 2.0)) && !covers(&[], cell(1.0, 2.0)));
    }

    #[test]
    fn too_few_sources_have_no_footprint() {
        let cells = Cells::new();
        cells.add(Cells::layer(), 10.0, 10.0);
        assert_eq!(cells.estimate(1), None);
        assert_eq!(Cells::new().estimate(0), None);
    }

    /// A field of five by five degrees with 200,000 sources: what is in it is covered, what is a degree away is not.
    #[test]
    fn a_field_has_its_own_footprint() {
        let cells = Cells::new();
        let mut state = 7u64;
        let mut dice = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..200_000).for_each(|_| cells.add(Cells::layer(), 100.0 + 5.0 * dice(), 5.0 * dice()));
        let (order, ranges) = cells.estimate(200_000).unwrap();
        assert!((7..=9).contains(&order), "{order}");
        let ranges: Vec<[u64; 2]> = ranges.into_iter().map(|r| [r.start, r.end]).collect();
        for (ra, dec, expected) in
            [(102.5, 2.5, true), (100.01, 0.01, true), (106.1, 2.5, false), (102.5, -1.1, false), (0.0, 90.0, false)]
        {
            assert_eq!(covers(&ranges, cell(ra, dec)), expected, "{ra} {dec}");
        }
    }
}
