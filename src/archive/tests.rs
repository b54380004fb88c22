//! The archive as a sink, without a runtime: what is visible when, what is acknowledged when, and what comes back.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_array::builder::{ListBuilder, MapBuilder, StringViewBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    NullArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::ParquetMetaDataReader;

use super::*;
use crate::alert::{
    AlertBatch, Annotation, Candidate, Decoded, Fault, FaultKind, Flags, Permit, RowOrigin, Sink, Span, Token, TopicPartition,
    Verdict,
};
use crate::avro::AlertSchema;
use crate::config::{self, HourBy, Layout, MagnitudeUnit, TimeScale};
use crate::ledger::{Ledger, SinkId};

/// 2026-11-09 03:00:00 UTC, milliseconds.
const T0: i64 = 1_794_193_200_000;
const HOUR: i64 = 3_600_000;
const FOLDER: &str = "year=2026/month=11/day=9/hour=3";
const NEXT_FOLDER: &str = "year=2026/month=11/day=9/hour=4";
const ARCHIVE: SinkId = SinkId(0);

/// The only place that knows how a schema is made.
fn alert_schema(fingerprint: u64, arrow: &RecordBatch) -> Arc<AlertSchema> {
    let json = format!(r#"{{"type": "record", "name": "alert{fingerprint}", "fields": []}}"#);
    Arc::new(AlertSchema { fingerprint, name: "alert".into(), json: json.into(), arrow: arrow.schema() })
}

fn survey() -> Arc<config::Survey> {
    Arc::new(config::Survey {
        name: "ztf".into(),
        alert_id: Vec::new(),
        object_id: Vec::new(),
        ra: Vec::new(),
        dec: Vec::new(),
        time: Vec::new(),
        time_scale: TimeScale::Jd,
        magnitude: Vec::new(),
        magnitude_unit: MagnitudeUnit::Mag,
        history: Vec::new(),
        cutouts: Vec::new(),
        solar_system: Vec::new(),
        none_texts: Vec::new(),
        none_numbers: Vec::new(),
        schemas: Vec::new(),
    })
}

fn row(offset: i64, timestamp: i64) -> RowOrigin {
    RowOrigin { offset, timestamp: Some(timestamp), ..RowOrigin::default() }
}

fn rows(offsets: std::ops::Range<i64>) -> Vec<RowOrigin> {
    offsets.map(|o| row(o, T0 + o)).collect()
}

fn records(rows: &[RowOrigin]) -> RecordBatch {
    let stamp = vec![7_u8; 100];
    RecordBatch::try_from_iter([
        ("candid", Arc::new(rows.iter().map(|r| Some(r.offset * 10)).collect::<Int64Array>()) as ArrayRef),
        ("cutout", Arc::new(BinaryViewArray::from_iter_values(rows.iter().map(|_| &stamp))) as ArrayRef),
    ])
    .unwrap()
}

/// Rows as an alert batch; observed when they were received.
fn part_of(fingerprint: u64, records: RecordBatch, rows: Vec<RowOrigin>) -> AlertBatch {
    let n = rows.len();
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0; n]));
    let observed = TimestampMicrosecondArray::from_iter(rows.iter().map(|r| r.timestamp.map(|t| t.saturating_mul(1000))));
    AlertBatch {
        schema: alert_schema(fingerprint, &records),
        records,
        buffers: Vec::new(),
        candidate: Candidate {
            alert_id: Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.offset))),
            object_id: Arc::new(StringArray::from(vec!["x"; n])),
            ra: numbers.clone(),
            dec: numbers.clone(),
            time: Arc::new(observed.with_timezone("UTC")),
            magnitude: numbers,
        },
        annotations: vec![Annotation {
            field: Arc::new(Field::new("matches", DataType::Int32, false)),
            values: Arc::new(Int32Array::from_iter_values(0..n as i32)),
        }],
        steps: Arc::from(["real".to_owned(), "bright".to_owned()]),
        verdicts: vec![Verdict::Passed; n],
        flags: vec![Flags::default(); n],
        rows,
    }
}

fn part(fingerprint: u64, rows: Vec<RowOrigin>) -> AlertBatch {
    part_of(fingerprint, records(&rows), rows)
}

fn origin(partition: i32) -> Arc<TopicPartition> {
    Arc::new(TopicPartition { topic: "ztf_local".into(), partition })
}

