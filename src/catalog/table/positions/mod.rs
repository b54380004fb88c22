//! Ids, positions and proper motions of a table, in one frame and one unit, with what is wrong told or counted by place.

mod angle;
mod columns;
mod frame;
mod report;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use arrow_select::filter::filter;
use serde::Deserialize;

use super::descriptor::Carried;
use super::{Batches, Block, Faults, Place, Table, TableError};
use crate::sky;
use angle::Letter;
use columns::{Chosen, choose};
pub use columns::{IdColumn, PositionColumns, Unit};
pub use frame::Frame;
pub use report::{Oddity, Report};

/// Half a circle, arcseconds.
const LARGEST_RADIUS: f64 = 648_000.0;

/// What becomes of rows without a good position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rejects {
    /// The first of them is an error.
    #[default]
    Strict,
    /// They are left out, counted, and the first few named.
    Count,
}

/// The positions of a table, part by part.
pub struct Positions {
    batches: Batches,
    chosen: Chosen,
    carried: Arc<Schema>,
    rejects: Rejects,
    path: std::path::PathBuf,
    own_columns: Vec<String>,
    ids: report::Ids,
    /// Whether ids are whole numbers in the table, and whether they are to be given as such.
    ids_whole_kind: bool,
    whole_ids: bool,
    report: Report,
    rows: u64,
}

/// Rows with good positions, in the order of the file. All columns have the same length.
#[derive(Clone, Debug)]
pub struct Part {
    /// Ids without blanks around them; empty where there is none. Of no length where there are `whole_ids`.
    pub ids: StringArray,
    /// Ids as numbers: where [`Positions::with_whole_ids`] has asked for them, and all ids of the part are whole numbers.
    pub whole_ids: Option<Int64Array>,
    /// Right ascension, ICRS, degrees in [0, 360), at the epoch of the table.
    pub ra: Vec<f64>,
    /// Declination, ICRS, degrees.
    pub dec: Vec<f64>,
    /// Proper motion in right ascension (times the cosine of declination) and in declination, mas/yr; NaN where there is none.
    pub motion: Option<[Vec<f64>; 2]>,
    /// Radii of the sources' own, arcseconds, more than 0 and at most those of half a circle.
    pub radius: Option<Vec<f64>>,
    /// The carried columns, under their new names.
    pub carried: RecordBatch,
    first: Place,
    numbers: Vec<u64>,
    /// Numbers of the rows in the whole table, from 1.
    rows: Vec<u64>,
}

impl Part {
    /// Rows of no file: ids, right ascensions, declinations and columns of one length.
    pub(crate) fn of(ids: StringArray, ra: Vec<f64>, dec: Vec<f64>, carried: RecordBatch) -> Part {
        let (first, numbers, rows) = (Place::row(1), Vec::new(), Vec::new());
        Part { ids, whole_ids: None, ra, dec, motion: None, radius: None, carried, first, numbers, rows }
    }

    /// Where a row is in the file.
    #[must_use]
    pub fn place(&self, row: usize) -> Place {
        Place { number: self.numbers.get(row).copied().unwrap_or(self.first.number), ..self.first.clone() }
    }

    /// Number of each row in the whole table, from 1; rows that were left out are counted too.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }
}

/// A position as people write one: decimal degrees, or sexagesimal, a right ascension in hours unless its letter says degrees.
/// Gives degrees.
///
/// # Errors
/// What is wrong with it, in words.
pub fn position(ra: &str, dec: &str) -> Result<(f64, f64), String> {
    let degrees = |text: &str, ra: bool| {
        let values = StringArray::from_iter_values([text]);
        Coordinate::Texts { values, ra, unit: None }.at(0)
    };
    on_sphere(degrees(ra, true)?, degrees(dec, false)?)
}

