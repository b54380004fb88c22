//! Decode: messages become Arrow columns, or dead letters with the reason.
//!
//! May depend on: `alert`, `avro`, `config`. Reads no clock, does no I/O.
//!
//! **Invariants:** every message gives at least one row or one dead letter. A message is all or nothing: where one record of
//! a container is corrupt, none of its records stays; records that are not wanted ([`crate::alert::RawMessage::records`]) give
//! nothing. What a bad message left is taken back, the rest of the batch is
//! not touched. Rows keep the order of the messages.
//!
//! Fields that nobody wants are not decoded (see [`Decode::new`]).

mod by_id;
mod candidate;
mod fit;
mod message;
mod run;
mod scratch;

use std::sync::Arc;

use crate::alert::{Decoded, Fault, RawBatch, SchemasById, Transform};
use crate::avro::{AlertSchema, AvroError, SchemaStore, Wanted};
use crate::config;
pub use candidate::observed;

/// The stage is given something it cannot decode by.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A schema of the framing is unusable.
    #[error("decode.framing: the schema of {which} cannot be used: {source}")]
    Schema {
        /// Which one.
        which: String,
        /// What is wrong with it.
        source: AvroError,
    },
    /// A schema of the survey's profile is unusable.
    #[error("survey {survey}: schema number {number} of its profile cannot be used: {source}")]
    Survey {
        /// Name of the profile.
        survey: String,
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        source: AvroError,
    },
}

/// How messages are framed, with schemas parsed.
#[derive(Debug)]
enum Framing {
    Container,
    Confluent(by_id::ById),
    Bare(Arc<AlertSchema>),
}

/// Turns batches of messages into batches of alerts. May be called from several threads at once.
#[derive(Debug)]
pub struct Decode {
    framing: Framing,
    survey: Arc<config::Survey>,
    store: SchemaStore,
    pool: scratch::Pool,
}

impl Decode {
    /// The stage for one framing and one survey. The schemas of both are compiled now.
    ///
    /// Batches have the columns that are `wanted` and those of the candidate view; the rest of a datum is passed over, and of
    /// what is passed over only the lengths are checked. Behind the last field that is wanted nothing is read where the frame
    /// itself says both the schema and the end of the datum: a container's block of one record, a registered schema. Bytes
    /// that are wrong there are found by those who decode them. With a bare datum the schema is only what the configuration
    /// takes it for, so it is held against the datum to its end.
    ///
    /// # Errors
    /// When one of the schemas cannot be used.
    pub fn new(framing: &config::Framing, survey: Arc<config::Survey>, wanted: Wanted) -> Result<Decode, DecodeError> {
        let store = SchemaStore::new(wanted.or(candidate::wanted(&survey)));
        for (i, json) in survey.schemas.iter().enumerate() {
            store.add(json).map_err(|source| DecodeError::Survey { survey: survey.name.clone(), number: i + 1, source })?;
        }
        let add = |json: &str, which: String| store.add(json).map_err(|source| DecodeError::Schema { which, source });
        let framing = match framing {
            config::Framing::Container => Framing::Container,
            config::Framing::Confluent(schemas) => {
                let known = schemas.iter().map(|(id, json)| Ok((*id, add(json, format!("id {id}"))?)));
                Framing::Confluent(by_id::ById::new(known.collect::<Result<_, DecodeError>>()?))
            }
            config::Framing::Bare(json) => Framing::Bare(add(json, "the bare datum".to_owned())?),
        };
        Ok(Decode { framing, survey, store, pool: scratch::Pool::default() })
    }

    /// Looks schemas up there whose ids the framing does not know.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Arc<dyn SchemasById>) -> Decode {
        if let Framing::Confluent(by_id) = &mut self.framing {
            by_id.look_up_in(schemas);
        }
        self
    }

    /// Compiles a schema beforehand, and gives the one that batches written with it will carry.
    ///
    /// # Errors
    /// When the schema cannot be used.
    pub fn warm(&self, json: &str) -> Result<Arc<AlertSchema>, AvroError> {
        self.store.add(json)
    }
}

impl Transform for Decode {
    type In = RawBatch;

    fn apply(&self, batch: &RawBatch) -> Result<Decoded, Fault> {
        let (mut parts, mut letters) = (Vec::new(), Vec::new());
        let mut run = run::Runs::new(self, batch);
        for message in &batch.messages {
            if let Err(reason) = run.message(message, &mut parts) {
                letters.extend(batch.letters(message, "decode", &reason.to_string()));
            }
        }
        run.close(&mut parts);
        letters.extend(
            run.misfits()
                .iter()
                .flat_map(|(index, reason)| batch.letters(&batch.messages[*index], "decode", &reason.to_string())),
        );
        letters.sort_by_key(|letter| letter.offset);
        let parts = parts.into_iter().collect::<Result<_, _>>().map_err(|e: arrow_schema::ArrowError| {
            Fault::defect(format!("{} {:?}: the columns do not fit: {e}", batch.token.origin, batch.token.span))
        })?;
        Ok(Decoded { token: batch.token.clone(), parts, letters, permit: batch.permit.clone() })
    }
}

#[cfg(test)]
pub(crate) mod tests;
