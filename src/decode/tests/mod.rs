//! Decoding held against apache-avro, real packets and hostile bytes.

#![allow(clippy::unwrap_used)]

mod by_id;
mod containers;
pub mod differential;
mod hostile;
mod oracle;
mod projection;
mod real;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use arrow_buffer::Buffer;

use super::Decode;
use crate::alert::{Decoded, Permit, RawBatch, RawMessage, Span, Token, TopicPartition, Transform};
use crate::avro::Wanted;
use crate::config::{FieldPath, Framing, MagnitudeUnit, Survey, TimeScale};

/// Messages as a source would give them, at offsets from 100 on.
pub fn batch<T: AsRef<[u8]>>(payloads: &[T]) -> RawBatch {
    let mut arena = b"a key in front".to_vec();
    let mut messages = Vec::new();
    for (i, payload) in payloads.iter().enumerate() {
        let start = arena.len() as u32;
        arena.extend_from_slice(payload.as_ref());
        messages.push(RawMessage {
            offset: 100 + i as i64,
            timestamp: Some(1_700_000_000_000),
            key: Some(2..5),
            payload: Some(start..arena.len() as u32),
            ..RawMessage::default()
        });
    }
    let origin = Arc::new(TopicPartition { topic: "alerts".into(), partition: 3 });
    RawBatch {
        token: Token { origin, span: Span { start: 100, end: 100 + payloads.len() as i64 }, generation: 1 },
        arena: Buffer::from_vec(arena),
        messages,
        permit: Arc::new(Permit::unbounded()),
    }
}

pub fn path(text: &str) -> FieldPath {
    FieldPath(text.split('.').map(str::to_owned).collect())
}

pub fn survey() -> Survey {
    let one = |text: &str| vec![path(text)];
    Survey {
        name: "test".to_owned(),
        alert_id: one("candid"),
        object_id: one("objectId"),
        ra: one("candidate.ra"),
        dec: one("candidate.dec"),
        time: one("candidate.jd"),
        time_scale: TimeScale::Jd,
        magnitude: one("candidate.magpsf"),
        magnitude_unit: MagnitudeUnit::Mag,
        history: vec![],
        cutouts: vec![],
        solar_system: vec![],
        none_texts: vec!["null".to_owned()],
        none_numbers: vec![-999.0],
        schemas: vec![],
        fields: BTreeMap::new(),
        schema_ids: BTreeMap::new(),
    }
}

pub fn containers() -> Decode {
    Decode::new(&Framing::Container, Arc::new(survey()), Wanted::everything()).unwrap()
}

pub fn bare(json: &str) -> Decode {
    Decode::new(&Framing::Bare(json.into()), Arc::new(survey()), Wanted::everything()).unwrap()
}

pub fn confluent(id: u32, json: &str) -> Decode {
    Decode::new(&Framing::Confluent(BTreeMap::from([(id, json.into())])), Arc::new(survey()), Wanted::everything()).unwrap()
}

/// The only reason of the only dead letter.
pub fn reason(decoded: &Decoded) -> String {
    assert_eq!(decoded.letters.len(), 1, "{:?}", decoded.letters);
    decoded.letters[0].reason.clone()
}

/// The reason why a payload alone is a dead letter.
pub fn refused(decode: &Decode, payload: impl AsRef<[u8]>) -> String {
    let decoded = decode.apply(&batch(&[payload])).unwrap();
    assert_eq!(decoded.rows(), 0);
    assert_eq!(decoded.letters[0].stage, "decode");
    reason(&decoded)
}

/// Folder of real packets, or `None` where it is absent.
pub fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("SKYSLUICE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from)
        .join("alerts");
    if !folder.is_dir() {
        eprintln!("skipped: no real packets in {}", folder.display());
        return None;
    }
    Some(folder)
}

/// Real packets of a survey, sorted by name.
pub fn packets(survey: &str) -> Vec<(String, Vec<u8>)> {
    let Some(data) = data() else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(data.join(survey)).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files.iter().map(|f| (f.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(f).unwrap())).collect()
}

/// A small, repeatable source of numbers (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A datum as apache-avro writes it.
pub fn write(schema: &Schema, value: Value) -> Result<Vec<u8>, apache_avro::Error> {
    GenericDatumWriter::builder(schema).build()?.write_value_to_vec(value)
}

/// A datum as apache-avro reads it.
pub fn read(schema: &Schema, mut datum: &[u8]) -> Result<Value, apache_avro::Error> {
    GenericDatumReader::builder(schema).build()?.read_value(&mut datum)
}

/// A number as Avro writes it.
pub fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// Bytes with their length before them.
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    [long(bytes.len() as i64), bytes.to_vec()].concat()
}

pub const SYNC: [u8; 16] = *b"0123456789abcdef";

/// A container made by hand: blocks are a count and the bytes as they are stored.
pub fn container(json: &str, codec: &str, blocks: &[(i64, &[u8])]) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    out.extend(long(2));
    out.extend([sized(b"avro.codec"), sized(codec.as_bytes()), sized(b"avro.schema"), sized(json.as_bytes())].concat());
    out.extend(long(0));
    out.extend(SYNC);
    for (count, bytes) in blocks {
        out.extend([long(*count), sized(bytes), SYNC.to_vec()].concat());
    }
    out
}
