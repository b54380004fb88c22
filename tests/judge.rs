//! The judge is judged: what a run has left is found clean, and each sabotage of it is found, in its own category and nowhere else.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::message::{Message, OwnedHeaders, OwnedMessage};
use serde_json::{Value, json};
use support::kafka::Kafka;
use support::run::Run;
use support::scratch::Scratch;
use support::{config, sabotage};

/// Alerts of the night, and how many of them are broken: every 45th.
const ALERTS: usize = 400;
const BROKEN: u64 = 8;

/// Everything that a run has read and left.
struct Night {
    kafka: &'static Kafka,
    scratch: Scratch,
    output: String,
    journal: PathBuf,
    archive: PathBuf,
    letters: PathBuf,
    /// All messages of the output, in the order of each partition.
    published: Vec<OwnedMessage>,
}

/// Runs a command of the load generator; its exit code and the line that it has printed.
fn loadgen(words: &[&str]) -> (u8, Value) {
    let mut out = Vec::new();
    let code = skysluice_loadgen::run(["skysluice-loadgen"].iter().chain(words), &mut out);
    (code, serde_json::from_slice(&out).unwrap_or_default())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Sends alerts in two runs, so that the journal is gone on with.
fn produce(kafka: &Kafka, topic: &str, journal: &Path, alerts: usize, more: &[&str]) {
    let first = alerts * 2 / 3;
    for (first, count) in [(0, first), (first, alerts - first)] {
        let (brokers, first, count) = (kafka.bootstrap(), first.to_string(), count.to_string());
        let words = ["produce", "--brokers", &brokers, "--topic", topic, "--count", &count, "--first-index", &first];
        let (code, line) = loadgen(&[&words[..], &["--journal", text(journal)], more].concat());
        assert_eq!((code, line["messages"].as_u64()), (0, Some(count.parse().unwrap())));
    }
}

impl Night {
    /// The night that the tests share.
    fn shared() -> Option<&'static Night> {
        static SHARED: OnceLock<Option<Night>> = OnceLock::new();
        SHARED.get_or_init(Self::run).as_ref()
    }

    fn run() -> Option<Night> {
        let kafka = Kafka::shared()?;
        let scratch = Scratch::new("judge");
        let (input, output) = (kafka.topic("judge", 3), kafka.topic("judge-out", 3));
        let journal = scratch.join("night.journal");
        produce(kafka, &input, &journal, ALERTS, &["--objects", "10", "--broken", "45", "--seed", "5"]);
        let folder = scratch.path();
        let (archive, letters) = (config::archive(folder, "judge"), config::letters(folder, "judge"));
        let more = json!({
            "batch": { "alerts": 64 },
            "publish": [{ "topic": output }],
            "archive": { "root": archive, "staging": folder.join("staging"), "roll": { "age": "200 ms", "size": "4 MiB" } },
        });
        let component = config::pipeline(folder, "judge", "ztf", config::until_end(kafka, &[&input], &input), more);
        let configuration = config::file(folder, json!({ "memory": "64 MiB" }), vec![component]);
        let (report, _) = Run::start(&scratch, "judge", &configuration, None).finish(Duration::from_secs(120));
        assert_eq!(report.component("judge").dead, BROKEN);
        let published = kafka.read_with(&output, |message| message.detach());
        Some(Night { kafka, scratch, output, journal, archive, letters, published })
    }

    /// Judges what is left, with some of it replaced.
    fn judge(&self, what: &Sabotaged<'_>) -> (u8, Value) {
        let brokers = self.kafka.bootstrap();
        let journal = what.journal.unwrap_or(&self.journal);
        let archive = what.archive.unwrap_or(&self.archive);
        let (letters, output) = (what.letters.unwrap_or(&self.letters), what.output.unwrap_or(&self.output));
        let output = [if what.partial { "--partial" } else { "--output" }, output];
        let words = ["judge", "--json", "--journal", text(journal), "--archive", text(archive), "--brokers", &brokers];
        let verdict = loadgen(&[&words[..], &output, &["--letters", text(letters)], what.more].concat());
        let _ = writeln!(std::io::stderr(), "{}: exit code {}, {}", what.name, verdict.0, verdict.1["wrong"]);
        verdict
    }

    /// A copy of the archive, and its largest file.
    fn archive_copy(&self, name: &str) -> (PathBuf, PathBuf) {
        let copy = self.scratch.join(name);
        sabotage::copy_folder(&self.archive, &copy);
        let mut files = sabotage::files(&copy);
        files.sort_by_key(|file| fs::metadata(file).unwrap().len());
        (copy, files.pop().unwrap())
    }

    /// Asserts what is found when the archive is changed in one file.
    fn archive_with(&self, name: &str, change: impl FnOnce(&Path), expected: &[(&str, u64)]) -> Value {
        let (archive, file) = self.archive_copy(name);
        change(&file);
        let (code, line) = self.judge(&Sabotaged { name, archive: Some(&archive), ..Sabotaged::default() });
        assert_eq!(code, 1, "{line:#}");
        assert_eq!(wrong(&line, "archive"), expected, "{line:#}");
        assert_eq!((wrong(&line, "output"), wrong(&line, "letters")), (vec![], vec![]), "{line:#}");
        line
    }

    /// Judges an output topic that holds these messages.
    fn output_with(&self, name: &str, messages: &[OwnedMessage], more: &[&str]) -> (u8, Value) {
        let output = self.kafka.topic(&format!("judge-{name}"), 3);
        sabotage::produce(self.kafka, &output, messages);
        let (code, line) = self.judge(&Sabotaged { name, output: Some(&output), more, ..Sabotaged::default() });
        assert_eq!((wrong(&line, "archive"), wrong(&line, "letters")), (vec![], vec![]), "{line:#}");
        (code, line)
    }
}

