//! Messages through the decoding stage, and what became of each.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use skysluice::alert::{AlertBatch, Decoded, Permit, RawBatch, RawMessage, Span, Token, TopicPartition, Transform};
use skysluice::avro::MAX_ALERT_BYTES;
use skysluice::decode::Decode;

/// Offset of the first message of a batch.
const FIRST: i64 = 100;

/// Messages as a source would give them.
fn batch(payloads: &[&[u8]]) -> RawBatch {
    let mut arena = b"a key in front".to_vec();
    let mut messages = Vec::with_capacity(payloads.len());
    for (offset, payload) in (FIRST..).zip(payloads) {
        let start = arena.len() as u32;
        arena.extend_from_slice(payload);
        messages.push(RawMessage {
            offset,
            timestamp: Some(1_794_193_200_000),
            key: Some(2..5),
            payload: Some(start..arena.len() as u32),
            ..RawMessage::default()
        });
    }
    let origin = Arc::new(TopicPartition { topic: "fuzz".into(), partition: 0 });
    RawBatch {
        token: Token { origin, span: Span { start: FIRST, end: FIRST + payloads.len() as i64 }, generation: 1 },
        arena: Buffer::from_vec(arena),
        messages,
        permit: Arc::new(Permit::unbounded()),
    }
}

/// What became of one message.
#[derive(Debug)]
pub struct Fate {
    /// Its records, in runs.
    pub records: Vec<RecordBatch>,
    /// Why it is a dead letter.
    pub reason: Option<String>,
}

impl Fate {
    /// How many rows it gave.
    pub fn rows(&self) -> usize {
        self.records.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether both became the same, with the same values or for the same reason.
    pub fn is(&self, other: &Fate) -> bool {
        self.reason == other.reason && self.records == other.records
    }
}

/// Decodes messages together. Holds what is promised of every batch: each message gives rows or one dead letter with a reason, in
/// order, in sound columns that take no more than they may.
pub fn decode(stage: &Decode, payloads: &[&[u8]]) -> Vec<Fate> {
    let batch = batch(payloads);
    let decoded = stage.apply(&batch).expect("no message is a fault of the stage");
    sound(&decoded, payloads.len());
    let fates = (FIRST..).zip(payloads).map(|(offset, payload)| {
        let mut letters = decoded.letters.iter().filter(|letter| letter.offset == offset);
        let reason = letters.next().map(|letter| {
            assert_eq!(letter.stage, "decode");
            assert!(!letter.reason.is_empty() && letter.reason.len() < 10_000, "{} bytes of reason", letter.reason.len());
            assert!(letter.payload.as_ref().is_some_and(|kept| kept.as_slice() == *payload), "a letter keeps its bytes");
            letter.reason.clone()
        });
        assert!(letters.next().is_none(), "one dead letter a message");
        let records: Vec<RecordBatch> = decoded.parts.iter().filter_map(|part| of_message(part, offset)).collect();
        assert_ne!(records.is_empty(), reason.is_none(), "rows or a dead letter, and not both: {reason:?}");
        Fate { records, reason }
    });
    fates.collect()
}

/// The rows of a message in a part.
fn of_message(part: &AlertBatch, offset: i64) -> Option<RecordBatch> {
    let start = part.rows.iter().position(|row| row.offset == offset)?;
    let length = part.rows[start..].iter().take_while(|row| row.offset == offset).count();
    Some(part.records.slice(start, length))
}

fn sound(decoded: &Decoded, messages: usize) {
    let mut memory = 0;
    let mut last = (i64::MIN, 0);
    for part in &decoded.parts {
        assert!(!part.is_empty() && part.records.num_rows() == part.len());
        assert!(part.flags.len() == part.len() && part.verdicts.len() == part.len() && part.candidate.ra.len() == part.len());
        assert_eq!(part.records.schema(), part.schema.decoded);
        for row in &part.rows {
            assert!((row.offset, row.record) > last || last.0 == i64::MIN, "rows keep the order of the messages");
            last = (row.offset, row.record);
            // Every range is inside of its buffer.
            assert!(!part.bytes(row.message).is_empty());
            let _ = part.bytes(row.datum);
        }
        for column in part.records.columns() {
            let data = column.to_data();
            data.validate_full().expect("columns are sound");
            // Vectors grow by doubling; views of text count without the bytes that they point into.
            memory += data.get_slice_memory_size().unwrap_or(0);
        }
    }
    let granted = messages as u64 * MAX_ALERT_BYTES;
    assert!(memory as u64 <= 2 * granted, "{memory} bytes of columns for {messages} messages");
}

/// Holds that messages around the one in question are as if they were alone.
pub fn unharmed(fates: &[Fate], good: &Fate) {
    for (place, fate) in [("before", fates.first()), ("behind", fates.last())] {
        let fate = fate.expect("there are messages");
        assert!(fate.is(good), "the good message {place} is {fate:?} and not {good:?}");
    }
}
