//! One alert as a table: a line for each path, histories as small tables of their own.

use std::fmt::Write;

use super::cell::Cell;
use super::stamp::Stamp;
use super::visible;

/// Paths are padded to this width.
const PATHS: usize = 40;
/// Rows of a history, items of an array, characters of a text that are shown where not all is asked for.
const ROWS: usize = 5;
const ITEMS: usize = 10;
const CHARACTERS: usize = 100;
/// Width of a history, and characters of one of its cells, where not all is asked for.
const WIDTH: usize = 110;
const NARROW: usize = 24;

/// The alert as lines of path and value. Long texts, arrays and histories are cut off unless `all` is asked for; what was
/// left out is said.
#[must_use]
pub fn table(alert: &Cell, all: bool) -> String {
    let mut out = String::new();
    let mut path = Vec::new();
    lines(alert, &mut path, all, &mut out);
    out
}

fn lines<'a>(cell: &'a Cell, path: &mut Vec<&'a str>, all: bool, out: &mut String) {
    let name = visible(&path.join("."));
    match cell {
        Cell::Record(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(name);
                lines(value, path, all, out);
                path.pop();
            }
        }
        Cell::List(items) if items.iter().any(|item| matches!(item, Cell::Record(_))) => {
            let _ = writeln!(out, "{name:<PATHS$} {}", history(items, all));
        }
        value => {
            let _ = writeln!(out, "{name:<PATHS$} {}", brief(value, if all { usize::MAX } else { CHARACTERS }, all));
        }
    }
}

/// A value on one line.
fn brief(cell: &Cell, longest: usize, all: bool) -> String {
    let text = match cell {
        Cell::Null => return "null".to_owned(),
        Cell::Text(text) => visible(text),
        Cell::Bytes(bytes) => return Stamp::of(bytes).to_string(),
        Cell::List(items) => {
            let shown = if all { items.len() } else { ITEMS };
            let texts: Vec<String> = items.iter().take(shown).map(|item| brief(item, longest, all)).collect();
            let more = items.len().saturating_sub(shown);
            let more = if more > 0 { format!(", ... {more} more") } else { String::new() };
            format!("[{}{more}]", texts.join(", "))
        }
        other => visible(&other.json().to_string()),
    };
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

/// Records of an array: how many, then the first of them as rows under the names of their fields.
fn history(items: &[Cell], all: bool) -> String {
    let shown = if all { items.len() } else { items.len().min(ROWS) };
    let mut names: Vec<&str> = Vec::new();
    for item in &items[..shown] {
        let Cell::Record(fields) = item else { continue };
        // All records of an array have the same fields; the first that is there tells them.
        names = fields.iter().map(|(name, _)| name.as_str()).collect();
        break;
    }
    let cell = |row: &Cell, name: &str| {
        let value = row.at(&[name]).unwrap_or(&Cell::Null);
        brief(value, if all { usize::MAX } else { NARROW }, all)
    };
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut width = 0;
    for name in &names {
        let mut column = vec![visible(name)];
        column.extend(items[..shown].iter().map(|row| cell(row, name)));
        width += column.iter().map(|text| text.chars().count()).max().unwrap_or(0) + 2;
        if !all && width > WIDTH {
            break;
        }
        columns.push(column);
    }
    let mut out = format!("{} rows", items.len());
    let (rows, fields) = (items.len() - shown, names.len() - columns.len());
    match (rows, fields) {
        (0, 0) => {}
        (0, fields) => out += &format!(", {fields} fields more with --all"),
        (rows, 0) => out += &format!(", {rows} of them more with --all"),
        (rows, fields) => out += &format!(", {rows} of them and {fields} fields more with --all"),
    }
    let widths: Vec<usize> =
        columns.iter().map(|column| column.iter().map(|text| text.chars().count()).max().unwrap_or(0)).collect();
    for row in 0..=shown {
        let texts = columns.iter().zip(&widths).map(|(column, width)| format!("{:>width$}", column[row]));
        let _ = write!(out, "\n    {}", texts.collect::<Vec<_>>().join("  "));
    }
    out
}
