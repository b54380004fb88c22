//! A disk that is full for a while: the archive pauses, publishing goes on, and all of it goes on by itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, poll, simulator};

const MIB: u64 = 1 << 20;

/// Runs a command with a file system of 300 MiB at the first argument, which is gone when it ends.
const SMALL_DISK: [&str; 6] =
    ["unshare", "--map-root-user", "--mount", "sh", "-c", r#"mount -t tmpfs -o size=300m tmpfs "$0" && exec "$@""#];

/// Whether file systems of one's own can be had here.
fn has_small_disks(folder: &Path) -> bool {
    let tried = Command::new(SMALL_DISK[0]).args(&SMALL_DISK[1..]).arg(folder).arg("true").output();
    let had = tried.is_ok_and(|output| output.status.success());
    if !had {
        let _ = writeln!(std::io::stderr(), "skipped: no file system of one's own can be mounted here (unshare, mount)");
    }
    had
}

/// Bytes free on a file system.
fn free(folder: &Path) -> u64 {
    let output = Command::new("stat").args(["--file-system", "--format=%a %S"]).arg(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|number| number.parse::<u64>().unwrap()).product()
}

#[test]
fn a_disk_that_is_full_for_a_while_pauses_the_archive_and_not_the_outputs() {
    const FIRST: u64 = 600;
    const THEN: u64 = 900;
    let scratch = Scratch::new("disk");
    let folder = scratch.path();
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).unwrap();
    if !has_small_disks(&disk) {
        return;
    }
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let (input, output) = (kafka.topic("disk", 2), kafka.topic("disk-out", 2));
    kafka.produce(&input, simulator::alerts(11, FIRST, 2));
    let more = json!({
        "publish": [{ "topic": output }],
        "archive": { "root": disk.join("archive"), "staging": disk.join("staging"), "roll": { "age": "300 ms" } },
    });
    let component = config::pipeline(folder, "disk", "ztf", config::endless(kafka, &[&input], "disk"), more);
    let configuration = config::file(folder, json!({ "memory": "512 MiB" }), vec![component]);
    let by = [&SMALL_DISK[..], &[disk.to_str().unwrap()]].concat();
    let mut run = Run::start_by(&scratch, "disk", &configuration, None, &by);

    let committed = |count: u64| {
        let committed: i64 = kafka.committed("disk", &input).into_iter().flatten().sum();
        (committed as u64 == count).then_some(())
    };
    run.await_for("the first alerts archived", Duration::from_secs(60), |_| committed(FIRST));
    // The file system is another one in the process: what it sees is told by its root.
    let seen = PathBuf::from(format!("/proc/{}/root{}", run.process().id(), disk.display()));
    let filler = seen.join("filler");
    let fill = free(&seen) - 40 * MIB;
    std::fs::write(&filler, vec![1_u8; fill as usize]).unwrap();
    kafka.produce(&input, simulator::alerts(12, THEN, 2));
    run.await_for("a word about the disk", Duration::from_secs(30), |p| {
        p.log().contains("the disk is nearly full").then_some(())
    });
    run.await_for("all of them published", Duration::from_secs(60), |_| (kafka.count(&output) == FIRST + THEN).then_some(()));
    // Well beyond the age of a file.
    let _ = poll(Duration::from_secs(2), || run.process().exited());
    run.assert_running();
    assert!(committed(FIRST).is_some(), "nothing was committed that is not archived: {:?}", kafka.committed("disk", &input));

    std::fs::remove_file(&filler).unwrap();
    run.await_for("the others archived", Duration::from_secs(60), |_| committed(FIRST + THEN));
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &seen.join("archive"), &[(&input, ends.clone())], &[]);
    assert_eq!(oracle::at_least_once(kafka, &output, &ends, &[]), 0, "nothing was sent again");
    run.terminate();
    let (report, log) = run.finish(Duration::from_secs(30));
    assert!(log.contains("writing goes on"), "it says when it goes on");
    assert_eq!((report.generations, report.first_fault), (1, None), "nothing had to be built anew");
}
