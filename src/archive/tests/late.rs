//! A component and the reader of its backlog write into the same hours of one archive, or backup: each row is there once.

use proptest::prelude::*;

use super::once::messages;
use super::*;

/// The house of the reader beside that of the component.
fn late(house: &House) -> House {
    let home = house.config.root.parent().unwrap();
    let mut late = House::at(house.kind, home, "staging");
    late.component = "ztf-late";
    late.beside = ["ztf", "ztf-requeue", "ztf-replay"].map(str::to_owned).to_vec();
    if house.kind == Kind::Avro {
        late.covered = ["ztf", "ztf-requeue"].map(str::to_owned).to_vec();
    }
    late
}

#[test]
fn letters_and_replays_leave_out_what_the_backlog_has_brought() {
    let mut house = House::new();
    house.accept(&messages(0, 0..4));
    house.seal();
    let mut late = late(&house);
    late.accept(&messages(0, 4..8));
    late.seal();
    for component in ["ztf-requeue", "ztf-replay"] {
        let mut again = House::at(Kind::Parquet, house.config.root.parent().unwrap(), component);
        again.component = component;
        again.beside = vec!["ztf".into(), "ztf-late".into()];
        again.accept(&messages(0, 2..6));
        again.seal();
        assert_eq!(again.ledger.totals().archived, 0, "{component}");
    }
    // Without a word on the component itself its rows would come twice: the test sees what it is to see.
    late.sink = None;
    late.beside = vec!["ztf-requeue".into()];
    late.accept(&messages(0, 2..4));
    late.seal();
    assert!(late.ledger.totals().archived > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// The component had archived a part of what it had not committed when it was cut short; it goes on behind the backlog while
    /// that is read, and both die again and again.
    #[test]
    fn the_backlog_and_the_live_stream_archive_each_row_once(
        committed in 0_i64..20,
        uncommitted in prop::collection::vec((1_i64..6, any::<bool>()), 0..5),
        set_aside in 1_i64..40,
        events in prop::collection::vec((any::<bool>(), 1_i64..7, 0_u8..6), 1..40),
        kind in prop_oneof![Just(Kind::Parquet), Just(Kind::Avro)],
    ) {
        let mut live = House::of(kind);
        live.accept(&messages(0, 0..committed.max(1)));
        live.seal();
        let mut at = committed.max(1);
        let from = at;
        for (count, sealed) in uncommitted {
            live.accept(&messages(0, at..at + count));
            at += count;
            if sealed {
                live.seal();
            }
        }
        live.crash();
        let to = from + set_aside;
        let mut late = late(&live);
        // What each has read, and what it has committed.
        let mut places = [(to, to), (from, from)];
        for (is_late, count, then) in events {
            let house = if is_late { &mut late } else { &mut live };
            let (next, done) = &mut places[usize::from(is_late)];
            let end = if is_late { (*next + count).min(to) } else { *next + count };
            if *next < end {
                house.accept(&messages(0, *next..end));
                *next = end;
            }
            match then {
                0 if house.sink.is_some() => {
                    *done = house.ledger.watermark(&origin(0)).unwrap_or(*done).max(*done);
                    house.crash();
                    *next = *done;
                }
                1 | 2 => house.seal(),
                _ => {}
            }
        }
        if places[1].0 < to {
            late.accept(&messages(0, places[1].0..to));
        }
        late.seal();
        live.seal();
        let end = places[0].0;
        let all = messages(0, 0..end);
        let expected: Vec<_> = all.parts.iter().flat_map(|p| &p.rows).map(|r| (0, r.offset, r.record as i32)).collect();
        let rows = live.rows();
        // What was archived without a commit may lie behind what was set aside: then the live stream has come to it again.
        let beyond: Vec<_> = rows.iter().filter(|(_, offset, _)| *offset >= end).collect();
        prop_assert!(beyond.iter().all(|(_, offset, _)| *offset < at), "{beyond:?}");
        prop_assert_eq!(rows.iter().filter(|(_, offset, _)| *offset < end).copied().collect::<Vec<_>>(), expected);
    }
}
