//! The schemas that data are decoded with: those of surveys, and made-up ones with every type that Avro has.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use apache_avro::Schema;
use apache_avro::types::Value;
use serde_json::{Value as Json, json};
use skysluice::avro::{AlertSchema, FieldNames, RecordWriter, Wanted, container_start, sync_marker, write_block_start};
use skysluice::config::{Framing, Survey, builtin};
use skysluice::decode::Decode;
use skysluice_simulator::{PacketSchema, Simulator, SimulatorConfig};

use crate::stage::{self, Fate};
use crate::values::{self, Dice};

/// The schema id of [`Known::framed`].
pub const ID: u32 = 7;

/// A schema with all that is needed to decode with it and to be judged.
pub struct Known {
    /// The JSON text.
    pub json: Arc<str>,
    /// As apache-avro reads it.
    pub schema: Schema,
    /// Bare data.
    pub bare: Decode,
    /// Confluent frames with [`ID`].
    pub framed: Decode,
    /// Bare data, of which every second field is decoded.
    pub some: Decode,
    /// The names of these.
    pub chosen: Vec<String>,
    /// Writes columns again.
    pub writer: RecordWriter,
    /// Data as the survey would send them, without the pictures.
    pub samples: Vec<Vec<u8>>,
    /// What becomes of the first of them.
    pub good: Fate,
}

/// All of them, in the order that byte 0 of an input counts them by.
pub static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let (ztf, lsst) = (survey("ztf"), survey("lsst"));
    let simulated = PacketSchema::ALL.map(|schema| {
        let survey = if schema.id().is_some() { &lsst } else { &ztf };
        Known::new(schema.text().as_ref(), survey, Some(schema))
    });
    let built_in = [("ztf", &ztf), ("lsst", &lsst)].into_iter().flat_map(|(name, survey)| {
        let schemas = profile(name).schemas.clone();
        schemas.into_iter().map(|json| Known::new(&json, survey, None))
    });
    let made = [atlas(), everything(), narrow()].map(|json| Known::new(&json.to_string(), &ztf, None));
    made.into_iter().chain(simulated).chain(built_in).collect()
});

/// The schema that byte 0 of an input means.
pub fn chosen(byte: u8) -> &'static Known {
    &KNOWN[usize::from(byte) % KNOWN.len()]
}

fn profile(name: &str) -> Arc<Survey> {
    builtin(name).expect("the profile is part of the program")
}

/// The profile of a survey without its schemas, which every stage would compile.
pub fn survey(name: &str) -> Arc<Survey> {
    Arc::new(Survey { schemas: Vec::new(), ..Survey::clone(&profile(name)) })
}

impl Known {
    fn new(json: &str, survey: &Arc<Survey>, simulated: Option<PacketSchema>) -> Known {
        let json: Arc<str> = json.into();
        let schema = judged(&json).expect("the schemas here are right");
        let parsed = AlertSchema::parse(&json).expect("the schemas here are right");
        let names = parsed.arrow.fields().iter().map(|field| field.name().clone());
        let chosen: Vec<String> = names.skip(1).step_by(2).collect();
        let some = Wanted::only(chosen.iter().map(|name| FieldNames::from([name.clone()])));
        let stage = |framing, wanted| Decode::new(&framing, survey.clone(), wanted).expect("the schemas here are right");
        let bare = stage(Framing::Bare(json.clone()), Wanted::everything());
        let mut samples = simulated.map_or_else(Vec::new, |packets| simulate(packets, &schema));
        let mut dice = Dice(1);
        while samples.len() < 4 {
            samples.push(values::datum(&schema, &mut dice));
        }
        let mut fates = stage::decode(&bare, &[&samples[0]]);
        let good = fates.remove(0);
        assert_eq!(good.reason, None, "a good datum of {}", parsed.name);
        Known {
            framed: stage(Framing::Confluent(BTreeMap::from([(ID, json.clone())])), Wanted::everything()),
            some: stage(Framing::Bare(json.clone()), some),
            writer: RecordWriter::new(&parsed).expect("the schema is known"),
            json,
            schema,
            bare,
            chosen,
            samples,
            good,
        }
    }
}

/// A schema as apache-avro reads it, without the defaults that it minds.
pub fn judged(json: &str) -> Option<Schema> {
    let mut value: Json = serde_json::from_str(json).ok()?;
    strip(&mut value);
    Schema::parse(&value).ok()
}

