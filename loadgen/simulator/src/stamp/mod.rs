//! Cut-outs: gzip members that hold a FITS image of 63 by 63 floats, made without running a compressor.
//!
//! What differs from alert to alert: the two low bytes of the mantissa of 3,960 of the 3,969 pixels, 14 random bits each, by
//! exclusive-or of a prepared member with two windows of random bits. The pair of windows is a function of the alert's number that
//! never repeats within 16,777,216 (`OFFSETS` squared) alerts, so that no two stamps of a night are equal and a compressor finds
//! nothing of one in another. What it does find is that the code's bits are not all random: zstd takes 3 % off a stamp, where it
//! takes nothing off a real one.
//!
//! What does not differ: the integer part of the pixels (sky, source and noise) comes from a pool of 32 (`POOL`) pictures per kind
//! of cut-out and sign, and the FITS header is the same. The compressed size is the same for all: about 13.6 kB.
//!
//! The trick needs pixels between 128 and 256, so difference images are stored with a pedestal that FITS' BZERO takes away again.

mod code;

use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::random::{Random, Stream};
use code::{Bits, PIXEL_BITS, TOP};

/// Pixels on a side.
const SIDE: usize = 63;
/// Pixels of a stamp.
const PIXELS: usize = SIDE * SIDE;
/// FITS comes in blocks of this size: one of header, and the image filled up with zeros.
const FITS_BLOCK: usize = 2880;
/// Bytes of the image with its filling.
const IMAGE: usize = (PIXELS * 4).div_ceil(FITS_BLOCK) * FITS_BLOCK;
/// Bytes of the FITS file.
const FITS: usize = FITS_BLOCK + IMAGE;
/// Pixels whose bits fill whole bytes.
const STEP: usize = 8;
/// Bytes of compressed stream that hold that many pixels.
const STEP_BYTES: usize = STEP * PIXEL_BITS / 8;
/// Pixels that differ from alert to alert: all but the few that the beginning of the pixels in the bit stream does not align.
const FLIPPED: usize = (PIXELS - STEP + 1) / STEP * STEP;
/// Bytes of compressed stream that differ.
const WINDOW: usize = FLIPPED / STEP * STEP_BYTES;
/// Windows that a tape of random bits has; a power of two.
const OFFSETS: usize = 4096;
/// Pictures of each kind and sign.
const POOL: usize = 32;

/// What BZERO takes from the pixels of a difference image.
const PEDESTAL: f32 = 192.0;

/// The three kinds, in the order of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The image of the night.
    Science,
    /// The reference image.
    Template,
    /// Science less reference.
    Difference,
}

/// All kinds, in the order of the packet.
pub(crate) const KINDS: [Kind; 3] = [Kind::Science, Kind::Template, Kind::Difference];

/// A prepared gzip member, without its eight bytes of checksum and size.
struct Picture {
    member: Vec<u8>,
    crc: u32,
}

/// Random bits: patterns in the compressed stream, and for each window the CRC-32 of a FITS file that has only this pattern.
struct Tape {
    bits: Vec<u8>,
    crcs: Vec<u32>,
}

/// All that stamps are made of.
pub(crate) struct Stamps {
    /// By kind, then sign (positive first).
    pictures: Vec<Picture>,
    tapes: [Tape; 2],
    /// Where in a member the bytes that differ begin.
    begin: [usize; 3],
}

