//! LSST's cut-outs: raw FITS files of four images (flux, mask, variance, PSF) with the sizes that were measured on real packets:
//! 34,560 bytes for difference and science, 69,120 for the template. They compress as badly as real ones: zstd at level 3 leaves
//! about 0.41 of a packet, nearly all of it the pixels of flux, variance and PSF.
//!
//! What differs from alert to alert: 19 bits of every 32 in those pixels, by exclusive-or of a prepared file with a window of a tape
//! of random bits; and the position in the header. The window is a function of the alert's number that comes back after 65,536
//! (`OFFSETS`) alerts, which are 9 GB, and then mostly over another of the 16 (`POOL`) pictures of each kind and sign. What does not
//! differ: the headers but for the position, the masks and the high bits of the pixels of each picture.

use std::ops::Range;

use crate::encode::digits;
use crate::night::Alert;
use crate::random::{Random, Stream};

/// FITS comes in blocks of this size.
const BLOCK: usize = 2880;
/// Length of a line of a header.
const CARD: usize = 80;
/// Windows that the tape has; a power of two.
const OFFSETS: usize = 1 << 16;
/// Pictures of each kind and sign.
const POOL: usize = 16;
/// Bits of a 32-bit word that the tape changes: 19 of the 23 of a float's fraction, so that a pixel keeps its size.
const CHANGED: u32 = 0x0007_ffff;
/// Lines of the first header that hold right ascension and declination.
const POSITION: [usize; 2] = [8, 9];

/// The three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Science less template.
    Difference,
    /// The visit.
    Science,
    /// The coadded template.
    Template,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Difference, Self::Science, Self::Template];

    /// Length in bytes.
    pub(super) fn len(self) -> usize {
        4 * (self.header() + self.blocks()) * BLOCK
    }

    /// Blocks of each of the four headers.
    fn header(self) -> usize {
        if self == Self::Template { 2 } else { 1 }
    }

    /// Blocks of the pixels of each of the four images.
    fn blocks(self) -> usize {
        if self == Self::Template { 4 } else { 2 }
    }

    /// Pixels on a side of the images, and of the PSF.
    fn sides(self) -> (usize, usize) {
        if self == Self::Template { (50, 35) } else { (35, 24) }
    }

    /// Where its noisy pixels are.
    fn noisy(self) -> [Range<usize>; 3] {
        let (side, psf) = self.sides();
        let at = |image: usize| (image * (self.header() + self.blocks()) + self.header()) * BLOCK;
        [at(0)..at(0) + side * side * 4, at(2)..at(2) + side * side * 4, at(3)..at(3) + psf * psf * 8]
    }
}

/// All that cut-outs are made of.
pub(super) struct Cutouts {
    /// By kind, then sign (positive first).
    pictures: Vec<Vec<u8>>,
    tape: Vec<u8>,
}

impl Cutouts {
    /// Draws the pictures and the tape.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, Stream::Stamps, 0);
        let mut pictures = Vec::with_capacity(Kind::ALL.len() * 2 * POOL);
        for kind in Kind::ALL {
            pictures.extend((0..2 * POOL).map(|number| draw(kind, number < POOL, &mut random)));
        }
        let longest = Kind::ALL.iter().flat_map(|kind| kind.noisy()).map(|range| range.len()).max().unwrap_or(0);
        let tape = (0..OFFSETS + longest / 4).flat_map(|_| (random.bits() as u32 & CHANGED).to_be_bytes()).collect();
        Self { pictures, tape }
    }

    /// Appends the cut-out of this kind.
    pub(super) fn append(&self, kind: Kind, alert: &Alert, random: &mut Random, out: &mut Vec<u8>) {
        let pool = (kind as usize * 2 + usize::from(!alert.positive)) * POOL;
        let start = out.len();
        out.extend_from_slice(&self.pictures[pool + random.below(POOL as u32) as usize]);
        let file = &mut out[start..];
        for (range, image) in kind.noisy().into_iter().zip(0..) {
            // The odd factor sends neighbours in the stream to distant places, the shift the images of an alert.
            let shift = (kind as u64 * 3 + image) * 7_281;
            let offset = (alert.index.wrapping_mul(40_503).wrapping_add(shift)) as usize % OFFSETS;
            for (byte, noise) in file[range].iter_mut().zip(&self.tape[offset * 4..]) {
                *byte ^= noise;
            }
        }
        for (card, degrees) in POSITION.into_iter().zip([alert.place.ra, alert.place.dec]) {
            put_degrees(&mut file[card * CARD + 10..][..20], degrees);
        }
    }
}

/// Writes an angle as the value of a card: at its right end, with seven decimals.
fn put_degrees(value: &mut [u8], degrees: f64) {
    let number = (degrees.abs() * 1e7).round() as u64;
    value[8] = if degrees < 0.0 { b'-' } else { b' ' };
    digits(&mut value[9..12], number / 10_000_000);
    value[12] = b'.';
    digits(&mut value[13..20], number % 10_000_000);
}

