//! Letters told in brief: which are meant, and how many there are of each kind. Pure.

use std::collections::BTreeMap;

use super::folder::StoredLetter;

/// A reason without what differs from letter to letter: each number, and each run of them, is a `#`.
#[must_use]
pub fn normal(reason: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words: Vec<(String, bool)> = Vec::new();
    for c in reason.chars() {
        match words.last_mut() {
            Some((word, known)) if *known == inside(c) => word.push(c),
            _ => words.push((c.to_string(), inside(c))),
        }
    }
    let mut out = String::new();
    for (at, (word, is_word)) in words.iter().enumerate() {
        // A pair of hexadecimal digits without a figure is a number where others stand beside it: `4f be 01`.
        let beside = |other: Option<usize>| other.and_then(|o| words.get(o)).is_some_and(|(word, _)| is_number(word));
        let gap = |other: Option<usize>| other.and_then(|o| words.get(o)).is_some_and(|(word, _)| word == " ");
        let pair = word.len() == 2 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let near = pair
            && ((gap(at.checked_sub(1)) && beside(at.checked_sub(2))) || (gap(at.checked_add(1)) && beside(at.checked_add(2))));
        if !*is_word {
            out.push_str(word);
        } else if is_number(word) || near {
            // `1.5`, `4f 62` and `-1` are one each.
            for joint in ["#.", "# ", "#:"] {
                if out.ends_with(joint) {
                    out.truncate(out.len() - joint.len());
                }
            }
            if out.ends_with(" -") || out.ends_with("(-") {
                out.pop();
            }
            out.push('#');
        } else {
            // Numbers inside names, such as `sgmag1`, belong to the name; `32ms` is a number with its unit.
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            out.push_str(if digits > 0 { "#" } else { "" });
            out.push_str(&word[digits..]);
        }
    }
    out
}

/// Whether a word is a number: decimal, or hexadecimal with a figure in it.
fn is_number(word: &str) -> bool {
    let plain = word.strip_prefix("0x").unwrap_or(word);
    let figures = plain.bytes().any(|b| b.is_ascii_digit());
    let all = |f: fn(&u8) -> bool| !plain.is_empty() && plain.bytes().all(|b| f(&b));
    figures && (all(u8::is_ascii_digit) || (all(u8::is_ascii_hexdigit) && plain.len().is_multiple_of(2)))
}

/// Which letters are meant; without anything said, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Part of the reason, as it is or without its numbers (see [`normal`]), in capital or small letters.
    pub reason: Option<String>,
    /// The stage that gave up.
    pub stage: Option<String>,
    /// Topic that the message came from.
    pub topic: Option<String>,
    /// Partition of it.
    pub partition: Option<i32>,
    /// Offset in the partition.
    pub offset: Option<i64>,
    /// Only messages with a time before this one, milliseconds since 1970, UTC. A message without a time is not meant then.
    pub before: Option<i64>,
}

impl Selection {
    /// Whether a letter is meant.
    #[must_use]
    pub fn picks(&self, letter: &StoredLetter) -> bool {
        let reason = |part: &String| {
            let part = part.to_lowercase();
            letter.reason.to_lowercase().contains(&part) || normal(&letter.reason).to_lowercase().contains(&part)
        };
        self.reason.as_ref().is_none_or(reason)
            && self.stage.as_ref().is_none_or(|stage| *stage == letter.stage)
            && self.topic.as_ref().is_none_or(|topic| *topic == letter.topic)
            && self.partition.is_none_or(|partition| partition == letter.partition)
            && self.offset.is_none_or(|offset| offset == letter.offset)
            && self.before.is_none_or(|before| letter.timestamp.is_some_and(|time| time < before))
    }

    /// Whether all letters are meant.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Selection::default()
    }
}

/// What letters are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Reason, stage, topic and partition.
    All,
    /// The reason alone.
    Reason,
    /// The stage alone.
    Stage,
    /// Topic and partition alone.
    Topic,
}

/// Letters that have what they are counted by in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Their reason without its numbers.
    pub reason: Option<String>,
    /// The stage that gave up.
    pub stage: Option<String>,
    /// Topic and partition.
    pub origin: Option<(String, i32)>,
    /// How many.
    pub count: u64,
    /// Smallest and largest offset, where they are of one partition.
    pub offsets: Option<(i64, i64)>,
    /// Earliest and latest time of a message, milliseconds since 1970, UTC, where one has a time.
    pub times: Option<(i64, i64)>,
}

type Key = (Option<String>, Option<String>, Option<(String, i32)>);

