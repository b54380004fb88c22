//! Why a message is a dead letter, in words for an operator, and how one is told from another framing.

use std::sync::Arc;

use crate::avro::{DatumError, FrameError, container_magic};

/// Why a message could not be decoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Reason {
    #[error("the message has no payload (a tombstone)")]
    Tombstone,
    #[error("the payload is empty")]
    Empty,
    #[error("message begins with 'Obj\\x01': an object container, but the framing is {0}; set decode.framing: container")]
    IsContainer(&'static str),
    #[error(
        "message begins with 0x00 and the number {id}: a Confluent frame, but the framing is container; set decode.framing: confluent"
    )]
    IsConfluent { id: u32 },
    #[error("message begins with {0}, but an object container begins with 'Obj\\x01'")]
    NoContainer(String),
    #[error("message begins with {0}, but a Confluent frame begins with 0x00 and a schema id of four bytes")]
    NoConfluent(String),
    #[error("schema id {0} is not known; name a registry in decode.registry, or add the schema to the folder decode.schemas")]
    UnknownId(u32),
    #[error("{0}")]
    NoSchema(String),
    #[error("the schema with id {0} cannot be used: {1}")]
    UnusableId(u32, Arc<str>),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("the schema in the message cannot be used: {0}")]
    Schema(String),
    #[error("the container holds no record")]
    NoRecords,
    #[error("a record that is wanted of this message is not in it: its framing was another when it became a dead letter")]
    NoSuchRecord,
    #[error("record {record}: {error}")]
    Record { record: u64, error: DatumError },
    #[error("block {block}: {left} bytes are left over after its {records} records")]
    BlockLeftOver { block: usize, left: usize, records: u64 },
    #[error("schema does not fit: {0}")]
    Datum(DatumError),
    #[error("schema does not fit: {0} bytes left over")]
    LeftOver(usize),
    #[error(
        "schema does not fit: it gives a position that is not on the sphere (ra {ra}, dec {dec}) and a time at which no alert was observed ({time})"
    )]
    Absurd { ra: f64, dec: f64, time: f64 },
}

impl Reason {
    /// Why a message that should be a container is none.
    pub fn no_container(payload: &[u8]) -> Reason {
        match payload {
            [0, a, b, c, d, ..] => Reason::IsConfluent { id: u32::from_be_bytes([*a, *b, *c, *d]) },
            _ => Reason::NoContainer(beginning(payload)),
        }
    }

    /// Why a message that should be a Confluent frame is none.
    pub fn no_confluent(payload: &[u8]) -> Reason {
        if container_magic(payload) { Reason::IsContainer("confluent") } else { Reason::NoConfluent(beginning(payload)) }
    }

    /// The same, or that a bare datum that cannot be decoded begins as a container does.
    pub fn of_bare(self, payload: &[u8]) -> Reason {
        if container_magic(payload) { Reason::IsContainer("bare") } else { self }
    }
}

/// The first bytes, for a message.
fn beginning(payload: &[u8]) -> String {
    let bytes: Vec<_> = payload.iter().take(5).map(|b| format!("{b:02x}")).collect();
    bytes.join(" ")
}
