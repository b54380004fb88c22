//! Ranges of offsets of one partition as a list that grows and shrinks, and as a text that fits into the metadata of a commit. Pure.
//!
//! **Invariant:** the ranges are ascending, and no two of them touch.

use std::fmt;
use std::str::FromStr;

use super::Span;

/// Longest text. Brokers take 4,096 bytes of metadata (`offset.metadata.max.bytes`), and something may stand before the list.
const LONGEST: usize = 3500;

/// Ranges of offsets of one partition. As text `12-40,50-60`: each with its first offset and the one behind its last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Span>);

/// A text is no list of ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no list of ranges such as `12-40,50-60`")]
pub struct NoRanges(String);

impl Ranges {
    /// Adds a range; what it touches becomes one with it. An empty one is none.
    pub fn add(&mut self, span: Span) {
        if span.start >= span.end {
            return;
        }
        let mut whole = span;
        self.0.retain(|s| {
            let apart = s.end < span.start || span.end < s.start;
            if !apart {
                whole = Span { start: whole.start.min(s.start), end: whole.end.max(s.end) };
            }
            apart
        });
        let at = self.0.partition_point(|s| s.start < whole.start);
        self.0.insert(at, whole);
    }

    /// Takes away all offsets below this one.
    pub fn cut_below(&mut self, offset: i64) {
        self.0.retain(|s| s.end > offset);
        if let Some(first) = self.0.first_mut() {
            first.start = first.start.max(offset);
        }
    }

    /// Fills the gap between the two lowest ranges, so that there is one less. Returns whether there were two.
    pub fn close_first_gap(&mut self) -> bool {
        let [first, second, ..] = self.0[..] else { return false };
        self.add(Span { start: first.start, end: second.end });
        true
    }

    /// Whether an offset is in one of them.
    #[must_use]
    pub fn has(&self, offset: i64) -> bool {
        self.0.iter().any(|s| s.contains(offset))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Offsets in all of them.
    #[must_use]
    pub fn offsets(&self) -> i64 {
        self.0.iter().map(|s| s.end - s.start).sum()
    }

    /// Whether their text fits into the metadata of a commit.
    #[must_use]
    pub fn fit(&self) -> bool {
        self.to_string().len() <= LONGEST
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Span { start, end }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{start}-{end}")?;
        }
        Ok(())
    }
}

impl FromStr for Ranges {
    type Err = NoRanges;

    fn from_str(text: &str) -> Result<Self, NoRanges> {
        let mut ranges = Ranges::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let span =
                part.split_once('-').and_then(|(start, end)| Some(Span { start: start.parse().ok()?, end: end.parse().ok()? }));
            let span = span.filter(|span| 0 <= span.start && span.start < span.end);
            ranges.add(span.ok_or_else(|| NoRanges(text.to_owned()))?);
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(spans: &[(i64, i64)]) -> Ranges {
        let mut ranges = Ranges::default();
        spans.iter().for_each(|(start, end)| ranges.add(Span { start: *start, end: *end }));
        ranges
    }

    proptest! {
        /// The list holds the offsets that a set holds after the same steps, in order, without two that touch, and so does its text.
        #[test]
        fn ranges_hold_the_set_of_their_offsets(steps in proptest::collection::vec((any::<bool>(), 0_i64..80, 0_i64..12), 0..24)) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for (cut, start, length) in steps {
                if cut && length > 9 {
                    ranges.cut_below(start);
                    model = model.split_off(&start);
                } else {
                    ranges.add(Span { start, end: start + length });
                    model.extend(start..start + length);
                }
                let listed: Vec<i64> = ranges.spans().iter().flat_map(|s| s.start..s.end).collect();
                prop_assert_eq!(&listed, &model.iter().copied().collect::<Vec<_>>());
                prop_assert!(ranges.spans().windows(2).all(|w| w[0].end < w[1].start));
                prop_assert_eq!(ranges.offsets(), model.len() as i64);
                prop_assert!((0..100).all(|offset| ranges.has(offset) == model.contains(&offset)));
                prop_assert_eq!(&ranges.to_string().parse::<Ranges>().unwrap(), &ranges);
            }
        }
    }

    #[test]
    fn the_text_is_short_and_what_is_none_is_refused() {
        let mut ranges = of(&[(50, 60), (12, 40), (60, 61), (40, 41)]);
        assert_eq!(ranges.to_string(), "12-41,50-61");
        assert_eq!("".parse(), Ok(Ranges::default()));
        for wrong in ["12", "12-", "-3-5", "12-12", "9-3", "a-b", "1-2;3-4", "1-2 "] {
            assert_eq!(wrong.parse::<Ranges>(), Err(NoRanges(wrong.to_owned())), "{wrong}");
        }
        assert!(ranges.close_first_gap() && ranges == of(&[(12, 61)]) && !ranges.close_first_gap());
    }

    #[test]
    fn a_list_that_is_full_says_so() {
        let many = |count: i64| of(&(0..count).map(|i| (i64::MAX / 2 + 10 * i, i64::MAX / 2 + 10 * i + 5)).collect::<Vec<_>>());
        assert!(many(80).fit() && many(80).to_string().len() > 3000);
        assert!(!many(200).fit());
    }
}
