//! Packets of the simulator, read by those who read real ones: fastavro, astropy, and the program itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use serde_json::json;
use skysluice_simulator::{PacketSchema, Simulator, SimulatorConfig};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, root};

#[test]
fn packets_of_every_schema_are_read_by_fastavro_and_their_cutouts_by_astropy() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("made-up");
    for schema in PacketSchema::ALL {
        let simulator = Simulator::new(SimulatorConfig::of(schema)).unwrap();
        let folder = scratch.join(schema.name());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("schema.avsc"), simulator.schema()).unwrap();
        for number in 0..40 {
            let mut packet = Vec::new();
            simulator.packet(number * 1009, &mut packet);
            std::fs::write(folder.join(format!("{number:03}.packet")), &packet).unwrap();
        }
        let found = python.run("made_up.py", [&folder]);
        println!("{}: {found}", schema.name());
        assert_eq!((&found["alerts"], &found["ids"], &found["cutouts"]), (&json!(40), &json!(40), &json!(120)), "{found}");
        let (bytes, zstd) = (found["bytes"].as_f64().unwrap(), found["zstd"].as_f64().unwrap());
        // As measured on real packets: about 150 kB, 0.41 of them after zstd at level 3; ZTF's 57 to 77 kB, of it 32 to 41 kB gzip.
        let (sizes, shares) = if schema.id().is_some() { (147e3..153e3, 0.38..0.45) } else { (57e3..80e3, 0.60..0.85) };
        assert!(sizes.contains(&bytes) && shares.contains(&zstd), "{}: {found}", schema.name());
    }
}

#[test]
fn the_program_takes_its_own_packets_of_lsst() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("lsst");
    let source = json!({ "simulator": { "kind": "lsst", "count": 300, "partitions": 2, "previous": 3, "forced": 5 } });
    let decode = json!({ "decode": { "framing": "confluent", "schemas": root().join("conf/schemas/lsst") } });
    let component = config::pipeline(scratch.path(), "night", "lsst", source, decode);
    let file = config::file(scratch.path(), json!({}), vec![component]);
    let (report, log) = Run::start(&scratch, "night", &file, None).finish(Duration::from_secs(120));
    let sums = report.component("night");
    assert_eq!((sums.archived, sums.dead), (300, 0), "{log}");
    let ranges = json!({ "ranges": { "night.simulated": [[0, 150], [0, 150]] }, "dead": [] });
    let expected = scratch.write("expected.json", ranges.to_string());
    let counted = python.run("count_archive.py", [config::archive(scratch.path(), "night"), expected]);
    assert_eq!(counted["rows"], json!(300), "{counted}");
}
