//! The demonstration: a simulated night into Parquet and Avro, without any server, looked at by others.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::python::Python;
use support::scratch::Scratch;
use support::tail;

#[test]
fn what_the_demo_archives_is_what_it_publishes() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("demo");
    let folder = scratch.join("night");
    let demo = |alerts: &str| {
        let mut process = scratch.spawn("demo", Path::new(env!("CARGO_BIN_EXE_skysluice")), |command| {
            command.args(["demo", "--alerts", alerts, "--dir"]).arg(&folder).current_dir(support::root());
        });
        let status = process.wait(Duration::from_secs(120));
        (status.code(), process.log())
    };
    let (code, log) = demo("1000");
    assert_eq!(code, Some(0), "{}", tail(&log, 40));
    let compared = python.run("compare_demo.py", [&folder]);
    assert_eq!(compared["rows"], json!(1000), "{compared}");
    println!("{compared}");

    // Asked again into the same folder, it goes on or says what to do; nothing of what is there is overwritten.
    let (code, log) = demo("1000");
    let again = python.run("compare_demo.py", [&folder]);
    assert!(again["rows"].as_u64() >= compared["rows"].as_u64(), "{again} after {compared}");
    assert!(code == Some(0) || log.contains(folder.to_str().unwrap()), "{}", tail(&log, 40));
}
