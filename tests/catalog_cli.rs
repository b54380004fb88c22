//! `skysluice catalog` as an astronomer meets it: indexes built of real catalogues, shown, checked, searched; tables matched, and
//! held against astropy row by row; builds that are killed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::python::Python;
use support::scratch::Scratch;
use support::{await_for, root};

const LIMIT: Duration = Duration::from_secs(120);

fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skysluice")).arg("catalog").args(arguments).current_dir(root()).output().unwrap()
}

/// What a call prints that has to succeed.
fn good(arguments: &[&str]) -> String {
    let output = run(arguments);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {wrong}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code and what is printed of a call that has to fail.
fn bad(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} went well: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let long = text.lines().find(|line| line.chars().count() > 300);
    assert!(long.is_none(), "a line is too long to read: {long:?}");
}

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".pids" && !name.ends_with(".log"));
    names.sort();
    names
}

/// The real catalogues, with how they are described and called.
const REAL: [(&str, &str, &str); 3] =
    [("3hsp.csv", "3hsp", "3hsp"), ("gcvs.parquet", "gcvs", "gcvs"), ("table-4LAC-DR3-l.fits", "4lac", "4lac-dr3")];

/// Builds indexes of them in a folder.
fn build_real(folder: &Path) -> Option<(PathBuf, Vec<(PathBuf, String)>)> {
    let data = support::data::folder()?.join("catalogs");
    let built = REAL.map(|(file, description, name)| {
        let index = folder.join(format!("{name}.skyz"));
        let description = format!("catalogs/{description}.yaml");
        let said = good(&["build", text(&data.join(file)), "--describe", &description, "-o", text(&index)]);
        (index, said)
    });
    Some((data, built.to_vec()))
}

#[test]
fn real_catalogues_are_built_shown_listed_and_a_flipped_byte_is_found() {
    let scratch = Scratch::new("catalog-real");
    let folder = scratch.folder("indexes");
    let Some((_, built)) = build_real(&folder) else { return };
    for (index, said) in &built {
        has(said, &[text(index), " sources of ", " left out; ", " bytes a source"]);
    }
    let [hsp, gcvs, lac] = [0, 1, 2].map(|i| built[i].0.clone());
    has(
        &good(&["info", text(&hsp)]),
        &["3hsp: 3HSP, high-synchrotron-peaked blazars", "ids are texts", "Chang et al. 2019", "figure_of_merit", "xxh3:"],
    );
    has(&good(&["info", text(&gcvs)]), &["gcvs, version 5.1", "ids are numbers", "HEALPix order", "type"]);
    let about = json(&good(&["info", text(&lac), "--json", "--rows", "2"]));
    assert_eq!((about["name"].as_str(), about["version"].as_str()), (Some("4lac-dr3"), Some("DR3")));
    assert_eq!(about["first_rows"].as_array().unwrap().len(), 2);
    let units: Vec<_> = about["columns"].as_array().unwrap().iter().map(|c| c["unit"].as_str().unwrap()).collect();
    assert!(units.iter().any(|unit| unit.contains("erg")), "units come from the FITS header: {units:?}");
    assert!(about["bytes_per_source"].as_f64().unwrap() > 8.0);

    // A table beside the indexes, and the descriptions of the repository.
    std::fs::copy(root().join("catalogs/sample.csv"), folder.join("sample.csv")).unwrap();
    std::fs::copy(root().join("catalogs/README.md"), folder.join("README.md")).unwrap();
    let listed = good(&["ls", text(&folder), "catalogs"]);
    has(&listed, &["3hsp.skyz", "5.1", "DR3", "zones", "sample.csv", "gaia-dr3.yaml", "without a table"]);
    assert!(!listed.contains("README"), "{listed}");
    assert_eq!(json(&good(&["ls", text(&folder), "--json"])).as_array().unwrap().len(), 4);

    has(
        &good(&["check", text(&hsp), text(&gcvs), text(&lac)]),
        &["3hsp.skyz: whole: ", "gcvs.skyz: whole: ", "found where they are"],
    );
    let whole = std::fs::read(&gcvs).unwrap();
    for place in [3, 9, 100, 5_000, whole.len() / 3, whole.len() / 2, whole.len() - 300] {
        let mut bytes = whole.clone();
        // Where there is padding between sections, a byte is nobody's.
        let place = (0..=place).rev().find(|at| bytes[*at] != 0).unwrap();
        bytes[place] ^= 0x20;
        std::fs::write(&gcvs, &bytes).unwrap();
        let (code, told) = bad(&["check", text(&hsp), text(&gcvs)]);
        assert_eq!(code, Some(1), "byte {place}");
        has(&told, &["3hsp.skyz: whole: ", "gcvs.skyz"]);
        assert!(
            ["is damaged", "is not a zone index", "this program reads"].iter().any(|t| told.contains(t)),
            "byte {place}: {told}"
        );
    }
    std::fs::write(&gcvs, &whole[..whole.len() - 4_096]).unwrap();
    has(&bad(&["check", text(&gcvs), "--json"]).1, &["\"whole\": false", "bytes of"]);
    has(&good(&["ls", text(&folder)]), &["gcvs.skyz: zone index"]);
}

