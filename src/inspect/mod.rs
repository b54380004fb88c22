//! Looking at schemas and alerts: trees of fields, differences, findings, and one alert as JSON or a table.
//!
//! May depend on: `avro`, arrow, flate2 (cut-outs are compressed), serde_json. Reads no clock, does no I/O; the command line
//! brings the bytes and prints the text.
//!
//! **Invariants:** what is shown of a schema are the columns that alerts are archived in, and what is shown of an alert are its
//! values in these columns. Nothing from outside reaches a terminal with control characters in it. Recursion is as deep as a
//! compiled schema, which is bounded.

mod cell;
mod diff;
mod finding;
mod print;
mod stamp;
mod table;
mod tree;
mod words;

pub use cell::{Cell, cut_outs, find};
pub use diff::{Change, Difference};
pub use finding::{Finding, Grade, Need, NeedKind, guess, needs, repairs};
pub use print::{columns, outline};
pub use stamp::{Format, Stamp, file_name};
pub use table::table;
pub use tree::{Field, Tree};

/// Text from outside as it may be printed: control characters as escapes, all on one line.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Marks that turn the direction of writing can make a line read as another one.
        if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