impl Positions {
    /// Begins to read the positions of a table, `rows` rows of the file at a time.
    ///
    /// # Errors
    /// When a column is not there, or its unit or frame is not understood.
    pub fn new(
        table: &Table,
        columns: &PositionColumns,
        carry: &[Carried],
        rejects: Rejects,
        rows: usize,
    ) -> Result<Positions, TableError> {
        let chosen = choose(table, columns)?;
        let (carried, places) = carried(table, carry)?;
        let mut wanted = vec![chosen.ra, chosen.dec];
        wanted.extend(chosen.id);
        wanted.extend(chosen.motion.iter().flatten().map(|motion| motion.0));
        wanted.extend(chosen.radius.map(|radius| radius.0));
        wanted.extend(places);
        let names: Vec<&str> = wanted.iter().map(|&place| table.columns()[place].name.as_str()).collect();
        let faults = match rejects {
            Rejects::Strict => Faults::Refuse,
            Rejects::Count => Faults::Note,
        };
        let own = &wanted[..2 + usize::from(chosen.id.is_some())];
        let own_columns = own.iter().map(|&place| table.columns()[place].name.clone()).collect();
        let ids_whole_kind = chosen.id.is_none_or(|place| table.columns()[place].data_type.is_integer());
        Ok(Positions {
            batches: table.batches_of(&names, rows, faults, chosen.id.map(|_| 2))?,
            chosen,
            carried,
            rejects,
            path: table.path().to_owned(),
            own_columns,
            ids: report::Ids::default(),
            ids_whole_kind,
            whole_ids: false,
            report: Report::default(),
            rows: 0,
        })
    }

    /// Gives ids that are whole numbers as such, without a way over texts: see [`Part::whole_ids`].
    #[must_use]
    pub fn with_whole_ids(mut self) -> Positions {
        self.whole_ids = true;
        self
    }

    /// Compares at most so many ids with each other, 20 bytes of memory each, instead of 3.5 million.
    #[must_use]
    pub fn comparing_ids(mut self, most: usize) -> Positions {
        self.ids.at_most(most);
        self
    }

    /// Whether ids come from a column of whole numbers, or are the numbers of the rows.
    #[must_use]
    pub fn ids_are_whole(&self) -> bool {
        self.ids_whole_kind
    }

    /// The columns that are carried, under their new names, with `unit` and `description` where they are known.
    #[must_use]
    pub fn carried(&self) -> &Arc<Schema> {
        &self.carried
    }

    /// Names of the columns that ids and positions come from, in the table.
    #[must_use]
    pub fn own_columns(&self) -> &[String] {
        &self.own_columns
    }

    /// Whether there are proper motions.
    #[must_use]
    pub fn has_motion(&self) -> bool {
        self.chosen.motion.is_some()
    }

    /// Whether the sources have radii of their own.
    #[must_use]
    pub fn has_radius(&self) -> bool {
        self.chosen.radius.is_some()
    }

    /// What was read so far; all of it once the parts are at their end.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Epoch of the positions, Julian years, as it is given or as the file says.
    #[must_use]
    pub fn epoch(&self) -> Option<f64> {
        self.chosen.epoch
    }

    /// Frame that the file's positions are in.
    #[must_use]
    pub fn frame(&self) -> Frame {
        self.chosen.frame
    }

