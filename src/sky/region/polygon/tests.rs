//! Polygons against winding numbers, areas by integration and the sphere turned; what is on edges; what is no polygon.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::tests::{offset, position};
use super::super::{Circle, SQUARE_DEGREES};
use super::*;

fn vector((ra, dec): (f64, f64)) -> Vector {
    sky::unit_vector(ra, dec)
}

fn degrees([x, y, z]: &Vector) -> (f64, f64) {
    (sky::normalise_ra(y.atan2(*x).to_degrees()), z.atan2(x.hypot(*y)).to_degrees())
}

/// Distance of a position from the nearest point of a line, radians.
fn distance(line: &[Vector], p: (f64, f64)) -> f64 {
    let p = vector(p);
    line.iter().map(|x| chord(x, &p)).fold(f64::INFINITY, f64::min)
}

/// Points of the line, at most 0.1 degrees from one to the next. Straight between vertices by the sines of their parts.
fn line(vertices: &[(f64, f64)]) -> Vec<Vector> {
    let mut out = Vec::new();
    for (from, to) in vertices.iter().zip(vertices.iter().cycle().skip(1)) {
        let (from, to) = (vector(*from), vector(*to));
        let whole = dot(&from, &to).clamp(-1.0, 1.0).acos();
        let parts = (whole.to_degrees() / 0.1).ceil().max(1.0) as u32;
        for part in 0..parts {
            let share = f64::from(part) / f64::from(parts);
            let (a, b) = (((1.0 - share) * whole).sin() / whole.sin(), (share * whole).sin() / whole.sin());
            out.push([0, 1, 2].map(|i| a * from[i] + b * to[i]));
        }
    }
    out
}

/// How often the line goes round `p` as seen in the plane that the sphere becomes when it is projected from `far`: the sum of the
/// angles between its points.
fn winding(line: &[Vector], p: (f64, f64), far: (f64, f64)) -> i32 {
    let z = vector(far);
    let helper = if z[0].abs() < 0.6 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
    let x = unit(&cross(&helper, &z));
    let y = cross(&z, &x);
    let project = |v: &Vector| (dot(&x, v) / (1.0 - dot(&z, v)), dot(&y, v) / (1.0 - dot(&z, v)));
    let about = project(&vector(p));
    let seen: Vec<(f64, f64)> = line.iter().map(project).map(|(u, v)| (u - about.0, v - about.1)).collect();
    let turned: f64 =
        seen.iter().zip(seen.iter().cycle().skip(1)).map(|(a, b)| (a.0 * b.1 - a.1 * b.0).atan2(a.0 * b.0 + a.1 * b.1)).sum();
    (turned / (2.0 * PI)).round() as i32
}

/// A polygon that a centre sees all of: radians of direction and distance.
fn star(centre: (f64, f64), rays: &[(f64, f64)]) -> Vec<(f64, f64)> {
    rays.iter().map(|(direction, away)| offset(centre, *direction, *away)).collect()
}

/// Rays with less than half round between neighbours, distances to 3 (172 degrees).
fn rays() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let ray = (0.6..1.0_f64, 0.1..3.0_f64);
    (proptest::collection::vec(ray, 3..30), 0.02..1.0_f64).prop_map(|(rays, scale)| {
        let whole: f64 = rays.iter().map(|ray| ray.0).sum();
        let mut direction = 0.0;
        let ray = |(gap, away): (f64, f64)| {
            direction += gap / whole * 2.0 * PI;
            (direction, away * scale)
        };
        rays.into_iter().map(ray).collect()
    })
}

