//! Runs of messages with the same schema, each decoded into one set of columns.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::ArrowError;

use super::by_id::ById;
use super::candidate::candidate;
use super::message::Reason;
use super::{Decode, Framing, fit};
use crate::alert::{AlertBatch, DatumRange, Flags, RawBatch, RawMessage, RowOrigin, Verdict};
use crate::avro::{AlertSchema, Allowance, Blocks, Codec, Columns, Datum, DatumError, KnownHeader, container_magic};

/// Parts that are done, in order.
pub(super) type Parts = Vec<Result<AlertBatch, ArrowError>>;

/// Decodes the messages of a batch, one run after the other.
pub(super) struct Runs<'a> {
    decode: &'a Decode,
    batch: &'a RawBatch,
    /// Headers known when the batch came; what is learned in between is added to the own copy.
    headers: Arc<Vec<Arc<KnownHeader>>>,
    /// The header of the last message, which is nearly always that of the next.
    last: Option<Arc<KnownHeader>>,
    last_id: Option<(u32, Arc<AlertSchema>)>,
    allowance: Allowance,
    run: Option<Run>,
    misfits: Vec<(usize, Reason)>,
}

/// Messages in a row with the same schema.
struct Run {
    schema: Arc<AlertSchema>,
    columns: Columns,
    rows: Vec<RowOrigin>,
    /// Blocks that were compressed.
    decompressed: Vec<u8>,
}

impl<'a> Runs<'a> {
    pub fn new(decode: &'a Decode, batch: &'a RawBatch) -> Self {
        let allowance = Allowance::of_batch(batch.arena.len());
        Self {
            decode,
            batch,
            headers: decode.store.headers(),
            last: None,
            last_id: None,
            allowance,
            run: None,
            misfits: Vec::new(),
        }
    }

    /// Decodes one message to rows. Where that fails nothing of it is left.
    pub fn message(&mut self, message: &RawMessage, parts: &mut Parts) -> Result<(), Reason> {
        let range = message.payload.clone().ok_or(Reason::Tombstone)?;
        let range = range.start as usize..range.end as usize;
        let payload = self.batch.payload(message).unwrap_or_default();
        if payload.is_empty() {
            return Err(Reason::Empty);
        }
        let decode = self.decode;
        match &decode.framing {
            Framing::Container => {
                if !container_magic(payload) {
                    return Err(Reason::no_container(payload));
                }
                let header = self.header(payload)?;
                let (schema, codec) = header.outcome.as_ref().map_err(|e| Reason::Schema(e.clone()))?;
                let blocks = Blocks::new(payload, header.bytes.len())?;
                self.whole(schema, message, parts, |run, batch, allowance| {
                    run.blocks(batch, message, &range, blocks, *codec, allowance)
                })
            }
            Framing::Confluent(schemas) => {
                let [0, a, b, c, d, ..] = *payload else { return Err(Reason::no_confluent(payload)) };
                let schema = self.by_id(schemas, u32::from_be_bytes([a, b, c, d]))?;
                let datum = range.start + 5..range.end;
                self.whole(&schema, message, parts, |run, batch, allowance| run.single(batch, message, datum.clone(), allowance))
            }
            Framing::Bare(schema) => self
                .whole(schema, message, parts, |run, batch, allowance| run.bare(batch, message, range.clone(), allowance))
                .map_err(|reason| reason.of_bare(payload)),
        }
    }

    /// The schema of an id, which is nearly always that of the message before.
    fn by_id(&mut self, schemas: &ById, id: u32) -> Result<Arc<AlertSchema>, Reason> {
        if let Some((_, schema)) = self.last_id.as_ref().filter(|(last, _)| *last == id) {
            return Ok(schema.clone());
        }
        let schema = schemas.schema(id, &self.decode.store)?;
        self.last_id = Some((id, schema.clone()));
        Ok(schema)
    }

