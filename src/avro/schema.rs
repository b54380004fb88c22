//! A writer's schema, parsed once and known by its fingerprint.

use std::sync::Arc;

use arrow_schema::SchemaRef;

/// A schema that alerts were written with. One exists per distinct schema for the life of the process, so that `Arc::ptr_eq`
/// tells whether two batches have the same.
#[derive(Debug)]
pub struct AlertSchema {
    /// CRC-64-AVRO of the parsing canonical form (Avro specification 1.12, "Schema Fingerprints").
    pub fingerprint: u64,
    /// Full name of the record, such as `ztf.alert`.
    pub name: String,
    /// The schema as the producer wrote it (JSON).
    pub json: Arc<str>,
    /// The columns that it decodes to.
    pub arrow: SchemaRef,
}
