//! Cuts: nanoseconds a row, at the size of a batch and of a large one. The goal for ten terms is 15 ns a row.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch, StringViewArray, StructArray};
use arrow_schema::Field;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skysluice::filter::Expression;

/// Alerts whose fields vary; about a tenth of `ssdistnr` is null.
fn alerts(rows: usize) -> RecordBatch {
    let spread = |seed: u32| (0..rows as u32).map(move |i| (i.wrapping_mul(2_654_435_761) ^ seed) % 1_000);
    let single = |seed: u32| -> ArrayRef { Arc::new(Float32Array::from_iter_values(spread(seed).map(|v| v as f32 / 1_000.0))) };
    let whole = |seed: u32| -> ArrayRef { Arc::new(Int32Array::from_iter_values(spread(seed).map(|v| v as i32))) };
    let double: ArrayRef = Arc::new(Float64Array::from_iter_values(spread(9).map(f64::from)));
    let gaps: ArrayRef = Arc::new(Float32Array::from_iter(spread(5).map(|v| (v % 10 != 0).then_some(v as f32))));
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(spread(8).map(|v| if v % 3 == 0 { "t" } else { "null" })));
    let columns = [
        ("rb", single(1)),
        ("drb", single(2)),
        ("magdiff", single(3)),
        ("fwhm", single(4)),
        ("ssdistnr", gaps),
        ("fid", whole(6)),
        ("nbad", whole(7)),
        ("isdiffpos", names),
        ("jd", double),
    ];
    let fields = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect::<Vec<_>>();
    let candidate = StructArray::new(fields.into(), columns.into_iter().map(|c| c.1).collect(), None);
    RecordBatch::try_from_iter([("candidate", Arc::new(candidate) as ArrayRef)]).expect("one column has one length")
}

const CUTS: [(&str, &str); 5] = [
    ("one_term", "candidate.rb >= 0.55"),
    ("fink", "candidate.nbad < 900 AND candidate.rb >= 0.55 AND abs(candidate.magdiff) <= 0.9"),
    (
        "ten_terms",
        "candidate.rb >= 0.05 AND candidate.drb > 0.01 AND candidate.nbad < 990 AND candidate.fwhm <= 0.99 AND candidate.magdiff > 0.01 \
         AND candidate.fid BETWEEN 3 AND 990 AND candidate.jd < 995 AND candidate.jd >= 1 AND candidate.drb <> 0.5",
    ),
    ("nulls", "candidate.ssdistnr > 5 OR candidate.ssdistnr IS NULL OR NOT candidate.ssdistnr < 700"),
    ("text", "candidate.isdiffpos = 't' OR candidate.isdiffpos IN ('1', 'true')"),
];

fn cuts(c: &mut Criterion) {
    for rows in [256, 16_384] {
        let records = alerts(rows);
        let mut group = c.benchmark_group(format!("filter/{rows}"));
        group.throughput(Throughput::Elements(rows as u64));
        for (name, text) in CUTS {
            let bound = Expression::parse(text).and_then(|e| e.bind(&records.schema(), &[])).expect("the cut is sound");
            group.bench_function(name, |b| b.iter(|| bound.evaluate(black_box(&records), &[])));
        }
        group.finish();
    }
}

criterion_group!(benches, cuts);
criterion_main!(benches);
