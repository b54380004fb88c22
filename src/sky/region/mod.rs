//! Regions on the sky: circle, polygon, box and MOC, and whether a position lies in one.
//!
//! Positions are ICRS: right ascension in [0, 360], declination in [-90, 90], degrees. What is NaN or off the sphere lies in no
//! region. Boundaries belong to a region; how exactly they are met is said at each kind ([`Circle`], [`Polygon`], [`SkyBox`],
//! [`Moc`]).
//!
//! May depend on: `sky`, cdshealpix, serde, thiserror. Pure, but for [`Moc::read`] in `file.rs`, which reads a file.
//!
//! **Invariants:** a region that exists is valid, whatever was asked for or stood in a file, and asking it neither fails nor
//! allocates.

mod circle;
mod error;
mod file;
mod moc;
mod polygon;
mod sky_box;
mod vector;
mod window;

#[cfg(test)]
mod tests;

pub use circle::Circle;
pub use error::RegionError;
pub use moc::Moc;
pub use polygon::Polygon;
pub use sky_box::SkyBox;

/// How far outside of a circle or polygon a position still counts as on its boundary, arcseconds: ten times the rounding of a
/// right ascension in double precision, so that what lies on the boundary is inside however it was rounded.
pub const EDGE: f64 = 2e-9;

/// Square degrees in a steradian.
const SQUARE_DEGREES: f64 = (180.0 / std::f64::consts::PI) * (180.0 / std::f64::consts::PI);

/// A part of the sky.
#[derive(Clone, Debug)]
pub enum Region {
    /// All within an angle of a centre.
    Circle(Circle),
    /// What great-circle arcs between vertices enclose.
    Polygon(Polygon),
    /// Between two meridians and two parallels.
    Box(SkyBox),
    /// A set of HEALPix cells.
    Moc(Moc),
}

impl Region {
    /// Whether a position (ICRS degrees) lies in the region or on its boundary; never so for NaN or off the sphere.
    #[must_use]
    #[inline]
    pub fn contains(&self, ra: f64, dec: f64) -> bool {
        match self {
            Region::Circle(circle) => circle.contains(ra, dec),
            Region::Polygon(polygon) => polygon.contains(ra, dec),
            Region::Box(sky_box) => sky_box.contains(ra, dec),
            Region::Moc(moc) => moc.contains(ra, dec),
        }
    }

    /// [`Region::contains`] of each position (right ascension and declination), in their order. What was in `inside` goes.
    pub fn contains_all(&self, positions: &[(f64, f64)], inside: &mut Vec<bool>) {
        inside.clear();
        match self {
            Region::Circle(circle) => inside.extend(positions.iter().map(|&(ra, dec)| circle.contains(ra, dec))),
            Region::Polygon(polygon) => inside.extend(positions.iter().map(|&(ra, dec)| polygon.contains(ra, dec))),
            Region::Box(sky_box) => inside.extend(positions.iter().map(|&(ra, dec)| sky_box.contains(ra, dec))),
            Region::Moc(moc) => inside.extend(positions.iter().map(|&(ra, dec)| moc.contains(ra, dec))),
        }
    }

    /// Area in square degrees; of the whole sky 41,252.96.
    #[must_use]
    pub fn square_degrees(&self) -> f64 {
        SQUARE_DEGREES
            * match self {
                Region::Circle(circle) => circle.steradians(),
                Region::Polygon(polygon) => polygon.steradians(),
                Region::Box(sky_box) => sky_box.steradians(),
                Region::Moc(moc) => moc.steradians(),
            }
    }
}

macro_rules! from {
    ($($kind:ident is $shape:ty),*) => {$(
        impl From<$shape> for Region {
            fn from(shape: $shape) -> Region {
                Region::$kind(shape)
            }
        }
    )*};
}

from!(Circle is Circle, Polygon is Polygon, Box is SkyBox, Moc is Moc);
