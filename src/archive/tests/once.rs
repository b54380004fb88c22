//! Exactly once: crashes, replays, partitions that come back.

use proptest::prelude::*;

use super::*;

#[test]
fn after_a_crash_every_row_is_in_the_archive_once() {
    for kind in KINDS {
        let mut house = House::of(kind);
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
        assert_eq!(house.staged(), 0, "nothing is left of the crash");
        house.seal();
        assert_eq!(house.rows(), offsets(0, 0..30));
        house.assert_settled(30);
        let sums = house.ledger.totals();
        assert_eq!((sums.archived, sums.skipped), (18, 12));
        assert_eq!(house.sink().counts().skipped.load(Ordering::Relaxed), 12);
    }
}

#[test]
fn records_of_one_message_stay_together() {
    for kind in KINDS {
        let mut house = House::of(kind);
        let records = |offset: i64| (0..3).map(move |record| RowOrigin { record, ..row(offset, T0) });
        house.config.roll_size = 1;
        house.accept(&batch(0, 0..2, vec![part(1, (0..2).flat_map(records).collect())]));
        house.crash();
        house.accept(&batch(0, 0..3, vec![part(1, (0..3).flat_map(records).collect())]));
        let expected: Vec<_> = (0..3).flat_map(|o| (0..3).map(move |r| (0, o, r))).collect();
        assert_eq!(house.rows(), expected);
        house.assert_settled(3);
    }
}

#[test]
fn a_partition_that_is_set_back_while_its_file_is_open_is_not_written_twice() {
    for kind in KINDS {
        let mut house = House::of(kind);
        house.accept(&plain(0, 0..10));
        house.accept(&plain(0, 5..15));
        house.accept(&plain(0, 0..15));
        house.seal();
        assert_eq!(house.rows(), offsets(0, 0..15));
    }
}

#[test]
fn offsets_that_were_passed_over_can_be_archived_later() {
    for kind in KINDS {
        let mut house = House::of(kind);
        house.accept(&plain(0, 0..10));
        house.accept(&plain(0, 20..30));
        house.seal();
        assert_eq!(house.files()[0].ranges.iter().map(|r| (r.first, r.last)).collect::<Vec<_>>(), [(0, 9), (20, 29)]);
        house.crash();
        house.accept(&plain(0, 0..30));
        house.seal();
        assert_eq!(house.rows(), offsets(0, 0..30));

        let mut house = House::of(kind);
        house.accept(&plain(0, 20..30));
        house.seal();
        house.accept(&plain(0, 0..40));
        house.seal();
        assert_eq!(house.rows(), offsets(0, 0..40));
    }
}

