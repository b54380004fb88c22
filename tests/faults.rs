//! Panic, error, failure, delay and hang injected into each stage: the stage or the pipeline recovers, and nothing is missing.
//!
//! `SKYSLUICE_FAULTS=STAGE=KIND@N` strikes once, at the N-th batch of the stage; `STAGE=poison@OFFSET` panics whenever that
//! offset is in hand. `SKYSLUICE_LONG` tries 120 seeds of faults in all stages at once instead of 6.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::random::Random;
use support::run::{Report, Run};
use support::scratch::Scratch;
use support::{config, oracle, simulator, tail};

const STAGES: [&str; 6] = ["source", "decode", "process", "archive", "publish", "letters"];
const ALERTS: u64 = 300;
const GARBAGE: i64 = 3;
const SIGABRT: i32 = 6;

/// Alerts in two partitions, garbage at the end of each, an output topic, and a configuration in small batches.
struct Case {
    kafka: &'static Kafka,
    python: Python,
    scratch: Scratch,
    input: String,
    output: String,
    configuration: Value,
}

impl Case {
    fn new(name: &str) -> Option<Case> {
        Case::with_stall(name, "2 s")
    }

    fn with_stall(name: &str, stall: &str) -> Option<Case> {
        let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return None };
        let scratch = Scratch::new(&format!("faults-{name}"));
        let (input, output) = (kafka.topic(name, 2), kafka.topic(&format!("{name}-out"), 2));
        let garbage = (0..GARBAGE).flat_map(|i| (0..2).map(move |p| (p, format!("garbage {i}"))));
        let garbage = garbage.map(|(p, text)| Outgoing { partition: Some(p), payload: Some(text.into()), ..Outgoing::default() });
        kafka.produce(&input, simulator::alerts(7, ALERTS, 2).chain(garbage));
        let more = json!({
            "batch": { "alerts": 16 },
            "publish": [{ "topic": output }],
            "archive": {
                "root": config::archive(scratch.path(), name),
                "staging": scratch.join("staging"),
                "roll": { "age": "200 ms" },
            },
        });
        let component = config::pipeline(scratch.path(), name, "ztf", config::until_end(kafka, &[&input], &input), more);
        // Faults come faster here than anything becomes durable.
        let service = json!({ "memory": "64 MiB", "stall": stall, "restarts": 50 });
        let configuration = config::file(scratch.path(), service, vec![component]);
        Some(Case { kafka, python, scratch, input, output, configuration })
    }

    fn name(&self) -> &str {
        self.configuration["components"][0]["name"].as_str().unwrap()
    }

    fn run(&self, faults: Option<&str>) -> Run {
        Run::start(&self.scratch, self.name(), &self.configuration, faults)
    }

    /// All alerts archived exactly once and published at least once, but the garbage (and `more`), which is dead.
    fn assert_complete(&self, more: &[(i32, i64)]) -> usize {
        self.assert_settled(more, more)
    }

    /// As [`Case::assert_complete`]; what is not archived and what is not published may differ.
    fn assert_settled(&self, more: &[(i32, i64)], unpublished: &[(i32, i64)]) -> usize {
        let ends = self.kafka.ends(&self.input);
        let mut dead: Vec<(i32, i64)> = more.to_vec();
        let garbage: Vec<_> =
            ends.iter().zip(0..).flat_map(|((_, high), p)| (high - GARBAGE..*high).map(move |o| (p, o))).collect();
        dead.extend(&garbage);
        let (scratch, folder) = (&self.scratch, self.scratch.path());
        let archive = config::archive(folder, self.name());
        oracle::exactly_once(&self.python, scratch, &archive, &[(&self.input, ends.clone())], &dead);
        let mut found: Vec<(i32, i64)> = oracle::letters(&self.python, &config::letters(folder, self.name()))
            .iter()
            .map(|l| (l["partition"].as_i64().unwrap() as i32, l["offset"].as_i64().unwrap()))
            .collect();
        found.sort_unstable();
        found.dedup();
        dead.sort_unstable();
        assert_eq!(found, dead, "dead letters of {}", self.name());
        let committed = self.kafka.committed(&self.input, &self.input);
        assert_eq!(committed, ends.iter().map(|(_, high)| Some(*high)).collect::<Vec<_>>());
        oracle::at_least_once(self.kafka, &self.output, &ends, &[unpublished, &garbage].concat())
    }
}

