//! Faults injected on purpose, so that tests can see every stage fail. Off unless `SKYSLUICE_FAULTS` is set.
//!
//! `SKYSLUICE_FAULTS="archive=panic@3,decode=hang@1,publish=poison@117"`: a stage, a kind and a number. `panic`, `error` and
//! `hang` strike once, at the n-th batch that the stage takes in hand in the life of the process; `poison` panics whenever
//! that offset is in hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::alert::{Fault, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Panic,
    Error,
    Hang,
    Poison,
}

#[derive(Debug)]
struct Plan {
    stage: String,
    kind: Kind,
    number: u64,
    seen: AtomicU64,
}

/// The faults to inject; empty in production.
#[derive(Debug, Default)]
pub struct Injector {
    plans: Vec<Plan>,
}

/// A word of `SKYSLUICE_FAULTS` that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("SKYSLUICE_FAULTS: '{0}' is not STAGE=panic|error|hang|poison@NUMBER")]
pub struct InjectError(String);

impl Injector {
    /// Parses the text of the environment variable.
    ///
    /// # Errors
    /// A word that is not of the form.
    pub fn parse(text: &str) -> Result<Self, InjectError> {
        let plan = |word: &str| {
            let (stage, rest) = word.split_once('=')?;
            let (kind, number) = rest.split_once('@')?;
            let kind = match kind {
                "panic" => Kind::Panic,
                "error" => Kind::Error,
                "hang" => Kind::Hang,
                "poison" => Kind::Poison,
                _ => return None,
            };
            Some(Plan { stage: stage.to_owned(), kind, number: number.parse().ok()?, seen: AtomicU64::new(0) })
        };
        let plans = text
            .split(',')
            .map(str::trim)
            .filter(|w| !w.is_empty())
            .map(|word| plan(word).ok_or_else(|| InjectError(word.to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { plans })
    }

    /// From the environment.
    ///
    /// # Errors
    /// As [`Injector::parse`].
    pub fn from_environment() -> Result<Self, InjectError> {
        match std::env::var("SKYSLUICE_FAULTS") {
            Ok(text) => {
                tracing::warn!(faults = text, "faults are injected on purpose");
                Self::parse(&text)
            }
            Err(_) => Ok(Self::default()),
        }
    }

    /// Called inside the guarded part of each stage with the batch it takes in hand.
    ///
    /// # Errors
    /// The injected one.
    ///
    /// # Panics
    /// When a panic is to be injected.
    pub fn strike(&self, stage: &str, span: Span) -> Result<(), Fault> {
        for plan in self.plans.iter().filter(|p| p.stage == stage) {
            let nth = plan.seen.fetch_add(1, Ordering::AcqRel) + 1;
            match plan.kind {
                Kind::Poison if span.contains(plan.number as i64) => panic!("injected poison at offset {}", plan.number),
                Kind::Panic if nth == plan.number => panic!("injected panic at batch {nth}"),
                Kind::Error if nth == plan.number => return Err(Fault::defect(format!("injected error at batch {nth}"))),
                Kind::Hang if nth == plan.number => {
                    tracing::warn!(stage, "hangs on purpose");
                    loop {
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
