//! Times from reading to durable, in buckets that are a twelfth of a factor of two wide: an error of 6 % at most.

const BUCKETS: usize = 400;
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
    /// Adds `weight` alerts that took `ms` milliseconds.
    pub fn add(&mut self, ms: f64, weight: u64) {
        let bucket = ((ms / SMALLEST_MS).max(1.0).log2() * PER_OCTAVE) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += weight;
        self.longest = self.longest.max(ms);
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
        assert_eq!(Latency::default().quantile(0.5), 0.0);
    }
}
