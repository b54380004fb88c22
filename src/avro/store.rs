//! The schemas that a process has met, shared by its threads.
//!
//! **Invariants:** one `Arc` per distinct schema. No lock is held while a schema is parsed, so that nothing that happens
//! there can leave the store unusable. What a stream can make it hold is bounded.

use std::sync::{Arc, PoisonError, RwLock};

use super::framing::Header;
use super::{AlertSchema, AvroError, Codec, FrameError};

/// Schemas that are held, at most: surveys have a handful.
const MAX_SCHEMAS: usize = 256;
/// Container headers that are remembered, and their bytes altogether.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 20;

/// All schemas met so far.
#[derive(Debug, Default)]
pub struct SchemaStore {
    schemas: RwLock<Vec<Arc<AlertSchema>>>,
    /// Newest last.
    headers: RwLock<Arc<Vec<Arc<KnownHeader>>>>,
}

/// A container header that has been parsed before, as bytes up to the sync marker. A header says itself where it ends, so
/// a message that begins with these bytes has this header.
#[derive(Debug)]
pub(crate) struct KnownHeader {
    pub bytes: Box<[u8]>,
    /// What it says, or why it is of no use.
    pub outcome: Result<(Arc<AlertSchema>, Codec), String>,
}

impl SchemaStore {
    /// The schema with this JSON text: the one that is known, or a new one. Texts that differ only in what does not matter
    /// to decoding (documentation, defaults, spaces) give the same schema.
    ///
    /// # Errors
    /// As [`AlertSchema::parse`]; and when more schemas have been met than any survey has.
    pub fn add(&self, json: &str) -> Result<Arc<AlertSchema>, AvroError> {
        let known = self.schemas.read().unwrap_or_else(PoisonError::into_inner).iter().find(|s| *s.json == *json).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let schema = AlertSchema::parse(json)?;
        let mut schemas = self.schemas.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = schemas.iter().find(|s| s.same(&schema)) {
            return Ok(known.clone());
        }
        if schemas.len() >= MAX_SCHEMAS {
            return Err(AvroError::TooMany { count: schemas.len() });
        }
        schemas.push(schema.clone());
        Ok(schema)
    }

    /// The headers known now.
    pub(crate) fn headers(&self) -> Arc<Vec<Arc<KnownHeader>>> {
        self.headers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Parses the header of a container and remembers it.
    ///
    /// # Errors
    /// When the header is no header; that its schema is unusable is part of what is remembered.
    pub(crate) fn learn(&self, payload: &[u8]) -> Result<Arc<KnownHeader>, FrameError> {
        let header = Header::parse(payload)?;
        let outcome = self.add(header.schema).map(|schema| (schema, header.codec)).map_err(|e| e.to_string());
        let known = Arc::new(KnownHeader { bytes: payload[..header.length].into(), outcome });
        let mut headers = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = headers.iter().filter(|h| h.bytes != known.bytes).cloned().collect();
        all.push(known.clone());
        let mut bytes: usize = all.iter().map(|h| h.bytes.len()).sum();
        let mut dropped = 0;
        while all.len() - dropped > MAX_HEADERS || (bytes > MAX_HEADER_BYTES && all.len() - dropped > 1) {
            bytes -= all[dropped].bytes.len();
            dropped += 1;
        }
        all.drain(..dropped);
        *headers = Arc::new(all);
        Ok(known)
    }
}