/// What replaces what the run has left.
#[derive(Default)]
struct Sabotaged<'a> {
    name: &'a str,
    journal: Option<&'a Path>,
    archive: Option<&'a Path>,
    letters: Option<&'a Path>,
    output: Option<&'a str>,
    partial: bool,
    more: &'a [&'a str],
}

/// What is wrong at a place of this kind, and how often.
fn wrong<'a>(line: &'a Value, kind: &str) -> Vec<(&'a str, u64)> {
    let places = line["places"].as_array().unwrap();
    let place = places.iter().find(|place| place["kind"] == kind).unwrap().as_object().unwrap();
    let kinds = ["lost", "duplicated", "altered", "misplaced", "foreign", "out_of_order", "unreadable"];
    let counts = kinds.iter().filter_map(|kind| Some((place.get_key_value(*kind)?.0.as_str(), place[*kind].as_u64().unwrap())));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The first fault of this kind, told.
fn first<'a>(line: &'a Value, kind: &str, wrong: &str) -> &'a str {
    let places = line["places"].as_array().unwrap();
    let place = places.iter().find(|place| place["kind"] == kind).unwrap();
    place["first"][wrong][0].as_str().unwrap()
}

#[test]
fn an_untouched_run_is_clean() {
    let Some(night) = Night::shared() else { return };
    let each = night.scratch.join("each.tsv");
    let more = ["--each", text(&each), "--allow-output-duplicates", "0"];
    let (code, line) = night.judge(&Sabotaged { name: "untouched", more: &more, ..Sabotaged::default() });
    assert_eq!((code, &line["clean"], &line["columns_left_out"]), (0, &json!(true), &json!([])), "{line:#}");
    let found = |at: usize| line["places"][at]["found"].as_u64().unwrap();
    let alive = ALERTS as u64 - BROKEN;
    assert_eq!((found(0), found(1), found(2)), (alive, alive, BROKEN));
    // A night of ZTF has a hundred fields in the candidate alone, and a history.
    assert!(line["places"][0]["compared"].as_u64().unwrap() > alive * 500, "{line:#}");
    assert!(line["places"][1]["compared"].as_u64().unwrap() > alive * 500, "{line:#}");
    let rows = fs::read_to_string(each).unwrap();
    let rows: Vec<&str> = rows.lines().skip(1).collect();
    assert_eq!(rows.len(), ALERTS);
    assert!(rows[43].ends_with("\t1\t1\t0\t") && rows[44].starts_with("44\t") && rows[44].ends_with("\t0\t0\t1\t"));
}

