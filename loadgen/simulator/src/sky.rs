//! Places: the tiling of the sky into fields, uniform draws, offsets. ICRS, degrees.

use crate::random::Random;

/// A place on the sky.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Right ascension, degrees in [0, 360).
    pub(crate) ra: f64,
    /// Declination, degrees.
    pub(crate) dec: f64,
}

/// The southern limit of the survey, degrees.
pub(crate) const SOUTH: f64 = -30.0;
/// Rows of fields from there to the pole: about the seven degrees of ZTF's camera.
const ROWS: u32 = 17;
/// Height of a row, degrees.
const HEIGHT: f64 = (90.0 - SOUTH) / ROWS as f64;
/// Number of the first field.
const FIRST_FIELD: u32 = 202;

/// A field: a rectangle in right ascension and declination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Field {
    /// Its number.
    pub(crate) number: u32,
    /// Western edge and width, degrees.
    ra: (f64, f64),
    /// Southern and northern edge, degrees.
    dec: (f64, f64),
}

/// Fields in a row.
fn fields_in_row(row: u32) -> u32 {
    let middle = SOUTH + (f64::from(row) + 0.5) * HEIGHT;
    (360.0 * middle.to_radians().cos() / HEIGHT).ceil() as u32
}

/// The field that holds a place. What is south of the survey belongs to the row at its edge.
pub(crate) fn field(place: Place) -> Field {
    let row = (((place.dec - SOUTH) / HEIGHT).max(0.0) as u32).min(ROWS - 1);
    let before: u32 = (0..row).map(fields_in_row).sum();
    let count = fields_in_row(row);
    let width = 360.0 / f64::from(count);
    let column = ((place.ra / width) as u32).min(count - 1);
    let south = SOUTH + f64::from(row) * HEIGHT;
    Field { number: FIRST_FIELD + before + column, ra: (f64::from(column) * width, width), dec: (south, south + HEIGHT) }
}

/// Uniform over the survey's sky.
pub(crate) fn anywhere(random: &mut Random) -> Place {
    inside((0.0, 360.0), (SOUTH, 90.0), random)
}

/// Uniform over a field.
pub(crate) fn in_field(field: &Field, random: &mut Random) -> Place {
    inside(field.ra, field.dec, random)
}

/// Uniform by area: in right ascension and in the sine of declination.
fn inside(ra: (f64, f64), dec: (f64, f64), random: &mut Random) -> Place {
    let (south, north) = (dec.0.to_radians().sin(), dec.1.to_radians().sin());
    let sine = south + (north - south) * random.unit();
    place(ra.0 + ra.1 * random.unit(), sine.asin().to_degrees())
}

/// The place at a small distance (arcseconds) in the direction `angle` (radians, north through east), exact at the poles too.
pub(crate) fn beside(from: Place, distance: f64, angle: f64) -> Place {
    let (sin_ra, cos_ra) = from.ra.to_radians().sin_cos();
    let (sin_dec, cos_dec) = from.dec.to_radians().sin_cos();
    let along = (distance / 3600.0).to_radians().tan();
    let (east, north) = (along * angle.sin(), along * angle.cos());
    let x = cos_dec * cos_ra - east * sin_ra - north * sin_dec * cos_ra;
    let y = cos_dec * sin_ra + east * cos_ra - north * sin_dec * sin_ra;
    let z = sin_dec + north * cos_dec;
    place(y.atan2(x).to_degrees(), z.atan2(x.hypot(y)).to_degrees())
}

/// A place up to `most` arcseconds north or south and east or west of `from`, where the cosine of the declination is `narrow`: for
/// the scatter of positions, not exact at the poles.
pub(crate) fn scattered(from: Place, narrow: f64, most: f64, random: &mut Random) -> Place {
    let degrees = |draw: f64| (draw * 2.0 - 1.0) * most / 3600.0;
    let ra = from.ra + degrees(random.unit()) / narrow.max(1e-3);
    let dec = (from.dec + degrees(random.unit())).clamp(-90.0, 90.0);
    let ra = if ra < 0.0 { ra + 360.0 } else { ra };
    // To seven decimals, as `place` does, but towards zero: many are drawn for each alert.
    let short = |degrees: f64| (degrees * 1e7) as i64 as f64 / 1e7;
    Place { ra: short(if ra < 360.0 { ra } else { ra - 360.0 }), dec: short(dec) }
}

/// Brings an angle into range and rounds to seven decimals, as in ZTF's packets.
fn place(ra: f64, dec: f64) -> Place {
    let round = |degrees: f64| (degrees * 1e7).round() / 1e7;
    let ra = round(ra.rem_euclid(360.0));
    Place { ra: if ra >= 360.0 { 0.0 } else { ra }, dec: round(dec) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Distance in arcseconds by the chord of unit vectors.
    pub(crate) fn distance(a: Place, b: Place) -> f64 {
        let unit = |place: Place| {
            let (sin_ra, cos_ra) = place.ra.to_radians().sin_cos();
            let (sin_dec, cos_dec) = place.dec.to_radians().sin_cos();
            [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
        };
        let chord: f64 = unit(a).iter().zip(unit(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        (2.0 * (chord / 2.0).asin()).to_degrees() * 3600.0
    }

    #[test]
    fn an_offset_has_its_length_everywhere() {
        for from in [(0.0, 0.0), (359.99999, -30.0), (10.0, 89.99999), (200.0, 90.0), (5.0, -90.0)] {
            let from = Place { ra: from.0, dec: from.1 };
            for step in 0..12 {
                let to = beside(from, 0.4, f64::from(step) * 0.55);
                // Seven decimals of a degree are 0.2 milliarcseconds.
                assert!((distance(from, to) - 0.4).abs() < 0.002, "{from:?} {to:?} {}", distance(from, to));
                assert!((0.0..360.0).contains(&to.ra));
            }
        }
    }

    #[test]
    fn scatter_stays_near_and_in_range() {
        let mut random = Random::new(3, Stream::Alert, 2);
        for from in [(0.0, 0.0), (359.999_99, -30.0), (10.0, 89.9), (200.0, -89.9), (5.0, 90.0)] {
            let from = Place { ra: from.0, dec: from.1 };
            for _ in 0..50 {
                let to = scattered(from, from.dec.to_radians().cos(), 0.1, &mut random);
                assert!(distance(from, to) < 0.15, "{from:?} {to:?}");
                assert!((0.0..360.0).contains(&to.ra) && (-90.0..=90.0).contains(&to.dec));
            }
        }
    }

    #[test]
    fn a_field_holds_what_is_drawn_in_it() {
        let mut random = Random::new(3, Stream::Alert, 0);
        for _ in 0..2000 {
            let place = anywhere(&mut random);
            assert!(place.dec >= SOUTH);
            let home = field(place);
            let drawn = in_field(&home, &mut random);
            assert_eq!(field(drawn).number, home.number, "{place:?} {drawn:?}");
        }
    }

    #[test]
    fn draws_are_uniform_by_area() {
        let mut random = Random::new(3, Stream::Alert, 1);
        let north = (0..20_000).filter(|_| anywhere(&mut random).dec > 30.0).count();
        // The sine of declination is uniform over -0.5..1.
        assert!((north as f64 / 20_000.0 - 1.0 / 3.0).abs() < 0.015, "{north}");
    }
}
