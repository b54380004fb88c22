//! What stands before the rows: the fields of the table and the systems that they refer to.

use std::collections::HashMap;
use std::path::Path;

use arrow_schema::DataType;
use quick_xml::events::{BytesStart, Event};

use super::field::Field;
use super::xml::{Xml, attribute, resolve};
use crate::catalog::table::{Column, Meta, TableError};

/// How the rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// An element for each cell.
    Tabledata,
    /// Bytes in base64.
    Binary,
    /// Bytes in base64, with a bit for each cell that has no value.
    Binary2,
    /// There are none.
    Nothing,
}

/// A table, once its rows are reached.
pub struct Head {
    /// Its number in the document, from 1.
    pub number: usize,
    pub fields: Vec<Field>,
    pub columns: Vec<Column>,
    pub meta: Meta,
    pub rows: Option<u64>,
    pub coding: Coding,
}

#[derive(Clone, Default)]
struct System {
    frame: Option<String>,
    equinox: Option<String>,
    epoch: Option<f64>,
}

/// More fields than any table has.
const MOST_FIELDS: usize = 100_000;

/// Goes to the rows of the wanted table (by ID, name or number; the first otherwise).
pub fn find(path: &Path, xml: &mut Xml, wanted: Option<&str>) -> Result<Head, TableError> {
    let (mut systems, mut scale) = (HashMap::<String, System>::new(), None);
    let (mut number, mut names, mut root) = (0, Vec::new(), false);
    loop {
        match xml.next()? {
            Event::Start(start) => match start.local_name().into_inner() {
                "VOTABLE" => root = true,
                "COOSYS" if systems.len() < 10_000 => {
                    let key = attribute(&start, "ID").unwrap_or_else(|| format!("#{}", systems.len()));
                    systems.insert(key, system(&start));
                }
                "TIMESYS" => scale = scale.or_else(|| attribute(&start, "timescale")),
                "TABLE" => {
                    number += 1;
                    let (id, name) = (attribute(&start, "ID"), attribute(&start, "name"));
                    let rows = attribute(&start, "nrows").and_then(|rows| rows.parse().ok());
                    let called = |wanted: &str| {
                        id.as_deref() == Some(wanted) || name.as_deref() == Some(wanted) || wanted.parse() == Ok(number)
                    };
                    if wanted.is_none_or(called) {
                        let name = name.or(id);
                        return table(xml, number, name, rows, &systems, scale);
                    }
                    if names.len() < 100 {
                        names.push(format!("{number} ({})", name.or(id).unwrap_or_else(|| "no name".to_owned())));
                    }
                }
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    let reason = match wanted {
        _ if !root => "there is no element VOTABLE: this is another kind of XML, or it is cut off".to_owned(),
        Some(wanted) if number > 0 => format!("no table is called or numbered `{wanted}`; there are {}", names.join(", ")),
        _ => "there is no element TABLE: did the query fail? An INFO element may say why".to_owned(),
    };
    Err(TableError::format(path, "the document", reason))
}

fn system(start: &BytesStart<'_>) -> System {
    let epoch = attribute(start, "epoch").and_then(|epoch| epoch.trim_start_matches(['J', 'j']).trim().parse().ok());
    System { frame: attribute(start, "system"), equinox: attribute(start, "equinox"), epoch }
}

/// Reads a table up to its rows.
fn table(
    xml: &mut Xml,
    number: usize,
    name: Option<String>,
    rows: Option<u64>,
    systems: &HashMap<String, System>,
    time_scale: Option<String>,
) -> Result<Head, TableError> {
    let mut all = systems.values();
    // With several, each field says which is its own.
    let only = if systems.len() == 1 { all.next().cloned().unwrap_or_default() } else { System::default() };
    let mut meta = Meta { name, frame: only.frame, equinox: only.equinox, epoch: only.epoch, time_scale, position: None };
    let (mut fields, mut columns): (Vec<Field>, Vec<Column>) = (Vec::new(), Vec::new());
    let mut inside: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut bad: Option<String> = None;
    let coding = loop {
        if let Some(reason) = bad.take() {
            return Err(xml.error(reason));
        }
        match xml.next()? {
            Event::Start(start) => {
                let element = start.local_name().into_inner().to_owned();
                match element.as_str() {
                    "FIELD" => {
                        let name = attribute(&start, "name").or_else(|| attribute(&start, "ID"));
                        let mut column = Column::new(name.unwrap_or_else(|| format!("col{}", fields.len() + 1)), DataType::Utf8);
                        column.unit = attribute(&start, "unit").filter(|unit| !unit.is_empty());
                        column.ucd = attribute(&start, "ucd").filter(|ucd| !ucd.is_empty());
                        if let Some(system) = attribute(&start, "ref").and_then(|key| systems.get(&key)) {
                            column.frame.clone_from(&system.frame);
                            if meta.epoch.is_none() {
                                meta.epoch = system.epoch;
                            }
                            if meta.equinox.is_none() {
                                meta.equinox.clone_from(&system.equinox);
                            }
                        }
                        match Field::new(attribute(&start, "datatype").as_deref(), attribute(&start, "arraysize").as_deref()) {
                            Ok(field) if fields.len() < MOST_FIELDS => {
                                fields.push(field);
                                columns.push(column);
                            }
                            Ok(_) => bad = Some(format!("the table has more than {MOST_FIELDS} fields")),
                            Err(reason) => bad = Some(format!("FIELD `{}`: {reason}", column.name)),
                        }
                    }
                    "VALUES" if inside.last().is_some_and(|outer| outer == "FIELD") => {
                        if let Some(field) = fields.last_mut() {
                            field.null = attribute(&start, "null").filter(|null| !null.is_empty());
                        }
                    }
                    "DESCRIPTION" => text.clear(),
                    "TABLEDATA" => break Coding::Tabledata,
                    "BINARY" => break Coding::Binary,
                    "BINARY2" => break Coding::Binary2,
                    "FITS" => bad = Some("the rows are in a FITS file: open that instead".to_owned()),
                    "PARQUET" => bad = Some("the rows are in a Parquet file: open that instead".to_owned()),
                    _ => {}
                }
                inside.push(element);
            }
            Event::End(_) => {
                let element = inside.pop();
                match element.as_deref() {
                    Some("DESCRIPTION") if inside.last().is_some_and(|outer| outer == "FIELD") => {
                        if let Some(column) = columns.last_mut() {
                            column.description = Some(text.split_whitespace().collect::<Vec<_>>().join(" "));
                        }
                    }
                    // The end of the table itself.
                    None => break Coding::Nothing,
                    _ => {}
                }
            }
            Event::Text(part) if inside.last().is_some_and(|element| element == "DESCRIPTION") => text.push_str(&part),
            Event::CData(part) if inside.last().is_some_and(|element| element == "DESCRIPTION") => text.push_str(&part),
            Event::GeneralRef(reference) => match resolve(&reference) {
                Ok(c) => text.push(c),
                Err(reason) => bad = Some(reason),
            },
            Event::Eof => return Err(xml.error("the document ends inside a table: it is cut off")),
            _ => {}
        }
    };
    Ok(Head { number, fields, columns, meta, rows, coding })
}
