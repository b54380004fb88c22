//! From a folder back to the hour that it is for, and hours as text.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::hour::Hour;

/// Text of the quarantine.
const QUARANTINE: &str = "quarantine";

impl Hour {
    /// The hour of a folder, whatever is above it: `year=2026/month=11/day=9/hour=3`, `2026/11/09/03`. `None` where it is none.
    #[must_use]
    pub fn of_folder(folder: &Path) -> Option<Hour> {
        let names: Vec<&str> = folder.components().rev().take(4).map(|c| c.as_os_str().to_str()).collect::<Option<_>>()?;
        if names.first() == Some(&QUARANTINE) {
            return Some(Hour::QUARANTINE);
        }
        let [hour, day, month, year] = names[..] else { return None };
        let number = |(name, key, length): (&str, &str, usize)| {
            let digits = match name.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')) {
                Some(digits) => digits,
                None => Some(name).filter(|name| name.len() == length)?,
            };
            (digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse::<i64>().ok()).flatten()
        };
        let parts = [(year, "year", 4), (month, "month", 2), (day, "day", 2), (hour, "hour", 2)].map(number);
        let [Some(year), Some(month), Some(day), Some(hour)] = parts else { return None };
        if [year, month, day, hour] == [0; 4] {
            return Some(Hour::QUARANTINE);
        }
        // A day that the calendar has not would come back as another.
        let found = Hour::of_millis(Some((days(year, month, day) * 24 + hour) * 3_600_000));
        (found.parts() == Some([year, month, day, hour])).then_some(found)
    }
}

/// The number of a day since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    y.div_euclid(400) * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// `2026-11-09T03`, or `quarantine`.
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some([year, month, day, hour]) => f.pad(&format!("{year:04}-{month:02}-{day:02}T{hour:02}")),
            None => f.pad(QUARANTINE),
        }
    }
}

/// Hours that are asked for: one (`2026-11-09T03`), those of a day, a month or a year (`2026-11-09`, `2026-11`, `2026`), or the
/// quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedHours(String);

impl WantedHours {
    /// Whether the hour is one of them.
    #[must_use]
    pub fn has(&self, hour: Hour) -> bool {
        let text = hour.to_string();
        let rest = text.strip_prefix(&self.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', 'T']))
    }
}

impl FromStr for WantedHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        match shape.replace(' ', "T").as_str() {
            "0000" | "0000-00" | "0000-00-00" | "0000-00-00T00" | QUARANTINE => Ok(WantedHours(text.replace(' ', "T"))),
            _ => Err(format!("`{text}` is no hour: write 2026-11-09T03, 2026-11-09, 2026-11, 2026 or {QUARANTINE} (UTC)")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::config::Layout;

    fn of(folder: &str) -> Option<String> {
        Hour::of_folder(Path::new(folder)).map(|hour| hour.to_string())
    }

    #[test]
    fn folders_of_both_layouts_are_known_again() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("/a/year=2026/month=11/day=9/hour=3"), some("2026-11-09T03"));
        assert_eq!(of("2026/11/09/03"), some("2026-11-09T03"));
        assert_eq!(of("a/2024/02/29/23"), some("2024-02-29T23"));
        assert_eq!(of("a/year=0/month=0/day=0/hour=0"), some("quarantine"));
        assert_eq!(of("0000/00/00/00"), some("quarantine"));
        assert_eq!(of("a/quarantine"), some("quarantine"));
        for none in ["", "a", "2026/11/9/3", "2023/02/29/00", "2026/13/01/00", "2026/11/09/24", "year=x/month=1/day=1/hour=1"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn hours_are_asked_for_one_by_one_or_by_the_day() {
        let hour = Hour::of_folder(Path::new("2026/11/09/03")).unwrap();
        let asked = |text: &str| text.parse::<WantedHours>().unwrap();
        for text in ["2026-11-09T03", "2026-11-09 03", "2026-11-09", "2026-11", "2026"] {
            assert!(asked(text).has(hour) && !asked(text).has(Hour::QUARANTINE), "{text}");
        }
        assert!(!asked("2026-11-09T04").has(hour) && !asked("quarantine").has(hour) && asked("quarantine").has(Hour::QUARANTINE));
        for wrong in ["", "today", "2026-11-9", "2026-11-09T3"] {
            assert!(wrong.parse::<WantedHours>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_folder_of_any_hour_leads_back_to_it(millis in 631_152_000_000_i64..4_102_444_800_000) {
            let hour = Hour::of_millis(Some(millis));
            prop_assert_eq!(Hour::of_folder(&Path::new("root").join(hour.folder(Layout::Hive))), Some(hour));
        }
    }
}
