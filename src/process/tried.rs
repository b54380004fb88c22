//! The alerts of a batch that a cross-match looks around: those that pass so far and have a position.

use std::ops::Range;
use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray};

use crate::alert::{AlertBatch, Verdict};
use crate::sky;

/// Epochs that catalogues are asked for in a Julian year: a time is taken to the nearest 1024th of a day (84 s), in which the fastest
/// star known (10.4 arcseconds a year) moves by 28 microarcseconds. They are fixed, so that what an alert matches does not depend on
/// the alerts that happen to be in its batch.
const EPOCHS: f64 = 1_024.0 * 365.25;

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
        let epoch = |year: &f64| (!year.is_nan()).then(|| (year * EPOCHS).round() / EPOCHS);
        let mut start = 0;
        std::iter::from_fn(move || {
            let first = epoch(self.years.get(start)?);
            let others = self.years[start..].iter().take_while(|year| epoch(year) == first).count();
            let stretch = (start..start + others, first);
            start += others;
            Some(stretch)
        })
    }

    /// HEALPix cells (nested, order 29) of the positions: made once for all catalogues.
    pub fn cells(&self) -> &[u64] {
        self.cells.get_or_init(|| self.positions.iter().map(|&(ra, dec)| crate::catalog::zones::cell(ra, dec)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_has_the_same_epoch_in_every_batch() {
        let second = 1.0 / 86_400.0 / 365.25;
        let night: Vec<f64> = (0..2_000).map(|i| 2026.3 + f64::from(i) * 30.0 * second).collect();
        let years = [vec![f64::NAN, f64::NAN], night, vec![2031.5, f64::NAN, 2019.0]].concat();
        let epochs = |years: &[f64]| -> Vec<Option<f64>> {
            let tried = Tried { years: years.to_vec(), ..Tried::default() };
            tried.epochs().flat_map(|(range, epoch)| range.map(move |_| epoch)).collect()
        };
        let whole = epochs(&years);
        assert_eq!(whole.len(), years.len());
        for size in [1, 2, 7, 256] {
            let parts: Vec<Option<f64>> = years.chunks(size).flat_map(epochs).collect();
            assert_eq!(parts, whole, "batches of {size}");
        }
        for (epoch, year) in whole.iter().zip(&years) {
            let near = |epoch: f64| (epoch - year).abs() < 43.0 * second;
            assert!(epoch.map_or(year.is_nan(), near), "{epoch:?} for {year}");
        }
        // Alerts of one exposure are searched together.
        let tried = Tried { years, ..Tried::default() };
        assert!(tried.epochs().count() < 2_000 * 30 / 84 + 10);
    }
}
