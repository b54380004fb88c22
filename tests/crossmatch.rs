//! Matching, classes, watch lists and regions of whole runs, held against brute force in Python; catalogues that are replaced while a
//! service runs; matching again from the archive.
//!
//! How catalogues are made and what brute force says of an alert is in `tests/python/crossmatch_sky.py`; the steps stand here and,
//! in other words, in `tests/python/check_crossmatch.py`.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use skysluice_simulator::{Simulator, SimulatorConfig, Target};
use support::python::Python;
use support::run::{Report, Run};
use support::scratch::Scratch;
use support::{config, data};

const LIMIT: Duration = Duration::from_secs(180);

/// Simulated packets among the others.
const PACKETS: u64 = 320;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a command of the program prints that has to succeed.
fn skysluice(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_skysluice")).args(arguments).current_dir(support::root()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Packets and catalogues, made once for the tests of this file.
struct Prepared {
    /// The folder goes with it.
    _scratch: Scratch,
    folder: PathBuf,
    /// Whether there are real packets among them.
    real: bool,
}

impl Prepared {
    fn get(python: &Python) -> &'static Prepared {
        static PREPARED: OnceLock<Prepared> = OnceLock::new();
        PREPARED.get_or_init(|| Prepared::make(python))
    }

    fn make(python: &Python) -> Prepared {
        let scratch = Scratch::new("crossmatch");
        // Few alerts of an exposure, so that they are all over the sky; some of them beside bright stars of the sample.
        let targets = fs::read_to_string(support::root().join("catalogs/sample.csv")).unwrap();
        let target = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            Target { id: cells[0].to_owned(), ra: cells[1].parse().unwrap(), dec: cells[2].parse().unwrap() }
        };
        let targets = targets.lines().skip(1).map(target).collect();
        let settings = SimulatorConfig {
            seed: 5,
            targets,
            alerts_per_exposure: 8,
            mean_history: 3.0,
            mean_forced: 2.0,
            ..SimulatorConfig::default()
        };
        let simulator = Simulator::new(settings).unwrap();
        for index in 0..PACKETS {
            let mut packet = Vec::new();
            simulator.packet(index, &mut packet);
            scratch.write(&format!("simulated/{index:04}.avro"), packet);
        }
        let folder = scratch.folder("prepared");
        let shared = data::folder();
        let given = shared.as_deref().unwrap_or(Path::new("-"));
        let made = python.run("check_crossmatch.py", [Path::new("prepare"), &folder, &scratch.join("simulated"), given]);
        println!("{made}");

        let (table, index) = (folder.join("stars.csv"), folder.join("stars.skyz"));
        let motion = ["--id", "source_id", "--epoch", "2016", "--pm-ra", "pmra", "--pm-dec", "pmdec", "--pm-unit", "mas/yr"];
        let built = ["catalog", "build", text(&table), "-o", text(&index), "--version", "DR1", "--carry", "gmag,ruwe"];
        println!("{}", skysluice(&[&built[..], &motion[..]].concat()).trim_end());
        fs::write(folder.join("stars.json"), skysluice(&["catalog", "info", text(&index), "--json"])).unwrap();
        Prepared { _scratch: scratch, folder, real: shared.is_some() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The step with four catalogues.
    fn known(&self) -> Value {
        json!({ "crossmatch": { "name": "known", "radius": "2 arcsec", "catalogs": [
            { "catalog": self.path("list.csv"), "columns": ["kind", "weight", "count"], "engine": "kdtree" },
            {
                "catalog": self.path("stars.skyz"), "radius": "1 arcsec", "where": "gmag < 18 AND ruwe < 1.4", "nearest": 1,
                "columns": ["gmag"],
            },
            { "catalog": self.path("wide.yaml"), "radius": "own" },
            {
                "catalog": self.path("crowd.parquet"), "radius": "5 arcsec", "limit": 2, "columns": ["mag", "flag", "n*"],
                "engine": "zones",
            },
        ] } })
    }

    /// The steps behind it; `bright` tells bright alerts.
    fn others(&self, bright: Option<&str>) -> Vec<Value> {
        let class = |class: &str, condition: &str| json!({ "class": class, "where": condition });
        let mut classes = vec![
            class("star", "catalogs.stars.distance < 0.5"),
            class("blazar", "catalogs.list.kind = 'blazar' AND matches < 4"),
            class("crowded", "catalogs.crowd.capped AND (catalogs.wide.type IS NULL OR catalogs.wide.type <> 'SNR')"),
        ];
        classes.extend(bright.map(|condition| class("bright", condition)));
        classes.push(class("elsewhere", "NOT catalogs.stars.covered"));
        let lists = json!([{ "list": self.path("watch.csv") }, { "list": self.path("near.parquet"), "radius": "15 arcsec" }]);
        let urgency = [class("call", "watched > 0"), class("wait", "watched = 0")];
        let cap = json!([{ "polygon": { "vertices": [[0, 62], [80, 50], [170, 58], [290, 45]] } }]);
        vec![
            json!({ "classify": { "name": "kind", "classes": classes } }),
            json!({ "watchlist": { "name": "watch", "lists": lists, "require": false } }),
            json!({ "classify": { "name": "urgency", "column": "alarm", "classes": urgency } }),
            json!({ "region": { "name": "cap", "regions": cap, "pass": "outside" } }),
            json!({ "region": { "name": "avoid", "regions": [{ "moc": { "file": self.path("avoid.fits") } }], "pass": "outside" } }),
        ]
    }

    /// A component over a folder of packets that publishes into files.
    fn component(&self, scratch: &Scratch, name: &str, survey: &str, packets: &Path, steps: &[Value]) -> Value {
        let publish = json!([{ "topic": name, "files": scratch.join("output") }]);
        let source = json!({ "files": { "path": packets } });
        config::pipeline(scratch.path(), name, survey, source, json!({ "steps": steps, "publish": publish }))
    }
}

fn run(scratch: &Scratch, name: &str, components: Vec<Value>) -> Report {
    let file = config::file(scratch.path(), json!({}), components);
    let (report, log) = Run::start(scratch, name, &file, None).finish(LIMIT);
    assert_eq!(report.generations, 1, "{log}");
    assert!(report.components.iter().all(|c| c.dead == 0), "{report:?}");
    report
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn matches_classes_watch_lists_and_regions_are_those_of_brute_force() {
    let Some(python) = Python::ready() else { return };
    let prepared = Prepared::get(&python);
    let scratch = Scratch::new("crossmatch-run");
    let cut = json!({ "cut": { "name": "real", "where": "candidate.rb >= 0.4" } });
    let ztf = [vec![cut, prepared.known()], prepared.others(Some("candidate.magpsf < 16"))].concat();
    let mut components = vec![prepared.component(&scratch, "ztf", "ztf", &prepared.path("ztf"), &ztf)];
    if prepared.real {
        let lsst = [vec![prepared.known()], prepared.others(None)].concat();
        components.push(prepared.component(&scratch, "lsst", "lsst", &prepared.path("lsst"), &lsst));
    }
    let surveys: Vec<&str> = ["ztf", "lsst"].into_iter().take(components.len()).collect();
    let report = run(&scratch, "all", components);
    // The index of the table that was to be searched by zones, made once for both.
    let made = names(&scratch.join("data/catalogs"));
    assert!(made.len() == 1 && made[0].starts_with("crowd-"), "{made:?}");
    let index = scratch.join("data/catalogs").join(&made[0]);
    fs::write(prepared.path("crowd.json"), skysluice(&["catalog", "info", text(&index), "--json"])).unwrap();
    for survey in surveys {
        let (archive, output) = (config::archive(scratch.path(), survey), scratch.join("output").join(survey));
        let report_file = scratch.join("all.report.json");
        let said = python.run(
            "check_crossmatch.py",
            [Path::new("check"), &prepared.folder, &archive, &output, &report_file, Path::new(survey)],
        );
        println!("{survey}: {said}");
        assert_eq!(said["rows"], json!(report.component(survey).archived));
        let counts = &said["counts"];
        let count = |what: &str| counts[what].as_u64().unwrap_or_else(|| panic!("no `{what}` in {said}"));
        assert!(count("without a position") >= 5 && count("class None") >= 4, "{said}");
        if survey == "ztf" {
            assert!(said["footprint"][0].as_u64().unwrap() > 100, "{said}");
            assert!(count("matches with stars that have moved") >= 20 && count("stars: not covered") >= 50, "{said}");
            for what in ["list: alerts with a match", "wide: alerts with a match", "crowd: capped", "watch: hits", "near: hits"] {
                assert!(count(what) >= 30, "{what}: {said}");
            }
            for step in ["real", "cap", "avoid"] {
                assert!(count(&format!("skipped by {step}")) >= 3, "{step}: {said}");
            }
            assert_eq!(count("classes with alerts"), 6, "{said}");
        }
    }
}

#[test]
fn what_is_matched_again_from_the_archive_is_what_a_fresh_run_finds() {
    let Some(python) = Python::ready() else { return };
    let prepared = Prepared::get(&python);
    let scratch = Scratch::new("crossmatch-again");
    let cut = |least: f64| json!({ "cut": { "name": "real", "where": format!("candidate.rb >= {least}") } });
    let list = json!({ "crossmatch": { "catalog": prepared.path("list.csv"), "radius": "1 arcsec" } });
    let packets = prepared.path("ztf");
    run(&scratch, "first", vec![prepared.component(&scratch, "first", "ztf", &packets, &[cut(0.6), list])]);
    let (archive, exported) = (config::archive(scratch.path(), "first"), scratch.join("exported"));
    skysluice(&["archive", "export", text(&archive), "--output", text(&exported)]);
    assert!(names(&exported).len() < 10, "an exported container holds many alerts: {:?}", names(&exported));

    let later = [vec![cut(0.4), prepared.known()], prepared.others(Some("candidate.magpsf < 16"))].concat();
    let again = prepared.component(&scratch, "again", "ztf", &exported, &later);
    let fresh = prepared.component(&scratch, "fresh", "ztf", &packets, &later);
    let report = run(&scratch, "second", vec![again, fresh]);
    assert_eq!(report.component("again").archived, report.component("fresh").archived);
    let roots = ["again", "fresh"].map(|name| config::archive(scratch.path(), name));
    let said = python.run("check_crossmatch.py", [Path::new("same"), &roots[0], &roots[1]]);
    println!("{said}");
    assert_eq!(said["alerts"], json!(report.component("fresh").archived));
    assert!(said["matches"].as_u64().unwrap() > 200 && said["stars"].as_u64().unwrap() > 30, "{said}");
}

/// Alerts around which editions have sources; more than a run of this test comes to.
const ALERTS: u64 = 60_000;

/// Sources or entries of edition `n`, a little beside two thirds of the alerts, with another column.
fn edition(simulator: &Simulator, n: u64, column: &str, value: &str) -> String {
    let mut out = format!("id,ra,dec,{column}\n");
    for index in (0..ALERTS).filter(|index| index % 3 != n) {
        let alert = simulator.look(index);
        writeln!(out, "{n}-{index},{:?},{:?},{value}", alert.ra, alert.dec + (1.0 + n as f64 / 4.0) / 3600.0).unwrap();
    }
    out
}

#[test]
fn catalogues_and_lists_are_replaced_while_the_stream_runs() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("crossmatch-live");
    let simulator =
        Simulator::new(SimulatorConfig { mean_history: 1.0, mean_forced: 1.0, ..SimulatorConfig::default() }).unwrap();
    for n in [1, 2] {
        let table = scratch.write(&format!("stars-{n}.csv"), edition(&simulator, n, "edition", &n.to_string()));
        let (index, version) = (scratch.join(format!("stars-{n}.skyz")), format!("v{n}"));
        skysluice(&["catalog", "build", text(&table), "-o", text(&index), "--version", &version, "--carry", "edition"]);
        scratch.write(&format!("watch-{n}.csv"), edition(&simulator, n, "radius", "5"));
    }
    let (stars, watch) = (scratch.join("stars.skyz"), scratch.join("watch.csv"));
    let put = |content: &[u8], path: &Path| {
        fs::rename(scratch.write("coming", content), path).unwrap();
    };
    let put_edition = |n: u32| {
        put(&fs::read(scratch.join(format!("stars-{n}.skyz"))).unwrap(), &stars);
        put(&fs::read(scratch.join(format!("watch-{n}.csv"))).unwrap(), &watch);
    };
    put_edition(1);

    let source = json!({ "simulator": { "rate": 400, "previous": 1, "forced": 1 } });
    let steps = json!([
        { "crossmatch": { "catalog": stars, "radius": "2 arcsec" } },
        { "watchlist": { "lists": [{ "list": watch }] } },
    ]);
    let component = config::pipeline(scratch.path(), "live", "ztf", source, json!({ "steps": steps }));
    let mut running = Run::start(&scratch, "live", &config::file(scratch.path(), json!({}), vec![component]), None);
    let root = config::archive(scratch.path(), "live");
    let count = || glob::glob(&format!("{}/**/*.parquet", root.display())).unwrap().count();
    let more = |running: &mut Run, what: &str| {
        let before = count();
        running.await_for(what, LIMIT, |_| (count() >= before + 3).then_some(()));
    };
    more(&mut running, "files of the first edition");
    put_edition(2);
    running.await_for("the second edition", LIMIT, |process| {
        let log = process.log();
        (log.contains("catalogue taken up anew: stars v2,") && log.matches("catalogue taken up anew: watch,").count() == 1)
            .then_some(())
    });
    more(&mut running, "files of the second edition");

    // Half an index, and a list with an entry that cannot be.
    let whole = skysluice_index(&scratch, &simulator);
    put(&whole[..whole.len() / 2], &stars);
    put(b"id,ra,dec,radius\nx,10,20,5\ny,10,20,-1\n", &watch);
    running.await_for("refusals", LIMIT, |process| {
        let log = process.log();
        let told = |part: &str| log.lines().any(|line| line.contains(part) && line.contains("the edition before stays"));
        (told("stars.skyz") && told("watch.csv, line 3")).then_some(())
    });
    more(&mut running, "files after the refusals");
    running.terminate();
    let (report, log) = running.finish(LIMIT);
    assert_eq!((report.generations, report.component("live").dead), (1, 0), "{log}");
    assert!(report.component("live").archived < ALERTS, "there are no sources around the last alerts");
    assert_eq!(log.matches("catalogue taken up anew").count(), 2, "{log}");
    let said = python.run("check_crossmatch.py", [Path::new("editions"), scratch.path(), &root]);
    println!("{said}");
    for line in log.lines().filter(|line| line.contains("the edition before stays")) {
        println!("{line}");
    }
    assert_eq!(said["rows"], json!(report.component("live").archived));
    for name in ["stars", "watch"] {
        for which in ["old", "new"] {
            assert!(said["switched"][name][which].as_u64().unwrap() > 200, "{said}");
        }
    }
}

/// The bytes of an index of a third edition.
fn skysluice_index(scratch: &Scratch, simulator: &Simulator) -> Vec<u8> {
    let table = scratch.write("stars-3.csv", edition(simulator, 3, "edition", "3"));
    let index = scratch.join("stars-3.skyz");
    skysluice(&["catalog", "build", text(&table), "-o", text(&index), "--version", "v3", "--carry", "edition"]);
    fs::read(index).unwrap()
}
