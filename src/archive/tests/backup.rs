//! What is in a file of the backup, read by a library that is not ours.

use apache_avro::Reader;
use apache_avro::types::Value;

use super::*;

/// Partition, offset, record and stamp of each record.
pub(super) fn records(path: &Path) -> Vec<(i32, i64, i32, Vec<u8>)> {
    let record = |value: Result<Value, apache_avro::Error>| {
        let Value::Record(fields) = value.unwrap() else { panic!("no record in {}", path.display()) };
        match &fields.iter().map(|(_, value)| value).collect::<Vec<_>>()[..] {
            [Value::Int(p), Value::Long(o), Value::Int(r), Value::Bytes(stamp)] => (*p, *o, *r, stamp.clone()),
            other => panic!("{other:?}"),
        }
    };
    Reader::new(fs::File::open(path).unwrap()).unwrap().map(record).collect()
}

/// Bytes that do not compress.
fn noise(seed: i64, length: usize) -> Vec<u8> {
    let word = |i: usize| xxhash_rust::xxh3::xxh3_64(format!("{seed} {i}").as_bytes()).to_le_bytes();
    (0..length.div_ceil(8)).flat_map(word).take(length).collect()
}

#[test]
fn a_backup_gives_the_bytes_of_the_producer_whatever_the_codec() {
    use config::Codec;
    // In memory until it is sealed, written out because it is large, written out because memory is short.
    for (alerts, memory) in [(20, 1 << 30), (130, 1 << 30), (20, 1)] {
        for codec in [Codec::None, Codec::Deflate, Codec::Snappy, Codec::Zstandard] {
            let mut house = House::of(Kind::Avro);
            (house.codec, house.memory) = (codec, memory);
            let json = json(1, &"x".repeat(300_000));
            for offset in 0..alerts {
                let mut alerts = batch(3, offset..offset + 1, vec![part(1, vec![row(offset, T0)])]);
                let part = &mut alerts.parts[0];
                part.schema = AlertSchema::of_columns(1, &json, part.records.schema());
                encode(3, part, &noise(offset, 50_000));
                house.accept(&alerts);
            }
            assert_eq!(house.staged(), usize::from(alerts > 100 || memory == 1), "{codec:?}");
            house.seal();
            let files = house.files();
            let path = &files[0].path;
            assert_eq!((files.len(), files[0].rows), (1, alerts as u64));
            let expected: Vec<_> = (0..alerts).map(|o| (3, o, 0, noise(o, 50_000))).collect();
            assert!(records(path) == expected, "{codec:?}, {alerts} alerts, {memory} bytes of memory");

            let reader = Reader::new(fs::File::open(path).unwrap()).unwrap();
            let text = |key: &str| String::from_utf8(reader.user_metadata()[key].clone()).unwrap();
            assert_eq!(text("skysluice.version"), env!("CARGO_PKG_VERSION"));
            assert_eq!((text("skysluice.component"), text("skysluice.survey")), ("ztf".into(), "ztf".into()));
            assert_eq!(
                (text("skysluice.configuration"), text("skysluice.fingerprint")),
                ("c0ffee".into(), format!("{:016x}", 1))
            );
            let length: u64 = text("skysluice.bytes").trim_end().parse().unwrap();
            assert_eq!((length, files[0].bytes), (fs::metadata(path).unwrap().len(), length));
            let ranges: Vec<OffsetRange> = serde_json::from_str(&text("skysluice.ranges")).unwrap();
            assert_eq!(ranges, files[0].ranges);
            assert_eq!((ranges[0].first, ranges[0].last, ranges[0].rows), (0, alerts - 1, alerts as u64));
            let whole = fs::read(path).unwrap();
            assert!(whole[..400_000].windows(json.len()).any(|w| w == json.as_bytes()), "the schema is the producer's text");
        }
    }
}

