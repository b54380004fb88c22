//! An edition: the published form of one schema with one set of annotations, made once and used for every message of it.

use std::sync::Arc;

use arrow_schema::FieldRef;

use crate::alert::AlertBatch;
use crate::avro::{self, AlertSchema, AppendError, BoundEncoder, Encoder};

/// How a message holds its datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// An object container with one record.
    Container,
    /// 0x00, this schema id, the datum.
    Confluent(u32),
    /// The datum alone.
    Bare,
}

/// The appended schema and what is made from it.
#[derive(Debug)]
pub(super) struct Edition {
    /// The appended schema (JSON).
    pub(super) json: String,
    /// Sixteen hexadecimal digits of the fingerprint of the producer's schema.
    pub(super) fingerprint: String,
    /// Header of a container, ending with the sync marker.
    pub(super) header: Vec<u8>,
    /// Sync marker of containers.
    pub(super) sync: [u8; 16],
    /// Writes the annotations.
    pub(super) encoder: Encoder,
}

impl Edition {
    fn new(source: &AlertSchema, fields: &[FieldRef]) -> Result<Self, AppendError> {
        let appended = avro::append(&source.json, fields)?;
        if !appended.dropped_defaults.is_empty() {
            let (schema, fields) = (&source.name, appended.dropped_defaults.join(", "));
            tracing::info!(schema, fields, "published without the defaults that do not fit the types of their fields");
        }
        let json = appended.json;
        let sync = avro::sync_marker(&json);
        Ok(Self {
            fingerprint: format!("{:016x}", source.fingerprint),
            header: avro::container_header(&json, &sync),
            sync,
            encoder: Encoder::new(fields),
            json,
        })
    }

    /// Writes one message into `out`. `tail` is scratch.
    pub(super) fn message(
        &self,
        frame: Frame,
        datum: &[u8],
        annotations: (&BoundEncoder, usize),
        tail: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let (encoder, row) = annotations;
        tail.clear();
        encoder.encode(row, tail);
        out.clear();
        match frame {
            Frame::Container => {
                out.extend_from_slice(&self.header);
                avro::write_block_start(out, 1, datum.len() + tail.len());
            }
            Frame::Confluent(id) => {
                out.push(0);
                out.extend_from_slice(&id.to_be_bytes());
            }
            Frame::Bare => {}
        }
        out.extend_from_slice(datum);
        out.extend_from_slice(tail);
        if frame == Frame::Container {
            out.extend_from_slice(&self.sync);
        }
    }
}

/// The editions of a run, each under a number that stays. There are as many as the stream has schemas.
#[derive(Debug, Default)]
pub(super) struct Editions {
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    source: Arc<AlertSchema>,
    fields: Vec<FieldRef>,
    edition: Result<Arc<Edition>, AppendError>,
}

impl Editions {
    /// Number of the edition of a batch. `fields` are those of its annotations.
    pub(super) fn number(&mut self, batch: &AlertBatch, fields: &[FieldRef]) -> usize {
        let same = |made: &Made| Arc::ptr_eq(&made.source, &batch.schema) && made.fields == fields;
        self.made.iter().rposition(same).unwrap_or_else(|| {
            let (source, fields) = (batch.schema.clone(), fields.to_vec());
            let edition = Edition::new(&source, &fields).map(Arc::new);
            self.made.push(Made { source, fields, edition });
            self.made.len() - 1
        })
    }

    /// The edition of this number, or why its alerts cannot be published.
    pub(super) fn get(&self, number: usize) -> Result<&Arc<Edition>, &AppendError> {
        self.made[number].edition.as_ref()
    }
}
