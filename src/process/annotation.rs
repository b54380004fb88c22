//! The columns that matches add to a batch: how many, which, and for each catalogue what its nearest is.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBufferBuilder, Float64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array, ListArray, StructArray, UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};
use arrow_select::{interleave::interleave, take::take};

use super::matcher::{Entry, Found};
use super::tried::Tried;
use crate::alert::Candidate;

/// Number of matches so far.
pub(super) const MATCHES: &str = "matches";
/// The matches themselves.
pub(super) const CROSSMATCHES: &str = "crossmatches";
/// What each catalogue has.
pub(super) const CATALOGS: &str = "catalogs";

/// Columns of a match that no carried column may be called like.
pub(super) const OF_MATCH: [&str; 8] =
    ["candid", "candra", "canddec", "catalogid", "sourceid", "sourcera", "sourcedec", "distance"];
/// Columns of a catalogue that no carried column may be called like.
pub(super) const OF_CATALOG: [&str; 4] = ["matches", "covered", "capped", "distance"];

/// A field with its unit and what it means; empty where there is none.
pub(super) fn field(name: &str, data_type: DataType, nullable: bool, unit: &str, doc: &str) -> FieldRef {
    let metadata = [("unit", unit), ("doc", doc)].into_iter().filter(|(_, v)| !v.is_empty());
    let metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned()));
    Arc::new(Field::new(name, data_type, nullable).with_metadata(metadata.collect::<HashMap<_, _>>()))
}

/// What the columns are made of, decided when the chain is built.
#[derive(Debug)]
pub(super) struct Columns {
    /// One match: the eight, then all carried columns of all catalogues, each name once. `candid` is text so that its type is
    /// the same for surveys with numbers and with texts as ids.
    of_match: Fields,
    /// For each catalogue its own record.
    of_catalog: Vec<Fields>,
    catalogs: Fields,
}

impl Columns {
    /// The error names two catalogues whose columns have one name and two types.
    pub fn new(entries: &[Entry]) -> Result<Columns, String> {
        let deg = |name, doc| field(name, DataType::Float64, false, "deg", doc);
        let mut of_match = vec![
            field(OF_MATCH[0], DataType::Utf8, true, "", "Id of the alert, as text; null where the alert has none"),
            deg(OF_MATCH[1], "Right ascension of the alert, ICRS"),
            deg(OF_MATCH[2], "Declination of the alert, ICRS"),
            field(OF_MATCH[3], DataType::Utf8, false, "", "Name of the catalogue"),
            field(OF_MATCH[4], DataType::Utf8, false, "", "Id of the source in the catalogue"),
            deg(OF_MATCH[5], "Right ascension of the source, ICRS, as catalogued"),
            deg(OF_MATCH[6], "Declination of the source, ICRS, as catalogued"),
            field(
                OF_MATCH[7],
                DataType::Float64,
                false,
                "arcsec",
                "Separation of alert and source on the sky, at the alert's time",
            ),
        ];
        let mut of_catalog = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut own = vec![
                field(
                    OF_CATALOG[0],
                    DataType::Int32,
                    true,
                    "",
                    "Number of matches; null where none was tried, 0 where none was found",
                ),
                field(OF_CATALOG[1], DataType::Boolean, true, "", "Whether the catalogue has looked there; null where not known"),
                field(OF_CATALOG[2], DataType::Boolean, true, "", "Whether there were more matches than are listed"),
                field(OF_CATALOG[3], DataType::Float64, true, "arcsec", "Separation of the nearest match"),
            ];
            for column in &entry.carried {
                let name = column.name();
                let taken = OF_MATCH.iter().chain(&OF_CATALOG).any(|fixed| fixed == name);
                if taken || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !plain(name) {
                    return Err(format!(
                        "catalogue `{}` carries a column `{name}`, which {}: give it another name by `as` in a description, or \
                         choose `columns`",
                        entry.id,
                        if taken { "matches have already" } else { "is no name in Avro (letters, digits and `_`)" }
                    ));
                }
                match of_match.iter().find(|f| f.name() == name) {
                    None => of_match.push(column.clone()),
                    Some(known) if known.data_type() == column.data_type() => {}
                    Some(known) => {
                        return Err(format!(
                            "catalogue `{}` carries `{name}` as {}, another one as {}: give one of them another name by `as` in \
                             a description, or choose `columns`",
                            entry.id,
                            column.data_type(),
                            known.data_type()
                        ));
                    }
                }
                own.push(column.clone());
            }
            of_catalog.push(Fields::from(own));
        }
        let record = |(entry, own): (&Entry, &Fields)| {
            let doc = format!("What catalogue {} has", entry.id);
            field(&entry.field, DataType::Struct(own.clone()), false, "", &doc)
        };
        let catalogs = entries.iter().zip(&of_catalog).map(record).collect();
        Ok(Columns { of_match: of_match.into(), of_catalog, catalogs })
    }

    fn item(&self) -> FieldRef {
        Arc::new(Field::new("item", DataType::Struct(self.of_match.clone()), false))
    }

    /// The annotations, in the order of [`Matches::array`].
    pub fn fields(&self) -> [FieldRef; 3] {
        let number =
            "Number of matches over all cross-match steps; null where none was tried (no valid position, or skipped before)";
        let list = "Matches, by catalogue as configured, then by distance; null where none was tried, empty where none was found";
        let each = "What each catalogue has, by its name";
        [
            field(MATCHES, DataType::Int32, true, "", number),
            field(CROSSMATCHES, DataType::List(self.item()), true, "", list),
            field(CATALOGS, DataType::Struct(self.catalogs.clone()), false, "", each),
        ]
    }
}

