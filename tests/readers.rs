//! The archive opens at once in pyarrow, polars, DuckDB and Spark, at rest and while it grows.
//!
//! What is asked, and what the packets say to it by fastavro, is in `tests/python/readers_common.py`.
//!
//! ZTF and LSST have a root each. One table can hold all schema versions of a survey, but not both surveys: `cutoutScience` is a
//! struct in ZTF's packets and bytes in LSST's, and no reader merges the two.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::python::Python;
use support::run::{Report, Run};
use support::scratch::Scratch;
use support::{await_for, config, data, simulator};

/// Simulated packets among the real ones.
const PACKETS: u64 = 120;

/// Alerts of the archive in whose files a place is looked for: some row groups of 96 MiB.
const NIGHT: u64 = 4000;

/// Alerts that are there before readers follow, and at the end.
const BEFORE: u64 = 100;
const ALERTS: u64 = 3000;

/// Python and a Java for Spark.
fn readers() -> Option<Python> {
    if !support::has_program("java", "-version") {
        return support::skip("spark", "no Java to run Spark with");
    }
    Python::ready()
}

fn run(scratch: &Scratch, name: &str, components: Vec<Value>) -> Report {
    let configuration = config::file(scratch.path(), json!({}), components);
    let (report, log) = Run::start(scratch, name, &configuration, None).finish(Duration::from_secs(180));
    assert_eq!(report.generations, 1, "{log}");
    assert!(report.components.iter().all(|c| c.dead == 0), "{report:?}");
    report
}

#[test]
fn every_schema_version_of_a_survey_is_one_table_in_every_reader() {
    let (Some(python), Some(data)) = (readers(), data::folder()) else { return };
    let scratch = Scratch::new("readers");
    let simulated = scratch.folder("simulated");
    for (number, alert) in simulator::alerts(7, PACKETS, 1).enumerate() {
        fs::write(simulated.join(format!("{number:04}.avro")), alert.payload.unwrap()).unwrap();
    }
    let packets = scratch.join("packets");
    let prepared = python.run("readers_prepare.py", [data.as_path(), &simulated, &packets]);
    println!("{prepared}");
    let versions = prepared["versions"].as_object().unwrap();
    for version in ["ztf 3.3", "ztf 4.01", "ztf 4.02", "lsst 0700", "lsst 1100"] {
        assert!(versions.contains_key(version), "no packet of {version}: {prepared}");
    }

    let matching = json!({ "crossmatch": { "catalog": packets.join("catalog.csv"), "radius": "1.5 arcsec", "id": "near" } });
    let steps = json!([{ "cut": { "where": "candidate.rb >= 0.55", "name": "real" } }, matching]);
    let source = |survey: &str| json!({ "files": { "path": packets.join(survey) } });
    let ztf = config::pipeline(scratch.path(), "ztf", "ztf", source("ztf"), json!({ "steps": steps }));
    let decode = json!({ "framing": "confluent", "schemas": packets.join("schemas") });
    let more = json!({ "decode": decode, "steps": [matching] });
    let lsst = config::pipeline(scratch.path(), "lsst", "lsst", source("lsst"), more);
    let report = run(&scratch, "archive", vec![ztf, lsst]);
    for survey in ["ztf", "lsst"] {
        assert_eq!(prepared["rows"][survey], json!(report.component(survey).archived));
    }

    let (roots, expected, work) = (scratch.join("archive"), packets.join("expected.json"), scratch.folder("work"));
    thread::scope(|scope| {
        let spark = scope.spawn(|| python.run("readers_spark.py", [Path::new("batch"), &work, &roots, &expected]));
        println!("{}", python.run("readers_batch.py", [&roots, &expected]));
        println!("{}", spark.join().unwrap());
    });
}

#[test]
fn a_place_in_the_sky_and_an_object_are_found_without_reading_all() {
    let Some(python) = readers() else { return };
    let scratch = Scratch::new("places");
    let source = json!({ "simulator": { "count": NIGHT, "seed": 11 } });
    run(&scratch, "night", vec![config::pipeline(scratch.path(), "night", "ztf", source, json!({}))]);
    let archive = config::archive(scratch.path(), "night");
    let work = scratch.folder("work");
    thread::scope(|scope| {
        let spark = scope.spawn(|| python.run("readers_spark.py", [Path::new("pages"), &work, &archive]));
        let layout = python.run("readers_layout.py", [&archive]);
        println!("{layout}");
        assert_eq!(layout["rows"], json!(NIGHT));
        let pages = spark.join().unwrap();
        println!("{pages}");
        assert_eq!(pages["rows"], json!(NIGHT));
        // A page has 512 rows at most, and each row group has one or two with the cells that were asked for.
        let (scanned, groups) = (pages["scanned"].as_u64().unwrap(), layout["row_groups"].as_u64().unwrap());
        assert!(scanned < NIGHT && scanned <= groups * 2 * 512, "Spark reads {scanned} of {NIGHT} rows, in {groups} row groups");
    });
}

#[test]
fn readers_of_a_growing_archive_see_whole_files_and_every_alert_once() {
    let Some(python) = readers() else { return };
    let scratch = Scratch::new("growing");
    let component = |count: u64| {
        let source = json!({ "simulator": { "count": count, "seed": 3, "partitions": 2, "rate": 300 } });
        let archive = json!({
            "root": config::archive(scratch.path(), "growing"),
            "staging": scratch.join("staging"),
            "roll": { "size": "4 MiB", "age": "300 ms" },
        });
        config::pipeline(scratch.path(), "growing", "ztf", source, json!({ "archive": archive }))
    };
    // A reader that is told no columns needs a file to learn them from.
    run(&scratch, "before", vec![component(BEFORE)]);
    let (archive, work) = (config::archive(scratch.path(), "growing"), scratch.folder("work"));
    let ready = |name: &str| work.join(format!("ready-{name}")).exists();
    thread::scope(|scope| {
        let done = Done(work.join("done"));
        let polls = scope.spawn(|| python.run("readers_poll.py", [&work, &archive]));
        let spark = scope.spawn(|| python.run("readers_spark.py", [Path::new("follow"), &work, &archive]));
        let both = || polls.is_finished() || spark.is_finished() || (ready("poll") && ready("spark"));
        await_for("readers that follow the archive", Duration::from_secs(400), || both().then_some(()));
        let report = run(&scratch, "growing", vec![component(ALERTS)]);
        assert_eq!(report.component("growing").archived, ALERTS - BEFORE);
        drop(done);
        let (polls, spark) = (polls.join().unwrap(), spark.join().unwrap());
        println!("{polls}\n{spark}");
        for reader in ["pyarrow", "polars", "duckdb"] {
            assert_eq!(polls[reader]["rows"], json!(ALERTS), "{reader}");
            assert!(polls[reader]["sizes"].as_u64() > Some(2), "{reader} did not see the archive grow: {polls}");
        }
        assert_eq!(polls["files"], json!(files(&archive).len()));
        assert_eq!((&spark["rows"], &spark["alerts"]), (&json!(ALERTS), &json!(ALERTS)));
        assert!(spark["portions_during"].as_u64() > Some(1), "Spark did not follow the archive: {spark}");
    });
}

/// Tells readers to end, also where the test fails meanwhile.
struct Done(PathBuf);

impl Drop for Done {
    fn drop(&mut self) {
        let _ = File::create(&self.0);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    paths.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}
