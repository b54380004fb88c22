//! Numbers of histories on their way into a column chunk: plain pages of our own behind levels that the columns of a history share.
//!
//! A general encoder works out for each value of each column where it stands in which list, and sets up a codec for each column; of a
//! run that was a fifth. Here the lists are looked at once for all of their columns.
//!
//! May depend on: arrow arrays, parquet. **Invariant:** a reader finds what the encoder of the parquet crate would have written.

use std::ops::Range;

use arrow_array::Array;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use parquet::basic::{LogicalType, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::page::{Layout, PAGE, Pages, append_levels, general};

/// Values of a page, at most, but for those of its last row: so that eight bytes each make no more than a page.
const VALUES: usize = PAGE / 8;

/// How rows and the values of their lists are dealt out to pages. All columns of a history share it.
pub(super) struct Lists {
    pages: Vec<Lot>,
    /// Levels of a column, those of what is not there included.
    levels: usize,
}

/// The lists of one page.
struct Lot {
    rows: usize,
    values: Range<usize>,
    /// Repetition levels as they are stored.
    repetition: Vec<u8>,
    /// Rows without values: before which of the values of this page they stand, and their definition level.
    without: Vec<(usize, u8)>,
}

impl Lists {
    /// The lists of all rows in the order of the file. `nullable`: whether the column may have rows without a list.
    ///
    /// # Errors
    /// When a page would hold more than a page can.
    pub fn new(offsets: &OffsetBuffer<i32>, nulls: Option<&NullBuffer>, nullable: bool) -> Result<Lists> {
        let mut lists = Lists { pages: Vec::new(), levels: 0 };
        let (mut repetition, mut without) = (Vec::new(), Vec::new());
        let (mut rows, mut start) = (0, 0);
        let last = offsets.len().saturating_sub(2);
        for (row, ends) in offsets.windows(2).enumerate() {
            let (from, to) = (ends[0] as usize, ends[1] as usize);
            repetition.push(0);
            if from == to {
                let there = nulls.is_none_or(|nulls| nulls.is_valid(row));
                without.push((from - start, u8::from(nullable && there)));
            } else {
                repetition.resize(repetition.len() + to - from - 1, 1);
            }
            rows += 1;
            if to - start >= VALUES || repetition.len() >= 2 * VALUES || row == last {
                let mut stored = Vec::new();
                append_levels(&repetition, 1, &mut stored)?;
                lists.levels += repetition.len();
                repetition.clear();
                lists.pages.push(Lot { rows, values: start..to, repetition: stored, without: std::mem::take(&mut without) });
                (rows, start) = (0, to);
            }
        }
        Ok(lists)
    }
}

/// Whether a column can be laid out so: numbers that Parquet has as they are, of lists that no other list repeats.
pub(super) fn suit(column: &ColumnDescriptor) -> bool {
    let plain = matches!(column.logical_type_ref(), None | Some(LogicalType::Timestamp { .. }));
    column.max_rep_level() == 1
        && plain
        && matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE | Type::INT32 | Type::INT64)
}

/// Whether values of such a column lie in memory as they do in a file.
pub(super) fn lie_plain(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(..))
}

/// Lays out the `values` of a `column` that suits.
///
/// # Errors
/// When the values are not of the column's type, or some are missing that may not.
pub(super) fn lay_out(column: &ColumnDescPtr, lists: &Lists, values: &dyn Array) -> Result<(Pages, ColumnCloseResult)> {
    let width = if matches!(column.physical_type(), Type::FLOAT | Type::INT32) { 4 } else { 8 };
    let most = u8::try_from(column.max_def_level()).map_err(general)?;
    let wrong = || general(format!("column {} was given values of another type", column.path().string()));
    let data = values.to_data();
    let [buffer] = data.buffers() else { return Err(wrong()) };
    let plain = data.data_type().primitive_width() == Some(width);
    let whole = lists.pages.last().map_or(0, |page| page.values.end);
    if !plain || values.len() != whole || (values.null_count() > 0 && !column.self_type().is_optional()) {
        return Err(wrong());
    }
    let bytes = &buffer.as_slice()[data.offset() * width..(data.offset() + values.len()) * width];
    let (mut layout, mut levels) = (Layout::new(), Vec::new());
    for page in &lists.pages {
        let nulls = values.nulls().map(|nulls| nulls.slice(page.values.start, page.values.len()));
        let mut body = Vec::with_capacity(page.repetition.len() + page.values.len() * (width + 1));
        body.extend_from_slice(&page.repetition);
        definition(page, nulls.as_ref(), most, &mut levels);
        append_levels(&levels, most, &mut body)?;
        let bytes = &bytes[page.values.start * width..page.values.end * width];
        match &nulls {
            None => body.extend_from_slice(bytes),
            Some(nulls) => {
                nulls.valid_slices().for_each(|(from, to)| body.extend_from_slice(&bytes[from * width..to * width]));
            }
        }
        layout.page(body, levels.len(), page.rows)?;
    }
    layout.close(column, None)
}

/// The definition levels of a page, of values that have the level `most` where they are there.
fn definition(page: &Lot, nulls: Option<&NullBuffer>, most: u8, levels: &mut Vec<u8>) {
    levels.clear();
    match nulls {
        None => levels.resize(page.values.len(), most),
        Some(nulls) => {
            levels.resize(page.values.len(), most - 1);
            nulls.valid_slices().for_each(|(from, to)| levels[from..to].fill(most));
        }
    }
    if page.without.is_empty() {
        return;
    }
    let of_values = std::mem::take(levels);
    levels.reserve(of_values.len() + page.without.len());
    let mut from = 0;
    for (before, level) in &page.without {
        levels.extend_from_slice(&of_values[from..*before]);
        levels.push(*level);
        from = *before;
    }
    levels.extend_from_slice(&of_values[from..]);
}
