//! MOCs as text (MOC 2.0, section 4.2.3): `3/1-5 7 4/80`, an order before its cells and ranges, the ends of which are included.

use super::{Ranges, SPACE_ONLY};
use crate::sky::region::RegionError;

pub(super) fn read(text: &str, ranges: &mut Ranges) -> Result<(), RegionError> {
    let mut order = None;
    for (number, line) in text.lines().enumerate() {
        // Some programs write a heading.
        if line.trim_start().starts_with('#') {
            continue;
        }
        let mut rest = line;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if rest.is_empty() {
                break;
            }
            rest = token(rest, &mut order, ranges).map_err(|what| {
                let column = line[..line.len() - rest.len()].chars().count() + 1;
                RegionError::moc(format!("line {}, column {column}", number + 1), what)
            })?;
        }
    }
    Ok(())
}

/// Reads `order/`, `cell` or `cell-cell`, and gives what is behind it.
fn token<'a>(text: &'a str, order: &mut Option<u8>, ranges: &mut Ranges) -> Result<&'a str, String> {
    if text.starts_with(['t', 'f']) {
        return Err(format!("it is of time or frequency: {SPACE_ONLY}"));
    }
    let space = text.strip_prefix('s');
    let (first, rest) = digits(space.unwrap_or(text))?;
    if let Some(rest) = rest.strip_prefix('/') {
        *order = Some(ranges.order(first)?);
        return Ok(rest);
    }
    let Some(order) = order.filter(|_| space.is_none()) else {
        return Err("cells without an order: a MOC reads like 3/1-5 7 4/80".to_owned());
    };
    let (last, rest) = match rest.strip_prefix('-') {
        Some(rest) => digits(rest)?,
        None => (first, rest),
    };
    ranges.cells(order, first, last)?;
    if rest.starts_with(|c: char| !(c.is_whitespace() || c == ',')) {
        return Err(unexpected(rest));
    }
    Ok(rest)
}

fn digits(text: &str) -> Result<(u64, &str), String> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    if digits.is_empty() {
        return Err(unexpected(rest));
    }
    let number = digits.parse().map_err(|_| format!("{digits:.20}... is larger than any cell"))?;
    Ok((number, rest))
}

fn unexpected(rest: &str) -> String {
    match rest.chars().next() {
        Some(c) => format!("{c:?} where a number should be: a MOC reads like 3/1-5 7 4/80"),
        None => "it ends where a number should be: it is cut off".to_owned(),
    }
}
