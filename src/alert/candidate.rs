//! The candidate view: id, position, time and magnitude of every row, the same for every survey.

use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;

/// One entry per row in each array.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The survey's id of the alert (ZTF `candid`, LSST `diaSourceId`): Int64 or Utf8View, as the survey has it; nullable.
    pub alert_id: ArrayRef,
    /// The survey's id of the object, as text (Utf8); null where there is none.
    pub object_id: ArrayRef,
    /// Right ascension, ICRS, degrees in [0, 360) (Float64); null where missing, not finite or out of range.
    pub ra: ArrayRef,
    /// Declination, ICRS, degrees in [-90, 90] (Float64); null where missing, not finite or out of range.
    pub dec: ArrayRef,
    /// Time of observation, UTC (Timestamp, microseconds); null where missing or absurd.
    pub time: ArrayRef,
    /// Magnitude (Float64), as the survey's profile says; null where there is none.
    pub magnitude: ArrayRef,
}

impl Candidate {
    /// The same view with `f` applied to each column.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn map(&self, f: impl Fn(&ArrayRef) -> Result<ArrayRef, ArrowError>) -> Result<Candidate, ArrowError> {
        Ok(Candidate {
            alert_id: f(&self.alert_id)?,
            object_id: f(&self.object_id)?,
            ra: f(&self.ra)?,
            dec: f(&self.dec)?,
            time: f(&self.time)?,
            magnitude: f(&self.magnitude)?,
        })
    }

    /// Rows `start..start + length`, without copying.
    #[must_use]
    pub fn slice(&self, start: usize, length: usize) -> Candidate {
        let cut = |a: &ArrayRef| a.slice(start, length);
        Candidate {
            alert_id: cut(&self.alert_id),
            object_id: cut(&self.object_id),
            ra: cut(&self.ra),
            dec: cut(&self.dec),
            time: cut(&self.time),
            magnitude: cut(&self.magnitude),
        }
    }
}
