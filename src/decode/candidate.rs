//! The candidate view: from the survey's own paths to id, position, time and magnitude.
//!
//! **Invariant:** what a survey's profile names and a schema does not have is null and flagged, never an error: schemas
//! change while a stream runs.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use crate::alert::{Candidate, Flags};
use crate::avro::Wanted;
use crate::config::{FieldPath, MagnitudeUnit, Survey, TimeScale};

/// Julian date of 1970-01-01T00:00 UTC.
const JD_OF_1970: f64 = 2_440_587.5;
/// Modified Julian date of the same.
const MJD_OF_1970: f64 = 40_587.0;
const MICROSECONDS_PER_DAY: f64 = 86_400e6;
/// TAI - UTC since 2017-01-01 (IERS Bulletin C 52), seconds. No leap second has been announced since; surveys that count
/// in TAI began after it.
const TAI_MINUS_UTC: f64 = 37.0;
/// 1990-01-01 and 2100-01-01, microseconds since 1970: no alert was observed outside.
const TIMES: std::ops::Range<i64> = 631_152_000_000_000..4_102_444_800_000_000;
/// AB magnitude of a flux of one nanojansky (Oke and Gunn 1983).
const AB_OF_NANOJANSKY: f64 = 31.4;

/// The fields that the view is made of.
pub(super) fn wanted(survey: &Survey) -> Wanted {
    let Survey { alert_id, object_id, ra, dec, time, magnitude, .. } = survey;
    let paths = [alert_id, object_id, ra, dec, time, magnitude].into_iter().flatten();
    Wanted::only(paths.map(|path| path.0.clone()))
}

/// The candidate view of `records`; flags rows where something of it is missing.
pub(super) fn candidate(survey: &Survey, records: &RecordBatch, flags: &mut [Flags]) -> Result<Candidate, ArrowError> {
    let view = View { survey, records };
    let alert_id = view.alert_id()?;
    let (ra, dec) = view.position()?;
    let time = view.time()?;
    for (row, flags) in flags.iter_mut().enumerate() {
        if alert_id.is_null(row) {
            flags.set(Flags::NO_ID);
        }
        if ra.is_null(row) {
            flags.set(Flags::BAD_POSITION);
        }
        if time.is_null(row) {
            flags.set(Flags::BAD_TIME);
        }
    }
    Ok(Candidate {
        alert_id,
        object_id: view.object_id()?,
        ra: Arc::new(ra),
        dec: Arc::new(dec),
        time: Arc::new(time),
        magnitude: Arc::new(view.magnitude()?),
    })
}

/// Times of observation of records, UTC, null where there is none; `None` where they have no column that tells.
///
/// # Errors
/// When a column of times can't be read as one.
pub fn observed(survey: &Survey, records: &RecordBatch) -> Result<Option<TimestampMicrosecondArray>, ArrowError> {
    let view = View { survey, records };
    if view.columns(&survey.time)?.is_empty() { Ok(None) } else { view.time().map(Some) }
}

/// The column at a path, null where a struct around it is null; `None` where the schema has no such field.
fn column(records: &RecordBatch, path: &FieldPath) -> Result<Option<ArrayRef>, ArrowError> {
    let [first, rest @ ..] = path.0.as_slice() else { return Ok(None) };
    let Some(mut array) = records.column_by_name(first).cloned() else { return Ok(None) };
    let mut outside: Option<NullBuffer> = None;
    for name in rest {
        let Some(around) = array.as_struct_opt() else { return Ok(None) };
        outside = NullBuffer::union(outside.as_ref(), around.nulls());
        let Some(inner) = around.column_by_name(name).cloned() else { return Ok(None) };
        array = inner;
    }
    match outside {
        None => Ok(Some(array)),
        Some(valid) => arrow_select::nullif::nullif(array.as_ref(), &BooleanArray::new(!valid.inner(), None)).map(Some),
    }
}

/// A column of ids as texts.
enum Texts {
    /// As they are.
    Views(StringViewArray),
    /// Made from something else.
    Other { texts: StringArray, number: bool },
}

impl Texts {
    /// Those of the columns that can be texts.
    fn of(columns: &[ArrayRef]) -> Result<Vec<Texts>, ArrowError> {
        let able = columns.iter().filter(|c| arrow_cast::can_cast_types(c.data_type(), &DataType::Utf8));
        let texts = able.map(|column| match column.as_string_view_opt() {
            Some(views) => Ok(Texts::Views(views.clone())),
            None => {
                let texts = cast(column, &DataType::Utf8)?.as_string::<i32>().clone();
                Ok(Texts::Other { texts, number: column.data_type().is_numeric() })
            }
        });
        texts.collect()
    }
}

/// Records with what tells where to look in them.
pub(super) struct View<'a> {
    pub survey: &'a Survey,
    pub records: &'a RecordBatch,
}

