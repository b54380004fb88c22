//! Rows as elements: `<TR><TD>1</TD><TD>2</TD></TR>`.

use arrow_schema::DataType;
use quick_xml::events::Event;

use super::field::Base;
use super::xml::{Xml, attribute, resolve};
use super::{Filling, LARGEST};
use crate::catalog::table::TableError;
use crate::catalog::table::cells::{called, shown};

/// Reads a row; `false` at the end of the table.
pub fn row(xml: &mut Xml, filling: &mut Filling<'_>) -> Result<bool, TableError> {
    let mut text = String::new();
    let (mut in_row, mut in_cell, mut coded) = (false, false, false);
    loop {
        let line = xml.line();
        let wanted = in_cell && filling.targets.get(filling.met).is_some_and(|targets| !targets.is_empty());
        let mut bad = None;
        match xml.next()? {
            Event::Start(start) => match start.local_name().into_inner() {
                "TR" if !in_row => in_row = true,
                "TD" if in_row && !in_cell => {
                    in_cell = true;
                    coded = has_attributes(&start) && attribute(&start, "encoding").is_some();
                    text.clear();
                }
                other => bad = Some(format!("there is an element {} where a row or a cell should be", shown(other.as_bytes()))),
            },
            Event::End(end) => match end.local_name().into_inner() {
                "TD" => {
                    in_cell = false;
                    take(filling, if coded { None } else { Some(&text) }, line);
                    filling.met += 1;
                }
                "TR" => {
                    let (met, fields) = (filling.met, filling.fields.len());
                    if met != fields {
                        filling.fault(None, format!("the row has {met} cells, the table {fields} fields"), line);
                    }
                    filling.close();
                    return Ok(true);
                }
                _ => return Ok(false),
            },
            Event::Text(part) if wanted && text.len() as u64 <= LARGEST => text.push_str(&part),
            Event::CData(part) if wanted && text.len() as u64 <= LARGEST => text.push_str(&part),
            Event::GeneralRef(reference) => match resolve(&reference) {
                Ok(c) if wanted && text.len() as u64 <= LARGEST => text.push(c),
                Ok(_) => {}
                Err(reason) => bad = Some(reason),
            },
            Event::Eof => bad = Some("the document ends inside the rows: it is cut off; fetch it again".to_owned()),
            _ => {}
        }
        if let Some(reason) = bad {
            return Err(xml.error(reason));
        }
    }
}

/// Almost all cells have no attribute: the others are worth a look.
fn has_attributes(start: &quick_xml::events::BytesStart<'_>) -> bool {
    !start.attributes_raw().trim().is_empty()
}

/// Takes a cell; none is one in a coding that is not read.
fn take(filling: &mut Filling<'_>, text: Option<&str>, line: u64) {
    let targets = filling.targets;
    for &target in targets.get(filling.met).into_iter().flatten() {
        let field = &filling.fields[filling.met];
        let Some(text) = text else {
            let reason = format!("column `{}`: the cell is coded, which is not read", filling.names[target]);
            filling.fault(Some(target), reason, line);
            filling.columns[target].null();
            continue;
        };
        let cell = if field.data_type() == Ok(DataType::Utf8) { text } else { text.trim() };
        let empty = cell.is_empty() || field.null.as_deref() == Some(cell);
        let unknown = matches!(field.base, Base::Boolean | Base::Bit) && cell == "?";
        if empty || unknown {
            filling.columns[target].null();
        } else if !filling.columns[target].parse(cell) {
            let kind = field.data_type().unwrap_or(DataType::Utf8);
            let reason = format!("column `{}`: `{}` is not {}", filling.names[target], shown(cell.as_bytes()), called(&kind));
            filling.fault(Some(target), reason, line);
            filling.columns[target].null();
        }
    }
}
