//! `skysluice deadletter`: letters are counted, shown, processed again once their cause is mended, and removed; whatever happens
//! on the way, the archive holds each alert once.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use apache_avro::Reader;
use apache_avro::types::Value as Avro;
use serde_json::{Value, json};
use skysluice::letters::{StoredLetter, read_folder, write};
use support::container::{Container, build, confluent};
use support::kafka::{Kafka, Outgoing};
use support::python::Python;
use support::run::Run;
use support::scratch::{Process, Scratch};
use support::{config, oracle, simulator};

const LIMIT: Duration = Duration::from_secs(120);
const NAME: &str = "sky";
const TOPIC: &str = "sky.files";

/// Simulated alerts in Confluent's frame: the id says which schema a message asks for, and each id is the same schema.
fn framed(ids: impl IntoIterator<Item = u32>) -> (String, Vec<Vec<u8>>) {
    let mut schema = String::new();
    let ids: Vec<u32> = ids.into_iter().collect();
    let packets = simulator::alerts(3, ids.len() as u64, 1).map(|message| message.payload.unwrap());
    let messages = packets.zip(&ids).map(|(packet, id)| {
        let container = Container::parse(&packet);
        let message = confluent(*id, &packet[container.datum()]);
        schema = container.schema;
        message
    });
    let messages = messages.collect();
    (schema, messages)
}

/// Ids of a stream of twenty messages: 5, 7 and 12 ask for schema 2, and 6 for schema 3.
fn ids() -> impl Iterator<Item = u32> {
    (0..20).map(|offset| match offset {
        5 | 7 | 12 => 2,
        6 => 3,
        _ => 1,
    })
}

/// A pipeline over files, or another source, with an output in files; schema 1 is known.
struct Case {
    scratch: Scratch,
    configuration: Value,
    schema: String,
}

impl Case {
    fn new(name: &str) -> Case {
        let scratch = Scratch::new(&format!("deadletter-{name}"));
        let (schema, messages) = framed(ids());
        for (offset, message) in messages.iter().enumerate() {
            scratch.write(&format!("packets/{offset:03}.bin"), message);
        }
        let source = json!({ "files": { "path": scratch.join("packets") } });
        Case::over(scratch, source, schema, json!({}))
    }

    fn over(scratch: Scratch, source: Value, schema: String, more: Value) -> Case {
        let mut all = json!({
            "batch": { "alerts": 8 },
            "decode": { "framing": "confluent", "schemas": scratch.join("schemas") },
            "publish": [{ "topic": "out", "files": scratch.join("output") }],
        });
        more.as_object().unwrap().iter().for_each(|(key, value)| all[key] = value.clone());
        let component = config::pipeline(scratch.path(), NAME, "ztf", source, all);
        let service = json!({ "memory": "64 MiB", "stall": "60 s" });
        let configuration = config::file(scratch.path(), service, vec![component]);
        let case = Case { scratch, configuration, schema };
        case.learn(1);
        case
    }

    /// Adds the schema of an id: the cause is mended.
    fn learn(&self, id: u32) {
        self.scratch.write(&format!("schemas/{id}.avsc"), &self.schema);
    }

    fn serve(&self) {
        Run::start(&self.scratch, "service", &self.configuration, None).finish(LIMIT);
    }

    fn file(&self) -> std::path::PathBuf {
        self.scratch.write("letters.yaml", serde_json::to_string_pretty(&self.configuration).unwrap())
    }

    /// `skysluice deadletter VERB CONFIG ...`.
    fn command(&self, verb: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skysluice"));
        command.args(["deadletter", verb]).arg(self.file()).args(more).current_dir(self.scratch.path());
        command.output().unwrap()
    }

