//! Why there is no such region.

use std::io;
use std::path::{Path, PathBuf};

/// A region could not be made. Vertices are counted from 1; an edge has the number of the vertex it starts at.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// A position is NaN or off the sphere.
    #[error(
        "{what} at right ascension {ra}, declination {dec} is not on the sphere: give ICRS degrees, from 0 to 360 and from -90 to 90"
    )]
    Position {
        /// What was to be there, such as `vertex 3`.
        what: String,
        /// Right ascension, degrees.
        ra: f64,
        /// Declination, degrees.
        dec: f64,
    },
    /// The radius of a circle.
    #[error("a circle cannot have the radius {radius}: give degrees, more than 0 and at most 180")]
    Radius {
        /// Degrees.
        radius: f64,
    },
    /// The right ascensions of a box are off the circle or the same.
    #[error(
        "a box cannot reach from right ascension {from} eastward to {to}: give two different degrees from 0 to 360 (10 to 350 is \
         the wide box, 350 to 10 the narrow one through 0, 0 to 360 all round)"
    )]
    BoxRa {
        /// Western side, degrees.
        from: f64,
        /// Eastern side, degrees.
        to: f64,
    },
    /// The declinations of a box are off the sphere or not in order.
    #[error("a box cannot reach from declination {from} to {to}: give degrees from -90 to 90, the southern side first")]
    BoxDec {
        /// Southern side, degrees.
        from: f64,
        /// Northern side, degrees.
        to: f64,
    },
    /// Too few vertices for a polygon, or too many.
    #[error("a polygon of {found} vertices: give 3 to {}; a more detailed region is better given as a MOC", super::polygon::MOST)]
    Vertices {
        /// How many there are.
        found: usize,
    },
    /// Neighbouring vertices are the same position.
    #[error(
        "vertices {first} and {second} of a polygon are the same position (less than a microarcsecond apart): leave one out; a \
         polygon is closed by itself, so the last vertex does not repeat the first"
    )]
    Repeated {
        /// One of them.
        first: usize,
        /// The one after it.
        second: usize,
    },
    /// Neighbouring vertices are opposite each other, so that no arc between them is the shortest.
    #[error(
        "vertices {first} and {second} of a polygon are opposite points of the sphere (within an arcsecond), which no single arc \
         joins: put a vertex between them"
    )]
    Antipodal {
        /// One of them.
        first: usize,
        /// The one after it.
        second: usize,
    },
    /// Two edges cross or touch.
    #[error(
        "a polygon crosses or touches itself: edge {first} (vertex {first} to the next) and edge {second}; give the vertices in \
         the order round the region, and a region of several parts as a MOC"
    )]
    Crossing {
        /// One edge.
        first: usize,
        /// The other.
        second: usize,
    },
    /// Both sides of a polygon are the same size.
    #[error(
        "a polygon divides the sphere into halves, so that neither side is the smaller one: give a half of the sky as a circle of \
         radius 90"
    )]
    Half,
    /// A MOC that says nothing sensible.
    #[error("{}, {place}: {what}", file.as_ref().map_or("the MOC".to_owned(), |file| format!("MOC {}", file.display())))]
    Moc {
        /// The file, where there is one.
        file: Option<PathBuf>,
        /// Where in it.
        place: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The system refused to read a file.
    #[error("MOC {}: cannot read it: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl RegionError {
    pub(super) fn moc(place: impl Into<String>, what: impl Into<String>) -> RegionError {
        RegionError::Moc { file: None, place: place.into(), what: what.into() }
    }

    /// Of a MOC that came from a file.
    pub(super) fn of_file(self, path: &Path) -> RegionError {
        match self {
            RegionError::Moc { place, what, .. } => RegionError::Moc { file: Some(path.to_owned()), place, what },
            other => other,
        }
    }
}
