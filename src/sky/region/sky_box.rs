//! Boxes: between two meridians and two parallels.

use super::RegionError;
use crate::sky;

/// All positions from one right ascension eastward to another, and from one declination northward to another.
///
/// Sides are meridians and parallels, not great circles across. All four belong to the box, by plain comparison of the numbers
/// as they are given; 0 and 360 are the same right ascension. A pole has no right ascension: it lies in every box that reaches it.
#[derive(Clone, Debug)]
pub struct SkyBox {
    ra: (f64, f64),
    dec: (f64, f64),
}

impl SkyBox {
    /// From right ascension `ra.0` eastward to `ra.1`, through 0 where the first is the greater, and from declination `dec.0`
    /// northward to `dec.1`, degrees. From 0 to 360 is all round.
    ///
    /// # Errors
    /// Numbers off the sphere; right ascensions that are the same; declinations that are not in order or the same.
    pub fn new(ra: (f64, f64), dec: (f64, f64)) -> Result<SkyBox, RegionError> {
        if !sky::is_position(ra.0, 0.0) || !sky::is_position(ra.1, 0.0) || ra.0 == ra.1 || ra == (360.0, 0.0) {
            return Err(RegionError::BoxRa { from: ra.0, to: ra.1 });
        }
        if !sky::is_position(0.0, dec.0) || !sky::is_position(0.0, dec.1) || dec.0 >= dec.1 {
            return Err(RegionError::BoxDec { from: dec.0, to: dec.1 });
        }
        Ok(SkyBox { ra, dec })
    }

    /// Whether a position (ICRS degrees) lies in the box or on a side; never so for NaN or off the sphere.
    #[must_use]
    #[inline]
    pub fn contains(&self, ra: f64, dec: f64) -> bool {
        if !(sky::is_position(ra, dec) && self.dec.0 <= dec && dec <= self.dec.1) {
            return false;
        }
        let (from, to) = self.ra;
        let between = |ra: f64| if from <= to { from <= ra && ra <= to } else { from <= ra || ra <= to };
        between(ra) || dec.abs() == 90.0 || (ra == 0.0 && between(360.0)) || (ra == 360.0 && between(0.0))
    }

    pub(super) fn steradians(&self) -> f64 {
        let (from, to) = self.ra;
        let width = if from <= to { to - from } else { to + 360.0 - from };
        let height = self.dec.1.to_radians().sin() - self.dec.0.to_radians().sin();
        width.to_radians() * height
    }
}