#[test]
fn matches_of_the_real_catalogues_are_those_of_astropy() {
    let scratch = Scratch::new("catalog-match");
    let Some((data, built)) = build_real(scratch.path()) else { return };
    let Some(python) = Python::ready() else { return };
    let index = |name: &str| built[REAL.iter().position(|real| real.2 == name).unwrap()].0.clone();
    let mut jobs = Vec::new();
    for (number, (left, rights, radius, mode, ending)) in [
        ("3hsp", vec!["gcvs", "4lac-dr3"], "1.5arcsec", "all", "parquet"),
        ("3hsp", vec!["4lac-dr3", "gcvs"], "1 deg", "all", "csv"),
        ("3hsp", vec!["4lac-dr3", "gcvs"], "30 arcmin", "nearest", "parquet"),
        ("gcvs", vec!["gcvs"], "10 arcsec", "all", "parquet"),
        ("gcvs", vec!["3hsp", "4lac-dr3"], "3 arcsec", "unmatched", "parquet"),
        ("gcvs", vec!["3hsp", "4lac-dr3"], "2 deg", "nearest", "csv"),
        ("4lac-dr3", vec!["gcvs", "3hsp"], "5 deg", "nearest", "parquet"),
        ("4lac-dr3", vec!["3hsp", "gcvs"], "20 arcmin", "unmatched", "csv"),
    ]
    .into_iter()
    .enumerate()
    {
        let real = REAL.iter().find(|real| real.2 == left).unwrap();
        let out = scratch.join(format!("{number}.{ending}"));
        let (table, description) = (data.join(real.0), format!("catalogs/{}.yaml", real.1));
        // Nothing of the input is carried: the columns of a catalogue that is matched with itself keep their names.
        let mut arguments = vec!["match", text(&table), "--describe", &description, "--radius", radius, "-o", text(&out)];
        let indexes: Vec<PathBuf> = rights.iter().map(|name| index(name)).collect();
        indexes.iter().for_each(|path| arguments.extend(["--catalog", text(path)]));
        match mode {
            "nearest" => arguments.push("--nearest"),
            "unmatched" => arguments.push("--unmatched"),
            _ => {}
        }
        has(&good(&arguments), &[" positions in ", " positions with a match, "]);
        let (value, unit) = radius.split_at(radius.find(|c: char| c.is_alphabetic()).unwrap());
        let factor = match unit {
            "deg" => 3_600.0,
            "arcmin" => 60.0,
            _ => 1.0,
        };
        let arcsec = value.trim().parse::<f64>().unwrap() * factor;
        jobs.push(format!("{};{left};{};{arcsec};{mode}", text(&out), rights.join(",")));
    }
    let said = python.run("check_matches.py", [vec![text(&data).to_owned()], jobs].concat());
    let pairs: Vec<u64> = said["jobs"].as_array().unwrap().iter().map(|job| job["pairs"].as_u64().unwrap()).collect();
    println!("{said}");
    assert!(
        pairs[0] > 20 && pairs[1] > 1_000 && pairs[2] > 500 && pairs[3] > 50_000 && pairs[5] > 10_000 && pairs[6] > 200,
        "{said}"
    );
}

