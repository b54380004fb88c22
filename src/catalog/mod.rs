//! Static catalogues of sources, searched by cones.
//!
//! May depend on: `sky`, csv, kiddo. Loading reads a file; searching is pure and works on batches. How a catalogue is indexed is
//! its own affair (`Engine`): callers see one search, whatever the engine.
//!
//! **Invariants:** every source has a finite position on the sphere; hits of a query are ordered by separation, then by row;
//! every hit lies within the radius, by the separation that is reported.

mod csv;
mod error;
mod hits;
pub mod make;
pub mod table;
mod tree;
pub mod zones;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::CatalogError;
pub use hits::{Hit, Hits};

use crate::sky;
use tree::Tree;

/// Sources with their positions, indexed for cone search.
#[derive(Debug)]
pub struct Catalog {
    id: String,
    sources: Sources,
    engine: Engine,
    warnings: Vec<String>,
}

/// What the search runs on. All engines give the same hits.
#[derive(Debug)]
enum Engine {
    Tree(Tree),
}

/// Sources in the order of the file: ids end to end in one text, positions apart.
#[derive(Debug, Default)]
struct Sources {
    ids: String,
    ends: Vec<usize>,
    positions: Vec<(f64, f64)>,
}

impl Sources {
    fn push(&mut self, id: &str, ra: f64, dec: f64) {
        self.ids.push_str(id);
        self.ends.push(self.ids.len());
        self.positions.push((sky::normalise_ra(ra), dec));
    }

    fn id(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.ids[start..self.ends[row]]
    }
}

impl Catalog {
    /// Reads a CSV file with a header. Columns for id, right ascension and declination (ICRS, decimal degrees) are found by their
    /// names, whatever their case (`id`, `source_id`, `name`; `ra`, `raj2000`, `ra_icrs`; `dec`, `dej2000`, `de_icrs` and the
    /// like). `id` is the name of the catalogue in annotations. A right ascension down to -180 is accepted and wrapped.
    ///
    /// # Errors
    /// When the file cannot be read, a column is missing, or a row is bad; the line is named. Duplicate and empty ids are no
    /// error: see [`Catalog::warnings`].
    pub fn load_csv(path: &Path, id: &str) -> Result<Catalog, CatalogError> {
        let (sources, warnings) = csv::read(path)?;
        Catalog::index(id, sources, warnings)
    }

    /// A catalogue of sources that are given as (id, right ascension, declination), degrees.
    ///
    /// # Errors
    /// When a position is not finite or off the sphere; the line is the place in the list, from 1.
    pub fn new<S: AsRef<str>>(id: &str, rows: impl IntoIterator<Item = (S, f64, f64)>) -> Result<Catalog, CatalogError> {
        let mut sources = Sources::default();
        for (line, (source, ra, dec)) in (1..).zip(rows) {
            csv::check_position("the list".as_ref(), line, ra, dec)?;
            sources.push(source.as_ref(), ra, dec);
        }
        Catalog::index(id, sources, Vec::new())
    }

    fn index(id: &str, sources: Sources, warnings: Vec<String>) -> Result<Catalog, CatalogError> {
        let engine = Engine::Tree(Tree::build(&sources.positions)?);
        Ok(Catalog { id: id.to_owned(), sources, engine, warnings })
    }

    /// Name of the catalogue in annotations.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.positions.len()
    }

    /// Whether there is no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.positions.is_empty()
    }

    /// Id of a source.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn source_id(&self, row: u32) -> &str {
        self.sources.id(row as usize)
    }

    /// Right ascension in [0, 360) and declination of a source, ICRS, degrees.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn position(&self, row: u32) -> (f64, f64) {
        self.sources.positions[row as usize]
    }

    /// What is odd about the file without being wrong, for an operator.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All sources within `radius` (arcseconds, the boundary included) of each position (right ascension, declination, ICRS
    /// degrees). `hits` is emptied first and keeps its memory. Positions that are not finite have no hits, nor has a radius
    /// that is negative or NaN.
    pub fn search(&self, positions: &[(f64, f64)], radius: f64, hits: &mut Hits) {
        hits.clear();
        match &self.engine {
            Engine::Tree(tree) => tree.search(&self.sources.positions, positions, radius, hits),
        }
    }
}
