//! Watch lists: which entries an alert is near to, as near as the radius of each entry says.
//!
//! A list is searched as a catalogue is, by the radius of each entry; what differs are the annotations.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};

use super::annotation::{Matches, field};
use super::matcher::{Entry, Found};
use super::report::Tally;
use crate::alert::Verdict;

/// Number of hits.
pub(super) const WATCHED: &str = "watched";
/// The hits themselves.
pub(super) const WATCHLISTS: &str = "watchlists";

fn of_hit() -> Fields {
    let number = |name, unit, doc| field(name, DataType::Float64, false, unit, doc);
    let text = |name, doc| field(name, DataType::Utf8, false, "", doc);
    Fields::from(vec![
        text("listid", "Name of the list"),
        text("sourceid", "Id of the entry in the list"),
        number("sourcera", "deg", "Right ascension of the entry, ICRS, as listed"),
        number("sourcedec", "deg", "Declination of the entry, ICRS, as listed"),
        number("distance", "arcsec", "Separation of alert and entry on the sky"),
        number("radius", "arcsec", "Radius of the entry"),
    ])
}

fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(of_hit()), false))
}

/// The annotations, in the order of [`array`].
pub(super) fn fields() -> [FieldRef; 2] {
    [
        field(
            WATCHED,
            DataType::Int32,
            true,
            "",
            "Number of hits in watch lists; null where none was tried (no valid position, or skipped before)",
        ),
        field(
            WATCHLISTS,
            DataType::List(item()),
            true,
            "",
            "Hits in watch lists, by list as configured, then by distance; null where none was tried, empty where there is none",
        ),
    ]
}

/// Skips the alerts without a hit. They have been counted as passing.
pub(super) fn require(found: &[Found], verdicts: &mut [Verdict], skipped: Verdict, tally: &mut Tally) {
    let mut hit = vec![false; verdicts.len()];
    for found in found {
        for (query, row) in found.tried.rows.iter().enumerate() {
            hit[*row as usize] |= !found.hits.of(query).is_empty();
        }
    }
    for (verdict, _) in verdicts.iter_mut().zip(hit).filter(|(verdict, hit)| **verdict == Verdict::Passed && !hit) {
        *verdict = skipped;
        tally.passed -= 1;
        tally.skipped += 1;
    }
}

/// One of the annotations: 0 the number, 1 the list.
pub(super) fn array(which: usize, hits: &Matches, lists: &[Entry]) -> Result<ArrayRef, ArrowError> {
    if which == 0 {
        return Ok(hits.numbers());
    }
    let picks = hits.picks();
    let total = picks.hits.len();
    let (mut listid, mut sourceid) = (StringBuilder::new(), StringBuilder::new());
    let mut numbers: [Float64Builder; 4] = std::array::from_fn(|_| Float64Builder::with_capacity(total));
    for &(which, hit) in &picks.hits {
        let found = hits.found(which);
        let (catalog, hit) = (&found.fitted.catalog, found.hits.all()[hit]);
        listid.append_value(&lists[found.entry].id);
        sourceid.append_value(catalog.source_id(hit.row).to_string());
        let (ra, dec) = catalog.position(hit.row);
        let radius = lists[found.entry].reach(catalog, hit.row);
        numbers.iter_mut().zip([ra, dec, hit.distance, radius]).for_each(|(builder, value)| builder.append_value(value));
    }
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(listid.finish()), Arc::new(sourceid.finish())];
    arrays.extend(numbers.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
    let items = StructArray::try_new_with_length(of_hit(), arrays, None, total)?;
    let nulls = NullBuffer::from(hits.tried());
    Ok(Arc::new(ListArray::try_new(item(), OffsetBuffer::from_lengths(picks.lengths), Arc::new(items), Some(nulls))?))
}
