//! Alerts as columns, with where each row came from and what the steps said of it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, FieldRef};

use super::{Candidate, DeadLetter, Header, Permit, Token};
use crate::avro::AlertSchema;

/// Where the Avro datum of a row lies: a buffer of [`AlertBatch::buffers`] and bytes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatumRange {
    /// Index into [`AlertBatch::buffers`]: 0 is the arena of the batch, 1 what was decompressed.
    pub buffer: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Where a row came from.
#[derive(Clone, Debug, Default)]
pub struct RowOrigin {
    /// Offset of the message.
    pub offset: i64,
    /// Index of the record inside the message.
    pub record: u32,
    /// Time of the message, milliseconds since 1970, UTC.
    pub timestamp: Option<i64>,
    /// The Avro datum of this record, without framing.
    pub datum: DatumRange,
    /// The whole message (buffer 0).
    pub message: DatumRange,
    /// The message's key (buffer 0), where it had one.
    pub key: Option<DatumRange>,
    /// The message's headers.
    pub headers: Vec<Header>,
}

/// Something odd about a row that does not stop it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The survey's id of the alert is null or missing.
    pub const NO_ID: Flags = Flags(1);
    /// The position is missing, not finite or off the sphere.
    pub const BAD_POSITION: Flags = Flags(2);
    /// The time of observation is missing, not finite or absurd.
    pub const BAD_TIME: Flags = Flags(4);
    /// A step could not be evaluated for this row.
    pub const STEP_ERROR: Flags = Flags(8);

    /// Names of the flags that are set, as they are archived.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [(1, "no_id"), (2, "bad_position"), (4, "bad_time"), (8, "step_error")]
            .into_iter()
            .filter_map(move |(bit, name)| (self.0 & bit != 0).then_some(name))
    }

    /// Whether all of these are set.
    #[must_use]
    pub fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Adds a flag.
    pub fn set(&mut self, flag: Flags) {
        self.0 |= flag.0;
    }
}

/// What the chain said of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// All steps passed it so far.
    #[default]
    Passed,
    /// The step with this index (in [`AlertBatch::steps`]) skipped it; later steps did not see it.
    Skipped(u16),
}

/// A column that a step added.
#[derive(Clone, Debug)]
pub struct Annotation {
    /// Name, type, nullability; the metadata key `unit` holds the unit and `doc` the meaning.
    pub field: FieldRef,
    /// One value per row.
    pub values: ArrayRef,
}

/// Alerts of one schema, from one partition, in order.
#[derive(Clone, Debug)]
pub struct AlertBatch {
    /// The schema that the producer wrote with.
    pub schema: Arc<AlertSchema>,
    /// The survey's own fields, names and nesting.
    pub records: RecordBatch,
    /// One per row.
    pub rows: Vec<RowOrigin>,
    /// What the views of `records` and the ranges of `rows` point into: the arena of the batch, then what was decompressed.
    pub buffers: Vec<Buffer>,
    /// Id, position, time, magnitude: the same for every survey.
    pub candidate: Candidate,
    /// Columns that the steps added.
    pub annotations: Vec<Annotation>,
    /// Names of the steps, for [`Verdict::Skipped`].
    pub steps: Arc<[String]>,
    /// One per row.
    pub verdicts: Vec<Verdict>,
    /// One per row.
    pub flags: Vec<Flags>,
}

impl AlertBatch {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of a range.
    #[must_use]
    pub fn bytes(&self, range: DatumRange) -> &[u8] {
        &self.buffers[range.buffer as usize][range.start as usize..range.end as usize]
    }

    /// The rows that every step has passed.
    #[must_use]
    pub fn passed(&self) -> BooleanArray {
        self.verdicts.iter().map(|v| Some(*v == Verdict::Passed)).collect()
    }

