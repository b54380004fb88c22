//! Patterns of LIKE.

/// A pattern, compiled.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// `%`
    Many,
    /// `_`
    One,
    Char(char),
}

impl Pattern {
    /// Compiles a pattern; the character after `escape` stands for itself.
    pub fn new(text: &str, escape: Option<char>) -> Self {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let part = match c {
                c if Some(c) == escape => Part::Char(chars.next().unwrap_or(c)),
                '%' => Part::Many,
                '_' => Part::One,
                c => Part::Char(c),
            };
            if part != Part::Many || parts.last() != Some(&Part::Many) {
                parts.push(part);
            }
        }
        Self { parts }
    }

    /// Whether the whole text fits. Goes back only to the last `%`, so the time is at most length times length.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        let mut part = 0;
        let mut again: Option<(usize, &str)> = None;
        loop {
            let next = rest.chars().next();
            let fits = match (self.parts.get(part), next) {
                (Some(Part::Many), _) => {
                    again = Some((part + 1, rest));
                    part += 1;
                    continue;
                }
                (None, None) => return true,
                (Some(Part::One), Some(_)) => true,
                (Some(Part::Char(c)), Some(n)) => *c == n,
                _ => false,
            };
            if fits {
                part += 1;
                rest = &rest[next.map_or(0, char::len_utf8)..];
                continue;
            }
            let Some((after, from)) = again else { return false };
            let Some(skipped) = from.chars().next() else { return false };
            rest = &from[skipped.len_utf8()..];
            part = after;
            again = Some((after, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_text() {
        for (pattern, escape, text, expected) in [
            ("", None, "", true),
            ("", None, "a", false),
            ("%", None, "", true),
            ("%%", None, "any", true),
            ("a%", None, "abc", true),
            ("%c", None, "abc", true),
            ("%b%", None, "abc", true),
            ("a_c", None, "aüc", true),
            ("a_c", None, "ac", false),
            ("%ab%ac", None, "abaabac", true),
            ("%ab%ad", None, "abaabac", false),
            ("_%_", None, "a", false),
            ("100\\%", Some('\\'), "100%", true),
            ("100\\%", Some('\\'), "1000", false),
            ("A%", None, "abc", false),
        ] {
            assert_eq!(Pattern::new(pattern, escape).matches(text), expected, "{pattern} {text}");
        }
        let hostile = Pattern::new(&"%a".repeat(500), None);
        assert!(!hostile.matches(&"a".repeat(499)));
    }
}