    fn part(&mut self, block: &Block) -> Result<Part, TableError> {
        let broken = |reason: String| TableError::Asked { path: self.path.clone(), reason };
        let count = block.batch.num_rows();
        let motions = 2 + usize::from(self.chosen.id.is_some());
        let radii = motions + 2 * usize::from(self.chosen.motion.is_some());
        let own = radii + usize::from(self.chosen.radius.is_some());
        let mut reasons: Vec<Option<String>> = vec![None; count];
        for fault in &block.faults {
            if fault.column.is_none_or(|column| column < own) {
                reasons[fault.row].get_or_insert_with(|| fault.reason.clone());
            } else {
                let place = block.place(fault.row);
                self.report.unread_cells.add(|| format!("{place} ({})", fault.reason));
            }
        }
        let ra = Coordinate::of(block.batch.column(0), true, self.chosen.unit).map_err(broken)?;
        let dec = Coordinate::of(block.batch.column(1), false, self.chosen.unit).map_err(broken)?;
        let reach = self.chosen.radius.map(|(_, factor)| Reach::of(block.batch.column(radii), factor)).transpose();
        let reach = reach.map_err(broken)?;
        let mut part_radius = self.chosen.radius.map(|_| Vec::with_capacity(count));
        let matrix = self.chosen.frame.to_icrs();
        let mut part_ra = Vec::with_capacity(count);
        let mut part_dec = Vec::with_capacity(count);
        let mut numbers = Vec::with_capacity(count);
        let mut rows = Vec::with_capacity(count);
        let mut kept = vec![true; count];
        for row in 0..count {
            self.report.rows += 1;
            let position = match reasons[row].take() {
                Some(reason) => Err(reason),
                None => ra.at(row).and_then(|ra| Ok((ra, dec.at(row)?))).and_then(|(ra, dec)| on_sphere(ra, dec)),
            };
            let found = position.and_then(|p| Ok((p, reach.as_ref().map(|reach| reach.at(row)).transpose()?)));
            match found {
                Ok(((lon, lat), radius)) => {
                    let (lon, lat) = matrix.as_ref().map_or((sky::normalise_ra(lon), lat), |m| frame::turned(m, lon, lat));
                    part_ra.push(lon);
                    part_dec.push(lat);
                    numbers.push(block.number(row));
                    rows.push(self.rows + row as u64 + 1);
                    part_radius.iter_mut().zip(radius).for_each(|(all, radius)| all.push(radius));
                }
                Err(reason) if self.rejects == Rejects::Strict => {
                    return Err(TableError::Row { path: self.path.clone(), place: block.place(row), reason });
                }
                Err(reason) => {
                    kept[row] = false;
                    self.report.rejected.add(|| format!("{} ({reason})", block.place(row)));
                }
            }
        }
        if self.chosen.unit.is_none() && ra.is_number() {
            let largest = part_ra.iter().copied().fold(self.report.unitless.unwrap_or(0.0), f64::max);
            self.report.unitless = Some(largest);
        }
        self.report.kept += part_ra.len() as u64;
        let all = part_ra.len() == count;
        let mask = BooleanArray::from(kept);
        let select = |array: &ArrayRef| {
            if all { Ok(array.clone()) } else { filter(array, &mask).map_err(|e| broken(e.to_string())) }
        };
        let column = self.chosen.id.map(|_| select(block.batch.column(2))).transpose()?;
        let whole_ids = match &column {
            _ if !(self.whole_ids && self.ids_whole_kind) => None,
            Some(column) => {
                // What is missing, beyond 63 bits, or written with more than its digits, is no number.
                let numbers = match column.as_string_opt::<i32>() {
                    Some(texts) => texts.iter().map(|text| whole(text?.trim())).collect::<Int64Array>(),
                    None => {
                        let numbers = cast(column, &DataType::Int64).map_err(|e| broken(e.to_string()))?;
                        numbers.as_primitive::<Int64Type>().clone()
                    }
                };
                Some(numbers).filter(|numbers| numbers.null_count() == 0)
            }
            None => Some(rows.iter().map(|&row| row as i64).collect()),
        };
        let ids = match &column {
            _ if whole_ids.is_some() => StringArray::new_null(0),
            Some(column) => {
                let texts = cast(column, &DataType::Utf8).map_err(|e| broken(e.to_string()))?;
                texts.as_string::<i32>().iter().map(|id| Some(id.unwrap_or_default().trim())).collect()
            }
            None => StringArray::from_iter_values(rows.iter().map(u64::to_string)),
        };
        self.rows += count as u64;
        let motion = match self.chosen.motion {
            None => None,
            Some(factors) => {
                let mut both = [Vec::new(), Vec::new()];
                for (axis, (values, (_, factor))) in both.iter_mut().zip(factors).enumerate() {
                    let column = block.batch.column(motions + axis);
                    let numbers = cast(&select(column)?, &DataType::Float64).map_err(|e| broken(e.to_string()))?;
                    values.extend(numbers.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN) * factor));
                }
                if self.chosen.pm_ra_is_angle {
                    both[0].iter_mut().zip(&part_dec).for_each(|(motion, dec)| *motion *= dec.to_radians().cos());
                }
                Some(both)
            }
        };
        let carried: Vec<ArrayRef> = block.batch.columns()[own..].iter().map(select).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(part_ra.len()));
        let carried = RecordBatch::try_new_with_options(self.carried.clone(), carried, &options)
            .map_err(|e| TableError::Asked { path: self.path.clone(), reason: e.to_string() })?;
        let (first, radius) = (block.first.clone(), part_radius);
        let part = Part { ids, whole_ids, ra: part_ra, dec: part_dec, motion, radius, carried, first, numbers, rows };
        if self.chosen.id.is_some() {
            self.ids.take_all(&part, &mut self.report);
        }
        Ok(part)
    }
}

