//! When each message is due: a function of its number, so that a delay is caught up and the mean rate holds.

use std::time::Duration;

/// A rate, evenly or in bursts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    rate: Option<f64>,
    burst: u64,
}

impl Schedule {
    /// `rate` messages per second (`None`: at once), in bursts of this many.
    pub(crate) fn new(rate: Option<f64>, burst: Option<u64>) -> Self {
        Self { rate, burst: burst.unwrap_or(1).max(1) }
    }

    /// Time from the start at which message `number` is due.
    pub(crate) fn due(&self, number: u64) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let first_of_burst = number - number % self.burst;
        Duration::try_from_secs_f64(first_of_burst as f64 / rate).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rate_everything_is_due_at_once() {
        assert_eq!(Schedule::new(None, None).due(1_000_000), Duration::ZERO);
    }

    #[test]
    fn an_even_rate_is_held_to_the_last_message() {
        let schedule = Schedule::new(Some(1000.0), None);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_millis(1));
        assert_eq!(schedule.due(3_600_000), Duration::from_secs(3600));
        assert_eq!(Schedule::new(Some(0.5), None).due(3), Duration::from_secs(6));
    }

    #[test]
    fn bursts_come_at_once_and_keep_the_mean_rate() {
        // A visit of 10,000 alerts every 40 s.
        let schedule = Schedule::new(Some(250.0), Some(10_000));
        assert_eq!(schedule.due(9_999), Duration::ZERO);
        assert_eq!(schedule.due(10_000), Duration::from_secs(40));
        assert_eq!(schedule.due(19_999), Duration::from_secs(40));
    }

    #[test]
    fn a_rate_that_never_ends_does_not_overflow() {
        assert_eq!(Schedule::new(Some(1e-300), None).due(u64::MAX), Duration::MAX);
    }
}