    /// As [`Case::command`], with the exit code that it has to have; gives what it printed.
    fn says(&self, code: i32, verb: &str, more: &[&str]) -> String {
        let output = self.command(verb, more);
        let said = String::from_utf8(output.stdout).unwrap();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "deadletter {verb} {more:?}: {said}\n{wrong}");
        said + if code == 0 { "" } else { &wrong }
    }

    fn count(&self) -> Value {
        let listed: Value = serde_json::from_str(&self.says(0, "ls", &["--json"])).unwrap();
        listed[0].clone()
    }

    /// Letters in the folder, by offset.
    fn letters(&self) -> Vec<StoredLetter> {
        let mut letters = read_folder(&config::letters(self.scratch.path(), NAME)).unwrap();
        letters.sort_by_key(|letter| letter.offset);
        letters
    }

    fn archive(&self) -> std::path::PathBuf {
        config::archive(self.scratch.path(), NAME)
    }

    /// The archive holds these offsets of the files but for `dead`, each once, by DuckDB.
    fn assert_archived(&self, python: &Python, messages: i64, dead: &[i64]) {
        let dead: Vec<(i32, i64)> = dead.iter().map(|offset| (0, *offset)).collect();
        oracle::exactly_once(python, &self.scratch, &self.archive(), &[(TOPIC, vec![(0, messages)])], &dead);
    }

    /// How often each alert was published.
    fn published(&self) -> BTreeMap<i64, usize> {
        published(&self.scratch.join("output/out"))
    }
}

/// How often each id is in the Avro files of a folder.
fn published(folder: &Path) -> BTreeMap<i64, usize> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "avro") {
            continue;
        }
        for record in Reader::new(std::fs::File::open(path).unwrap()).unwrap() {
            let Avro::Record(fields) = record.unwrap() else { panic!("a record") };
            let Avro::Long(id) = fields.iter().find(|(name, _)| name == "candid").unwrap().1 else { panic!("a number") };
            *found.entry(id).or_insert(0) += 1;
        }
    }
    found
}

/// The numbers of `requeued N = archived A + skipped S + dead again D`.
fn sums(said: &str) -> [u64; 4] {
    let line = said.lines().find(|line| line.starts_with("requeued ")).unwrap_or_else(|| panic!("no sums in {said}"));
    assert!(line.contains("(balanced)"), "{line}");
    let numbers = line.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    numbers.try_into().unwrap_or_else(|numbers| panic!("{numbers:?} in {line}"))
}

#[test]
fn letters_are_counted_shown_and_written_out() {
    let case = Case::new("look");
    case.serve();
    let listed = case.says(0, "ls", &[]);
    assert!(listed.contains("sky: 4 letters in") && listed.contains("schema id # is not known"), "{listed}");
    let line = listed.lines().find(|line| line.contains("schema id")).unwrap();
    for part in ["  4  decode  sky.files[0]  5 to 12  ", "T", "Z"] {
        assert!(line.contains(part), "no {part} in:\n{listed}");
    }
    let counted = case.count();
    assert_eq!((&counted["letters"], &counted["groups"][0]["offsets"]), (&json!(4), &json!([5, 12])), "{counted}");
    let by: Value = serde_json::from_str(&case.says(0, "ls", &["--json", "--by", "stage"])).unwrap();
    assert_eq!((&by[0]["groups"][0]["stage"], &by[0]["groups"][0]["reason"]), (&json!("decode"), &Value::Null));

    let folder = config::letters(case.scratch.path(), NAME);
    let mut plain = Command::new(env!("CARGO_BIN_EXE_skysluice"));
    let listed = plain.args(["deadletter", "ls"]).arg(&folder).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("4 letters in"), "a folder needs no configuration: {listed:?}");

    let payloads = case.scratch.join("payloads");
    let shown = case.says(0, "show", &["--offset", "6", "--payload", payloads.to_str().unwrap()]);
    for part in ["sky.files[0] offset 6\n", "stage    decode", "schema id 3 is not known", "00000000  00 00 00 00 03"] {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    assert_eq!(std::fs::read(payloads.join("sky.files-0-6.bin")).unwrap(), framed(ids()).1[6]);
    let shown = case.says(0, "show", &["--reason", "schema id 2", "--limit", "1"]);
    assert!(shown.contains("schema id 2") && shown.contains("2 more"), "{shown}");
    assert!(case.says(1, "show", &["--offset", "1"]).contains("no such letter"));
    assert!(case.says(2, "ls", &["--component", "other"]).contains("there are sky"));
}