fn plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// All matches of a batch, row by row.
pub(super) struct Picks {
    /// Number of matches of each row.
    pub lengths: Vec<usize>,
    /// Of each match which catalogue found it, and which of its hits it is.
    pub hits: Vec<(usize, usize)>,
    /// Row of each match.
    pub rows: Vec<u32>,
}

/// What the cross-matches of a chain have found in a batch so far, in the order of the catalogues.
pub(super) struct Matches {
    rows: usize,
    found: Vec<Found>,
}

impl Matches {
    pub fn new(rows: usize) -> Self {
        Self { rows, found: Vec::new() }
    }

    pub fn extend(&mut self, found: Vec<Found>) {
        self.found.extend(found);
    }

    /// Of each row whether any catalogue was asked about it.
    pub fn tried(&self) -> Vec<bool> {
        let mut tried = vec![false; self.rows];
        // Catalogues of one step have tried the same rows.
        let mut last = std::ptr::null();
        for found in &self.found {
            if !std::ptr::eq(last, Arc::as_ptr(&found.tried)) {
                found.tried.rows.iter().for_each(|row| tried[*row as usize] = true);
            }
            last = Arc::as_ptr(&found.tried);
        }
        tried
    }

    /// One of the annotations: 0 the number, 1 the list, 2 the catalogues.
    pub fn array(
        &self,
        which: usize,
        candidate: &Candidate,
        entries: &[Entry],
        columns: &Columns,
    ) -> Result<ArrayRef, ArrowError> {
        match which {
            0 => Ok(self.numbers()),
            1 => self.list(candidate, entries, columns),
            _ => self.catalogs(columns),
        }
    }

    fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0usize; self.rows];
        for found in self.found.iter().filter(|found| found.hits.total() > 0) {
            for (query, row) in found.tried.rows.iter().enumerate() {
                lengths[*row as usize] += found.hits.of(query).len();
            }
        }
        lengths
    }

    /// What one of the catalogues that were asked has found, in the order in which they were.
    pub fn found(&self, which: usize) -> &Found {
        &self.found[which]
    }

    /// The number of matches of each row.
    pub fn numbers(&self) -> ArrayRef {
        let counts = self.lengths().into_iter().map(count).collect::<Vec<_>>();
        Arc::new(Int32Array::new(counts.into(), Some(NullBuffer::from(self.tried()))))
    }

    /// All matches in the order of a list.
    pub fn picks(&self) -> Picks {
        let lengths = self.lengths();
        let mut next: Vec<usize> = Vec::with_capacity(self.rows);
        let mut total = 0;
        for length in &lengths {
            next.push(total);
            total += length;
        }
        let (mut hits, mut rows) = (vec![(0usize, 0usize); total], vec![0u32; total]);
        for (which, found) in self.found.iter().enumerate().filter(|(_, found)| found.hits.total() > 0) {
            let mut hit = 0;
            for (query, row) in found.tried.rows.iter().enumerate() {
                for _ in found.hits.of(query) {
                    let place = &mut next[*row as usize];
                    (hits[*place], rows[*place]) = ((which, hit), *row);
                    *place += 1;
                    hit += 1;
                }
            }
        }
        Picks { lengths, hits, rows }
    }

    fn list(&self, candidate: &Candidate, entries: &[Entry], columns: &Columns) -> Result<ArrayRef, ArrowError> {
        let Picks { lengths, hits: picks, rows } = self.picks();
        let total = picks.len();
        let mut arrays = self.eight(candidate, entries, &picks, &rows)?;
        for field in &columns.of_match[OF_MATCH.len()..] {
            let absent = new_null_array(field.data_type(), 1);
            let own: Vec<Option<&ArrayRef>> = self.found.iter().map(|found| found.carried.column_by_name(field.name())).collect();
            let sources: Vec<&dyn Array> = own.iter().map(|column| column.unwrap_or(&absent).as_ref()).collect();
            let picks: Vec<(usize, usize)> =
                picks.iter().map(|&(which, hit)| (which, if own[which].is_some() { hit } else { 0 })).collect();
            let none = || new_null_array(field.data_type(), 0);
            arrays.push(if picks.is_empty() { none() } else { interleave(&sources, &picks)? });
        }
        let items = StructArray::try_new_with_length(columns.of_match.clone(), arrays, None, total)?;
        let nulls = NullBuffer::from(self.tried());
        Ok(Arc::new(ListArray::try_new(columns.item(), OffsetBuffer::from_lengths(lengths), Arc::new(items), Some(nulls))?))
    }

    /// The columns that every match has.
    fn eight(
        &self,
        candidate: &Candidate,
        entries: &[Entry],
        picks: &[(usize, usize)],
        rows: &[u32],
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let total = picks.len();
        let (ra, dec) = (candidate.ra.as_primitive::<Float64Type>(), candidate.dec.as_primitive::<Float64Type>());
        let texts = || StringBuilder::with_capacity(total, total * 20);
        let numbers = || Float64Builder::with_capacity(total);
        let (mut candid, mut catalogid, mut sourceid) = (texts(), texts(), texts());
        let (mut candra, mut canddec, mut sourcera, mut sourcedec, mut distance) =
            (numbers(), numbers(), numbers(), numbers(), numbers());
        let options = FormatOptions::default();
        let ids = ArrayFormatter::try_new(&candidate.alert_id, &options)?;
        // Writing to a builder cannot fail.
        let write = |builder: &mut StringBuilder, text: std::fmt::Arguments<'_>| {
            let _ = std::fmt::Write::write_fmt(builder, text);
            builder.append_value("");
        };
        for (&(which, hit), &row) in picks.iter().zip(rows) {
            let found = &self.found[which];
            let hit = found.hits.all()[hit];
            match candidate.alert_id.is_null(row as usize) {
                true => candid.append_null(),
                false => write(&mut candid, format_args!("{}", ids.value(row as usize))),
            }
            candra.append_value(ra.value(row as usize));
            canddec.append_value(dec.value(row as usize));
            catalogid.append_value(&entries[found.entry].id);
            write(&mut sourceid, format_args!("{}", found.fitted.catalog.source_id(hit.row)));
            let position = found.fitted.catalog.position(hit.row);
            sourcera.append_value(position.0);
            sourcedec.append_value(position.1);
            distance.append_value(hit.distance);
        }
        Ok(vec![
            Arc::new(candid.finish()),
            Arc::new(candra.finish()),
            Arc::new(canddec.finish()),
            Arc::new(catalogid.finish()),
            Arc::new(sourceid.finish()),
            Arc::new(sourcera.finish()),
            Arc::new(sourcedec.finish()),
            Arc::new(distance.finish()),
        ])
    }

    /// The record of each catalogue. A batch is small and catalogues are many: what they have of one kind lies in one piece of memory,
    /// and what is the same for all of a step is made once.
    fn catalogs(&self, columns: &Columns) -> Result<ArrayRef, ArrowError> {
        let rows = self.rows;
        let (mut numbers, mut distances) = (vec![0i32; self.found.len() * rows], vec![0f64; self.found.len() * rows]);
        let mut matched = BooleanBufferBuilder::new(distances.len());
        matched.append_n(distances.len(), false);
        for (place, found) in self.found.iter().enumerate().filter(|(_, found)| found.hits.total() > 0) {
            for (query, &row) in found.tried.rows.iter().enumerate() {
                if let [first, ..] = found.hits.of(query) {
                    let at = place * rows + row as usize;
                    (numbers[at], distances[at]) = (count(found.hits.of(query).len()), first.distance);
                    matched.set_bit(at, true);
                }
            }
        }
        let (numbers, distances, matched) = (ScalarBuffer::from(numbers), ScalarBuffer::from(distances), matched.finish());
        let mut constants: Option<Constants> = None;
        let mut records: Vec<ArrayRef> = Vec::with_capacity(columns.of_catalog.len());
        for (entry, fields) in columns.of_catalog.iter().enumerate() {
            let arrays = match self.found.iter().position(|found| found.entry == entry) {
                Some(place) => {
                    let found = &self.found[place];
                    let fits = constants.take_if(|constants| Arc::ptr_eq(&constants.tried, &found.tried));
                    let same = constants.insert(fits.unwrap_or_else(|| Constants::new(&found.tried, rows)));
                    let nearest = NullBuffer::new(matched.slice(place * rows, rows));
                    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(fields.len());
                    arrays.push(Arc::new(Int32Array::new(numbers.slice(place * rows, rows), same.nulls.clone())));
                    arrays.push(match &found.uncovered {
                        None => same.unknown.clone(),
                        Some(uncovered) => same.but(true, uncovered),
                    });
                    arrays.push(same.but(false, &found.capped));
                    arrays.push(Arc::new(Float64Array::new(distances.slice(place * rows, rows), Some(nearest))));
                    if found.carried.num_columns() > 0 {
                        let nearest = self.nearest(found);
                        for column in found.carried.columns() {
                            arrays.push(take(column, &nearest, None)?);
                        }
                    }
                    arrays
                }
                None => fields.iter().map(|field| new_null_array(field.data_type(), rows)).collect(),
            };
            records.push(Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, None, rows)?));
        }
        Ok(Arc::new(StructArray::try_new_with_length(columns.catalogs.clone(), records, None, rows)?))
    }

    /// Of each row the place of its nearest match among all hits of a catalogue.
    fn nearest(&self, found: &Found) -> UInt32Array {
        let (mut nearest, mut first) = (vec![None; self.rows], 0);
        for (query, &row) in found.tried.rows.iter().enumerate() {
            let hits = found.hits.of(query).len();
            nearest[row as usize] = u32::try_from(first).ok().filter(|_| hits > 0);
            first += hits;
        }
        nearest.into()
    }
}

