//! The columns that cross-matching adds: how many matches, and which.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Int32Array, ListArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};

use super::{Searched, Step};
use crate::alert::Candidate;

/// Number of matches so far.
const MATCHES: &str = "matches";
/// The matches themselves.
const CROSSMATCHES: &str = "crossmatches";

fn field(name: &str, data_type: DataType, nullable: bool, unit: &str, doc: &str) -> FieldRef {
    let metadata = [("unit", unit), ("doc", doc)].into_iter().filter(|(_, v)| !v.is_empty());
    let metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned()));
    Arc::new(Field::new(name, data_type, nullable).with_metadata(metadata.collect::<HashMap<_, _>>()))
}

/// One match. `candid` is text so that its type is the same for surveys with numbers and with texts as ids.
fn match_fields() -> Fields {
    Fields::from(vec![
        field("candid", DataType::Utf8, true, "", "Id of the alert, as text; null where the alert has none"),
        field("candra", DataType::Float64, false, "deg", "Right ascension of the alert, ICRS"),
        field("canddec", DataType::Float64, false, "deg", "Declination of the alert, ICRS"),
        field("catalogid", DataType::Utf8, false, "", "Name of the catalogue"),
        field("sourceid", DataType::Utf8, false, "", "Id of the source in the catalogue"),
        field("sourcera", DataType::Float64, false, "deg", "Right ascension of the source, ICRS, as catalogued"),
        field("sourcedec", DataType::Float64, false, "deg", "Declination of the source, ICRS, as catalogued"),
        field("distance", DataType::Float64, false, "arcsec", "Separation of alert and source on the sky"),
    ])
}

fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(match_fields()), false))
}

/// The columns, in the order of [`Matches::arrays`].
pub(super) fn fields() -> Vec<FieldRef> {
    vec![
        field(
            MATCHES,
            DataType::Int32,
            true,
            "",
            "Number of matches over all cross-match steps; null where none was tried (no valid position, or skipped before)",
        ),
        field(
            CROSSMATCHES,
            DataType::List(item()),
            true,
            "",
            "Matches, by step of the chain, then by distance; null where none was tried, empty where none was found",
        ),
    ]
}

/// What the cross-matches of a chain have found in a batch so far.
pub(super) struct Matches {
    rows: usize,
    steps: Vec<(usize, Searched)>,
}

impl Matches {
    pub fn new(rows: usize) -> Self {
        Self { rows, steps: Vec::new() }
    }

    /// Takes what the step with this index found.
    pub fn add(&mut self, step: usize, searched: Searched) {
        self.steps.push((step, searched));
    }

    /// The columns of [`fields`].
    pub fn arrays(&self, candidate: &Candidate, steps: &[Step]) -> Result<Vec<ArrayRef>, ArrowError> {
        let total = self.steps.iter().map(|(_, s)| s.hits.total()).sum();
        let mut columns = Columns::with_capacity(total);
        let mut lengths = vec![0usize; self.rows];
        let mut tried = vec![false; self.rows];
        // Rows of a step ascend, so one cursor per step finds each row's hits.
        let mut cursors = vec![0usize; self.steps.len()];
        for row in 0..self.rows {
            for (cursor, (step, searched)) in cursors.iter_mut().zip(&self.steps) {
                if searched.rows.get(*cursor).is_none_or(|r| *r as usize != row) {
                    continue;
                }
                let hits = searched.hits.of(*cursor);
                *cursor += 1;
                tried[row] = true;
                lengths[row] += hits.len();
                if let (Step::Crossmatch { catalog, .. }, false) = (&steps[*step], hits.is_empty()) {
                    let alert = AlertCells::new(candidate, row)?;
                    for hit in hits {
                        columns.push(&alert, catalog.id(), catalog.source_id(hit.row), catalog.position(hit.row), hit.distance);
                    }
                }
            }
        }
        let nulls = NullBuffer::from(tried);
        let counts = lengths.iter().map(|n| i32::try_from(*n).unwrap_or(i32::MAX)).collect::<Vec<_>>();
        let counts = Int32Array::new(counts.into(), Some(nulls.clone()));
        let items = StructArray::try_new(match_fields(), columns.finish(), None)?;
        let list = ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), Arc::new(items), Some(nulls))?;
        Ok(vec![Arc::new(counts), Arc::new(list)])
    }
}

/// The alert's side of a match.
struct AlertCells {
    id: Option<String>,
    ra: f64,
    dec: f64,
}

impl AlertCells {
    fn new(candidate: &Candidate, row: usize) -> Result<Self, ArrowError> {
        let id = &candidate.alert_id;
        Ok(Self {
            id: if id.is_null(row) { None } else { Some(array_value_to_string(id, row)?) },
            ra: candidate.ra.as_primitive::<Float64Type>().value(row),
            dec: candidate.dec.as_primitive::<Float64Type>().value(row),
        })
    }
}

struct Columns {
    candid: StringBuilder,
    candra: Float64Builder,
    canddec: Float64Builder,
    catalogid: StringBuilder,
    sourceid: StringBuilder,
    sourcera: Float64Builder,
    sourcedec: Float64Builder,
    distance: Float64Builder,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        let (text, float) = (|| StringBuilder::with_capacity(rows, rows * 20), || Float64Builder::with_capacity(rows));
        Self {
            candid: text(),
            candra: float(),
            canddec: float(),
            catalogid: text(),
            sourceid: text(),
            sourcera: float(),
            sourcedec: float(),
            distance: float(),
        }
    }

    fn push(&mut self, alert: &AlertCells, catalog: &str, source: &str, position: (f64, f64), distance: f64) {
        self.candid.append_option(alert.id.as_deref());
        self.candra.append_value(alert.ra);
        self.canddec.append_value(alert.dec);
        self.catalogid.append_value(catalog);
        self.sourceid.append_value(source);
        self.sourcera.append_value(position.0);
        self.sourcedec.append_value(position.1);
        self.distance.append_value(distance);
    }

    fn finish(mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.candid.finish()),
            Arc::new(self.candra.finish()),
            Arc::new(self.canddec.finish()),
            Arc::new(self.catalogid.finish()),
            Arc::new(self.sourceid.finish()),
            Arc::new(self.sourcera.finish()),
            Arc::new(self.sourcedec.finish()),
            Arc::new(self.distance.finish()),
        ]
    }
}