/// A patch of sky with so many sources: id, ra, dec, mag.
fn patch(count: u64) -> String {
    let mut out = String::from("id,ra,dec,mag\n");
    let mut random = support::random::Random::new();
    for id in 0..count {
        let mut unit = || random.between(0, 1 << 40) as f64 / (1u64 << 40) as f64;
        let (ra, dec, mag) = (100.0 + 10.0 * unit(), -5.0 + 10.0 * unit(), 12.0 + 8.0 * unit());
        writeln!(out, "{id},{ra:.8},{dec:.8},{mag:.3}").unwrap();
    }
    out
}

#[test]
fn a_position_is_asked_for_in_every_dress_and_not_covered_is_no_empty_answer() {
    let scratch = Scratch::new("catalog-query");
    let sample = "catalogs/sample.csv";
    let index = scratch.join("sample.skyz");
    good(&["build", sample, "--carry", "class", "-o", text(&index)]);
    let first = json(&good(&["query", sample, "187.70593", "12.39112", "10arcsec", "--json"]));
    assert_eq!((first["count"].as_u64(), first["sources"][0]["id"].as_str()), (Some(1), Some("m-87")));
    assert!(first["sources"][0]["columns"]["class"].is_string());
    for position in [["12:30:49.4232", "12:23:28.032"], ["12h30m49.4232s", "+12d23m28.032s"], ["187d42m21.348s", "12.39112"]] {
        let got = json(&good(&["query", text(&index), position[0], position[1], "0.2 arcmin", "--json"]));
        assert_eq!((got["count"].as_u64(), &got["sources"][0]["id"]), (Some(1), &json!("m-87")), "{position:?}");
        let (one, other) = (got["sources"][0]["distance"].as_f64().unwrap(), first["sources"][0]["distance"].as_f64().unwrap());
        assert!((one - other).abs() < 1e-6, "{position:?}: {one} {other}");
    }
    // South of the equator a declination looks like an option.
    let rigel = scratch.write(
        "rigel.csv",
        "name,ra,dec,pmra,pmdec\nrigel,78.63446707,-8.20163836,1.31,0.5\nbarnard,269.452,4.6934,-801.551,10362.394\n",
    );
    let got = good(&["query", text(&rigel), "05:14:32.27", "-08:12:05.9", "5arcsec", "--csv"]);
    has(&got, &["id,ra,dec,distance,pmra,pmdec", "rigel,78.63446707,-8.20163836,0."]);
    has(
        &good(&["query", text(&rigel), "78.6344", "-8.2016", "5arcsec"]),
        &["1 source within 5 arcsec", "05:14:32.26 -08:12:05.8", "rigel"],
    );
    has(&good(&["query", text(&rigel), "0", "-90", "1deg"]), &["0 sources within 3600 arcsec"]);

    let moving = scratch.join("moving.skyz");
    let motion = ["--pm-ra", "pmra", "--pm-dec", "pmdec", "--pm-unit", "mas/yr", "--epoch", "2016", "--version", "7"];
    good(&[&["build", text(&rigel), "-o", text(&moving)], &motion[..]].concat());
    has(
        &good(&["info", text(&moving)]),
        &["version 7", "epoch 2016.0", "1 sources move by more than 0.3 arcsec between 2018 and 2036"],
    );
    // Ten years on it is 103.6 arcseconds north and 8 west.
    let there = ["query", text(&moving), "269.449766", "4.722184", "0.1arcsec"];
    has(&good(&[&there[..], &["--epoch", "2026"]].concat()), &["1 source within 0.1 arcsec", "barnard"]);
    has(&good(&there), &["0 sources"]);

    let dense = scratch.write("dense.csv", patch(40_000));
    let dense_index = scratch.join("dense.skyz");
    good(&["build", text(&dense), "--carry", "m*", "-o", text(&dense_index)]);
    has(&good(&["info", text(&dense_index)]), &["% of the sky", "ids are numbers", "mag"]);
    let inside = json(&good(&["query", text(&dense_index), "105", "0", "0.2deg", "--json", "--limit", "3"]));
    assert_eq!((inside["covered"].as_bool(), inside["sources"].as_array().unwrap().len()), (Some(true), 3));
    assert!(inside["count"].as_u64().unwrap() > 20 && inside["sources"][0]["id"].is_u64());
    has(&good(&["query", text(&dense_index), "15", "+10", "1arcsec"]), &["0 sources", "not covered"]);
    let out = scratch.join("out.csv");
    has(
        &good(&["match", sample, "--catalog", text(&dense_index), "--radius", "5arcsec", "-o", text(&out)]),
        &["positions not covered"],
    );
}

