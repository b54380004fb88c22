//! Rows of the size of a ZTF alert (three cut-outs of 12 kB, a candidate of a hundred numbers, a history of forty points) to
//! a synced Parquet file.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use skysluice::alert::{AlertBatch, Candidate, Decoded, Flags, Permit, RowOrigin, Sink, Span, Token, TopicPartition, Verdict};
use skysluice::archive::{ArchiveContext, ArchiveSink, Editions, Means};
use skysluice::avro::{AlertSchema, Wanted};
use skysluice::config::{Archive, CutoutCodec, MagnitudeUnit, Survey, TimeScale};
use skysluice::durable::Way;
use skysluice::ledger::{Ledger, SinkId};

const ROWS: usize = 256;
const BATCHES: usize = 16;
const HISTORY: usize = 40;
/// 2026-11-09 03:00:00 UTC, milliseconds.
const T0: i64 = 1_794_193_200_000;

/// Numbers that neither repeat nor compress (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn floats(&mut self, n: usize) -> Float32Array {
        Float32Array::from_iter_values((0..n).map(|_| (self.next() >> 40) as f32 / 1e4))
    }

    fn stamps(&mut self) -> BinaryViewArray {
        let stamp = |noise: &mut Noise| (0..1500).flat_map(|_| noise.next().to_le_bytes()).collect::<Vec<u8>>();
        BinaryViewArray::from_iter_values((0..ROWS).map(|_| stamp(self)))
    }

    fn candidates(&mut self, rows: usize, numbers: usize) -> StructArray {
        let number = |i: usize, noise: &mut Noise| {
            let field = Arc::new(Field::new(format!("f{i}"), DataType::Float32, true));
            (field, Arc::new(noise.floats(rows)) as ArrayRef)
        };
        StructArray::from((0..numbers).map(|i| number(i, self)).collect::<Vec<_>>())
    }
}

fn records(noise: &mut Noise, cutouts: bool) -> RecordBatch {
    let history = noise.candidates(ROWS * HISTORY, 40);
    let item = Arc::new(Field::new("item", history.data_type().clone(), false));
    let history = ListArray::new(item, OffsetBuffer::from_lengths([HISTORY; ROWS]), Arc::new(history), None);
    let ids: Vec<String> = (0..ROWS).map(|_| format!("ZTF26{:07x}", noise.next() >> 36)).collect();
    let mut columns = vec![
        ("objectId", Arc::new(StringViewArray::from_iter_values(ids)) as ArrayRef),
        ("candidate", Arc::new(noise.candidates(ROWS, 100)) as ArrayRef),
        ("prv_candidates", Arc::new(history) as ArrayRef),
    ];
    if cutouts {
        for name in ["cutoutScience", "cutoutTemplate", "cutoutDifference"] {
            columns.push((name, Arc::new(noise.stamps())));
        }
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

fn batches(cutouts: bool) -> Vec<Decoded> {
    let mut noise = Noise(42);
    let first = records(&mut noise, cutouts);
    // The archive takes the columns from the rows; of the schema it keeps the name and the text.
    let schema =
        AlertSchema::parse(r#"{"type": "record", "name": "alert", "fields": [{"name": "id", "type": "long"}]}"#).unwrap();
    let origin = Arc::new(TopicPartition { topic: "bench".into(), partition: 0 });
    let batch = |number: usize, records: RecordBatch| {
        let start = (number * ROWS) as i64;
        let row = |i| RowOrigin { offset: start + i, timestamp: Some(T0 + i), ..RowOrigin::default() };
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0; ROWS]));
        let part = AlertBatch {
            schema: schema.clone(),
            records,
            rows: (0..ROWS as i64).map(row).collect(),
            buffers: Vec::new(),
            candidate: Candidate {
                alert_id: Arc::new(Int64Array::from(vec![1; ROWS])),
                object_id: Arc::new(StringArray::from(vec!["x"; ROWS])),
                ra: numbers.clone(),
                dec: numbers.clone(),
                time: Arc::new(TimestampMicrosecondArray::from(vec![T0 * 1000; ROWS]).with_timezone("UTC")),
                magnitude: numbers,
            },
            annotations: Vec::new(),
            steps: Arc::from([]),
            verdicts: vec![Verdict::Passed; ROWS],
            flags: vec![Flags::default(); ROWS],
        };
        let span = Span { start, end: start + ROWS as i64 };
        let token = Token { origin: origin.clone(), span, generation: 0 };
        Decoded { token, parts: vec![part], letters: Vec::new(), permit: Arc::new(Permit::unbounded()) }
    };
    let rest = (1..BATCHES).map(|_| records(&mut noise, cutouts)).collect::<Vec<_>>();
    std::iter::once(first).chain(rest).enumerate().map(|(number, records)| batch(number, records)).collect()
}

fn sink(home: &Path) -> ArchiveSink {
    let config = Archive {
        staging: home.join("staging"),
        roll_size: 1 << 40,
        roll_age: Duration::from_secs(3600),
        ..Archive::new(home.join("archive"))
    };
    let survey = Survey {
        name: "ztf".into(),
        alert_id: Vec::new(),
        object_id: Vec::new(),
        ra: Vec::new(),
        dec: Vec::new(),
        time: Vec::new(),
        time_scale: TimeScale::Jd,
        magnitude: Vec::new(),
        magnitude_unit: MagnitudeUnit::Mag,
        history: Vec::new(),
        cutouts: Vec::new(),
        solar_system: Vec::new(),
        none_texts: Vec::new(),
        none_numbers: Vec::new(),
        schemas: Vec::new(),
        fields: std::collections::BTreeMap::new(),
        schema_ids: BTreeMap::new(),
    };
    let context = ArchiveContext {
        component: "bench".into(),
        sink: SinkId(0),
        accounts: true,
        ledger: Ledger::default(),
        survey: Arc::new(survey),
        configuration: String::new(),
        catalogs: Editions::new(Vec::new),
        counts: Arc::default(),
        memory: 256 << 20,
        beside: Vec::new(),
        covered: Vec::new(),
    };
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().build().unwrap());
    ArchiveSink::open(
        &config,
        Means { pool, way: Way::Direct, cutouts: CutoutCodec::None, wanted: Wanted::everything() },
        context,
    )
    .unwrap()
}

/// Seconds are per 4096 alerts, sealed and synced.
fn archive(c: &mut Criterion) {
    let mut group = c.benchmark_group("archive");
    group.sample_size(10).throughput(Throughput::Elements((ROWS * BATCHES) as u64));
    for (name, cutouts) in [("with cut-outs", true), ("without cut-outs", false)] {
        let batches = batches(cutouts);
        group.bench_function(BenchmarkId::new("to a synced file", name), |b| {
            b.iter_with_large_drop(|| {
                let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
                let mut sink = sink(home.path());
                for batch in &batches {
                    sink.accept(black_box(batch)).unwrap();
                }
                sink.seal().unwrap();
                home
            });
        });
    }
    group.finish();
}

criterion_group!(benches, archive);
criterion_main!(benches);