#[test]
fn what_another_process_has_archived_meanwhile_is_known() {
    for kind in KINDS {
        let home = tempfile::tempdir().unwrap();
        let (mut here, mut there) = (House::at(kind, home.path(), "here"), House::at(kind, home.path(), "there"));
        here.accept(&plain(0, 0..10));
        here.seal();
        there.accept(&plain(0, 10..20));
        there.seal();
        // The other one died before it committed: the partition comes back at 10.
        here.accept(&plain(0, 10..25));
        here.seal();
        assert_eq!(here.rows(), offsets(0, 0..25));
    }
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
fn a_torn_file_in_the_archive_is_named_and_not_passed_over() {
    for kind in KINDS {
        let mut house = House::of(kind);
        house.accept(&plain(0, 0..10));
        house.seal();
        let path = house.files()[0].path.clone();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        house.crash();
        let fault = house.sink().accept(&plain(0, 0..10)).unwrap_err();
        assert!(fault.message.contains("restore it from a copy") && fault.message.contains("0-0-9"), "{fault}");
    }
}

/// The same archive, with dead letters of it that are processed again.
fn of_letters(house: House) -> House {
    once_more(house, "ztf-requeue", ["ztf", "ztf-replay"])
}

/// The same archive, with a part of its stream that comes once more.
fn once_more(mut house: House, component: &'static str, beside: [&str; 2]) -> House {
    house.sink = None;
    (house.component, house.beside) = (component, beside.map(str::to_owned).to_vec());
    house
}

/// Dead letters that are processed again: each message a batch, with these records of it.
fn again(house: &mut House, messages: &[(i64, &[u32])]) {
    for (offset, records) in messages {
        let rows: Vec<RowOrigin> = records.iter().map(|record| RowOrigin { record: *record, ..row(*offset, T0) }).collect();
        let parts = if rows.is_empty() { Vec::new() } else { vec![part(1, rows)] };
        house.accept(&batch(0, *offset..offset + 1, parts));
    }
    house.seal();
    house.crash();
}

#[test]
fn a_letter_that_failed_between_two_others_is_archived_when_it_comes() {
    let mut house = of_letters(House::new());
    // 6 becomes a letter again.
    again(&mut house, &[(5, &[0]), (6, &[]), (7, &[0]), (8, &[0])]);
    assert_eq!(house.rows(), [(0, 5, 0), (0, 7, 0), (0, 8, 0)]);
    assert_eq!(house.files()[0].ranges.iter().map(|r| (r.first, r.last)).collect::<Vec<_>>(), [(5, 5), (7, 8)]);
    again(&mut house, &[(5, &[0]), (6, &[0]), (7, &[0]), (8, &[0])]);
    assert_eq!(house.rows(), offsets(0, 5..9));
    again(&mut house, &[(6, &[0])]);
    assert_eq!(house.rows(), offsets(0, 5..9));

    // As a service it takes the hole for archived: there a letter speaks for it.
    let mut house = House::new();
    again(&mut house, &[(5, &[0]), (6, &[]), (7, &[0])]);
    again(&mut house, &[(6, &[0])]);
    assert_eq!(house.rows(), [(0, 5, 0), (0, 7, 0)]);
}

#[test]
fn a_record_that_failed_again_is_archived_when_it_comes() {
    let mut house = of_letters(House::new());
    again(&mut house, &[(5, &[0, 2]), (6, &[1])]);
    again(&mut house, &[(5, &[0, 1, 2]), (6, &[0, 1]), (7, &[1])]);
    again(&mut house, &[(5, &[1]), (7, &[0, 1])]);
    assert_eq!(house.rows(), [(0, 5, 0), (0, 5, 1), (0, 5, 2), (0, 6, 0), (0, 6, 1), (0, 7, 0), (0, 7, 1)]);
}

#[test]
fn a_letter_that_the_service_has_archived_after_all_is_left_out() {
    let mut house = House::new();
    // 6 and the second record of 7 are dead letters: the range of the service covers them.
    again(&mut house, &[(5, &[0]), (6, &[]), (7, &[0]), (8, &[0])]);
    let range = house.files()[0].ranges[0].clone();
    assert_eq!((range.first, range.last), (5, 8));
    let mut house = of_letters(house);
    again(&mut house, &[(5, &[0]), (6, &[0]), (7, &[0, 1])]);
    assert_eq!(house.rows(), [(0, 5, 0), (0, 6, 0), (0, 7, 0), (0, 7, 1), (0, 8, 0)]);
    let components: Vec<_> = house.files().into_iter().map(|f| (f.component, f.rows)).collect();
    assert_eq!(components, [("ztf".to_owned(), 3), ("ztf-requeue".to_owned(), 2)]);
    // A topic that was made anew gives its offsets to other messages.
    house.accept(&batch(0, 5..6, vec![part(1, vec![row(5, T0 + 1)])]));
    house.seal();
    assert_eq!(house.rows().iter().filter(|row| row.1 == 5).count(), 2);
}

#[test]
fn service_replay_and_letters_archive_no_row_twice() {
    let replay = |house| once_more(house, "ztf-replay", ["ztf", "ztf-requeue"]);
    let mut house = House::new();
    // 6 and 7 are dead letters.
    again(&mut house, &[(5, &[0]), (6, &[]), (7, &[]), (8, &[0])]);
    let mut house = of_letters(house);
    again(&mut house, &[(6, &[0])]);
    let mut house = replay(house);
    again(&mut house, &[(5, &[0]), (6, &[0]), (7, &[0]), (8, &[0])]);
    assert_eq!(house.rows(), offsets(0, 5..9));
    let mut house = of_letters(house);
    again(&mut house, &[(7, &[0])]);
    assert_eq!(house.rows(), offsets(0, 5..9));
    let rows: BTreeMap<String, u64> = house.files().into_iter().map(|f| (f.component, f.rows)).collect();
    assert_eq!(rows, [("ztf", 2), ("ztf-replay", 1), ("ztf-requeue", 1)].map(|(name, rows)| (name.to_owned(), rows)).into());
}

/// What happens to a stream, in the order of a night.
#[derive(Clone, Debug)]
enum Event {
    /// The next so many messages of a partition arrive.
    Read {
        partition: i32,
        messages: i64,
    },
    Seal,
    /// The process dies; everything after the watermarks is read again.
    Crash,
    /// A rebalance: the partition is read again from its watermark.
    SetBack {
        partition: i32,
    },
    /// The operator sets the partition forward.
    PassOver {
        partition: i32,
        messages: i64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3, 1_i64..9).prop_map(|(partition, messages)| Event::Read { partition, messages }),
        2 => Just(Event::Seal),
        1 => Just(Event::Crash),
        1 => (0..3).prop_map(|partition| Event::SetBack { partition }),
        1 => (0..3, 1_i64..9).prop_map(|(partition, messages)| Event::PassOver { partition, messages }),
    ]
}

