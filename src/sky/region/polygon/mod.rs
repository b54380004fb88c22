//! Polygons: what great-circle arcs between vertices enclose.
//!
//! A position is inside where the arc to it from a point of which that is known crosses edges in the right parity. Which edges an
//! arc crosses is told by signs of triple products alone: the sign of a vertex is computed once and counts for both its edges, so
//! that an arc through a vertex is no special case; and arcs start at points far from all planes of edges, so that a sign is
//! in doubt only where the position is on an edge, which is inside anyway.

mod check;

#[cfg(test)]
mod tests;

use std::f64::consts::PI;

use super::vector::{Vector, angle, chord, cross, dot, middle, norm, normal, towards, unit};
use super::window::Window;
use super::{EDGE, RegionError};
use crate::sky::{self, ARCSEC_PER_RADIAN};

/// Vertices, at most: edges are compared two by two.
pub(super) const MOST: usize = 10_000;

/// [`EDGE`] in radians.
const NEAR: f64 = EDGE / ARCSEC_PER_RADIAN;

/// Steradians by which the sides of a polygon differ from half a sphere, at least.
const HALF: f64 = 1e-9;

/// Squared sine of the angle (6 degrees) that a position and the start of the arc to it must be from each other and from
/// opposite each other.
const APART: f64 = 0.01;

/// What a closed line of great-circle arcs between vertices, each the shortest, encloses.
///
/// The inside is the smaller of the two parts that the line cuts the sphere into, whatever the order of the vertices, over
/// poles and right ascension 0 and with more than half round the sphere alike. Edges and vertices are inside, up to [`EDGE`] from
/// them. Edges are not parallels: from 10 to 20 degrees of right ascension at declination 60 the edge runs north of 60.
#[derive(Clone, Debug)]
pub struct Polygon {
    /// Coordinates of a cap that holds the polygon, where there is one smaller than half the sphere.
    window: Option<Window>,
    /// The one that ends at the first vertex comes first. The inside is on their left.
    edges: Vec<Edge>,
    /// Where arcs start. One of them is always far enough from a position and its antipode.
    starts: [Start; 2],
    steradians: f64,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    from: Vector,
    to: Vector,
    /// Of its plane, of length 1, to the left.
    normal: Vector,
    /// Whether each of the starts is on its left.
    left: [bool; 2],
}

#[derive(Clone, Copy, Debug)]
struct Start {
    at: Vector,
    inside: bool,
}

impl Edge {
    fn new(from: Vector, to: Vector) -> Edge {
        Edge { from, to, normal: unit(&normal(&from, &to)), left: [false; 2] }
    }

    /// Whether a point in the edge's plane is between its ends, to within [`NEAR`].
    fn spans(&self, p: &Vector) -> bool {
        dot(&cross(&self.normal, &self.from), p) >= -NEAR && dot(&cross(&self.to, &self.normal), p) >= -NEAR
    }
}

impl Polygon {
    /// Of vertices (right ascension and declination, degrees) in the order round it, either way. The last is joined to the first.
    ///
    /// # Errors
    /// Fewer than 3 vertices or more than 10,000; vertices off the sphere; neighbours that are the same position or opposite each
    /// other; edges that cross, touch or run back over each other; a polygon as large as half the sphere.
    pub fn new(vertices: &[(f64, f64)]) -> Result<Polygon, RegionError> {
        let mut points = check::points(vertices)?;
        let mut edges = joined(&points);
        check::simple(&edges)?;
        let mut turned = turning(&edges);
        if turned.abs() < HALF {
            return Err(RegionError::Half);
        }
        if turned < 0.0 {
            points.reverse();
            edges = joined(&points);
            turned = -turned;
        }
        let starts = starts(&mut edges);
        // By the theorem of Gauss and Bonnet, of what is on the left.
        Ok(Polygon { window: window(&points), edges, starts, steradians: 2.0 * PI - turned })
    }

    /// Whether a position (ICRS degrees) lies in the polygon or on its boundary; never so for NaN or off the sphere.
    #[must_use]
    pub fn contains(&self, ra: f64, dec: f64) -> bool {
        if !sky::is_position(ra, dec) || self.window.is_some_and(|window| !window.may_hold(ra, dec)) {
            return false;
        }
        let p = sky::unit_vector(ra, dec);
        let first = normal(&self.starts[0].at, &p);
        if dot(&first, &first) >= APART {
            return self.reached::<0>(&first, &p);
        }
        self.reached::<1>(&normal(&self.starts[1].at, &p), &p)
    }

    /// Whether a point is inside or on an edge, by the arc from a start, `plane` being the start times the point.
    #[inline(always)]
    fn reached<const START: usize>(&self, plane: &Vector, p: &Vector) -> bool {
        let mut inside = self.starts[START].inside;
        let mut before = dot(plane, &self.edges[0].from) >= 0.0;
        for edge in &self.edges {
            let after = dot(plane, &edge.to) >= 0.0;
            let side = dot(&edge.normal, p);
            if side.abs() <= NEAR && edge.spans(p) {
                return true;
            }
            // The edge comes from the left of the arc: then it is crossed by going from its right to its left. And the reverse.
            inside ^= before != after && edge.left[START] != before && (side > 0.0) == before;
            before = after;
        }
        inside
    }

