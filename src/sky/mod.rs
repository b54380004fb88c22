//! Angles on the sphere: unit vectors, separations, chords. Pure functions of numbers; positions are ICRS degrees.

/// Arcseconds in a radian.
pub const ARCSEC_PER_RADIAN: f64 = 180.0 * 3_600.0 / std::f64::consts::PI;

/// Whether a position is finite and on the sphere: right ascension in [0, 360], declination in [-90, 90], degrees.
#[must_use]
pub fn is_position(ra: f64, dec: f64) -> bool {
    (0.0..=360.0).contains(&ra) && (-90.0..=90.0).contains(&dec)
}

/// Right ascension in [0, 360), degrees. NaN and infinities stay NaN.
#[must_use]
pub fn normalise_ra(ra: f64) -> f64 {
    let wrapped = ra.rem_euclid(360.0);
    // The remainder of a tiny negative number rounds to 360 itself.
    if wrapped >= 360.0 { 0.0 } else { wrapped }
}

/// The unit vector of a position in degrees.
#[must_use]
pub fn unit_vector(ra: f64, dec: f64) -> [f64; 3] {
    let (sin_ra, cos_ra) = ra.to_radians().sin_cos();
    let (sin_dec, cos_dec) = dec.to_radians().sin_cos();
    [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
}

/// Separation of two positions (right ascension and declination in degrees), in arcseconds: Vincenty's formula (Vincenty
/// 1975, Survey Review 23, 88), good at every separation from zero to the antipode.
#[must_use]
pub fn separation(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (sin_ra, cos_ra) = (b.0 - a.0).to_radians().sin_cos();
    let (sin_a, cos_a) = a.1.to_radians().sin_cos();
    let (sin_b, cos_b) = b.1.to_radians().sin_cos();
    let across = cos_b * sin_ra;
    let along = cos_a * sin_b - sin_a * cos_b * cos_ra;
    let cosine = sin_a * sin_b + cos_a * cos_b * cos_ra;
    across.hypot(along).atan2(cosine) * ARCSEC_PER_RADIAN
}

/// Square of the chord between two unit vectors an angle (radians, at most pi) apart: 4 sin^2(angle / 2).
#[must_use]
pub fn squared_chord(angle: f64) -> f64 {
    let half = (angle / 2.0).sin();
    4.0 * half * half
}

/// The angle (radians) whose squared chord this is.
#[must_use]
pub fn chord_angle(squared_chord: f64) -> f64 {
    2.0 * (squared_chord.sqrt() / 2.0).clamp(0.0, 1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separations_agree_with_astropy() {
        // astropy 8: SkyCoord(a).separation(SkyCoord(b)).arcsec
        for (a, b, expected) in ASTROPY {
            let got = separation(a, b);
            assert!((got - expected).abs() < 1e-6, "{a:?} {b:?}: {got} instead of {expected}");
            assert!((separation(b, a) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn chords_and_angles_are_inverse() {
        for arcsec in [0.001, 1.5, 30.0, 3_600.0, 90_000.0, 648_000.0] {
            let angle = arcsec / ARCSEC_PER_RADIAN;
            assert!((chord_angle(squared_chord(angle)) - angle).abs() <= 1e-8 * angle);
        }
        let (a, b) = (unit_vector(10.0, 20.0), unit_vector(10.5, 20.5));
        let squared: f64 = a.iter().zip(&b).map(|(x, y)| (x - y) * (x - y)).sum();
        assert!((chord_angle(squared) * ARCSEC_PER_RADIAN - separation((10.0, 20.0), (10.5, 20.5))).abs() < 1e-6);
    }

    #[test]
    fn right_ascension_wraps() {
        assert_eq!(normalise_ra(360.0), 0.0);
        assert_eq!(normalise_ra(-1e-18), 0.0);
        assert_eq!(normalise_ra(-10.0), 350.0);
        assert!(normalise_ra(f64::NAN).is_nan());
        assert!(is_position(0.0, -90.0) && !is_position(f64::NAN, 0.0) && !is_position(1.0, 90.1) && !is_position(-1.0, 0.0));
    }

    type Pair = ((f64, f64), (f64, f64), f64);

    const ASTROPY: [Pair; 8] = [
        ((10.0, 20.0), (10.0, 20.0), 0.0),
        ((359.999, 0.5), (0.001, 0.5), 7.199725846002159),
        ((120.0, 89.9999), (300.0, 89.9999), 0.7200000000325434),
        ((45.0, -90.0), (200.0, -89.5), 1800.0000000000036),
        ((83.63308, 22.0145), (83.63312, 22.01449), 0.13826955551315673),
        ((10.0, -30.0), (190.0, 30.0), 648000.0),
        ((10.0, -30.0), (189.9999, 29.9999), 647999.5237646612),
        ((1e-07, 0.0), (359.9999999, 2e-07), 0.0010182339192326758),
    ];
}
