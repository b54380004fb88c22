//! The k-d tree engine: unit vectors in kiddo, an exact test on what it proposes.
//!
//! kiddo's ways are kept inside: ties come in no order (sorted in `Hits`), an empty tree answers nonsense (never asked), a NaN
//! row hides others (`Catalog` has none), radii are squared chords.

use kiddo::{ImmutableKdTree, SquaredEuclidean};

use super::CatalogError;
use crate::sky;

/// Chords are right to a few units in the last place of a unit vector; cones are asked this much wider (3e-9 arcseconds) and
/// the exact test decides.
const SLACK: f64 = 1.5e-14;

/// The tree, none for an empty catalogue.
pub(super) struct Tree(Option<ImmutableKdTree<f64, 3>>);

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tree").field(&self.0.as_ref().map(ImmutableKdTree::size)).finish()
    }
}

impl Tree {
    /// Indexes positions (degrees).
    pub fn build(positions: &[(f64, f64)]) -> Result<Tree, CatalogError> {
        if positions.is_empty() {
            return Ok(Tree(None));
        }
        let vectors: Vec<[f64; 3]> = positions.iter().map(|&(ra, dec)| sky::unit_vector(ra, dec)).collect();
        let tree = ImmutableKdTree::new_from_slice(&vectors)
            .map_err(|e| CatalogError::Index { rows: positions.len(), reason: e.to_string() })?;
        Ok(Tree(Some(tree)))
    }

    /// Calls `found` with every source that may lie within `radius` (arcseconds) of a finite position; some lie a little
    /// beyond it.
    pub fn visit(&self, (ra, dec): (f64, f64), radius: f64, mut found: impl FnMut(u32)) {
        let angle = (radius / sky::ARCSEC_PER_RADIAN).min(std::f64::consts::PI);
        let reach = (sky::squared_chord(angle).sqrt() + SLACK).powi(2);
        if let Some(tree) = &self.0 {
            let from = sky::unit_vector(ra, dec);
            tree.query(&from).within::<SquaredEuclidean<f64>>(reach).unsorted().visit(|near| found(near.item));
        }
    }
}