    /// The batch with only the rows where `keep` is true.
    ///
    /// # Errors
    /// When the mask is not as long as the batch.
    pub fn retain(&self, keep: &BooleanArray) -> Result<AlertBatch, ArrowError> {
        let pick = |a: &ArrayRef| arrow_select::filter::filter(a.as_ref(), keep);
        let annotations = self
            .annotations
            .iter()
            .map(|a| Ok(Annotation { field: a.field.clone(), values: pick(&a.values)? }))
            .collect::<Result<_, ArrowError>>()?;
        fn chosen<T: Clone>(items: &[T], keep: &BooleanArray) -> Vec<T> {
            items.iter().enumerate().filter(|(i, _)| keep.is_valid(*i) && keep.value(*i)).map(|(_, x)| x.clone()).collect()
        }
        Ok(AlertBatch {
            schema: self.schema.clone(),
            records: arrow_select::filter::filter_record_batch(&self.records, keep)?,
            rows: chosen(&self.rows, keep),
            buffers: self.buffers.clone(),
            candidate: self.candidate.map(pick)?,
            annotations,
            steps: self.steps.clone(),
            verdicts: chosen(&self.verdicts, keep),
            flags: chosen(&self.flags, keep),
        })
    }

    /// Rows `start..start + length`, without copying columns.
    #[must_use]
    pub fn slice(&self, start: usize, length: usize) -> AlertBatch {
        AlertBatch {
            schema: self.schema.clone(),
            records: self.records.slice(start, length),
            rows: self.rows[start..start + length].to_vec(),
            buffers: self.buffers.clone(),
            candidate: self.candidate.slice(start, length),
            annotations: self
                .annotations
                .iter()
                .map(|a| Annotation { field: a.field.clone(), values: a.values.slice(start, length) })
                .collect(),
            steps: self.steps.clone(),
            verdicts: self.verdicts[start..start + length].to_vec(),
            flags: self.flags[start..start + length].to_vec(),
        }
    }

    /// A dead letter for one row: the whole message with the index of the record.
    #[must_use]
    pub fn letter(&self, row: usize, token: &Token, stage: &'static str, reason: String) -> DeadLetter {
        let origin = &self.rows[row];
        let message = origin.message;
        DeadLetter {
            origin: token.origin.clone(),
            offset: origin.offset,
            record: Some(origin.record),
            timestamp: origin.timestamp,
            key: origin.key.map(|k| self.bytes(k).to_vec()),
            headers: origin.headers.clone(),
            payload: Some(
                self.buffers[message.buffer as usize]
                    .slice_with_length(message.start as usize, (message.end - message.start) as usize),
            ),
            stage,
            reason,
        }
    }
}

/// A batch after decoding: what became of each message of a [`super::RawBatch`].
#[derive(Clone, Debug)]
pub struct Decoded {
    /// What the ledger knows the batch by.
    pub token: Token,
    /// Alerts, cut where the schema changes, in the order of the messages.
    pub parts: Vec<AlertBatch>,
    /// What could not be decoded or processed.
    pub letters: Vec<DeadLetter>,
    /// Share of the byte budget, given back when the last clone is dropped.
    pub permit: Arc<Permit>,
}

impl Decoded {
    /// Alerts that the batch held: rows and dead letters.
    #[must_use]
    pub fn alerts(&self) -> usize {
        self.rows() + self.letters.len()
    }

    /// Rows of all parts.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.parts.iter().map(AlertBatch::len).sum()
    }

    /// The batch cut into batches of one row, all with the token of the whole; the dead letters go with the first.
    #[must_use]
    pub fn singles(&self) -> Vec<Decoded> {
        let mut letters = self.letters.clone();
        let mut out: Vec<Decoded> = self
            .parts
            .iter()
            .flat_map(|p| (0..p.len()).map(move |i| p.slice(i, 1)))
            .map(|p| Decoded {
                token: self.token.clone(),
                parts: vec![p],
                letters: std::mem::take(&mut letters),
                permit: self.permit.clone(),
            })
            .collect();
        if out.is_empty() {
            out.push(self.clone());
        }
        out
    }
}
