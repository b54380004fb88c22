//! VOTable 1.1 to 1.5 (IVOA recommendation): TABLEDATA, BINARY and BINARY2, the first table of the document or a named one.

mod binary;
mod field;
mod head;
mod tabledata;
mod xml;

use std::path::Path;

use super::cells::Cells;
use super::dialect::Dialect;
use super::{Block, Fault, Faults, LeftOut, Opened, Place, Source, TableError, Wish};
use binary::Stream;
use field::Field;
use head::Coding;
use xml::Xml;

/// The largest cell, bytes.
const LARGEST: u64 = 64 << 20;

/// Which table of the document, and what its cells are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    number: usize,
    fields: Vec<Field>,
    /// Place of each readable column among the fields.
    places: Vec<usize>,
}

/// Finds the table and its fields.
pub(super) fn open(path: &Path, dialect: &Dialect) -> Result<Opened, TableError> {
    let mut xml = Xml::open(path)?;
    let head = head::find(path, &mut xml, dialect.table.as_deref())?;
    let (mut columns, mut left_out, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (field, mut column)) in head.fields.iter().zip(head.columns).enumerate() {
        match field.data_type() {
            Ok(data_type) => {
                column.data_type = data_type;
                columns.push(column);
                places.push(place);
            }
            Err(reason) => left_out.push(LeftOut { name: column.name, reason }),
        }
    }
    let layout = Layout { number: head.number, fields: head.fields, places };
    Ok(Opened { columns, left_out, rows: head.rows, meta: head.meta, source: Source::Votable(layout) })
}

/// Reads the rows.
pub(super) fn read(layout: &Layout, wish: Wish) -> Result<Rows, TableError> {
    let mut xml = Xml::open(&wish.path)?;
    let head = head::find(&wish.path, &mut xml, Some(&layout.number.to_string()))?;
    if head.number != layout.number {
        return Err(xml.error(format!("table {} is called `{}`, as another is numbered", head.number, layout.number)));
    }
    let mut targets = vec![Vec::new(); layout.fields.len()];
    for (wanted, &column) in wish.wanted.iter().enumerate() {
        targets[layout.places[column]].push(wanted);
    }
    let way = match head.coding {
        Coding::Tabledata => Way::Tabledata,
        Coding::Nothing => Way::Over,
        Coding::Binary => Way::Binary(Box::new(Stream::begin(&mut xml, false)?)),
        Coding::Binary2 => Way::Binary(Box::new(Stream::begin(&mut xml, true)?)),
    };
    Ok(Rows { xml, fields: layout.fields.clone(), targets, wish, way, done: 0 })
}

enum Way {
    Tabledata,
    Binary(Box<Stream>),
    Over,
}

/// The rows of a table.
pub(super) struct Rows {
    xml: Xml,
    fields: Vec<Field>,
    /// For each field, the wanted columns that it fills.
    targets: Vec<Vec<usize>>,
    wish: Wish,
    way: Way,
    done: u64,
}

/// The columns of a block while they are filled.
struct Filling<'a> {
    fields: &'a [Field],
    targets: &'a [Vec<usize>],
    names: Vec<String>,
    columns: Vec<Cells>,
    rows: usize,
    /// Cells of the row that were met.
    met: usize,
    faults: Vec<(Fault, u64)>,
}

impl Filling<'_> {
    fn fault(&mut self, column: Option<usize>, reason: String, line: u64) {
        self.faults.push((Fault { row: self.rows, column, reason }, line));
    }

    /// Ends a row: cells that were not met are null.
    fn close(&mut self) {
        for place in self.met..self.fields.len() {
            for &target in &self.targets[place] {
                self.columns[target].null();
            }
        }
        self.rows += 1;
        self.met = 0;
    }
}

impl Iterator for Rows {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.block().transpose()
    }
}

impl Rows {
    fn block(&mut self) -> Result<Option<Block>, TableError> {
        let schema = self.wish.schema.clone();
        let mut filling = Filling {
            fields: &self.fields,
            targets: &self.targets,
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            columns: schema.fields().iter().map(|field| Cells::new(field.data_type())).collect(),
            rows: 0,
            met: 0,
            faults: Vec::new(),
        };
        while filling.rows < self.wish.rows {
            let more = match &mut self.way {
                Way::Tabledata => tabledata::row(&mut self.xml, &mut filling)?,
                Way::Binary(stream) => stream.row(&mut self.xml, &mut filling)?,
                Way::Over => false,
            };
            if !more {
                self.way = Way::Over;
                break;
            }
            if self.wish.faults == Faults::Refuse
                && let Some((fault, line)) = filling.faults.drain(..).next()
            {
                let place = Place::row(self.done + filling.rows as u64);
                let reason = format!("{} (line {line})", fault.reason);
                return Err(TableError::Row { path: self.wish.path.to_path_buf(), place, reason });
            }
        }
        let Filling { mut columns, rows, faults, .. } = filling;
        if rows == 0 {
            return Ok(None);
        }
        let batch = self.wish.batch(columns.iter_mut().map(Cells::finish).collect(), rows)?;
        let first = Place::row(self.done + 1);
        self.done += rows as u64;
        let faults = faults.into_iter().map(|(fault, line)| Fault { reason: format!("{} (line {line})", fault.reason), ..fault });
        Ok(Some(Block { batch, first, faults: faults.collect(), lines: Vec::new() }))
    }
}
