//! What an index knows of its sources, by row, and of itself.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::format::{Kind, Meta, part};
use super::open::ZoneIndex;
use super::payload::{self, Id};
use super::{footprint, grid};
use crate::sky;

impl ZoneIndex {
    /// Number of sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.rows as usize
    }

    /// Whether there is no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.rows == 0
    }

    /// A number made of the checksums of all sections: that of another content differs.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let sums: Vec<u8> = self.header.sections.iter().flat_map(|section| section.checksum.to_le_bytes()).collect();
        xxhash_rust::xxh3::xxh3_64(&sums)
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.header.file_len
    }

    /// Number of zones and of cells of the directory.
    #[must_use]
    pub fn zones_and_cells(&self) -> (u64, u64) {
        (self.header.zones, self.header.cells)
    }

    /// Sources whose proper motion is applied in searches at an epoch.
    #[must_use]
    pub fn movers(&self) -> u64 {
        self.classes.iter().filter(|c| c.motion > 0.0).map(|c| c.rows).sum()
    }

    /// Epoch of the positions, Julian year.
    #[must_use]
    pub fn epoch(&self) -> f64 {
        self.header.epoch
    }

    /// What separations may be wrong by, arcseconds: 0 where exact positions are kept.
    #[must_use]
    pub fn position_error(&self) -> f64 {
        if self.header.stride > 0 { 0.0 } else { self.header.position_error }
    }

    /// The sections of the file, with their bytes.
    #[must_use]
    pub fn sections(&self) -> Vec<(&'static str, u64)> {
        let name = |kind: u32| Kind::ALL.iter().find(|k| **k as u32 == kind).map_or("of a later version", |k| k.name());
        self.header.sections.iter().map(|s| (name(s.kind), s.len)).collect()
    }

    /// Share of the sky that the footprint has; `None` where it is not known.
    #[must_use]
    pub fn sky_share(&self) -> Option<f64> {
        self.meta.footprint_order?;
        let ranges: &[[u64; 2]] = self.numbers(Kind::Moc);
        let cells: u64 = ranges.iter().map(|r| r[1] - r[0]).sum();
        Some(cells as f64 / cdshealpix::n_hash(footprint::DEEPEST) as f64)
    }

    /// What the file says of itself.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Schema of the columns that are carried.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    /// Id of a source: as it was given; its row number in the input or in the index where no ids are kept.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn id(&self, row: u32) -> Id<'_> {
        let known = self.numbers::<u32>(Kind::Order);
        match known.get(row as usize) {
            Some(order) => Id::Number(i64::from(*order)),
            None if self.header.stride == 0 => {
                assert!((row as usize) < self.len(), "no row {row} in an index of {}", self.len());
                Id::Number(i64::from(row))
            }
            None => {
                let id = part(self.record(row), 0);
                if self.layout.text_ids {
                    Id::Text(payload::text(self.section(Kind::Heap), u64::from_le_bytes(id)))
                } else {
                    Id::Number(i64::from_le_bytes(id))
                }
            }
        }
    }

    /// Right ascension in [0, 360) and declination of a source, ICRS, degrees, at the catalogue's epoch.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn position(&self, row: u32) -> (f64, f64) {
        if self.header.stride > 0 {
            return payload::position(self.record(row), 0, 0);
        }
        let [ra, dec] = self.numbers::<[u32; 2]>(Kind::Rows)[row as usize];
        grid::position((ra, dec))
    }

    /// The radius of a source's own, arcseconds, where the catalogue has radii.
    #[must_use]
    pub fn radius(&self, row: u32) -> Option<f64> {
        self.numbers::<f64>(Kind::Radii).get(row as usize).copied()
    }

    /// The columns that are carried, of these sources, in this order.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn carried(&self, rows: &[u32]) -> RecordBatch {
        // Without payload there are no columns, and the bytes of a row are not looked at.
        let record = |row: &u32| if self.header.stride > 0 { self.record(*row) } else { &[] };
        self.layout.read(rows.iter().map(record), self.section(Kind::Heap))
    }

    /// Whether the footprint has a position (degrees): `None` where it is not known, `Some(false)` for what is no position.
    #[must_use]
    pub fn covers(&self, ra: f64, dec: f64) -> Option<bool> {
        let ra = sky::normalise_ra(ra);
        self.has_footprint().then(|| sky::is_position(ra, dec) && self.covers_cell(footprint::cell(ra, dec)))
    }

    /// Whether it is known where the catalogue has looked.
    #[must_use]
    pub fn has_footprint(&self) -> bool {
        self.meta.footprint_order.is_some()
    }

    /// Whether the footprint has a cell (see [`super::cell`]); false where it is not known.
    #[must_use]
    pub fn covers_cell(&self, cell: u64) -> bool {
        footprint::covers(self.numbers(Kind::Moc), cell)
    }

    fn record(&self, row: u32) -> &[u8] {
        let stride = self.header.stride as usize;
        &self.section(Kind::Payload)[row as usize * stride..][..stride]
    }
}
