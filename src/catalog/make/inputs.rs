//! What is given as the input of a catalogue, as the tables that it stands for; and the checksums of their files.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::MakeError;
use crate::catalog::table::{Dialect, Format, Table};
use crate::catalog::zones::SourceFile;

/// Endings of the files of a folder that are taken for tables, beside those of Parquet; `.gz` may follow.
const ENDINGS: [&str; 12] = ["csv", "tsv", "ecsv", "txt", "dat", "psv", "fits", "fit", "fts", "vot", "votable", "xml"];
/// Bytes that are summed at a time.
const STRETCH: usize = 1 << 20;

/// The tables that the inputs stand for, in their order: a file and a folder of Parquet files (HATS) are one each, another folder
/// and a name with wildcards are those in it, sorted by name.
///
/// # Errors
/// When one stands for nothing.
pub fn tables(inputs: &[PathBuf], dialect: &Dialect) -> Result<Vec<PathBuf>, MakeError> {
    let mut all: Vec<PathBuf> = Vec::new();
    for input in inputs {
        let none = |reason: &str| MakeError::Input { input: input.clone(), reason: reason.to_owned() };
        let text = input.to_string_lossy();
        let found = if input.exists() {
            folder(input, dialect)?
        } else if text.contains(['*', '?', '[']) {
            let paths = glob::glob(&text).map_err(|e| none(&format!("this is no pattern of names: {e}")))?;
            let mut found = Vec::new();
            for path in paths {
                let path = path.map_err(|e| none(&e.to_string()))?;
                found.extend(folder(&path, dialect)?);
            }
            found
        } else {
            return Err(none("there is no such file or folder"));
        };
        if found.is_empty() {
            let reason = "no file is named like that, or none of the folder's files has an ending of tables (.csv, .parquet, \
                          .fits, .vot and the like, or .gz): name the files";
            return Err(none(reason));
        }
        all.extend(found);
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = all.iter().find(|path| !seen.insert(fs::canonicalize(path).unwrap_or_else(|_| (*path).clone()))) {
        let reason = "it is given twice: its sources would be twice in the catalogue".to_owned();
        return Err(MakeError::Input { input: twice.clone(), reason });
    }
    Ok(all)
}

/// The tables of a folder; a file is itself.
fn folder(path: &Path, dialect: &Dialect) -> Result<Vec<PathBuf>, MakeError> {
    if !path.is_dir() || dialect.format == Some(Format::Parquet) || Table::open(path, &Dialect::default()).is_ok() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |e: std::io::Error| MakeError::Input { input: path.to_owned(), reason: e.to_string() };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (packed, plain) = name.strip_suffix(".gz").map_or((false, name.as_str()), |plain| (true, plain));
        let ending = plain.rsplit_once('.').map(|(_, ending)| ending);
        if file.is_file() && !name.starts_with(['.', '_']) && (packed || ending.is_some_and(|e| ENDINGS.contains(&e))) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Name, length and, where wanted, checksum of a table's files. Of a folder it is the checksum of the checksums of its files, each
/// eight bytes, little-endian, in the order of their rows.
///
/// # Errors
/// When a file cannot be read.
pub fn source(table: &Table, sums: bool) -> Result<SourceFile, MakeError> {
    let files = table.files();
    let mut whole = Xxh3Default::new();
    let (mut bytes, mut last) = (0, 0);
    let mut buffer = vec![0; if sums { STRETCH } else { 0 }];
    for path in &files {
        let failed = |source| MakeError::Checksum { path: path.clone(), source };
        let mut file = File::open(path).map_err(failed)?;
        if !sums {
            bytes += file.metadata().map_err(failed)?.len();
            continue;
        }
        let mut sum = Xxh3Default::new();
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    sum.update(&buffer[..count]);
                    bytes += count as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
        }
        last = sum.digest();
        whole.update(&last.to_le_bytes());
    }
    let name = table.path().file_name().map_or_else(|| table.path().display().to_string(), |n| n.to_string_lossy().into_owned());
    let checksum = match (sums, table.path().is_dir()) {
        (false, _) => String::new(),
        (true, true) => format!("xxh3-of-xxh3:{:016x}", whole.digest()),
        (true, false) => format!("xxh3:{last:016x}"),
    };
    Ok(SourceFile { name, bytes, checksum })
}
