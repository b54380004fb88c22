//! What is archived, looked at by the program's own tools and by readers of others.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use skysluice_simulator::{Simulator, SimulatorConfig};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, data};

const LIMIT: Duration = Duration::from_secs(120);

fn archive(verb: &str, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_skysluice");
    Command::new(program).args(["archive", verb]).args(arguments).current_dir(support::root()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(output)))
}

/// Runs a folder of packets into an archive; gives its root, the configuration and the report.
fn archived(scratch: &Scratch, name: &str, profile: &str, packets: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let source = json!({ "files": { "path": packets } });
    let component = config::pipeline(scratch.path(), name, profile, source, json!({}));
    let file = config::file(scratch.path(), json!({}), vec![component]);
    let (report, _) = Run::start(scratch, name, &file, None).finish(LIMIT);
    assert_eq!((report.component(name).dead, report.component(name).skipped), (0, 0));
    let report = scratch.join(format!("{name}.report.json"));
    (config::archive(scratch.path(), name), scratch.join(format!("{name}.yaml")), report)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect();
    all.sort();
    all
}

/// A folder of simulated packets.
fn simulated(scratch: &Scratch, count: u64) -> PathBuf {
    let simulator = Simulator::new(SimulatorConfig::default()).unwrap();
    for index in 0..count {
        let mut packet = Vec::new();
        simulator.packet(index, &mut packet);
        scratch.write(&format!("packets/{index:04}.avro"), packet);
    }
    scratch.join("packets")
}

#[test]
fn what_is_exported_is_what_the_surveys_sent_as_fastavro_reads_it() {
    let (Some(python), Some(data)) = (Python::ready(), data::folder()) else { return };
    let scratch = Scratch::new("archive-export");
    let mut folders: Vec<(&str, &str, PathBuf)> = ["ztf", "elasticc", "lsst", "atlas", "winter", "pgir", "turbo"]
        .map(|survey| (survey, survey, data.join("alerts").join(survey)))
        .into();
    folders.push(("ztf-snappy", "ztf", data.join("alerts/ztf-snappy")));
    folders.push(("simulated", "ztf", simulated(&scratch, 200)));
    for (name, profile, packets) in folders {
        let (root, configuration, report) = archived(&scratch, name, profile, &packets);
        let checked = archive("check", &[path(&configuration), "--report", path(&report)]);
        assert!(checked.status.success() && text(&checked).contains("nothing is wrong"), "{name}: {}", text(&checked));
        let folder = scratch.join(format!("exported-{name}"));
        let exported = archive("export", &[path(&root), "--output", path(&folder)]);
        assert!(exported.status.success(), "{name}: {}", text(&exported));
        let compared = python.run("compare_export.py", [&folder, &packets]);
        assert_eq!(compared["records"], json_of(&archive("ls", &[path(&root), "--json"]))["total"]["rows"]);
        let _ = writeln!(std::io::stderr(), "{name}: {compared}");
    }
}

#[test]
fn pyarrow_is_told_units_and_meanings_of_nested_fields() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("archive-units");
    let packets = simulated(&scratch, 3);
    let (root, configuration, _) = archived(&scratch, "night", "ztf", &packets);
    let told = python.run("field_meanings.py", [&root]);
    let fields = &told["fields"];
    assert_eq!(fields["candidate.ra"], json!({ "unit": "deg", "doc": "Right ascension, ICRS" }));
    assert_eq!(fields["candidate.magpsf"]["unit"], "mag");
    assert_eq!(fields["prv_candidates.jd"]["unit"], "d");
    assert_eq!(fields["prv_candidates.sigmapsf"]["unit"], "mag");
    assert_eq!(fields["fp_hists.forcediffimflux"]["unit"], "adu");
    assert_eq!(fields["cutoutScience.stampData"]["unit"], Value::Null);
    assert!(fields["cutoutScience.stampData"]["doc"].as_str().unwrap().contains("FITS"));
    assert_eq!(fields["skysluice.offset"]["doc"], "offset of the message in the partition");
    assert!(fields.as_object().unwrap().len() > 80, "{fields}");

    let footer = &told["footer"];
    let validated = Command::new(env!("CARGO_BIN_EXE_skysluice")).arg("validate").arg(&configuration).output().unwrap();
    let fingerprint = footer["skysluice.configuration"].as_str().unwrap();
    assert!(String::from_utf8_lossy(&validated.stdout).contains(fingerprint), "{fingerprint}: {validated:?}");
    assert_eq!((&footer["skysluice.version"], &footer["skysluice.survey"]), (&json!(env!("CARGO_PKG_VERSION")), &json!("ztf")));
    for key in ["skysluice.component", "skysluice.catalogs", "skysluice.schema", "skysluice.fingerprint", "skysluice.ranges"] {
        assert!(footer[key].is_string(), "{key}: {footer}");
    }
}