#[test]
fn sources_are_found_from_within_their_own_radius() {
    let scratch = Scratch::new("catalog-own");
    let list = scratch.write("list.csv", "id,ra,dec,radius\nwide,10,10,30\nnarrow,10,10.2,1\n");
    let index = scratch.join("list.skyz");
    let build = ["build", text(&list), "--radius-column", "radius", "-o", text(&index)];
    good(&[&build[..], &["--radius-unit", "arcmin"]].concat());
    has(&good(&["info", text(&index)]), &["each source has a radius of its own", "1800", "60"]);
    has(&good(&["query", text(&index), "10", "10.1", "own"]), &["1 source whose own radius reaches there", "wide"]);
    let table = scratch.write("t.csv", "id,ra,dec\na,10,10.19\nb,10,10.4\nc,10,10.6\n");
    let out = scratch.join("out.csv");
    good(&["match", text(&table), "--catalog", text(&index), "--radius", "own", "-o", text(&out), "--unmatched"]);
    let got = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<String> = got
        .lines()
        .skip(1)
        .map(|l| l.split(',').enumerate().filter(|(i, _)| [0, 5].contains(i)).map(|(_, c)| c).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, ["a narrow", "a wide", "b wide", "c "], "{got}");
    std::fs::write(&list, "id,ra,dec,radius\nwide,10,10,30\nnarrow,10,10.2,-1\n").unwrap();
    has(&bad(&[&build[..], &["--force"]].concat()).1, &["list.csv, line 3: the radius -1 is not between"]);
    has(&bad(&["query", "catalogs/sample.csv", "1", "1", "own"]).1, &["sample has no radii of its own"]);
}