#[test]
fn letters_whose_cause_is_mended_are_archived_and_published_once() {
    let Some(python) = Python::ready() else { return };
    let case = Case::new("mend");
    case.serve();
    case.assert_archived(&python, 20, &[5, 6, 7, 12]);

    // Nothing is mended: all four are letters again, and none is lost or doubled.
    assert_eq!(sums(&case.says(1, "requeue", &[])), [4, 0, 0, 4]);
    assert_eq!((case.letters().len(), case.count()["aside"].clone()), (4, json!(0)));

    // Between 5 and 7, which are archived now, 6 fails again.
    case.learn(2);
    let said = case.says(1, "requeue", &[]);
    assert_eq!(sums(&said), [4, 3, 0, 1], "{said}");
    assert!(said.contains("1 became letters again in decode"), "{said}");
    case.assert_archived(&python, 20, &[6]);
    assert_eq!(case.letters().iter().map(|l| l.offset).collect::<Vec<_>>(), [6]);

    case.learn(3);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [1, 1, 0, 0]);
    case.assert_archived(&python, 20, &[]);
    assert_eq!(case.letters(), []);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [0, 0, 0, 0]);
    let published = case.published();
    assert_eq!((published.len(), published.values().sum::<usize>()), (20, 20), "each once: {published:?}");
    let listed = python.run("list_archive.py", [case.archive()]);
    assert_eq!((&listed[6]["topic"], &listed[6]["offset"]), (&json!(TOPIC), &json!(6)), "with the origin that they had");
}

#[test]
fn letters_can_be_chosen_and_the_same_letter_processed_again_changes_nothing() {
    let Some(python) = Python::ready() else { return };
    let case = Case::new("choose");
    case.serve();
    case.learn(2);
    case.learn(3);
    let folder = config::letters(case.scratch.path(), NAME);
    let kept = case.letters();
    assert_eq!(sums(&case.says(0, "requeue", &["--reason", "schema id 3"])), [1, 1, 0, 0]);
    case.assert_archived(&python, 20, &[5, 7, 12]);
    assert_eq!(case.letters().iter().map(|l| l.offset).collect::<Vec<_>>(), [5, 7, 12]);

    // The letter is there again, as after a copy of the folder was put back; another reason makes no other message of it.
    let other = StoredLetter { reason: "another".into(), ..kept.iter().find(|l| l.offset == 7).unwrap().clone() };
    let double: Vec<StoredLetter> = kept.into_iter().chain([other]).collect();
    write(&folder, |n| format!("back-{n}.avro"), &double).unwrap();
    let said = case.says(0, "requeue", &[]);
    assert!(said.contains("8 letters"), "{said}");
    assert_eq!(sums(&said), [4, 3, 1, 0], "each message once, and 6 was there");
    case.assert_archived(&python, 20, &[]);
    assert_eq!(case.letters(), []);
}

/// Starts a requeue that hangs in a stage; it is killed then.
fn killed_in(case: &Case, stage: &str, until: impl Fn(&Process) -> bool) {
    let file = case.file();
    let mut process = case.scratch.spawn(&format!("killed-{stage}"), Path::new(env!("CARGO_BIN_EXE_skysluice")), |command| {
        command.args(["deadletter", "requeue"]).arg(file).env("SKYSLUICE_FAULTS", format!("{stage}=hang@3"));
    });
    support::await_for(&format!("a requeue that hangs in {stage}"), LIMIT, || {
        assert!(process.exited().is_none(), "{}", process.log());
        (process.log().contains("hangs on purpose") && until(&process)).then_some(())
    });
    process.kill_9();
}

#[test]
fn a_requeue_that_is_killed_is_taken_up_and_archives_nothing_twice() {
    let Some(python) = Python::ready() else { return };
    for stage in ["decode", "archive", "publish", "letters"] {
        let case = Case::new(&format!("kill-{stage}"));
        case.serve();
        case.learn(2);
        case.learn(3);
        // Behind the archive, files are sealed while the other sink hangs: the letters are archived, and not done.
        let mark = format!("{NAME}-requeue-");
        let sealed = |_: &Process| !matches!(stage, "publish" | "letters") || has_file(&case.archive(), &mark);
        killed_in(&case, stage, sealed);
        let counted = case.count();
        assert_eq!((&counted["letters"], &counted["aside"]), (&json!(4), &json!(4)), "{stage}: {counted}");
        let said = case.says(0, "requeue", &[]);
        assert!(said.contains("4 letters, 4 of them left by an earlier attempt"), "{stage}: {said}");
        let [all, archived, skipped, dead] = sums(&said);
        assert_eq!((all, archived + skipped, dead), (4, 4, 0), "{stage}: {said}");
        assert_eq!(skipped > 0, matches!(stage, "publish" | "letters"), "{stage}: {said}");
        case.assert_archived(&python, 20, &[]);
        assert_eq!((case.letters().len(), case.count()["letters"].clone()), (0, json!(0)), "{stage}");
        let published = case.published();
        assert_eq!(published.len(), 20, "{stage}: {published:?}");
    }
}

