//! `archive.columns`: an archive of some of the fields, with steps and outputs that read others; what `validate` says of paths
//! that lead nowhere.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use skysluice_simulator::{Simulator, SimulatorConfig};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;

const ALERTS: u64 = 300;

/// Packets of the simulator as files.
fn packets(scratch: &Scratch) {
    let simulator = Simulator::new(SimulatorConfig { seed: 11, ..SimulatorConfig::default() }).unwrap();
    let mut packet = Vec::new();
    for index in 0..ALERTS {
        packet.clear();
        simulator.packet(index, &mut packet);
        scratch.write(&format!("packets/{index:04}.avro"), &packet);
    }
}

/// A night with a cut on `candidate.magpsf` and an output by `candidate.magap`.
fn night(columns: &Value) -> Value {
    json!({
        "service": { "data": "state" },
        "components": [{
            "name": "night",
            "type": "pipeline",
            "survey": "ztf",
            "source": { "files": { "path": "packets" } },
            "steps": [{ "cut": { "where": "candidate.magpsf < 18.5" } }],
            "archive": { "root": "archive", "columns": columns },
            "publish": [{ "topic": "broad", "files": "output", "where": "candidate.magap < candidate.magpsf" }],
        }],
    })
}

#[test]
fn an_archive_of_some_columns_is_cut_and_published_by_others() {
    let Some(python) = Python::ready() else { return };
    for (name, columns, kept) in [
        (
            "chosen",
            json!(["candid", "candidate.ra", "candidate.dec", "prv_cand*.mag*", "cutoutScience.fileName"]),
            json!({
                "candid": true,
                "candidate": { "ra": true, "dec": true },
                "prv_candidates": [{ "magpsf": true, "magap": true, "magnr": true, "magdiff": true, "magfromlim": true,
                    "magapbig": true, "magzpsci": true, "magzpsciunc": true, "magzpscirms": true }],
                "cutoutScience": { "fileName": true },
            }),
        ),
        (
            "cutless",
            json!("all except cutouts"),
            json!({
                "schemavsn": true, "publisher": true, "objectId": true, "candid": true, "candidate": true, "prv_candidates": true,
                "fp_hists": true, "cutoutScience": { "fileName": true }, "cutoutTemplate": { "fileName": true },
                "cutoutDifference": { "fileName": true },
            }),
        ),
    ] {
        let scratch = Scratch::new(&format!("columns-{name}"));
        packets(&scratch);
        let (report, _) = Run::start(&scratch, name, &night(&columns), None).finish(Duration::from_secs(120));
        let night = report.component("night");
        assert_eq!((night.archived, night.dead), (ALERTS, 0));
        let kept = scratch.write("kept.json", kept.to_string());
        let paths = [scratch.join("archive"), scratch.join("packets"), scratch.join("output"), kept];
        let counted = python.run("compare_columns.py", paths);
        eprintln!("{name}: {counted}");
        assert_eq!(counted["rows"], ALERTS);
        let (passed, sent) = (counted["passed"].as_u64().unwrap(), counted["sent"].as_u64().unwrap());
        assert!(0 < sent && sent < passed && passed < ALERTS, "{counted}");
        assert_eq!(sent, night.published["broad"].messages);
    }
}

#[test]
fn a_path_that_no_known_schema_has_is_refused_at_its_place() {
    let scratch = Scratch::new("columns-validate");
    let told = |columns: &str| {
        let text = format!(
            "components:\n  - name: night\n    type: pipeline\n    survey: ztf\n    source: {{ simulator: {{}} }}\n    archive:\n      \
             root: archive\n      columns: {columns}\n"
        );
        let file = scratch.write("night.yaml", text);
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_skysluice"))).arg("validate").arg(file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(told("[objectId, candidate.*, prv_candidates.magpsf, cutout*]"), (Some(0), String::new()));
    let (code, text) = told("[objectId, prv_candidates.magpfs]");
    assert_eq!(code, Some(78));
    for part in [
        "no schema of the survey has a field `prv_candidates.magpfs`",
        "night.yaml:8:27",
        "did you mean `prv_candidates.magpsf`?",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let (code, text) = told("[matches]");
    assert!(code == Some(78) && text.contains("columns that steps add are always archived"), "{text}");
}
