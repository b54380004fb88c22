//! The book without threads: the time is told, the answers are given.
#![allow(clippy::unwrap_used)]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn book(wait: u64, then: AfterWait) -> Book {
    Book::new(UnknownIds { wait: Duration::from_secs(wait), then })
}

fn origin(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

fn found() -> Answer {
    Answer::Found("{}".into())
}

fn held(notice: Option<Notice>, new: bool) -> Admitted {
    Admitted { admission: Admission::Hold, notice, new }
}

/// Does what is due now with these answers, and gives the ids that the registry was asked for.
fn serve(book: &mut Book, now: Instant, mut answer: impl FnMut(u32) -> Answer) -> Vec<u32> {
    let mut asked = Vec::new();
    loop {
        match book.next(now) {
            Next::Look(id) => book.looked(id, None, now),
            Next::Ask(id) => {
                asked.push(id);
                book.answer(id, answer(id), now);
            }
            Next::At(_) | Next::Never => return asked,
        }
    }
}

#[test]
fn an_id_is_asked_for_once_whoever_waits_and_never_again() {
    let (mut book, now) = (book(60, AfterWait::DeadLetter), Instant::now());
    assert_eq!(book.next(now), Next::Never);
    assert_eq!(book.admit(&origin(0), 900, now), held(None, true));
    assert_eq!(book.admit(&origin(0), 900, now), held(None, false));
    assert_eq!(book.admit(&origin(1), 900, now), held(None, true));
    assert!(book.schema(900).unwrap_err().contains("900 is not known"));
    assert_eq!(serve(&mut book, now, |_| found()), [900]);
    for partition in 0..3 {
        // It came at once: there is nothing to say.
        let passed = book.admit(&origin(partition), 900, now + 9000 * SECOND);
        assert_eq!(passed, Admitted::now(Admission::Always, None));
    }
    assert_eq!(&*book.schema(900).unwrap(), "{}");
    assert_eq!(book.next(now + 9000 * SECOND), Next::Never);
}

#[test]
fn what_the_disk_has_is_not_asked_for_also_while_the_registry_is_away() {
    let (mut book, now) = (book(60, AfterWait::DeadLetter), Instant::now());
    book.admit(&origin(0), 900, now);
    serve(&mut book, now, |_| Answer::Away("no route".to_owned()));
    assert_eq!(book.admit(&origin(1), 901, now), held(None, true));
    assert_eq!(book.next(now), Next::Look(901));
    book.looked(901, Some("{}".into()), now);
    assert_eq!(book.admit(&origin(1), 901, now).admission, Admission::Always);
    assert!(matches!(book.next(now), Next::At(_)));
}

#[test]
fn a_registry_that_is_away_holds_however_long_and_is_asked_with_growing_pauses() {
    let (mut book, start) = (book(1, AfterWait::DeadLetter), Instant::now());
    let mut now = start;
    book.admit(&origin(0), 900, now);
    book.admit(&origin(1), 901, now);
    let away = || Answer::Away("connection refused".to_owned());
    let mut calls = Vec::new();
    while now < start + 3600 * SECOND {
        calls.extend(serve(&mut book, now, |_| away()).iter().map(|_| now));
        let Next::At(due) = book.next(now) else { panic!("nothing is waited for") };
        now = due;
    }
    let pauses: Vec<_> = calls.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE && *pauses.last().unwrap() == LONGEST_PAUSE, "{pauses:?}");
    let said = Notice::Waits(Why::Away("connection refused".to_owned()));
    assert_eq!(book.admit(&origin(0), 900, now), held(Some(said), false));
    assert_eq!(book.admit(&origin(0), 900, now), held(None, false), "said once");
    assert_eq!(book.holds().iter().map(|h| (h.origin.partition, h.id)).collect::<Vec<_>>(), [(0, 900), (1, 901)]);
    // Another reason is another matter.
    now += LONGEST_PAUSE;
    serve(&mut book, now, |_| Answer::Refused("401".to_owned()));
    assert_eq!(book.admit(&origin(0), 900, now).notice, Some(Notice::Waits(Why::Refused("401".to_owned()))));
    // Once it is back all are asked for without a further pause.
    now += LONGEST_PAUSE;
    let mut back = serve(&mut book, now, |_| found());
    back.sort_unstable();
    assert_eq!(back, [900, 901]);
    let after = now - start;
    assert_eq!(book.admit(&origin(0), 900, now), Admitted::now(Admission::Always, Some(Notice::GoesOn { after })));
}

#[test]
fn an_unknown_id_is_parked_until_the_wait_is_over_and_then_remembered() {
    let (mut book, start) = (book(60, AfterWait::DeadLetter), Instant::now());
    let mut now = start;
    book.admit(&origin(0), 901, now);
    let mut calls = 0;
    loop {
        calls += serve(&mut book, now, |_| Answer::Unknown).len();
        let admitted = book.admit(&origin(0), 901, now);
        if admitted.admission != Admission::Hold {
            assert_eq!(admitted, Admitted::now(Admission::Once, Some(Notice::GaveUp { after: 60 * SECOND })));
            break;
        }
        assert_eq!(admitted.notice, (now == start).then_some(Notice::Waits(Why::Unknown)));
        let Next::At(due) = book.next(now) else { panic!() };
        now = due;
    }
    assert_eq!(now, start + 60 * SECOND, "the last question is at the end of the wait");
    assert!((5..20).contains(&calls), "{calls} calls");
    // The same id in any partition is not asked for again for a while.
    assert_eq!(book.admit(&origin(1), 901, now), Admitted::now(Admission::Once, None));
    assert_eq!(book.next(now), Next::Never);
    assert!(book.schema(901).is_err());
    // Afterwards it is, and as it is known by then, it is used.
    now += 61 * SECOND;
    assert_eq!(book.admit(&origin(2), 901, now), held(None, true));
    assert_eq!(serve(&mut book, now, |_| found()), [901]);
    assert_eq!(book.admit(&origin(2), 901, now).admission, Admission::Always);
}