fn batch(partition: i32, span: std::ops::Range<i64>, parts: Vec<AlertBatch>) -> Decoded {
    let token = Token { origin: origin(partition), span: Span { start: span.start, end: span.end }, generation: 1 };
    Decoded { token, parts, letters: Vec::new(), permit: Arc::new(Permit::unbounded()) }
}

/// One part, one schema, the hour of T0.
fn plain(partition: i32, span: std::ops::Range<i64>) -> Decoded {
    batch(partition, span.clone(), vec![part(1, rows(span))])
}

/// A place on disk with a sink that writes there.
struct House {
    config: config::Archive,
    ledger: Ledger,
    sink: Option<ArchiveSink>,
    memory: u64,
    _home: Option<tempfile::TempDir>,
}

impl House {
    fn new() -> House {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_path_buf();
        let mut house = House::at(&path, "staging");
        house._home = Some(home);
        house
    }

    fn at(home: &Path, staging: &str) -> House {
        let config = config::Archive {
            root: home.join("archive"),
            staging: home.join(staging),
            by: HourBy::Ingest,
            roll_size: 1 << 30,
            roll_age: Duration::from_secs(60),
            layout: Layout::Hive,
        };
        let ledger = Ledger::default();
        ledger.start_generation(1, &[ARCHIVE]);
        House { config, ledger, sink: None, memory: 1 << 30, _home: None }
    }

    fn open(&self) -> Result<ArchiveSink, Fault> {
        let context = ArchiveContext {
            component: "ztf".into(),
            sink: ARCHIVE,
            ledger: self.ledger.clone(),
            survey: survey(),
            configuration: "c0ffee".into(),
            catalogs: vec!["gcvs 5.1".into()],
            memory: self.memory,
        };
        ArchiveSink::open(&self.config, context)
    }

    fn sink(&mut self) -> &mut ArchiveSink {
        if self.sink.is_none() {
            self.sink = Some(self.open().unwrap());
        }
        self.sink.as_mut().unwrap()
    }

    fn accept(&mut self, batch: &Decoded) {
        self.ledger.begin(&batch.token, batch.alerts() as u64);
        self.ledger.decoded(&batch.token, batch.alerts() as u64);
        self.sink().accept(batch).unwrap();
    }

    fn seal(&mut self) {
        self.sink().seal().unwrap();
    }

    /// As after a SIGKILL: unfinished files stay in staging.
    fn crash(&mut self) {
        self.ledger = Ledger::default();
        self.ledger.start_generation(1, &[ARCHIVE]);
        self.sink = None;
        fs::write(self.config.staging.join("ztf/00000001.part"), "PAR1 half").unwrap();
    }

    fn files(&self) -> Vec<FileSummary> {
        inventory(&self.config.root).unwrap()
    }

    /// Folders of the files with the number of their rows.
    fn folders(&self) -> Vec<(String, u64)> {
        let folder = |f: &FileSummary| f.path.parent().unwrap().strip_prefix(self.root()).unwrap().display().to_string();
        self.files().iter().map(|f| (folder(f), f.rows)).collect()
    }

    fn root(&self) -> PathBuf {
        self.config.root.canonicalize().unwrap()
    }

    fn staged(&self) -> usize {
        let parts = fs::read_dir(self.config.staging.join("ztf")).unwrap();
        parts.filter(|e| e.as_ref().unwrap().file_name() != "lock").count()
    }

    /// Every row of the archive: partition, offset, record.
    fn rows(&self) -> Vec<(i32, i64, i32)> {
        let mut all = Vec::new();
        for file in self.files() {
            for batch in read(&file.path) {
                let own = batch["skysluice"].as_struct();
                let partition = own["partition"].as_primitive::<Int32Type>();
                let offset = own["offset"].as_primitive::<Int64Type>();
                let record = own["record"].as_primitive::<Int32Type>();
                all.extend((0..batch.num_rows()).map(|i| (partition.value(i), offset.value(i), record.value(i))));
            }
        }
        all.sort_unstable();
        all
    }

