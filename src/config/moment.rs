//! Moments as written: ISO 8601 with a zone, or a date alone. A time of day without a zone is refused: its reader would have to
//! guess.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

use super::units::UnitError;

/// A moment in milliseconds since 1970, UTC: `2026-11-20T03:00:00Z`, with an offset (`+01:00`) in place of `Z` or with a fraction of a
/// second; a date alone is its midnight, UTC.
///
/// # Errors
/// What is wrong, and what to write. Moments before 1970 are refused: Kafka has no messages of that time.
pub fn moment(text: &str) -> Result<i64, UnitError> {
    let text = text.trim();
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).map(|time| time.and_utc().timestamp_millis());
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10).and_then(midnight);
    let parsed = date.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis()));
    match parsed {
        Some(millis) if millis < 0 => Err(UnitError {
            message: format!("`{text}` is before 1970, when there was no message"),
            help: "write a later time".to_owned(),
        }),
        Some(millis) => Ok(millis),
        None if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok() => Err(UnitError {
            message: format!("`{text}` is a time without a zone"),
            help: format!("write `{text}Z` for UTC, or the offset from it, such as `{text}+01:00`"),
        }),
        None => Err(UnitError {
            message: format!("`{text}` is not a time"),
            help: "write a time such as `2026-11-20T03:00:00Z`, or a date alone for its midnight, UTC".to_owned(),
        }),
    }
}

/// A moment as [`moment`] reads it, in UTC; the bare number where it is beyond the calendar.
#[must_use]
pub fn show_moment(millis: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(millis);
    time.map_or_else(|| format!("{millis} ms"), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn moments_are_utc_milliseconds_since_1970() {
        // By `date --date=TEXT +%s` of GNU coreutils.
        for (text, millis) in [
            ("2026-11-20T03:00:00Z", 1_795_143_600_000),
            ("2026-11-20", 1_795_132_800_000),
            ("2026-11-20T04:00:00+01:00", 1_795_143_600_000),
            ("2026-11-20T03:00:00.25Z", 1_795_143_600_250),
            ("2024-02-29", 1_709_164_800_000),
            ("1970-01-01", 0),
        ] {
            assert_eq!(moment(text), Ok(millis), "{text}");
            assert_eq!(moment(&show_moment(millis)), Ok(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_answered_with_one() {
        for (text, said) in [
            ("yesterday", "write a time such as"),
            ("2026-02-30", "write a time such as"),
            ("2026-11-20T25:00:00Z", "write a time such as"),
            ("20261120", "write a time such as"),
            ("", "write a time such as"),
            ("2026-11-20T03:00:00", "write `2026-11-20T03:00:00Z` for UTC"),
            ("1969-12-31", "write a later time"),
        ] {
            let help = moment(text).unwrap_err().help;
            assert!(help.starts_with(said), "{text}: {help}");
        }
    }
}