/// Steradians around the centre, by the distance of the line in 4,000 directions.
fn area_of_star(rays: &[(f64, f64)]) -> f64 {
    const STEPS: u32 = 4_000;
    let flat = |(direction, away): (f64, f64)| [away.sin() * direction.cos(), away.sin() * direction.sin(), away.cos()];
    let mut sum = 0.0;
    for (from, to) in rays.iter().zip(rays.iter().cycle().skip(1)) {
        let plane = cross(&flat(*from), &flat(*to));
        let gap = (to.0 - from.0).rem_euclid(2.0 * PI);
        let steps = (f64::from(STEPS) * gap / (2.0 * PI)).ceil();
        for step in 0..steps as u32 {
            let (sin, cos) = (from.0 + gap * (f64::from(step) + 0.5) / steps).sin_cos();
            // Where the direction meets the plane: plane . (sin away, cos away) = 0.
            let away = (-plane[2]).atan2(plane[0] * cos + plane[1] * sin).rem_euclid(PI);
            sum += (1.0 - away.cos()) * gap / steps;
        }
    }
    sum
}

/// Turns by three angles.
fn turned(by: (f64, f64, f64), p: (f64, f64)) -> (f64, f64) {
    let mut v = vector(p);
    for (axis, angle) in [(0, by.0), (1, by.1), (2, by.2)] {
        let (sin, cos) = angle.sin_cos();
        let (i, j) = ((axis + 1) % 3, (axis + 2) % 3);
        (v[i], v[j]) = (v[i] * cos - v[j] * sin, v[i] * sin + v[j] * cos);
    }
    degrees(&v)
}