    fn assert_settled(&self, watermark: i64) {
        assert_eq!(self.ledger.watermark(&origin(0)), Some(watermark));
        assert_eq!((self.ledger.open(None), self.ledger.totals().imbalance), (0, 0));
    }
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn offsets(partition: i32, range: std::ops::Range<i64>) -> Vec<(i32, i64, i32)> {
    range.map(|o| (partition, o, 0)).collect()
}

#[test]
fn a_batch_is_acknowledged_when_its_file_is_sealed() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.accept(&batch(0, 10..12, Vec::new()));
    assert_eq!((house.files().len(), house.staged(), house.ledger.watermark(&origin(0))), (0, 1, None));
    house.seal();
    house.assert_settled(12);
    assert_eq!((house.folders(), house.staged()), (vec![(FOLDER.into(), 10)], 0));
    assert_eq!(house.ledger.totals().archived, 10);
    let file = &house.files()[0];
    assert_eq!(file.path.file_name().unwrap(), "ztf-0000000000000001-ztf_local-0-0-9.parquet");
    let range = OffsetRange {
        topic: "ztf_local".into(),
        partition: 0,
        first: 0,
        last: 9,
        rows: 10,
        min_timestamp: Some(T0),
        max_timestamp: Some(T0 + 9),
    };
    assert_eq!((&file.component[..], &file.fingerprint[..], &file.ranges), ("ztf", "0000000000000001", &vec![range]));
    assert_eq!(totals(&house.files()), Totals { files: 1, rows: 10, bytes: fs::metadata(&file.path).unwrap().len() });
    let counts = house.sink().counts();
    assert_eq!((counts.files.load(Ordering::Relaxed), counts.rows.load(Ordering::Relaxed)), (1, 10));
    assert_eq!(counts.bytes.load(Ordering::Relaxed), file.bytes);
}

#[test]
fn rows_over_two_hours_make_two_files_and_both_must_be_sealed() {
    let mut house = House::new();
    let mixed: Vec<RowOrigin> = (0..10).map(|o| row(o, T0 + (o % 2) * HOUR)).collect();
    house.accept(&batch(0, 0..10, vec![part(1, mixed)]));
    house.seal();
    assert_eq!(house.folders(), [(FOLDER.to_owned(), 5), (NEXT_FOLDER.to_owned(), 5)]);
    assert_eq!(house.rows(), offsets(0, 0..10));
    for file in house.files() {
        let odd = i64::from(file.path.display().to_string().contains("hour=4"));
        for batch in read(&file.path) {
            let own = batch["skysluice"].as_struct();
            let candid = batch["candid"].as_primitive::<Int64Type>();
            for (offset, id) in own["offset"].as_primitive::<Int64Type>().values().iter().zip(candid.values()) {
                assert_eq!((offset % 2, *id), (odd, offset * 10));
            }
        }
    }
    house.assert_settled(10);
}

#[test]
fn the_hour_of_observation_is_that_of_the_candidate() {
    let mut house = House::new();
    house.config.by = HourBy::Observation;
    let mut part = part(1, rows(0..3));
    let times = vec![Some((T0 + HOUR) * 1000), None, Some(T0 * 1000)];
    part.candidate.time = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    house.accept(&batch(0, 0..3, vec![part]));
    house.seal();
    let expected = [("year=0/month=0/day=0/hour=0".to_owned(), 1), (FOLDER.to_owned(), 1), (NEXT_FOLDER.to_owned(), 1)];
    assert_eq!(house.folders(), expected);
}

#[test]
fn a_missing_or_absurd_time_is_quarantined_and_counted() {
    let mut house = House::new();
    let absurd = vec![RowOrigin { timestamp: None, ..row(0, 0) }, row(1, -1), row(2, i64::MAX), row(3, T0)];
    house.accept(&batch(0, 0..4, vec![part(1, absurd)]));
    house.seal();
    assert_eq!(house.folders(), [("year=0/month=0/day=0/hour=0".to_owned(), 3), (FOLDER.to_owned(), 1)]);
    assert_eq!(house.sink().counts().quarantined.load(Ordering::Relaxed), 3);
    house.assert_settled(4);
}

#[test]
fn two_schemas_never_share_a_file_nor_do_two_sets_of_annotations() {
    let mut house = House::new();
    let mut other = part(1, rows(6..9));
    other.annotations[0].field = Arc::new(Field::new("gcvs_matches", DataType::Int32, false));
    house.accept(&batch(0, 0..9, vec![part(1, rows(0..3)), part(2, rows(3..6)), other]));
    house.seal();
    let mut found: Vec<(String, Vec<(i64, i64)>)> =
        house.files().into_iter().map(|f| (f.fingerprint, f.ranges.iter().map(|r| (r.first, r.last)).collect())).collect();
    found.sort();
    let expected = [("1", vec![(0, 2)]), ("1", vec![(6, 8)]), ("2", vec![(3, 5)])];
    assert_eq!(found, expected.map(|(f, r)| (format!("{f:0>16}"), r)));
    house.assert_settled(9);
}

