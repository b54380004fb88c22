//! Cones of 1.5 arcseconds, half of them on a source: nanoseconds a query of the k-d tree and of the zone index, one at a time
//! and in batches, with and without a payload to fetch matches from.
//!
//! Times are those that the thread had a processor, not those of the wall clock. With `SKYSLUICE_PYTHON` (a Python that has numpy,
//! scipy, astropy, duckdb and pyarrow) the same positions are then matched by those, by `crossmatch_others.py` beside this file.
//!
//! Catalogues: `uniform`, and `galactic` (35 % uniform, 45 % disc, 15 % bulge, 5 % clusters), of 1e6 and 1e7 sources, and of
//! `SKYSLUICE_BENCH_SOURCES` more (5e7 takes 8 GB of memory and some minutes). Queries: `random` over the sky, a ZTF `exposure`
//! (1,000 alerts in 6.9 degrees), an LSST `visit` (10,000 in 1.75 degrees). So many different ones that caches do not hold what
//! they touch.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skysluice::catalog::zones::{Batch, Builder, Keep, Options, ZoneIndex};
use skysluice::catalog::{Catalog, Hits};

type Position = (f64, f64);

/// Numbers that look random: splitmix64, in [0, 1).
fn dice(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn anywhere(state: &mut u64) -> Position {
    (360.0 * dice(state), (2.0 * dice(state) - 1.0).asin().to_degrees())
}

/// Within `radius` degrees of a centre, evenly.
fn near(state: &mut u64, (ra, dec): Position, radius: f64) -> Position {
    let (r, turn) = (radius * dice(state).sqrt(), std::f64::consts::TAU * dice(state));
    let dec = (dec + r * turn.cos()).clamp(-90.0, 90.0);
    ((ra + r * turn.sin() / dec.to_radians().cos().max(1e-3)).rem_euclid(360.0), dec)
}

/// Galactic to equatorial coordinates, degrees.
fn equatorial(longitude: f64, latitude: f64) -> Position {
    let (pole, b, turn) = (27.13f64.to_radians(), latitude.to_radians(), (122.93 - longitude).to_radians());
    let sin_dec = pole.sin() * b.sin() + pole.cos() * b.cos() * turn.cos();
    let (y, x) = (b.cos() * turn.sin(), pole.cos() * b.sin() - pole.sin() * b.cos() * turn.cos());
    ((192.86 + y.atan2(x).to_degrees()).rem_euclid(360.0), sin_dec.clamp(-1.0, 1.0).asin().to_degrees())
}

/// A number about 0 with a width of one, roughly normal.
fn bell(state: &mut u64) -> f64 {
    (0..6).map(|_| dice(state) - 0.5).sum::<f64>() * std::f64::consts::SQRT_2
}

fn source(state: &mut u64, galactic: bool) -> Position {
    let kind = dice(state);
    match () {
        () if !galactic || kind < 0.35 => anywhere(state),
        () if kind < 0.80 => equatorial(360.0 * dice(state), 6.0 * bell(state)),
        () if kind < 0.95 => equatorial(8.0 * bell(state), 6.0 * bell(state)),
        () => {
            let cluster = (dice(state) * 200.0) as u64;
            let centre = anywhere(&mut (cluster * 7_919 + 1));
            near(state, centre, 0.15)
        }
    }
}

/// What this thread has had of a processor: what others on the machine take does not count.
fn busy() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn build(path: &Path, rows: &[Position], keep: Keep) -> ZoneIndex {
    let started = Instant::now();
    let mut builder = Builder::create(path, Options { keep, ..Options::default() }).expect("the folder can be written to");
    for (part, first) in rows.chunks(65_536).zip((0..).step_by(65_536)) {
        let (ra, dec): (Vec<f64>, Vec<f64>) = part.iter().copied().unzip();
        let magnitudes: ArrayRef = Arc::new(Float32Array::from_iter_values(dec.iter().map(|d| 20.0 + *d as f32 / 90.0)));
        let carried = RecordBatch::try_from_iter([("mag", magnitudes)]).expect("one column");
        let id = Arc::new(Int64Array::from_iter_values(first..first + part.len() as i64));
        let batch = Batch { id, ra: &ra, dec: &dec, motion: None, radius: None, carried: Some(carried) };
        builder.push(&batch).expect("the rows are sound");
    }
    builder.finish(&mut |_| ()).expect("the disk has room");
    let built = started.elapsed();
    let started = Instant::now();
    let index = ZoneIndex::open(path).expect("it has just been built");
    let opened = started.elapsed();
    let each = index.bytes() as f64 / rows.len() as f64;
    eprintln!("{keep:?}, {} sources: {each:.2} bytes a source, built in {built:.2?}, opened in {opened:.2?}", rows.len());
    index
}

/// Batches of `count` positions within `radius` degrees of a place each, half of them on a source.
fn batches(
    state: &mut u64,
    index: &ZoneIndex,
    rows: &[Position],
    batches: usize,
    count: usize,
    radius: f64,
) -> Vec<Vec<Position>> {
    let mut hits = Hits::default();
    let mut batch = || {
        let pick = |state: &mut u64, from: &[Position]| from[(dice(state) * from.len() as f64) as usize];
        let centre = anywhere(state);
        index.search(&[centre], if radius < 90.0 { radius * 3_600.0 } else { -1.0 }, &mut hits);
        let field: Vec<Position> = hits.of(0).iter().map(|h| index.position(h.row)).collect();
        let position = |i: usize| match i % 2 {
            0 if radius >= 90.0 => anywhere(state),
            1 if radius >= 90.0 => pick(state, rows),
            1 if !field.is_empty() => pick(state, &field),
            _ => near(state, centre, radius),
        };
        let mut positions: Vec<Position> = (0..count).map(position).collect();
        // Not on the source itself: a third of an arcsecond away.
        positions.iter_mut().skip(1).step_by(2).for_each(|p| p.1 = (p.1 + 1e-4).min(90.0));
        positions
    };
    (0..batches).map(|_| batch()).collect()
}

fn measure(c: &mut Criterion, rows: &[Position], name: &str) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let whole = build(&folder.path().join("whole"), rows, Keep::Everything);
    let bare = build(&folder.path().join("bare"), rows, Keep::Positions);
    let tree = std::env::var_os("SKYSLUICE_BENCH_NO_TREE").is_none().then(|| {
        let named = rows.iter().enumerate().map(|(i, p)| (i.to_string(), p.0, p.1));
        Catalog::new("bench", named).expect("the positions are sound")
    });
    let mut state = 99;
    let skies = [
        ("random", batches(&mut state, &whole, rows, 1_000, 1_000, 180.0)),
        ("exposure", batches(&mut state, &whole, rows, 200, 1_000, 3.45)),
        ("visit", batches(&mut state, &whole, rows, 20, 10_000, 1.75)),
    ];
    for (sky, batches) in &skies {
        let mut group = c.benchmark_group(format!("crossmatch/{name}/{sky}"));
        group.throughput(Throughput::Elements(batches[0].len() as u64));
        let mut run = |engine: &str, search: &dyn Fn(&[Position], &mut Hits)| {
            let (mut hits, mut next) = (Hits::default(), 0);
            group.bench_function(engine, |b| {
                b.iter_custom(|rounds| {
                    let start = busy();
                    for _ in 0..rounds {
                        next = (next + 1) % batches.len();
                        search(black_box(&batches[next]), &mut hits);
                        black_box(hits.total());
                    }
                    busy() - start
                });
            });
        };
        if let Some(tree) = &tree {
            run("tree", &|positions, hits| tree.search(positions, 1.5, hits));
        }
        run("zones_single", &|positions, hits| positions.chunks(1).for_each(|one| whole.search(one, 1.5, hits)));
        run("zones_batched", &|positions, hits| whole.search(positions, 1.5, hits));
        run("zones_batched_bare", &|positions, hits| bare.search(positions, 1.5, hits));
        group.finish();
    }
    if let Some(python) = std::env::var_os("SKYSLUICE_PYTHON") {
        others(&python, folder.path(), name, rows, &skies, &whole);
    }
}

