//! A sink that waits while its disk is full, or refuses to be written: batches are kept, with their share of the byte budget. The other
//! sinks go on meanwhile, as far as the budget reaches.
//!
//! A full disk is seen before it is met, and writing goes on where it was. After a refusal (an error of the device, a quota, no room for
//! names, a file system that was mounted read-only) what was written cannot be relied on: the fault is held back until the disk takes a file
//! again, and then all is begun anew from what is durable. Where the disk takes one at once, it is passed on at once.
//! **Invariant:** batches reach the sink within in the order in which they came, and none after a fault.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::format::Format;
use super::sink::HourlySink;
use crate::alert::{Decoded, Fault, FaultKind, Sink};
use crate::durable;

/// Between two tries of a disk that refuses.
const LOOK: Duration = Duration::from_secs(1);
/// File that is tried. Its ending is that of unfinished files: removed at the next start, should it stay behind.
const TRIAL: &str = "trial.part";

/// What is free on a disk, in bytes.
pub(super) type Free = Box<dyn FnMut(&Path) -> Result<u64, Fault> + Send>;

/// A sink of hourly files, and its patience.
pub struct PatientSink<F: Format> {
    within: HourlySink<F>,
    /// Bytes that must be free besides what is gathered in memory, so that a full disk is met here and not by its neighbours.
    floor: u64,
    free: Free,
    waiting: VecDeque<Decoded>,
    since: Option<Instant>,
    refused: Option<Refused>,
}

/// A disk that refuses to be written.
struct Refused {
    fault: Fault,
    since: Instant,
    tried: Instant,
}

impl<F: Format> PatientSink<F> {
    /// Waits until this many bytes are free in the file system that the files are written to, besides what is gathered in memory.
    pub fn new(within: HourlySink<F>, floor: u64) -> Self {
        Self::asking(within, floor, Box::new(|folder| Ok(durable::free_bytes(folder)?)))
    }

    pub(super) fn asking(within: HourlySink<F>, floor: u64, free: Free) -> Self {
        Self { within, floor, free, waiting: VecDeque::new(), since: None, refused: None }
    }

    /// Whether there is room; says when that changes.
    fn has_room(&mut self) -> Result<bool, Fault> {
        // Twice as much to go on as to stop, so that it does not do both by turns.
        let floor = if self.since.is_some() { self.floor.saturating_mul(2) } else { self.floor };
        let needed = self.within.memory().saturating_add(floor);
        let free = (self.free)(self.within.staging())?;
        let folder = self.within.staging().display();
        match (free >= needed, self.since) {
            (false, None) => {
                self.since = Some(Instant::now());
                self.within.counts().pauses.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    %folder, free, needed,
                    "the disk is nearly full: writing pauses and goes on by itself when space is freed there; nothing is lost, \
                     publishing goes on while there is memory"
                );
            }
            (true, Some(since)) => {
                self.since = None;
                let paused_s = since.elapsed().as_secs_f64();
                tracing::info!(%folder, free, paused_s, "there is space on the disk: writing goes on");
            }
            _ => {}
        }
        Ok(self.since.is_none())
    }

    /// Whether the sink within may be used: there is room, and all that waited is taken.
    fn go_on(&mut self) -> Result<bool, Fault> {
        if let Some(refused) = &mut self.refused {
            if refused.tried.elapsed() < LOOK {
                return Ok(false);
            }
            refused.tried = Instant::now();
            if durable::try_writing(self.within.staging(), TRIAL).is_err() {
                return Ok(false);
            }
            let (folder, paused_s) = (self.within.staging().display(), refused.since.elapsed().as_secs_f64());
            tracing::info!(%folder, paused_s, "the disk takes files again: what was not durable is read again");
            return Err(refused.fault.clone());
        }
        while self.has_room()? {
            let Some(batch) = self.waiting.pop_front() else { return Ok(true) };
            self.attempt(|within| within.accept(&batch))?;
            if self.refused.is_some() {
                break;
            }
        }
        Ok(false)
    }

    /// Holds a fault back while the disk does not take a file.
    fn attempt(&mut self, call: impl FnOnce(&mut HourlySink<F>) -> Result<(), Fault>) -> Result<(), Fault> {
        let Err(fault) = call(&mut self.within) else { return Ok(()) };
        if fault.kind != FaultKind::Environment {
            return Err(fault);
        }
        match durable::try_writing(self.within.staging(), TRIAL) {
            Ok(()) => Err(fault),
            Err(trial) => {
                self.within.counts().pauses.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    %fault, %trial,
                    "the disk refuses to be written: writing pauses and is begun anew by itself when a file can be written there; nothing is \
                     lost, publishing goes on while there is memory"
                );
                let now = Instant::now();
                self.refused = Some(Refused { fault, since: now, tried: now });
                Ok(())
            }
        }
    }
}

impl<F: Format> Sink for PatientSink<F> {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        if self.go_on()? {
            return self.attempt(|within| within.accept(batch));
        }
        self.waiting.push_back(batch.clone());
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        if self.go_on()? { self.attempt(|within| within.tick(now)) } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<(), Fault> {
        if self.go_on()? { self.attempt(|within| within.seal()) } else { Ok(()) }
    }
}