#[test]
fn after_a_crash_every_row_is_in_the_archive_once() {
    let mut house = House::new();
    let interleaved = |span: std::ops::Range<i64>| {
        let parts = span.clone().map(|o| part(1 + (o % 2) as u64, vec![row(o, T0 + (o % 3 / 2) * HOUR)])).collect();
        batch(0, span, parts)
    };
    house.accept(&interleaved(0..12));
    house.seal();
    house.accept(&interleaved(12..24));
    house.crash();
    assert_eq!(house.rows(), offsets(0, 0..12));

    // Nothing was committed: all of it is read again, cut differently.
    for start in (0..30).step_by(5) {
        house.accept(&interleaved(start..start + 5));
    }
    assert_eq!(house.staged(), 4, "two hours, two schemas, and nothing left of the crash");
    house.seal();
    assert_eq!(house.rows(), offsets(0, 0..30));
    house.assert_settled(30);
    let sums = house.ledger.totals();
    assert_eq!((sums.archived, sums.skipped), (18, 12));
    assert_eq!(house.sink().counts().skipped.load(Ordering::Relaxed), 12);
}

#[test]
fn records_of_one_message_stay_together() {
    let mut house = House::new();
    let records = |offset: i64| (0..3).map(move |record| RowOrigin { record, ..row(offset, T0) });
    house.config.roll_size = 1;
    house.accept(&batch(0, 0..2, vec![part(1, (0..2).flat_map(records).collect())]));
    house.crash();
    house.accept(&batch(0, 0..3, vec![part(1, (0..3).flat_map(records).collect())]));
    let expected: Vec<_> = (0..3).flat_map(|o| (0..3).map(move |r| (0, o, r))).collect();
    assert_eq!(house.rows(), expected);
    house.assert_settled(3);
}

#[test]
fn a_partition_that_is_set_back_while_its_file_is_open_is_not_written_twice() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.accept(&plain(0, 5..15));
    house.accept(&plain(0, 0..15));
    house.seal();
    assert_eq!(house.rows(), offsets(0, 0..15));
}

#[test]
fn offsets_that_were_passed_over_can_be_archived_later() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.accept(&plain(0, 20..30));
    house.seal();
    assert_eq!(house.files()[0].ranges.iter().map(|r| (r.first, r.last)).collect::<Vec<_>>(), [(0, 9), (20, 29)]);
    house.crash();
    house.accept(&plain(0, 0..30));
    house.seal();
    assert_eq!(house.rows(), offsets(0, 0..30));
}

#[test]
fn what_another_process_has_archived_meanwhile_is_known() {
    let home = tempfile::tempdir().unwrap();
    let (mut here, mut there) = (House::at(home.path(), "here"), House::at(home.path(), "there"));
    here.accept(&plain(0, 0..10));
    here.seal();
    there.accept(&plain(0, 10..20));
    there.seal();
    // The other one died before it committed: the partition comes back at 10.
    here.accept(&plain(0, 10..25));
    here.seal();
    assert_eq!(here.rows(), offsets(0, 0..25));
}

#[test]
fn a_topic_created_anew_is_not_taken_for_the_old_one() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.seal();
    house.crash();
    let anew: Vec<RowOrigin> = (0..10).map(|o| row(o, T0 + 60_000 + o)).collect();
    house.accept(&batch(0, 0..10, vec![part(1, anew)]));
    house.seal();
    let names: Vec<String> = house.files().iter().map(|f| f.path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let stem = "ztf-0000000000000001-ztf_local-0-0-9";
    assert_eq!(names, [format!("{stem}-1.parquet"), format!("{stem}.parquet")], "the name was taken and was not replaced");
    assert_eq!(house.rows().len(), 20);
    house.assert_settled(10);
}

#[test]
fn files_roll_by_size_and_by_age() {
    let mut house = House::new();
    house.config.roll_size = 20_000;
    for start in (0..1000).step_by(100) {
        house.accept(&plain(0, start..start + 100));
    }
    let by_size = house.files().len();
    assert!((3..=10).contains(&by_size), "{by_size} files of 20 kB from 1000 rows of 100 bytes");
    house.accept(&plain(0, 1000..1010));
    let start = Instant::now();
    for seconds in [0, 30, 59] {
        house.sink().tick(start + Duration::from_secs(seconds)).unwrap();
        assert_eq!(house.files().len(), by_size);
    }
    house.sink().tick(start + Duration::from_secs(60)).unwrap();
    assert_eq!(house.rows(), offsets(0, 0..1010));
    house.assert_settled(1010);
}

