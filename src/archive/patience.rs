//! A sink that waits while its disk is full: batches are kept, with their share of the byte budget, and taken when there is room
//! again. The other sinks go on meanwhile, as far as the budget reaches.
//!
//! A disk that fills between two looks still gives a fault, which is harmless and dear: what was written is read again.
//! **Invariant:** batches reach the sink within in the order in which they came.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::format::Format;
use super::sink::HourlySink;
use crate::alert::{Decoded, Fault, Sink};
use crate::durable;

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
}

impl<F: Format> PatientSink<F> {
    /// Waits until this many bytes are free in the file system that the files are written to, besides what is gathered in memory.
    pub fn new(within: HourlySink<F>, floor: u64) -> Self {
        Self::asking(within, floor, Box::new(|folder| Ok(durable::free_bytes(folder)?)))
    }

    pub(super) fn asking(within: HourlySink<F>, floor: u64, free: Free) -> Self {
        Self { within, floor, free, waiting: VecDeque::new(), since: None }
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

    fn go_on(&mut self) -> Result<bool, Fault> {
        while self.has_room()? {
            let Some(batch) = self.waiting.pop_front() else { return Ok(true) };
            self.within.accept(&batch)?;
        }
        Ok(false)
    }
}

impl<F: Format> Sink for PatientSink<F> {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        if self.go_on()? {
            return self.within.accept(batch);
        }
        self.waiting.push_back(batch.clone());
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        if self.go_on()? { self.within.tick(now) } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<(), Fault> {
        if self.go_on()? { self.within.seal() } else { Ok(()) }
    }
}
