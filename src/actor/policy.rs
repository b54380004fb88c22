//! How long to wait after a failed generation, and when to give up. Pure.

use std::time::Duration;

use crate::alert::FaultKind;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Build the next generation after this time.
    Retry(Duration),
    /// Too many defects without progress, or a fault that is to end it: end the component.
    GiveUp,
}

/// Strikes and waiting time.
#[derive(Clone, Debug)]
pub struct Backoff {
    strikes_allowed: u32,
    strikes: u32,
    failures: u32,
    progress: u64,
}

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Backoff {
    /// Gives up after `strikes_allowed` defects in a row.
    #[must_use]
    pub fn new(strikes_allowed: u32) -> Self {
        Self { strikes_allowed, strikes: 0, failures: 0, progress: 0 }
    }

    /// A generation failed; `progress` is a number that has grown if anything became durable since the last failure.
    pub fn failed(&mut self, kind: FaultKind, progress: u64) -> Decision {
        if progress > self.progress {
            self.progress = progress;
            self.strikes = 0;
            self.failures = 0;
        }
        if kind == FaultKind::Halt {
            return Decision::GiveUp;
        }
        if kind == FaultKind::Defect {
            self.strikes += 1;
            if self.strikes > self.strikes_allowed {
                return Decision::GiveUp;
            }
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures += 1;
        Decision::Retry(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(decisions: &[Decision]) -> Vec<u128> {
        decisions.iter().map(|d| if let Decision::Retry(t) = d { t.as_millis() } else { 0 }).collect()
    }

    #[test]
    fn waiting_grows_and_defects_run_out() {
        let mut backoff = Backoff::new(3);
        let seen: Vec<_> = (0..4).map(|_| backoff.failed(FaultKind::Defect, 0)).collect();
        assert_eq!(waits(&seen), [100, 200, 400, 0]);
        assert_eq!(seen[3], Decision::GiveUp);
    }

    #[test]
    fn progress_forgets_strikes() {
        let mut backoff = Backoff::new(2);
        let seen: Vec<_> = [0, 0, 7, 7].iter().map(|p| backoff.failed(FaultKind::Defect, *p)).collect();
        assert_eq!(waits(&seen), [100, 200, 100, 200]);
    }

    #[test]
    fn what_is_to_end_a_component_is_not_tried_again() {
        assert_eq!(Backoff::new(5).failed(FaultKind::Halt, 7), Decision::GiveUp);
    }

    #[test]
    fn the_world_outside_is_waited_for_without_end() {
        let mut backoff = Backoff::new(2);
        let seen: Vec<_> = (0..40).map(|_| backoff.failed(FaultKind::Environment, 0)).collect();
        assert_eq!(seen[39], Decision::Retry(LONGEST_WAIT));
    }
}
