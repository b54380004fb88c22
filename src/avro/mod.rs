//! Avro: framings, schemas, the plans compiled from them, and appending to records.
//!
//! May depend on: apache-avro (parsing schemas), arrow, the codecs. No survey is named here, nothing does I/O.

mod schema;

pub use schema::AlertSchema;
