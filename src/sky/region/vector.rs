//! Vectors of three components, as far as polygons need them. Pure functions of numbers.

pub(super) type Vector = [f64; 3];

#[inline(always)]
pub(super) fn dot(a: &Vector, b: &Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
pub(super) fn cross(a: &Vector, b: &Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[inline(always)]
fn combined(a: &Vector, b: &Vector, factor: f64) -> Vector {
    [a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]]
}

/// The cross product of two unit vectors: as (a - b) x (a + b) / 2, whose last digits are right also where the two nearly agree
/// or nearly oppose, because neither the difference nor the sum of such vectors is rounded.
#[inline(always)]
pub(super) fn normal(a: &Vector, b: &Vector) -> Vector {
    let twice = cross(&combined(a, b, -1.0), &combined(a, b, 1.0));
    twice.map(|x| x / 2.0)
}

pub(super) fn norm(a: &Vector) -> f64 {
    dot(a, a).sqrt()
}

/// The vector of length 1 in the same direction; NaN for the vector without one.
pub(super) fn unit(a: &Vector) -> Vector {
    let length = norm(a);
    a.map(|x| x / length)
}

/// Distance of two points through the sphere; right to the last digits also for near ones.
pub(super) fn chord(a: &Vector, b: &Vector) -> f64 {
    norm(&combined(a, b, -1.0))
}

/// The angle (radians) between two unit vectors.
pub(super) fn angle(a: &Vector, b: &Vector) -> f64 {
    norm(&normal(a, b)).atan2(dot(a, b))
}

/// The point in the middle of the arc between two.
pub(super) fn middle(a: &Vector, b: &Vector) -> Vector {
    unit(&combined(a, b, 1.0))
}

/// The point a share of the way from one to the other, back on the sphere.
pub(super) fn towards(from: &Vector, to: &Vector, share: f64) -> Vector {
    unit(&combined(&from.map(|x| x * (1.0 - share)), to, share))
}
