//! The tree of a schema as text.

use std::fmt::Write;

use super::tree::{Field, Tree};
use super::visible;

/// Names are padded to this width, so that types stand in one column.
const NAMES: usize = 44;

/// A field in one line without its name: type, null, default.
pub(super) fn described(field: &Field) -> String {
    let mut text = field.words.clone();
    if let Some(name) = &field.type_name {
        let _ = write!(text, " {name}");
    }
    if field.nullable && field.words != "null" {
        text += " or null";
    }
    if let Some(default) = &field.default {
        let _ = write!(text, ", default {default}");
    }
    visible(&text)
}

/// The schema as an indented tree, one field a line, with what the producer says of it.
#[must_use]
pub fn outline(tree: &Tree) -> String {
    let mut out = head(tree);
    fn below(fields: &[Field], depth: usize, out: &mut String) {
        for field in fields {
            let name = format!("{}{}", "  ".repeat(depth), visible(&field.name));
            let doc = field.doc.as_deref().map(|doc| format!("  # {}", spaced(doc))).unwrap_or_default();
            let _ = writeln!(out, "{name:<NAMES$} {}{doc}", described(field));
            below(&field.fields, depth + 1, out);
        }
    }
    below(&tree.fields, 0, &mut out);
    out
}

/// The schema as the columns that it is archived in: path, type in Arrow, type in Parquet. `stored` has one entry a leaf.
#[must_use]
pub fn columns(tree: &Tree, stored: &[String]) -> String {
    let mut out = head(tree);
    for field in tree.all().into_iter().filter(|field| field.fields.is_empty()) {
        let stored = stored.get(field.leaves.clone()).unwrap_or_default().join(", ");
        let null = if field.nullable { "" } else { " not null" };
        let arrow = format!("{}{null}", field.arrow);
        let _ = writeln!(out, "{:<NAMES$} {arrow:<34} {stored}", visible(&field.path));
    }
    out
}

fn head(tree: &Tree) -> String {
    let mut out = format!(
        "{}, fingerprint {:016x}, {} fields, {} columns\n",
        visible(&tree.name),
        tree.fingerprint,
        tree.fields.len(),
        tree.columns
    );
    if let Some(doc) = &tree.doc {
        let _ = writeln!(out, "# {}", spaced(doc));
    }
    out.push('\n');
    out
}

/// Text of several lines on one.
fn spaced(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
