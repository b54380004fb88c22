//! Runs generations of one pipeline until its source ends, a stop is asked for, or nothing helps any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::{Backoff, Decision, Event, Generation, Injector, StopSignal, Suspects};
use crate::alert::{Budget, Fault, FaultKind};
use crate::ledger::Ledger;

/// How often the supervisor looks at signals and heartbeats when no event comes.
const LOOK: Duration = Duration::from_millis(10);
/// How long the batches on their way may take to reach the sinks before these are asked to seal all the same: one of them may be
/// held up, and the others need not wait for it.
const ARRIVE: Duration = Duration::from_secs(2);
/// How long building a generation may take until it is told what holds it up, and again after as long.
const OPEN: Duration = Duration::from_secs(10);
/// How long a last commit may take.
const COMMIT: Duration = Duration::from_secs(10);

/// What a pipeline is run with.
pub struct Supervision {
    /// Name of the component, for the log.
    pub component: String,
    /// The wish to stop.
    pub stop: StopSignal,
    /// Time after which work in hand counts as hung.
    pub stall: Duration,
    /// Time that a stop may take.
    pub grace: Duration,
    /// Defects in a row before giving up.
    pub restarts: u32,
    /// The ledger, which outlives the generations.
    pub ledger: Ledger,
    /// What is in flight.
    pub budget: Budget,
    /// Faults to inject.
    pub injector: Arc<Injector>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The source ended and all of it is durable.
    Finished,
    /// The breaker held a source that would have ended by itself; what it gave until then is durable.
    Held,
    /// A stop was asked for and everything read is durable.
    Stopped,
    /// A stop was asked for, and not everything was durable in time; it will be read again.
    CutShort,
    /// Too many failures in a row.
    GaveUp,
    /// The configuration says to end at what has happened; the cause of the outcome tells it.
    Halted,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Generations that were built, or tried.
    pub generations: u64,
    /// Stages rebuilt in place.
    pub rebuilt: u64,
    /// The first fault of the first generation that failed; of a halted run the one that halted it.
    pub cause: Option<String>,
}

/// Runs generations. `build` wires the stages into the generation it is given, sink first, the source last.
///
/// A stage that hangs aborts the process: a thread can't be ended from outside, and what it holds is unknown.
pub fn supervise(with: &Supervision, mut build: impl FnMut(&mut Generation) -> Result<(), Fault>) -> Outcome {
    let suspects = Suspects::default();
    let mut backoff = Backoff::new(with.restarts);
    let mut outcome = Outcome { end: End::Finished, generations: 0, rebuilt: 0, cause: None };
    loop {
        outcome.generations += 1;
        let mut generation = Generation::new(outcome.generations, with.ledger.clone(), suspects.clone(), with.injector.clone());
        let tell = |stage, waited: Duration| {
            let waited_s = waited.as_secs();
            tracing::warn!(component = with.component, stage, waited_s, "opening takes long; nothing is read meanwhile");
        };
        let result = match told(OPEN, tell, &mut generation, &mut build) {
            Ok(()) => watch(with, &mut generation, &mut outcome.rebuilt),
            Err(fault) => Err(("build", fault)),
        };
        if !matches!(result, Ok(End::CutShort)) {
            generation.commit(COMMIT);
        }
        if let Err(stuck) = generation.tear_down(with.stall) {
            abort(&with.component, &stuck.to_string());
        }
        let (stage, fault) = match result {
            Ok(end) => {
                outcome.end = end;
                return outcome;
            }
            Err(failure) => failure,
        };
        tracing::error!(component = with.component, generation = outcome.generations, stage, cause = %fault, "generation failed");
        outcome.cause.get_or_insert_with(|| format!("{stage}: {fault}"));
        // A stage that fails on everything must not live on by burying one message after the other.
        let progress = with.ledger.totals().messages.saturating_sub(suspects.buried());
        match backoff.failed(fault.kind, progress) {
            Decision::GiveUp => {
                outcome.end = End::GaveUp;
                if fault.kind == FaultKind::Halt {
                    (outcome.end, outcome.cause) = (End::Halted, Some(fault.message));
                }
                return outcome;
            }
            Decision::Retry(wait) => {
                tracing::warn!(component = with.component, wait_ms = wait.as_millis() as u64, "rebuilding from the watermark");
                if pause(wait, &with.stop) {
                    outcome.end = End::Stopped;
                    return outcome;
                }
            }
        }
    }
}

