//! Where a row of a table is, in words that its owner can look up.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line or row, from 1.
    pub number: u64,
    /// What is counted.
    pub counted: Counted,
    /// The file, where the table is a folder of several.
    pub file: Option<Arc<Path>>,
}

/// What the number of a [`Place`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Lines of the file, with header, comments and blank lines, as an editor counts.
    Lines,
    /// Rows of the table in this file.
    Rows,
}

impl Place {
    /// A line of the file, from 1.
    #[must_use]
    pub fn line(number: u64) -> Place {
        Place { number, counted: Counted::Lines, file: None }
    }

    /// A row of the table, from 1.
    #[must_use]
    pub fn row(number: u64) -> Place {
        Place { number, counted: Counted::Rows, file: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.counted {
            Counted::Lines => "line",
            Counted::Rows => "row",
        };
        write!(f, "{what} {}", self.number)?;
        match &self.file {
            Some(file) => write!(f, " of {}", file.display()),
            None => Ok(()),
        }
    }
}