#[test]
fn an_id_that_becomes_known_while_it_is_parked_goes_on() {
    let (mut book, start) = (book(60, AfterWait::DeadLetter), Instant::now());
    book.admit(&origin(0), 901, start);
    serve(&mut book, start, |_| Answer::Unknown);
    book.admit(&origin(0), 901, start);
    let Next::At(due) = book.next(start) else { panic!() };
    assert_eq!(serve(&mut book, due, |_| found()), [901]);
    let goes_on = Notice::GoesOn { after: due - start };
    assert_eq!(book.admit(&origin(0), 901, due), Admitted::now(Admission::Always, Some(goes_on)));
}

#[test]
fn garbage_stalls_a_partition_once_and_others_not_at_all() {
    let (mut book, mut now) = (book(60, AfterWait::DeadLetter), Instant::now());
    book.admit(&origin(0), 1, now);
    serve(&mut book, now, |_| Answer::Unknown);
    now += 60 * SECOND;
    serve(&mut book, now, |_| Answer::Unknown);
    assert_eq!(book.admit(&origin(0), 1, now).admission, Admission::Once);
    for id in 2..10_000 {
        now += SECOND / 10;
        assert_eq!(book.admit(&origin(0), id, now), held(None, true));
        assert_eq!(serve(&mut book, now, |_| Answer::Unknown), [id], "one call");
        assert_eq!(book.admit(&origin(0), id, now), Admitted::now(Admission::Once, None));
    }
    assert!(book.ids.len() <= MAX_UNKNOWN + 1, "{} ids", book.ids.len());
    // A partition that brought no garbage waits its time for the same id, while the other passes it over.
    book.admit(&origin(1), 77_777, now);
    serve(&mut book, now, |_| Answer::Unknown);
    assert_eq!(book.admit(&origin(1), 77_777, now).notice, Some(Notice::Waits(Why::Unknown)));
    assert_eq!(book.admit(&origin(0), 77_777, now).admission, Admission::Once);
    assert_eq!(book.admit(&origin(1), 77_777, now).admission, Admission::Hold);
    // After a quiet time it is patient again.
    now += 61 * SECOND;
    book.admit(&origin(0), 88_888, now);
    serve(&mut book, now, |_| Answer::Unknown);
    assert_eq!(book.admit(&origin(0), 88_888, now).notice, Some(Notice::Waits(Why::Unknown)));
}

#[test]
fn with_hold_an_unknown_id_waits_for_ever() {
    let (mut book, mut now) = (book(1, AfterWait::Hold), Instant::now());
    for _ in 0..1000 {
        assert_eq!(book.admit(&origin(0), 901, now).admission, Admission::Hold);
        serve(&mut book, now, |_| Answer::Unknown);
        now += 10 * SECOND;
    }
    serve(&mut book, now, |_| found());
    assert_eq!(book.admit(&origin(0), 901, now).admission, Admission::Always);
}

#[test]
fn what_is_no_schema_passes_with_its_reason() {
    let (mut book, now) = (book(60, AfterWait::DeadLetter), Instant::now());
    book.admit(&origin(0), 5, now);
    serve(&mut book, now, |_| Answer::Unusable("it is of type PROTOBUF, not AVRO".to_owned()));
    assert_eq!(book.admit(&origin(0), 5, now).admission, Admission::Always);
    assert_eq!(book.schema(5).unwrap_err(), "schema id 5 cannot be used: it is of type PROTOBUF, not AVRO");
}

#[test]
fn what_nobody_waits_for_any_more_is_not_asked_for_nor_given_up() {
    let (mut book, now) = (book(0, AfterWait::DeadLetter), Instant::now());
    book.admit(&origin(0), 901, now);
    book.leave(&origin(0));
    assert_eq!(book.next(now), Next::Never);
    assert!(book.holds().is_empty() && book.ids.is_empty());
    // It leaves while the question is on its way.
    book.admit(&origin(0), 901, now);
    assert_eq!(book.next(now), Next::Look(901));
    book.looked(901, None, now);
    assert_eq!(book.next(now), Next::Ask(901));
    book.leave(&origin(0));
    book.answer(901, Answer::Unknown, now);
    assert_eq!(book.admit(&origin(1), 901, now), held(None, true));
}

#[test]
fn an_id_whose_answer_is_of_no_use_keeps_no_other_waiting() {
    let (mut book, mut now) = (book(60, AfterWait::DeadLetter), Instant::now());
    let answer = |id| if id == 5 { Answer::Away("it is not JSON".to_owned()) } else { found() };
    for partition in 0..3 {
        book.admit(&origin(partition), 5 + partition as u32, now);
    }
    for _ in 0..4 {
        serve(&mut book, now, answer);
        now += LONGEST_PAUSE;
    }
    for partition in 1..3 {
        assert_eq!(book.admit(&origin(partition), 5 + partition as u32, now).admission, Admission::Always);
    }
    assert_eq!(book.admit(&origin(0), 5, now).admission, Admission::Hold);
}