impl Iterator for Positions {
    type Item = Result<Part, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = match self.batches.next()? {
            Ok(block) => block,
            Err(error) => return Some(Err(error)),
        };
        Some(self.part(&block))
    }
}

/// A whole number that is written as we would write it.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.len() == 1 || !digits.starts_with(['0', '+']);
    text.parse().ok().filter(|number| plain && (*number != 0 || text == "0"))
}

/// The columns to carry: schema and places.
fn carried(table: &Table, carry: &[Carried]) -> Result<(Arc<Schema>, Vec<usize>), TableError> {
    let asked = |reason: String| TableError::Asked { path: table.path().to_owned(), reason };
    let (mut fields, mut places): (Vec<Field>, Vec<usize>) = (Vec::new(), Vec::new());
    for carried in carry {
        let found = if carried.is_pattern() {
            let pattern = glob::Pattern::new(&carried.column)
                .map_err(|e| asked(format!("`{}` is no pattern of names: {e}", carried.column)))?;
            // What is named one by one keeps its own name and unit.
            let named = |name: &str| carry.iter().any(|other| !other.is_pattern() && other.column == name);
            let columns = table.columns().iter().enumerate();
            let found: Vec<usize> =
                columns.filter(|(_, c)| pattern.matches(&c.name) && !named(&c.name)).map(|(i, _)| i).collect();
            if found.is_empty() {
                return Err(asked(format!("no column to carry is like `{}`; there are {}", carried.column, table.listed())));
            }
            found
        } else {
            vec![table.column(&carried.column)?]
        };
        for place in found {
            if places.contains(&place) && carried.is_pattern() {
                continue;
            }
            let column = &table.columns()[place];
            let name = carried.rename.as_ref().unwrap_or(&column.name);
            if fields.iter().any(|field| field.name() == name) {
                return Err(asked(format!("two carried columns would be called `{name}`: give one another name with `as`")));
            }
            let unit = carried.unit.as_ref().or(column.unit.as_ref());
            let about = unit.map(|unit| ("unit".to_owned(), unit.clone())).into_iter();
            let about: std::collections::HashMap<String, String> =
                about.chain(column.description.as_ref().map(|text| ("description".to_owned(), text.clone()))).collect();
            fields.push(Field::new(name, column.data_type.clone(), true).with_metadata(about));
            places.push(place);
        }
    }
    Ok((Arc::new(Schema::new(fields)), places))
}

/// One coordinate of a block.
enum Coordinate {
    Numbers { values: Float64Array, factor: f64, what: &'static str },
    Texts { values: StringArray, ra: bool, unit: Option<Unit> },
}

impl Coordinate {
    fn of(array: &ArrayRef, ra: bool, unit: Option<Unit>) -> Result<Coordinate, String> {
        if array.data_type() == &DataType::Utf8 {
            return Ok(Coordinate::Texts { values: array.as_string::<i32>().clone(), ra, unit });
        }
        let numbers = cast(array, &DataType::Float64).map_err(|e| e.to_string())?;
        let factor = match unit {
            Some(Unit::Hours) if ra => 15.0,
            Some(Unit::Rad) => 180.0 / std::f64::consts::PI,
            _ => 1.0,
        };
        Ok(Coordinate::Numbers { values: numbers.as_primitive::<Float64Type>().clone(), factor, what: called(ra) })
    }

