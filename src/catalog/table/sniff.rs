//! Which format a file is of: by its first bytes, and where they can be anything, by its name.

use std::path::Path;

use super::input::{Input, read_full};
use super::{Format, TableError};

/// Bytes that are looked at.
const LOOK: usize = 8 << 10;

/// First bytes of what people put in the place of a table, what it is and what to do with it.
const STRANGERS: [(&[u8], &str); 14] = [
    (b"SKYZONES", "this is a zone index, made of a table already: `skysluice catalog info` shows it"),
    (b"PK\x03\x04", "this is a zip archive (or a spreadsheet): unpack it, or save the sheet as CSV"),
    (b"BZh", "this is compressed with bzip2: unpack it, or use gzip"),
    (b"\xfd7zXZ\0", "this is compressed with xz: unpack it, or use gzip"),
    (b"\x28\xb5\x2f\xfd", "this is compressed with zstd: unpack it, or use gzip"),
    (b"\x1f\x8b", "this is compressed with gzip twice: unpack it once"),
    (b"\x89HDF\r\n", "this is HDF5: export it as Parquet or FITS"),
    (b"ARROW1", "this is an Arrow IPC (Feather) file: write it as Parquet"),
    (b"SQLite format 3", "this is a SQLite database: export the table as CSV"),
    (b"Obj\x01", "this is an Avro container: its alerts are read by `source: files`, not as a table"),
    (b"ORC", "this is an ORC file: write it as Parquet"),
    (b"%PDF", "this is a PDF document"),
    (b"\xff\xfe", "this is a text in UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "this is a text in UTF-16: save it as UTF-8"),
];

/// The format of a file or folder.
pub(super) fn format(path: &Path) -> Result<Format, TableError> {
    if path.is_dir() {
        return Ok(Format::Parquet);
    }
    let unknown = |seen: &str| Err(TableError::Unknown { path: path.to_owned(), seen: seen.to_owned() });
    let mut input = Input::open(path)?;
    let mut head = vec![0; LOOK];
    let count = read_full(&mut input, &mut head).map_err(|source| TableError::read(path, "its beginning", source))?;
    head.truncate(count);
    if head.is_empty() {
        return unknown("the file is empty");
    }
    if head.starts_with(b"PAR1") {
        return if input.is_gzip() { unknown("this is Parquet inside gzip: unpack it") } else { Ok(Format::Parquet) };
    }
    if head.starts_with(b"SIMPLE  =") {
        return Ok(Format::Fits);
    }
    if let Some((_, seen)) = STRANGERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return unknown(seen);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    if text.starts_with(b"<") {
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        return if has(b"<votable") || has(b":votable") {
            Ok(Format::Votable)
        } else if has(b"<html") {
            unknown("this is a page of HTML, perhaps what a server said instead of the table")
        } else {
            unknown("this is XML, but its beginning has no element VOTABLE")
        };
    }
    if head.contains(&0) {
        return unknown("these bytes are no text and begin like no known format");
    }
    match claimed(path) {
        Some(format) => unknown(&format!("the name says {}, but the content does not begin like it", format.name())),
        None => Ok(Format::Csv),
    }
}

/// What the name of a file says, where that is no text.
fn claimed(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit('.').next()? {
        "fits" | "fit" | "fts" => Some(Format::Fits),
        "parquet" | "parq" | "pq" => Some(Format::Parquet),
        "vot" | "votable" | "xml" => Some(Format::Votable),
        _ => None,
    }
}
