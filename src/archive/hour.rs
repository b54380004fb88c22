//! Which folder an alert belongs to.

use std::collections::BTreeSet;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, BooleanArray};

use crate::alert::{AlertBatch, Fault, RowOrigin};
use crate::config::{HourBy, Layout};

const HOUR_MS: i64 = 3_600_000;
/// 1990-01-01 00:00 UTC; no alert stream is older.
const FIRST_MS: i64 = 631_152_000_000;
/// 2100-01-01 00:00 UTC.
const END_MS: i64 = 4_102_444_800_000;

/// An hour, UTC, or the quarantine for alerts without a usable time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(Option<i64>);

impl Hour {
    /// Where alerts go whose time is null or outside 1990 to 2100.
    pub const QUARANTINE: Hour = Hour(None);

    /// The hour of a time in milliseconds since 1970, UTC.
    #[must_use]
    pub fn of_millis(time: Option<i64>) -> Hour {
        Hour(time.filter(|t| (FIRST_MS..END_MS).contains(t)).map(|t| t.div_euclid(HOUR_MS)))
    }

    /// Folder of the hour, relative to the root of the archive.
    #[must_use]
    pub fn folder(self, layout: Layout) -> PathBuf {
        let (year, month, day, hour) = match self.0 {
            Some(hours) => {
                let (year, month, day) = civil(hours.div_euclid(24));
                (year, month, day, hours.rem_euclid(24))
            }
            None => (0, 0, 0, 0),
        };
        match layout {
            // Without zero padding: padded values become text in some readers.
            Layout::Hive => PathBuf::from(format!("year={year}/month={month}/day={day}/hour={hour}")),
            // With it, so that the order of the names is that of time.
            Layout::Plain => PathBuf::from(format!("{year:04}/{month:02}/{day:02}/{hour:02}")),
        }
    }
}

impl Hour {
    /// Year, month, day and hour of the day; `None` for the quarantine.
    pub(super) fn parts(self) -> Option<[i64; 4]> {
        let hours = self.0?;
        let (year, month, day) = civil(hours.div_euclid(24));
        Some([year, month, day, hours.rem_euclid(24)])
    }
}

/// Year, month and day of a day number since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// The hour of each row of a part.
pub(super) enum Hours {
    /// All have the same: the usual case.
    Same(Hour),
    /// One per row.
    Each(Vec<Hour>),
}

impl Hours {
    /// Hours of the rows, by the time that the configuration chose.
    ///
    /// # Errors
    /// When the times of observation are not what a candidate view promises.
    pub fn of(part: &AlertBatch, by: HourBy) -> Result<Hours, Fault> {
        let fault = || Fault::defect("the time of observation is not a timestamp in microseconds per row");
        let observed = match by {
            HourBy::Ingest => None,
            HourBy::Observation => {
                let time = part.candidate.time.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(fault)?;
                (time.len() == part.len()).then_some(()).ok_or_else(fault)?;
                Some(time)
            }
        };
        let at = |(i, row): (usize, &RowOrigin)| match observed {
            None => Hour::of_millis(row.timestamp),
            Some(time) => Hour::of_millis(time.is_valid(i).then(|| time.value(i).div_euclid(1000))),
        };
        let mut hours = part.rows.iter().enumerate().map(at);
        let first = hours.next().unwrap_or(Hour::QUARANTINE);
        Ok(if hours.all(|hour| hour == first) {
            Hours::Same(first)
        } else {
            Hours::Each(part.rows.iter().enumerate().map(at).collect())
        })
    }

    /// Hour of a row.
    pub fn at(&self, row: usize) -> Hour {
        match self {
            Hours::Same(hour) => *hour,
            Hours::Each(hours) => hours[row],
        }
    }

    /// Every hour that occurs.
    pub fn distinct(&self) -> BTreeSet<Hour> {
        match self {
            Hours::Same(hour) => BTreeSet::from([*hour]),
            Hours::Each(hours) => hours.iter().copied().collect(),
        }
    }

    /// The rows of an hour, `None` for all.
    pub fn mask(&self, hour: Hour) -> Option<BooleanArray> {
        match self {
            Hours::Same(_) => None,
            Hours::Each(hours) => Some(hours.iter().map(|h| Some(*h == hour)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(time: Option<i64>) -> String {
        Hour::of_millis(time).folder(Layout::Hive).display().to_string()
    }

    #[test]
    fn an_hour_has_one_folder() {
        for (seconds, expected) in [
            (1_794_193_200, "year=2026/month=11/day=9/hour=3"),
            (1_709_164_800, "year=2024/month=2/day=29/hour=0"),
            (1_709_251_199, "year=2024/month=2/day=29/hour=23"),
            (1_709_251_200, "year=2024/month=3/day=1/hour=0"),
            (631_152_000, "year=1990/month=1/day=1/hour=0"),
            (4_102_444_799, "year=2099/month=12/day=31/hour=23"),
        ] {
            assert_eq!(folder(Some(seconds * 1000)), expected);
            assert_eq!(folder(Some(seconds * 1000 + 999)), expected);
        }
    }

    #[test]
    fn plain_folders_are_padded_and_have_a_quarantine_too() {
        let folder = |time| Hour::of_millis(time).folder(Layout::Plain).display().to_string();
        assert_eq!(folder(Some(1_794_193_200_000)), "2026/11/09/03");
        assert_eq!(folder(None), "0000/00/00/00");
    }

    #[test]
    fn a_missing_or_absurd_time_is_quarantined() {
        let quarantine = "year=0/month=0/day=0/hour=0";
        for time in [None, Some(0), Some(-1), Some(631_151_999_999), Some(4_102_444_800_000), Some(i64::MAX), Some(i64::MIN)] {
            assert_eq!(folder(time), quarantine, "{time:?}");
        }
    }

    #[test]
    fn days_follow_each_other_through_four_centuries() {
        let mut last = civil(-1);
        for days in 0..146_097 {
            let (y, m, d) = civil(days);
            let next = match last {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) => {
                    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
                    let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][m as usize - 1];
                    if d == length { (y, m + 1, 1) } else { (y, m, d + 1) }
                }
            };
            assert_eq!((y, m, d), next);
            last = next;
        }
        assert_eq!(last, (2369, 12, 31));
    }
}