/// A header of `blocks` blocks.
fn header(first: bool, name: &str, bits: i32, side: usize, blocks: usize) -> Vec<u8> {
    let card = |key: &str, value: &dyn std::fmt::Display| format!("{key:<8}= {value:>20}");
    let mut cards = vec![if first { card("SIMPLE", &"T") } else { "XTENSION= 'IMAGE   '".to_owned() }];
    cards.extend([card("BITPIX", &bits), card("NAXIS", &2), card("NAXIS1", &side), card("NAXIS2", &side)]);
    if first {
        cards.extend([card("EXTEND", &"T"), "CTYPE1  = 'RA---TAN'".to_owned(), "CTYPE2  = 'DEC--TAN'".to_owned()]);
        debug_assert_eq!(cards.len(), POSITION[0], "the position comes next");
        cards.extend([card("CRVAL1", &"0.0"), card("CRVAL2", &"0.0")]);
        let middle = (side as f64 + 1.0) / 2.0;
        cards.extend([card("CRPIX1", &middle), card("CRPIX2", &middle)]);
        // Two tenths of an arcsecond.
        cards.extend([card("CD1_1", &-5.556e-5), card("CD2_2", &5.556e-5), "BUNIT   = 'nJy     '".to_owned()]);
    } else {
        cards.extend([card("PCOUNT", &0), card("GCOUNT", &1), format!("EXTNAME = '{name:<8}'")]);
    }
    // A template says what it was made from.
    let mut input = 0;
    while cards.len() < (blocks - 1) * BLOCK / CARD + 2 && blocks > 1 {
        input += 1;
        cards.push(format!("HISTORY input {input} of the coadd, weight 1.0"));
    }
    cards.push("END".to_owned());
    let text: String = cards.iter().map(|card| format!("{card:<CARD$}")).collect();
    let length = blocks * BLOCK;
    format!("{text:<length$}").into_bytes()
}

/// Draws a whole file.
fn draw(kind: Kind, positive: bool, random: &mut Random) -> Vec<u8> {
    let ((side, psf), mut file) = (kind.sides(), Vec::with_capacity(kind.len()));
    // Nanojansky.
    let noise = if kind == Kind::Template { 15.0 } else { 40.0 };
    let peak = random.between(400.0, 8_000.0);
    let peak = match kind {
        Kind::Difference => {
            if positive {
                peak
            } else {
                -peak
            }
        }
        Kind::Science => {
            if positive {
                peak * 1.5
            } else {
                peak * 0.2
            }
        }
        Kind::Template => {
            if positive {
                peak * 0.1
            } else {
                peak
            }
        }
    };
    let width = random.between(1.5, 2.2);
    let light = |x: usize, y: usize, side: usize| {
        let centre = (side as f32 - 1.0) / 2.0;
        (-((x as f32 - centre).powi(2) + (y as f32 - centre).powi(2)) / (2.0 * width * width)).exp()
    };
    let pixels = |side: usize| (0..side * side).map(move |pixel| (pixel % side, pixel / side));
    for (name, image) in ["", "MASK", "VARIANCE", "PSF"].into_iter().zip(0..) {
        let (bits, side) = match image {
            1 => (32, side),
            3 => (-64, psf),
            _ => (-32, side),
        };
        file.extend(header(image == 0, name, bits, side, kind.header()));
        let end = file.len() + kind.blocks() * BLOCK;
        for (x, y) in pixels(side) {
            let light = light(x, y, side);
            match image {
                0 => file.extend((peak * light + noise * random.normal()).to_be_bytes()),
                // DETECTED around the source.
                1 => file.extend((i32::from(light > 0.05) << 5).to_be_bytes()),
                2 => {
                    let variance = noise * noise * (1.0 + 0.05 * random.normal()) + 0.6 * peak.abs() * light;
                    file.extend(variance.to_be_bytes());
                }
                _ => {
                    let share =
                        f64::from(light) / f64::from(std::f32::consts::TAU * width * width) + 1e-7 * f64::from(random.normal());
                    file.extend((share * (1.0 + 1e-3 * random.unit())).to_be_bytes());
                }
            }
        }
        file.resize(end, 0);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_real_packets() {
        assert_eq!(Kind::ALL.map(Kind::len), [34_560, 34_560, 69_120]);
        let mut random = Random::new(1, Stream::Stamps, 0);
        for kind in Kind::ALL {
            assert_eq!(draw(kind, true, &mut random).len(), kind.len());
            assert!(kind.noisy().iter().all(|range| range.end <= kind.len()));
        }
    }

    #[test]
    fn an_angle_stays_in_its_card() {
        for (degrees, expected) in [(-5.25, b"-005.2500000"), (359.123_456_7, b" 359.1234567"), (0.0, b" 000.0000000")] {
            let mut value = [b' '; 20];
            put_degrees(&mut value, degrees);
            assert_eq!(&value[8..], expected);
        }
    }
}
