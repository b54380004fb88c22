//! Avro: framings, schemas, the plans compiled from them, and appending to records.
//!
//! May depend on: apache-avro (parsing schemas), arrow, the codecs. No survey is named here, nothing does I/O.
//!
//! The way of a message: `framing` finds the schema and the datums in it, `store` gives the one [`AlertSchema`] per distinct
//! schema, whose plan (`plan`, compiled by `compile`) is run over each datum (`run`) and appends to columns (`columns`),
//! which become Arrow arrays at the end of the batch (`finish`). `write` goes the other way: columns to data of a schema.
//!
//! **Invariants:** bytes from outside never cause a panic, recursion, or an allocation beyond [`MAX_ALERT_BYTES`] per alert;
//! a datum is decoded whole or leaves no trace in the columns.

mod append;
mod canonical;
mod codec;
mod columns;
mod compile;
mod cursor;
mod encode;
mod error;
mod finish;
mod framing;
mod lenient;
mod plan;
mod resolve;
mod run;
mod schema;
mod store;
mod values;
mod wanted;
mod write;

pub use append::{AppendError, Appended, append};
pub(crate) use codec::Codec;
pub(crate) use columns::{Allowance, Columns};
pub use encode::{
    BoundEncoder, Encoder, container_header, container_start, sync_marker, write_block_start, write_bytes, write_long,
};
pub use error::{AvroError, DatumError, Flaw, FrameError};
pub(crate) use framing::{Blocks, metadata};
pub use framing::{container_magic, embedded_schema};
pub use resolve::{resolve, roots};
pub(crate) use run::Datum;
pub use schema::AlertSchema;
pub(crate) use store::KnownHeader;
pub use store::SchemaStore;
pub use wanted::{FieldNames, Kept, Wanted};
pub use write::{BoundRecords, RecordWriter, WriteError};

/// What one alert may take in columns or decompressed, bytes.
pub const MAX_ALERT_BYTES: u64 = 64 << 20;
/// What a schema's JSON text may take, bytes.
pub const MAX_SCHEMA_BYTES: usize = 4 << 20;
/// How deep the JSON text of a schema, and the types of one with its names resolved, may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many columns (leaves) a schema may decode to.
pub const MAX_COLUMNS: usize = 8192;
