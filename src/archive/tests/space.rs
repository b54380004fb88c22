//! A disk that is full for a while, or refuses to be written.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::archive::patience::{Free, PatientSink};

const MIB: u64 = 1 << 20;

fn patient(house: &House, free: &Arc<AtomicU64>) -> Box<dyn Sink> {
    let asked = free.clone();
    let free: Free = Box::new(move |_| Ok(asked.load(Ordering::Relaxed)));
    let (config, context) = (&house.config, house.context());
    match house.kind {
        Kind::Parquet => {
            let sink = ArchiveSink::open(config, means(Wanted::everything()), context).unwrap();
            Box::new(PatientSink::asking(sink, config.keep_free, free))
        }
        Kind::Avro => {
            let sink = BackupSink::open(config, house.codec, context).unwrap();
            Box::new(PatientSink::asking(sink, config.keep_free, free))
        }
    }
}

fn give(house: &House, sink: &mut Box<dyn Sink>, start: i64) {
    let batch = plain(0, start..start + 10);
    house.ledger.begin(&batch.token, batch.alerts() as u64);
    house.ledger.decoded(&batch.token, batch.alerts() as u64);
    sink.accept(&batch).unwrap();
}

#[test]
fn a_disk_that_refuses_is_waited_for_and_then_all_is_begun_anew() {
    for kind in KINDS {
        let house = House::of(kind);
        let mut sink = patient(&house, &Arc::new(AtomicU64::new(1000 * MIB)));
        give(&house, &mut sink, 0);
        sink.seal().unwrap();
        let staging = house.config.staging.clone();
        let away = staging.with_extension("away");
        std::fs::rename(&staging, &away).unwrap();
        for start in [10, 20] {
            give(&house, &mut sink, start);
            sink.seal().unwrap();
            sink.tick(Instant::now()).unwrap();
        }
        assert_eq!((house.rows(), house.ledger.watermark(&origin(0))), (offsets(0, 0..10), Some(10)), "nothing is written");
        std::fs::rename(&away, &staging).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        let fault = sink.tick(Instant::now()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Environment);
        assert!(fault.message.contains("cannot create"), "what it was at first: {fault}");
        drop(sink);
        assert_eq!((house.rows(), house.ledger.watermark(&origin(0))), (offsets(0, 0..10), Some(10)), "and is not written after");
    }
}

#[test]
fn trouble_of_one_file_on_a_disk_that_takes_others_is_not_waited_for() {
    let house = House::new();
    let mut sink = patient(&house, &Arc::new(AtomicU64::new(1000 * MIB)));
    give(&house, &mut sink, 0);
    std::fs::remove_dir(&house.config.root).unwrap();
    std::fs::write(&house.config.root, "a file in its place").unwrap();
    let fault = sink.seal().unwrap_err();
    assert!(fault.kind == FaultKind::Environment && fault.message.contains("archive"), "{fault}");
}

#[test]
fn batches_wait_for_room_in_their_order_and_are_archived_once() {
    for kind in KINDS {
        let house = House::of(kind);
        let free = Arc::new(AtomicU64::new(1000 * MIB));
        let mut sink = patient(&house, &free);
        give(&house, &mut sink, 0);
        sink.seal().unwrap();
        assert_eq!(house.rows(), offsets(0, 0..10));
        give(&house, &mut sink, 10);
        free.store(60 * MIB, Ordering::Relaxed);
        give(&house, &mut sink, 20);
        give(&house, &mut sink, 30);
        sink.seal().unwrap();
        sink.tick(Instant::now() + Duration::from_secs(3600)).unwrap();
        assert_eq!((house.rows(), house.ledger.watermark(&origin(0))), (offsets(0, 0..10), Some(10)), "nothing is written");
        // Enough to begin, not to go on.
        free.store(100 * MIB, Ordering::Relaxed);
        sink.seal().unwrap();
        assert_eq!(house.ledger.watermark(&origin(0)), Some(10));
        free.store(1000 * MIB, Ordering::Relaxed);
        give(&house, &mut sink, 40);
        sink.seal().unwrap();
        assert_eq!(house.rows(), offsets(0, 0..50));
        house.assert_settled(50);
    }
}

#[test]
fn what_is_gathered_in_memory_counts_as_needed() {
    let house = House::new();
    let free = Arc::new(AtomicU64::new(64 * MIB + 2000));
    let mut sink = patient(&house, &free);
    for start in (0..200).step_by(10) {
        give(&house, &mut sink, start);
    }
    sink.seal().unwrap();
    assert_eq!(house.rows(), Vec::new(), "what could not be written was not begun");
    free.store(1000 * MIB, Ordering::Relaxed);
    sink.seal().unwrap();
    assert_eq!(house.rows(), offsets(0, 0..200));
}