impl Stamps {
    /// Draws the pictures and the tapes.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, Stream::Stamps, 0);
        let mut pictures = Vec::with_capacity(KINDS.len() * 2 * POOL);
        let mut begin = [0; 3];
        let mut skipped = [0; 3];
        for (kind, slot) in KINDS.into_iter().zip(0..) {
            let front = front(kind);
            for number in 0..2 * POOL {
                let pixels = draw(kind, number < POOL, &mut random);
                let (picture, at, skip) = compress(&front, kind, &pixels);
                pictures.push(picture);
                (begin[slot], skipped[slot]) = (at, skip);
            }
        }
        // The header decides how many pixels come before the first that is aligned; windows are checksummed for one such place only.
        debug_assert!(skipped.iter().all(|skip| *skip == skipped[0]), "the front of each kind ends on a byte");
        let tapes = [Tape::new(&mut random, skipped[0]), Tape::new(&mut random, skipped[0])];
        Self { pictures, tapes, begin }
    }

    /// Length in bytes of a stamp of this kind, the same for all.
    pub(crate) fn len(&self, kind: Kind) -> usize {
        self.pictures[kind as usize * 2 * POOL].member.len() + 8
    }

    /// Appends the stamp of the alert `number`; `picture` chooses the picture, `time` (Unix, s) goes into the gzip header.
    pub(crate) fn append(&self, kind: Kind, positive: bool, picture: u64, number: u64, time: u32, out: &mut Vec<u8>) {
        let pool = (kind as usize * 2 + usize::from(!positive)) * POOL;
        let picture = &self.pictures[pool + picture as usize % POOL];
        // Odd factors keep the pair of windows unique and send neighbours in the stream to distant places.
        let offset = |number: u64, factor: u64| (number.wrapping_mul(factor).wrapping_add(kind as u64 * 1365)) as usize % OFFSETS;
        let first = self.tapes[0].window(offset(number, 1_597));
        let second = self.tapes[1].window(offset(number / OFFSETS as u64, 2_731));

        let start = out.len();
        let (before, rest) = picture.member.split_at(self.begin[kind as usize]);
        let (changed, after) = rest.split_at(WINDOW);
        out.extend_from_slice(before);
        out[start + 4..start + 8].copy_from_slice(&time.to_le_bytes());
        out.extend(changed.iter().zip(first.0).zip(second.0).map(|((byte, first), second)| byte ^ first ^ second));
        out.extend_from_slice(after);
        // CRC-32 is affine, so the checksum of an exclusive-or of an odd number of messages is that of their checksums.
        out.extend_from_slice(&(picture.crc ^ first.1 ^ second.1).to_le_bytes());
        out.extend_from_slice(&(FITS as u32).to_le_bytes());
    }
}

impl Tape {
    /// Draws a tape; `skip` pixels come before the window in every stamp.
    fn new(random: &mut Random, skip: usize) -> Self {
        let flips: Vec<[u8; 2]> = (0..OFFSETS * STEP + FLIPPED)
            .map(|_| {
                let [a, b, ..] = random.bits().to_le_bytes();
                [a & 0x7f, b & 0x7f]
            })
            .collect();
        let mut bits = Bits::default();
        let mut raw = Vec::with_capacity(flips.len() * 4);
        for flip in &flips {
            code::put_flip(&mut bits, *flip);
            raw.extend_from_slice(&[0, 0, flip[0], flip[1]]);
        }
        let zeros = [0; FITS];
        let crcs = (0..OFFSETS)
            .map(|offset| {
                let before = FITS_BLOCK + skip * 4;
                let window = &raw[offset * STEP * 4..][..FLIPPED * 4];
                let mut crc = Crc::new();
                crc.update(&zeros[..before]);
                crc.update(window);
                crc.update(&zeros[..FITS - before - window.len()]);
                crc.sum()
            })
            .collect();
        Self { bits: bits.finish(), crcs }
    }

    /// The patterns of a window and the checksum that belongs to it.
    fn window(&self, offset: usize) -> (&[u8], u32) {
        (&self.bits[offset * STEP_BYTES..][..WINDOW], self.crcs[offset])
    }
}

/// The header of the FITS file.
fn header(kind: Kind) -> Vec<u8> {
    let mut cards = vec![
        format!("SIMPLE  = {:>20}", "T"),
        format!("BITPIX  = {:>20}", -32),
        format!("NAXIS   = {:>20}", 2),
        format!("NAXIS1  = {SIDE:>20}"),
        format!("NAXIS2  = {SIDE:>20}"),
        "BUNIT   = 'DN      '".to_owned(),
    ];
    if kind == Kind::Difference {
        cards.push(format!("BSCALE  = {:>20}", "1.0"));
        cards.push(format!("BZERO   = {:>20}", format!("{:.1}", -PEDESTAL)));
    }
    cards.push("END".to_owned());
    let text: String = cards.iter().map(|card| format!("{card:<80}")).collect();
    format!("{text:<FITS_BLOCK$}").into_bytes()
}

