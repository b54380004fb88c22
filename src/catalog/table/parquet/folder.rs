//! The files of a table of Parquet: one, a folder of them, or a HATS directory (IVOA note "HATS: Hierarchical Adaptive Tiling
//! Scheme"), in the order of their tiles.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::catalog::table::{Meta, TableError};

/// Files and folders that are looked through.
const MOST: usize = 2_000_000;
const DEEPEST: usize = 12;

/// The files of a table.
#[derive(Debug, Default)]
pub struct Files {
    /// Never empty.
    pub paths: Vec<PathBuf>,
    pub meta: Meta,
    /// What the properties promise.
    pub rows: Option<u64>,
    /// Several files that are one table.
    pub folder: bool,
}

/// Finds the files.
pub fn find(path: &Path) -> Result<Files, TableError> {
    if !path.is_dir() {
        return Ok(Files { paths: vec![path.to_owned()], ..Files::default() });
    }
    let mut root = path.to_owned();
    // A collection is a HATS table with its margins and indices beside it.
    if let Some(about) = properties(&path.join("collection.properties"))? {
        let primary = about.get("hats_primary_table_url").filter(|name| !name.contains("..") && !name.starts_with('/'));
        let Some(primary) = primary else {
            let reason = "it names no primary table inside itself (hats_primary_table_url)";
            return Err(TableError::format(path, "collection.properties", reason));
        };
        root = path.join(primary);
    }
    let mut about = None;
    for name in ["hats.properties", "properties"] {
        if about.is_none() {
            about = properties(&root.join(name))?;
        }
    }
    let mut files = Files { folder: true, ..Files::default() };
    let mut data = root.clone();
    if let Some(about) = about {
        files.rows = about.get("hats_nrows").and_then(|rows| rows.parse().ok());
        let text = |key: &str| about.get(key).filter(|value| !value.is_empty()).cloned();
        files.meta.name = text("obs_collection");
        files.meta.frame = text("hats_frame");
        files.meta.position = text("hats_col_ra").zip(text("hats_col_dec"));
        // Beside the tiles there can be thumbnails and samples of them, which are no further rows.
        if root.join("dataset").is_dir() {
            data = root.join("dataset");
        }
    }
    let mut seen = 0;
    walk(&data, 0, &mut seen, &mut files.paths)?;
    if files.paths.is_empty() {
        let seen = "the folder holds no file that ends in .parquet".to_owned();
        return Err(TableError::Unknown { path: path.to_owned(), seen });
    }
    files.paths.sort_by_cached_key(|file| order(file));
    Ok(files)
}

fn walk(folder: &Path, depth: usize, seen: &mut usize, found: &mut Vec<PathBuf>) -> Result<(), TableError> {
    let failed = |source| TableError::Open { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        *seen += 1;
        if *seen > MOST {
            return Err(TableError::format(folder, "the folder", format!("it holds more than {MOST} files")));
        }
        // `_metadata`, `_common_metadata`, and what is hidden or not yet complete.
        if name.starts_with(['_', '.']) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            if depth < DEEPEST {
                walk(&path, depth + 1, seen, found)?;
            }
        } else if [".parquet", ".parq", ".pq"].iter().any(|end| name.to_ascii_lowercase().ends_with(end)) {
            found.push(path);
        }
    }
    Ok(())
}

/// A name with its numbers as numbers, so that tile 9 comes before tile 10.
fn order(path: &Path) -> Vec<(String, u64)> {
    let text = path.to_string_lossy();
    let mut parts = Vec::new();
    let (mut word, mut number) = (String::new(), None::<u64>);
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(digit))),
            None => {
                if let Some(value) = number.take() {
                    parts.push((std::mem::take(&mut word), value));
                }
                word.push(c);
            }
        }
    }
    parts.push((word, number.unwrap_or(0)));
    parts
}

/// A file of `key = value` lines; `None` when it is not there.
fn properties(path: &Path) -> Result<Option<BTreeMap<String, String>>, TableError> {
    const LARGEST: u64 = 1 << 20;
    match fs::metadata(path) {
        Ok(about) if about.is_file() && about.len() <= LARGEST => {}
        _ => return Ok(None),
    }
    let bytes = fs::read(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    let pairs = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    Ok(Some(pairs.collect()))
}
