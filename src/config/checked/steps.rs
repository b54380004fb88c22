//! Steps, checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Engine, Side};
use crate::sky::region::Region;

/// One step of the chain.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique name inside the pipeline; the kind and a number where none is given.
    pub name: String,
    /// What it does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Passes the rows where the expression is true; null skips.
    Cut {
        /// SQL expression.
        condition: String,
    },
    /// Matches against catalogues, one after the other.
    Crossmatch {
        /// The catalogues.
        catalogs: Vec<Matched>,
    },
    /// Names the class of alerts.
    Classify {
        /// Name of the annotation.
        column: String,
        /// The classes in their order.
        classes: Vec<Class>,
        /// Class of those for which no condition is true.
        otherwise: String,
    },
    /// Looks for entries of lists.
    Watchlist {
        /// The lists; those without a radius of their own have one for each entry.
        lists: Vec<Matched>,
        /// Whether only alerts with a hit pass.
        require: bool,
    },
    /// Passes what lies in one of some regions, or in none of them.
    Region {
        /// The regions.
        regions: Vec<Shape>,
        /// Which alerts pass.
        pass: Side,
    },
}

/// A region of the sky, checked, or the file of one.
#[derive(Clone, Debug)]
pub enum Shape {
    /// As the configuration has it.
    Region(Arc<Region>),
    /// A file with a MOC.
    Moc(PathBuf),
}

/// Name of the annotation of classes where none is given.
pub const CLASS: &str = "class";
/// Class of the alerts for which no condition is true where none is given.
pub const OTHERWISE: &str = "unknown";

/// A class and when an alert is of it.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// SQL expression.
    pub condition: String,
}

/// A catalogue and how it is matched against.
#[derive(Clone, Debug)]
pub struct Matched {
    /// Zone index, table, or description.
    pub path: PathBuf,
    /// Name in annotations.
    pub id: String,
    /// Largest separation.
    pub radius: MatchRadius,
    /// Only so many nearest sources match.
    pub nearest: Option<u32>,
    /// Matches that are listed at most.
    pub limit: u32,
    /// Patterns of the columns to carry; `None`: what the catalogue carries.
    pub columns: Option<Vec<String>>,
    /// SQL expression over columns of the catalogue.
    pub condition: Option<String>,
    /// What the search runs on.
    pub engine: Engine,
}

impl Matched {
    /// Matches that are listed at most where nothing else is said.
    pub const LIMIT: u32 = 100;

    /// The name of the catalogue's own annotation: letters, digits and `_`, no digit at its beginning, as Avro and SQL want it.
    #[must_use]
    pub fn field_of(id: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = id.chars().map(plain).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
    }

    /// A catalogue, all within a radius in arcseconds, nothing carried but what it carries.
    #[must_use]
    pub fn within(path: &Path, id: &str, radius: f64) -> Matched {
        Matched {
            path: path.to_owned(),
            id: id.to_owned(),
            radius: MatchRadius::Fixed(radius),
            nearest: None,
            limit: Self::LIMIT,
            columns: None,
            condition: None,
            engine: Engine::default(),
        }
    }
}

/// How far apart alert and source may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MatchRadius {
    /// This far, arcseconds.
    Fixed(f64),
    /// As far as the source's own radius says, times this.
    Own(f64),
}
