//! What makes vertices a polygon: positions, neighbours that an arc joins, edges that meet at vertices alone.

use super::super::vector::{Vector, angle, chord, cross, dot, middle};
use super::{Edge, MOST};
use crate::sky::region::RegionError;
use crate::sky::{self, ARCSEC_PER_RADIAN};

/// Radians (a microarcsecond) that vertices and edges must be from each other, if they do not belong together: much more than what
/// counts as on an edge, so that no position is on edges that have nothing to do with each other.
const DISTINCT: f64 = 1e-6 / ARCSEC_PER_RADIAN;
/// Radians (an arcsecond) that neighbours must be from opposite each other.
const OPPOSITE: f64 = 1.0 / ARCSEC_PER_RADIAN;

/// The vertices as unit vectors, each of which has an arc to the next.
pub(super) fn points(vertices: &[(f64, f64)]) -> Result<Vec<Vector>, RegionError> {
    let count = vertices.len();
    if !(3..=MOST).contains(&count) {
        return Err(RegionError::Vertices { found: count });
    }
    if let Some((i, &(ra, dec))) = vertices.iter().enumerate().find(|(_, (ra, dec))| !sky::is_position(*ra, *dec)) {
        return Err(RegionError::Position { what: format!("vertex {} of a polygon", i + 1), ra, dec });
    }
    let points: Vec<Vector> = vertices.iter().map(|&(ra, dec)| sky::unit_vector(ra, dec)).collect();
    for (i, point) in points.iter().enumerate() {
        let (first, second) = (i + 1, (i + 1) % count + 1);
        let next = &points[second - 1];
        if chord(point, next) < DISTINCT {
            return Err(RegionError::Repeated { first, second });
        }
        if chord(point, &next.map(|x| -x)) < OPPOSITE {
            return Err(RegionError::Antipodal { first, second });
        }
    }
    Ok(points)
}

/// That no two edges cross or touch, but neighbours at the vertex between them. Edges come as `joined` gives them.
pub(super) fn simple(edges: &[Edge]) -> Result<(), RegionError> {
    let count = edges.len();
    let spheres: Vec<(Vector, f64)> =
        edges.iter().map(|edge| (middle(&edge.from, &edge.to), angle(&edge.from, &edge.to) / 2.0)).collect();
    for (i, edge) in edges.iter().enumerate() {
        for (j, other) in edges.iter().enumerate().skip(i + 1) {
            let meet = if j == i + 1 {
                // Back over each other.
                distance(edge, &other.to) < DISTINCT || distance(other, &edge.from) < DISTINCT
            } else if i == 0 && j == count - 1 {
                distance(other, &edge.to) < DISTINCT || distance(edge, &other.from) < DISTINCT
            } else if chord(&spheres[i].0, &spheres[j].0) > spheres[i].1 + spheres[j].1 + 2.0 * DISTINCT {
                // A chord is shorter than its arc: they are too far from each other.
                false
            } else {
                touch(edge, other) || cross_over(edge, other)
            };
            if meet {
                // The first edge here is the last in the order of the vertices, ending at the first.
                let number = |edge: usize| if edge == 0 { count } else { edge };
                let (first, second) = (number(i).min(number(j)), number(i).max(number(j)));
                return Err(RegionError::Crossing { first, second });
            }
        }
    }
    Ok(())
}

fn touch(a: &Edge, b: &Edge) -> bool {
    [&b.from, &b.to].iter().any(|p| distance(a, p) < DISTINCT) || [&a.from, &a.to].iter().any(|p| distance(b, p) < DISTINCT)
}

/// Whether edges cross that do not touch.
fn cross_over(a: &Edge, b: &Edge) -> bool {
    let left = |edge: &Edge, p: &Vector| dot(&edge.normal, p) > 0.0;
    let (b_from, b_to) = (left(a, &b.from), left(a, &b.to));
    let (a_from, a_to) = (left(b, &a.from), left(b, &a.to));
    // The last keeps out those whose great circles cross at the antipode of a point of one of them.
    b_from != b_to && a_from != a_to && a_from != b_from
}

/// Distance of a point from an edge, radians, or the chord to its nearer end.
fn distance(edge: &Edge, p: &Vector) -> f64 {
    let beside = dot(&cross(&edge.normal, &edge.from), p) >= 0.0 && dot(&cross(&edge.to, &edge.normal), p) >= 0.0;
    if beside { dot(&edge.normal, p).abs() } else { chord(&edge.from, p).min(chord(&edge.to, p)) }
}
