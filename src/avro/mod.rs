//! Avro: framings, schemas, the plans compiled from them, and appending to records.
//!
//! May depend on: apache-avro (parsing schemas), arrow, the codecs. No survey is named here, nothing does I/O.

mod append;
mod encode;
mod schema;

pub use append::{AppendError, Appended, append};
pub use encode::{BoundEncoder, Encoder, container_header, sync_marker, write_block_start, write_bytes, write_long};
pub use schema::AlertSchema;
