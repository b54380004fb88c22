//! Whether too much of a stream fails: counts over a window of the latest alerts. Pure.
//!
//! **Invariant:** until the window has been filled once, what has not come yet counts as good: a few bad alerts at the start are
//! no schema change.

use std::collections::{HashMap, VecDeque};

/// The longest reason that is kept, in characters.
const REASON: usize = 300;

/// Counts failures over a sliding window of alerts.
#[derive(Clone, Debug)]
pub struct Breaker {
    share: f64,
    of: u64,
    window: VecDeque<Counted>,
    alerts: u64,
    failed: u64,
}

/// What was counted together.
#[derive(Clone, Debug, Default)]
struct Counted {
    alerts: u64,
    failed: u64,
    // By stage and kind of reason.
    kinds: HashMap<(&'static str, String), Kind>,
}

#[derive(Clone, Debug)]
struct Kind {
    times: u64,
    example: String,
}

/// More has failed than may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Alerts that failed.
    pub failed: u64,
    /// Alerts that they are part of.
    pub alerts: u64,
    /// The stage of the commonest reason.
    pub stage: &'static str,
    /// An example of the commonest reason.
    pub reason: String,
    /// How often it came, with other numbers in it or the same.
    pub times: u64,
}

impl Breaker {
    /// Trips when more than `share` (0 to 1) of the latest `of` alerts fail; 1 never does.
    #[must_use]
    pub fn new(share: f64, of: u64) -> Self {
        Self { share, of: of.max(1), window: VecDeque::new(), alerts: 0, failed: 0 }
    }

    /// Counts the alerts of a batch, and those that failed by stage and reason. A later stage counts its failures with no
    /// alerts: they are counted already.
    pub fn count<'a>(&mut self, alerts: u64, failures: impl Iterator<Item = (&'static str, &'a str)>) -> Option<Trip> {
        let mut counted = Counted { alerts, ..Counted::default() };
        for (stage, reason) in failures {
            counted.failed += 1;
            let example = || Kind { times: 0, example: reason.chars().take(REASON).collect() };
            counted.kinds.entry((stage, kind(reason))).or_insert_with(example).times += 1;
        }
        self.alerts += counted.alerts;
        self.failed += counted.failed;
        self.window.push_back(counted);
        while let Some(oldest) = self.window.front().filter(|oldest| self.alerts - oldest.alerts >= self.of) {
            self.alerts -= oldest.alerts;
            self.failed -= oldest.failed;
            self.window.pop_front();
        }
        (self.failed as f64 > self.share * self.alerts.max(self.of) as f64 && self.share < 1.0).then(|| self.trip())
    }

    /// Forgets what was counted.
    pub fn clear(&mut self) {
        *self = Self::new(self.share, self.of);
    }

    fn trip(&self) -> Trip {
        let mut sums: HashMap<(&'static str, &str), (u64, &str)> = HashMap::new();
        for ((stage, kind), of) in self.window.iter().flat_map(|c| &c.kinds) {
            sums.entry((stage, kind)).or_insert((0, &of.example)).0 += of.times;
        }
        // Of two that are as common the one that comes first by its name, so that the same stream says the same.
        let most = sums.into_iter().max_by(|(a, (n, _)), (b, (m, _))| n.cmp(m).then_with(|| b.cmp(a)));
        let (stage, times, reason) = most.map_or(("", 0, ""), |((stage, _), (times, example))| (stage, times, example));
        Trip { failed: self.failed, alerts: self.alerts, stage, reason: reason.to_owned(), times }
    }
}

