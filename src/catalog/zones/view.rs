//! An index as a search sees it: the sections as slices of numbers, and what each class is searched with.

use std::ops::RangeInclusive;

use super::format::Kind;
use super::map::prefetch;
use super::open::ZoneIndex;
use super::{grid, payload};
use crate::sky;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The sections of an index.
pub(super) struct View<'a> {
    index: &'a ZoneIndex,
    firsts: &'a [u32],
    /// COFF.
    pub offsets: &'a [u32],
    pub rows: &'a [[u32; 2]],
    pub radii: &'a [f64],
    payload: &'a [u8],
    stride: usize,
    movers: &'a [[u64; 3]],
    /// First row that is a mover.
    first_mover: u32,
    epoch: f64,
}

/// A class of an index.
pub(super) struct ClassView<'a> {
    /// Largest radius of a source's own, arcseconds.
    pub radius: f64,
    /// Fastest motion, arcseconds per year.
    pub motion: f64,
    shift: u32,
    cosines: &'a [f64],
    firsts: &'a [u32],
}

/// The cells of a zone.
#[derive(Clone, Copy)]
pub(super) struct Cells {
    first: u32,
    count: u32,
}

impl Cells {
    /// The place in COFF of the cell that holds a right ascension.
    #[inline(always)]
    pub fn place(self, ra: u32) -> u32 {
        self.first.wrapping_add(grid::cell(ra, self.count))
    }

    /// How far a right ascension is in its cell, of 2^32.
    #[inline(always)]
    pub fn within(self, ra: u32) -> u32 {
        ra.wrapping_mul(self.count)
    }
}

impl<'a> ClassView<'a> {
    /// A bound of the cosine of a declination.
    #[inline(always)]
    pub fn cosine(&self, dec: f64) -> f64 {
        let zone = ((dec + 90.0) * grid::DEC_QUANTA) as u32 >> self.shift;
        self.cosines.get(zone as usize).copied().unwrap_or(0.0)
    }

    /// The zones between two declinations.
    #[inline(always)]
    pub fn zones(&self, (low, high): (u32, u32)) -> RangeInclusive<u32> {
        low >> self.shift..=high >> self.shift
    }

    /// The cells of a zone.
    #[inline(always)]
    pub fn cells(&self, zone: u32) -> Cells {
        match self.firsts.get(zone as usize..zone as usize + 2) {
            // The cells rise from zone to zone: opening has seen that.
            Some(&[first, next]) => Cells { first, count: next.wrapping_sub(first) },
            _ => Cells { first: 0, count: 0 },
        }
    }
}

impl<'a> View<'a> {
    pub fn new(index: &'a ZoneIndex) -> View<'a> {
        let movers: &[[u64; 3]] = index.numbers(Kind::Movers);
        View {
            index,
            firsts: index.numbers(Kind::ZoneFirst),
            offsets: index.numbers(Kind::CellOffsets),
            rows: index.numbers(Kind::Rows),
            radii: index.numbers(Kind::Radii),
            payload: index.section(Kind::Payload),
            stride: index.header.stride as usize,
            movers,
            first_mover: (index.len() - movers.len().min(index.len())) as u32,
            epoch: index.header.epoch,
        }
    }

    /// The classes.
    pub fn classes(&self) -> impl Iterator<Item = ClassView<'a>> {
        let (firsts, index) = (self.firsts, self.index);
        index.classes.iter().zip(&index.cosines).map(move |(class, cosines)| ClassView {
            radius: class.radius,
            motion: class.motion / 1_000.0,
            shift: class.shift,
            cosines,
            firsts: firsts.get(class.first_zone as usize..).unwrap_or(&[]),
        })
    }

    /// Years from the catalogue's epoch to another.
    pub fn years(&self, epoch: Option<f64>) -> f64 {
        epoch.map_or(0.0, |epoch| epoch - self.epoch)
    }

    /// Where a source is (degrees), so many years after the catalogue's epoch.
    #[inline]
    pub fn position(&self, row: u32, years: f64) -> (f64, f64) {
        let position = if self.stride > 0 {
            payload::position(self.payload, row as usize, self.stride)
        } else {
            self.rows.get(row as usize).map_or((f64::NAN, f64::NAN), |q| grid::position((q[0], q[1])))
        };
        if row < self.first_mover || years == 0.0 { position } else { self.moved(row, position, years) }
    }

    fn moved(&self, row: u32, position: (f64, f64), years: f64) -> (f64, f64) {
        match self.movers.get((row - self.first_mover) as usize) {
            Some(&[known, ra, dec]) if known == u64::from(row) => {
                sky::moved(position, (f64::from_bits(ra), f64::from_bits(dec)), years)
            }
            _ => position,
        }
    }

    /// Asks for the position of a row in the payload.
    #[inline(always)]
    pub fn prefetch_payload(&self, row: usize) {
        if self.stride > 0 {
            let at = row * self.stride + 8;
            prefetch(self.payload, at);
            if at % LINE > LINE - 16 {
                prefetch(self.payload, at + 15);
            }
        }
    }
}
