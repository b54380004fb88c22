//! The data folder of the version before is taken over in the middle of a stream; that of a newer one is left alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, simulator};

/// All files below a folder with what they hold.
fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn an_older_data_folder_is_taken_over_and_a_newer_one_is_left_alone() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("upgrade");
    let folder = scratch.path();
    let (input, output) = (kafka.topic("upgrade", 2), kafka.topic("upgrade-out", 2));
    let more = json!({ "publish": [{ "topic": output }] });
    let component = config::pipeline(folder, "upgrade", "ztf", config::until_end(kafka, &[&input], "upgrade"), more);
    let configuration = config::file(folder, json!({}), vec![component]);
    let start = |kafka: &Kafka, seed| {
        kafka.produce(&input, simulator::alerts(seed, 500, 2));
        Run::start(&scratch, "upgrade", &configuration, None)
    };
    start(kafka, 1).finish(Duration::from_secs(60));
    let format = folder.join("data/format");
    assert_eq!(fs::read_to_string(&format).unwrap(), "1\n");

    // Before there was a number, the folder looked like this.
    fs::remove_file(&format).unwrap();
    let (_, log) = start(kafka, 2).finish(Duration::from_secs(60));
    assert!(log.contains("earlier version is taken over"), "{log}");
    assert_eq!(fs::read_to_string(&format).unwrap(), "1\n");

    fs::write(&format, "2\n").unwrap();
    let before = contents(folder.join("data").as_path());
    let ended = start(kafka, 3).wait(Duration::from_secs(60));
    assert_eq!(ended.code, Some(78), "{}", ended.log);
    assert!(ended.log.contains("is of format 2, made by a newer Skysluice"), "{}", ended.log);
    let file = folder.join("upgrade.yaml");
    let validated = Command::new(env!("CARGO_BIN_EXE_skysluice")).arg("validate").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&validated.stderr);
    assert!(validated.status.code() == Some(78) && said.contains("made by a newer Skysluice"), "{validated:?}");
    assert!(contents(folder.join("data").as_path()) == before, "what belongs to a newer program was changed");

    // Nothing was lost by being refused.
    fs::write(&format, "1\n").unwrap();
    start(kafka, 4).finish(Duration::from_secs(60));
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &config::archive(folder, "upgrade"), &[(&input, ends.clone())], &[]);
    assert_eq!(oracle::at_least_once(kafka, &output, &ends, &[]), 0);
}