/// The gzip header and the compressed FITS header, which ends on a byte.
fn front(kind: Kind) -> (Vec<u8>, Vec<u8>) {
    let header = header(kind);
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    member.extend(deflate(&header, FlushCompress::Sync));
    (member, header)
}

/// Compresses a few bytes as a whole stream (`Finish`) or as a part that ends on a byte (`Sync`).
fn deflate(bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    Compress::new(Compression::best(), false)
        .compress_vec(bytes, &mut out, flush)
        .expect("memory holds the whole of a stream that is given at once");
    out
}

/// Draws the integer parts of the pixels of a picture, in 128..256.
fn draw(kind: Kind, positive: bool, random: &mut Random) -> Vec<f32> {
    let (level, noise) = match kind {
        Kind::Science => (random.between(150.0, 165.0), 5.5),
        Kind::Template => (random.between(150.0, 160.0), 2.5),
        Kind::Difference => (PEDESTAL, 6.0),
    };
    let peak = match kind {
        Kind::Science => random.between(25.0, 85.0),
        // A negative source is one that the reference has.
        Kind::Template if positive => random.between(0.0, 20.0),
        Kind::Template => random.between(30.0, 85.0),
        Kind::Difference if positive => random.between(25.0, 60.0),
        Kind::Difference => -random.between(25.0, 60.0),
    };
    let width = random.between(0.9, 1.6);
    let centre = (SIDE / 2) as f32;
    let mut sources = vec![(centre + random.normal() * 0.3, centre + random.normal() * 0.3, peak)];
    if kind != Kind::Difference {
        for _ in 0..random.below(6) {
            sources.push((random.between(0.0, SIDE as f32), random.between(0.0, SIDE as f32), random.between(10.0, 85.0)));
        }
    }
    let mut pixels = Vec::with_capacity(PIXELS);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let light: f32 = sources
                .iter()
                .map(|(at_x, at_y, peak)| {
                    let square = (x as f32 - at_x).powi(2) + (y as f32 - at_y).powi(2);
                    if square > 64.0 { 0.0 } else { peak * (-square / (2.0 * width * width)).exp() }
                })
                .sum();
            pixels.push((level + light + noise * random.normal()).clamp(128.0, 255.0).floor());
        }
    }
    pixels
}

