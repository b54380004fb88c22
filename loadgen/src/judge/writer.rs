//! Schemas and data of Avro, read by apache-avro.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::UuidSchema;
use apache_avro::types::Value;

/// Distinct schemas that are kept at most: a stream has a few. More are the work of something broken.
const MOST: usize = 1000;

/// A schema that data were written with.
pub(super) struct Writer {
    /// The schema. It is kept for the life of the process, as its reader points into it.
    pub(super) schema: &'static Schema,
    reader: GenericDatumReader<'static>,
    /// Named types in it.
    names: HashMap<String, &'static Schema>,
    /// CRC-64-AVRO of its canonical form, 16 hexadecimal digits.
    pub(super) fingerprint: String,
}

impl Writer {
    fn new(json: &str) -> Result<Self, String> {
        let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(json).map_err(|error| error.to_string())?));
        let reader = GenericDatumReader::builder(schema).build().map_err(|error| error.to_string())?;
        let mut names = HashMap::new();
        learn(schema, &mut names);
        // Logical types are no part of the canonical form, but apache-avro puts them into its own. The bytes of the fingerprint come
        // with the lowest first.
        let mut plain = serde_json::from_str(json).map_err(|error| error.to_string())?;
        strip(&mut plain);
        let plain = Schema::parse(&plain).map_err(|error| error.to_string())?;
        let mut bytes = plain.fingerprint::<apache_avro::rabin::Rabin>().bytes;
        bytes.reverse();
        let fingerprint = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { schema, reader, names, fingerprint })
    }

    /// Decodes a datum, of which nothing may be left over.
    pub(super) fn read(&self, mut datum: &[u8]) -> Result<Value, String> {
        let value = self.reader.read_value(&mut datum).map_err(|error| error.to_string())?;
        if datum.is_empty() { Ok(value) } else { Err(format!("{} bytes are left over behind the record", datum.len())) }
    }

    /// The schema itself, where `schema` is the name of one.
    pub(super) fn resolve(&self, schema: &'static Schema) -> Result<&'static Schema, String> {
        let Schema::Ref { name } = schema else { return Ok(schema) };
        let name = name.fullname(None);
        self.names.get(&name).copied().ok_or_else(|| format!("the type {name} is not defined"))
    }
}

/// Takes the logical types out of a schema.
fn strip(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        serde_json::Value::Object(object) => {
            ["logicalType", "precision", "scale"].iter().for_each(|key| drop(object.remove(*key)));
            object.iter_mut().filter(|(key, _)| *key != "default").for_each(|(_, value)| strip(value));
        }
        _ => {}
    }
}

/// Notes the named types of a schema.
fn learn(schema: &'static Schema, names: &mut HashMap<String, &'static Schema>) {
    let name = match schema {
        Schema::Array(array) => return learn(&array.items, names),
        Schema::Map(map) => return learn(&map.types, names),
        Schema::Union(union) => return union.variants().iter().for_each(|branch| learn(branch, names)),
        Schema::Record(record) => {
            record.fields.iter().for_each(|field| learn(&field.schema, names));
            &record.name
        }
        Schema::Enum(symbols) => &symbols.name,
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => &fixed.name,
        _ => return,
    };
    names.insert(name.fullname(None), schema);
}

/// All schemas that were met, by their text.
#[derive(Default)]
pub(super) struct Writers(HashMap<String, Writer>);

impl Writers {
    /// The writer with this schema.
    pub(super) fn of(&mut self, json: &str) -> Result<&Writer, String> {
        // Looked up twice, so that the text is copied once for each schema and not once for each message.
        if !self.0.contains_key(json) {
            if self.0.len() >= MOST {
                return Err(format!("there are more than {MOST} different schemas"));
            }
            let writer = Writer::new(json).map_err(|error| format!("its schema is none: {error}"))?;
            self.0.insert(json.to_owned(), writer);
        }
        Ok(&self.0[json])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fingerprints_are_those_of_the_specification() {
        // By fastavro 1.12, which has its lowest byte first: efe464e649354e2b.
        let lsst = skysluice_simulator::PacketSchema::Lsst1100.text();
        assert_eq!(Writers::default().of(&lsst).unwrap().fingerprint, "2b4e3549e664e4ef");
        let record =
            |name: &str| format!(r#"{{"type": "record", "name": "a", "fields": [{{"name": "{name}", "type": "int"}}]}}"#);
        let mut writers = Writers::default();
        let [x, again, y] = [record("x"), record("x"), record("y")].map(|json| writers.of(&json).unwrap().fingerprint.clone());
        assert!(x == again && x != y && x.len() == 16);
    }
}
