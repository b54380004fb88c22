//! Ranges of offsets that were gone before they were read, without overlaps. Pure.

use crate::alert::Span;

/// Ranges that are listed; beyond, the earliest go. The sum holds them all, and so does the source's own file.
const LISTED: usize = 1000;

/// Ranges of one partition.
#[derive(Debug, Default)]
pub(super) struct Expired {
    spans: Vec<Span>,
}

impl Expired {
    /// Adds a range. Returns how many offsets in it are new: the same gap is seen again when a generation begins anew.
    pub(super) fn add(&mut self, span: Span) -> u64 {
        let known: i64 = self.spans.iter().map(|s| (s.end.min(span.end) - s.start.max(span.start)).max(0)).sum();
        let mut whole = span;
        // Those that touch it become one with it.
        self.spans.retain(|s| {
            let apart = s.end < span.start || span.end < s.start;
            if !apart {
                whole = Span { start: whole.start.min(s.start), end: whole.end.max(s.end) };
            }
            apart
        });
        let at = self.spans.partition_point(|s| s.start < whole.start);
        self.spans.insert(at, whole);
        if self.spans.len() > LISTED {
            self.spans.remove(0);
        }
        u64::try_from((span.end - span.start).max(0) - known).unwrap_or(0)
    }

    /// The ranges, ascending.
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is new is what a set of offsets says, and the ranges hold that set, disjoint and in order.
        #[test]
        fn ranges_are_the_set_of_their_offsets(spans in proptest::collection::vec((0_i64..60, 1_i64..20), 0..20)) {
            let (mut expired, mut model) = (Expired::default(), std::collections::BTreeSet::new());
            for (start, length) in spans {
                let before = model.len();
                model.extend(start..start + length);
                let news = expired.add(Span { start, end: start + length });
                prop_assert_eq!(news, (model.len() - before) as u64);
                let listed: Vec<i64> = expired.spans().iter().flat_map(|s| s.start..s.end).collect();
                prop_assert_eq!(listed, model.iter().copied().collect::<Vec<_>>());
                prop_assert!(expired.spans().windows(2).all(|w| w[0].end < w[1].start));
            }
        }
    }

    #[test]
    fn the_list_is_bounded_and_the_latest_ranges_stay() {
        let mut expired = Expired::default();
        let sum: u64 = (0..1100).map(|i| expired.add(Span { start: i * 10, end: i * 10 + 3 })).sum();
        assert_eq!((sum, expired.spans().len(), expired.spans()[0].start), (3300, LISTED, 1000));
    }
}