    /// What is known of the header of a container: compared, byte for byte, before anything is parsed.
    fn header(&mut self, payload: &[u8]) -> Result<Arc<KnownHeader>, Reason> {
        if let Some(last) = self.last.as_ref().filter(|h| payload.starts_with(&h.bytes)) {
            return Ok(last.clone());
        }
        let known = match self.headers.iter().rev().find(|h| payload.starts_with(&h.bytes)) {
            Some(known) => known.clone(),
            None => {
                let known = self.decode.store.learn(payload)?;
                self.headers = self.decode.store.headers();
                known
            }
        };
        self.last = Some(known.clone());
        Ok(known)
    }

    /// Lets `inside` append the rows of a message to the run of its schema, and takes back what is there when it fails.
    fn whole(
        &mut self,
        schema: &Arc<AlertSchema>,
        message: &RawMessage,
        parts: &mut Parts,
        inside: impl FnOnce(&mut Run, &RawBatch, &mut Allowance) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        if self.run.as_ref().is_some_and(|run| !Arc::ptr_eq(&run.schema, schema)) {
            self.close(parts);
        }
        let decode = self.decode;
        let capacity = self.batch.messages.len();
        let run = self.run.get_or_insert_with(|| Run {
            schema: schema.clone(),
            columns: decode.pool.take(schema),
            rows: Vec::with_capacity(capacity),
            decompressed: Vec::new(),
        });
        let (rows, decompressed, allowance) = (run.rows.len(), run.decompressed.len(), self.allowance);
        let result = inside(run, self.batch, &mut self.allowance).and_then(|()| match &message.records {
            Some(wanted) if run.rows.len() - rows != wanted.len() => Err(Reason::NoSuchRecord),
            _ => Ok(()),
        });
        if result.is_err() {
            run.columns.truncate(rows);
            run.rows.truncate(rows);
            run.decompressed.truncate(decompressed);
            self.allowance = allowance;
        } else {
            for row in &mut run.rows[rows..] {
                row.headers = message.headers.clone();
            }
        }
        result
    }

    /// The rows of a part that can be what was written; the others become misfits. A container brings its own schema.
    fn fitting(&mut self, part: AlertBatch) -> Result<Option<AlertBatch>, ArrowError> {
        if matches!(self.decode.framing, Framing::Container) {
            return Ok(Some(part));
        }
        let misfits = fit::misfits(&self.decode.survey, &part)?;
        if misfits.is_empty() {
            return Ok(Some(part));
        }
        let messages = &self.batch.messages;
        self.misfits.extend(misfits.iter().filter_map(|(row, reason)| {
            let index = messages.binary_search_by_key(&part.rows[*row].offset, |m| m.offset).ok()?;
            Some((index, reason.clone()))
        }));
        if misfits.len() == part.rows.len() { Ok(None) } else { fit::without(part, &misfits).map(Some) }
    }

    /// Messages (their index in the batch) that decode with their schema but cannot have been written with it.
    pub fn misfits(&self) -> &[(usize, Reason)] {
        &self.misfits
    }

    /// Ends the run that is open.
    pub fn close(&mut self, parts: &mut Parts) {
        let Some(mut run) = self.run.take() else { return };
        if !run.rows.is_empty() {
            let part = run.finish(self.decode, self.batch).and_then(|part| self.fitting(part));
            let failed = part.is_err();
            parts.extend(part.transpose());
            if failed {
                return;
            }
        }
        self.decode.pool.give(run.schema, run.columns);
    }
}

impl Run {
    /// The datum of a message whose frame names its schema.
    fn single(
        &mut self,
        batch: &RawBatch,
        message: &RawMessage,
        datum: Range<usize>,
        allowance: &mut Allowance,
    ) -> Result<(), Reason> {
        self.alone(batch, message, datum, true, allowance)
    }

    /// The datum of a message that says nothing of its schema.
    fn bare(
        &mut self,
        batch: &RawBatch,
        message: &RawMessage,
        datum: Range<usize>,
        allowance: &mut Allowance,
    ) -> Result<(), Reason> {
        self.alone(batch, message, datum, false, allowance)
    }