#[test]
fn a_wish_of_the_ledger_seals() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.ledger.ask_seal(true);
    house.sink().tick(Instant::now()).unwrap();
    house.assert_settled(10);
}

#[test]
fn open_files_and_memory_are_bounded() {
    let mut house = House::new();
    house.memory = 200_000;
    let scattered = |span: std::ops::Range<i64>| {
        let rows = span.clone().map(|o| row(o, T0 + (o % 40) * HOUR)).collect();
        batch(0, span, vec![part(1, rows)])
    };
    for start in (0..2000).step_by(200) {
        house.accept(&scattered(start..start + 200));
        assert!(house.staged() <= 16);
    }
    house.seal();
    assert_eq!(house.rows(), offsets(0, 0..2000));
    house.assert_settled(2000);

    let mut house = House::new();
    house.memory = 50_000;
    for start in (0..2000).step_by(100) {
        house.accept(&plain(0, start..start + 100));
    }
    house.seal();
    let file = fs::File::open(&house.files()[0].path).unwrap();
    let groups = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap().num_row_groups();
    assert!(groups > 2, "row groups are written out when memory is short, not only at the end: {groups}");
    assert_eq!(house.rows(), offsets(0, 0..2000));
}

#[test]
fn many_partitions_share_a_file_with_a_name_that_fits() {
    let mut house = House::new();
    for partition in 0..60 {
        house.accept(&plain(partition, 1_000_000_000..1_000_000_003));
    }
    house.seal();
    let file = &house.files()[0];
    let name = file.path.file_name().unwrap().to_str().unwrap();
    assert!(name.len() <= 200 && name.contains("-and-59-more-"), "{name}");
    assert_eq!((file.ranges.len(), file.rows), (60, 180));
    house.crash();
    for partition in 0..60 {
        house.accept(&plain(partition, 1_000_000_000..1_000_000_003));
    }
    assert_eq!(house.staged(), 0);
    assert_eq!(house.ledger.totals().skipped, 180);
}

#[test]
fn a_staging_folder_inside_the_archive_is_refused() {
    let mut house = House::new();
    house.config.staging = house.config.root.join("x/../staging");
    let fault = house.open().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Defect);
    assert!(fault.message.contains("inside the archive"), "{fault}");

    let house = House::new();
    fs::create_dir_all(house.config.root.join("inner")).unwrap();
    std::os::unix::fs::symlink(house.config.root.join("inner"), &house.config.staging).unwrap();
    assert!(house.open().unwrap_err().message.contains("inside the archive"));
}

#[test]
fn a_staging_folder_on_another_file_system_is_refused() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no second file system at /dev/shm");
        return;
    };
    let mut house = House::new();
    house.config.staging = other.path().join("staging");
    match house.open() {
        Err(fault) => assert!(fault.message.contains("not on the file system"), "{fault}"),
        Ok(_) => eprintln!("skipped: /dev/shm is on the same file system"),
    }
}

#[test]
fn one_staging_folder_has_one_owner() {
    let mut house = House::new();
    house.sink();
    let fault = house.open().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Environment);
    assert!(fault.message.contains("another process"), "{fault}");
}

#[test]
fn a_disk_that_refuses_leaves_nothing_visible_and_acknowledges_nothing() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    // A file where the folder of the hour must be: creating it fails for any user.
    fs::write(house.root().join("year=2026"), "").unwrap();
    let fault = house.sink().seal().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Environment);
    assert!(fault.message.contains("year=2026"), "{fault}");
    assert_eq!(house.sink().accept(&plain(0, 10..20)).unwrap_err().message, fault.message, "it must be opened anew");
    assert_eq!((house.staged(), house.files().len(), house.ledger.watermark(&origin(0))), (0, 0, None));

    fs::remove_file(house.root().join("year=2026")).unwrap();
    house.crash();
    house.accept(&plain(0, 0..20));
    house.seal();
    assert_eq!(house.rows(), offsets(0, 0..20));
    house.assert_settled(20);
}

