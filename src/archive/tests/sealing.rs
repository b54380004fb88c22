//! When files become visible and batches acknowledged; folders, bounds and faults.

use super::*;

#[test]
fn a_batch_is_acknowledged_when_its_file_is_sealed() {
    let mut house = House::new();
    house.memory = 1;
    house.accept(&plain(0, 0..10));
    house.accept(&batch(0, 10..12, Vec::new()));
    assert_eq!((house.files().len(), house.ledger.watermark(&origin(0))), (0, None));
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
        record: None,
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
    for kind in KINDS {
        let mut house = House::of(kind);
        house.config.by = HourBy::Observation;
        let mut part = part(1, rows(0..3));
        let times = vec![Some((T0 + HOUR) * 1000), None, Some(T0 * 1000)];
        part.candidate.time = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
        house.accept(&batch(0, 0..3, vec![part]));
        house.seal();
        let expected = [("year=0/month=0/day=0/hour=0".to_owned(), 1), (FOLDER.to_owned(), 1), (NEXT_FOLDER.to_owned(), 1)];
        assert_eq!(house.folders(), expected);
    }
}

#[test]
fn a_night_over_midnight_is_complete_in_the_hours_of_observation() {
    for kind in KINDS {
        let mut house = House::of(kind);
        house.config.by = HourBy::Observation;
        house.config.layout = Layout::Plain;
        // 2026-11-09 22:00 to 2026-11-10 02:00, an alert each minute; the messages come in the morning, with a strange order.
        let dusk = T0 + 19 * HOUR;
        for start in (0..240).step_by(40) {
            let mut night = part(1, (start..start + 40).map(|o| row(o, T0 + 30 * HOUR)).collect());
            let times = (start..start + 40).map(|o| Some((dusk + o * 77 % 240 * 60_000) * 1000));
            night.candidate.time = Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"));
            house.accept(&batch(0, start..start + 40, vec![night]));
        }
        house.seal();
        let hours = ["2026/11/09/22", "2026/11/09/23", "2026/11/10/00", "2026/11/10/01"];
        assert_eq!(house.folders(), hours.map(|hour| (hour.to_owned(), 60)));
        assert_eq!(house.rows(), offsets(0, 0..240));
        house.assert_settled(240);
    }
}

#[test]
fn a_missing_or_absurd_time_is_quarantined_and_counted() {
    for kind in KINDS {
        let mut house = House::of(kind);
        let absurd = vec![RowOrigin { timestamp: None, ..row(0, 0) }, row(1, -1), row(2, i64::MAX), row(3, T0)];
        house.accept(&batch(0, 0..4, vec![part(1, absurd)]));
        house.seal();
        assert_eq!(house.folders(), [("year=0/month=0/day=0/hour=0".to_owned(), 3), (FOLDER.to_owned(), 1)]);
        assert_eq!(house.sink().counts().quarantined.load(Ordering::Relaxed), 3);
        house.assert_settled(4);
    }
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
fn files_roll_by_size_and_by_age() {
    for kind in KINDS {
        let mut house = House::of(kind);
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
}

#[test]
fn a_wish_of_the_ledger_seals() {
    for kind in KINDS {
        let mut house = House::of(kind);
        house.accept(&plain(0, 0..10));
        house.ledger.ask_seal(true);
        house.sink().tick(Instant::now()).unwrap();
        house.assert_settled(10);
    }
}

#[test]
fn row_groups_are_written_out_when_memory_is_short() {
    let mut house = House::new();
    house.memory = 50_000;
    for start in (0..2000).step_by(100) {
        house.accept(&plain(0, start..start + 100));
    }
    assert_eq!(house.staged(), 1);
    house.seal();
    let file = fs::File::open(&house.files()[0].path).unwrap();
    let groups = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap().num_row_groups();
    assert!(groups > 2, "not only at the end: {groups}");
    assert_eq!(house.rows(), offsets(0, 0..2000));
}

#[test]
fn late_alerts_of_200_hours_at_once_make_few_files_in_bounded_memory() {
    for kind in KINDS {
        // Where memory has room for all hours, each becomes one file; where it has not, each a few.
        for (hours, memory, most) in [(200, 64_000_000, 200), (80, 2_000_000, 240)] {
            let mut house = House::of(kind);
            house.memory = memory;
            for start in (0..4000).step_by(250) {
                let rows = (start..start + 250).map(|o| row(o, T0 + (o * 7 % hours) * HOUR)).collect();
                house.accept(&batch(0, start..start + 250, vec![part(1, rows)]));
                let sink = house.sink();
                assert!(sink.memory() <= memory && sink.on_disk() <= 64, "{} bytes, {} files", sink.memory(), sink.on_disk());
            }
            house.seal();
            let files = house.files().len();
            assert!((hours as usize..=most).contains(&files), "{files} files of {hours} hours");
            assert_eq!(house.rows(), offsets(0, 0..4000));
            house.assert_settled(4000);
        }
    }
}

#[test]
fn many_partitions_share_a_file_with_a_name_that_fits() {
    for kind in KINDS {
        let mut house = House::of(kind);
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
    for kind in KINDS {
        let mut house = House::of(kind);
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
}

#[test]
fn without_an_archive_the_letters_sink_accounts_for_the_rows() {
    let home = tempfile::tempdir().unwrap();
    let letters = Arc::new(crate::letters::FolderLetters::open(home.path()).unwrap());
    let ledger = Ledger::default();
    ledger.start_generation(1, &[ARCHIVE]);
    let mut alerts = plain(0, 0..10);
    alerts.parts[0].buffers = vec![arrow_buffer::Buffer::from(b"Obj\x01".to_vec())];
    alerts.letters = vec![alerts.parts[0].letter(3, &alerts.token, "process", "a step failed".into())];
    ledger.begin(&alerts.token, 11);
    ledger.decoded(&alerts.token, alerts.alerts() as u64);
    crate::letters::LetterSink::new(letters, ledger.clone(), ARCHIVE, true).accept(&alerts).unwrap();
    let sums = ledger.totals();
    assert_eq!((sums.archived, sums.skipped, sums.dead, sums.imbalance), (0, 10, 1, 0));
}