/// A reason without its numbers: offsets and lengths differ from alert to alert where the cause is the same.
fn kind(reason: &str) -> String {
    let mut kind = String::new();
    for c in reason.chars().take(REASON) {
        let number = c.is_ascii_digit();
        if !(number && kind.ends_with('0')) {
            kind.push(if number { '0' } else { c });
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn count(breaker: &mut Breaker, alerts: u64, failed: u64) -> Option<Trip> {
        breaker.count(alerts, (0..failed).map(|_| ("decode", "ends too early")))
    }

    #[test]
    fn a_burst_of_bad_alerts_at_the_start_does_not_hold_a_stream() {
        let mut breaker = Breaker::new(0.5, 1000);
        assert_eq!(count(&mut breaker, 30, 20), None);
        assert_eq!(count(&mut breaker, 480, 480), None);
        assert_eq!(count(&mut breaker, 1, 1).map(|t| (t.failed, t.alerts)), Some((501, 511)));
    }

    #[test]
    fn a_schema_change_after_a_good_night_is_seen_within_the_window() {
        let mut breaker = Breaker::new(0.5, 1000);
        assert!((0..100).all(|_| count(&mut breaker, 256, 0).is_none()));
        // Six of ten fail: half of a window has failed after 834 alerts.
        let tens = (1..).find(|_| count(&mut breaker, 10, 6).is_some()).unwrap();
        assert!((84..=110).contains(&tens), "after {tens} times 10 alerts");
        breaker.clear();
        assert_eq!(count(&mut breaker, 10, 10), None, "what was counted before is forgotten");
    }

    #[test]
    fn less_than_the_share_goes_on_for_ever_and_a_share_of_one_never_holds() {
        let mut breaker = Breaker::new(0.5, 100);
        assert!((0..1000).all(|_| count(&mut breaker, 10, 5).is_none()));
        let mut never = Breaker::new(1.0, 10);
        assert!((0..1000).all(|_| never.count(0, std::iter::once(("process", "x"))).is_none()));
        let mut strict = Breaker::new(0.0, 1000);
        assert!(count(&mut strict, 500, 0).is_none() && count(&mut strict, 500, 1).is_some());
    }

    #[test]
    fn failures_of_a_later_stage_belong_to_alerts_that_are_counted_already() {
        let mut breaker = Breaker::new(0.5, 100);
        for _ in 0..20 {
            assert_eq!(breaker.count(10, std::iter::empty()), None);
        }
        let trip = (0..10).find_map(|_| {
            let decoded = breaker.count(10, std::iter::empty());
            decoded.or_else(|| breaker.count(0, (0..10).map(|_| ("process", "panic"))))
        });
        assert_eq!(trip.map(|t| (t.failed, t.alerts, t.stage)), Some((60, 100, "process")));
    }

    #[test]
    fn the_commonest_reason_is_told_whatever_the_numbers_in_it() {
        let mut breaker = Breaker::new(0.5, 10);
        let long = "x".repeat(9000);
        let many: Vec<String> = (0..4).map(|i| format!("schema {i}7 has no field `a`")).collect();
        breaker.count(2, [("decode", "empty"), ("decode", long.as_str())].into_iter());
        let trip = breaker.count(8, many.iter().map(|r| ("decode", r.as_str()))).unwrap();
        let expected = Trip { failed: 6, alerts: 10, stage: "decode", reason: "schema 07 has no field `a`".into(), times: 4 };
        assert_eq!(trip, expected);
    }

    proptest! {
        /// Against a window of single alerts: what trips there trips here, at the latest a batch later.
        #[test]
        fn it_agrees_with_a_window_of_single_alerts(batches in proptest::collection::vec((1_u64..20, 0.0..1.0_f64), 1..60)) {
            let (of, mut all) = (50_usize, Vec::new());
            let mut breaker = Breaker::new(0.5, of as u64);
            for (alerts, share) in batches {
                let failed = (alerts as f64 * share) as u64;
                all.extend((0..alerts).map(|i| i < failed));
                let tripped = count(&mut breaker, alerts, failed).is_some();
                // The breaker's window begins with a whole batch: it holds 50 to 68 alerts.
                let bad = |n: usize| all.iter().rev().take(n).filter(|b| **b).count();
                prop_assert!(!tripped || bad(of + 19) > of / 2);
                prop_assert!(tripped || bad(of) <= (of + 19) / 2);
            }
        }
    }
}
