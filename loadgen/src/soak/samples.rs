//! What was seen of a long run, second by second, and what follows from it: slopes, delays, how soon it recovers. Pure.

/// One look at the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Seconds since the beginning.
    pub(super) time: f64,
    /// Messages that the source holds.
    pub(super) sent: u64,
    /// Messages of which all is durable: the commit of the group.
    pub(super) done: u64,
    /// Resident memory that no file holds, bytes.
    pub(super) anonymous: u64,
    /// Open descriptors of the process.
    pub(super) descriptors: u64,
}

impl Sample {
    pub(super) fn lag(&self) -> u64 {
        self.sent.saturating_sub(self.done)
    }
}

/// Samples in the order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(pub(super) Vec<Sample>);

impl Samples {
    /// Samples from one time to another, both included.
    pub(super) fn between(&self, from: f64, to: f64) -> &[Sample] {
        let start = self.0.partition_point(|sample| sample.time < from);
        let end = self.0.partition_point(|sample| sample.time <= to);
        &self.0[start.min(end)..end]
    }

    /// For how long what was durable at a sample's time had not grown over what came in: seconds since as much had been sent as was
    /// done then. To a sampling interval.
    pub(super) fn delay(&self, at: &Sample) -> f64 {
        if at.lag() == 0 {
            return 0.0;
        }
        let first = self.0.partition_point(|sample| sample.sent <= at.done);
        self.0.get(first).map_or(0.0, |sample| (at.time - sample.time).max(0.0))
    }

    /// The longest delay of some samples, seconds.
    pub(super) fn longest_delay(&self, of: &[Sample]) -> f64 {
        of.iter().map(|sample| self.delay(sample)).fold(0.0, f64::max)
    }

    /// The first time from `from` on, after which no delay is above `usual`, in seconds after `from`; `None` where there is none.
    pub(super) fn recovered(&self, from: f64, usual: f64) -> Option<f64> {
        let later = self.between(from, f64::INFINITY);
        let last = later.iter().rposition(|sample| self.delay(sample) > usual);
        match last {
            None => Some(0.0),
            Some(last) => later.get(last + 1).map(|sample| sample.time - from),
        }
    }
}

/// How much is taken for one look when slopes are uncertain: what goes up and down within it (buffers, open files) says nothing of growth.
const BLOCK: f64 = 60.0;

/// A line of least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slope {
    /// Per second.
    pub(super) slope: f64,
    /// Its standard error; infinite where there is too little to tell it from.
    pub(super) error: f64,
}

/// The line through the means of points (seconds, value) of each minute.
pub(super) fn slope(points: impl Iterator<Item = (f64, f64)>) -> Slope {
    let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
    let mut block = f64::NEG_INFINITY;
    for (x, y) in points {
        if (x / BLOCK).floor() > block || blocks.is_empty() {
            block = (x / BLOCK).floor();
            blocks.push((0.0, 0.0, 0.0));
        }
        if let Some((count, sum_x, sum_y)) = blocks.last_mut() {
            (*count, *sum_x, *sum_y) = (*count + 1.0, *sum_x + x, *sum_y + y);
        }
    }
    let means: Vec<(f64, f64)> = blocks.iter().map(|(count, x, y)| (x / count, y / count)).collect();
    let count = means.len() as f64;
    let (x, y) = means.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / count, y + b / count));
    let (above, below) = means.iter().fold((0.0, 0.0), |(up, down), (a, b)| (up + (a - x) * (b - y), down + (a - x) * (a - x)));
    if below <= 0.0 {
        return Slope { slope: 0.0, error: f64::INFINITY };
    }
    let slope = above / below;
    let left: f64 = means.iter().map(|(a, b)| (b - y - slope * (a - x)).powi(2)).sum();
    let error = if count > 2.0 { (left / (count - 2.0) / below).sqrt() } else { f64::INFINITY };
    Slope { slope, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten a second come in; what is done follows two seconds behind, stands still from 20 to 30, and has caught up at 40.
    fn stalled() -> Samples {
        let done = |t: u64| match t {
            0..2 => 0,
            2..20 => 10 * (t - 2),
            20..30 => 180,
            30..40 => 180 + 20 * (t - 30),
            _ => 10 * (t - 2),
        };
        Samples((0..60).map(|t| Sample { time: t as f64, sent: 10 * t, done: done(t), ..Sample::default() }).collect())
    }

    #[test]
    fn delays_are_those_of_what_is_not_durable_yet() {
        let samples = stalled();
        let at = |t: usize| samples.delay(&samples.0[t]);
        // What was sent right after as much had been sent as is done now has waited for 1 s.
        assert_eq!((at(0), at(10), at(19), at(29), at(30)), (0.0, 1.0, 1.0, 10.0, 11.0));
        assert_eq!(samples.longest_delay(samples.between(0.0, 19.0)), 1.0);
        assert_eq!(samples.longest_delay(samples.between(20.0, 60.0)), 11.0);
        assert_eq!(samples.between(3.5, 5.0).iter().map(|sample| sample.time).collect::<Vec<_>>(), [4.0, 5.0]);
        assert!(samples.between(70.0, 80.0).is_empty());
    }

    #[test]
    fn it_has_recovered_when_no_later_delay_is_long() {
        let samples = stalled();
        assert_eq!(samples.recovered(30.0, 1.0), Some(10.0));
        assert_eq!(samples.recovered(45.0, 1.0), Some(0.0));
        assert_eq!(samples.recovered(30.0, 0.5), None);
    }

    #[test]
    fn slopes_are_those_of_the_line_and_what_goes_up_and_down_makes_them_uncertain() {
        let line = |t: u64| (t as f64, 3.0 - 0.25 * t as f64);
        let straight = slope((0..600).map(line));
        assert!((straight.slope + 0.25).abs() < 1e-12 && straight.error < 1e-12, "{straight:?}");
        for few in [vec![], vec![(1.0, 5.0)], vec![(1.0, 5.0), (2.0, 9.0)]] {
            assert_eq!(slope(few.into_iter()), Slope { slope: 0.0, error: f64::INFINITY });
        }
        assert_eq!(slope([(1.0, 5.0), (61.0, 8.0)].into_iter()), Slope { slope: 0.05, error: f64::INFINITY });
        // Minutes of 2, -2, -2, 2, ...: nothing grows; the error by the formula of the textbook, from 20 means.
        let saw = slope((0..1200).map(|t| (t as f64, if matches!(t / 60 % 4, 0 | 3) { 2.0 } else { -2.0 })));
        let (left, below): (f64, f64) = (20.0 * 4.0, 3600.0 * (20.0 * (400.0 - 1.0) / 12.0));
        assert!(saw.slope.abs() < 1e-12 && (saw.error - (left / 18.0 / below).sqrt()).abs() < 1e-12, "{saw:?}");
    }
}
