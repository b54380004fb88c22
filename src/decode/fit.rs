//! Whether a schema fits, beyond what decoding itself can tell: a datum without a schema of its own that was written with
//! another one may decode to its last byte, but not to a place on the sky and a time of a night.
//!
//! Both have to be there and absurd. A place or time that is missing, NaN, or what the survey writes for "none" says nothing,
//! and one of the two alone may be the producer's own mistake: such rows are flagged and stay.

use arrow_array::BooleanArray;
use arrow_schema::ArrowError;
use arrow_select::filter::{filter, filter_record_batch};

use super::candidate::View;
use super::message::Reason;
use crate::alert::{AlertBatch, Candidate, Flags};
use crate::config::Survey;

/// The rows that cannot be what was written, with the reason.
pub(super) fn misfits(survey: &Survey, part: &AlertBatch) -> Result<Vec<(usize, Reason)>, ArrowError> {
    let suspect = |flags: &Flags| flags.contains(Flags::BAD_POSITION) && flags.contains(Flags::BAD_TIME);
    if !part.flags.iter().any(suspect) {
        return Ok(Vec::new());
    }
    let view = View { survey, records: &part.records };
    let said = |value: &Option<f64>| value.filter(|value| !value.is_nan() && !survey.none_numbers.contains(value));
    let (ra, dec, time) = (view.numbers(&survey.ra)?, view.numbers(&survey.dec)?, view.numbers(&survey.time)?);
    let rows = part.flags.iter().enumerate().filter(|(_, flags)| suspect(flags));
    Ok(rows
        .filter_map(|(row, _)| {
            let (ra, dec, time) = (said(&ra[row])?, said(&dec[row])?, said(&time[row])?);
            Some((row, Reason::Absurd { ra, dec, time }))
        })
        .collect())
}

/// Takes rows out of a part.
pub(super) fn without(part: AlertBatch, rows: &[(usize, Reason)]) -> Result<AlertBatch, ArrowError> {
    let mut stays = vec![true; part.rows.len()];
    for (row, _) in rows {
        stays[*row] = false;
    }
    let mask = BooleanArray::from(stays.clone());
    let view = &part.candidate;
    let candidate = Candidate {
        alert_id: filter(&view.alert_id, &mask)?,
        object_id: filter(&view.object_id, &mask)?,
        ra: filter(&view.ra, &mask)?,
        dec: filter(&view.dec, &mask)?,
        time: filter(&view.time, &mask)?,
        magnitude: filter(&view.magnitude, &mask)?,
    };
    fn keep<T>(values: Vec<T>, stays: &[bool]) -> Vec<T> {
        values.into_iter().zip(stays).filter_map(|(value, stays)| stays.then_some(value)).collect()
    }
    Ok(AlertBatch {
        records: filter_record_batch(&part.records, &mask)?,
        candidate,
        rows: keep(part.rows, &stays),
        flags: keep(part.flags, &stays),
        verdicts: keep(part.verdicts, &stays),
        ..part
    })
}
