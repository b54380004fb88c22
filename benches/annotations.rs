//! What ten catalogues cost an alert beside everything else: searching and making the annotations of small batches, and writing
//! those columns as Parquet in row groups of the size that a run has. Microseconds of CPU an alert, of the whole process with one
//! thread that encodes, median of rounds taken in turn.
//!
//! Batches are as a run with ZTF packets of 76 kB has them: 55 alerts of one exposure each, 24 of them to a row group. `beside` is
//! what the load generator's catalogues give (every fifth alert lies beside a source of each, so that an alert has two matches),
//! `carried` the same with two columns that come along, `apart` catalogues that have nothing there. `none` has no catalogue: what
//! it takes is in the others too. `large` is `apart` with catalogues of a million to fifty million sources.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use skysluice::alert::{
    AlertBatch, Budget, Candidate, Decoded, Flags, Permit, RowOrigin, Sink, Span, Token, TopicPartition, Transform, Verdict,
};
use skysluice::archive::{ArchiveContext, ArchiveSink, Editions, Means};
use skysluice::avro::{AlertSchema, Wanted};
use skysluice::catalog::zones::{Batch, Builder, Options};
use skysluice::config::{Archive, CutoutCodec, MagnitudeUnit, Matched, Step, StepKind, Survey, TimeScale};
use skysluice::durable::Way;
use skysluice::ledger::{Ledger, SinkId};
use skysluice::process::Chain;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 55;
const BATCHES: usize = 24;
/// Row groups of a round.
const GROUPS: usize = 20;
const ROUNDS: usize = 15;
const CATALOGS: usize = 10;
/// Sources of each catalogue, millions.
const SMALL: [usize; CATALOGS] = [1; CATALOGS];
const LARGE: [usize; CATALOGS] = [1, 1, 1, 1, 5, 10, 10, 20, 50, 50];
/// 2026-11-09 03:00:00 UTC, milliseconds.
const T0: i64 = 1_794_193_200_000;

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

/// Alerts of a round: exposures of five batches, seven degrees wide.
fn alerts() -> Vec<(f64, f64)> {
    let (mut state, mut centre) = (5, (0.0, 0.0));
    let mut alert = |i: usize| {
        if i.is_multiple_of(5 * ROWS) {
            centre = (360.0 * dice(&mut state), 80.0 * dice(&mut state) - 20.0);
        }
        ((centre.0 + 7.0 * dice(&mut state)) % 360.0, centre.1 + 7.0 * dice(&mut state))
    };
    (0..ROWS * BATCHES * GROUPS).map(&mut alert).collect()
}

/// What catalogues have where the alerts are.
#[derive(Clone, Copy, PartialEq)]
enum There {
    Nothing,
    Sources,
    SourcesWithColumns,
}

fn index(path: &Path, number: usize, millions: usize, alerts: &[(f64, f64)], there: There) -> PathBuf {
    let options = Options { name: "made".into(), ..Options::default() };
    let mut builder = Builder::create(path, options).unwrap();
    let mut state = 1_000 + number as u64;
    let near =
        alerts.iter().skip(number % 5).step_by(5).filter(|_| there != There::Nothing).map(|&(ra, dec)| (ra, dec - 0.3 / 3_600.0));
    let rows: Vec<(f64, f64)> = near.chain(std::iter::repeat_with(|| anywhere(&mut state))).take(millions * 1_000_000).collect();
    for (part, first) in rows.chunks(65_536).zip((0..).step_by(65_536)) {
        let (ra, dec): (Vec<f64>, Vec<f64>) = part.iter().copied().unzip();
        let ids: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..part.len()).map(|i| format!("c{number}-{:09}", first + i))));
        let magnitudes: ArrayRef = Arc::new(Float32Array::from_iter_values(dec.iter().map(|d| 20.0 + *d as f32 / 90.0)));
        let carried = (there == There::SourcesWithColumns).then(|| {
            let columns = [("mag".to_owned(), magnitudes), (format!("name{number}"), ids.clone())];
            RecordBatch::try_from_iter(columns).unwrap()
        });
        builder.push(&Batch { id: ids, ra: &ra, dec: &dec, motion: None, radius: None, carried }).unwrap();
    }
    builder.finish(&mut |_| ()).unwrap();
    path.to_owned()
}

fn chain(folder: &Path, name: &str, millions: [usize; CATALOGS], alerts: &[(f64, f64)], there: There) -> Chain {
    let catalog = |(number, millions): (usize, usize)| {
        let path = index(&folder.join(format!("{name}{number}.skyz")), number, millions, alerts, there);
        Matched::within(&path, &format!("catalogue{number}"), 1.5)
    };
    let catalogs = millions.into_iter().enumerate().map(catalog).collect();
    Chain::new(&[Step { name: "match".into(), kind: StepKind::Crossmatch { catalogs } }], None).unwrap()
}

