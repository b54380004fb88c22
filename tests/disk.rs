//! A disk that is full for a while, or refuses to be written: the archive pauses, publishing goes on, and all of it goes on by itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, oracle, poll, simulator};

const MIB: u64 = 1 << 20;

/// Runs a command with a file system of 300 MiB and 2,000 files at the first argument, which is gone when it ends.
const SMALL_DISK: [&str; 6] = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    r#"mount -t tmpfs -o size=300m,nr_inodes=2000 tmpfs "$0" && exec "$@""#,
];

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

/// Where a disk is made unusable: what there is of it, and the word that the program has for it.
struct Trouble {
    name: &'static str,
    make: fn(&Path),
    word: &'static str,
    gone: &'static str,
    /// How often all is built, and a word of the first fault if there is one.
    generations: u64,
    fault: Option<&'static str>,
}

/// Below the floor, so that it is seen before it is met.
fn fill(folder: &Path) {
    std::fs::write(folder.join("0"), vec![1_u8; (free(folder) - 40 * MIB) as usize]).unwrap();
}

/// No more files can be made although there is room, which is met, and not seen.
fn use_up_names(folder: &Path) {
    let made = (0..).find(|number| std::fs::write(folder.join(number.to_string()), "").is_err()).unwrap();
    assert!(made > 1000, "{made} names");
}

#[test]
fn a_disk_that_is_full_for_a_while_pauses_the_archive_and_not_the_outputs() {
    pauses_the_archive_and_not_the_outputs(&Trouble {
        name: "disk",
        make: fill,
        word: "the disk is nearly full",
        gone: "writing goes on",
        generations: 1,
        fault: None,
    });
}

#[test]
fn a_disk_that_refuses_new_files_pauses_the_archive_and_not_the_outputs() {
    pauses_the_archive_and_not_the_outputs(&Trouble {
        name: "names",
        make: use_up_names,
        word: "the disk refuses to be written",
        gone: "the disk takes files again",
        generations: 2,
        fault: Some("cannot create"),
    });
}

#[test]
fn dead_letters_that_their_disk_refuses_wait_and_nothing_else_does() {
    const ALERTS: u64 = 300;
    let name = "letters-disk";
    let scratch = Scratch::new(name);
    let folder = scratch.path();
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).unwrap();
    if !has_small_disks(&disk) {
        return;
    }
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let (input, output) = (kafka.topic(name, 1), kafka.topic(&format!("{name}-out"), 1));
    kafka.produce(&input, simulator::alerts(13, ALERTS, 1));
    let more = json!({ "publish": [{ "topic": output }], "dead_letters": { "folder": disk.join("letters") } });
    let component = config::pipeline(folder, name, "ztf", config::endless(kafka, &[&input], name), more);
    let configuration = config::file(folder, json!({ "memory": "512 MiB" }), vec![component]);
    let by = [&SMALL_DISK[..], &[disk.to_str().unwrap()]].concat();
    let mut run = Run::start_by(&scratch, name, &configuration, None, &by);

    let committed = |count: u64| (kafka.committed(name, &input) == [Some(count as i64)]).then_some(());
    run.await_for("the first alerts archived", Duration::from_secs(60), |_| committed(ALERTS));
    let seen = PathBuf::from(format!("/proc/{}/root{}", run.process().id(), disk.display()));
    let filler = seen.join("filler");
    std::fs::create_dir(&filler).unwrap();
    use_up_names(&filler);
    let garbage = Outgoing { partition: Some(0), payload: Some("garbage".into()), ..Outgoing::default() };
    kafka.produce(&input, std::iter::once(garbage).chain(simulator::alerts(14, ALERTS, 1)));
    let word = "dead letters can't be put away";
    run.await_for("a word about the letters", Duration::from_secs(30), |p| p.log().contains(word).then_some(()));
    run.await_for("all others published", Duration::from_secs(60), |_| (kafka.count(&output) == 2 * ALERTS).then_some(()));
    // Several tries.
    let _ = poll(Duration::from_secs(3), || run.process().exited());
    run.assert_running();
    assert!(committed(ALERTS).is_some(), "the letter is not passed by: {:?}", kafka.committed(name, &input));

    std::fs::remove_dir_all(&filler).unwrap();
    run.await_for("everything settled", Duration::from_secs(60), |_| committed(2 * ALERTS + 1));
    let letters = oracle::letters(&python, &seen.join("letters"));
    let dead: Vec<i64> = letters.iter().map(|letter| letter["offset"].as_i64().unwrap()).collect();
    assert_eq!(dead, [ALERTS as i64]);
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &config::archive(folder, name), &[(&input, ends)], &[(0, ALERTS as i64)]);
    run.terminate();
    let (report, log) = run.finish(Duration::from_secs(30));
    assert_eq!((report.generations, report.first_fault.as_deref()), (1, None));
    assert_eq!(log.matches(word).count(), 1, "said once");
}

