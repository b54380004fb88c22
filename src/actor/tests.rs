//! The traps of the actor library, each shown to be taken away: bounds, panics, lost actors, giving up. Stages are small
//! stand-ins; what is tested is the shell.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_buffer::Buffer;

use super::*;
use crate::alert::*;
use crate::avro::AlertSchema;
use crate::ledger::{Handled, Ledger, SinkId};

const SINK: SinkId = SinkId(0);
const PER_BATCH: i64 = 10;

fn origin() -> Arc<TopicPartition> {
    Arc::new(TopicPartition { topic: "night".into(), partition: 0 })
}

struct MemorySource {
    next: i64,
    end: i64,
    generation: u64,
    given: Arc<AtomicI64>,
    kept_alive: Arc<AtomicUsize>,
}

impl Source for MemorySource {
    fn poll(&mut self, _: Duration) -> Result<Polled, Fault> {
        if self.next >= self.end {
            return Ok(Polled::End);
        }
        let span = Span { start: self.next, end: (self.next + PER_BATCH).min(self.end) };
        self.next = span.end;
        self.given.fetch_add(1, Ordering::SeqCst);
        let messages =
            (span.start..span.end).map(|offset| RawMessage { offset, payload: Some(0..1), ..RawMessage::default() }).collect();
        let token = Token { origin: origin(), span, generation: self.generation };
        Ok(Polled::Batch(RawBatch {
            token,
            arena: Buffer::from_vec(vec![0_u8]),
            messages,
            permit: Arc::new(Permit::unbounded()),
        }))
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        self.kept_alive.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn commit(&mut self, _: &[(TopicPartition, i64)], _: bool) -> Result<(), Fault> {
        Ok(())
    }
}

type Hook<B> = Arc<dyn Fn(&B) -> Result<(), Fault> + Send + Sync>;

struct Rows {
    schema: Arc<AlertSchema>,
    hook: Hook<RawBatch>,
}

impl Transform for Rows {
    type In = RawBatch;

    fn apply(&self, batch: &RawBatch) -> Result<Decoded, Fault> {
        (self.hook)(batch)?;
        let offsets: Vec<i64> = batch.messages.iter().map(|m| m.offset).collect();
        let n = offsets.len();
        let ids: ArrayRef = Arc::new(Int64Array::from(offsets.clone()));
        let records = RecordBatch::try_new(self.schema.arrow.clone(), vec![ids.clone()]).unwrap();
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![0.0; n]));
        let candidate = Candidate {
            alert_id: ids,
            object_id: Arc::new(StringArray::from(vec!["a"; n])),
            ra: numbers.clone(),
            dec: numbers.clone(),
            time: Arc::new(TimestampMicrosecondArray::from(vec![0; n]).with_timezone("UTC")),
            magnitude: numbers,
        };
        let rows = offsets.iter().map(|offset| RowOrigin { offset: *offset, ..RowOrigin::default() }).collect();
        let part = AlertBatch {
            schema: self.schema.clone(),
            records,
            rows,
            buffers: vec![batch.arena.clone()],
            candidate,
            annotations: Vec::new(),
            steps: Arc::new([]),
            verdicts: vec![Verdict::Passed; n],
            flags: vec![Flags::default(); n],
        };
        Ok(Decoded { token: batch.token.clone(), parts: vec![part], letters: Vec::new(), permit: batch.permit.clone() })
    }
}

#[derive(Default)]
struct Seen {
    rows: Mutex<BTreeMap<i64, usize>>,
    order: Mutex<Vec<i64>>,
    letters: Mutex<Vec<(i64, &'static str, String)>>,
}

impl LetterBox for Seen {
    fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
        self.letters.lock().unwrap().extend(letters.iter().map(|l| (l.offset, l.stage, l.reason.clone())));
        Ok(())
    }
}

/// Rows are durable as soon as they are accepted.
struct MemorySink {
    seen: Arc<Seen>,
    ledger: Ledger,
    hook: Hook<Decoded>,
    /// How long each tick takes.
    tick: Duration,
}