/// Leaves catalogue and queries to the Python beside this file, which prints its own times.
fn others(
    python: &std::ffi::OsStr,
    folder: &Path,
    name: &str,
    rows: &[Position],
    skies: &[(&str, Vec<Vec<Position>>)],
    index: &ZoneIndex,
) {
    let write = |file: &str, positions: &mut dyn Iterator<Item = &Position>| {
        let bytes: Vec<u8> = positions.flat_map(|p| [p.0.to_le_bytes(), p.1.to_le_bytes()]).flatten().collect();
        std::fs::write(folder.join(file), bytes).expect("the disk has room");
    };
    write("rows", &mut rows.iter());
    let (mut batch, mut found) = (serde_json::Map::new(), serde_json::Map::new());
    let mut hits = Hits::default();
    for (sky, batches) in skies {
        write(sky, &mut batches.iter().flatten());
        let mut count = |positions: &Vec<Position>| {
            index.search(positions, 1.5, &mut hits);
            hits.total()
        };
        batch.insert((*sky).to_owned(), batches[0].len().into());
        found.insert((*sky).to_owned(), batches.iter().map(&mut count).collect::<Vec<_>>().into());
    }
    let about = serde_json::json!({ "name": name, "rows": rows.len(), "batch": batch, "found": found });
    std::fs::write(folder.join("about.json"), about.to_string()).expect("the disk has room");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/crossmatch_others.py");
    let status = std::process::Command::new(python).arg(script).arg(folder).status();
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        eprintln!("crossmatch_others.py: {status:?}");
    }
}

fn cones(c: &mut Criterion) {
    let more = std::env::var("SKYSLUICE_BENCH_SOURCES").ok().map(|n| n.parse::<f64>().expect("a number of sources") as usize);
    for count in [1_000_000, 10_000_000].into_iter().chain(more) {
        for (sky, galactic) in [("uniform", false), ("galactic", true)] {
            let name = format!("{sky}_{count:.0e}", count = count as f64);
            // Catalogues that the filter leaves out are not made.
            if std::env::var("SKYSLUICE_BENCH_ONLY").is_ok_and(|only| only != name) {
                continue;
            }
            let mut state = 1;
            let rows: Vec<Position> = (0..count).map(|_| source(&mut state, galactic)).collect();
            measure(c, &rows, &name);
        }
    }
}

fn config() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = cones }
criterion_main!(benches);