#[test]
fn a_torn_file_in_the_archive_is_named_and_not_passed_over() {
    let mut house = House::new();
    house.accept(&plain(0, 0..10));
    house.seal();
    let path = house.files()[0].path.clone();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    house.crash();
    let fault = house.sink().accept(&plain(0, 0..10)).unwrap_err();
    assert!(fault.message.contains("no whole Parquet file") && fault.message.contains("0-0-9"), "{fault}");
}

#[test]
fn columns_of_one_name_are_refused() {
    for name in ["candid", "CandID", "skysluice"] {
        let mut house = House::new();
        let mut part = part(1, rows(0..3));
        part.annotations[0].field = Arc::new(Field::new(name, DataType::Int32, false));
        let fault = house.sink().accept(&batch(0, 0..3, vec![part])).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Defect);
        assert!(fault.message.contains(name) && fault.message.contains("rename"), "{fault}");
    }
}

#[test]
fn a_type_that_parquet_has_not_is_a_defect_and_no_panic() {
    let union = arrow_schema::UnionFields::from_iter([(0, Arc::new(Field::new("a", DataType::Int32, true)))]);
    let values: ArrayRef = arrow_array::new_empty_array(&DataType::Union(union, arrow_schema::UnionMode::Dense));
    let values = arrow_array::make_array(values.to_data());
    let records = RecordBatch::try_from_iter([("odd", values)]).unwrap();
    let mut alerts = part(1, rows(0..1));
    alerts.records = records;
    let fault = House::new().sink().accept(&batch(0, 0..1, vec![alerts])).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Defect);
}

#[test]
fn verdicts_and_flags_are_archived_with_the_row() {
    let mut house = House::new();
    let mut alerts = part(1, rows(0..3));
    alerts.verdicts[1] = Verdict::Skipped(1);
    alerts.flags[2].set(Flags::NO_ID);
    alerts.flags[2].set(Flags::BAD_TIME);
    alerts.rows[2].timestamp = None;
    house.config.by = HourBy::Observation;
    house.accept(&batch(0, 0..3, vec![alerts]));
    house.seal();
    let found = &read(&house.files()[0].path)[0];
    let own = found["skysluice"].as_struct();
    let text = |name: &str| own[name].as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(own["passed"].as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(true)]);
    assert_eq!(text("skipped_by"), [None, Some("bright".to_owned()), None]);
    assert_eq!(text("flags"), [None, None, Some("no_id,bad_time".to_owned())]);
    assert_eq!(text("topic"), vec![Some("ztf_local".to_owned()); 3]);
    let received = own["received"].as_primitive::<TimestampMillisecondType>();
    assert_eq!(received.iter().collect::<Vec<_>>(), [Some(T0), Some(T0 + 1), None]);
    assert_eq!(received.data_type(), &DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some("UTC".into())));
}

/// Every Arrow type that decoding makes, nested and null in all places; three rows.
fn every_type() -> RecordBatch {
    let text = |values: Vec<Option<&str>>| Arc::new(StringViewArray::from(values)) as ArrayRef;
    let long = "longer than the twelve bytes that a view holds itself";
    let history_fields = Fields::from(vec![
        Field::new("magpsf", DataType::Float64, true),
        Field::new("survey", DataType::Utf8View, true),
        Field::new("ids", DataType::List(Arc::new(Field::new("item", DataType::Utf8View, true))), true),
    ]);
    let mut ids = ListBuilder::new(StringViewBuilder::new());
    for values in [vec![Some("a"), None], vec![], vec![Some(long)]] {
        ids.append_value(values);
    }
    let history = StructArray::new(
        history_fields.clone(),
        vec![
            Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(1.5)])),
            text(vec![Some("ztf"), None, Some(long)]),
            Arc::new(ids.finish()),
        ],
        None,
    );
    let item = Arc::new(Field::new("item", DataType::Struct(history_fields), true));
    // Three, none, and null: the null row has no items.
    let lists = ListArray::new(
        item,
        OffsetBuffer::from_lengths([3, 0, 0]),
        Arc::new(history),
        Some(NullBuffer::from(vec![true, true, false])),
    );
    let mut map = MapBuilder::new(None, StringViewBuilder::new(), arrow_array::builder::BinaryViewBuilder::new());
    map.keys().append_value("k");
    map.values().append_value(b"v");
    map.append(true).unwrap();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let filters: DictionaryArray<Int32Type> = vec![Some("g"), None, Some("g")].into_iter().collect();
    let decimals = Decimal128Array::from(vec![Some(123_456), None, Some(-1)]).with_precision_and_scale(20, 4).unwrap();
    let inner = StructArray::new(
        Fields::from(vec![Field::new("stamp", DataType::BinaryView, true), Field::new("none", DataType::Null, true)]),
        vec![
            Arc::new(BinaryViewArray::from(vec![Some(&b"\x1f\x8b0123456789abcdef"[..]), None, Some(&b""[..])])),
            Arc::new(NullArray::new(3)),
        ],
        Some(NullBuffer::from(vec![true, false, true])),
    );
    RecordBatch::try_from_iter_with_nullable([
        ("objectId", text(vec![Some("ZTF18abcdefg"), Some(long), None]), true),
        ("history", Arc::new(lists) as ArrayRef, true),
        ("map", Arc::new(map.finish()) as ArrayRef, true),
        ("filter", Arc::new(filters) as ArrayRef, true),
        ("decimal", Arc::new(decimals) as ArrayRef, true),
        ("cutout", Arc::new(inner) as ArrayRef, true),
        ("nothing", Arc::new(NullArray::new(3)) as ArrayRef, true),
        ("number", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef, true),
    ])
    .unwrap()
}

