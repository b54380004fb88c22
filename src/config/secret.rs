//! What must never be shown: values of keys that look like passwords.

use std::collections::BTreeMap;
use std::fmt;

/// True of a property whose value is hidden, such as `sasl.password` or `ssl.key.pem`.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "key", "token", "jaas"].iter().any(|word| key.contains(word))
}

/// Properties with the values of secret ones hidden, for `Debug`.
pub struct Hidden<'a>(pub &'a BTreeMap<String, String>);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(key, value)| (key, if is_secret(key) { "(hidden)" } else { value.as_str() })))
            .finish()
    }
}

/// A text in which the values of secret keys, and users inside addresses, are replaced by as many bytes of `*`. It works on
/// lines and not on the parsed file, because it must also hold for a file that is not YAML; it hides too much rather than too
/// little.
#[must_use]
pub fn blank(text: &str) -> String {
    users(&values(text))
}

/// Hides what stands before the `@` of an address.
fn users(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://").map(|at| at + 3) {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let authority = after.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(after.len());
        let user = after[..authority].rfind('@').unwrap_or(0);
        stars(&mut out, &after[..user]);
        rest = &after[user..];
    }
    out.push_str(rest);
    out
}

fn values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Indentation of a secret key whose value is a block on the lines below.
    let mut block: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        if let Some(outer) = block {
            if line.trim().is_empty() || indent > outer {
                stars(&mut out, line);
                continue;
            }
            block = None;
        }
        let mut rest = line;
        while let Some((key, value)) = rest.split_once(':') {
            out.push_str(key);
            out.push(':');
            rest = value;
            let name = key.rsplit(['{', ',', ' ', '\t', '#']).next().unwrap_or(key).trim_matches(['"', '\'']);
            // A colon inside a word, as in `host:9092`, ends no key.
            if !is_secret(name) || !value.starts_with([' ', '\t', '\n', '\r']) {
                continue;
            }
            let trimmed = value.trim();
            // References name the place of a secret, not the secret.
            let inner = trimmed.trim_start_matches('{').trim_start();
            if trimmed.starts_with('{') && ["env:", "file:"].iter().any(|kind| inner.starts_with(kind)) {
                continue;
            }
            let end = value_end(value, line[..line.len() - value.len()].contains('{'));
            if trimmed.is_empty() || trimmed.starts_with(['|', '>']) || !closed(trimmed) {
                block = Some(indent);
            }
            stars(&mut out, &value[..end]);
            rest = &value[end..];
        }
        out.push_str(rest);
    }
    out
}

/// Where a value ends in its line: at its closing quote, inside braces at a comma or brace, or with the line.
fn value_end(value: &str, braces: bool) -> usize {
    let start = value.len() - value.trim_start_matches([' ', '\t']).len();
    match value[start..].chars().next() {
        Some(quote @ ('"' | '\'')) => value[start + 1..].rfind(quote).map_or(value.len(), |end| start + 1 + end + 1),
        _ if braces => value.find([',', '}']).unwrap_or(value.len()),
        _ => value.len(),
    }
}

/// False of a quoted value that goes on in the next line.
fn closed(value: &str) -> bool {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].contains(quote),
        _ => true,
    }
}

fn stars(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_whitespace() {
            out.push(c);
        } else {
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_and_places_kept() {
        for (text, wanted) in [
            ("brokers: host:9092\n", "brokers: host:9092\n"),
            ("  sasl.password: hünter2\n", "  sasl.password: ********\n"),
            ("  sasl.password: a,b\n", "  sasl.password: ***\n"),
            ("{ sasl.username: me, sasl.password: pw, a: b }\n", "{ sasl.username: me, sasl.password: **, a: b }\n"),
            ("{sasl.password: \"a,b}c\", a: b}\n", "{sasl.password: *******, a: b}\n"),
            ("\"client_secret\": 's'\nnext: 1\n", "\"client_secret\": ***\nnext: 1\n"),
            ("  ssl.key.pem: |\n    AAA\n\n    BBB\n  other: 1\n", "  ssl.key.pem: *\n    ***\n\n    ***\n  other: 1\n"),
            ("  sasl.password:\n    pw\n  a: 1\n", "  sasl.password:\n    **\n  a: 1\n"),
            ("  sasl.password: \"p\n    w\"\n  a: 1\n", "  sasl.password: **\n    **\n  a: 1\n"),
            ("sasl.password: { env: NAME }\n", "sasl.password: { env: NAME }\n"),
            ("sasl.password: {pw\n", "sasl.password: ***\n"),
            ("url: \"https://me:p@w@host:1/a@b\"\n", "url: \"https://******@host:1/a@b\"\n"),
            ("{url: http://host:1, x: a@b}\nurl: http://\n", "{url: http://host:1, x: a@b}\nurl: http://\n"),
        ] {
            assert_eq!(blank(text), wanted);
            assert_eq!(blank(text).len(), text.len());
        }
    }
}