impl Sink for MemorySink {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        (self.hook)(batch)?;
        for row in batch.parts.iter().flat_map(|p| &p.rows) {
            *self.seen.rows.lock().unwrap().entry(row.offset).or_default() += 1;
            self.seen.order.lock().unwrap().push(row.offset);
        }
        self.seen.put(&batch.letters)?;
        let handled = Handled { archived: batch.rows() as u64, skipped: 0, dead: batch.letters.len() as u64 };
        self.ledger.acknowledge(SINK, &batch.token, handled);
        Ok(())
    }

    fn tick(&mut self, _: Instant) -> Result<(), Fault> {
        std::thread::sleep(self.tick);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

struct Rig {
    alerts: i64,
    restarts: u32,
    transform: Hook<RawBatch>,
    sink: Hook<Decoded>,
    tick: Duration,
    given: Arc<AtomicI64>,
    kept_alive: Arc<AtomicUsize>,
    held: Arc<AtomicBool>,
    finite: bool,
    seen: Arc<Seen>,
    ledger: Ledger,
    built: Mutex<Vec<&'static str>>,
}

impl Rig {
    fn new(alerts: i64) -> Self {
        Self {
            alerts,
            restarts: 5,
            transform: Arc::new(|_| Ok(())),
            sink: Arc::new(|_| Ok(())),
            tick: Duration::ZERO,
            given: Arc::default(),
            kept_alive: Arc::default(),
            held: Arc::default(),
            finite: true,
            seen: Arc::default(),
            ledger: Ledger::default(),
            built: Mutex::default(),
        }
    }

    fn run(&self) -> Outcome {
        let _system = actix::System::new();
        let with = Supervision {
            component: "test".to_owned(),
            stop: StopSignal::default(),
            stall: Duration::from_secs(20),
            grace: Duration::from_secs(20),
            restarts: self.restarts,
            ledger: self.ledger.clone(),
            budget: Budget::new(1 << 30),
            injector: Arc::default(),
        };
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let schema = AlertSchema::parse(r#"{"type":"record","name":"alert","fields":[{"name":"id","type":"long"}]}"#).unwrap();
        supervise(&with, |generation| {
            self.ledger.start_generation(generation.number, &[SINK]);
            let (shell, arbiter) = generation.place("archive")?;
            self.built.lock().unwrap().push("archive");
            let (seen, ledger, hook) = (self.seen.clone(), self.ledger.clone(), self.sink.clone());
            let sink = MemorySink { seen, ledger, hook, tick: self.tick };
            let parts =
                SinkParts { shell, sink: Box::new(sink), id: SINK, accounts: true, letters: self.seen.clone(), mailbox: 4 };
            let edge = Edge::new(SinkActor::start_in(&arbiter, parts));
            generation.started("archive");

            let (shell, arbiter) = generation.place("decode")?;
            self.built.lock().unwrap().push("decode");
            let (hook, schema, ledger) = (self.transform.clone(), schema.clone(), self.ledger.clone());
            let parts = TransformParts {
                shell,
                build: Arc::new(move || Ok(Rows { schema: schema.clone(), hook: hook.clone() })),
                pool: pool.clone(),
                window: 3,
                mailbox: 4,
                done: Arc::new(move |d: &Decoded| ledger.decoded(&d.token, d.alerts() as u64)),
                edges: vec![edge],
            };
            let decode = TransformActor::start_in(&arbiter, parts)?;
            generation.started("decode");

            let (shell, arbiter) = generation.place("source")?;
            self.built.lock().unwrap().push("source");
            let source = MemorySource {
                next: self.ledger.watermark(&origin()).unwrap_or(0),
                end: self.alerts,
                generation: generation.number,
                given: self.given.clone(),
                kept_alive: self.kept_alive.clone(),
            };
            let (source, edge, stop) = (Box::new(source), Edge::new(decode), generation.stop_flag());
            let (held, finite) = (self.held.clone(), self.finite);
            let held = Arc::new(move || held.load(Ordering::SeqCst));
            let parts = SourceParts { shell, source, edge, timed: false, held, finite, stop };
            generation.set_source(SourceActor::start_in(&arbiter, parts));
            generation.started("source");
            Ok(())
        })
    }

    fn assert_all_settled(&self, dead: u64) {
        let totals = self.ledger.totals();
        assert_eq!((totals.alerts, totals.dead, totals.imbalance), (self.alerts as u64, dead, 0), "{totals:?}");
        assert_eq!(self.ledger.watermark(&origin()), Some(self.alerts));
        let missing: Vec<i64> = {
            let (rows, letters) = (self.seen.rows.lock().unwrap(), self.seen.letters.lock().unwrap());
            (0..self.alerts).filter(|o| !rows.contains_key(o) && !letters.iter().any(|l| l.0 == *o)).collect()
        };
        assert_eq!(missing, Vec::<i64>::new());
    }
}

fn once(flag: &AtomicBool) -> bool {
    !flag.swap(true, Ordering::SeqCst)
}

#[test]
fn a_flood_stays_within_the_bounds_of_the_edges_and_the_source_stays_alive() {
    let mut rig = Rig::new(5_000);
    let (accepted, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (given, kept_alive, largest) = (rig.given.clone(), rig.kept_alive.clone(), most.clone());
    rig.sink = Arc::new(move |_| {
        // The sink holds its first batch until the source has been pushed back for a while.
        if accepted.fetch_add(1, Ordering::SeqCst) == 0 {
            let end = Instant::now() + Duration::from_secs(10);
            while kept_alive.load(Ordering::SeqCst) < 100 && Instant::now() < end {
                std::thread::yield_now();
            }
        }
        largest.fetch_max(given.load(Ordering::SeqCst) - accepted.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
        Ok(())
    });
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations), (End::Finished, 1));
    rig.assert_all_settled(0);
    assert!(rig.kept_alive.load(Ordering::SeqCst) >= 100, "the source was never pushed back");
    // Two mailboxes of 4 with a place of its own for the sender of each, a window of 3 and one more at its door, one at the
    // forwarder, one in the hands of the sink, one in those of the source.
    let bound = 2 * (4 + 1) + 3 + 1 + 1 + 1 + 1;
    let most = most.load(Ordering::SeqCst);
    assert!(most <= bound, "{most} batches were in flight, the bound is {bound}");
}

#[test]
fn order_is_kept_although_batches_take_different_times() {
    let mut rig = Rig::new(1_000);
    rig.transform = Arc::new(|batch| {
        if (batch.token.span.start / PER_BATCH) % 3 == 0 {
            let end = Instant::now() + Duration::from_millis(3);
            while Instant::now() < end {
                std::thread::yield_now();
            }
        }
        Ok(())
    });
    assert_eq!(rig.run().end, End::Finished);
    assert!(rig.seen.order.lock().unwrap().is_sorted());
    rig.assert_all_settled(0);
}

#[test]
fn a_sink_whose_ticks_take_longer_than_they_are_apart_takes_batches_and_ends() {
    let mut rig = Rig::new(200);
    rig.tick = Duration::from_millis(35);
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations), (End::Finished, 1));
    rig.assert_all_settled(0);
}