#[test]
fn ranges_that_outgrow_the_header_begin_another_file() {
    for memory in [1, 1 << 30] {
        let mut house = House::of(Kind::Avro);
        house.memory = memory;
        for partition in 0..600 {
            house.accept(&plain(partition, 1_000_000_000..1_000_000_003));
        }
        house.seal();
        let files = house.files();
        assert!((2..=4).contains(&files.len()), "{} files", files.len());
        assert_eq!(files.iter().map(|f| (f.ranges.len(), f.rows)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)), (600, 1800));
        assert_eq!(house.rows().len(), 1800);
        house.crash();
        for partition in 0..600 {
            house.accept(&plain(partition, 1_000_000_000..1_000_000_003));
        }
        house.seal();
        assert_eq!((house.files().len(), house.ledger.totals().skipped), (files.len(), 1800));
    }
}

#[test]
fn two_schemas_of_one_fingerprint_keep_their_own_texts() {
    let mut house = House::of(Kind::Avro);
    let mut other = part(1, rows(3..6));
    other.schema = AlertSchema::of_columns(1, &json(1, "another"), other.records.schema());
    house.accept(&batch(0, 0..6, vec![part(1, rows(0..3)), other]));
    house.seal();
    assert_eq!(house.files().iter().map(|f| f.rows).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(house.rows(), offsets(0, 0..6));
}

#[test]
fn a_file_that_is_cut_or_none_at_all_is_named() {
    let mut house = House::of(Kind::Avro);
    house.accept(&plain(0, 0..10));
    house.seal();
    let path = house.files()[0].path.clone();
    let whole = fs::read(&path).unwrap();
    for (spoilt, said) in [
        (&whole[..whole.len() - 1], "bytes where"),
        (&whole[..100], "cut off"),
        (&b"PAR1"[..], "does not begin as a container"),
        (&[][..], "does not begin as a container"),
    ] {
        fs::write(&path, spoilt).unwrap();
        house.crash();
        let fault = house.sink().accept(&plain(0, 0..10)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Environment);
        assert!(fault.message.contains(said) && fault.message.contains("0-0-9") && fault.message.contains("copy"), "{fault}");
    }
    // A container of someone else is not ours to judge.
    let other = path.with_file_name("ztf-other.avro");
    fs::rename(&path, &other).unwrap();
    fs::write(&other, avro::container_header("\"int\"", &[0; 16])).unwrap();
    house.crash();
    house.accept(&plain(0, 0..10));
    house.seal();
    assert_eq!(house.files().iter().map(|f| f.rows).collect::<Vec<_>>(), [10, 0]);
}

#[test]
fn archive_and_backup_are_acknowledged_each_for_itself_and_counted_once() {
    const BACKUP: SinkId = SinkId(3);
    let (home, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    ledger.start_generation(1, &[ARCHIVE, BACKUP]);
    let context = |sink, accounts| ArchiveContext {
        component: "ztf".into(),
        sink,
        accounts,
        ledger: ledger.clone(),
        survey: survey(),
        configuration: String::new(),
        catalogs: Editions::new(Vec::new),
        counts: Arc::default(),
        memory: 1 << 20,
        beside: Vec::new(),
        covered: Vec::new(),
    };
    let folder = |name: &str| config::Archive::new(home.path().join(name));
    let mut archive = ArchiveSink::open(&folder("archive"), means(Wanted::everything()), context(ARCHIVE, true)).unwrap();
    let mut backup = BackupSink::open(&folder("backup"), config::Codec::Zstandard, context(BACKUP, false)).unwrap();
    let alerts = plain(0, 0..10);
    ledger.begin(&alerts.token, 10);
    ledger.decoded(&alerts.token, 10);
    archive.accept(&alerts).unwrap();
    backup.accept(&alerts).unwrap();
    archive.seal().unwrap();
    assert_eq!(ledger.watermark(&origin(0)), None, "it is not in the backup yet");
    backup.seal().unwrap();
    let sums = ledger.totals();
    assert_eq!((ledger.watermark(&origin(0)), sums.archived, sums.imbalance), (Some(10), 10, 0));
}
