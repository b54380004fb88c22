//! Other libraries, each used in the fastest way that it offers for messages whose schema is known.

use std::hint::black_box;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use arrow_array::RecordBatch;
use arrow_avro::reader::{Decoder, DecoderMode, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, SchemaStore};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};

use crate::Row;
use crate::packets::{ALERTS, Packets};
use crate::seen::{Seen, of_columns, of_value};
use crate::structs::{LsstAlert, ZtfAlert};

pub fn rows(packets: &Packets) -> Vec<Row<'_>> {
    // apache-avro's schemas live as long as the program: so they can be borrowed by what runs.
    let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(&packets.schema).unwrap()));
    let structs = match packets.is_ztf {
        true => structs::<ZtfAlert<String, Bytes>>(packets, schema),
        false => structs::<LsstAlert<String, Bytes>>(packets, schema),
    };
    let mut rows = vec![columns(packets), values(packets, schema), structs];
    rows.extend(packets.containers.as_ref().map(|containers| {
        let read = move || {
            containers.messages.iter().map(|message| {
                let reader = apache_avro::Reader::new(containers.payload(message).unwrap()).unwrap();
                reader.map(|value| value.unwrap()).last().unwrap()
            })
        };
        let seen = read().map(|value| of_value(true, &value)).collect();
        Row { name: "apache-avro, values, containers", seen, run: Box::new(move || read().for_each(|v| drop(black_box(v)))) }
    }));
    rows
}

/// arrow-avro, with views for texts, which are faster than its default. It refuses names with several dots, as LSST's have, so
/// that the namespace is taken out of them; a datum knows no names.
fn columns(packets: &Packets) -> Row<'_> {
    let mut store = SchemaStore::new();
    let fingerprint = store.register(AvroSchema::new(packets.schema.replace("lsst.v11_0.", ""))).unwrap();
    let builder = ReaderBuilder::new().with_batch_size(ALERTS).with_utf8_view(true).with_decoder_mode(DecoderMode::UnframedDatum);
    let mut decoder = builder.with_writer_schema_store(store).with_active_fingerprint(fingerprint).build_decoder().unwrap();
    fn read(decoder: &mut Decoder, packets: &Packets) -> RecordBatch {
        for datum in packets.datums() {
            assert_eq!(decoder.decode(datum).unwrap(), datum.len());
        }
        decoder.flush().unwrap().unwrap()
    }
    let seen = of_columns(packets.is_ztf, &read(&mut decoder, packets));
    Row { name: "arrow-avro, columns", seen, run: Box::new(move || drop(black_box(read(&mut decoder, packets)))) }
}

/// What makes one thing after the other is not made to keep them: it is faster without.
fn one_by_one<'a, A: 'a>(
    packets: &'a Packets,
    name: &'static str,
    read: impl Fn(&[u8]) -> A + 'a,
    see: fn(&A) -> Seen,
) -> Row<'a> {
    let seen = packets.datums().map(|datum| see(&read(datum))).collect();
    Row { name, seen, run: Box::new(move || packets.datums().for_each(|datum| drop(black_box(read(datum))))) }
}

fn values<'a>(packets: &'a Packets, schema: &'static Schema) -> Row<'a> {
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    let read = move |mut datum: &[u8]| reader.read_value(&mut datum).unwrap();
    let see = if packets.is_ztf { |value: &Value| of_value(true, value) } else { |value: &Value| of_value(false, value) };
    one_by_one(packets, "apache-avro, values", read, see)
}

fn structs<'a, A: DeserializeOwned + 'a>(packets: &'a Packets, schema: &'static Schema) -> Row<'a>
where
    for<'r> Seen: From<&'r A>,
{
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    let read = move |mut datum: &[u8]| reader.read_deser::<A>(&mut datum).unwrap();
    one_by_one(packets, "apache-avro, structs by serde", read, |alert| Seen::from(alert))
}

/// Bytes that are taken over, not read as a sequence of numbers.
struct Bytes(Vec<u8>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker;
        impl Visitor<'_> for Taker {
            type Value = Bytes;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Taker)
    }
}