fn has_file(folder: &Path, start: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.map(|e| e.unwrap().path()).any(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() { has_file(&path, start) } else { name.starts_with(start) && name.ends_with(".parquet") }
    })
}

#[test]
fn a_service_that_was_killed_before_it_committed_makes_no_second_row() {
    let Some(python) = Python::ready() else { return };
    let case = Case::new("uncommitted");
    // The letters are stored, the archive is not sealed: nothing is committed.
    let mut run = Run::start(&case.scratch, "service", &case.configuration, Some("archive=hang@3"));
    run.await_for("letters", LIMIT, |_| (case.letters().len() == 4).then_some(()));
    run.process().kill_9();
    // With the schemas the next run decodes these messages when they come again: their letters are of the past.
    case.learn(2);
    case.learn(3);
    case.serve();
    case.assert_archived(&python, 20, &[]);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [4, 0, 4, 0]);
    case.assert_archived(&python, 20, &[]);
    assert_eq!(case.letters(), []);
}

#[test]
fn of_a_message_only_the_dead_record_is_processed_again() {
    let Some(python) = Python::ready() else { return };
    let case = Case::new("record");
    case.serve();
    case.says(0, "purge", &["--yes"]);
    let packet = simulator::alerts(9, 1, 1).next().unwrap().payload.unwrap();
    let container = Container::parse(&packet);
    let payload = build(&container.schema, "null", 3, &packet[container.datum()].repeat(3));
    let letter = |record, stage: &str| StoredLetter {
        topic: TOPIC.into(),
        partition: 0,
        offset: 100,
        record: Some(record),
        timestamp: Some(1_794_193_200_000),
        key: None,
        headers: Vec::new(),
        stage: stage.into(),
        reason: "a step failed".into(),
        payload: Some(payload.clone()),
    };
    let folder = config::letters(case.scratch.path(), NAME);
    let put = |letters: &[StoredLetter]| write(&folder, |n| format!("record-{n}.avro"), letters).unwrap();
    let mut case = case;
    case.configuration["components"][0]["decode"] = json!({ "framing": "container" });
    let rows = |case: &Case| -> Vec<i64> {
        let Value::Array(rows) = python.run("list_archive.py", [case.archive()]) else { panic!("a list") };
        rows.iter().filter(|row| row["offset"] == 100).map(|row| row["record"].as_i64().unwrap()).collect()
    };
    put(&[letter(1, "process")]);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [1, 1, 0, 0]);
    assert_eq!(rows(&case), [1]);
    // The others come later, the first once more.
    put(&[letter(2, "process"), letter(1, "process"), letter(0, "process")]);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [3, 2, 1, 0]);
    assert_eq!(rows(&case), [0, 1, 2]);

    // What only the archive, or only an output, has refused goes there alone.
    let before = case.published().values().sum::<usize>();
    put(&[letter(0, "archive")]);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [1, 0, 1, 0]);
    assert_eq!(case.published().values().sum::<usize>(), before, "the outputs had it");
    put(&[letter(0, "publish")]);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [1, 0, 1, 0]);
    assert_eq!(case.published().values().sum::<usize>(), before + 1);
    assert_eq!(rows(&case), [0, 1, 2]);
}

#[test]
fn letters_are_purged_by_what_they_are_and_only_when_it_is_confirmed() {
    let case = Case::new("purge");
    case.serve();
    assert!(case.says(2, "purge", &[]).contains("--yes"));
    assert!(case.says(0, "purge", &["--older-than", "7d", "--yes"]).contains("no such letter"), "the files are of today");
    assert_eq!(case.letters().len(), 4);
    assert!(case.says(0, "purge", &["--reason", "schema id 2", "--yes"]).contains("removed 3 letters"));
    assert_eq!(case.letters().iter().map(|l| l.offset).collect::<Vec<_>>(), [6]);
    assert!(case.says(0, "purge", &["--yes"]).contains("removed 1 letters"));
    assert_eq!(case.count()["letters"], 0);
    let wrong = case.command("purge", &["--older-than", "7"]);
    assert!(wrong.status.code() == Some(2) && String::from_utf8_lossy(&wrong.stderr).contains("without a unit"), "{wrong:?}");
}

