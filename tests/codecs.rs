//! Containers as others write them: each codec of Avro, several records to a block and several blocks.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::config;
use support::kafka::Placed;
use support::oracle::Manifest;
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;

#[test]
fn containers_of_every_codec_are_archived_as_fastavro_reads_them() {
    let (Some(python), Some(data)) = (Python::ready(), support::data::folder()) else { return };
    let scratch = Scratch::new("codecs");
    let (folder, packets) = (scratch.path(), scratch.folder("packets"));
    let sources = support::data::packets(&data, "ztf");
    let written =
        python.run("write_codecs.py", std::iter::once(packets.clone()).chain(sources.iter().map(|packet| packet.path.clone())));
    println!("{written}");
    let source = json!({ "files": { "path": packets } });
    let component = config::pipeline(folder, "codecs", "ztf", source, json!({}));
    let configuration = config::file(folder, json!({}), vec![component]);
    let (report, log) = Run::start(&scratch, "codecs", &configuration, None).finish(Duration::from_secs(120));
    let records = written["records"].as_u64().unwrap();
    let codecs = written["blocks"].as_object().unwrap().len() as u64;
    let component = report.component("codecs");
    assert_eq!((component.messages, component.archived, component.dead), (codecs, codecs * records, 0), "{log}");

    let mut manifest = Manifest::default();
    let mut files: Vec<_> = packets.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for (offset, file) in (0..).zip(&files) {
        manifest.add("codecs.files", Placed { partition: 0, offset }, file);
    }
    let manifest = manifest.write(&scratch, "manifest.json");
    let compared = python.run("compare_archive.py", [config::archive(folder, "codecs"), manifest]);
    println!("{compared}");
    assert_eq!((&compared["rows"], &compared["flagged"]), (&json!(codecs * records), &json!(0)));
}