    pub(super) fn steradians(&self) -> f64 {
        self.steradians
    }
}

/// The edges between points, beginning with the one from the last to the first.
fn joined(points: &[Vector]) -> Vec<Edge> {
    let before = points.iter().cycle().skip(points.len() - 1);
    before.zip(points).map(|(from, to)| Edge::new(*from, *to)).collect()
}

/// The sum of the angles by which the line turns to the left at vertices: 2 pi less the area on its left.
fn turning(edges: &[Edge]) -> f64 {
    let next = edges.iter().cycle().skip(1);
    let turn = |(edge, next): (&Edge, &Edge)| {
        let sine = dot(&normal(&edge.normal, &next.normal), &edge.to);
        sine.atan2(dot(&edge.normal, &next.normal))
    };
    edges.iter().zip(next).map(turn).sum()
}

/// Picks two points that are far from the planes of all edges and from each other, and finds out on which side of the polygon
/// they are. The inside is on the left of the edges.
fn starts(edges: &mut [Edge]) -> [Start; 2] {
    let nearest = |p: &Vector| edges.iter().map(|edge| dot(&edge.normal, p).abs()).fold(1.0, f64::min);
    let mut points: Vec<(f64, Vector)> = spread().map(|p| (nearest(&p), p)).collect();
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    let first = points[0].1;
    let second = points.iter().map(|(_, p)| *p).find(|p| dot(p, &first).abs() < 0.9);
    // There are points all over the sphere, most of which are far from one of them and its antipode.
    let points = [first, second.unwrap_or([-first[1], first[2], first[0]])];
    for edge in &mut *edges {
        edge.left = points.map(|p| dot(&edge.normal, &p) > 0.0);
    }
    points.map(|at| Start { at, inside: is_inside(edges, &at) })
}

/// Points spread evenly over the sphere (on a spiral by the golden angle), turned so that they are in no plane that someone would
/// put an edge in.
fn spread() -> impl Iterator<Item = Vector> {
    const COUNT: u32 = 100;
    (0..COUNT).map(|i| {
        let height = (f64::from(i) + 0.523) / f64::from(COUNT) * 2.0 - 1.0;
        let (sin, cos) = (f64::from(i) * 2.399_963_229_728_653 + 0.271_828).sin_cos();
        let across = (1.0 - height * height).sqrt();
        let (x, y, z) = (across * cos, across * sin, height);
        // By 0.7 about x, then by 0.4 about z.
        let (y, z) = (y * 0.7_f64.cos() - z * 0.7_f64.sin(), y * 0.7_f64.sin() + z * 0.7_f64.cos());
        unit(&[x * 0.4_f64.cos() - y * 0.4_f64.sin(), x * 0.4_f64.sin() + y * 0.4_f64.cos(), z])
    })
}

/// Whether a point is inside: goes to the middle of an edge and looks which side of it that comes out at.
fn is_inside(edges: &[Edge], p: &Vector) -> bool {
    // A long edge that is met steeply and neither near the point nor opposite to it.
    let merit = |edge: &Edge| {
        let reached = middle(&edge.from, &edge.to);
        angle(&edge.from, &edge.to) * dot(&edge.normal, p).abs() * norm(&normal(p, &reached))
    };
    let merits = edges.iter().map(merit).enumerate();
    let best = merits.fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best }).0;
    let goal = middle(&edges[best].from, &edges[best].to);
    let plane = normal(p, &goal);
    let crosses = |edge: &Edge| {
        let (before, after) = (dot(&plane, &edge.from) >= 0.0, dot(&plane, &edge.to) >= 0.0);
        let (start, end) = (dot(&edge.normal, p) > 0.0, dot(&edge.normal, &goal) > 0.0);
        before != after && start != before && end == before
    };
    let crossed = edges.iter().enumerate().filter(|(i, edge)| *i != best && crosses(edge)).count();
    (dot(&edges[best].normal, p) > 0.0) ^ (crossed % 2 == 1)
}

/// Coordinates of a cap that holds all points; none where that takes half the sphere. Arcs between points of a cap that is smaller
/// stay in it, and so does the smaller side of the line.
fn window(points: &[Vector]) -> Option<Window> {
    let mut centre = unit(&points.iter().fold([0.0; 3], |sum, p| [sum[0] + p[0], sum[1] + p[1], sum[2] + p[2]]));
    let farthest = |centre: &Vector| {
        points.iter().map(|p| (chord(centre, p), *p)).fold((0.0, *centre), |best, next| if next.0 > best.0 { next } else { best })
    };
    // Badoiu and Clarkson 2003: towards the farthest point, by less each time, is near the centre of the smallest cap soon.
    for step in 2..100 {
        let (_, far) = farthest(&centre);
        centre = towards(&centre, &far, 1.0 / f64::from(step));
    }
    let radius = sky::chord_angle(farthest(&centre).0.powi(2)).to_degrees() + EDGE;
    let [x, y, z] = centre;
    let position = (sky::normalise_ra(y.atan2(x).to_degrees()), z.atan2(x.hypot(y)).to_degrees());
    // What is not finite, because the points have no middle, is not smaller either.
    (radius < 89.9).then(|| Window::new(position, radius))
}
