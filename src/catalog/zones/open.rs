//! Opening an index, and verifying one.
//!
//! Opening reads the first page, the classes, the zones and META whole, with their checksums, and looks once over the directory
//! of cells; ROWS, PAYLOAD and what else is large, the directory of a very large file too, are left to [`ZoneIndex::verify`].

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::ZoneError;
use super::classes::{CLASS, Class};
use super::format::{Header, HeaderError, Kind, MAGIC, Meta, PAGE};
use super::grid;
use super::map::Map;
use super::payload::Layout;

#[cfg(target_endian = "big")]
compile_error!("zone indexes are mapped as they are, little-endian");

/// Cells that are all looked over when a file is opened: those of 130 million sources, some milliseconds. Of larger directories
/// only the first and the last cell of each zone are.
const LOOKED_OVER: usize = 1 << 24;
/// Cells that a thread looks over at a time.
const STRETCH: usize = 1 << 20;

/// An open zone index. It may be shared between threads, and stays as it is when its file is replaced.
#[derive(Debug)]
pub struct ZoneIndex {
    pub(super) map: Map,
    pub(super) header: Header,
    pub(super) meta: Meta,
    pub(super) layout: Layout,
    pub(super) classes: Vec<Class>,
    /// For each class a bound of the cosine of the declination in each of its zones.
    pub(super) cosines: Vec<Vec<f64>>,
    /// Where the sections are, by kind; empty where there is none.
    places: [Range<usize>; Kind::ALL.len()],
    path: PathBuf,
}

impl ZoneIndex {
    /// Opens an index.
    ///
    /// # Errors
    /// When the file cannot be read, is no zone index, is of a later version, ends too early, or is damaged where opening
    /// looks.
    pub fn open(path: &Path) -> Result<ZoneIndex, ZoneError> {
        let file = File::open(path).map_err(ZoneError::io("open", path))?;
        let found = file.metadata().map_err(ZoneError::io("open", path))?.len();
        if found == 0 {
            return Err(ZoneError::Foreign { path: path.to_path_buf() });
        }
        let map = Map::new(&file).map_err(ZoneError::io("map", path))?;
        let damaged = |section: &'static str, what: String| ZoneError::Damaged { path: path.to_path_buf(), section, what };
        let header = Header::read(map.bytes()).map_err(|e| match e {
            HeaderError::Foreign => ZoneError::Foreign { path: path.to_path_buf() },
            HeaderError::Newer(major, minor) => ZoneError::Newer { path: path.to_path_buf(), major, minor },
            HeaderError::Damaged(_) if found < PAGE as u64 => {
                ZoneError::Short { path: path.to_path_buf(), expected: PAGE as u64, found }
            }
            HeaderError::Damaged(what) => damaged("the header", what),
        })?;
        if found < header.file_len {
            return Err(ZoneError::Short { path: path.to_path_buf(), expected: header.file_len, found });
        }
        let places = places(&header, map.bytes().len()).map_err(|what| damaged("the section table", what))?;
        let meta = serde_json::from_slice(&map.bytes()[places[Kind::Meta as usize - 1].clone()])
            .map_err(|e| damaged("META", e.to_string()));
        let mut index = ZoneIndex {
            map,
            layout: Layout::of(&[], "").map_err(|what| damaged("META", what))?,
            header,
            meta: Meta::default(),
            classes: Vec::new(),
            cosines: Vec::new(),
            places,
            path: path.to_path_buf(),
        };
        for kind in [Kind::Meta, Kind::Classes, Kind::ZoneFirst, Kind::ZoneBase, Kind::Moc] {
            index.check_sum(kind as u32)?;
        }
        index.meta = meta?;
        index.layout = Layout::of(&index.meta.columns, &index.meta.id).map_err(|what| damaged("META", what))?;
        index.classes = index.section(Kind::Classes).chunks_exact(CLASS).map(Class::read).collect();
        index.check_shapes().map_err(|(kind, what)| damaged(kind.name(), what))?;
        index.check_directory().map_err(|(kind, what)| damaged(kind.name(), what))?;
        index.cosines = index.classes.iter().map(|c| grid::cosines(c.shift)).collect();
        Ok(index)
    }