/// Messages of one to three records, in hours and schemas that are a function of the message alone.
pub(super) fn messages(partition: i32, span: std::ops::Range<i64>) -> Decoded {
    let hash = |offset: i64| (offset * 7 + i64::from(partition)) % 11;
    let records = |offset: i64| {
        (0..=(hash(offset) % 3) as u32).map(move |record| {
            let hour = (hash(offset) + i64::from(record)) % 3;
            RowOrigin { record, ..row(offset, T0 + hour * HOUR + offset) }
        })
    };
    let mut offsets: Vec<i64> = span.clone().collect();
    let mut parts = Vec::new();
    while let Some(&first) = offsets.first() {
        let schema = |offset: i64| hash(offset) / 6;
        let same = offsets.iter().take_while(|&&o| schema(o) == schema(first)).count();
        let rows = offsets.drain(..same).flat_map(records).collect();
        parts.push(part(1 + schema(first) as u64, rows));
    }
    batch(partition, span, parts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_again_each_record_of_a_letter_is_archived_once(
        attempts in proptest::collection::vec(proptest::collection::btree_set((0_i64..12, 0_u32..3), 0..20), 1..5)
    ) {
        let mut house = of_letters(House::new());
        for attempt in &attempts {
            let mut messages: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
            attempt.iter().for_each(|(offset, record)| messages.entry(*offset).or_default().push(*record));
            let messages: Vec<(i64, &[u32])> = messages.iter().map(|(offset, records)| (*offset, &records[..])).collect();
            again(&mut house, &messages);
        }
        let all: std::collections::BTreeSet<_> = attempts.iter().flatten().map(|(o, r)| (0, *o, *r as i32)).collect();
        prop_assert_eq!(house.rows(), all.into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_alert_is_archived_once(
        events in proptest::collection::vec(event(), 1..40),
        roll in 1_u64..40_000,
        memory in prop_oneof![Just(1), Just(1 << 30)],
        kind in prop_oneof![Just(Kind::Parquet), Just(Kind::Avro)],
    ) {
        let mut house = House::of(kind);
        (house.config.roll_size, house.memory) = (roll, memory);
        let (mut next, mut end, mut committed) = ([0_i64; 3], [0_i64; 3], [0_i64; 3]);
        for event in events.into_iter().chain([Event::Crash]) {
            match event {
                Event::Read { partition, messages: count } => {
                    let at = next[partition as usize];
                    house.accept(&messages(partition, at..at + count));
                    next[partition as usize] = at + count;
                    end[partition as usize] = end[partition as usize].max(at + count);
                }
                Event::Seal => house.seal(),
                Event::Crash => {
                    for (partition, at) in committed.iter_mut().enumerate() {
                        *at = house.ledger.watermark(&origin(partition as i32)).unwrap_or(*at).max(*at);
                    }
                    if house.sink.is_some() {
                        house.crash();
                    }
                    next = committed;
                }
                Event::SetBack { partition } => {
                    let p = partition as usize;
                    let at = house.ledger.watermark(&origin(partition)).unwrap_or(committed[p]).max(committed[p]);
                    next[p] = at.min(next[p]);
                }
                Event::PassOver { partition, messages: count } => {
                    let p = partition as usize;
                    next[p] += count;
                    end[p] = end[p].max(next[p]);
                }
            }
        }
        // In the end all of it is read once more.
        let mut expected = Vec::new();
        for partition in 0..3 {
            let all = messages(partition, 0..end[partition as usize]);
            house.accept(&all);
            expected.extend(all.parts.iter().flat_map(|p| &p.rows).map(|r| (partition, r.offset, r.record as i32)));
        }
        house.seal();
        prop_assert_eq!(house.rows(), expected);
        prop_assert_eq!((house.ledger.open(None), house.ledger.totals().imbalance), (0, 0));
    }
}
