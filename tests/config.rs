//! Broken configurations: what is said about each, word by word. Every `tests/config/NAME.yaml` has a `NAME.txt`; after an
//! intended change, `SKYSLUICE_BLESS=1 cargo test --test config` writes them anew, to be read before they are committed.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_schema::DataType;
use serde_json::Value;
use skysluice::config;

fn broken() -> Vec<PathBuf> {
    let folder = Path::new("tests/config");
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

#[test]
fn each_problem_is_told_with_its_place_and_what_to_write() {
    let here = std::env::current_dir().unwrap();
    let files = broken();
    assert!(files.len() >= 12, "{} files", files.len());
    for file in files {
        let error = config::load(&file).expect_err(&file.display().to_string());
        let said = error.to_string().replace(here.to_str().unwrap(), "HERE");
        let golden = file.with_extension("txt");
        if std::env::var_os("SKYSLUICE_BLESS").is_some() {
            std::fs::write(&golden, &said).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(said, wanted, "{}", golden.display());
        for problem in &error.problems {
            let span = problem.span.unwrap_or_else(|| panic!("no place: {problem}"));
            let text = std::fs::read_to_string(problem.file()).unwrap();
            let line = text.lines().nth(span.line - 1).unwrap_or_default();
            assert!(span.column <= line.chars().count() + 1, "{problem}: column {} of `{line}`", span.column);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_path() {
    let error = config::load(Path::new("tests/config/no-such-file.yaml")).unwrap_err().to_string();
    assert_eq!(
        error,
        "tests/config/no-such-file.yaml:\n  x cannot read tests/config/no-such-file.yaml: No such file or directory (os error 2)\n  \
         help: check the path and the rights of its folders\n"
    );
}

#[test]
fn what_is_said_about_a_file_never_holds_its_secrets() {
    let file = Path::new("tests/config/secrets.yaml");
    assert!(std::fs::read_to_string(file).unwrap().contains("hunter2"));
    let error = config::load(file).unwrap_err();
    assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error}");
}

/// The folder of real alerts, or a word on why there is none.
fn data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SKYSLUICE_DATA").map_or_else(beside, PathBuf::from);
    let there = folder.join("alerts").is_dir();
    if !there {
        eprintln!("skipped: no alerts in {}", folder.display());
    }
    there.then_some(folder)
}

/// A schema without what does not decide how it is read.
fn bones(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            map.iter().filter(|(key, _)| *key != "doc").map(|(key, value)| (key.clone(), bones(value))).collect()
        }
        Value::Array(list) => list.iter().map(bones).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_known_schema_of_ztf_is_that_of_its_packets() {
    let Some(data) = data() else { return };
    let packet = std::fs::File::open(data.join("alerts/ztf/2475433850015010009.avro")).unwrap();
    let reader = apache_avro::Reader::new(std::io::BufReader::new(packet)).unwrap();
    let sent: Value = serde_json::from_str(&serde_json::to_string(reader.writer_schema()).unwrap()).unwrap();
    let survey = config::builtin("ztf").unwrap();
    let known = apache_avro::Schema::parse_str(&survey.schemas[0]).unwrap();
    let known: Value = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
    assert_eq!(bones(&known), bones(&sent));
}

/// Paths of all columns, through lists.
fn columns(fields: &arrow_schema::Fields, above: &str, out: &mut BTreeSet<String>) {
    for field in fields {
        let path = if above.is_empty() { field.name().clone() } else { format!("{above}.{}", field.name()) };
        let mut kind = field.data_type();
        while let DataType::List(item) = kind {
            kind = item.data_type();
        }
        if let DataType::Struct(inner) = kind {
            columns(inner, &path, out);
        }
        out.insert(path);
    }
}

#[test]
fn the_profiles_tell_the_meaning_of_fields_that_there_are() {
    for survey in ["ztf", "lsst"] {
        let mut there = BTreeSet::new();
        for schema in Path::new("conf/schemas").join(survey).read_dir().unwrap() {
            let json = std::fs::read_to_string(schema.unwrap().path()).unwrap();
            columns(skysluice::avro::AlertSchema::parse(&json).unwrap().arrow.fields(), "", &mut there);
        }
        let profile = config::builtin(survey).unwrap();
        assert!(profile.fields.len() > 80, "{survey}: {} fields", profile.fields.len());
        let strangers: Vec<_> = profile.fields.keys().filter(|path| !there.contains(*path)).collect();
        assert_eq!(strangers, [""; 0], "{survey}");
        for paths in [&profile.ra, &profile.dec] {
            let unit = profile.fields[&paths[0].to_string()].unit.as_deref();
            assert_eq!(unit, Some("deg"), "{survey}: {}", paths[0]);
        }
    }
}

/// The schema of a version as it was written, in canonical form: names, types and their order.
#[test]
fn the_known_schemas_of_lsst_are_those_of_its_packets_and_of_its_published_files() {
    let Some(data) = data() else { return };
    let known = &config::builtin("lsst").unwrap().schema_ids;
    let versions: Vec<u32> = known.keys().copied().collect();
    assert_eq!(versions, [700, 701, 702, 703, 704, 800, 900, 1000, 1100]);
    for (id, json) in known {
        let version = format!("{}.{}", id / 100, id % 100);
        let known = apache_avro::Schema::parse_str(json).unwrap().canonical_form();
        let packet = std::fs::File::open(data.join(format!("alerts/lsst/fakeAlert-v{version}.avro"))).unwrap();
        let sent = apache_avro::Reader::new(std::io::BufReader::new(packet)).unwrap().writer_schema().canonical_form();
        assert_eq!(known, sent, "{version}");
        let files: Vec<(String, String)> = data
            .join(format!("alerts/lsst-schemas/{version}"))
            .read_dir()
            .unwrap()
            .map(|file| {
                let path = file.unwrap().path();
                (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
            })
            .collect();
        let root = format!("lsst.v{}_{}.alert", id / 100, id % 100);
        let published = skysluice::avro::resolve(&files, &root).unwrap();
        assert_eq!(known, apache_avro::Schema::parse_str(&published).unwrap().canonical_form(), "{version}");
    }
}

#[test]
fn the_profile_of_lsst_finds_its_fields_in_every_version() {
    let Some(data) = data() else { return };
    let survey = config::builtin("lsst").unwrap();
    let mut versions = 0;
    for folder in data.join("alerts/lsst-schemas").read_dir().unwrap() {
        let folder = folder.unwrap().path();
        let mut records: BTreeMap<String, Value> = BTreeMap::new();
        for file in folder.read_dir().unwrap() {
            let record: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
            records.insert(record["name"].as_str().unwrap().rsplit('.').next().unwrap().to_owned(), record);
        }
        let has = |path: &config::FieldPath| {
            let mut record = &records["alert"];
            for (depth, name) in path.0.iter().enumerate() {
                let fields = record["fields"].as_array().unwrap();
                let Some(field) = fields.iter().find(|field| field["name"] == name.as_str()) else { return false };
                if depth + 1 < path.0.len() {
                    let kind = field["type"].as_str().or_else(|| field["type"][1].as_str()).unwrap();
                    record = &records[kind.rsplit('.').next().unwrap()];
                }
            }
            true
        };
        let config::Survey { alert_id, object_id, ra, dec, time, magnitude, history, cutouts, solar_system, .. } = &*survey;
        for paths in [alert_id, object_id, ra, dec, time, magnitude, history, cutouts, solar_system] {
            assert!(paths.iter().any(has), "{}: none of {paths:?}", folder.display());
        }
        versions += 1;
    }
    assert!(versions >= 9, "{versions} versions");
}
