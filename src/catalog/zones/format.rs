//! The bytes of a zone index file.
//!
//! Little-endian. The first page holds the header and the table of sections; each section begins at a multiple of 4096 and has
//! an xxh3 of its bytes in the table. The page ends with the xxh3 of all that is before it.
//!
//! | bytes of the page | what |
//! |---|---|
//! | 0..8 | `SKYZONES` |
//! | 8..10, 10..12 | major and minor version: a reader refuses a newer major, and passes over kinds of sections that it does not know |
//! | 12..16 | number of sections |
//! | 16..24, 24..32, 32..40 | rows, zones (of all classes), cells |
//! | 40..48 | height of a zone of the first class, in quanta of declination |
//! | 48..56 | epoch of the positions, Julian year, f64 |
//! | 56..60, 60..64 | frame (1: ICRS), bytes of a row of PAYLOAD (0: there is none) |
//! | 64..72, 72..80 | largest distance of a position from its quanta (arcseconds, f64), bytes of the file |
//! | 128.. | sections: kind u32, 0 u32, offset u64, length u64, xxh3 u64 |
//! | 4088..4096 | xxh3 of the bytes before |
//!
//! | section | element | what |
//! |---|---|---|
//! | META | JSON | [`Meta`] |
//! | CLASSES | 8 u64 | the classes of sources (`classes.rs`): what each is searched with in common |
//! | ZFIRST | u32 | for each class: first cell of each of its zones, and of what follows |
//! | ZBASE | u32 | likewise the first row |
//! | COFF | u32 | first row of each cell, and the number of rows |
//! | ROWS | 2 u32 | quanta of right ascension and declination, by class, zone, right ascension, declination, place in the input |
//! | PAYLOAD | bytes | `payload.rs`: id, right ascension and declination as f64, columns; in the order of ROWS |
//! | HEAP | bytes | the texts that PAYLOAD refers to |
//! | MOVERS | u64, 2 f64 | row, proper motion in right ascension (times the cosine of the declination) and declination, mas per year |
//! | RADII | f64 | the radius of each source, arcseconds |
//! | ORDER | u32 | place of each row in the input, where PAYLOAD has no ids |
//! | MOC | 2 u64 | footprint: ranges of HEALPix cells (nested, order 29), sorted, apart from each other, ends excluded |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const MAGIC: &[u8; 8] = b"SKYZONES";
/// Readers of another major version cannot read what this one writes.
pub(super) const MAJOR: u16 = 1;
const MINOR: u16 = 0;
/// Alignment of sections; the length of the first page.
pub(super) const PAGE: usize = 4096;
const TABLE: usize = 128;
const ENTRY: usize = 32;
const MAX_SECTIONS: usize = (PAGE - 8 - TABLE) / ENTRY;
/// The only frame so far.
const ICRS: u32 = 1;

/// The kinds of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Meta = 1,
    Classes,
    ZoneFirst,
    ZoneBase,
    CellOffsets,
    Rows,
    Payload,
    Heap,
    Movers,
    Radii,
    Order,
    Moc,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Meta,
        Kind::Classes,
        Kind::ZoneFirst,
        Kind::ZoneBase,
        Kind::CellOffsets,
        Kind::Rows,
        Kind::Payload,
        Kind::Heap,
        Kind::Movers,
        Kind::Radii,
        Kind::Order,
        Kind::Moc,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Meta => "META",
            Kind::Classes => "CLASSES",
            Kind::ZoneFirst => "ZFIRST",
            Kind::ZoneBase => "ZBASE",
            Kind::CellOffsets => "COFF",
            Kind::Rows => "ROWS",
            Kind::Payload => "PAYLOAD",
            Kind::Heap => "HEAP",
            Kind::Movers => "MOVERS",
            Kind::Radii => "RADII",
            Kind::Order => "ORDER",
            Kind::Moc => "MOC",
        }
    }
}

/// A section, as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// A [`Kind`], or one of a later minor version.
    pub kind: u32,
    pub offset: u64,
    pub len: u64,
    pub checksum: u64,
}

/// The first page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub rows: u64,
    pub zones: u64,
    pub cells: u64,
    pub zone_height: u64,
    pub epoch: f64,
    pub stride: u32,
    pub position_error: f64,
    pub file_len: u64,
    pub sections: Vec<Section>,
}

/// What is wrong with a first page.
#[derive(Debug, PartialEq)]
pub(super) enum HeaderError {
    Foreign,
    Newer(u16, u16),
    Damaged(String),
}