    fn is_number(&self) -> bool {
        matches!(self, Coordinate::Numbers { .. })
    }

    /// Degrees.
    fn at(&self, row: usize) -> Result<f64, String> {
        match self {
            Coordinate::Numbers { values, what, .. } if values.is_null(row) => Err(format!("it has no {what}")),
            Coordinate::Numbers { values, factor, .. } => Ok(values.value(row) * factor),
            Coordinate::Texts { values, ra, .. } if values.is_null(row) || values.value(row).trim().is_empty() => {
                Err(format!("it has no {}", called(*ra)))
            }
            Coordinate::Texts { values, ra, unit } => {
                let text = values.value(row);
                let wrong =
                    |why: &str| format!("{} `{}` cannot be read: {why}", called(*ra), super::cells::shown(text.as_bytes()));
                let angle = angle::parse(text).map_err(wrong)?;
                let hours = match (angle.letter, unit) {
                    (Some(Letter::Hours), _) if !ra => return Err(wrong("a declination is not in hours")),
                    (Some(Letter::Hours), Some(Unit::Deg | Unit::Rad)) => return Err(wrong("the unit is not hours")),
                    (Some(Letter::Degrees), Some(Unit::Hours)) if *ra => return Err(wrong("the unit is hours")),
                    (Some(letter), _) => letter == Letter::Hours,
                    (None, Some(unit)) => *unit == Unit::Hours && *ra,
                    (None, None) => angle.sexagesimal && *ra,
                };
                match unit {
                    Some(Unit::Rad) if angle.sexagesimal => Err(wrong("the unit is radians")),
                    Some(Unit::Rad) => Ok(angle.value.to_degrees()),
                    _ => Ok(angle.value * if hours { 15.0 } else { 1.0 }),
                }
            }
        }
    }
}

/// The radii of a block.
struct Reach {
    values: Float64Array,
    /// As they are written, where one of them is no number.
    texts: Option<StringArray>,
    factor: f64,
}

impl Reach {
    fn of(array: &ArrayRef, factor: f64) -> Result<Reach, String> {
        if let Some(texts) = array.as_string_opt::<i32>() {
            let values = texts.iter().map(|text| text?.trim().parse().ok()).collect();
            return Ok(Reach { values, texts: Some(texts.clone()), factor });
        }
        let numbers = cast(array, &DataType::Float64).map_err(|e| e.to_string())?;
        Ok(Reach { values: numbers.as_primitive::<Float64Type>().clone(), texts: None, factor })
    }

    /// Arcseconds.
    fn at(&self, row: usize) -> Result<f64, String> {
        if self.values.is_null(row) {
            let text = self.texts.as_ref().filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row));
            return Err(text.map_or("it has no radius".to_owned(), |text| format!("the radius `{text}` is no number")));
        }
        let radius = self.values.value(row) * self.factor;
        if radius > 0.0 && radius <= LARGEST_RADIUS {
            Ok(radius)
        } else {
            Err(format!("the radius {} is not between 0 and 180 degrees", self.values.value(row)))
        }
    }
}

fn called(ra: bool) -> &'static str {
    if ra { "right ascension" } else { "declination" }
}

/// A position must be finite and on the sphere; right ascension may be given from -180 to 360.
fn on_sphere(ra: f64, dec: f64) -> Result<(f64, f64), String> {
    if !(-180.0..=360.0).contains(&ra) {
        return Err(format!("right ascension {ra} is not between 0 and 360 degrees"));
    }
    if !(-90.0..=90.0).contains(&dec) {
        return Err(format!("declination {dec} is not between -90 and 90 degrees"));
    }
    Ok((ra, dec))
}
