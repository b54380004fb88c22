//! Classes of sources: those that are searched alike.
//!
//! A source may have a radius of its own (an entry of a watch list, a galaxy), and it may move. A window around a query must be
//! as wide as the largest radius and the longest way of any source that it is to find; with one window for all, a single fast
//! star would make every search wide. So sources are put into classes by the power of two of their radius and of their motion,
//! each class is a little index of its own (zones, cells, rows next to each other in the same sections), and is searched with
//! the largest radius and motion that are in it; the exact test comes after. A catalogue without either has one class.

use super::format::part;
use super::grid;

/// What a class is known by: exponents of motion (mas per year) and radius (arcseconds). None: such a source has none, or its
/// motion is within the tolerance. Movers sort behind the others, so that their rows are the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub motion: Option<i16>,
    pub radius: Option<i16>,
}

/// The class of a number: [2^n, 2^(n+1)), everything small in one.
pub(super) fn power(value: f64) -> i16 {
    // The exponent as it is stored: exact, and no logarithm.
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i16 - 1023;
    exponent.max(-8)
}

/// A class, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Class {
    /// Rows are `first_row..first_row + rows`.
    pub first_row: u64,
    pub rows: u64,
    /// Place of its first zone in ZFIRST and ZBASE.
    pub first_zone: u64,
    /// A zone is 2^shift quanta high.
    pub shift: u32,
    /// Largest radius of its sources, arcseconds; 0 without radii.
    pub radius: f64,
    /// Largest proper motion, mas per year; 0 where motions are not applied.
    pub motion: f64,
}

/// Bytes of a class in the file.
pub(super) const CLASS: usize = 64;

impl Class {
    pub fn write(&self) -> [u8; CLASS] {
        let words = [
            self.first_row,
            self.rows,
            self.first_zone,
            u64::from(self.shift),
            self.radius.to_bits(),
            self.motion.to_bits(),
            0,
            0,
        ];
        let mut out = [0; CLASS];
        for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Reads a class; nothing is checked here.
    pub fn read(bytes: &[u8]) -> Class {
        let word = |i: usize| u64::from_le_bytes(part(bytes, 8 * i));
        Class {
            first_row: word(0),
            rows: word(1),
            first_zone: word(2),
            shift: word(3).min(u64::from(u32::MAX)) as u32,
            radius: f64::from_bits(word(4)),
            motion: f64::from_bits(word(5)),
        }
    }

    /// Number of zones; the class must have been checked.
    pub fn zones(&self) -> usize {
        grid::zones(self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two() {
        assert_eq!([1.0, 1.99, 2.0, 0.5, 648_000.0].map(power), [0, 0, 1, -1, 19]);
        assert_eq!([0.0, 1e-300, 0.001].map(power), [-8; 3]);
    }

    #[test]
    fn a_class_comes_back_as_it_was() {
        let class = Class { first_row: 1, rows: 2, first_zone: 3, shift: 20, radius: 1.5, motion: 10_400.0 };
        assert_eq!(Class::read(&class.write()), class);
    }
}