impl Header {
    /// The first page of a file.
    pub fn write(&self) -> [u8; PAGE] {
        debug_assert!(self.sections.len() <= MAX_SECTIONS);
        let mut page = [0; PAGE];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &MAJOR.to_le_bytes());
        put(10, &MINOR.to_le_bytes());
        put(12, &(self.sections.len() as u32).to_le_bytes());
        put(16, &self.rows.to_le_bytes());
        put(24, &self.zones.to_le_bytes());
        put(32, &self.cells.to_le_bytes());
        put(40, &self.zone_height.to_le_bytes());
        put(48, &self.epoch.to_le_bytes());
        put(56, &ICRS.to_le_bytes());
        put(60, &self.stride.to_le_bytes());
        put(64, &self.position_error.to_le_bytes());
        put(72, &self.file_len.to_le_bytes());
        for (at, section) in (TABLE..).step_by(ENTRY).zip(&self.sections) {
            put(at, &section.kind.to_le_bytes());
            put(at + 8, &section.offset.to_le_bytes());
            put(at + 16, &section.len.to_le_bytes());
            put(at + 24, &section.checksum.to_le_bytes());
        }
        let sum = xxh3_64(&page[..PAGE - 8]);
        page[PAGE - 8..].copy_from_slice(&sum.to_le_bytes());
        page
    }

    /// Reads the beginning of a file.
    pub fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        if bytes.len() < 12 || &bytes[..8] != MAGIC {
            return Err(HeaderError::Foreign);
        }
        let (major, minor) = (u16::from_le_bytes(part(bytes, 8)), u16::from_le_bytes(part(bytes, 10)));
        if major > MAJOR {
            return Err(HeaderError::Newer(major, minor));
        }
        let damaged = |what: &str| HeaderError::Damaged(what.to_owned());
        let Some(page) = bytes.get(..PAGE) else { return Err(damaged("it ends within its first page")) };
        if u64::from_le_bytes(part(page, PAGE - 8)) != xxh3_64(&page[..PAGE - 8]) {
            return Err(damaged("its bytes do not have their checksum"));
        }
        let long = |at: usize| u64::from_le_bytes(part(page, at));
        let word = |at: usize| u32::from_le_bytes(part(page, at));
        let count = word(12) as usize;
        if count > MAX_SECTIONS {
            return Err(damaged("it has more sections than there is room for"));
        }
        if word(56) != ICRS {
            return Err(HeaderError::Damaged(format!("its positions are in a frame that is not known, number {}", word(56))));
        }
        let section = |i: usize| {
            let at = TABLE + i * ENTRY;
            Section { kind: word(at), offset: long(at + 8), len: long(at + 16), checksum: long(at + 24) }
        };
        Ok(Header {
            rows: long(16),
            zones: long(24),
            cells: long(32),
            zone_height: long(40),
            epoch: f64::from_bits(long(48)),
            stride: word(60),
            position_error: f64::from_bits(long(64)),
            file_len: long(72),
            sections: (0..count).map(section).collect(),
        })
    }
}

/// `N` bytes at a place that is within.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// What the file says of itself in words (section META).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Name of the catalogue.
    pub name: String,
    /// Version of the catalogue, such as a data release.
    pub version: String,
    /// The files that it was built of.
    pub sources: Vec<SourceFile>,
    /// Type of the ids: `int64` or `utf8`; `row` where the id is the row number in the input, `none` where it is the row
    /// number in the index.
    pub id: String,
    /// The columns that are carried.
    pub columns: Vec<Column>,
    /// How it was built.
    pub build: BTreeMap<String, String>,
    /// Rows that were left out.
    pub rejects: Rejects,
    /// The epochs (Julian years) between which a source that is not among the movers stays within `tolerance`.
    pub epochs: Option<(f64, f64)>,
    /// Arcseconds; 0 without proper motions.
    pub tolerance: f64,
    /// Order of the HEALPix cells of the footprint; none without a footprint.
    pub footprint_order: Option<u8>,
}

/// A file that a catalogue was built of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Name or URL.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Checksum with its kind, such as `xxh3:0123456789abcdef`.
    pub checksum: String,
}

/// A column that is carried with each source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type: `bool`, `int8` to `int64`, `uint8` to `uint64`, `float32`, `float64`, `utf8`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unit, empty where none is known.
    pub unit: String,
    /// Whether a value may be missing.
    pub nullable: bool,
}

/// Rows of the input that are not in the index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rejects {
    /// Rows whose position is NaN or infinite.
    pub not_finite: u64,
    /// Rows whose position is off the sphere.
    pub off_sphere: u64,
    /// Rows without an id.
    pub no_id: u64,
    /// Rows whose radius cannot be one.
    pub radius: u64,
    /// Rows that were refused where the table was read.
    pub refused: u64,
    /// The first of them, as row numbers of the input, from 0.
    pub first: Vec<u64>,
    /// The first of those that were refused in reading: file, line or row, and the reason.
    pub places: Vec<String>,
}

impl Rejects {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.not_finite + self.off_sphere + self.no_id + self.radius + self.refused
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header() -> Header {
        let section = |kind: Kind, offset| Section { kind: kind as u32, offset, len: 100, checksum: 7 };
        Header {
            rows: 12,
            zones: 2,
            cells: 4,
            zone_height: 1 << 31,
            epoch: 2016.0,
            stride: 24,
            position_error: 0.000_169,
            file_len: 12_288,
            sections: vec![section(Kind::Meta, 4096), section(Kind::Rows, 8192)],
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        assert_eq!(Header::read(&header().write()).unwrap(), header());
    }

    #[test]
    fn strangers_newcomers_and_damage_are_told_apart() {
        let page = header().write();
        assert_eq!(Header::read(b"SIMPLE  =   T"), Err(HeaderError::Foreign));
        assert_eq!(Header::read(b""), Err(HeaderError::Foreign));
        let mut newer = page;
        newer[8..10].copy_from_slice(&2u16.to_le_bytes());
        assert_eq!(Header::read(&newer), Err(HeaderError::Newer(2, 0)));
        for at in 12..PAGE {
            let mut bad = page;
            bad[at] ^= 0x10;
            assert!(matches!(Header::read(&bad), Err(HeaderError::Damaged(_))), "byte {at}");
        }
        assert!(matches!(Header::read(&page[..1000]), Err(HeaderError::Damaged(_))));
    }

    #[test]
    fn kinds_are_numbered_as_the_table_says() {
        assert_eq!(Kind::ALL.map(|k| k as u32).to_vec(), (1..=12).collect::<Vec<u32>>());
    }
}