#[test]
fn letters_of_a_topic_are_worked_off_from_where_the_last_attempt_ended() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("deadletter-topic");
    let (input, dead, output) = (kafka.topic("letters-in", 1), kafka.topic("letters-dead", 2), kafka.topic("letters-out", 1));
    let (schema, messages) = framed(ids());
    let message = |payload| Outgoing { key: Some(b"key".to_vec()), payload: Some(payload), ..Outgoing::default() };
    kafka.produce(&input, messages.into_iter().map(message));
    let more = json!({ "dead_letters": { "topic": dead }, "publish": [{ "topic": output }] });
    let case = Case::over(scratch, config::until_end(kafka, &[&input], "letters"), schema, more);
    case.serve();
    assert_eq!(kafka.count(&dead), 4);
    let ends = kafka.ends(&input);
    let archived = |dead: &[(i32, i64)]| {
        oracle::exactly_once(&python, &case.scratch, &case.archive(), &[(&input, ends.clone())], dead);
    };

    let counted = case.count();
    assert_eq!((&counted["letters"], &counted["aside"]), (&json!(4), &json!(0)), "{counted}");
    let shown = case.says(0, "show", &["--offset", "6"]);
    assert!(shown.contains(&format!("{input}[0] offset 6\n")) && shown.contains("key      key"), "{shown}");
    assert!(case.says(1, "requeue", &["--offset", "6"]).contains("a folder alone"));

    // A killed attempt leaves no mark in the topic.
    case.learn(2);
    killed_in(&case, "letters", |_| has_file(&case.archive(), &format!("{NAME}-requeue-")));
    let said = case.says(1, "requeue", &[]);
    let [all, added, skipped, again] = sums(&said);
    assert_eq!((all, added + skipped, again), (4, 3, 1), "{said}");
    assert!(skipped > 0, "{said}");
    archived(&[(0, 6)]);
    let counted = case.count();
    // Both attempts appended the one that failed.
    assert_eq!((&counted["letters"], &counted["aside"]), (&json!(6), &json!(5)), "{counted}");

    case.learn(3);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [1, 1, 0, 0]);
    archived(&[]);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [0, 0, 0, 0]);
    let committed: Vec<i64> = kafka.committed("skysluice-sky-requeue", &dead).into_iter().flatten().collect();
    assert_eq!(committed.iter().sum::<i64>(), 6, "{committed:?}");
    oracle::at_least_once(kafka, &output, &ends, &[]);

    assert!(case.says(1, "purge", &["--stage", "decode", "--yes"]).contains("oldest messages alone"));
    assert!(case.says(0, "purge", &["--older-than", "7d", "--yes"]).contains("no such letter"));
    assert!(case.says(0, "purge", &["--yes"]).contains("removed 6 letters"));
    assert!(kafka.ends(&dead).iter().all(|(low, high)| low == high), "{:?}", kafka.ends(&dead));
    assert_eq!(case.count()["letters"], 0);
}

#[test]
fn a_service_goes_on_while_its_letters_are_processed() {
    let (Some(kafka), Some(python)) = (Kafka::shared(), Python::ready()) else { return };
    let scratch = Scratch::new("deadletter-beside");
    let input = kafka.topic("letters-beside", 1);
    let (schema, messages) = framed(ids());
    let message = |payload: &Vec<u8>| Outgoing { payload: Some(payload.clone()), ..Outgoing::default() };
    kafka.produce(&input, messages.iter().map(message));
    let case = Case::over(scratch, config::endless(kafka, &[&input], "beside"), schema, json!({}));
    let mut run = Run::start(&case.scratch, "service", &case.configuration, None);
    run.await_for("letters", LIMIT, |_| (case.letters().len() == 4).then_some(()));
    case.learn(2);
    case.learn(3);
    // The service does not know the new schemas before it is started again.
    assert_eq!(sums(&case.says(0, "requeue", &[])), [4, 4, 0, 0]);
    kafka.produce(&input, messages.iter().map(message));
    run.await_for("more letters", LIMIT, |_| (case.letters().len() == 4).then_some(()));
    run.terminate();
    run.finish(LIMIT);
    assert_eq!(sums(&case.says(0, "requeue", &[])), [4, 4, 0, 0]);
    oracle::exactly_once(&python, &case.scratch, &case.archive(), &[(&input, kafka.ends(&input))], &[]);
}
