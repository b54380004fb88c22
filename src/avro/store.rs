//! The schemas that a process has met, shared by its threads.
//!
//! **Invariants:** one `Arc` per distinct schema. No lock is held while a schema is parsed, so that nothing that happens
//! there can leave the store unusable. What a stream can make it hold is bounded.

use std::sync::{Arc, PoisonError, RwLock};

use super::framing::Header;
use super::{AlertSchema, AvroError, Codec, FrameError, Wanted};

/// Schemas that are held, at most: surveys have a handful.
const MAX_SCHEMAS: usize = 256;
/// Container headers that are remembered, and their bytes altogether.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 20;

/// All schemas met so far, each with a plan for what is wanted.
#[derive(Debug)]
pub struct SchemaStore {
    wanted: Wanted,
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

/// apache-avro puts whole schemas into its messages, which are kept with every dead letter.
fn brief(mut message: String) -> String {
    const LIMIT: usize = 400;
    if let Some((end, _)) = message.char_indices().nth(LIMIT) {
        message.truncate(end);
        message.push('…');
    }
    message
}

impl SchemaStore {
    /// An empty store.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, schemas: RwLock::default(), headers: RwLock::default() }
    }

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
        let schema = AlertSchema::parse_wanted(json, &self.wanted)?;
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

    /// As [`SchemaStore::add`] of a schema that came with a stream; the error is short enough to be kept with every message.
    ///
    /// # Errors
    /// As [`SchemaStore::add`], in words.
    pub(crate) fn add_met(&self, json: &str) -> Result<Arc<AlertSchema>, String> {
        self.add(json).map_err(|e| brief(e.to_string()))
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
        let outcome = self.add_met(header.schema).map(|schema| (schema, header.codec));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn json(doc: &str, field: &str) -> String {
        format!(r#"{{"type":"record","name":"r","doc":"{doc}","fields":[{{"name":"{field}","type":"int"}}]}}"#)
    }

    fn header(json: &str, sync: u8) -> Vec<u8> {
        let length = json.len() as u32;
        // A length of two to five bytes is long enough for every schema here.
        let mut out = b"Obj\x01\x02\x16avro.schema".to_vec();
        let mut rest = length << 1;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out.extend(json.as_bytes());
        out.push(0);
        out.extend([sync; 16]);
        out
    }

    #[test]
    fn texts_that_decode_alike_are_one_schema() {
        let store = SchemaStore::new(Wanted::everything());
        let first = store.add(&json("", "a")).unwrap();
        assert!(Arc::ptr_eq(&first, &store.add(&json("", "a")).unwrap()));
        assert!(Arc::ptr_eq(&first, &store.add(&json("documented", "a")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &store.add(&json("", "b")).unwrap()));
        // The same canonical form, but other columns.
        let logical = json("", "a").replace("\"int\"", r#"{"type":"int","logicalType":"date"}"#);
        let logical = store.add(&logical).unwrap();
        assert_eq!(logical.fingerprint, first.fingerprint);
        assert!(!Arc::ptr_eq(&first, &logical));
    }

    #[test]
    fn a_header_is_known_again_whatever_its_sync_marker_and_also_when_it_is_useless() {
        let store = SchemaStore::new(Wanted::everything());
        let known = store.learn(&header(&json("", "a"), 1)).unwrap();
        assert!(header(&json("", "a"), 2).starts_with(&known.bytes));
        assert!(!header(&json("x", "a"), 1).starts_with(&known.bytes));
        let useless = store.learn(&header("nonsense", 1)).unwrap();
        assert!(useless.outcome.is_err() && store.headers().len() == 2);
    }

    #[test]
    fn a_stream_cannot_fill_the_store() {
        let store = SchemaStore::new(Wanted::everything());
        for i in 0..MAX_SCHEMAS {
            store.add(&json("", &format!("f{i}"))).unwrap();
        }
        assert!(matches!(store.add(&json("", "more")), Err(AvroError::TooMany { .. })));
        assert!(store.add(&json("other words", "f7")).is_ok());
        for i in 0..3 * MAX_HEADERS {
            store.learn(&header(&json(&i.to_string(), "f1"), 0)).unwrap();
        }
        assert_eq!(store.headers().len(), MAX_HEADERS);
    }

    #[test]
    fn a_panic_elsewhere_leaves_the_store_usable() {
        let store = SchemaStore::new(Wanted::everything());
        let poison = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _schemas = store.schemas.write();
            let _headers = store.headers.write();
            panic!("on purpose");
        }));
        assert!(poison.is_err());
        store.add(&json("", "a")).unwrap();
        store.learn(&header(&json("", "a"), 1)).unwrap();
    }
}
