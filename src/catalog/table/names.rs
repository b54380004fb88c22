//! Names of columns: told apart, found, and what to say when they are not.

use std::collections::HashSet;
use std::path::Path;

use super::{Column, LeftOut, TableError};
use crate::config::nearest;

/// Names that a message lists before it stops.
const LISTED: usize = 40;

/// Gives the second and later columns of a name a number.
pub(super) fn tell_apart(columns: &mut [Column]) {
    let mut seen: HashSet<String> = HashSet::with_capacity(columns.len());
    for column in columns {
        if seen.contains(&column.name) {
            let mut again = 2;
            while seen.contains(&format!("{}#{again}", column.name)) {
                again += 1;
            }
            column.name = format!("{}#{again}", column.name);
        }
        seen.insert(column.name.clone());
    }
}

/// Place of a column.
pub(super) fn find(path: &Path, columns: &[Column], left_out: &[LeftOut], name: &str) -> Result<usize, TableError> {
    if let Some(place) = columns.iter().position(|column| column.name == name) {
        return Ok(place);
    }
    let alike: Vec<usize> = (0..columns.len()).filter(|&i| columns[i].name.eq_ignore_ascii_case(name)).collect();
    match alike.as_slice() {
        [one] => return Ok(*one),
        [] => {}
        [first, second, ..] => {
            return Err(TableError::Asked {
                path: path.to_owned(),
                reason: format!(
                    "`{name}` may be the column `{}` or `{}`: write it as the table does",
                    columns[*first].name, columns[*second].name
                ),
            });
        }
    }
    if let Some(out) = left_out.iter().find(|out| out.name.eq_ignore_ascii_case(name)) {
        return Err(TableError::LeftOut { path: path.to_owned(), column: out.name.clone(), reason: out.reason.clone() });
    }
    Err(none(path, columns, name))
}

/// There is no such column.
fn none(path: &Path, columns: &[Column], name: &str) -> TableError {
    let near = nearest(name, columns.iter().map(|column| column.name.as_str()));
    TableError::NoColumn {
        path: path.to_owned(),
        wanted: format!("`{name}`"),
        near: near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(),
        found: list(columns),
    }
}

/// The columns of a table for a message.
pub(super) fn list(columns: &[Column]) -> String {
    if columns.is_empty() {
        return "no columns".to_owned();
    }
    let names: Vec<&str> = columns.iter().take(LISTED).map(|column| column.name.as_str()).collect();
    let more = columns.len().saturating_sub(LISTED);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &tail
}

/// A name without case, spaces, signs and a byte order mark, to compare names that are written in many ways.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