#[test]
fn one_alert_that_panics_is_one_dead_letter_and_no_mail_is_lost() {
    let mut rig = Rig::new(1_000);
    rig.transform = Arc::new(|batch| {
        assert!(!batch.messages.iter().any(|m| m.offset == 555), "cannot stand 555");
        Ok(())
    });
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations, outcome.rebuilt), (End::Finished, 1, 1));
    rig.assert_all_settled(1);
    assert_eq!(*rig.seen.letters.lock().unwrap(), [(555, "decode", "panic: cannot stand 555".to_owned())]);
    assert!(rig.seen.order.lock().unwrap().is_sorted());
}

#[test]
fn a_panic_that_does_not_come_again_costs_no_alert() {
    let mut rig = Rig::new(1_000);
    let struck = AtomicBool::new(false);
    rig.transform = Arc::new(move |batch| {
        assert!(batch.token.span.start != 500 || !once(&struck), "once");
        Ok(())
    });
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations, outcome.rebuilt), (End::Finished, 1, 1));
    rig.assert_all_settled(0);
}

#[test]
fn a_failed_sink_is_rebuilt_sink_first_from_the_watermark_and_the_first_cause_is_kept() {
    let mut rig = Rig::new(1_000);
    let struck = AtomicBool::new(false);
    rig.sink = Arc::new(move |batch| {
        if batch.token.span.start == 500 && once(&struck) {
            return Err(Fault::defect("the disk said no"));
        }
        Ok(())
    });
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations), (End::Finished, 2));
    assert_eq!(outcome.cause.as_deref(), Some("archive: the disk said no"));
    rig.assert_all_settled(0);
    assert_eq!(*rig.built.lock().unwrap(), ["archive", "decode", "source", "archive", "decode", "source"]);
    assert!(rig.seen.rows.lock().unwrap().values().all(|n| *n == 1), "what was durable was read again");
}

