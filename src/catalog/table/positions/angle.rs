//! Angles as tables write them: decimal, or sexagesimal with blanks, colons or letters.

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angle {
    /// The number, in the unit of its first part.
    pub value: f64,
    /// Whether it has minutes or seconds.
    pub sexagesimal: bool,
    /// The unit of its first part, where a letter says it.
    pub letter: Option<Letter>,
}

/// The unit of a first part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// `h`
    Hours,
    /// `d` or a degree sign
    Degrees,
}

/// Reads `187.7059`, `12 30 49.4`, `+12:23:28`, `12h30m49.42s`, `-0d26m46s`, `12°23′28″`. The reason when it is none.
pub fn parse(text: &str) -> Result<Angle, &'static str> {
    let text = text.trim();
    if let Ok(value) = text.parse::<f64>() {
        return Ok(Angle { value, sexagesimal: false, letter: None });
    }
    let mut rest = text;
    let mut negative = false;
    for (sign, minus) in [("+", false), ("-", true), ("\u{2212}", true)] {
        if let Some(behind) = rest.strip_prefix(sign) {
            (rest, negative) = (behind.trim_start(), minus);
            break;
        }
    }
    let (mut parts, mut letter) = ([0.0; 3], None);
    let mut count = 0;
    while !rest.is_empty() {
        if count == 3 {
            return Err("it has more than three parts");
        }
        let length = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        // `parse` would take signs, exponents, `inf` and `nan` too; none of them is a part.
        let value: f64 = rest[..length].parse().map_err(|_| "it is no number and not sexagesimal")?;
        rest = rest[length..].trim_start();
        let mark = rest.chars().next();
        let expected: &[char] = match count {
            0 => &['h', 'H', 'd', 'D', '\u{b0}', ':'],
            1 => &['m', 'M', '\'', '\u{2032}', ':'],
            _ => &['s', 'S', '"', '\u{2033}'],
        };
        if let Some(mark) = mark.filter(|mark| expected.contains(mark)) {
            if count == 0 {
                letter = match mark {
                    'h' | 'H' => Some(Letter::Hours),
                    ':' => None,
                    _ => Some(Letter::Degrees),
                };
            }
            rest = rest[mark.len_utf8()..].trim_start();
            if mark == ':' && rest.is_empty() {
                return Err("it ends with a colon");
            }
        } else if mark.is_some_and(|mark| !mark.is_ascii_digit()) {
            return Err("it is no number and not sexagesimal");
        }
        parts[count] = value;
        count += 1;
        // Only the last part can have a fraction.
        if !rest.is_empty() && value.fract() != 0.0 {
            return Err("a part before the last has a fraction");
        }
    }
    if count == 0 {
        return Err("it is no number and not sexagesimal");
    }
    // 60.0 is how some tables write a rounded 59.999.
    if parts[1] >= 60.0 || parts[2] > 60.0 {
        return Err("its minutes or seconds are 60 or more");
    }
    let value = parts[0] + parts[1] / 60.0 + parts[2] / 3_600.0;
    Ok(Angle { value: if negative { -value } else { value }, sexagesimal: count > 1, letter })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn angles_are_read_in_every_dress() {
        let m87 = 12.0 + 30.0 / 60.0 + 49.42 / 3600.0;
        for text in ["12 30 49.42", "12:30:49.42", " 12h30m49.42s ", "12h 30m 49.42s", "+12 30 49.42", "12H30M49.42"] {
            let angle = parse(text).unwrap();
            assert!((angle.value - m87).abs() < 1e-12 && angle.sexagesimal, "{text}: {angle:?}");
        }
        assert_eq!(parse("12h30m49.42s").unwrap().letter, Some(Letter::Hours));
        assert_eq!(parse("12d23m28s").unwrap().letter, Some(Letter::Degrees));
        // The sign belongs to the whole angle, also where its degrees are zero.
        let expected = -(26.0 / 60.0 + 46.0 / 3600.0);
        for text in ["-00 26 46", "-0:26:46", "\u{2212}00d26m46s", "- 00 26 46", "-0°26′46″"] {
            assert!((parse(text).unwrap().value - expected).abs() < 1e-12, "{text}");
        }
        assert!((parse("12 30.5").unwrap().value - 12.508_333_333_333_333).abs() < 1e-12);
        assert_eq!(parse("187.25").unwrap(), Angle { value: 187.25, sexagesimal: false, letter: None });
        assert_eq!(parse("12h").unwrap(), Angle { value: 12.0, sexagesimal: false, letter: Some(Letter::Hours) });
        for wrong in
            ["", "x", "12:", "12 60 00", "12 30 61", "1 2 3 4", "12.5 30 10", "12 -30 10", "12h30h", "12,5", "--1", "1e 2 3"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
