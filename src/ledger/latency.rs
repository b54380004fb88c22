//! Times that alerts took, in buckets that are a twelfth of a factor of two wide: an error of 6 % at most, from 10 us to two years.

const BUCKETS: usize = 512;
const PER_OCTAVE: f64 = 12.0;
const SMALLEST_MS: f64 = 0.01;

/// A histogram of times.
#[derive(Clone, Debug)]
pub struct Latency {
    counts: Box<[u64; BUCKETS]>,
    longest: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), longest: 0.0 }
    }
}

impl Latency {
    /// Adds `weight` alerts that took `ms` milliseconds; a time below zero (a clock ahead of ours) counts as none.
    pub fn add(&mut self, ms: f64, weight: u64) {
        let bucket = ((ms / SMALLEST_MS).max(1.0).log2() * PER_OCTAVE) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += weight;
        self.longest = self.longest.max(ms);
    }

    /// Median, 99th percentile and longest; `None` when there were no alerts.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let any = self.counts.iter().any(|count| *count > 0);
        any.then(|| Percentiles { p50: self.quantile(0.5), p99: self.quantile(0.99), max: self.longest })
    }

    /// The time, in milliseconds, that a share `q` in [0, 1] of the alerts did not exceed; 0 when there were none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let wanted = (q * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return (SMALLEST_MS * ((bucket + 1) as f64 / PER_OCTAVE).exp2()).min(self.longest);
            }
        }
        self.longest
    }
}

/// Times that alerts took, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Half of the alerts took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ms| latency.add(f64::from(ms), 1));
        for (q, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = latency.quantile(q);
            assert!((got / expected - 1.0).abs() < 0.06, "{q}: {got}");
        }
        assert_eq!(latency.percentiles().map(|p| p.max), Some(1000.0));
        assert_eq!((Latency::default().quantile(0.5), Latency::default().percentiles()), (0.0, None));
    }

    #[test]
    fn years_of_backlog_and_a_clock_ahead_of_ours_are_times_too() {
        let mut latency = Latency::default();
        let year = 365.25 * 86_400e3;
        latency.add(year, 99);
        latency.add(-5.0, 1);
        assert!((latency.quantile(0.5) / year - 1.0).abs() < 0.06, "{}", latency.quantile(0.5));
        assert!(latency.quantile(0.01) < 0.1);
    }
}