impl Case {
    /// Every alert is in the archive once, or a dead letter of a stage before or of the archive; and in the output, or a dead letter
    /// of a stage before or of the output. A defect that strikes a message that is alone makes it one.
    fn assert_conserved(&self) -> usize {
        let letters = oracle::letters(&self.python, &config::letters(self.scratch.path(), self.name()));
        let of = |stages: &[&str]| {
            let mut found: Vec<(i32, i64)> = letters
                .iter()
                .filter(|letter| stages.contains(&letter["stage"].as_str().unwrap()))
                .map(|letter| (letter["partition"].as_i64().unwrap() as i32, letter["offset"].as_i64().unwrap()))
                .collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        let ends = self.kafka.ends(&self.input);
        let archive = config::archive(self.scratch.path(), self.name());
        let unarchived = of(&["decode", "process", "archive"]);
        oracle::exactly_once_or_dead(&self.python, &self.scratch, &archive, &[(&self.input, ends.clone())], &unarchived);
        let committed = self.kafka.committed(&self.input, &self.input);
        assert_eq!(committed, ends.iter().map(|(_, high)| Some(*high)).collect::<Vec<_>>());
        let (found, unpublished) = (oracle::origins(self.kafka, &self.output), of(&["decode", "process", "publish"]));
        let all = ends.iter().zip(0..).flat_map(|((low, high), p)| (*low..*high).map(move |o| (p, o)));
        let missing: Vec<_> = all.filter(|at| !found.contains_key(at) && !unpublished.contains(at)).collect();
        assert!(missing.is_empty(), "missing in {}: {missing:?}", self.output);
        found.values().map(|n| n - 1).sum()
    }
}

/// Whether one line of the log has all of these words; the program's own word of what it was asked to inject does not count.
fn says(log: &str, words: &[&str]) -> bool {
    log.lines().filter(|line| !line.contains("on purpose")).any(|line| words.iter().all(|word| line.contains(word)))
}

/// Runs with the fault, which is in the log and the report, and nothing is missing.
fn recovers(stage: &str, kind: &str) {
    let Some(case) = Case::new(&format!("{stage}-{kind}")) else { return };
    // Dead letters come late and in few batches.
    let batch = if stage == "letters" { 1 } else { 3 };
    let (report, log): (Report, String) = case.run(Some(&format!("{stage}={kind}@{batch}"))).finish(Duration::from_secs(60));
    assert!(says(&log, &[stage, "injected", kind]), "the cause is not in the log of {stage}={kind}:\n{}", tail(&log, 40));
    let duplicates = case.assert_complete(&[]);
    let (generations, fault) = (report.generations, report.first_fault.as_deref().unwrap_or("none"));
    let _ = writeln!(
        std::io::stderr(),
        "{stage} {kind}: {generations} generations, {duplicates} messages came again, first fault: {fault}"
    );
    // Decoding and the steps keep nothing: they are built anew in place, and the batch is taken in hand again. What holds
    // positions or files takes the generation down: counted, and the first cause kept.
    if matches!(stage, "decode" | "process") {
        assert_eq!((generations, report.component(case.name()).rebuilt), (1, 1), "{report:?}");
    } else {
        assert_eq!(generations, 2, "{report:?}");
        assert!(report.first_fault.as_ref().is_some_and(|f| f.contains(stage) && f.contains(kind)), "{report:?}");
    }
}

#[test]
fn a_panic_in_any_stage_loses_nothing() {
    STAGES.iter().for_each(|stage| recovers(stage, "panic"));
}

#[test]
fn an_error_in_any_stage_loses_nothing() {
    STAGES.iter().for_each(|stage| recovers(stage, "error"));
}

#[test]
fn a_hang_aborts_the_process_and_the_next_start_finishes() {
    for stage in STAGES {
        let Some(case) = Case::new(&format!("{stage}-hang")) else { return };
        let batch = if stage == "letters" { 1 } else { 3 };
        let ended = case.run(Some(&format!("{stage}=hang@{batch}"))).wait(Duration::from_secs(60));
        let log = tail(&ended.log, 40);
        assert_eq!(ended.signal, Some(SIGABRT), "{stage}: exit code {:?}; its log ends:\n{log}", ended.code);
        assert!(
            says(&ended.log, &[&format!("stage {stage} "), "stall"]),
            "the log does not name the stage that hangs, {stage}:\n{log}"
        );
        case.run(None).finish(Duration::from_secs(60));
        let duplicates = case.assert_complete(&[]);
        let _ = writeln!(std::io::stderr(), "{stage} hang: aborted, started again, {duplicates} messages came again");
    }
}

/// Each stage has one defect somewhere, fails for reasons of the world now and then, and is late now and then.
fn faults_of(seed: u64) -> String {
    let mut random = Random::of(seed);
    let mut faults = vec![format!("seed={seed}")];
    for stage in STAGES {
        let last = if stage == "letters" { 3 } else { 30 };
        let kind = if random.between(0, 2) == 0 { "panic" } else { "error" };
        faults.push(format!("{stage}={kind}@{}", random.between(1, last)));
        if !matches!(stage, "decode" | "process") {
            faults.push(format!("{stage}=fail~0.00{}", random.between(1, 8)));
        }
        faults.push(format!("{stage}=delay~0.05"));
    }
    faults.join(",")
}

/// Seconds from each failure of a generation until partitions are read again, and those that a stage took to be mended in
/// place, as the log has them.
fn recoveries(log: &str) -> Vec<f64> {
    let seconds = |line: &str| {
        let clock = line.get(11..26)?;
        let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
        Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
    };
    let (mut failed, mut found) = (None, Vec::new());
    for line in log.lines() {
        if line.contains("generation failed") {
            failed = failed.or(seconds(line));
        } else if line.contains("rebuilt in place") {
            found.extend(line.split("took_s=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()));
        } else if line.contains("partitions assigned")
            && let (Some(since), Some(now)) = (failed.take(), seconds(line))
        {
            found.push((now - since).rem_euclid(86_400.0));
        }
    }
    found
}

#[test]
fn whatever_fails_in_all_stages_at_once_nothing_is_lost() {
    let seeds = if std::env::var_os("SKYSLUICE_LONG").is_some() { 120 } else { 6 };
    let mut random = Random::new();
    let (mut all, mut generations, mut again) = (Vec::new(), 0, 0);
    for number in 0..seeds {
        let seed = random.between(0, 1 << 32);
        // Delays are none of its business, nor is a machine that is busy.
        let Some(case) = Case::with_stall(&format!("any-{number}"), "20 s") else { return };
        let faults = faults_of(seed);
        let (report, log) = case.run(Some(&faults)).finish(Duration::from_secs(180));
        eprintln!("seed {seed}: {} generations of {faults}", report.generations);
        again += case.assert_conserved();
        generations += report.generations;
        all.extend(recoveries(&log));
    }
    all.sort_unstable_by(f64::total_cmp);
    let (median, worst) = (all[all.len() / 2], all[all.len() - 1]);
    let _ = writeln!(
        std::io::stderr(),
        "{seeds} seeds, {generations} generations: nothing lost, nothing archived twice, {again} messages came again; reading again \
         after {median:.2} s at the median, {worst:.2} s at most"
    );
}

#[test]
fn each_actor_that_is_killed_again_and_again_is_soon_back() {
    let kills = if std::env::var_os("SKYSLUICE_LONG").is_some() { 12 } else { 4 };
    for stage in STAGES {
        let Some(case) = Case::new(&format!("{stage}-killed")) else { return };
        // There are few batches of dead letters; they come together.
        let kills = if stage == "letters" { 2 } else { kills };
        let faults: Vec<String> = (1..=kills).map(|n| format!("{stage}=panic@{}", 2 * n)).collect();
        let (report, log) = case.run(Some(&faults.join(","))).finish(Duration::from_secs(120));
        // A batch that was failed on is taken in hand again alert by alert; one that is struck then is a dead letter. Decoding and
        // the steps are not built anew for that.
        let again = case.assert_conserved();
        let component = report.component(case.name());
        let in_place = matches!(stage, "decode" | "process");
        let alone = if in_place { component.dead - 2 * GARBAGE.unsigned_abs() } else { 0 };
        assert_eq!(report.generations - 1 + component.rebuilt + alone, kills, "{report:?}");
        let mut times = recoveries(&log);
        times.sort_unstable_by(f64::total_cmp);
        assert_eq!(times.len() as u64, kills - alone, "{}", tail(&log, 60));
        let _ = writeln!(
            std::io::stderr(),
            "{stage} killed {kills} times: back after {:.3} s at the median, {:.3} s at most; {again} messages came again",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}

#[test]
fn one_alert_that_panics_becomes_one_dead_letter() {
    for stage in ["decode", "process"] {
        let Some(case) = Case::new(&format!("{stage}-poison")) else { return };
        let (report, _) = case.run(Some(&format!("{stage}=poison@17"))).finish(Duration::from_secs(60));
        // The offset 17 is there in both partitions.
        case.assert_complete(&[(0, 17), (1, 17)]);
        assert_eq!(report.component(case.name()).dead, 2 + 2 * GARBAGE.unsigned_abs(), "{report:?}");
        assert_eq!(report.generations, 1, "a poisoned alert costs a dead letter, not the generation: {report:?}");
    }
}

#[test]
fn one_alert_that_the_archive_cannot_bear_becomes_one_dead_letter() {
    let Some(case) = Case::new("archive-poison") else { return };
    let (report, log) = case.run(Some("archive=poison@17")).finish(Duration::from_secs(60));
    // Only the archive can't bear them: they are published all the same.
    case.assert_settled(&[(0, 17), (1, 17)], &[]);
    assert_eq!(report.component(case.name()).dead, 2 + 2 * GARBAGE.unsigned_abs(), "{report:?}");
    // For each partition: the batch fails, the message fails alone, then it is buried.
    assert!((3..=5).contains(&report.generations), "{report:?}");
    assert!(says(&log, &["injected poison at offset 17", "dead letters"]), "{}", tail(&log, 40));
}
