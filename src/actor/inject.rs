//! Faults injected on purpose, so that tests can see every stage fail. Off unless `SKYSLUICE_FAULTS` is set.
//!
//! `SKYSLUICE_FAULTS="archive=panic@3,decode=hang@1,publish=poison@117,archive=fail~0.01,source=delay~0.05,seed=7"`: a stage, a kind,
//! and when. `panic`, `error` (a defect), `fail` (the world outside), `hang` and `delay` (up to a quarter of a second) strike once, at
//! the n-th batch (`@n`) that the stage takes in hand in the life of the process, or at each with a probability (`~p`), the same for the
//! same `seed`; `poison` panics whenever that offset is in hand. `night-late:decode=delay~1` is for one component alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::alert::{Fault, Span};

/// The longest delay.
const DELAY: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Panic,
    Error,
    Fail,
    Hang,
    Delay,
    Poison,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// At this batch (or, for poison, offset).
    At(u64),
    /// At each batch with this probability.
    Chance(f64),
}

#[derive(Debug)]
struct Plan {
    stage: String,
    kind: Kind,
    when: When,
    /// What its chances follow from.
    seed: u64,
    seen: AtomicU64,
}

impl Plan {
    /// Whether it strikes at the n-th batch, and a number from 0 to 1 that is this batch's own.
    fn strikes(&self, nth: u64, span: Span) -> Option<f64> {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut bits = (self.seed ^ nth.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let own = (bits ^ (bits >> 31)) as f64 / u64::MAX as f64;
        let strikes = match (self.kind, self.when) {
            (Kind::Poison, When::At(offset)) => span.contains(offset as i64),
            (_, When::At(number)) => nth == number,
            (_, When::Chance(chance)) => own < chance,
        };
        strikes.then_some(own)
    }
}

/// The faults to inject; empty in production.
#[derive(Debug, Default)]
pub struct Injector {
    plans: Vec<Plan>,
}

/// A word of `SKYSLUICE_FAULTS` that is not understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "SKYSLUICE_FAULTS: '{0}' is not STAGE=panic|error|fail|hang|delay|poison@NUMBER, STAGE=KIND~PROBABILITY or seed=NUMBER, with or without COMPONENT: in front"
)]
pub struct InjectError(String);

impl Injector {
    /// Parses the text of the environment variable.
    ///
    /// # Errors
    /// A word that is not of the form.
    pub fn parse(text: &str) -> Result<Self, InjectError> {
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let seed = words.iter().find_map(|word| word.strip_prefix("seed=")).map_or(Some(0), |seed| seed.parse().ok());
        let plan = |(at, word): (usize, &&str)| {
            let (stage, rest) = word.split_once('=')?;
            let place = rest.find(['@', '~'])?;
            let (kind, number) = rest.split_at(place);
            let kind = match kind {
                "panic" => Kind::Panic,
                "error" => Kind::Error,
                "fail" => Kind::Fail,
                "hang" => Kind::Hang,
                "delay" => Kind::Delay,
                "poison" => Kind::Poison,
                _ => return None,
            };
            let when = match number.strip_prefix('~') {
                Some(chance) if kind != Kind::Poison => When::Chance(chance.parse().ok().filter(|p| (0.0..=1.0).contains(p))?),
                _ => When::At(number.strip_prefix('@')?.parse().ok()?),
            };
            let seed = seed? ^ (at as u64) << 48;
            Some(Plan { stage: stage.to_owned(), kind, when, seed, seen: AtomicU64::new(0) })
        };
        let plans = words
            .iter()
            .enumerate()
            .filter(|(_, word)| !word.starts_with("seed="))
            .map(|(at, word)| plan((at, word)).ok_or_else(|| InjectError((*word).to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { plans })
    }

    /// Those for a component: the ones that name it, and the ones that name none.
    fn of(mut self, component: &str) -> Self {
        for plan in &mut self.plans {
            if let Some(stage) = plan.stage.strip_prefix(component).and_then(|rest| rest.strip_prefix(':')) {
                plan.stage = stage.to_owned();
            }
        }
        self
    }

    /// From the environment, those for a component.
    ///
    /// # Errors
    /// As [`Injector::parse`].
    pub fn from_environment(component: &str) -> Result<Self, InjectError> {
        match std::env::var("SKYSLUICE_FAULTS") {
            Ok(text) => {
                tracing::warn!(component, faults = text, "faults are injected on purpose");
                Ok(Self::parse(&text)?.of(component))
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
        let ours = || self.plans.iter().filter(|plan| plan.stage == stage);
        // All of them count each batch, whichever strikes first.
        let counted: Vec<u64> = ours().map(|plan| plan.seen.fetch_add(1, Ordering::AcqRel) + 1).collect();
        for (plan, nth) in ours().zip(counted) {
            let Some(own) = plan.strikes(nth, span) else { continue };
            match plan.kind {
                Kind::Poison => {
                    let When::At(offset) = plan.when else { continue };
                    panic!("injected poison at offset {offset}")
                }
                Kind::Panic => panic!("injected panic at batch {nth}"),
                Kind::Error => return Err(Fault::defect(format!("injected error at batch {nth}"))),
                Kind::Fail => return Err(Fault::environment(format!("injected failure at batch {nth}"))),
                Kind::Delay => std::thread::sleep(DELAY.mul_f64(own)),
                Kind::Hang => {
                    tracing::warn!(stage, "hangs on purpose");
                    loop {
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn faults_strike_when_they_are_told_to_and_chances_follow_from_the_seed() {
        let span = |at: i64| Span { start: at, end: at + 1 };
        let struck = |text: &str| {
            let injector = Injector::parse(text).unwrap();
            (1..=1000).filter(|at| injector.strike("archive", span(*at)).is_err()).collect::<Vec<i64>>()
        };
        assert_eq!(struck("archive=error@3, archive=fail@5, publish=error@1"), [3, 5]);
        let by_chance = struck("archive=fail~0.1,seed=7");
        assert!((60..140).contains(&by_chance.len()), "{}", by_chance.len());
        assert_eq!(by_chance, struck("archive=fail~0.1,seed=7"));
        assert_ne!(by_chance, struck("archive=fail~0.1,seed=8"));
        let of_one =
            Injector::parse("night-late:archive=error@2,archive=error@4,night:archive=error@5").unwrap().of("night-late");
        assert_eq!((1..=9).filter(|at| of_one.strike("archive", span(*at)).is_err()).collect::<Vec<_>>(), [2, 4]);
        for wrong in ["archive=explode@3", "archive=fail", "archive=fail~2", "archive=poison~0.5", "seed=x,archive=fail~0.1"] {
            assert!(Injector::parse(wrong).is_err(), "{wrong}");
        }
    }
}
