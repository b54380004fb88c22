//! Decoding a real ZTF packet: the compiled plan against apache-avro's values. Without packets it says so and measures
//! nothing. `SKYSLUICE_DATA` names the folder that holds `alerts/ztf`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use apache_avro::{Reader, Schema};
use arrow_buffer::Buffer;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skysluice::alert::{Permit, RawBatch, RawMessage, Span, Token, TopicPartition, Transform};
use skysluice::avro::Wanted;
use skysluice::config::{FieldPath, Framing, MagnitudeUnit, Survey, TimeScale};
use skysluice::decode::Decode;

/// Messages in a batch: about 4 MiB of ZTF packets.
const ALERTS: usize = 55;

fn packet() -> Option<Vec<u8>> {
    let data = std::env::var_os("SKYSLUICE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let files = std::fs::read_dir(data.join("alerts/ztf")).ok()?;
    let packets = files.filter_map(|file| std::fs::read(file.ok()?.path()).ok());
    // The packet that is nearest to the one that the goals are stated for.
    packets.min_by_key(|packet| packet.len().abs_diff(76_003))
}

fn batch(packet: &[u8]) -> RawBatch {
    let messages = (0..ALERTS)
        .map(|i| RawMessage {
            offset: i as i64,
            payload: Some((i * packet.len()) as u32..((i + 1) * packet.len()) as u32),
            ..RawMessage::default()
        })
        .collect();
    RawBatch {
        token: Token {
            origin: Arc::new(TopicPartition { topic: "ztf".into(), partition: 0 }),
            span: Span { start: 0, end: ALERTS as i64 },
            generation: 0,
        },
        arena: Buffer::from_vec(packet.repeat(ALERTS)),
        messages,
        permit: Arc::new(Permit::unbounded()),
    }
}

fn survey() -> Arc<Survey> {
    let one = |text: &str| vec![FieldPath(text.split('.').map(str::to_owned).collect())];
    Arc::new(Survey {
        name: "ztf".to_owned(),
        alert_id: one("candid"),
        object_id: one("objectId"),
        ra: one("candidate.ra"),
        dec: one("candidate.dec"),
        time: one("candidate.jd"),
        time_scale: TimeScale::Jd,
        magnitude: one("candidate.magpsf"),
        magnitude_unit: MagnitudeUnit::Mag,
        history: vec![],
        cutouts: vec![],
        solar_system: vec![],
        none_texts: vec!["null".to_owned()],
        none_numbers: vec![-999.0],
        schemas: vec![],
        fields: std::collections::BTreeMap::new(),
        schema_ids: BTreeMap::new(),
    })
}

fn decode(criterion: &mut Criterion) {
    let Some(packet) = packet() else {
        eprintln!("skipped: no ZTF packets (SKYSLUICE_DATA)");
        return;
    };
    let mut group = criterion.benchmark_group(format!("ztf {} bytes, {ALERTS} a batch", packet.len()));
    group.throughput(Throughput::Elements(ALERTS as u64)).sample_size(30);
    let raw = batch(&packet);
    let containers = Decode::new(&Framing::Container, survey(), Wanted::everything()).expect("a container needs no schema");
    group.bench_function("plan, containers, full columns", |b| b.iter(|| black_box(containers.apply(&raw)).is_ok()));

    let decoded = containers.apply(&raw).expect("a real packet decodes");
    let part = &decoded.parts[0];
    let datum = part.bytes(part.rows[0].datum).to_vec();
    let framed = [&[0, 0, 0, 0, 1][..], &datum].concat();
    let schemas = BTreeMap::from([(1, part.schema.json.clone())]);
    let frames =
        Decode::new(&Framing::Confluent(schemas), survey(), Wanted::everything()).expect("the schema has just been used");
    let framed = batch(&framed);
    group.bench_function("plan, frames, full columns", |b| b.iter(|| black_box(frames.apply(&framed)).is_ok()));

    let schema = Schema::parse_str(&part.schema.json).expect("apache-avro reads ZTF's schema");
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().expect("the schema is whole");
    group.bench_function("apache-avro, Value, schema parsed once", |b| {
        b.iter(|| (0..ALERTS).for_each(|_| drop(black_box(reader.read_value(&mut &datum[..])))));
    });
    group.bench_function("apache-avro, Value, whole containers", |b| {
        b.iter(|| (0..ALERTS).for_each(|_| Reader::new(&packet[..]).into_iter().for_each(|r| drop(black_box(r.last())))));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
