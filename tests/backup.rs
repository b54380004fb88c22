//! Archive and backup side by side: the backup gives what was sent, both hold every alert once whatever happens to the
//! process, and readers find the hours.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use support::python::Python;
use support::random::Random;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, data, simulator};

const ALERTS: u64 = 6000;
const KILLS: u64 = 4;

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|e| e.unwrap().path());
    paths.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

/// A backup in `FOLDER/backup/NAME`.
fn backup(folder: &Path, name: &str, more: Value) -> Value {
    let mut backup = json!({ "root": folder.join("backup").join(name), "roll": { "age": "300 ms" } });
    for (key, value) in more.as_object().unwrap() {
        backup[key] = value.clone();
    }
    backup
}

#[test]
fn the_backup_of_real_packets_is_what_was_sent() {
    let (Some(data), Some(python)) = (data::folder(), Python::ready()) else { return };
    let scratch = Scratch::new("backup-real");
    let folder = scratch.path();
    for (survey, codec) in
        [("ztf", "zstandard"), ("ztf", "none"), ("ztf", "deflate"), ("ztf", "snappy"), ("ztf-snappy", "zstandard")]
    {
        let packets = data.join("alerts").join(survey);
        let name = format!("{survey}-{codec}");
        let more = json!({ "backup": backup(folder, &name, json!({ "codec": codec })), "archive": null });
        let mut component = config::pipeline(folder, &name, "ztf", json!({ "files": { "path": packets } }), more);
        component.as_object_mut().unwrap().remove("archive");
        let (report, log) =
            Run::start(&scratch, &name, &config::file(folder, json!({}), vec![component]), None).finish(Duration::from_secs(120));
        let root = folder.join("backup").join(&name);
        let found = python.run("compare_backup.py", [root.as_os_str(), "--packets".as_ref(), packets.as_os_str()]);
        let component = report.component(&name);
        // Without an archive the backup accounts for the rows.
        assert_eq!((json!(component.archived), component.skipped, component.dead), (found["rows"].clone(), 0, 0));
        assert_eq!(component.backup["rows"], found["rows"]);
        assert_eq!(found["codecs"], json!([if codec == "none" { "null" } else { codec }]));
        assert!(log.contains(&format!("backup: {} alerts written", found["rows"])), "{log}");
        say(&format!("{name}: {found}, {} bytes", component.backup["bytes"]));
    }
}

#[test]
fn archive_and_backup_hold_every_alert_once_when_the_process_is_killed() {
    let Some(python) = Python::ready() else { return };
    let mut random = Random::new();
    let scratch = Scratch::new("backup-crash");
    let folder = scratch.path();
    let more = json!({
        "archive": { "root": config::archive(folder, "crash"), "roll": { "age": "500 ms" } },
        "backup": backup(folder, "crash", json!({})),
    });
    let source = json!({ "simulator": { "count": ALERTS, "seed": 4, "partitions": 3, "rate": 1000 } });
    let component = config::pipeline(folder, "crash", "ztf", source, more);
    let configuration = config::file(folder, json!({ "memory": "256 MiB" }), vec![component]);
    let (archive, backup) = (config::archive(folder, "crash"), folder.join("backup/crash"));
    for kill in 1..=KILLS {
        let mut run = Run::start(&scratch, "crash", &configuration, None);
        let (archived, backed_up) = (files(&archive).len(), files(&backup).len());
        run.await_for(&format!("new files in both before kill {kill}"), Duration::from_secs(120), |_| {
            (files(&archive).len() > archived && files(&backup).len() > backed_up).then_some(())
        });
        // Somewhere between two files, so that the one may be ahead of the other.
        std::thread::sleep(Duration::from_millis(random.between(0, 500)));
        run.assert_running();
        run.process().kill_9();
    }
    let (report, _) = Run::start(&scratch, "crash", &configuration, None).finish(Duration::from_secs(300));
    assert_eq!(report.component("crash").dead, 0);
    let compared = python.run("compare_backup.py", [backup.as_os_str(), "--archive".as_ref(), archive.as_os_str()]);
    assert_eq!((&compared["rows"], &compared["distinct"]), (&json!(ALERTS), &json!(ALERTS)), "{compared}");
    say(&format!(
        "{KILLS} kills: {compared}, {} files in the archive, {} in the backup",
        files(&archive).len(),
        files(&backup).len()
    ));
    for staging in ["archive/crash.staging", "backup/crash.staging"] {
        let mut left = files(&folder.join(staging));
        left.retain(|path| path.file_name().is_none_or(|name| name != "lock"));
        assert!(left.is_empty(), "left in the staging folder after a clean end: {left:?}");
    }
}

/// A packet that was received (a file that was changed) so many seconds after 1970.
fn packet(folder: &Path, number: usize, payload: &[u8], received: u64) {
    let path = folder.join(format!("{number}.avro"));
    fs::write(&path, payload).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(received)).unwrap();
}

#[test]
fn readers_find_a_night_over_midnight_and_the_quarantine_by_their_hours() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("hours");
    let folder = scratch.path();
    let packets = scratch.folder("packets");
    // 2026-11-09 23:50 to 2026-11-10 00:10, and two from before there were alert streams.
    let midnight = 1_794_268_800;
    let received = [0, 300_000_000].into_iter().chain((0..20).map(|minute| midnight - 600 + minute * 60));
    for (number, (alert, received)) in simulator::alerts(5, 22, 1).zip(received).enumerate() {
        packet(&packets, number, &alert.payload.unwrap(), received);
    }
    for layout in ["hive", "plain"] {
        let archive = config::archive(folder, layout);
        let more = json!({
            "archive": { "root": archive, "layout": layout },
            "backup": backup(folder, layout, json!({ "layout": layout })),
        });
        let component = config::pipeline(folder, layout, "ztf", json!({ "files": { "path": packets } }), more);
        let (report, log) = Run::start(&scratch, layout, &config::file(folder, json!({}), vec![component]), None)
            .finish(Duration::from_secs(120));
        let hours = python.run("read_hours.py", [archive.as_os_str(), layout.as_ref()]);
        assert_eq!(hours["hours"], json!([[0, 0, 0, 0, 2], [2026, 11, 9, 23, 10], [2026, 11, 10, 0, 10]]));
        let (quarantine, night) = match layout {
            "hive" => ("year=0/month=0/day=0/hour=0", "year=2026/month=11/day=9/hour=23"),
            _ => ("0000/00/00/00", "2026/11/09/23"),
        };
        for root in [&archive, &folder.join("backup").join(layout)] {
            assert!(root.join(quarantine).is_dir() && root.join(night).is_dir(), "{:?}", files(root));
        }
        assert_eq!((report.component(layout).quarantined, &report.component(layout).backup["quarantined"]), (2, &json!(2)));
        assert_eq!(log.matches("2 in quarantine, without a usable time").count(), 2, "{log}");
    }
}