/// Builds a generation, and tells after each `patience` what is being opened and since when: a disk or a broker that does not answer
/// holds up a call that nothing can end from outside.
fn told(
    patience: Duration,
    tell: impl Fn(&'static str, Duration) + Send,
    generation: &mut Generation,
    build: &mut impl FnMut(&mut Generation) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (opening, start) = (generation.opening(), Instant::now());
    let (built, waits) = bounded::<()>(0);
    std::thread::scope(|scope| {
        let watch = move || {
            while waits.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                tell(opening.now(), start.elapsed());
            }
        };
        std::thread::Builder::new().name("opening".into()).spawn_scoped(scope, watch).map_err(|e| {
            Fault::environment(format!("no thread to watch a generation being built: {e}; see the limit on tasks"))
        })?;
        let result = build(generation);
        drop(built);
        result
    })
}

/// Waits; true when a stop was asked for meanwhile.
fn pause(wait: Duration, stop: &StopSignal) -> bool {
    let end = Instant::now() + wait;
    while Instant::now() < end {
        if stop.asked() {
            return true;
        }
        std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
    }
    stop.asked()
}

fn abort(component: &str, what: &str) -> ! {
    tracing::error!(component, "{what}: a stall, the process is aborted; whatever is not committed will be read again");
    std::process::abort()
}

fn watch(with: &Supervision, generation: &mut Generation, rebuilt: &mut u64) -> Result<End, (&'static str, Fault)> {
    let mut stopping: Option<Instant> = None;
    let mut ended: Option<Instant> = None;
    loop {
        match generation.next_event(LOOK) {
            Some(Event::Failed { stage, fault }) => return Err((stage, fault)),
            Some(Event::Gone { stage }) => return Err((stage, Fault::defect("its actor is gone"))),
            Some(Event::Rebuilt { stage, dead, took }) => {
                let took_s = took.as_secs_f64();
                tracing::warn!(component = with.component, stage, dead, took_s, "stage rebuilt in place");
                *rebuilt += 1;
            }
            Some(Event::Ended) => ended = Some(Instant::now()),
            Some(Event::Committed) | None => {}
        }
        if let Some((stage, time)) = generation.stalled(with.stall) {
            abort(&with.component, &format!("stage {stage} has had the same work in hand for {} s", time.as_secs()));
        }
        if with.stop.asked() && stopping.is_none() {
            tracing::info!(component = with.component, "stopping: reading ends, what is in hand is made durable");
            stopping = Some(Instant::now());
            generation.stop_reading();
        }
        if let Some(since) = ended {
            if with.ledger.under_way() == 0 || since.elapsed() > ARRIVE {
                with.ledger.ask_seal(true);
            }
            if with.ledger.open(None) == 0 {
                return Ok(if stopping.is_some() { End::Stopped } else { End::Finished });
            }
        }
        if stopping.is_some_and(|since| since.elapsed() > with.grace) {
            return Ok(End::CutShort);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_holds_up_building_is_told_until_it_is_built() {
        let mut generation = Generation::new(1, Ledger::default(), Suspects::default(), Arc::default());
        let (heard, hears) = crossbeam_channel::unbounded();
        let tell = |stage, waited: Duration| heard.send((stage, waited)).unwrap();
        let mut build = |generation: &mut Generation| {
            generation.opens("archive");
            assert_eq!(hears.recv_timeout(Duration::from_secs(30)).unwrap().0, "archive");
            generation.opens("source");
            let seen = std::iter::repeat_with(|| hears.recv_timeout(Duration::from_secs(30)).unwrap());
            assert!(seen.take(100).any(|(stage, waited)| stage == "source" && waited >= Duration::from_millis(2)));
            Err(Fault::environment("no source"))
        };
        let fault = told(Duration::from_millis(1), tell, &mut generation, &mut build).unwrap_err();
        assert_eq!(fault.message, "no source");
    }
}
