//! Sizes, times and angles with their units. A number without one is refused: its reader would have to guess.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Why a text is not a quantity, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// A kind of quantity: its name and its units with their size in the base unit.
struct Kind {
    name: &'static str,
    a: &'static str,
    units: &'static [(&'static str, f64)],
    usual: &'static str,
}

const KIB: f64 = 1024.0;

const SIZE: Kind = Kind {
    name: "size",
    a: "a size",
    units: &[
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KiB", KIB),
        ("MiB", KIB * KIB),
        ("GiB", KIB * KIB * KIB),
        ("TiB", KIB * KIB * KIB * KIB),
    ],
    usual: "MiB",
};

const TIME: Kind = Kind {
    name: "time",
    a: "a time",
    units: &[("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)],
    usual: "s",
};

const ANGLE: Kind = Kind {
    name: "angle",
    a: "an angle",
    units: &[("mas", 1e-3), ("arcsec", 1.0), ("arcmin", 60.0), ("deg", 3600.0)],
    usual: "arcsec",
};

impl Kind {
    /// The quantity in the base unit: finite and not negative.
    fn parse(&self, text: &str) -> Result<f64, UnitError> {
        let text = text.trim();
        // An exponent is not a unit: `1e3` has none.
        let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim());
        let Ok(number) = number.parse::<f64>() else {
            return Err(UnitError {
                message: format!("`{text}` is not {}", self.a),
                help: format!("write a number and a unit ({}), such as `10 {}`", self.names(), self.usual),
            });
        };
        if unit.is_empty() {
            return Err(UnitError {
                message: format!("`{text}` is {} without a unit", self.a),
                help: format!("write the unit, such as `{text} {}`; there are {}", self.usual, self.names()),
            });
        }
        let Some(&(_, scale)) = self.units.iter().find(|(name, _)| *name == unit) else {
            let near = self.nearest(unit);
            return Err(UnitError {
                message: format!("`{unit}` is not a unit of {}", self.a),
                help: format!("did you mean `{} {near}`? There are {}", text[..end].trim(), self.names()),
            });
        };
        if number < 0.0 {
            return Err(UnitError {
                message: format!("{} cannot be negative", self.a),
                help: format!("write a positive number, such as `10 {}`", self.usual),
            });
        }
        Ok(number * scale)
    }

    fn nearest(&self, unit: &str) -> &'static str {
        let long = [
            ("sec", "s"),
            ("second", "s"),
            ("seconds", "s"),
            ("minute", "min"),
            ("minutes", "min"),
            ("m", "min"),
            ("hour", "h"),
            ("hours", "h"),
            ("day", "d"),
            ("days", "d"),
            ("\"", "arcsec"),
            ("'", "arcmin"),
            ("k", "KiB"),
            ("M", "MiB"),
            ("G", "GiB"),
        ];
        let known = |name: &str| self.units.iter().map(|(known, _)| *known).find(|known| *known == name);
        long.iter()
            .filter(|(name, _)| *name == unit)
            .find_map(|(_, short)| known(short))
            .or_else(|| self.units.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(unit)))
            .or_else(|| self.units.iter().map(|(known, _)| *known).min_by_key(|known| strsim::osa_distance(known, unit)))
            .unwrap_or(self.usual)
    }

    fn names(&self) -> String {
        self.units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn show(&self, value: f64) -> String {
        let (unit, scale) = self
            .units
            .iter()
            .copied()
            .filter(|(_, scale)| value >= *scale && (value / scale).fract() == 0.0)
            .max_by(|left, right| left.1.total_cmp(&right.1))
            .unwrap_or(self.units[0]);
        format!("{} {unit}", value / scale)
    }
}

/// Bytes of a size such as `512 MiB`.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let bytes = SIZE.parse(text)?;
    if bytes > 2f64.powi(53) {
        return Err(UnitError { message: format!("`{text}` is beyond any memory or disk"), help: "write less".to_owned() });
    }
    // Exact: whole numbers below 2^53, and a part of a byte means nothing.
    Ok(bytes.round() as u64)
}

