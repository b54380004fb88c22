//! Reading the tables of a catalogue, on threads of their own.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_cast::cast;

use super::MakeError;
use super::inputs;
use super::plan::Plan;
use super::queue::Queue;
use crate::catalog::table::{Part, Report, TableError};
use crate::catalog::zones::SourceFile;

/// What readers are asked for.
pub(super) struct Wish<'a> {
    pub plan: &'a Plan,
    pub whole_ids: bool,
    /// Ids that each reader compares with each other.
    pub compared: usize,
    pub checksums: bool,
}

/// What readers hand over.
pub(super) enum Message {
    Part(Box<Ready>),
    /// The last of a table.
    End(Box<Ended>),
    /// The last of all.
    Failed(MakeError),
}

/// A table is at its end.
pub(super) struct Ended {
    pub report: Report,
    pub source: SourceFile,
}

/// Why the work stops before its end.
pub(super) enum Stop {
    Failed(MakeError),
    /// Ids were to be whole numbers, and one, at this place, is not.
    NotWhole(String),
}

impl Stop {
    /// As an error, where ids need not be numbers.
    pub fn told(self) -> MakeError {
        match self {
            Stop::Failed(error) => error,
            Stop::NotWhole(_) => MakeError::Lost,
        }
    }
}

/// Rows in the types of the index.
pub(super) struct Ready {
    pub ids: ArrayRef,
    pub whole_ids: bool,
    pub ra: Vec<f64>,
    pub dec: Vec<f64>,
    pub motion: Option<[Vec<f64>; 2]>,
    pub radius: Option<Vec<f64>>,
    pub carried: RecordBatch,
    /// Numbers of the rows in their table, from 1.
    pub rows: Vec<u64>,
    /// Where the first of them is.
    pub place: String,
}

impl Ready {
    fn new(part: Part, wish: &Wish) -> Result<Ready, String> {
        let place = if part.ra.is_empty() { String::new() } else { format!("a row near {}", part.place(0)) };
        let rows = part.rows().to_vec();
        let schema = &wish.plan.schema;
        let columns = part.carried.columns().iter().zip(schema.fields()).map(|(column, field)| {
            if column.data_type() == field.data_type() { Ok(column.clone()) } else { cast(column, field.data_type()) }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let carried = RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| e.to_string())?;
        let whole_ids = part.whole_ids.is_some();
        let ids: ArrayRef = match part.whole_ids {
            Some(numbers) => Arc::new(numbers),
            None => Arc::new(part.ids),
        };
        Ok(Ready { ids, whole_ids, ra: part.ra, dec: part.dec, motion: part.motion, radius: part.radius, carried, rows, place })
    }

    /// Rows that follow each other without a gap.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let gaps = (1..self.rows.len()).filter(|&i| self.rows[i] != self.rows[i - 1] + 1);
        let ends = gaps.chain([self.rows.len()]);
        ends.scan(0, |start, end| Some(std::mem::replace(start, end)..end)).collect()
    }

    fn bytes(&self) -> usize {
        let numbers = 3 + 2 * usize::from(self.motion.is_some()) + usize::from(self.radius.is_some());
        8 * numbers * self.rows.len() + self.ids.get_array_memory_size() + self.carried.get_array_memory_size()
    }
}

/// Row numbers of a table behind so many rows of others.
pub(super) fn later(ids: &ArrayRef, before: u64) -> ArrayRef {
    match ids.as_primitive_opt::<Int64Type>() {
        Some(numbers) => Arc::new(numbers.values().iter().map(|n| n + before as i64).collect::<Int64Array>()),
        None => ids.clone(),
    }
}

/// Reads tables until there is none left.
pub(super) fn work(wish: &Wish, queue: &Queue<Message>) {
    let guard = Guard(queue);
    while let Some(at) = queue.claim() {
        let last = match table(wish, at, queue) {
            Ok(Some(ended)) => Message::End(Box::new(ended)),
            Ok(None) => break,
            Err(error) => Message::Failed(error),
        };
        if !queue.put(at, last, 0, true) {
            break;
        }
    }
    std::mem::forget(guard);
}

/// Wakes the writer when a reader panics: it would wait for ever.
struct Guard<'a>(&'a Queue<Message>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reads a table; none when nobody wants more.
fn table(wish: &Wish, at: usize, queue: &Queue<Message>) -> Result<Option<Ended>, MakeError> {
    let path = &wish.plan.tables[at];
    let (table, positions) = wish.plan.descriptor.positions(path)?;
    let mut positions = positions.comparing_ids(wish.compared);
    if wish.whole_ids {
        positions = positions.with_whole_ids();
    }
    for part in positions.by_ref() {
        let ready = Ready::new(part?, wish).map_err(|reason| TableError::Asked { path: path.clone(), reason })?;
        let bytes = ready.bytes();
        if !queue.put(at, Message::Part(Box::new(ready)), bytes, false) {
            return Ok(None);
        }
    }
    let source = inputs::source(&table, wish.checksums)?;
    Ok(Some(Ended { report: positions.report().clone(), source }))
}
