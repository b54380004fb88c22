//! A catalogue of a thousand million sources: what building, opening and searching it takes.
//!
//!     cargo bench --bench billion -- SOURCES FOLDER
//!
//! `SOURCES` (such as 1e9) are spread evenly over the sphere and kept as positions alone. The folder needs some 25 bytes a source
//! while the index is built, and 8.6 when it is done. Prints times of the wall clock and of the processor, the largest memory of
//! the process, and nanoseconds a cone of 1.5 arcseconds, half of them on a source: warm, and after the page cache was emptied
//! where this process may do that (root).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array};
use skysluice::catalog::Hits;
use skysluice::catalog::zones::{Batch, Builder, Keep, Options, ZoneIndex};

/// Rows that are pushed at a time.
const PART: u64 = 1 << 18;
/// Memory of the build.
const MEMORY: u64 = 4 << 30;

/// A number that looks random, in [0, 1): splitmix64 of its place.
fn dice(place: u64) -> f64 {
    let mut z = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The source with this number.
fn source(number: u64) -> (f64, f64) {
    (360.0 * dice(2 * number + 1), (2.0 * dice(2 * number + 2) - 1.0).asin().to_degrees())
}

/// A position that is not one of the sources.
fn elsewhere(number: u64) -> (f64, f64) {
    source(number + (1 << 50))
}

/// Around a place, evenly within `radius` degrees.
fn near(number: u64, (ra, dec): (f64, f64), radius: f64) -> (f64, f64) {
    let number = number + (1 << 51);
    let (r, turn) = (radius * dice(2 * number).sqrt(), std::f64::consts::TAU * dice(2 * number + 1));
    let dec = (dec + r * turn.cos()).clamp(-90.0, 90.0);
    ((ra + r * turn.sin() / dec.to_radians().cos().max(1e-3)).rem_euclid(360.0), dec)
}

/// Processor time of the process.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux tells the times of a process");
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks");
    Duration::from_millis(10 * ticks)
}

fn peak() -> String {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux tells the memory of a process");
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn build(path: &Path, sources: u64) {
    let (wall, cpu) = (Instant::now(), busy());
    let options = Options { name: "billion".into(), keep: Keep::Positions, memory: MEMORY, ..Options::default() };
    let mut builder = Builder::create(path, options).expect("the folder can be written to");
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(0..PART as i64));
    for first in (0..sources).step_by(PART as usize) {
        let rows = PART.min(sources - first);
        let (ra, dec): (Vec<f64>, Vec<f64>) = (first..first + rows).map(source).unzip();
        let batch = Batch { id: id.slice(0, rows as usize), ra: &ra, dec: &dec, motion: None, radius: None, carried: None };
        builder.push(&batch).expect("the disk has room");
        if (first / PART).is_multiple_of(400) {
            println!("{first} rows pushed after {:.0?}", wall.elapsed());
        }
    }
    println!("all pushed after {:.1?} ({:.1?} of processor)", wall.elapsed(), busy() - cpu);
    builder.finish(&mut |_| ()).expect("the disk has room");
    println!("built in {:.1?} ({:.1?} of processor), at most {} of memory", wall.elapsed(), busy() - cpu, peak());
}

fn measure(index: &ZoneIndex, what: &str, batches: &[Vec<(f64, f64)>]) {
    let (mut hits, mut found) = (Hits::default(), 0);
    let (wall, cpu) = (Instant::now(), busy());
    for batch in batches {
        index.search(batch, 1.5, &mut hits);
        found += hits.total();
    }
    let cones = batches.iter().map(Vec::len).sum::<usize>();
    let each = |time: Duration| time.as_nanos() as f64 / cones as f64;
    println!(
        "{what}: {:.0} ns a cone by the clock, {:.0} of processor, {cones} cones, {found} sources found",
        each(wall.elapsed()),
        each(busy() - cpu)
    );
}

fn queries(sources: u64, batches: u64, count: u64, radius: Option<f64>, seed: u64) -> Vec<Vec<(f64, f64)>> {
    let one = |batch: u64| {
        let centre = elsewhere(seed + batch);
        let position = |i: u64| {
            let number = (seed + batch) * count + i;
            match radius {
                Some(radius) => near(number, centre, radius),
                None if i.is_multiple_of(2) => elsewhere(number),
                None => {
                    let (ra, dec) = source((dice(number + 7) * sources as f64) as u64);
                    (ra, (dec + 1e-4).min(90.0))
                }
            }
        };
        (0..count).map(position).collect()
    };
    (0..batches).map(one).collect()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [sources, folder] = words.as_slice() else {
        // `cargo test --benches` and `cargo bench` without more run this too.
        println!("cargo bench --bench billion -- SOURCES FOLDER");
        return;
    };
    let sources = sources.parse::<f64>().expect("a number of sources") as u64;
    let path = Path::new(folder).join("billion.skyz");
    if !path.exists() {
        build(&path, sources);
    }
    let opening = Instant::now();
    let index = ZoneIndex::open(&path).expect("it has just been built");
    println!(
        "opened in {:.1?}: {} sources, {:.3} bytes each",
        opening.elapsed(),
        index.len(),
        index.bytes() as f64 / index.len() as f64
    );
    let sets = |seed| {
        [
            ("random, batches of 1,000", queries(sources, 1_000, 1_000, None, seed)),
            ("ZTF exposures, 1,000 in 6.9 degrees", queries(sources, 1_000, 1_000, Some(3.45), seed)),
            ("LSST visits, 10,000 in 1.75 degrees", queries(sources, 100, 10_000, Some(1.75), seed)),
        ]
    };
    // The first of these brings the file into memory.
    for round in ["first", "warm", "warm", "warm"] {
        for (what, batches) in sets(1 << 40) {
            measure(&index, &format!("{round}, {what}"), &batches);
        }
    }
    drop(index);
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
        println!("cold: the page cache cannot be emptied by this user");
        return;
    }
    let opening = Instant::now();
    let index = ZoneIndex::open(&path).expect("it has just been open");
    println!("opened cold in {:.1?}", opening.elapsed());
    let cold = &queries(sources, 50, 1_000, None, 1 << 44);
    measure(&index, "cold, random", cold);
    let asked = &queries(sources, 50, 1_000, None, 1 << 45);
    let wall = Instant::now();
    let mut hits = Hits::default();
    for batch in asked {
        index.will_need(batch, 1.5);
        index.search(batch, 1.5, &mut hits);
    }
    println!("cold, random, pages asked for before: {:.0} ns a cone by the clock", wall.elapsed().as_nanos() as f64 / 50_000.0);
}
