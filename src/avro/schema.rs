//! A writer's schema, parsed once and known by its fingerprint.

use std::sync::Arc;

use apache_avro::Schema;
use arrow_schema::SchemaRef;

use super::canonical::{canonical, fingerprint};
use super::compile::compile;
use super::plan::Plan;
use super::{AvroError, Kept, Wanted, lenient};

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
    /// The columns that all of it would decode to.
    pub arrow: SchemaRef,
    /// The columns that it is decoded to: those of them that are wanted.
    pub decoded: SchemaRef,
    canonical: String,
    plan: Plan,
}

impl AlertSchema {
    /// Parses the JSON text of a schema and compiles the plan that decodes what was written with it.
    ///
    /// Defaults, which only matter to a reader with a schema of its own, are not looked at: real producers send wrong ones.
    /// The types become columns as follows.
    ///
    /// | Avro | Arrow |
    /// |---|---|
    /// | null, boolean, int, long, float, double | Null, Boolean, Int32, Int64, Float32, Float64 |
    /// | bytes, string | BinaryView, Utf8View |
    /// | fixed | FixedSizeBinary (BinaryView where its size is 0) |
    /// | enum | Dictionary(Int32, Utf8) |
    /// | array, map, record | List of `item`, Map of `entries` (`key`, `value`), Struct |
    /// | record without fields | Boolean, true where the record is there |
    /// | union of null and one type, in either order | that type, nullable |
    /// | union of one type | that type |
    /// | any other union | Struct of `member0`, `member1`, ... (null not counted), all nullable, exactly one set; null for null |
    /// | decimal | Decimal128; the type below it where it has more than 38 digits |
    /// | date, time-millis, time-micros | Date32, Time32(ms), Time64(us) |
    /// | timestamp-*, local-timestamp-* | Timestamp in `UTC`, without a zone |
    /// | uuid, duration | Utf8View or FixedSizeBinary(16), FixedSizeBinary(12) |
    ///
    /// # Errors
    /// When the text is no Avro schema of a record, or one that cannot be columns: recursive, nested too deep, too large.
    pub fn parse(json: &str) -> Result<Arc<AlertSchema>, AvroError> {
        Self::parse_wanted(json, &Wanted::everything())
    }

    /// As [`AlertSchema::parse`], with a plan that decodes only what is wanted and moves past the rest.
    ///
    /// Of a field that is not wanted no more is checked than it takes to find its end: its text may be no UTF-8, its int or
    /// its enum out of range.
    ///
    /// # Errors
    /// As [`AlertSchema::parse`], whatever is wanted.
    pub fn parse_wanted(json: &str, wanted: &Wanted) -> Result<Arc<AlertSchema>, AvroError> {
        lenient::guard(json)?;
        let value = lenient::essentials(&serde_json::from_str(json)?)?;
        let schema = Schema::parse(&value).map_err(|e| AvroError::Avro(Box::new(e)))?;
        let Schema::Record(record) = &schema else {
            return Err(AvroError::NotARecord(schema.to_string()));
        };
        let name = record.name.fullname(None);
        let (whole, arrow) = compile(&schema, &Kept::Everything)?;
        let (plan, decoded) = match wanted.of(arrow.fields()) {
            Kept::Everything => (whole, arrow.clone()),
            kept => compile(&schema, &kept)?,
        };
        let canonical = canonical(&schema);
        let fingerprint = fingerprint(&canonical);
        Ok(Arc::new(AlertSchema { fingerprint, name, json: json.into(), arrow, decoded, canonical, plan }))
    }

    /// A schema with columns of its own choice, for tests of what comes after decoding. It decodes nothing.
    #[cfg(test)]
    pub(crate) fn of_columns(fingerprint: u64, json: &str, arrow: SchemaRef) -> Arc<AlertSchema> {
        let parsed = Self::parse(r#"{"type": "record", "name": "alert", "fields": [{"name": "id", "type": "long"}]}"#);
        let parsed = parsed.ok().and_then(Arc::into_inner).expect("a valid schema that nobody else holds");
        Arc::new(AlertSchema { fingerprint, json: json.into(), decoded: arrow.clone(), arrow, ..parsed })
    }

    /// Whether both decode the same bytes to the same columns, where the same is wanted of them.
    pub(super) fn same(&self, other: &AlertSchema) -> bool {
        self.fingerprint == other.fingerprint && self.canonical == other.canonical && self.arrow == other.arrow
    }

    /// How it is decoded.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }
}