/// The values of a column as text, whatever holds them.
fn shown(array: &dyn Array) -> Vec<String> {
    let options = arrow_cast::display::FormatOptions::default().with_null("null");
    let formatter = arrow_cast::display::ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|i| formatter.value(i).to_string()).collect()
}

#[test]
fn every_type_comes_back_as_it_was() {
    let alerts = every_type();
    for keep_all in [true, false] {
        let mut house = House::new();
        let later = if keep_all { T0 } else { T0 + HOUR };
        let rows = vec![row(0, T0), row(1, later), row(2, T0)];
        house.accept(&batch(0, 0..3, vec![part_of(1, alerts.clone(), rows)]));
        house.seal();
        let files = house.files();
        let found: Vec<RecordBatch> = files.iter().flat_map(|f| read(&f.path)).collect();
        let order: &[usize] = if keep_all { &[0, 1, 2] } else { &[0, 2, 1] };
        for (field, column) in alerts.schema().fields().iter().zip(alerts.columns()) {
            let values: Vec<String> = found.iter().flat_map(|b| shown(b[field.name().as_str()].as_ref())).collect();
            let all = shown(column.as_ref());
            let expected: Vec<String> = order.iter().map(|&i| all[i].clone()).collect();
            assert_eq!(values, expected, "column {}", field.name());
        }
        let types: BTreeMap<String, DataType> =
            found[0].schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        assert_eq!(types["objectId"], DataType::Utf8, "no reader is told of views");
        assert_eq!(types["filter"], DataType::Utf8, "nor of dictionaries");
    }
}

#[test]
fn encodings_and_footer_are_as_promised() {
    let mut house = House::new();
    house.accept(&batch(0, 0..3, vec![part_of(1, every_type(), rows(0..3))]));
    house.seal();
    let file = fs::File::open(&house.files()[0].path).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
    assert_eq!(metadata.file_metadata().created_by(), Some(concat!("skysluice version ", env!("CARGO_PKG_VERSION"))));
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|p| p.key == key).unwrap().value.clone().unwrap();
    for (key, expected) in [
        ("skysluice.version", env!("CARGO_PKG_VERSION")),
        ("skysluice.configuration", "c0ffee"),
        ("skysluice.catalogs", "gcvs 5.1"),
        ("skysluice.survey", "ztf"),
        ("skysluice.schema", r#"{"type": "record", "name": "alert1", "fields": []}"#),
    ] {
        assert_eq!(value(key), expected);
    }
    for column in metadata.row_group(0).columns() {
        let path = column.column_path().string();
        let dictionary = column.encodings().any(|e| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY));
        let bytes = path == "cutout.stamp" || path == "map.entries.value";
        assert_eq!(column.compression() == Compression::UNCOMPRESSED, bytes, "{path}");
        let plain = bytes
            || ["history.list.item.magpsf", "decimal", "skysluice.offset", "skysluice.received", "skysluice.passed"]
                .contains(&path.as_str());
        assert_eq!(dictionary, !plain, "{path}");
        assert!(column.offset_index_offset().is_some(), "{path}");
    }
}
