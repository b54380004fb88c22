//! Circles: all within an angle of a centre.

use std::f64::consts::PI;

use super::window::Window;
use super::{EDGE, RegionError};
use crate::sky::{self, Viewpoint};

/// Squares of chords that differ by less do not decide: the rounding of their computation is below 1e-15, and [`EDGE`] changes
/// them by 2e-14 at most.
const ROUNDING: f64 = 1e-13;

/// Radius (degrees) up to which separations are as quick as chords: see [`Viewpoint::separation`].
const SMALL: f64 = 0.5;

/// All positions within an angle of a centre.
///
/// The boundary is inside: a position is in the circle where `sky::separation` from the centre is at most the radius and [`EDGE`].
/// That holds from the smallest radius to 180 degrees, which is the whole sky.
#[derive(Clone, Debug)]
pub struct Circle {
    window: Window,
    view: Viewpoint,
    centre: [f64; 3],
    /// Degrees.
    radius: f64,
    /// Largest separation, arcseconds.
    limit: f64,
    /// Squared chords: below the first is inside, above the second outside, and between them the separation decides.
    unsure: (f64, f64),
}

impl Circle {
    /// Of a centre and a radius, degrees.
    ///
    /// # Errors
    /// A centre off the sphere, a radius that is not in (0, 180].
    pub fn new(centre: (f64, f64), radius: f64) -> Result<Circle, RegionError> {
        let (ra, dec) = centre;
        if !sky::is_position(ra, dec) {
            return Err(RegionError::Position { what: "the centre of a circle".to_owned(), ra, dec });
        }
        if !(radius > 0.0 && radius <= 180.0) {
            return Err(RegionError::Radius { radius });
        }
        let chord = sky::squared_chord(radius.to_radians());
        Ok(Circle {
            window: Window::new(centre, radius),
            view: Viewpoint::new(centre),
            centre: sky::unit_vector(ra, dec),
            radius,
            limit: radius * 3_600.0 + EDGE,
            unsure: (chord - ROUNDING, chord + ROUNDING),
        })
    }

    /// Whether a position (ICRS degrees) lies in the circle or on its boundary; never so for NaN or off the sphere.
    #[must_use]
    #[inline]
    pub fn contains(&self, ra: f64, dec: f64) -> bool {
        if !sky::is_position(ra, dec) || !self.window.may_hold(ra, dec) {
            return false;
        }
        if self.radius > SMALL {
            let p = sky::unit_vector(ra, dec);
            let squared: f64 = p.iter().zip(&self.centre).map(|(x, y)| (x - y) * (x - y)).sum();
            if squared < self.unsure.0 {
                return true;
            }
            if squared > self.unsure.1 {
                return false;
            }
        }
        self.view.separation((ra, dec)) <= self.limit
    }

    pub(super) fn steradians(&self) -> f64 {
        PI * sky::squared_chord(self.radius.to_radians())
    }
}