/// The batches of a row group, as they come out of decoding.
fn group(number: usize, alerts: &[(f64, f64)], schema: &Arc<AlertSchema>, budget: &Budget) -> Vec<Decoded> {
    let origin = Arc::new(TopicPartition { topic: "bench".into(), partition: 0 });
    let batch = |(batch, alerts): (usize, &[(f64, f64)])| {
        let start = ((number * BATCHES + batch) * ROWS) as i64;
        let row = |i| RowOrigin { offset: start + i, timestamp: Some(T0 + i), ..RowOrigin::default() };
        let ids: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|i| 2_400_000_000_000_000_000 + start + i)));
        let part = AlertBatch {
            schema: schema.clone(),
            records: RecordBatch::try_from_iter([("candid", ids.clone())]).unwrap(),
            rows: (0..ROWS as i64).map(row).collect(),
            buffers: Vec::new(),
            candidate: Candidate {
                alert_id: ids,
                object_id: Arc::new(StringArray::from(vec!["x"; ROWS])),
                ra: Arc::new(Float64Array::from_iter_values(alerts.iter().map(|a| a.0))),
                dec: Arc::new(Float64Array::from_iter_values(alerts.iter().map(|a| a.1))),
                time: Arc::new(TimestampMicrosecondArray::from(vec![T0 * 1000; ROWS]).with_timezone("UTC")),
                magnitude: Arc::new(Float64Array::from(vec![18.0; ROWS])),
            },
            annotations: Vec::new(),
            steps: Arc::from([]),
            verdicts: vec![Verdict::Passed; ROWS],
            flags: vec![Flags::default(); ROWS],
        };
        let token = Token { origin: origin.clone(), span: Span { start, end: start + ROWS as i64 }, generation: 0 };
        let permit: Permit = budget.try_take(4 << 20).unwrap();
        Decoded { token, parts: vec![part], letters: Vec::new(), permit: Arc::new(permit) }
    };
    alerts.chunks(ROWS).enumerate().map(batch).collect()
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
        fields: BTreeMap::new(),
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
        memory: 1 << 30,
        beside: Vec::new(),
        covered: Vec::new(),
    };
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let means = Means { pool, way: Way::Direct, cutouts: CutoutCodec::None, wanted: Wanted::everything() };
    ArchiveSink::open(&config, means, context).unwrap()
}

/// What the process has had of the processors.
fn busy() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Microseconds an alert of the chain and of the archive, and bytes an alert of the file.
fn round(chain: &Chain, alerts: &[(f64, f64)], schema: &Arc<AlertSchema>) -> [f64; 3] {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut sink, budget) = (sink(home.path()), Budget::new(1 << 40));
    let (mut matching, mut writing) = (0.0, 0.0);
    for (number, alerts) in alerts.chunks(ROWS * BATCHES).enumerate() {
        let batches = group(number, alerts, schema, &budget);
        let start = busy();
        let matched: Vec<Decoded> = batches.iter().map(|batch| chain.apply(batch).unwrap()).collect();
        let middle = busy();
        // The last batch of a group has it written, and all of them dropped.
        drop(batches);
        matched.into_iter().for_each(|batch| sink.accept(&batch).unwrap());
        matching += middle - start;
        writing += busy() - middle;
    }
    sink.seal().unwrap();
    let bytes = bytes_below(home.path());
    [matching * 1e6, writing * 1e6, bytes].map(|total| total / alerts.len() as f64)
}

fn bytes_below(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        about if about.is_dir() => bytes_below(&entry.path()),
        about => about.len() as f64,
    };
    entries.map(bytes).sum()
}

fn main() {
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let alerts = alerts();
    let schema =
        AlertSchema::parse(r#"{"type": "record", "name": "alert", "fields": [{"name": "candid", "type": "long"}]}"#).unwrap();
    let mut runs = vec![("none", Chain::new(&[], None).unwrap(), Vec::new())];
    let cases = [
        ("beside", SMALL, There::Sources),
        ("carried", SMALL, There::SourcesWithColumns),
        ("apart", SMALL, There::Nothing),
        ("large", LARGE, There::Nothing),
    ];
    for (name, millions, there) in cases {
        if only.as_ref().is_none_or(|only| only == name) {
            runs.push((name, chain(folder.path(), name, millions, &alerts, there), Vec::new()));
        }
    }
    for _ in 0..ROUNDS {
        for (_, chain, figures) in &mut runs {
            figures.push(round(chain, &alerts, &schema));
        }
    }
    println!("{:>10} {:>10} {:>10} {:>10}", "catalogues", "match, us", "write, us", "bytes");
    for (name, _, figures) in runs {
        let median = |which: usize| {
            let mut all: Vec<f64> = figures.iter().map(|figures| figures[which]).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        println!("{name:>10} {:>10.2} {:>10.2} {:>10.1}", median(0), median(1), median(2));
    }
}