#[test]
fn sabotage_of_the_archive_is_found() {
    let Some(night) = Night::shared() else { return };
    let rows = |file: &Path| sabotage::read(file).num_rows() as u64;
    let (copy, largest) = night.archive_copy("whole");
    let whole = rows(&largest);
    assert!(sabotage::files(&copy).len() > 1 && whole > 20);

    night.archive_with("a file removed", |file| fs::remove_file(file).unwrap(), &[("lost", whole)]);
    let cut = |file: &Path| fs::write(file, &fs::read(file).unwrap()[..20_000]).unwrap();
    night.archive_with("a file cut", cut, &[("lost", whole), ("unreadable", 1)]);
    let row = |file: &Path| sabotage::rewrite(file, |rows| sabotage::pick(rows, |row| if row == 3 { 0 } else { 1 }));
    night.archive_with("a row removed", row, &[("lost", 1)]);
    let twice = |file: &Path| sabotage::rewrite(file, |rows| sabotage::pick(rows, |row| if row == 3 { 2 } else { 1 }));
    night.archive_with("a row twice", twice, &[("duplicated", 1)]);

    let again = |file: &Path| assert!(fs::copy(file, file.with_file_name("again.parquet")).unwrap() > 0);
    night.archive_with("a file twice", again, &[("duplicated", whole)]);

    let deep = |file: &Path| sabotage::rewrite(file, |rows| sabotage::change_float(rows, &["prv_candidates", "magpsf"]));
    let line = night.archive_with("a value deep in the history", deep, &[("altered", 1)]);
    let told = first(&line, "archive", "altered");
    assert!(told.contains(": prv_candidates[") && told.contains(".magpsf: ") && told.contains("sent was"), "{told}");
    let null = |file: &Path| sabotage::rewrite(file, |rows| sabotage::change_null(rows, &["candidate", "distnr"]));
    let line = night.archive_with("a value made null", null, &[("altered", 1)]);
    assert!(first(&line, "archive", "altered").contains(": candidate.distnr: \"null\", sent was"));
    let stamp = |file: &Path| sabotage::rewrite(file, |rows| sabotage::change_byte(rows, &["cutoutTemplate", "stampData"]));
    let line = night.archive_with("a byte of a cut-out", stamp, &[("altered", 1)]);
    assert!(first(&line, "archive", "altered").contains(": cutoutTemplate.stampData: "));
    let swap = |file: &Path| sabotage::rewrite(file, |rows| sabotage::swap(rows, &["skysluice", "offset"]));
    night.archive_with("two offsets swapped", swap, &[("misplaced", 2)]);
    let id = |file: &Path| sabotage::rewrite(file, |rows| sabotage::change_long(rows, &["candid"]));
    let line = night.archive_with("an id changed", id, &[("altered", 1)]);
    assert!(first(&line, "archive", "altered").contains(": candid: "), "{line:#}");

    // Columns that are left out are told, and nothing else.
    let (archive, file) = night.archive_copy("a column left out");
    sabotage::rewrite(&file, |rows| sabotage::without(rows, "fp_hists"));
    let (code, line) = night.judge(&Sabotaged { name: "a column left out", archive: Some(&archive), ..Sabotaged::default() });
    assert_eq!((code, &line["columns_left_out"]), (0, &json!(["fp_hists"])), "{line:#}");
}

