//! Angles on the sphere: unit vectors, separations, chords, and regions of it. Pure functions of numbers; positions are ICRS
//! degrees.

pub mod region;

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

/// Separation of two positions (right ascension and declination in degrees), in arcseconds. Good at every separation from zero
/// to the antipode: see [`Viewpoint::separation`].
#[must_use]
pub fn separation(a: (f64, f64), b: (f64, f64)) -> f64 {
    Viewpoint::new(a).separation(b)
}

/// A position that several others are seen from: what depends on it alone is computed once.
#[derive(Clone, Copy, Debug)]
pub struct Viewpoint {
    ra: f64,
    dec: f64,
    sin_dec: f64,
    cos_dec: f64,
}

/// Differences of coordinates (radians) up to which the series of [`Viewpoint::near`] are exact in double precision.
const NEAR: f64 = 0.01;

impl Viewpoint {
    /// From a right ascension and declination, degrees.
    #[must_use]
    pub fn new((ra, dec): (f64, f64)) -> Viewpoint {
        let (sin_dec, cos_dec) = dec.to_radians().sin_cos();
        Viewpoint { ra, dec, sin_dec, cos_dec }
    }

    /// Separation of a position (degrees), in arcseconds. Where both coordinates differ by less than 34 arcminutes this is the
    /// haversine formula with series in place of the functions, right to a few units in the last place; elsewhere Vincenty's
    /// formula (Vincenty 1975, Survey Review 23, 88), right to 1e-10 arcseconds.
    #[must_use]
    #[inline]
    pub fn separation(&self, (ra, dec): (f64, f64)) -> f64 {
        let turn = ra - self.ra;
        let turn = if turn.abs() > 180.0 { turn - 360.0 * (turn / 360.0).round() } else { turn };
        let (turn, rise) = (turn.to_radians(), (dec - self.dec).to_radians());
        if turn.abs() < NEAR && rise.abs() < NEAR { self.near(turn, rise) } else { self.far(turn, dec) }
    }

    /// Of differences below [`NEAR`]: what the series leave out is below 1e-17 of their value.
    #[inline]
    fn near(&self, turn: f64, rise: f64) -> f64 {
        let square = |half: f64| {
            let x = half * half;
            x * (1.0 - x * (1.0 / 3.0 - x * (2.0 / 45.0 - x / 315.0)))
        };
        let r = rise * rise;
        let sin_rise = rise * (1.0 - r * (1.0 / 6.0 - r * (1.0 / 120.0 - r / 5_040.0)));
        let cos_rise = 1.0 - r * (0.5 - r * (1.0 / 24.0 - r / 720.0));
        let cos_other = self.cos_dec * cos_rise - self.sin_dec * sin_rise;
        // The product is a rounding below zero where one of them is at a pole.
        let h = (square(rise / 2.0) + self.cos_dec * cos_other * square(turn / 2.0)).max(0.0);
        2.0 * h.sqrt() * (1.0 + h * (1.0 / 6.0 + h * (3.0 / 40.0 + h * (15.0 / 336.0)))) * ARCSEC_PER_RADIAN
    }

    fn far(&self, turn: f64, dec: f64) -> f64 {
        let (sin_ra, cos_ra) = turn.sin_cos();
        let (sin_b, cos_b) = dec.to_radians().sin_cos();
        let across = cos_b * sin_ra;
        let along = self.cos_dec * sin_b - self.sin_dec * cos_b * cos_ra;
        let cosine = self.sin_dec * sin_b + self.cos_dec * cos_b * cos_ra;
        across.hypot(along).atan2(cosine) * ARCSEC_PER_RADIAN
    }
}

/// The position (degrees) of a source `years` after it was at `position`, moving in a straight line in space, its distance and
/// radial velocity unknown (ESA 1997, SP-1200, 1.5.5 without them). Proper motions in right ascension (times the cosine of the
/// declination) and declination, mas per year.
#[must_use]
pub fn moved(position: (f64, f64), motion: (f64, f64), years: f64) -> (f64, f64) {
    let (sin_ra, cos_ra) = position.0.to_radians().sin_cos();
    let (sin_dec, cos_dec) = position.1.to_radians().sin_cos();
    let scale = years / 1_000.0 / ARCSEC_PER_RADIAN;
    let (east, north) = (motion.0 * scale, motion.1 * scale);
    let x = cos_dec * cos_ra - east * sin_ra - north * sin_dec * cos_ra;
    let y = cos_dec * sin_ra + east * cos_ra - north * sin_dec * sin_ra;
    let z = sin_dec + north * cos_dec;
    (normalise_ra(y.atan2(x).to_degrees()), z.atan2(x.hypot(y)).to_degrees())
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

    /// Both formulas at the border between them.
    #[test]
    fn the_two_formulas_agree() {
        for dec in [-90.0, -89.999, -60.0, -1e-3, 0.0, 33.3, 89.7, 90.0] {
            let from = Viewpoint::new((0.1, dec));
            for (turn, rise) in [(0.0099, 0.0099), (-0.0099, 0.0001), (1e-6, -0.0099), (0.0, 0.0), (3e-3, -4e-3)] {
                let (near, far) = (from.near(turn, rise), from.far(turn, dec + f64::to_degrees(rise)));
                assert!((near - far).abs() < 1e-9, "{dec} {turn} {rise}: {near} {far}");
            }
        }
    }

    /// mpmath with 50 digits, of the very doubles that are given.
    #[test]
    fn small_separations_are_right_to_the_last_digits() {
        for (a, b, expected) in [
            ((10.0, 20.0), (10.0, 20.0000001), 0.000_360_000_004_206_995_07),
            ((83.63308, 22.0145), (83.63312, 22.01449), 0.138_269_555_513_133_06),
            ((300.0, -60.0), (300.000001, -60.0), 0.001_799_999_995_455_436_9),
            ((0.0, 89.9), (0.5, 89.95), 180.013_707_168_022_08),
            ((1.0, 45.0), (1.5, 45.5), 2_201.321_550_679_501),
            ((1.0, -89.9999), (1.4, -89.5), 1_799.640_008_774_689),
        ] {
            let got = separation(a, b);
            assert!((got / expected - 1.0).abs() < 2e-15, "{a:?} {b:?}: {got} instead of {expected}");
        }
    }

    #[test]
    fn sources_move_as_astropy_says() {
        // astropy 8: SkyCoord(..., obstime=J2016).apply_space_motion(J2032), at 0.1 pc without radial velocity
        for (position, motion, years, expected) in MOVED {
            let got = moved(position, motion, years);
            assert!(separation(got, expected) < 1e-6, "{position:?}: {got:?} instead of {expected:?}");
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

    /// Position, proper motion, years, position then.
    type Motion = ((f64, f64), (f64, f64), f64, (f64, f64));

    const MOVED: [Motion; 4] = [
        ((269.452, 4.693), (-801.551, 10362.394), 16.0, (269.4484253315575, 4.73905506534416)),
        ((10.0, 89.9995), (5000.0, -8000.0), 30.0, (41.813288110144455, 89.92095909652015)),
        ((359.9999, -30.0), (9000.0, 10.0), -25.0, (359.9277312040163, -30.000049763426187)),
        ((200.0, -89.99), (-3000.0, 4000.0), 50.0, (167.56023674195978, -89.92232351262673)),
    ];

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
