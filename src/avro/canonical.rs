//! Parsing canonical form and fingerprint (Avro specification 1.12, "Parsing Canonical Form" and "Schema Fingerprints").
//!
//! apache-avro's own keeps precision and scale and the braces around a logical type, which gives fingerprints that no other
//! implementation has, and panics on numbers beyond 63 bits.

use apache_avro::Schema;
use apache_avro::schema::{FixedSchema, InnerDecimalSchema, UuidSchema};

/// Fingerprint of the empty text, and the polynomial.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

/// CRC-64-AVRO.
pub(super) fn fingerprint(canonical: &str) -> u64 {
    canonical.bytes().fold(EMPTY, |sum, byte| {
        let entry = (0..8).fold((sum ^ u64::from(byte)) & 0xff, |fp, _| (fp >> 1) ^ (EMPTY & (fp & 1).wrapping_neg()));
        (sum >> 8) ^ entry
    })
}

/// The parsing canonical form. Recurses as deep as the schema is nested, which is bounded before it is parsed. Names and
/// symbols have been checked to need no escapes.
pub(super) fn canonical(schema: &Schema) -> String {
    let mut out = String::new();
    write(schema, &mut out);
    out
}

fn write(schema: &Schema, out: &mut String) {
    match schema {
        Schema::Null => out.push_str("\"null\""),
        Schema::Boolean => out.push_str("\"boolean\""),
        Schema::Int | Schema::Date | Schema::TimeMillis => out.push_str("\"int\""),
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => out.push_str("\"long\""),
        Schema::Float => out.push_str("\"float\""),
        Schema::Double => out.push_str("\"double\""),
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => out.push_str("\"bytes\""),
        Schema::String | Schema::Uuid(UuidSchema::String) => out.push_str("\"string\""),
        Schema::Fixed(inner) | Schema::Duration(inner) | Schema::Uuid(UuidSchema::Fixed(inner)) => fixed(inner, out),
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => out.push_str("\"bytes\""),
            InnerDecimalSchema::Fixed(inner) => fixed(inner, out),
        },
        Schema::Array(array) => {
            out.push_str("{\"type\":\"array\",\"items\":");
            write(&array.items, out);
            out.push('}');
        }
        Schema::Map(map) => {
            out.push_str("{\"type\":\"map\",\"values\":");
            write(&map.types, out);
            out.push('}');
        }
        Schema::Union(union) => {
            out.push('[');
            separated(union.variants(), out, write);
            out.push(']');
        }
        Schema::Enum(symbols) => {
            out.push_str(&format!("{{\"name\":\"{}\",\"type\":\"enum\",\"symbols\":[", symbols.name.fullname(None)));
            separated(&symbols.symbols, out, |symbol, out| out.push_str(&format!("\"{symbol}\"")));
            out.push_str("]}");
        }
        Schema::Record(record) => {
            out.push_str(&format!("{{\"name\":\"{}\",\"type\":\"record\",\"fields\":[", record.name.fullname(None)));
            separated(&record.fields, out, |field, out| {
                out.push_str(&format!("{{\"name\":\"{}\",\"type\":", field.name));
                write(&field.schema, out);
                out.push('}');
            });
            out.push_str("]}");
        }
        Schema::Ref { name } => out.push_str(&format!("\"{}\"", name.fullname(None))),
    }
}

fn fixed(inner: &FixedSchema, out: &mut String) {
    out.push_str(&format!("{{\"name\":\"{}\",\"type\":\"fixed\",\"size\":{}}}", inner.name.fullname(None), inner.size));
}

fn separated<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(item, out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// From the specification's own table of test schemas (share/test/data/schema-tests.txt).
    #[test]
    fn fingerprints_of_the_specification() {
        for (json, expected) in [
            ("\"null\"", 7_195_948_357_588_979_594),
            ("\"int\"", 8_247_732_601_305_521_295),
            (r#"{"type": "boolean"}"#, -6_970_731_678_124_411_036),
        ] {
            let schema = Schema::parse_str(json).unwrap();
            assert_eq!(fingerprint(&canonical(&schema)) as i64, expected, "{json}");
        }
    }

    #[test]
    fn the_canonical_form_is_that_of_apache_avro_where_that_is_right() {
        let json = r#"{"type": "record", "name": "r", "namespace": "x.y", "doc": "d", "fields": [
            {"name": "a", "type": {"type": "array", "items": ["null", {"type": "fixed", "name": "f", "size": 3}]}, "default": []},
            {"name": "b", "type": {"type": "map", "values": "f"}},
            {"name": "c", "type": {"type": "enum", "name": "z.e", "symbols": ["A", "B"]}}]}"#;
        let schema = Schema::parse_str(json).unwrap();
        assert_eq!(canonical(&schema), schema.canonical_form());
        let logical = r#"{"type": "record", "name": "r", "fields": [{"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}"#;
        let expected = r#"{"name":"r","type":"record","fields":[{"name":"t","type":"long"},{"name":"d","type":"bytes"}]}"#;
        assert_eq!(canonical(&Schema::parse_str(logical).unwrap()), expected);
    }
}