fn pauses_the_archive_and_not_the_outputs(trouble: &Trouble) {
    const FIRST: u64 = 600;
    const THEN: u64 = 900;
    let name = trouble.name;
    let scratch = Scratch::new(name);
    let folder = scratch.path();
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).unwrap();
    if !has_small_disks(&disk) {
        return;
    }
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let (input, output) = (kafka.topic(name, 2), kafka.topic(&format!("{name}-out"), 2));
    kafka.produce(&input, simulator::alerts(11, FIRST, 2));
    let more = json!({
        "publish": [{ "topic": output }],
        "archive": { "root": disk.join("archive"), "staging": disk.join("staging"), "roll": { "age": "300 ms" } },
    });
    let component = config::pipeline(folder, name, "ztf", config::endless(kafka, &[&input], name), more);
    let configuration = config::file(folder, json!({ "memory": "512 MiB" }), vec![component]);
    let by = [&SMALL_DISK[..], &[disk.to_str().unwrap()]].concat();
    let mut run = Run::start_by(&scratch, name, &configuration, None, &by);

    let committed = |count: u64| {
        let committed: i64 = kafka.committed(name, &input).into_iter().flatten().sum();
        (committed as u64 == count).then_some(())
    };
    run.await_for("the first alerts archived", Duration::from_secs(60), |_| committed(FIRST));
    // The file system is another one in the process: what it sees is told by its root.
    let seen = PathBuf::from(format!("/proc/{}/root{}", run.process().id(), disk.display()));
    let filler = seen.join("filler");
    std::fs::create_dir(&filler).unwrap();
    (trouble.make)(&filler);
    kafka.produce(&input, simulator::alerts(12, THEN, 2));
    run.await_for("a word about the disk", Duration::from_secs(30), |p| p.log().contains(trouble.word).then_some(()));
    run.await_for("all of them published", Duration::from_secs(60), |_| (kafka.count(&output) == FIRST + THEN).then_some(()));
    // Well beyond the age of a file.
    let _ = poll(Duration::from_secs(2), || run.process().exited());
    run.assert_running();
    assert!(committed(FIRST).is_some(), "nothing was committed that is not archived: {:?}", kafka.committed(name, &input));

    std::fs::remove_dir_all(&filler).unwrap();
    run.await_for("the others archived", Duration::from_secs(60), |_| committed(FIRST + THEN));
    let ends = kafka.ends(&input);
    oracle::exactly_once(&python, &scratch, &seen.join("archive"), &[(&input, ends.clone())], &[]);
    assert_eq!(oracle::at_least_once(kafka, &output, &ends, &[]), 0, "nothing was sent again");
    run.terminate();
    let (report, log) = run.finish(Duration::from_secs(30));
    assert!(log.contains(trouble.gone), "it says when it goes on");
    let fault = report.first_fault.as_deref();
    assert_eq!(report.generations, trouble.generations, "{fault:?}");
    match trouble.fault {
        None => assert_eq!(fault, None),
        Some(word) => assert!(fault.is_some_and(|fault| fault.contains(word)), "{fault:?}"),
    }
}
