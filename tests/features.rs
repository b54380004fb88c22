//! Holds docs/features.md to its word: every test that it names is there.
//!
//! A test is named as `path/of/file.rs::name_of_the_test`; a benchmark or a script as its path.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// What stands between backticks in the last column of each row of the table.
fn named(table: &str) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| F")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (id, shown) = (cells[1], cells[cells.len() - 2]);
        for (index, name) in shown.split('`').enumerate() {
            if index % 2 == 1 {
                names.push((id.to_owned(), name.to_owned()));
            }
        }
    }
    names
}

/// Whether `text` defines a test with this name: a function of that name with `#[test]` or inside `proptest!` above it.
fn defines(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let above = &text[..at];
    let last_item = above.rfind("\n}").unwrap_or(0);
    above[last_item..].contains("#[test]")
}

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/features.md")).unwrap();
    let names = named(&table);
    assert!(names.len() > 20, "the table has {} names only", names.len());
    let mut wrong = Vec::new();
    for (id, name) in &names {
        let (path, test) = name.split_once("::").map_or((name.as_str(), None), |(path, test)| (path, Some(test)));
        match (fs::read_to_string(root.join(path)), test) {
            (Err(error), _) => wrong.push(format!("{id}: {path}: {error}")),
            (Ok(text), Some(test)) if !defines(&text, test) => wrong.push(format!("{id}: {path} has no test {test}")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_is_read_as_it_is_meant_and_a_missing_test_is_seen() {
    let table = "| id | a | b |\n|---|---|---|\n| F1 | words | shown by `tests/features.rs::defines` and `README.md` |\n";
    let expected = [("F1", "tests/features.rs::defines"), ("F1", "README.md")];
    assert_eq!(named(table), expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
    let text = "fn helper() {\n}\n\n#[test]\nfn shown() {\n}\n";
    assert!(defines(text, "shown") && !defines(text, "helper") && !defines(text, "absent"));
}