/// A time such as `30 s`.
pub fn time(text: &str) -> Result<Duration, UnitError> {
    let seconds = TIME.parse(text)?;
    // A century: longer ones are slips, and would overflow where times are added.
    if seconds > 100.0 * 366.0 * 86400.0 {
        return Err(UnitError { message: format!("`{text}` is longer than a century"), help: "write less".to_owned() });
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Arcseconds of an angle such as `1.5 arcsec`.
pub fn angle(text: &str) -> Result<f64, UnitError> {
    ANGLE.parse(text)
}

/// A size as a configuration writes it.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    SIZE.show(bytes as f64)
}

/// A time as a configuration writes it.
#[must_use]
pub fn show_time(time: Duration) -> String {
    // Whole microseconds, so that a sum of parts of a second has no tail of digits.
    let micros = time.as_micros() as f64;
    let (unit, per) = [("d", 8.64e10), ("h", 3.6e9), ("min", 6e7), ("s", 1e6), ("ms", 1e3)]
        .into_iter()
        .find(|(_, per)| micros >= *per && micros % per == 0.0)
        .unwrap_or(("us", 1.0));
    format!("{} {unit}", micros / per)
}

/// A size as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Size(pub String);

/// A time as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Time(pub String);

/// An angle as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Angle(pub String);

/// The schema of a quantity: a text of a number and one of the units; `quantity`, which validators pass over, names the kind
/// in the reference.
fn schema_of(kind: &Kind) -> Schema {
    let units = kind.units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("|");
    json_schema!({ "type": "string", "quantity": kind.name, "pattern": format!(r"^[0-9]+(\.[0-9]+)? ?({units})$") })
}

macro_rules! quantity_schema {
    ($type:ident, $kind:ident) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema_of(&$kind)
            }
        }
    };
}

quantity_schema!(Size, SIZE);
quantity_schema!(Time, TIME);
quantity_schema!(Angle, ANGLE);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn quantities_are_read_in_their_unit() {
        for (text, bytes) in [("512 MiB", 512 << 20), ("64 kB", 64_000), ("64KiB", 65_536), ("1.5 GiB", 3 << 29), ("0 B", 0)] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for (text, millis) in [("60 s", 60_000), ("10 ms", 10), ("5 min", 300_000), ("1 h", 3_600_000), ("2 d", 172_800_000)] {
            assert_eq!(time(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for (text, arcsec) in [("1.5 arcsec", 1.5), ("30 mas", 0.03), ("1 deg", 3600.0), ("2 arcmin", 120.0)] {
            assert!((angle(text).unwrap() - arcsec).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_answered_with_one() {
        for (text, help) in [
            ("512", "write the unit, such as `512 MiB`; there are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("512 mb", "did you mean `512 MB`? There are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("512 M", "did you mean `512 MiB`? There are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("-1 MiB", "write a positive number, such as `10 MiB`"),
            ("much", "write a number and a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as `10 MiB`"),
            ("1e3 B", "did you mean `1 B`? There are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("9999999999 TiB", "write less"),
        ] {
            assert_eq!(size(text).unwrap_err().help, help, "{text}");
        }
        assert_eq!(time("10 seconds").unwrap_err().help, "did you mean `10 s`? There are us, ms, s, min, h, d");
        assert_eq!(time("1e400 s").unwrap_err().message, "`e400 s` is not a unit of a time");
        assert_eq!(time("40000 d").unwrap_err().message, "`40000 d` is longer than a century");
        assert_eq!(angle("1.5 arcseconds").unwrap_err().help, "did you mean `1.5 arcsec`? There are mas, arcsec, arcmin, deg");
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [1, 1000, 1024, 4 << 20, 512 << 20, 3 << 29, 64_000_001] {
            assert_eq!(size(&show_size(bytes)).unwrap(), bytes, "{}", show_size(bytes));
        }
        for millis in [1, 10, 30_000, 90_000, 120_000, 3_600_000, 1_500] {
            let wanted = Duration::from_millis(millis);
            assert_eq!(time(&show_time(wanted)).unwrap(), wanted, "{}", show_time(wanted));
        }
        assert_eq!(show_size(512 << 20), "512 MiB");
        assert_eq!(show_time(Duration::from_secs(120)), "2 min");
    }
}
