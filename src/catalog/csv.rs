//! Reading a catalogue from CSV.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use super::{CatalogError, Sources};

/// Names of columns, lower case and without what is neither letter nor digit, the likeliest first.
const ID: [&str; 11] =
    ["id", "sourceid", "name", "sourcename", "source", "objectid", "objectname", "oid", "mainid", "designation", "identifier"];
const RA: [&str; 9] = ["ra", "raj2000", "raicrs", "radeg", "radegrees", "radeicrs", "rightascension", "alpha", "ra2000"];
const DEC: [&str; 11] =
    ["dec", "dej2000", "decj2000", "deicrs", "decicrs", "decdeg", "dedeg", "decdegrees", "declination", "delta", "decl"];

/// Ids that are named in a warning; the others are counted.
const NAMED: usize = 5;

/// Sources and what is odd about them.
pub(super) fn read(path: &Path) -> Result<(Sources, Vec<String>), CatalogError> {
    let file = File::open(path).map_err(|source| CatalogError::Open { path: path.to_owned(), source })?;
    let format = |source| CatalogError::Format { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(format)?.clone();
    let names: Vec<String> = header.iter().map(plain).collect();
    let find = |what: &'static str, wanted: &[&str]| {
        wanted.iter().find_map(|w| names.iter().position(|n| n == w)).ok_or_else(|| CatalogError::Column {
            path: path.to_owned(),
            what,
            wanted: wanted.join(", "),
            found: if header.is_empty() { "no columns".to_owned() } else { header.iter().collect::<Vec<_>>().join(", ") },
        })
    };
    let (id, ra, dec) = (find("the id", &ID)?, find("right ascension", &RA)?, find("declination", &DEC)?);

    let mut sources = Sources::default();
    let mut lines = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(format)? {
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let degrees = |column: usize, what: &str| {
            cell(column).parse::<f64>().map_err(|_| CatalogError::Row {
                path: path.to_owned(),
                line,
                reason: format!("{what} `{}` is not a number; positions are decimal degrees", cell(column)),
            })
        };
        let (ra, dec) = (degrees(ra, "right ascension")?, degrees(dec, "declination")?);
        check_position(path, line, ra, dec)?;
        sources.push(cell(id), ra, dec);
        lines.push(line);
    }
    let warnings = warnings(path, &sources, &lines);
    Ok((sources, warnings))
}

/// The name of a column without case, spaces, signs and a byte order mark.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A position must be finite and on the sphere; right ascension may be given from -180 to 360.
pub(super) fn check_position(path: &Path, line: u64, ra: f64, dec: f64) -> Result<(), CatalogError> {
    let bad = |reason: String| Err(CatalogError::Row { path: path.to_owned(), line, reason });
    if !(-180.0..=360.0).contains(&ra) {
        return bad(format!("right ascension {ra} is not between 0 and 360 degrees"));
    }
    if !(-90.0..=90.0).contains(&dec) {
        return bad(format!("declination {dec} is not between -90 and 90 degrees"));
    }
    Ok(())
}

fn warnings(path: &Path, sources: &Sources, lines: &[u64]) -> Vec<String> {
    let mut first: HashMap<&str, u64> = HashMap::with_capacity(lines.len());
    let (mut empty, mut twice) = (Vec::new(), Vec::new());
    for (row, &line) in lines.iter().enumerate() {
        let id = sources.id(row);
        if id.is_empty() {
            empty.push(format!("line {line}"));
        } else if let Some(earlier) = first.get(id) {
            twice.push(format!("`{id}` in lines {earlier} and {line}"));
        } else {
            first.insert(id, line);
        }
    }
    let told = |found: &[String]| {
        let more = found.len().saturating_sub(NAMED);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        found[..found.len().min(NAMED)].join(", ") + &tail
    };
    let at = path.display();
    let mut all = Vec::new();
    if lines.is_empty() {
        all.push(format!("catalogue {at} holds no source: nothing will match"));
    }
    if !empty.is_empty() {
        all.push(format!("catalogue {at}: {} sources without an id: {}", empty.len(), told(&empty)));
    }
    if !twice.is_empty() {
        all.push(format!("catalogue {at}: {} ids used again: {}", twice.len(), told(&twice)));
    }
    all
}