    /// Whether a file begins as an index does, whatever it is called; not whether it is whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_index(path: &Path) -> std::io::Result<bool> {
        let mut head = Vec::with_capacity(MAGIC.len());
        File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
        Ok(head == MAGIC)
    }

    /// Reads the whole file and compares each section with its checksum.
    ///
    /// # Errors
    /// The section that is damaged.
    pub fn verify(&self) -> Result<(), ZoneError> {
        Header::read(self.map.bytes()).ok().filter(|h| *h == self.header).ok_or_else(|| ZoneError::Damaged {
            path: self.path.clone(),
            section: "the header",
            what: "it is not what it was at opening".to_owned(),
        })?;
        let kinds: Vec<u32> = self.header.sections.iter().map(|s| s.kind).collect();
        kinds.par_iter().try_for_each(|kind| self.check_sum(*kind))
    }

    /// The bytes of a section; empty where there is none.
    pub(super) fn section(&self, kind: Kind) -> &[u8] {
        &self.map.bytes()[self.places[kind as usize - 1].clone()]
    }

    /// Where a section is in the file.
    pub(super) fn place(&self, kind: Kind) -> Range<usize> {
        self.places[kind as usize - 1].clone()
    }

    /// A section as numbers.
    pub(super) fn numbers<T: bytemuck::Pod>(&self, kind: Kind) -> &[T] {
        // Places are aligned to pages, and lengths have been compared with what the header says.
        bytemuck::try_cast_slice(self.section(kind)).unwrap_or(&[])
    }

    fn check_sum(&self, kind: u32) -> Result<(), ZoneError> {
        for section in self.header.sections.iter().filter(|s| s.kind == kind) {
            let bytes = self.map.bytes().get(section.offset as usize..(section.offset + section.len) as usize);
            if bytes.map(xxh3_64) != Some(section.checksum) {
                let name = Kind::ALL.iter().find(|k| **k as u32 == kind).map_or("a section of a later version", |k| k.name());
                let what = "its bytes do not have their checksum".to_owned();
                return Err(ZoneError::Damaged { path: self.path.clone(), section: name, what });
            }
        }
        Ok(())
    }

    /// Compares the lengths of sections with the counts of the header and the classes.
    fn check_shapes(&self) -> Result<(), (Kind, String)> {
        let header = &self.header;
        let needs = |kind: Kind, len: Option<u64>| {
            let found = self.section(kind).len() as u64;
            let fits = len == Some(found);
            if fits { Ok(()) } else { Err((kind, format!("it has {found} bytes instead of {len:?}"))) }
        };
        let mut zones = 0u64;
        let mut row = 0u64;
        for class in &self.classes {
            let heights = grid::MIN_SHIFT..=grid::MAX_SHIFT;
            let sound = heights.contains(&class.shift) && class.first_row == row && class.first_zone == zones;
            let numbers = class.radius >= 0.0 && class.motion >= 0.0 && class.motion.is_finite();
            if !sound || !numbers {
                return Err((Kind::Classes, "it contradicts itself".to_owned()));
            }
            zones += class.zones() as u64 + 1;
            row = row.checked_add(class.rows).ok_or((Kind::Classes, "it has too many rows".to_owned()))?;
        }
        if row != header.rows || header.rows > u64::from(u32::MAX) || header.cells > u64::from(u32::MAX) {
            return Err((Kind::Classes, format!("it has {row} rows, the header {}", header.rows)));
        }
        needs(Kind::Classes, Some((self.classes.len() * CLASS) as u64))?;
        needs(Kind::ZoneFirst, Some(4 * zones))?;
        needs(Kind::ZoneBase, Some(4 * zones))?;
        needs(Kind::CellOffsets, Some(4 * (header.cells + 1)))?;
        needs(Kind::Rows, Some(8 * header.rows))?;
        let agrees = if header.stride > 0 { self.layout.stride == header.stride as usize } else { self.meta.columns.is_empty() };
        if !agrees {
            return Err((Kind::Meta, format!("its columns take {} bytes, the header has {}", self.layout.stride, header.stride)));
        }
        needs(Kind::Payload, header.rows.checked_mul(u64::from(header.stride)))?;
        let movers: u64 = self.classes.iter().filter(|c| c.motion > 0.0).map(|c| c.rows).sum();
        needs(Kind::Movers, Some(24 * movers))?;
        let optional = |kind: Kind, width: u64| {
            if self.section(kind).is_empty() { Ok(()) } else { needs(kind, Some(width * header.rows)) }
        };
        optional(Kind::Radii, 8)?;
        optional(Kind::Order, 4)?;
        if self.meta.id == "row" {
            needs(Kind::Order, Some(4 * header.rows))?;
        }
        let ranges: &[[u64; 2]] = self.numbers(Kind::Moc);
        let apart = ranges.iter().all(|r| r[0] < r[1]) && ranges.windows(2).all(|w| w[0][1] < w[1][0]);
        let whole = self.section(Kind::Moc).len().is_multiple_of(16);
        if apart && whole { Ok(()) } else { Err((Kind::Moc, "its ranges are not in order".to_owned())) }
    }

    /// Looks whether zones and cells follow each other, and end where they must.
    fn check_directory(&self) -> Result<(), (Kind, String)> {
        let (firsts, bases): (&[u32], &[u32]) = (self.numbers(Kind::ZoneFirst), self.numbers(Kind::ZoneBase));
        let offsets: &[u32] = self.numbers(Kind::CellOffsets);
        let rows = self.header.rows as u32;
        let mut cell = 0;
        for class in &self.classes {
            let zones = class.first_zone as usize..class.first_zone as usize + class.zones() + 1;
            let (firsts, bases) = (&firsts[zones.clone()], &bases[zones]);
            if firsts[0] != cell || firsts.windows(2).any(|w| w[0] >= w[1]) {
                return Err((Kind::ZoneFirst, "its cells do not follow each other".to_owned()));
            }
            let end = (class.first_row + class.rows) as u32;
            let ends = u64::from(bases[0]) == class.first_row && bases.last() == Some(&end);
            if !ends || bases.windows(2).any(|w| w[0] > w[1]) {
                return Err((Kind::ZoneBase, "its rows do not follow each other".to_owned()));
            }
            if firsts.iter().zip(bases).any(|(cell, row)| offsets.get(*cell as usize) != Some(row)) {
                return Err((Kind::CellOffsets, "it does not agree with ZBASE".to_owned()));
            }
            cell = *firsts.last().unwrap_or(&0);
        }
        let ends = u64::from(cell) == self.header.cells && offsets.last() == Some(&rows);
        // Each stretch with the first of the next, on all cores: this is what opening takes time for. A search does not rely on
        // it: a directory that is damaged gives fewer sources.
        let rising = |start: usize| {
            let stretch = &offsets[start..offsets.len().min(start + STRETCH + 1)];
            stretch.iter().zip(&stretch[1..]).fold(true, |sound, (a, b)| sound & (a <= b))
        };
        let starts: Vec<usize> = (0..offsets.len()).step_by(STRETCH).collect();
        if ends && (offsets.len() > LOOKED_OVER || starts.par_iter().all(|start| rising(*start))) {
            Ok(())
        } else {
            Err((Kind::CellOffsets, "its rows do not follow each other".to_owned()))
        }
    }
}

/// The place of each kind of section.
fn places(header: &Header, len: usize) -> Result<[Range<usize>; Kind::ALL.len()], String> {
    let mut places = [const { 0..0 }; Kind::ALL.len()];
    let mut taken: Vec<Range<u64>> = Vec::from([Range { start: 0, end: PAGE as u64 }]);
    for section in &header.sections {
        let end = section.offset.checked_add(section.len).filter(|end| *end <= header.file_len.min(len as u64));
        let Some(end) = end.filter(|_| section.offset.is_multiple_of(PAGE as u64)) else {
            return Err(format!("section {} is not within the file", section.kind));
        };
        if section.len > 0 && taken.iter().any(|t| section.offset < t.end && t.start < end) {
            return Err(format!("section {} lies over another", section.kind));
        }
        taken.push(section.offset..end);
        if let Some(place) = (section.kind as usize).checked_sub(1).and_then(|i| places.get_mut(i)) {
            if place.start < place.end {
                return Err(format!("section {} is there twice", section.kind));
            }
            *place = section.offset as usize..end as usize;
        }
    }
    Ok(places)
}