impl View<'_> {
    fn rows(&self) -> usize {
        self.records.num_rows()
    }

    /// The alternatives that the schema has.
    fn columns(&self, paths: &[FieldPath]) -> Result<Vec<ArrayRef>, ArrowError> {
        paths.iter().filter_map(|path| column(self.records, path).transpose()).collect()
    }

    fn is_none_number(&self, value: f64) -> bool {
        self.survey.none_numbers.contains(&value)
    }

    fn is_none_text(&self, value: &str) -> bool {
        self.survey.none_texts.iter().any(|none| none == value)
    }

    /// Numbers of several alternatives: the first that is there, row by row. What cannot be a number is not there.
    pub fn numbers(&self, paths: &[FieldPath]) -> Result<Vec<Option<f64>>, ArrowError> {
        let columns = self.columns(paths)?;
        let columns = columns.iter().filter(|c| arrow_cast::can_cast_types(c.data_type(), &DataType::Float64));
        let columns = columns.map(|c| cast(c, &DataType::Float64)).collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&Float64Array> = columns.iter().map(|c| c.as_primitive::<Float64Type>()).collect();
        Ok((0..self.rows()).map(|row| first(&columns, row)).collect())
    }

    fn alert_id(&self) -> Result<ArrayRef, ArrowError> {
        let columns = self.columns(&self.survey.alert_id)?;
        if columns.iter().all(|c| c.data_type().is_integer()) {
            let columns = columns.iter().map(|c| cast(c, &DataType::Int64)).collect::<Result<Vec<_>, _>>()?;
            let columns: Vec<&Int64Array> = columns.iter().map(|c| c.as_primitive::<Int64Type>()).collect();
            let there = |id: &i64| !self.is_none_number(*id as f64);
            let ids = (0..self.rows()).map(|row| columns.iter().find_map(|c| value(c, row).filter(there)));
            return Ok(Arc::new(ids.collect::<Int64Array>()));
        }
        let texts = Texts::of(&columns)?;
        Ok(Arc::new((0..self.rows()).map(|row| self.text(&texts, row)).collect::<StringViewArray>()))
    }

    fn object_id(&self) -> Result<ArrayRef, ArrowError> {
        let texts = Texts::of(&self.columns(&self.survey.object_id)?)?;
        Ok(Arc::new((0..self.rows()).map(|row| self.text(&texts, row)).collect::<StringArray>()))
    }

    /// An id as text: the first alternative that is there.
    fn text<'a>(&self, columns: &'a [Texts], row: usize) -> Option<&'a str> {
        columns.iter().find_map(|column| match column {
            Texts::Views(texts) => {
                let text = texts.is_valid(row).then(|| texts.value(row))?;
                (!text.is_empty() && !self.is_none_text(text)).then_some(text)
            }
            Texts::Other { texts, number } => {
                let text = texts.is_valid(row).then(|| texts.value(row))?;
                let none = match number {
                    true => text.parse().is_ok_and(|number| self.is_none_number(number)),
                    false => text.is_empty() || self.is_none_text(text),
                };
                (!none).then_some(text)
            }
        })
    }

    /// Right ascension and declination: both or none.
    fn position(&self) -> Result<(Float64Array, Float64Array), ArrowError> {
        let ra = self.numbers(&self.survey.ra)?;
        let dec = self.numbers(&self.survey.dec)?;
        let pairs = ra.into_iter().zip(dec).map(|pair| match pair {
            // Some producers write the full circle for 0.
            (Some(360.0), Some(dec)) if (-90.0..=90.0).contains(&dec) => (Some(0.0), Some(dec)),
            (Some(ra), Some(dec)) if (0.0..360.0).contains(&ra) && (-90.0..=90.0).contains(&dec) => (Some(ra), Some(dec)),
            _ => (None, None),
        });
        let (ra, dec): (Vec<_>, Vec<_>) = pairs.unzip();
        Ok((ra.into(), dec.into()))
    }

    fn time(&self) -> Result<TimestampMicrosecondArray, ArrowError> {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let mut columns: Vec<TimestampMicrosecondArray> = Vec::new();
        for column in self.columns(&self.survey.time)? {
            match column.data_type() {
                // A time that the schema itself declares needs no scale.
                DataType::Timestamp(..) | DataType::Date32 => {
                    columns.push(cast(&column, &utc)?.as_primitive::<TimestampMicrosecondType>().clone());
                }
                other if arrow_cast::can_cast_types(other, &DataType::Float64) => {
                    let days = cast(&column, &DataType::Float64)?;
                    columns.push(days.as_primitive::<Float64Type>().iter().map(|d| d.map(|d| self.instant(d))).collect());
                }
                _ => {}
            }
        }
        let columns: Vec<_> = columns.iter().collect();
        let times = (0..self.rows()).map(|row| first(&columns, row).filter(|time| TIMES.contains(time)));
        Ok(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    }

    /// Microseconds since 1970, UTC.
    fn instant(&self, days: f64) -> i64 {
        let microseconds = match self.survey.time_scale {
            TimeScale::Jd => (days - JD_OF_1970) * MICROSECONDS_PER_DAY,
            TimeScale::Mjd => (days - MJD_OF_1970) * MICROSECONDS_PER_DAY,
            TimeScale::MjdTai => (days - MJD_OF_1970) * MICROSECONDS_PER_DAY - TAI_MINUS_UTC * 1e6,
        };
        // What is not finite becomes 0 or the end of the range, which no alert was observed at.
        microseconds.round() as i64
    }

    fn magnitude(&self) -> Result<Float64Array, ArrowError> {
        let brightness = self.numbers(&self.survey.magnitude)?.into_iter();
        Ok(brightness
            .map(|value| {
                let value = value.filter(|v| !self.is_none_number(*v))?;
                let magnitude = match self.survey.magnitude_unit {
                    MagnitudeUnit::Mag => value,
                    MagnitudeUnit::NanoJansky => AB_OF_NANOJANSKY - 2.5 * value.log10(),
                };
                magnitude.is_finite().then_some(magnitude)
            })
            .collect())
    }
}

fn value<T: arrow_array::ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

fn first<T: arrow_array::ArrowPrimitiveType>(columns: &[&PrimitiveArray<T>], row: usize) -> Option<T::Native> {
    columns.iter().find_map(|column| value(column, row))
}