#[test]
fn bad_rows_are_named_by_their_line_and_wrong_usage_is_answered() {
    let scratch = Scratch::new("catalog-bad");
    let table = scratch.write("x.csv", "id,ra,dec\na,10,20\nb,11,\nc,12,99\na,13,20\n");
    let index = scratch.join("x.skyz");
    let build = ["build", text(&table), "-o", text(&index)];
    let (code, told) = bad(&build);
    assert_eq!(code, Some(1));
    has(&told, &["x.csv, line 3: it has no declination"]);
    assert_eq!(names(scratch.path()), ["x.csv"], "nothing is left of a failed build");
    let output = run(&[&build[..], &["--count"]].concat());
    has(&String::from_utf8_lossy(&output.stdout), &["2 sources of 4 rows, 2 left out"]);
    has(&String::from_utf8_lossy(&output.stderr), &["2 rows left out: line 3", "1 ids used again: `a` in line 2 and line 5"]);
    has(&good(&["info", text(&index)]), &["left out   2 rows: line 3 (it has no declination); line 4 (declination 99"]);
    has(&bad(&build).1, &["x.skyz exists already", "--force"]);
    good(&[&build[..], &["--count", "--force", "--keep", "positions", "--memory", "64MiB"]].concat());
    has(&good(&["info", text(&index)]), &["no ids", "right to 0.17 mas"]);

    let description = scratch.write("x.yaml", "name: x\npath: x.csv\nrejects: count\ncolums: {}\n");
    let (code, told) = bad(&["build", text(&description)]);
    assert_eq!(code, Some(78));
    has(&told, &["x.yaml:4:1", "did you mean `columns`?"]);
    scratch.write("x.yaml", "name: x\npath: x.csv\nrejects: count\n");
    // The description stands for its table wherever a table can be.
    has(&good(&["query", text(&description), "10", "20", "1arcsec"]), &["x around", "1 source"]);
    for (arguments, code, part) in [
        (&["query", "catalogs/sample.csv", "1", "1", "1.5"][..], 2, "write the unit, such as `1.5 arcsec`"),
        (&["query", "catalogs/sample.csv", "1", "91", "1deg"], 1, "declination 91 is not between"),
        (&["query", "catalogs/sample.csv", "1", "x", "1deg"], 1, "declination `x` cannot be read"),
        (&["query", "none.skyz", "1", "1", "1deg"], 1, "none.skyz: cannot be opened"),
        (&["info", "catalogs/sample.csv"], 1, "sample.csv is not a zone index"),
        (&["info", "catalogs"], 1, "catalogs is a folder: `skysluice catalog ls`"),
        (&["ls", "nowhere"], 1, "nowhere: No such file"),
        (&["build", "catalogs/sample.csv", "--ra", "rah"], 1, "there is no column `rah`; did you mean `ra`?"),
        (&["build", "catalogs/gaia-dr3.yaml"], 1, "it names no table"),
        (&["build", "catalogs/sample.csv", "--memory", "1MiB"], 1, "64 MiB at least"),
        (
            &["match", "catalogs/sample.csv", "--catalog", "catalogs/sample.csv", "--radius", "1arcsec", "-o", "x.txt"],
            1,
            "end in .parquet or .csv",
        ),
    ] {
        let (got, told) = bad(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {told}");
        has(&told, &[part]);
    }
}

#[test]
fn a_killed_build_leaves_the_old_index_and_the_next_one_begins_anew() {
    let scratch = Scratch::new("catalog-killed");
    let old = scratch.write("old.csv", "id,ra,dec\n1,2,3\n");
    let target = scratch.join("big.skyz");
    good(&["build", text(&old), "-o", text(&target)]);
    let before = std::fs::read(&target).unwrap();
    const ROWS: u64 = 3_000_000;
    let table = scratch.write("big.csv", patch(ROWS));
    let arguments = ["build", text(&table), "-o", text(&target), "--force", "--carry", "mag", "--memory", "64 MiB"];
    let working = scratch.join(".big.skyz.building");
    let size = |name: &str| std::fs::metadata(working.join(name)).map_or(0, |about| about.len());
    // While rows are put aside, and while they are brought into their order.
    for (n, (file, least)) in [("records", 20_000_000), ("index", 10_000_000)].into_iter().enumerate() {
        let program = Path::new(env!("CARGO_BIN_EXE_skysluice"));
        let mut build = scratch.spawn(&format!("build-{n}"), program, |command| {
            command.arg("catalog").args(arguments);
        });
        await_for(&format!("a large {file}"), LIMIT, || (size(file) > least).then_some(()));
        assert!(build.exited().is_none(), "it was too fast to be killed: {}", build.log());
        build.kill_9();
        assert_eq!(std::fs::read(&target).unwrap(), before, "the old index is as it was");
        assert!(working.exists(), "a killed build cannot clean up");
        has(&good(&["check", text(&target)]), &["whole: 1 sources"]);
    }
    let said = good(&arguments);
    has(&said, &["3,000,000 sources of 3,000,000 rows, 0 left out"]);
    assert_eq!(names(scratch.path()), ["big.csv", "big.skyz", "old.csv"], "nothing is left over");
    has(&good(&["check", text(&target)]), &["whole: 3,000,000 sources"]);
    let about = json(&good(&["info", text(&target), "--json"]));
    assert_eq!(about["sources"].as_u64(), Some(ROWS));
    println!("{said}");
}