/// Makes the gzip member of a picture. Also returns where the bytes that may be flipped begin, and how many pixels come before them.
fn compress(front: &(Vec<u8>, Vec<u8>), kind: Kind, pixels: &[f32]) -> (Picture, usize, usize) {
    let mut raw = front.1.clone();
    let mut bits = Bits::after(front.0.clone());
    code::open_block(&mut bits);
    // A pixel has an odd number of bits, so that one of eight pixels in a row begins on a byte.
    let skip = (0..STEP).find(|skip| (bits.len() + skip * PIXEL_BITS).is_multiple_of(8)).expect("27 and 8 have no common factor");
    let begin = (bits.len() + skip * PIXEL_BITS) / 8;
    // The fractions before the flips, which make them random: any will do.
    let mut random = Random::new(pixels[0].to_bits().into(), Stream::Stamps, kind as u64 + 1);
    for pixel in pixels {
        let [_, _, a, b, ..] = random.bits().to_le_bytes();
        let mut whole = *pixel as u8 - 128;
        // 0x43 has the short code, so it can't be told from a first byte in a fixed width.
        if whole == TOP {
            whole += 1;
        }
        let pixel = [TOP, whole, a | 0x80, b | 0x80];
        code::put_pixel(&mut bits, pixel);
        raw.extend_from_slice(&pixel);
    }
    code::close_block(&mut bits);
    let mut member = bits.finish();
    let filling = [0; IMAGE - PIXELS * 4];
    member.extend(deflate(&filling, FlushCompress::Finish));
    raw.extend_from_slice(&filling);
    let mut crc = Crc::new();
    crc.update(&raw);
    (Picture { member, crc: crc.sum() }, begin, skip)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;
    use std::io::Read;

    use super::*;

    /// Opens a stamp with a real inflater, which checks CRC and size, and returns header and pixels.
    fn open(stamp: &[u8]) -> (String, Vec<f32>) {
        let mut fits = Vec::new();
        flate2::read::GzDecoder::new(stamp).read_to_end(&mut fits).unwrap();
        assert_eq!(fits.len(), 20_160);
        let header = String::from_utf8(fits[..FITS_BLOCK].to_vec()).unwrap();
        let image = fits[FITS_BLOCK..][..PIXELS * 4].chunks_exact(4);
        assert!(fits[FITS_BLOCK + PIXELS * 4..].iter().all(|byte| *byte == 0));
        (header, image.map(|bytes| f32::from_be_bytes(bytes.try_into().unwrap())).collect())
    }

    #[test]
    fn every_stamp_opens_and_is_an_image() {
        let stamps = Stamps::new(5);
        for kind in KINDS {
            for number in [0, 1, 2, 4095, 4096, 123_456_789, u64::MAX] {
                for positive in [true, false] {
                    let mut out = vec![9, 9];
                    stamps.append(kind, positive, number ^ 17, number, 1_800_000_000, &mut out);
                    assert_eq!(out.len() - 2, stamps.len(kind));
                    let (header, pixels) = open(&out[2..]);
                    assert!(header.starts_with("SIMPLE  =                    T"));
                    assert!(header.trim_end().ends_with("END"));
                    assert!(header.contains("NAXIS1  =                   63"));
                    assert_eq!(header.contains("BZERO   =               -192.0"), kind == Kind::Difference);
                    assert!(pixels.iter().all(|pixel| (128.0..256.0).contains(pixel)));
                    let centre = pixels[31 * SIDE + 31];
                    let mean = pixels.iter().sum::<f32>() / PIXELS as f32;
                    match (kind, positive) {
                        (Kind::Science, _) | (Kind::Difference, true) => assert!(centre > mean, "{kind:?} {centre} {mean}"),
                        (Kind::Difference, false) => assert!(centre < mean, "{centre} {mean}"),
                        (Kind::Template, _) => {}
                    }
                }
            }
        }
    }

    #[test]
    fn stamps_differ_even_where_picture_and_one_window_are_the_same() {
        let stamps = Stamps::new(5);
        let mut seen = HashSet::new();
        // The first window repeats every 4,096 alerts, the second one stays for 4,096.
        let numbers = (0..600).chain((1..200).map(|round| round * OFFSETS as u64));
        let mut count = 0;
        for number in numbers {
            let mut out = Vec::new();
            stamps.append(Kind::Science, true, 0, number, 0, &mut out);
            seen.insert(out);
            count += 1;
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn fractions_change_in_half_of_their_bits() {
        let stamps = Stamps::new(5);
        let pixels = |number| {
            let mut out = Vec::new();
            stamps.append(Kind::Science, true, 0, number, 0, &mut out);
            open(&out).1
        };
        let (first, second) = (pixels(10), pixels(11));
        let changed: u32 = first.iter().zip(&second).map(|(a, b)| (a.to_bits() ^ b.to_bits()).count_ones()).sum();
        let share = f64::from(changed) / (FLIPPED * 14) as f64;
        assert!((0.48..0.52).contains(&share), "{share}");
    }

    #[test]
    fn a_compressor_gains_nothing_on_many() {
        let stamps = Stamps::new(5);
        let mut all = Vec::new();
        for number in 0..40 {
            stamps.append(Kind::Science, true, 0, number, 0, &mut all);
        }
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
        std::io::Write::write_all(&mut encoder, &all).unwrap();
        let share = encoder.finish().unwrap().len() as f64 / all.len() as f64;
        assert!(share > 0.93, "{share}");
    }
}
