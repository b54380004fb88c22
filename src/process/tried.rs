//! The alerts of a batch that a cross-match looks around: those that pass so far and have a position.

use std::ops::Range;
use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray};

use crate::alert::{AlertBatch, Verdict};
use crate::sky;

/// Alerts that are so near in time that catalogues are asked for one epoch, Julian years: half a day off, the fastest star known
/// (10.4 arcseconds a year) is 14 mas off.
const TOGETHER: f64 = 1.0 / 365.25;

/// Rows with a position.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Rows of the batch, ascending.
    pub rows: Vec<u32>,
    /// Right ascensions and declinations, ICRS, degrees.
    pub positions: Vec<(f64, f64)>,
    /// Times of observation, Julian years; NaN where there is none.
    years: Vec<f64>,
    cells: OnceLock<Vec<u64>>,
}

impl Tried {
    /// Those of a batch, and how many of the passing ones have no position.
    pub fn of(batch: &AlertBatch) -> Result<(Tried, u64), String> {
        let floats = |array: &ArrayRef, name: &str| {
            let typed: Option<PrimitiveArray<Float64Type>> = array.as_primitive_opt().cloned();
            typed.ok_or_else(|| format!("{name} is {}, not Float64", array.data_type()))
        };
        let (ra, dec) = (floats(&batch.candidate.ra, "right ascension")?, floats(&batch.candidate.dec, "declination")?);
        let time = batch.candidate.time.as_primitive_opt::<TimestampMicrosecondType>();
        let (mut tried, mut without) = (Tried::default(), 0);
        for (row, _) in (0u32..).zip(&batch.verdicts).filter(|(_, v)| **v == Verdict::Passed) {
            let i = row as usize;
            if ra.is_valid(i) && dec.is_valid(i) && sky::is_position(ra.value(i), dec.value(i)) {
                tried.rows.push(row);
                tried.positions.push((ra.value(i), dec.value(i)));
                let time = time.filter(|time| time.is_valid(i));
                tried.years.push(time.map_or(f64::NAN, |time| sky::julian_year(time.value(i))));
            } else {
                without += 1;
            }
        }
        Ok((tried, without))
    }

    /// Stretches of alerts that are searched at one epoch; none where the time is not known: sources stay where they are
    /// catalogued.
    pub fn epochs(&self) -> impl Iterator<Item = (Range<usize>, Option<f64>)> + '_ {
        let mut start = 0;
        std::iter::from_fn(move || {
            let first = *self.years.get(start)?;
            let (mut low, mut high, mut end) = (first, first, start + 1);
            while let Some(year) = self.years.get(end) {
                let (below, above) = (low.min(*year), high.max(*year));
                // `min` and `max` pass over NaN, which belongs to no stretch but its own.
                if year.is_nan() != first.is_nan() || above - below > TOGETHER {
                    break;
                }
                (low, high, end) = (below, above, end + 1);
            }
            let epoch = f64::midpoint(low, high);
            let stretch = (start..end, (!epoch.is_nan()).then_some(epoch));
            start = end;
            Some(stretch)
        })
    }

    /// HEALPix cells (nested, order 29) of the positions: made once for all catalogues.
    pub fn cells(&self) -> &[u64] {
        self.cells.get_or_init(|| self.positions.iter().map(|&(ra, dec)| crate::catalog::zones::cell(ra, dec)).collect())
    }
}