#[test]
fn sabotage_of_an_output_is_found() {
    let Some(night) = Night::shared() else { return };
    let whole = &night.published;
    let with = |change: &dyn Fn(&mut Vec<OwnedMessage>)| {
        let mut messages = whole.clone();
        change(&mut messages);
        messages
    };
    let header = |message: &OwnedMessage, name: &str, value: &str| {
        let mut headers = OwnedHeaders::new();
        for header in rdkafka::message::Headers::iter(message.headers().unwrap()) {
            let value = if header.key == name { Some(value.as_bytes()) } else { header.value };
            headers = headers.insert(rdkafka::message::Header { key: header.key, value });
        }
        message.clone().replace_headers(Some(headers))
    };

    let (code, line) = night.output_with("same", whole, &["--committed"]);
    assert_eq!((code, wrong(&line, "output")), (0, vec![]), "{line:#}");
    let dropped = with(&|messages| drop(messages.remove(17)));
    let (code, line) = night.output_with("dropped", &dropped, &[]);
    assert_eq!((code, wrong(&line, "output")), (1, vec![("lost", 1)]), "{line:#}");

    // At least once is what is promised, unless readers take committed transactions only.
    let twice = with(&|messages| messages.push(messages[17].clone()));
    for (more, allowed) in
        [(&[][..], 0), (&["--allow-output-duplicates", "1"], 0), (&["--allow-output-duplicates", "0"], 1), (&["--committed"], 1)]
    {
        let (code, line) = night.output_with("twice", &twice, more);
        assert_eq!((code, wrong(&line, "output")), (allowed, vec![("duplicated", 1)]), "{more:?} {line:#}");
    }

    let altered = with(&|messages| {
        // Somewhere in the cut-outs, which are the end of a packet.
        let mut payload = messages[17].payload().unwrap().to_vec();
        let at = payload.len() - 5000;
        payload[at] ^= 1;
        messages[17] = messages[17].clone().set_payload(Some(payload));
    });
    let (code, line) = night.output_with("altered", &altered, &[]);
    assert_eq!((code, wrong(&line, "output")), (1, vec![("altered", 1)]), "{line:#}");
    assert!(first(&line, "output", "altered").contains(": cutout"), "{line:#}");
    let torn = with(&|messages| {
        let payload = messages[17].payload().unwrap();
        messages[17] = messages[17].clone().set_payload(Some(payload[..payload.len() - 100].to_vec()));
    });
    let (code, line) = night.output_with("torn", &torn, &[]);
    assert_eq!((code, wrong(&line, "output")), (1, vec![("altered", 1)]), "{line:#}");
    let key = with(&|messages| messages[17] = messages[17].clone().set_key(Some(b"ZTF26other".to_vec())));
    let (code, line) = night.output_with("key", &key, &[]);
    assert_eq!((code, wrong(&line, "output")), (1, vec![("altered", 1)]), "{line:#}");

    let misplaced = with(&|messages| messages[17] = header(&messages[17], "skysluice.offset", "999999"));
    let (code, line) = night.output_with("misplaced", &misplaced, &[]);
    assert_eq!((code, wrong(&line, "output")), (1, vec![("misplaced", 1)]), "{line:#}");
    let fingerprint = with(&|messages| messages[17] = header(&messages[17], "skysluice.fingerprint", "0123456789abcdef"));
    let (code, line) = night.output_with("fingerprint", &fingerprint, &[]);
    assert_eq!((code, wrong(&line, "output")), (1, vec![("altered", 1)]), "{line:#}");

    let swapped = with(&|messages| {
        let pairs = (0..messages.len()).flat_map(|a| (a + 1..messages.len()).map(move |b| (a, b)));
        let same = |(a, b): &(usize, usize)| {
            messages[*a].key() == messages[*b].key() && messages[*a].partition() == messages[*b].partition()
        };
        let (a, b) = pairs.clone().find(same).expect("objects come again");
        messages.swap(a, b);
    });
    let (code, line) = night.output_with("swapped", &swapped, &[]);
    assert_eq!(code, 1);
    assert_eq!(wrong(&line, "output"), [("out_of_order", 1)], "{line:#}");
}

#[test]
fn transactions_are_read_as_their_readers_do() {
    let Some(night) = Night::shared() else { return };
    let output = night.kafka.topic("judge-transactions", 3);
    let (first, rest) = night.published.split_at(100);
    // Aborted ones before, between and after, and one that is open still.
    sabotage::transaction(night.kafka, &output, "a", rest, Some(false));
    sabotage::transaction(night.kafka, &output, "a", first, Some(true));
    sabotage::transaction(night.kafka, &output, "a", first, Some(false));
    sabotage::transaction(night.kafka, &output, "a", rest, Some(true));
    let _open = sabotage::transaction(night.kafka, &output, "b", &rest[..9], None);
    let judge = |more| {
        let (code, line) = night.judge(&Sabotaged { name: "transactions", output: Some(&output), more, ..Sabotaged::default() });
        (code, wrong(&line, "output").into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect::<Vec<_>>())
    };
    assert_eq!(judge(&["--committed"]), (0, vec![]));
    // Who reads all sees them all, and what was aborted before what is older.
    let (_, all) = judge(&[]);
    assert_eq!(all[0], ("duplicated".to_owned(), night.published.len() as u64 + 9));
}

