//! Static catalogues of sources, searched by cones.
//!
//! May depend on: `sky`, of `config` on how descriptions of catalogues are read, arrow, kiddo. Opening reads files; searching is
//! pure and works on batches. How a catalogue is indexed is its own affair (`Held`): callers see one search, whatever the engine.
//!
//! **Invariants:** every source has a finite position on the sphere; hits of a query are ordered by separation, then by row;
//! every hit lies within the radius, by the separation that is reported; a catalogue does not change: a new edition is a new one
//! (`live.rs`).

mod cache;
mod error;
mod hits;
mod live;
pub mod make;
mod memory;
mod nearest;
mod open;
pub mod table;
mod tree;
pub mod zones;

#[cfg(test)]
mod tests;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub use error::CatalogError;
pub use hits::{Hit, Hits};
pub use live::{Live, Seen};
pub use open::Opening;
pub use zones::{Cones, Id, Radius};

use crate::config::Engine;
use memory::Memory;
use zones::ZoneIndex;

/// Sources with their positions, indexed for cone search.
#[derive(Debug)]
pub struct Catalog {
    id: String,
    held: Held,
    warnings: Vec<String>,
}

/// Where the sources are and what the search runs on. All engines give the same hits.
#[derive(Debug)]
enum Held {
    /// In memory, in the order of the table, with a k-d tree.
    Memory(Box<Memory>),
    /// In a mapped zone index, in its order.
    Zones(Box<ZoneIndex>),
}

impl Catalog {
    /// A catalogue of sources that are given as (id, right ascension, declination), degrees, in memory.
    ///
    /// # Errors
    /// When a position is not finite or off the sphere; it is named by its place in the list, from 1.
    pub fn new<S: AsRef<str>>(id: &str, rows: impl IntoIterator<Item = (S, f64, f64)>) -> Result<Catalog, CatalogError> {
        let held = Held::Memory(Box::new(Memory::listed(rows)?));
        Ok(Catalog { id: id.to_owned(), held, warnings: Vec::new() })
    }

    /// Name of the catalogue in annotations.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its version, as its description says; empty where none is known.
    #[must_use]
    pub fn version(&self) -> &str {
        match &self.held {
            Held::Memory(memory) => &memory.version,
            Held::Zones(index) => &index.meta().version,
        }
    }

    /// Name, version, number of sources and engine in one line, for records and people.
    #[must_use]
    pub fn edition(&self) -> String {
        let version = if self.version().is_empty() { String::new() } else { format!(" {}", self.version()) };
        format!("{}{version}, {} sources, {} {:016x}", self.id, self.len(), self.engine(), self.fingerprint())
    }

    /// What the search runs on.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.held {
            Held::Memory(_) => Engine::KdTree,
            Held::Zones(_) => Engine::Zones,
        }
    }

    /// A number that another content of the catalogue does not have, but by chance.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        match &self.held {
            Held::Memory(memory) => memory.fingerprint,
            Held::Zones(index) => index.fingerprint(),
        }
    }

    /// The zone index, where it is one.
    #[must_use]
    pub fn zones(&self) -> Option<&ZoneIndex> {
        match &self.held {
            Held::Memory(_) => None,
            Held::Zones(index) => Some(index),
        }
    }

    /// Number of sources.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Memory(memory) => memory.len(),
            Held::Zones(index) => index.len(),
        }
    }

    /// Whether there is no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Id of a source.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn source_id(&self, row: u32) -> Id<'_> {
        match &self.held {
            Held::Memory(memory) => memory.id(row),
            Held::Zones(index) => index.id(row),
        }
    }

    /// Right ascension in [0, 360) and declination of a source, ICRS, degrees, at the epoch of the catalogue.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn position(&self, row: u32) -> (f64, f64) {
        match &self.held {
            Held::Memory(memory) => memory.position(row),
            Held::Zones(index) => index.position(row),
        }
    }

    /// The radius of a source's own, arcseconds, where the catalogue has radii.
    #[must_use]
    pub fn radius(&self, row: u32) -> Option<f64> {
        match &self.held {
            Held::Memory(memory) => memory.radius(row),
            Held::Zones(index) => index.radius(row),
        }
    }

    /// Whether sources have radii of their own, which [`Radius::Own`] asks for.
    #[must_use]
    pub fn has_radii(&self) -> bool {
        match &self.held {
            Held::Memory(memory) => memory.has_radii(),
            Held::Zones(index) => index.is_empty() || index.radius(0).is_some(),
        }
    }

    /// Whether some sources are moved to the epoch of a search.
    #[must_use]
    pub fn moves(&self) -> bool {
        match &self.held {
            Held::Memory(memory) => memory.moves(),
            Held::Zones(index) => index.movers() > 0,
        }
    }

    /// Schema of the columns that are carried.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        match &self.held {
            Held::Memory(memory) => memory.schema(),
            Held::Zones(index) => index.schema(),
        }
    }

    /// The columns that are carried, of these sources, in this order.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn carried(&self, rows: &[u32]) -> RecordBatch {
        match &self.held {
            Held::Memory(memory) => memory.carried(rows),
            Held::Zones(index) => index.carried(rows),
        }
    }

    /// Whether the catalogue has looked at a position (degrees) at all: `None` where it is not known.
    #[must_use]
    pub fn covers(&self, ra: f64, dec: f64) -> Option<bool> {
        match &self.held {
            Held::Memory(_) => None,
            Held::Zones(index) => index.covers(ra, dec),
        }
    }

    /// What is odd about the file without being wrong, for an operator.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All sources within `radius` (arcseconds, the boundary included) of each position (right ascension, declination, ICRS
    /// degrees), where the catalogue has them. `hits` is emptied first and keeps its memory. Positions that are not finite have
    /// no hits, nor has a radius that is negative or NaN.
    pub fn search(&self, positions: &[(f64, f64)], radius: f64, hits: &mut Hits) {
        self.find(&Cones { positions, radius: Radius::All(radius), epoch: None }, hits);
    }

    /// All sources in each of a batch of cones; as [`Catalog::search`] in all else.
    pub fn find(&self, cones: &Cones, hits: &mut Hits) {
        match &self.held {
            Held::Memory(memory) => memory.find(cones, hits),
            Held::Zones(index) => index.find(cones, hits),
        }
    }
}