#[test]
fn an_archive_is_listed_checked_and_its_damage_named() {
    let scratch = Scratch::new("archive-check");
    let (root, configuration, report) = archived(&scratch, "night", "ztf", &simulated(&scratch, 40));

    let listed = archive("ls", &[path(&root)]);
    assert!(listed.status.success(), "{}", text(&listed));
    for part in ["component night:", "schema ztf.alert ", "40 rows", "[0] 0..39"] {
        assert!(text(&listed).contains(part), "no {part} in:\n{}", text(&listed));
    }
    let by_configuration = json_of(&archive("ls", &[path(&configuration), "--json"]));
    assert_eq!(by_configuration, json_of(&archive("ls", &[path(&root), "--json"])));
    assert_eq!((&by_configuration["total"]["rows"], &by_configuration["not_in_archive"]), (&json!(40), &json!([])));

    let checked = archive("check", &[path(&configuration), "--report", path(&report), "--json"]);
    assert_eq!((checked.status.code(), &json_of(&checked)["findings"]), (Some(0), &json!([])), "{}", text(&checked));
    let twice = archive("check", &[path(&root), "--report", path(&report), "--report", path(&report)]);
    assert!(twice.status.code() == Some(1) && text(&twice).contains("40 rows are missing"), "{}", text(&twice));

    scratch.write("staging/night/night/00000009.part", "PAR1 half");
    let noted = archive("check", &[path(&configuration)]);
    assert!(noted.status.success() && text(&noted).contains("note: an unfinished file"), "{}", text(&noted));

    let file = files(&root)[0].clone();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    let found = archive("check", &[path(&root), "--report", path(&report)]);
    assert_eq!(found.status.code(), Some(1));
    for part in ["no whole Parquet file", path(&file), "restore it", "rows are missing"] {
        assert!(text(&found).contains(part), "no {part} in:\n{}", text(&found));
    }
    assert_eq!(archive("ls", &[path(&root)]).status.code(), Some(1));
    let refused = archive("export", &[path(&root), "-o", path(&scratch.join("out.avro"))]);
    assert!(refused.status.code() == Some(1) && !scratch.join("out.avro").exists(), "{}", text(&refused));
}

#[test]
fn what_is_not_there_is_told_with_what_to_do() {
    let scratch = Scratch::new("archive-usage");
    let component = |name: &str| config::pipeline(scratch.path(), name, "ztf", json!({ "simulator": { "count": 1 } }), json!({}));
    let both = config::file(scratch.path(), json!({}), vec![component("a"), component("b")]);
    let both = scratch.write("both.yaml", both.to_string());
    let said = |verb: &str, arguments: &[&str], code: i32| {
        let output = archive(verb, arguments);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        text(&output)
    };
    assert!(said("ls", &[path(&both)], 1).contains("choose one with --component"));
    assert!(said("ls", &[path(&both), "--component", "c"], 1).contains("no component is named c; there are a, b"));
    assert!(said("check", &[path(&scratch.join("nowhere"))], 1).contains("nowhere"));
    assert!(said("export", &[path(scratch.path()), "-o", "x"], 1).contains("no archived files"));
    assert!(said("ls", &[path(scratch.path()), "--hour", "today"], 2).contains("is no hour"));
    assert!(said("ls", &[path(&scratch.write("bad.yaml", "components: []"))], 78).contains("components"));
}
