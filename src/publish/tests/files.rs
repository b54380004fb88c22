//! The outputs that need no broker.

use std::fs;
use std::path::Path;

use apache_avro::Reader;

use super::super::ids::SchemaIds;
use super::*;

fn to_files(folder: &Path, topic: &str, condition: Option<&str>) -> Publish {
    Publish {
        topic: topic.into(),
        target: PublishTarget::Files { folder: folder.to_owned() },
        condition: condition.map(str::to_owned),
        format: PublishFormat::Container,
    }
}

/// Visible files of a topic, by name.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn read(path: &Path) -> Vec<Value> {
    Reader::new(fs::File::open(path).unwrap()).unwrap().map(Result::unwrap).collect()
}

#[test]
fn rows_that_passed_are_in_the_sealed_file_and_acknowledged_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = House::open(&[to_files(dir.path(), "out", None)]);
    let schema = alert_schema(ALERT);
    let mut first = batch(&schema, 0, 5);
    first.parts[0].verdicts[2] = Verdict::Skipped(0);
    house.accept(&first);
    house.accept(&batch(&schema, 5, 3));
    assert_eq!((names(&dir.path().join("out")), house.watermark()), (vec![], None));
    house.sink.seal().unwrap();
    assert_eq!(house.watermark(), Some(8));
    let expected: Vec<Value> = [0, 1, 3, 4, 5, 6, 7].map(published).to_vec();
    assert_eq!(read(&dir.path().join("out/out-00000001.avro")), expected);
    let report = house.sink.report.report();
    assert_eq!((report.outputs[0].topic.as_str(), report.outputs[0].messages), ("out", 7));
    house.sink.seal().unwrap();
    assert_eq!(names(&dir.path().join("out")), ["out-00000001.avro"]);
}

#[test]
fn files_are_never_overwritten_and_what_a_crash_left_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("out");
    fs::create_dir(&folder).unwrap();
    for name in ["out-00000007.avro", "notes.txt", ".test-0-8.unsealed", ".other-0-8.unsealed"] {
        fs::write(folder.join(name), name).unwrap();
    }
    let mut house = House::open(&[to_files(dir.path(), "out", None)]);
    assert!(!folder.join(".test-0-8.unsealed").exists() && folder.join(".other-0-8.unsealed").exists());
    house.accept(&batch(&alert_schema(ALERT), 0, 2));
    fs::write(folder.join("out-00000008.avro"), "from elsewhere").unwrap();
    house.sink.seal().unwrap();
    assert_eq!(names(&folder), ["notes.txt", "out-00000007.avro", "out-00000008.avro", "out-00000009.avro"]);
    assert_eq!(fs::read_to_string(folder.join("out-00000008.avro")).unwrap(), "from elsewhere");
    assert_eq!(read(&folder.join("out-00000009.avro")).len(), 2);
}

#[test]
fn a_file_is_sealed_by_age_by_size_and_by_another_schema() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = House::open(&[to_files(dir.path(), "out", None)]);
    let (one, other) = (alert_schema(ALERT), alert_schema(&ALERT.replace("test", "test2")));
    house.accept(&batch(&one, 0, 2));
    house.accept(&batch(&other, 2, 2));
    assert_eq!(house.watermark(), Some(2));
    let start = Instant::now();
    house.sink.tick(start).unwrap();
    house.sink.tick(start + Duration::from_millis(9_999)).unwrap();
    assert_eq!(house.watermark(), Some(2));
    house.sink.tick(start + Duration::from_secs(10)).unwrap();
    assert_eq!(house.watermark(), Some(4));
    let Target::Files(files) = &mut house.sink.outputs[0].target else { panic!("files") };
    files.limits.bytes = 1;
    house.accept(&batch(&one, 4, 1));
    assert_eq!(house.watermark(), Some(5));
    assert_eq!(names(&dir.path().join("out")).len(), 3);
}

#[test]
fn a_sink_that_is_dropped_leaves_no_unsealed_file_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = House::open(&[to_files(dir.path(), "out", None)]);
    house.accept(&batch(&alert_schema(ALERT), 0, 2));
    drop(house.sink);
    assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    assert_eq!(house.ledger.watermarks(), vec![]);
}

#[test]
fn a_condition_that_does_not_fit_a_schema_stops_its_output_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut house =
        House::open(&[to_files(dir.path(), "no", Some("drb > 0")), to_files(dir.path(), "yes", Some("matches >= 0"))]);
    let schema = alert_schema(ALERT);
    house.accept(&batch(&schema, 0, 3));
    house.accept(&batch(&schema, 3, 3));
    house.sink.seal().unwrap();
    assert_eq!(house.watermark(), Some(6));
    let outputs = house.sink.report.report().outputs;
    assert_eq!((outputs[0].unfit, outputs[0].messages), (6, 0));
    assert_eq!((outputs[1].unfit, outputs[1].messages), (0, 6));
}

#[test]
fn an_annotation_whose_name_the_schema_has_makes_dead_letters_and_the_stream_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = House::open(&[to_files(dir.path(), "out", None)]);
    house.accept(&batch(&alert_schema(WIDER), 0, 2));
    house.accept(&batch(&alert_schema(ALERT), 2, 1));
    house.sink.seal().unwrap();
    assert_eq!(house.watermark(), Some(3));
    let reasons = house.letters.reasons();
    assert_eq!(reasons.iter().map(|r| r.0).collect::<Vec<_>>(), [0, 1]);
    assert!(reasons[0].1.contains("has a field named `matches` already"), "{}", reasons[0].1);
    assert_eq!(house.sink.report.report().outputs[0].refused, 2);
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for topic in ["..", "a/b", "", ".hidden", "a\0"] {
        let fault = FileTopic::open(dir.path(), "test", topic, ReportHandle::new(&[]), 0).unwrap_err();
        assert!(fault.message.contains("cannot be part of a file name"), "{fault}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn schema_ids_are_the_same_for_the_same_text_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("schemas");
    let mut ids = SchemaIds::open(&folder).unwrap();
    assert_eq!(["a", "b", "a"].map(|text| ids.id(text).unwrap()), [1, 2, 1]);
    // Another process gives out the next number meanwhile.
    let mut other = SchemaIds::open(&folder).unwrap();
    assert_eq!(["b", "c"].map(|text| other.id(text).unwrap()), [2, 3]);
    assert_eq!(["d", "c"].map(|text| ids.id(text).unwrap()), [4, 3]);
    fs::copy(folder.join("1.avsc"), folder.join("9.avsc")).unwrap();
    let mut again = SchemaIds::open(&folder).unwrap();
    assert_eq!(["a", "e"].map(|text| again.id(text).unwrap()), [1, 10]);
    assert_eq!(names(&folder).len(), 6);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 6, "nothing unfinished is left");
}
