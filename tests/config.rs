//! Broken configurations: what is said about each, word by word. Every `tests/config/NAME.yaml` has a `NAME.txt`; after an
//! intended change, `SKYSLUICE_BLESS=1 cargo test --test config` writes them anew, to be read before they are committed.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use skysluice::config;

fn broken() -> Vec<PathBuf> {
    let folder = Path::new("tests/config");
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

#[test]
fn each_problem_is_told_with_its_place_and_what_to_write() {
    let here = std::env::current_dir().unwrap();
    let files = broken();
    assert!(files.len() >= 12, "{} files", files.len());
    for file in files {
        let error = config::load(&file).expect_err(&file.display().to_string());
        let said = error.to_string().replace(here.to_str().unwrap(), "HERE");
        let golden = file.with_extension("txt");
        if std::env::var_os("SKYSLUICE_BLESS").is_some() {
            std::fs::write(&golden, &said).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(said, wanted, "{}", golden.display());
        for problem in &error.problems {
            let span = problem.span.unwrap_or_else(|| panic!("no place: {problem}"));
            let text = std::fs::read_to_string(problem.file()).unwrap();
            let line = text.lines().nth(span.line - 1).unwrap_or_default();
            assert!(span.column <= line.chars().count() + 1, "{problem}: column {} of `{line}`", span.column);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_path() {
    let error = config::load(Path::new("tests/config/no-such-file.yaml")).unwrap_err().to_string();
    assert_eq!(
        error,
        "tests/config/no-such-file.yaml:\n  x cannot read tests/config/no-such-file.yaml: No such file or directory (os error 2)\n  \
         help: check the path and the rights of its folders\n"
    );
}

#[test]
fn what_is_said_about_a_file_never_holds_its_secrets() {
    let file = Path::new("tests/config/secrets.yaml");
    assert!(std::fs::read_to_string(file).unwrap().contains("hunter2"));
    let error = config::load(file).unwrap_err();
    assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error}");
}
