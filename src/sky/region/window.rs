//! The coordinates that a cap reaches over: what lies elsewhere is found out without a single sine.

/// Degrees by which a window is wider than its cap, for the rounding of its computation.
const MARGIN: f64 = 1e-6;

/// Declinations and right ascensions of a cap, as distances from its centre in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    ra: f64,
    dec: f64,
    /// Of declination.
    rise: f64,
    /// Of right ascension: above 180 where a pole lies in the cap.
    turn: f64,
}

impl Window {
    /// Of the cap with this centre and radius, degrees.
    pub fn new((ra, dec): (f64, f64), radius: f64) -> Window {
        let turn = if dec.abs() + radius > 90.0 - 1e-3 {
            f64::INFINITY
        } else {
            let sine = radius.to_radians().sin() / dec.to_radians().cos();
            sine.min(1.0).asin().to_degrees() + MARGIN
        };
        Window { ra, dec, rise: radius + MARGIN, turn }
    }

    /// Whether a position can lie in the cap. True for all that do, for NaN false.
    #[inline(always)]
    pub fn may_hold(&self, ra: f64, dec: f64) -> bool {
        let turn = (ra - self.ra).abs();
        (dec - self.dec).abs() <= self.rise && turn.min(360.0 - turn) <= self.turn
    }
}