/// Columns that have nothing to say, which is what most catalogues have of most batches: valid where alerts were tried.
struct Constants {
    tried: Arc<Tried>,
    nulls: Option<NullBuffer>,
    yes: ArrayRef,
    no: ArrayRef,
    unknown: ArrayRef,
}

impl Constants {
    fn new(tried: &Arc<Tried>, rows: usize) -> Constants {
        let nulls = (tried.rows.len() < rows).then(|| {
            let mut valid = BooleanBufferBuilder::new(rows);
            valid.append_n(rows, false);
            tried.rows.iter().for_each(|row| valid.set_bit(*row as usize, true));
            NullBuffer::new(valid.finish())
        });
        let all = |values| Arc::new(BooleanArray::new(values, nulls.clone()));
        let (yes, no) = (all(BooleanBuffer::new_set(rows)), all(BooleanBuffer::new_unset(rows)));
        Constants { tried: tried.clone(), yes, no, unknown: new_null_array(&DataType::Boolean, rows), nulls }
    }

    /// `value` for all but some of the alerts that were tried.
    fn but(&self, value: bool, others: &[usize]) -> ArrayRef {
        let constant = if value { &self.yes } else { &self.no };
        if others.is_empty() {
            return constant.clone();
        }
        let mut values = BooleanBufferBuilder::new(constant.len());
        values.append_n(constant.len(), value);
        others.iter().for_each(|query| values.set_bit(self.tried.rows[*query] as usize, !value));
        Arc::new(BooleanArray::new(values.finish(), self.nulls.clone()))
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