#[test]
fn what_nobody_sent_and_what_is_no_dead_letter_is_found() {
    let Some(night) = Night::shared() else { return };
    let lines = fs::read_to_string(&night.journal).unwrap();
    let forgotten: Vec<&str> = lines.lines().enumerate().filter(|(at, _)| *at != 33).map(|(_, line)| line).collect();
    let journal = night.scratch.write("forgotten.journal", forgotten.join("\n") + "\n");
    let (code, line) = night.judge(&Sabotaged { name: "forgotten", journal: Some(&journal), ..Sabotaged::default() });
    assert_eq!(
        (code, wrong(&line, "archive"), wrong(&line, "output")),
        (1, vec![("foreign", 1)], vec![("foreign", 1)]),
        "{line:#}"
    );
    let torn = night.scratch.write("torn.journal", &lines.as_bytes()[..lines.len() - 3]);
    let (code, line) = night.judge(&Sabotaged { name: "torn journal", journal: Some(&torn), ..Sabotaged::default() });
    assert_eq!((code, &line["journal"]["torn"], wrong(&line, "archive")), (1, &json!(true), vec![("foreign", 1)]), "{line:#}");

    let copy = |name: &str| {
        let letters = night.scratch.join(name);
        sabotage::copy_folder(&night.letters, &letters);
        let file = sabotage::files(&letters).pop().unwrap();
        (letters, file)
    };
    let (letters, file) = copy("letter removed");
    fs::remove_file(file).unwrap();
    let (code, line) = night.judge(&Sabotaged { name: "letter removed", letters: Some(&letters), ..Sabotaged::default() });
    assert_eq!(code, 1);
    let lost = wrong(&line, "archive");
    assert!(lost.len() == 1 && lost[0].0 == "lost" && lost == wrong(&line, "output"), "{line:#}");
    let (letters, file) = copy("letter altered");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (code, line) = night.judge(&Sabotaged { name: "letter altered", letters: Some(&letters), ..Sabotaged::default() });
    assert_eq!((code, wrong(&line, "letters")), (1, vec![("altered", 1)]), "{line:#}");

    // An output with a condition may lack alerts.
    let half = night.kafka.topic("judge-half", 3);
    sabotage::produce(night.kafka, &half, &night.published[..night.published.len() / 2]);
    for (partial, expected) in [(true, 0), (false, 1)] {
        let (code, line) = night.judge(&Sabotaged { name: "half", output: Some(&half), partial, ..Sabotaged::default() });
        assert_eq!(code, expected, "{line:#}");
    }
    // Without the journal's own dead letters nothing can be said.
    let words = ["judge", "--journal", text(&night.journal), "--archive", text(&night.archive)];
    assert_eq!(loadgen(&words).0, 2);
}

