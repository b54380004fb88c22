//! Cut-outs by their first bytes: what they are and how large, and names for the files that they are written to.

use std::io::Read;

use flate2::read::GzDecoder;

/// Decompressed bytes that are looked at for headers.
const LOOK: u64 = 1 << 20;
/// Headers of a FITS file that are looked at for an image.
const HEADERS: usize = 16;
/// A card and a block of a FITS header, bytes (FITS Standard 4.0, section 3).
const CARD: usize = 80;
const BLOCK: usize = 2880;

/// What bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// FITS.
    Fits,
    /// FITS, compressed by gzip.
    FitsGz,
    /// Something else, compressed by gzip.
    Gzip,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// None of these.
    Unknown,
}

impl Format {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Format::Fits => "FITS",
            Format::FitsGz => "FITS compressed by gzip",
            Format::Gzip => "gzip",
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::Unknown => "bytes",
        }
    }

    /// The ending of a file of it, without the first point.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Format::Fits => "fits",
            Format::FitsGz => "fits.gz",
            Format::Gzip => "gz",
            Format::Png => "png",
            Format::Jpeg => "jpg",
            Format::Unknown => "bin",
        }
    }

    /// Whether it is an image that is recognised.
    #[must_use]
    pub fn is_image(self) -> bool {
        !matches!(self, Format::Gzip | Format::Unknown)
    }
}

/// Bytes of an alert, described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Their number.
    pub bytes: usize,
    /// What they are.
    pub format: Format,
    /// Width and height, pixels (NAXIS1 and NAXIS2), where a header tells them.
    pub size: Option<(u64, u64)>,
}

impl Stamp {
    /// Looks at the beginning of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Stamp {
        let (format, size) = if bytes.starts_with(b"SIMPLE  =") {
            (Format::Fits, fits_size(bytes))
        } else if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut inside = Vec::new();
            // A stream that is cut off or corrupt has given what it could.
            let _ = GzDecoder::new(bytes).take(LOOK).read_to_end(&mut inside);
            match inside.starts_with(b"SIMPLE  =") {
                true => (Format::FitsGz, fits_size(&inside)),
                false => (Format::Gzip, None),
            }
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            (Format::Png, png_size(bytes))
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            (Format::Jpeg, None)
        } else {
            (Format::Unknown, None)
        };
        Stamp { bytes: bytes.len(), format, size }
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.format, self.size) {
            (Format::Unknown, _) => write!(f, "{} bytes", self.bytes),
            (format, Some((width, height))) => write!(f, "{}, {width} x {height}, {} bytes", format.words(), self.bytes),
            (format, None) => write!(f, "{}, {} bytes", format.words(), self.bytes),
        }
    }
}

/// Width and height in the first header: IHDR is always the first chunk.
fn png_size(bytes: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>().map(|b| u64::from(u32::from_be_bytes(*b)));
    Some((number(16)?, number(20)?))
}

/// Width and height of the first image: of the primary header, or of the first extension behind one without data. An image
/// compressed in tiles tells them as ZNAXIS1 and ZNAXIS2 (FITS Standard 4.0, section 10.1).
fn fits_size(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut at = 0;
    for _ in 0..HEADERS {
        let (mut axes, mut plain, mut tiled) = (None, [None; 2], [None; 2]);
        loop {
            let card = bytes.get(at..at + CARD)?;
            at += CARD;
            let key = card[..8].trim_ascii_end();
            if key == b"END" {
                break;
            }
            if !card[8..].starts_with(b"= ") {
                continue;
            }
            let value = std::str::from_utf8(&card[10..]).ok().and_then(|v| v.split('/').next()?.trim().parse::<u64>().ok());
            match key {
                b"NAXIS" => axes = value,
                b"NAXIS1" => plain[0] = value,
                b"NAXIS2" => plain[1] = value,
                b"ZNAXIS1" => tiled[0] = value,
                b"ZNAXIS2" => tiled[1] = value,
                _ => {}
            }
        }
        if let [Some(width), Some(height)] = tiled {
            return Some((width, height));
        }
        if axes != Some(0) {
            return Some((plain[0]?, plain[1]?));
        }
        at = at.next_multiple_of(BLOCK);
    }
    None
}

/// A name for a file, of parts that may be hostile: letters, digits, `-` and `_` stay, all else becomes `_`. It never begins
/// with a point or `-`, and has at most 64 characters a part.
#[must_use]
pub fn file_name(parts: &[&str], ending: &str) -> String {
    let clean = |part: &&str| -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
        part.chars().take(64).map(safe).collect()
    };
    let name = parts.iter().map(clean).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let name = name.trim_start_matches('-');
    let name = if name.is_empty() { "alert" } else { name };
    format!("{name}.{ending}")
}