fn everywhere(count: u32) -> impl Iterator<Item = (f64, f64)> {
    (0..count).map(move |i| position((f64::from(i) * 0.618_033_988_75).fract(), (f64::from(i) + 0.5) / f64::from(count)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn positions_are_inside_as_the_line_winds_round_them(
        (turn, height) in (0.0..1.0, 0.0..=1.0), pole in 0..6_usize, rays in rays(), backward in any::<bool>(),
    ) {
        let mut centre = position(turn, height);
        if pole < 2 {
            centre.1 = [90.0, -90.0][pole];
        }
        let around = area_of_star(&rays);
        prop_assume!((around - 2.0 * PI).abs() > 1e-3);
        let mut vertices = star(centre, &rays);
        if backward {
            vertices.reverse();
        }
        let polygon = match Polygon::new(&vertices) {
            Err(RegionError::Antipodal { .. }) => return Ok(()),
            other => other.unwrap(),
        };
        prop_assert!((polygon.steradians() - around.min(4.0 * PI - around)).abs() < 1e-3, "{} {}", polygon.steradians(), around);
        let line = line(&vertices);
        let (mut asked, mut within) = (0, 0);
        for p in everywhere(60).chain(vertices.iter().map(|v| offset(*v, turn * 6.0, 0.1))) {
            if distance(&line, p) < 0.01 || sky::separation(p, centre) < 60.0 {
                continue;
            }
            // Not separated from the centre, or the centre's side being the greater: the one or the other.
            let expected = (winding(&line, p, centre) == 0) == (around < 2.0 * PI);
            prop_assert_eq!(polygon.contains(p.0, p.1), expected, "{:?} in {:?} about {:?}", p, &vertices, centre);
            asked += 1;
            within += u32::from(expected);
        }
        prop_assert!(asked > 20 && within < asked, "{} {}", asked, within);
    }

    #[test]
    fn turning_the_sphere_changes_nothing(
        (turn, height) in (0.0..1.0, 0.0..=1.0), rays in rays(), by in (0.0..6.3, 0.0..6.3, 0.0..6.3), first in 0..30_usize,
    ) {
        let vertices = star(position(turn, height), &rays);
        let Ok(polygon) = Polygon::new(&vertices) else { return Ok(()) };
        prop_assume!((polygon.steradians() - 2.0 * PI).abs() > 1e-6);
        let mut moved: Vec<_> = vertices.iter().map(|v| turned(by, *v)).collect();
        // Nor does it matter which vertex is the first.
        moved.rotate_left(first % vertices.len());
        let other = Polygon::new(&moved).unwrap();
        prop_assert!((polygon.steradians() - other.steradians()).abs() < 1e-9);
        let near = vertices.iter().flat_map(|v| (0..8).map(|i| offset(*v, f64::from(i), 1e-6)));
        for p in everywhere(200).chain(near) {
            let v = vector(p);
            let clear = polygon.edges.iter().all(|edge| dot(&edge.normal, &v).abs() > 1e-9);
            let q = turned(by, p);
            prop_assert!(!clear || polygon.contains(p.0, p.1) == other.contains(q.0, q.1), "{:?} in {:?}", p, &vertices);
        }
    }

    #[test]
    fn what_is_on_the_line_is_inside_and_what_is_beside_it_is_on_its_side(
        (turn, height) in (0.0..1.0, 0.0..=1.0), rays in rays(), share in 0.0..=1.0_f64, scale in -5.0..0.0_f64,
    ) {
        let rays: Vec<_> = rays.into_iter().map(|(direction, away)| (direction, away * 10_f64.powf(scale))).collect();
        let vertices = star(position(turn, height), &rays);
        let Ok(polygon) = Polygon::new(&vertices) else { return Ok(()) };
        for (ra, dec) in &vertices {
            prop_assert!(polygon.contains(*ra, *dec));
        }
        for edge in &polygon.edges {
            let whole = angle(&edge.from, &edge.to);
            let at = |share: f64, left: f64| {
                let (a, b) = (((1.0 - share) * whole).sin() / whole.sin(), (share * whole).sin() / whole.sin());
                degrees(&unit(&[0, 1, 2].map(|i| a * edge.from[i] + b * edge.to[i] + left * edge.normal[i])))
            };
            let contains = |(ra, dec)| polygon.contains(ra, dec);
            prop_assert!(contains(at(share, 0.0)), "{:?} at {} of an edge", at(share, 0.0), share);
            // 3e-14 radians are three times the tolerance; in the middle, where no other edge is.
            if whole > 1e-9 && polygon.edges.iter().filter(|other| {
                let middle = vector(at(0.5, 0.0));
                dot(&other.normal, &middle).abs() < 1e-12
            }).count() == 1 {
                prop_assert!(contains(at(0.5, 3e-14)) && !contains(at(0.5, -3e-14)), "beside {:?}", at(0.5, 0.0));
            }
        }
    }

    /// The arcs from the starts, through a vertex and a little on.
    #[test]
    fn arcs_through_vertices_are_no_special_case(
        (turn, height) in (0.0..1.0, 0.0..=1.0), rays in rays(), far in -7.0..-1.0_f64,
    ) {
        let centre = position(turn, height);
        let vertices = star(centre, &rays);
        let Ok(polygon) = Polygon::new(&vertices) else { return Ok(()) };
        let around = area_of_star(&rays);
        prop_assume!((around - 2.0 * PI).abs() > 1e-3);
        for vertex in &vertices {
            for start in &polygon.starts {
                let v = vector(*vertex);
                let p = degrees(&towards(&start.at, &v, 1.0 + 10_f64.powf(far)));
                let q = vector(p);
                if polygon.edges.iter().any(|edge| dot(&edge.normal, &q).abs() < 1e-9) || sky::separation(p, centre) < 1.0 {
                    continue;
                }
                // About the centre, the line is a function of the direction: nothing is nearer to the truth than that.
                let expected = star_has(centre, &rays, p) == (around < 2.0 * PI);
                prop_assert_eq!(polygon.contains(p.0, p.1), expected, "{:?} behind {:?}", p, vertex);
            }
        }
    }
}

/// Whether the line is farther from the centre than a position in its direction.
fn star_has(centre: (f64, f64), rays: &[(f64, f64)], p: (f64, f64)) -> bool {
    let c = vector(centre);
    let (sin, cos) = centre.0.to_radians().sin_cos();
    let east = [-sin, cos, 0.0];
    let north = cross(&c, &east);
    let v = vector(p);
    let direction = dot(&v, &east).atan2(dot(&v, &north)).rem_euclid(2.0 * PI);
    let flat = |(direction, away): (f64, f64)| [away.sin() * direction.cos(), away.sin() * direction.sin(), away.cos()];
    for (from, to) in rays.iter().zip(rays.iter().cycle().skip(1)) {
        let gap = (to.0 - from.0).rem_euclid(2.0 * PI);
        if (direction - from.0).rem_euclid(2.0 * PI) <= gap {
            let plane = cross(&flat(*from), &flat(*to));
            let (sin, cos) = direction.sin_cos();
            let away = (-plane[2]).atan2(plane[0] * cos + plane[1] * sin).rem_euclid(PI);
            return dot(&v, &c).clamp(-1.0, 1.0).acos() < away;
        }
    }
    unreachable!("rays go all round")
}

fn polygon(vertices: &[(f64, f64)]) -> Polygon {
    Polygon::new(vertices).unwrap()
}

#[test]
fn poles_right_ascension_0_and_shapes_of_more_than_half_round() {
    let cap = polygon(&[(0.0, 60.0), (90.0, 60.0), (180.0, 60.0), (270.0, 60.0)]);
    assert!(cap.contains(12.0, 90.0) && cap.contains(0.0, 60.0) && cap.contains(360.0, 60.0) && !cap.contains(45.0, 62.0));
    assert!(cap.contains(45.0, 68.0) && !cap.contains(0.0, -90.0));
    let border = polygon(&[(350.0, -10.0), (10.0, -10.0), (10.0, 10.0), (350.0, 10.0)]);
    assert!(
        border.contains(0.0, 0.0) && border.contains(360.0, 0.0) && border.contains(350.0, 0.0) && !border.contains(180.0, 0.0)
    );
    // An edge between equal declinations is not a parallel.
    assert!(border.contains(0.0, 10.1) && !border.contains(0.0, 10.2));
    // A vertex at the pole, and an edge over it.
    assert!(polygon(&[(0.0, 0.0), (90.0, 0.0), (123.0, 90.0)]).contains(45.0, 80.0));
    let over = polygon(&[(0.0, 80.0), (180.0, 80.0), (90.0, 70.0)]);
    assert!(over.contains(0.0, 90.0) && over.contains(77.0, 90.0) && over.contains(90.0, 89.0) && !over.contains(270.0, 89.99));
    // A band along the equator, three quarters round: in no half of the sphere.
    let south = (0..28).map(|i| (f64::from(i) * 10.0, -5.0));
    let north = (0..28).rev().map(|i| (f64::from(i) * 10.0, 5.0));
    let band: Vec<_> = south.chain(north).collect();
    let band = polygon(&band);
    assert!(band.window.is_none());
    assert!(band.contains(0.0, 0.0) && band.contains(135.0, 4.9) && band.contains(270.0, 0.0));
    assert!(!band.contains(300.0, 0.0) && !band.contains(135.0, 6.0) && !band.contains(0.0, 90.0) && !band.contains(0.0, -90.0));
    // The smaller side is meant also where it is the one with the south pole, or a great one.
    let south = polygon(&[(0.0, -1.0), (120.0, -1.0), (240.0, -1.0)]);
    assert!(south.contains(0.0, -90.0) && !south.contains(0.0, 90.0));
}

#[test]
fn polygons_of_many_vertices_are_as_circles() {
    for (count, radius) in [(500, 10.0), (2_000, 89.0), (10_000, 1e-3)] {
        let vertices: Vec<_> = (0..count)
            .map(|i| offset((0.01, -89.5), 2.0 * PI * f64::from(i) / f64::from(count), f64::to_radians(radius)))
            .collect();
        let many = polygon(&vertices);
        let sagitta = 1.0 - (PI / f64::from(count)).cos();
        let (outer, inner) =
            (Circle::new((0.01, -89.5), radius).unwrap(), Circle::new((0.01, -89.5), radius * (1.0 - 1.01 * sagitta)).unwrap());
        let near =
            (0..300).map(|i| offset((0.01, -89.5), f64::from(i), f64::to_radians(radius) * (1.0 + f64::from(i - 150) * 1e-6)));
        let mut within = 0;
        for (ra, dec) in everywhere(300).chain(near) {
            assert!(!inner.contains(ra, dec) || many.contains(ra, dec), "{ra} {dec}");
            assert!(!many.contains(ra, dec) || outer.contains(ra, dec), "{ra} {dec}");
            within += u32::from(many.contains(ra, dec));
        }
        assert!((100..500).contains(&within));
    }
}

#[test]
fn an_octant_is_an_eighth() {
    let octant = polygon(&[(0.0, 0.0), (90.0, 0.0), (0.0, 90.0)]);
    assert!((octant.steradians() - PI / 2.0).abs() < 1e-14);
    let square = polygon(&[(10.0, 0.0), (10.001, 0.0), (10.001, 0.001), (10.0, 0.001)]);
    assert!((square.steradians() * SQUARE_DEGREES / 1e-6 - 1.0).abs() < 1e-4);
}

#[test]
fn what_is_no_polygon_is_refused() {
    let refused = |vertices: &[(f64, f64)]| Polygon::new(vertices).unwrap_err().to_string();
    assert!(refused(&[]).starts_with("a polygon of 0 vertices: give 3 to 10000"));
    assert!(refused(&[(0.0, 0.0), (1.0, 0.0)]).starts_with("a polygon of 2 vertices"));
    assert!(refused(&vec![(0.0, 0.0); 10_001]).starts_with("a polygon of 10001 vertices"));
    assert!(refused(&[(0.0, 0.0), (1.0, 0.0), (1.0, f64::NAN)]).starts_with("vertex 3 of a polygon at right ascension 1"));
    assert!(refused(&[(0.0, 0.0), (-1.0, 0.0), (1.0, 1.0)]).starts_with("vertex 2 of a polygon"));
    let repeated = |vertices: &[(f64, f64)], pair: &str| {
        assert!(
            refused(vertices).starts_with(&format!("vertices {pair} of a polygon are the same position")),
            "{}",
            refused(vertices)
        );
    };
    repeated(&[(0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)], "2 and 3");
    repeated(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)], "4 and 1");
    repeated(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (360.0, 0.0)], "4 and 1");
    repeated(&[(0.0, 90.0), (50.0, 90.0), (1.0, 1.0)], "1 and 2");
    assert!(
        refused(&[(0.0, 0.0), (90.0, 10.0), (270.0, -10.0)]).starts_with("vertices 2 and 3 of a polygon are opposite points")
    );
    let crossing = |vertices: &[(f64, f64)], pair: (usize, usize)| match Polygon::new(vertices) {
        Err(RegionError::Crossing { first, second }) => assert_eq!((first, second), pair),
        other => panic!("{other:?}"),
    };
    // A bow tie, also over a pole and over right ascension 0.
    crossing(&[(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)], (1, 3));
    crossing(&[(355.0, 0.0), (5.0, 10.0), (5.0, 0.0), (355.0, 10.0)], (1, 3));
    crossing(&[(0.0, 80.0), (180.0, 80.0), (90.0, 80.0), (270.0, 80.0)], (1, 3));
    crossing(&[(10.0, 10.0), (10.0, 0.0), (0.0, 10.0), (0.0, 0.0)], (2, 4));
    // A vertex on an edge, a vertex twice, back the same way, all on one line.
    crossing(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 0.0), (0.0, 10.0)], (1, 3));
    crossing(&[(0.0, 0.0), (5.0, 5.0), (10.0, 0.0), (10.0, 10.0), (5.0, 5.0), (0.0, 10.0)], (1, 4));
    crossing(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (10.0, 5.0)], (2, 4));
    crossing(&[(0.0, 0.0), (10.0, 0.0), (20.0, 0.0)], (1, 3));
    // Once round the equator: the halves of the sphere.
    let half = refused(&[(0.0, 0.0), (120.0, 0.0), (240.0, 0.0)]);
    assert!(half.starts_with("a polygon divides the sphere into halves"), "{half}");
    let tilted: Vec<_> = (0..7).map(|i| turned((0.3, 1.1, 2.0), (f64::from(i) * 360.0 / 7.0, 0.0))).collect();
    assert!(matches!(Polygon::new(&tilted), Err(RegionError::Half)));
}