/// Letters, counted.
#[derive(Clone, Debug)]
pub struct Groups {
    by: By,
    groups: BTreeMap<Key, Group>,
}

impl Groups {
    /// None yet.
    #[must_use]
    pub fn new(by: By) -> Groups {
        Groups { by, groups: BTreeMap::new() }
    }

    /// Counts a letter.
    pub fn add(&mut self, letter: &StoredLetter) {
        let wanted = |by| self.by == By::All || self.by == by;
        let reason = wanted(By::Reason).then(|| normal(&letter.reason));
        let stage = wanted(By::Stage).then(|| letter.stage.clone());
        let origin = wanted(By::Topic).then(|| (letter.topic.clone(), letter.partition));
        let group = self.groups.entry((reason.clone(), stage.clone(), origin.clone())).or_insert(Group {
            reason,
            stage,
            origin,
            count: 0,
            offsets: None,
            times: None,
        });
        let wider = |range: Option<(i64, i64)>, value: i64| range.map_or((value, value), |(a, b)| (a.min(value), b.max(value)));
        group.count += 1;
        if group.origin.is_some() {
            group.offsets = Some(wider(group.offsets, letter.offset));
        }
        if let Some(time) = letter.timestamp {
            group.times = Some(wider(group.times, time));
        }
    }

    /// The groups, the largest first.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A letter of the first partition.
    pub fn letter(topic: &str, offset: i64) -> StoredLetter {
        StoredLetter {
            topic: topic.into(),
            partition: 0,
            offset,
            record: None,
            timestamp: Some(1_700_000_000_000 + offset),
            key: None,
            headers: Vec::new(),
            stage: "decode".into(),
            reason: format!("schema id {offset} is not known"),
            payload: Some(vec![0, 0, 0, 3, 132]),
        }
    }

    #[test]
    fn numbers_do_not_make_a_reason_unique() {
        for (reason, expected) in [
            ("schema id 900 is not known; add its schema", "schema id # is not known; add its schema"),
            (
                "record 1: field t, byte 2 of the datum: a length of -1 bytes",
                "record #: field t, byte # of the datum: a length of # bytes",
            ),
            ("message begins with 4f 62 6a 01 be, but a Confluent", "message begins with #, but a Confluent"),
            ("alerts of schema 0123456789abcdef: x", "alerts of schema #: x"),
            ("position 1.5 of 0x1f", "position # of #"),
            ("field `prv.sgmag1` of a bad face", "field `prv.sgmag1` of a bad face"),
            ("took 32ms", "took #ms"),
            ("", ""),
        ] {
            assert_eq!(normal(reason), expected);
        }
    }

    #[test]
    fn a_selection_takes_a_reason_as_it_is_or_as_it_was_listed() {
        let letter = letter("t", 900);
        let reason = |text: &str| Selection { reason: Some(text.into()), ..Selection::default() };
        for good in ["Schema ID 900", "schema id # is not known", "not known"] {
            assert!(reason(good).picks(&letter), "{good}");
        }
        assert!(!reason("schema id 901").picks(&letter));
        let time = |before| Selection { before: Some(before), ..Selection::default() };
        assert!(time(1_700_000_000_901).picks(&letter) && !time(1_700_000_000_900).picks(&letter));
        assert!(!time(i64::MAX).picks(&StoredLetter { timestamp: None, ..letter.clone() }), "no one knows how old it is");
        let other = Selection { topic: Some("t".into()), partition: Some(1), ..Selection::default() };
        assert!(!other.picks(&letter) && Selection::default().is_all());
    }

    #[test]
    fn groups_count_what_is_alike_and_say_from_where_to_where() {
        let mut groups = Groups::new(By::All);
        for (topic, offset) in [("t", 900), ("t", 100), ("u", 7), ("t", 500)] {
            groups.add(&letter(topic, offset));
        }
        let all = groups.sorted();
        let brief: Vec<_> = all.iter().map(|g| (g.count, g.origin.clone().map(|o| o.0), g.offsets)).collect();
        assert_eq!(brief, [(3, Some("t".into()), Some((100, 900))), (1, Some("u".into()), Some((7, 7)))]);
        assert_eq!(all[0].times, Some((1_700_000_000_100, 1_700_000_000_900)));
        let mut groups = Groups::new(By::Reason);
        [("t", 900), ("u", 7)].iter().for_each(|(topic, offset)| groups.add(&letter(topic, *offset)));
        assert_eq!((groups.sorted().len(), groups.sorted()[0].offsets), (1, None));
    }
}