    fn alone(
        &mut self,
        batch: &RawBatch,
        message: &RawMessage,
        datum: Range<usize>,
        ends_with_data: bool,
        allowance: &mut Allowance,
    ) -> Result<(), Reason> {
        let place = Datum { data: &batch.arena[..datum.end], start: datum.start, buffer: 0, ends_with_data };
        let end = self.columns.append(self.schema.plan(), place, allowance).map_err(Reason::Datum)?;
        if end < datum.end {
            return Err(Reason::LeftOver(datum.end - end));
        }
        if !message.wants(0) {
            return Err(Reason::NoSuchRecord);
        }
        self.rows.push(origin(message, 0, DatumRange { buffer: 0, start: datum.start as u32, end: end as u32 }));
        Ok(())
    }

    /// The records of a container.
    fn blocks(
        &mut self,
        batch: &RawBatch,
        message: &RawMessage,
        payload: &Range<usize>,
        blocks: Blocks<'_>,
        codec: Codec,
        allowance: &mut Allowance,
    ) -> Result<(), Reason> {
        let mut record = 0u64;
        let mut granted = allowance.of_alert();
        for (index, block) in blocks.enumerate() {
            let block = block?;
            let bytes = payload.start + block.bytes.start..payload.start + block.bytes.end;
            let (data, start, buffer) = if codec == Codec::Null {
                (&batch.arena[..bytes.end], bytes.start, 0)
            } else {
                let start = self.decompressed.len();
                codec.decompress(&batch.arena[bytes], granted, &mut self.decompressed)?;
                let taken = (self.decompressed.len() - start) as u64;
                granted -= taken;
                allowance.left = allowance.left.saturating_sub(taken);
                (&self.decompressed[..], start, 1)
            };
            let mut at = start;
            for _ in 0..block.records {
                let flaw = |error: DatumError| Reason::Record { record, error };
                let place = Datum { data, start: at, buffer, ends_with_data: block.records == 1 };
                let end = self.columns.append(self.schema.plan(), place, allowance).map_err(flaw)?;
                let datum = DatumRange { buffer, start: at as u32, end: end as u32 };
                if message.wants(record as u32) {
                    self.rows.push(origin(message, record as u32, datum));
                } else {
                    self.columns.truncate(self.rows.len());
                }
                record += 1;
                at = end;
            }
            if at < data.len() {
                return Err(Reason::BlockLeftOver { block: index, left: data.len() - at, records: block.records });
            }
        }
        if record == 0 { Err(Reason::NoRecords) } else { Ok(()) }
    }

    fn finish(&mut self, decode: &Decode, batch: &RawBatch) -> Result<AlertBatch, ArrowError> {
        let mut buffers = vec![batch.arena.clone()];
        if !self.decompressed.is_empty() {
            buffers.push(Buffer::from_vec(std::mem::take(&mut self.decompressed)));
        }
        let shared: Arc<[Buffer]> = buffers.clone().into();
        let records: RecordBatch = self.columns.finish(&self.schema, &shared)?;
        let rows = std::mem::take(&mut self.rows);
        let mut flags = vec![Flags::default(); rows.len()];
        let candidate = candidate(&decode.survey, &records, &mut flags)?;
        Ok(AlertBatch {
            schema: self.schema.clone(),
            records,
            verdicts: vec![Verdict::Passed; rows.len()],
            rows,
            buffers,
            candidate,
            annotations: Vec::new(),
            steps: Arc::new([]),
            flags,
        })
    }
}

fn origin(message: &RawMessage, record: u32, datum: DatumRange) -> RowOrigin {
    let range = |r: &Range<u32>| DatumRange { buffer: 0, start: r.start, end: r.end };
    RowOrigin {
        offset: message.offset,
        record,
        timestamp: message.timestamp,
        datum,
        message: message.payload.as_ref().map(range).unwrap_or_default(),
        key: message.key.as_ref().map(range),
        headers: Vec::new(),
    }
}