#[test]
fn a_lost_actor_is_missed_and_its_generation_rebuilt() {
    let mut rig = Rig::new(1_000);
    let struck = AtomicBool::new(false);
    rig.sink = Arc::new(move |batch| {
        if batch.token.span.start == 300 && once(&struck) {
            // The thread of the actor ends under it.
            actix::Arbiter::current().stop();
        }
        Ok(())
    });
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations), (End::Finished, 2));
    assert_eq!(outcome.cause.as_deref(), Some("archive: its actor is gone"));
    rig.assert_all_settled(0);
}

#[test]
fn a_message_that_fails_a_sink_again_and_again_becomes_a_dead_letter() {
    let mut rig = Rig::new(1_000);
    rig.sink = Arc::new(|batch| {
        assert!(!batch.parts.iter().any(|p| p.rows.iter().any(|r| r.offset == 444)), "cannot write 444");
        Ok(())
    });
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations), (End::Finished, 3));
    rig.assert_all_settled(1);
    assert_eq!(*rig.seen.letters.lock().unwrap(), [(444, "archive", "panic: cannot write 444".to_owned())]);
}

#[test]
fn too_many_failures_without_progress_end_the_run() {
    let mut rig = Rig::new(1_000);
    rig.restarts = 2;
    rig.sink = Arc::new(|_| Err(Fault::defect("never")));
    let outcome = rig.run();
    assert_eq!((outcome.end, outcome.generations), (End::GaveUp, 3));
    // The first message was found out as poison on the way; the others are still to be read.
    assert_eq!(rig.ledger.watermark(&origin()), Some(1));
    assert_eq!(rig.seen.letters.lock().unwrap().len(), 1);
}

#[test]
fn faults_to_inject_are_parsed_and_strike_once() {
    let injector = Injector::parse("archive=error@2, decode=poison@7").unwrap();
    let span = |start| Span { start, end: start + 1 };
    assert!(injector.strike("archive", span(0)).is_ok());
    assert!(injector.strike("archive", span(0)).is_err());
    assert!(injector.strike("archive", span(0)).is_ok());
    assert!(injector.strike("decode", span(6)).is_ok());
    assert!(std::panic::catch_unwind(|| injector.strike("decode", span(7))).is_err());
    assert!(Injector::parse("archive=melt@2").is_err());
}

#[test]
fn a_held_stream_stands_still_and_goes_on_where_it_stood() {
    let rig = Rig { finite: false, ..Rig::new(500) };
    let (held, given, kept_alive) = (rig.held.clone(), rig.given.clone(), rig.kept_alive.clone());
    let at = Arc::new(AtomicI64::new(0));
    let standing = at.clone();
    // Held from the 20th batch on, from inside as the breaker does it, and released from outside.
    let (trip, count) = (rig.held.clone(), AtomicUsize::new(0));
    let rig = Rig {
        transform: Arc::new(move |_| {
            trip.fetch_or(count.fetch_add(1, Ordering::SeqCst) == 20, Ordering::SeqCst);
            Ok(())
        }),
        ..rig
    };
    let release = std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(20);
        while !held.load(Ordering::SeqCst) && Instant::now() < end {
            std::thread::yield_now();
        }
        let alive = kept_alive.load(Ordering::SeqCst);
        while kept_alive.load(Ordering::SeqCst) < alive + 5 && Instant::now() < end {
            std::thread::yield_now();
        }
        standing.store(given.load(Ordering::SeqCst), Ordering::SeqCst);
        held.store(false, Ordering::SeqCst);
    });
    assert_eq!(rig.run().end, End::Finished);
    release.join().unwrap();
    let stood = at.load(Ordering::SeqCst);
    assert!((21..50).contains(&stood), "{stood} batches were given until the stream was held");
    assert_eq!(rig.seen.rows.lock().unwrap().len(), 500);
}

#[test]
fn a_held_source_that_would_end_by_itself_ends_with_what_it_has_given() {
    let rig = Rig::new(500);
    let trip = rig.held.clone();
    let rig = Rig {
        transform: Arc::new(move |batch| {
            trip.fetch_or(batch.token.span.start >= 100, Ordering::SeqCst);
            Ok(())
        }),
        ..rig
    };
    assert_eq!(rig.run().end, End::Finished);
    let rows = rig.seen.rows.lock().unwrap().len();
    assert!((110..500).contains(&rows), "{rows} alerts came through");
    assert_eq!(rig.ledger.open(None), 0);
}
