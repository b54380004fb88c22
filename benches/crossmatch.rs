//! Cones: nanoseconds a query, batches of 256 at 1.5 arcseconds, half of the positions on a source.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skysluice::catalog::{Catalog, Hits};

/// Numbers that look random: splitmix64, in [0, 1).
fn dice(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn anywhere(state: &mut u64) -> (f64, f64) {
    (360.0 * dice(state), (2.0 * dice(state) - 1.0).asin().to_degrees())
}

/// A position in a field of 6.9 degrees on the equator, a ZTF exposure.
fn exposure(state: &mut u64) -> (f64, f64) {
    (100.0 + 6.9 * dice(state), 6.9 * (dice(state) - 0.5))
}

fn cones(c: &mut Criterion) {
    let mut state = 1;
    for rows in [122, 100_000, 1_000_000] {
        let sources: Vec<(f64, f64)> = (0..rows).map(|_| anywhere(&mut state)).collect();
        let named = sources.iter().enumerate().map(|(i, p)| (i.to_string(), p.0, p.1));
        let catalog = Catalog::new("bench", named).expect("the positions are sound");
        let mut group = c.benchmark_group(format!("crossmatch/{rows}"));
        group.throughput(Throughput::Elements(256));
        let in_field: Vec<(f64, f64)> =
            sources.iter().copied().filter(|p| (100.0..106.9).contains(&p.0) && p.1.abs() < 3.45).collect();
        for (name, sky) in [("whole_sky", true), ("exposure", false)] {
            // Distinct batches, so that the caches see what they would in a night.
            let batches: Vec<Vec<(f64, f64)>> = (0..64)
                .map(|_| {
                    (0..256)
                        .map(|i| {
                            let on = if sky { &sources } else { &in_field };
                            let pick = (dice(&mut state) * on.len() as f64) as usize;
                            match (i % 2, on.get(pick)) {
                                (0, Some(p)) => (p.0, (p.1 + 1e-5).min(90.0)),
                                _ if sky => anywhere(&mut state),
                                _ => exposure(&mut state),
                            }
                        })
                        .collect()
                })
                .collect();
            let (mut hits, mut next) = (Hits::default(), 0);
            group.bench_function(name, |b| {
                b.iter(|| {
                    next = (next + 1) % batches.len();
                    catalog.search(black_box(&batches[next]), 1.5, &mut hits);
                    hits.total()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, cones);
criterion_main!(benches);