fn strip(value: &mut Json) {
    match value {
        Json::Object(all) => {
            all.retain(|key, _| !matches!(key.as_str(), "default" | "doc" | "aliases" | "order"));
            all.values_mut().for_each(strip);
        }
        Json::Array(all) => all.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Data of the simulator, with short histories and a few bytes of each picture: what is long is seldom hit.
fn simulate(schema: PacketSchema, read: &Schema) -> Vec<Vec<u8>> {
    let config = SimulatorConfig { mean_history: 1.0, mean_forced: 1.0, ..SimulatorConfig::of(schema) };
    let simulator = Simulator::new(config).expect("the configuration is right");
    let one = |index| {
        let mut datum = Vec::new();
        simulator.packet_datum(index, &mut datum);
        let value = apache_avro::reader::datum::GenericDatumReader::builder(read).build();
        let value = value.and_then(|reader| reader.read_value(&mut datum.as_slice()));
        values::write(read, shortened(value.expect("the simulator writes what its schema says")))
    };
    (0..4).map(one).collect()
}

fn shortened(value: Value) -> Value {
    match value {
        Value::Bytes(mut bytes) => {
            bytes.truncate(16);
            Value::Bytes(bytes)
        }
        Value::Union(branch, inner) => Value::Union(branch, Box::new(shortened(*inner))),
        Value::Array(items) => Value::Array(items.into_iter().take(2).map(shortened).collect()),
        Value::Record(fields) => Value::Record(fields.into_iter().map(|(name, value)| (name, shortened(value))).collect()),
        other => other,
    }
}

/// A container of one schema. Blocks are a count of records and their bytes as they are stored.
pub fn container(json: &str, codec: &str, blocks: &[(usize, &[u8])]) -> Vec<u8> {
    let sync = sync_marker(json);
    let mut out = container_start(&[("avro.schema", json), ("avro.codec", codec)], &sync);
    for (count, bytes) in blocks {
        write_block_start(&mut out, *count, bytes.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(&sync);
    }
    out
}

/// A small one, as of a survey with few fields.
fn atlas() -> Json {
    json!({"type": "record", "name": "alert", "namespace": "atlas", "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {"name": "filter", "type": {"type": "enum", "name": "filter", "symbols": ["c", "o"]}},
        {"name": "candidate", "type": {"type": "record", "name": "candidate", "fields": [
            {"name": "jd", "type": "double"},
            {"name": "ra", "type": "double"},
            {"name": "dec", "type": "double"},
            {"name": "magpsf", "type": ["null", "float"]}]}},
        {"name": "prv_candidates", "type": ["null", {"type": "array", "items": "candidate"}]},
        {"name": "cutout", "type": ["null", "bytes"]}]})
}

/// One field, whose position is seldom on the sky.
fn narrow() -> Json {
    json!({"type": "record", "name": "n", "fields": [
        {"name": "candidate", "type": {"type": "record", "name": "c", "fields": [
            {"name": "ra", "type": "double"}, {"name": "dec", "type": "float"}, {"name": "jd", "type": "double"}]}}]})
}

/// Every type there is, alone, in unions, arrays and maps.
fn everything() -> Json {
    let logical = |base: &str, logical: &str| json!({"type": base, "logicalType": logical});
    let fixed = |name: &str, size: u32| json!({"type": "fixed", "name": name, "size": size});
    let nested = json!({"type": "record", "name": "inner", "fields": [
        {"name": "a", "type": ["null", "int", "string", {"type": "array", "items": ["null", "long"]}]},
        {"name": "b", "type": {"type": "map", "values": {"type": "array", "items": "double"}}},
        {"name": "c", "type": {"type": "record", "name": "nothing", "fields": []}}]});
    let mut duration = fixed("span", 12);
    duration["logicalType"] = json!("duration");
    let mut uuid = fixed("uuid16", 16);
    uuid["logicalType"] = json!("uuid");
    let mut small = fixed("amount", 7);
    small["logicalType"] = json!("decimal");
    small["precision"] = json!(15);
    small["scale"] = json!(3);
    let types = [
        json!("null"),
        json!("boolean"),
        json!("int"),
        json!("long"),
        json!("float"),
        json!("double"),
        json!("bytes"),
        json!("string"),
        fixed("none", 0),
        fixed("three", 3),
        json!({"type": "enum", "name": "letter", "symbols": ["a", "b", "c"]}),
        logical("int", "date"),
        logical("int", "time-millis"),
        logical("long", "time-micros"),
        logical("long", "timestamp-millis"),
        logical("long", "timestamp-micros"),
        logical("long", "timestamp-nanos"),
        logical("long", "local-timestamp-millis"),
        logical("long", "local-timestamp-micros"),
        logical("long", "local-timestamp-nanos"),
        logical("string", "uuid"),
        uuid,
        duration,
        small,
        json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 10}),
        nested,
        json!({"type": "array", "items": "null"}),
        json!({"type": "array", "items": {"type": "array", "items": "inner"}}),
        json!({"type": "map", "values": ["null", "inner"]}),
        json!(["string"]),
        json!(["float", "null"]),
        json!(["null", "three"]),
        json!(["null", "letter"]),
        json!(["null", "nothing"]),
        json!(["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]),
        json!(["inner", "null", "letter", "three", "boolean", "float", "bytes", {"type": "map", "values": "int"}]),
        json!(["null", {"type": "array", "items": ["string", "null"]}]),
    ];
    let fields = types.into_iter().enumerate().map(|(i, kind)| json!({"name": format!("f{i}"), "type": kind}));
    json!({"type": "record", "name": "everything", "fields": fields.collect::<Vec<_>>()})
}