#[test]
fn lsst_is_judged_in_every_format_with_letters_in_a_topic() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("judge-lsst");
    let folder = scratch.path();
    let journal = scratch.join("lsst.journal");
    let (input, letters) = (kafka.topic("judge-lsst", 2), kafka.topic("judge-lsst-letters", 1));
    let outputs = ["container", "confluent", "bare"].map(|format| (format, kafka.topic(&format!("judge-lsst-{format}"), 2)));
    produce(kafka, &input, &journal, 90, &["--kind", "lsst", "--broken", "30", "--key", "none"]);
    let schemas = scratch.folder("schemas");
    let publish = outputs.each_ref().map(|(format, topic)| match *format {
        "confluent" => json!({ "topic": topic, "format": format, "schemas": schemas }),
        _ => json!({ "topic": topic, "format": format }),
    });
    let more = json!({
        "decode": { "framing": "confluent" },
        "publish": publish,
        "dead_letters": { "topic": letters },
    });
    let component = config::pipeline(folder, "lsst", "lsst", config::until_end(kafka, &[&input], &input), more);
    let configuration = config::file(folder, json!({ "memory": "64 MiB" }), vec![component]);
    Run::start(&scratch, "lsst", &configuration, None).finish(Duration::from_secs(120));

    let (brokers, archive) = (kafka.bootstrap(), config::archive(folder, "lsst"));
    let schema = sabotage::files(&schemas).pop().unwrap();
    for (format, topic) in &outputs {
        let more: &[&str] = match *format {
            "confluent" => &["--schemas", text(&schemas)],
            "bare" => &["--schema", text(&schema)],
            _ => &[],
        };
        let words = ["judge", "--json", "--journal", text(&journal), "--archive", text(&archive), "--brokers", &brokers];
        let (code, line) = loadgen(&[&words[..], &["--output", topic, "--letters-topic", &letters], more].concat());
        let _ = writeln!(std::io::stderr(), "lsst {format}: exit code {code}, {}", line["wrong"]);
        assert_eq!((code, &line["columns_left_out"]), (0, &json!([])), "{format}: {line:#}");
        let found: Vec<u64> = line["places"].as_array().unwrap().iter().map(|place| place["found"].as_u64().unwrap()).collect();
        assert_eq!(found, [87, 87, 3], "{format}");
    }
}

#[test]
fn a_short_crash_loop_loses_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("crash-loop");
    let (brokers, program) = (kafka.bootstrap(), env!("CARGO_BIN_EXE_skysluice"));
    // A version before that differs in that it counts its starts.
    let (before, starts) = (scratch.join("before"), scratch.join("starts"));
    fs::write(&before, format!("#!/bin/sh\necho >> {}\nexec {program} \"$@\"\n", text(&starts))).unwrap();
    fs::set_permissions(&before, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let words = ["crash-loop", "--json", "--brokers", &brokers, "--program", program, "--dir", text(scratch.path())];
    let more = ["--upgrade-from", text(&before), "--rounds", "5", "--longest", "4", "--seed", "3"];
    let (code, line) = loadgen(&[&words[..], &more].concat());
    let _ = writeln!(std::io::stderr(), "crash loop: exit code {code}, {line}");
    assert_eq!((code, &line["clean"], &line["kills"]), (0, &json!(true), &json!(5)), "{line:#}");
    assert_eq!((&line["rounds_of_the_version_before"], fs::read_to_string(&starts).unwrap().len()), (&json!(3), 3), "{line:#}");
    // It did something: alerts were archived between the kills, and read.
    assert!(line["rounds_with_commits"].as_u64().unwrap() >= 1, "{line:#}");
    assert!(line["rows"].as_u64().unwrap() > 100 && line["reader"]["rows"] == line["rows"], "{line:#}");
    assert!(line["verdict"]["places"][2]["found"].as_u64().unwrap() > 0, "{line:#}");
}

/// The loop has eyes too: a program that loses a file at each start.
#[test]
fn a_crash_loop_finds_what_its_program_loses() {
    let Some(kafka) = Kafka::shared() else { return };
    let scratch = Scratch::new("crash-loop-lossy");
    let program = scratch.join("skysluice");
    let steal = r#"find "$(dirname "$2")/archive" -name '*.parquet' 2>/dev/null | head -n 1 | xargs -r rm"#;
    fs::write(&program, format!("#!/bin/sh\n{steal}\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_skysluice"))).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let brokers = kafka.bootstrap();
    let words = ["crash-loop", "--json", "--brokers", &brokers, "--program", text(&program), "--dir", text(scratch.path())];
    let (code, line) = loadgen(&[&words[..], &["--rounds", "3", "--longest", "6", "--seed", "1"]].concat());
    let _ = writeln!(std::io::stderr(), "lossy program: exit code {code}, {}, {}", line["verdict"]["wrong"], line["reader"]);
    assert_eq!((code, &line["clean"]), (1, &json!(false)), "{line:#}");
    assert_eq!(wrong(&line["verdict"], "archive").first().map(|(kind, _)| *kind), Some("lost"), "{line:#}");
    assert!(line["reader"]["changed"][0].as_str().unwrap().ends_with("is gone"), "{line:#}");
}
