//! What the first lines of a text tell: its delimiter and the types of its columns.

use std::io;

use arrow_schema::DataType;

use super::split::{Next, Rules, Splitter};
use crate::catalog::table::cells::truth;
use crate::catalog::table::dialect::Delimiter;

/// Lines from which the delimiter is found.
const LINES: usize = 50;

/// The delimiter that cuts the first lines into the same number of cells, the larger the better; a comma where none does.
pub fn delimiter(ahead: &[u8], rules: &Rules) -> Delimiter {
    let lines: Vec<&[u8]> = ahead
        .split(|&byte| byte == b'\n' || byte == b'\r')
        .filter(|line| !line.trim_ascii().is_empty() && (rules.comment.is_empty() || !line.starts_with(&rules.comment)))
        .take(LINES)
        .collect();
    // The last line may be cut off where the look ahead ends.
    let lines = if lines.len() > 1 { &lines[..lines.len() - 1] } else { &lines[..] };
    let mut best = (0.0, b',');
    for candidate in [b',', b'\t', b';', b'|'] {
        let counts: Vec<usize> = lines.iter().map(|line| count(line, candidate, rules.quote)).collect();
        let Some(&most) = counts.iter().max_by_key(|&&n| (counts.iter().filter(|&&c| c == n).count(), n)) else { continue };
        if most == 0 {
            continue;
        }
        let agreeing = counts.iter().filter(|&&n| n == most).count() as f64 / counts.len() as f64;
        // Lines that agree say more than many cells do: texts hold commas.
        let score = agreeing * agreeing * (1.0 + (most as f64).ln_1p());
        if score > best.0 {
            best = (score, candidate);
        }
    }
    Delimiter::Byte(best.1)
}

fn count(line: &[u8], delimiter: u8, quote: Option<u8>) -> usize {
    let mut quoted = false;
    line.iter()
        .filter(|&&byte| {
            quoted ^= Some(byte) == quote;
            byte == delimiter && !quoted
        })
        .count()
}

/// Cuts a single line that is no record of the file.
pub fn cut(line: &str, rules: &Rules) -> Vec<String> {
    let clean = |cell: &str| cell.trim().trim_matches('"').to_owned();
    match rules.delimiter {
        Delimiter::Blanks => line.split_whitespace().map(clean).collect(),
        Delimiter::Byte(byte) => line.split(char::from(byte)).map(clean).collect(),
    }
}

/// What a column can still be.
#[derive(Clone, Copy, Default)]
struct Can {
    any: bool,
    bool_: bool,
    int: bool,
    float: bool,
}

/// What the first rows tell.
pub struct Sample {
    /// Rows that were looked at.
    pub rows: usize,
    /// Cells that most rows have.
    pub width: usize,
    columns: Vec<Can>,
}

impl Sample {
    /// The type of a column. Without any value it is a text.
    pub fn kind(&self, place: usize) -> DataType {
        match self.columns.get(place) {
            Some(can) if !can.any => DataType::Utf8,
            Some(can) if can.int => DataType::Int64,
            Some(can) if can.float => DataType::Float64,
            Some(can) if can.bool_ => DataType::Boolean,
            _ => DataType::Utf8,
        }
    }
}

/// Looks at the first rows.
pub fn sample(text: &mut Splitter, rows: usize, null: impl Fn(&[u8]) -> bool) -> io::Result<Sample> {
    let mut sample = Sample { rows: 0, width: 0, columns: Vec::new() };
    let mut widths: Vec<(usize, usize)> = Vec::new();
    let mut scratch = Vec::new();
    while sample.rows < rows {
        // What does not end is told when it is read.
        let Next::Record { .. } = text.next()? else { break };
        sample.rows += 1;
        let room = widths.len() < 100;
        match widths.iter_mut().find(|(width, _)| *width == text.len()) {
            Some((_, times)) => *times += 1,
            None if room => widths.push((text.len(), 1)),
            None => {}
        }
        if text.len() > sample.columns.len() {
            sample.columns.resize(text.len(), Can { any: false, bool_: true, int: true, float: true });
        }
        for (place, can) in sample.columns.iter_mut().enumerate().take(text.len()) {
            // Most columns are settled after a few rows.
            if can.any && !can.bool_ && !can.int && !can.float {
                continue;
            }
            let cell = text.cell(place, &mut scratch);
            if !null(cell) {
                can.take(cell);
            }
        }
    }
    sample.width = widths.iter().max_by_key(|(_, times)| *times).map_or(0, |(width, _)| *width);
    Ok(sample)
}

impl Can {
    fn take(&mut self, cell: &[u8]) {
        self.any = true;
        let Ok(text) = std::str::from_utf8(cell) else {
            (self.bool_, self.int, self.float) = (false, false, false);
            return;
        };
        // A letter or a digit may be a name as well.
        self.bool_ &= text.len() > 1 && truth(text).is_some();
        // 007 is a name: as a number it would lose its zeros.
        let digits = text.trim_start_matches(['+', '-']);
        let name = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        self.int &= whole && !name && text.parse::<i64>().is_ok();
        // Numbers that are too long for 64 bits are names too.
        self.float &= text.parse::<f64>().is_ok() && (!whole || !name && text.parse::<i64>().is_ok());
    }
}
