//! From YAML to the raw structs, with errors in the words of a configuration.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location};

use super::at::Place;
use super::problem::{Problem, Shown, nearest};

/// Reads a YAML text.
///
/// # Errors
///
/// The first thing that is not YAML or has no place in `T`.
pub fn parse<T: DeserializeOwned>(text: &str, shown: &Shown) -> Result<T, Problem> {
    // A configuration is written by hand: what goes beyond these bounds is an accident or an attack.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 100_000,
            max_total_scalar_bytes: 4 << 20,
            max_documents: 1,
        },
        with_snippet: false,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| translate(text, shown, error.without_snippet()))
}

fn translate(text: &str, shown: &Shown, error: &Error) -> Problem {
    let mut place = error.location().map(|location| locate(text, location)).unwrap_or_default();
    let (message, help) = match error {
        Error::AliasError { error, .. } => return translate(text, shown, error),
        Error::SerdeUnknownField { field, expected, .. } => {
            place = find(text, place, field);
            (format!("unknown key `{field}`"), suggest(field, expected, "here there can be"))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            place = find(text, place, variant);
            (format!("`{variant}` is not known here"), suggest(variant, expected, "there can be"))
        }
        Error::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing"), format!("add `{field}:`; `skysluice config reference` describes it"))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("key");
            place = find(text, place, key);
            (format!("the key `{key}` is given twice"), "remove one of them".to_owned())
        }
        Error::SerdeInvalidType { unexpected, expected, .. } | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {expected}, found {}", kind(unexpected)), String::new())
        }
        Error::Unexpected { expected, .. } => (format!("expected {}", plain(expected)), shape(expected)),
        Error::InvalidScalar { ty, .. } => (format!("this is not {}", scalar(ty)), String::new()),
        Error::InvalidBooleanStrict { .. } => ("this is not true or false".to_owned(), "write `true` or `false`".to_owned()),
        Error::NullIntoString { .. } => ("the value is missing".to_owned(), "write a value behind the colon".to_owned()),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            ("expected one key with its settings".to_owned(), "such as `kafka: { ... }`".to_owned())
        }
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            ("there can be only one of these keys".to_owned(), "remove the others".to_owned())
        }
        Error::MultipleDocuments { .. } => ("a configuration is one document".to_owned(), "remove what follows `---`".to_owned()),
        Error::Eof { .. } => ("the file is empty".to_owned(), "conf/skysluice.yaml shows every key".to_owned()),
        Error::ExternalMessage { msg, .. } => {
            (format!("this is not YAML: {msg}"), "check indentation, quotes and brackets here and above".to_owned())
        }
        Error::Budget { .. } => ("the file is larger than any configuration".to_owned(), String::new()),
        other => (first_line(&other.render()), String::new()),
    };
    shown.problem(to_word(text, place), message, help)
}

/// The place of a location: the scanner knows only line and column.
fn locate(text: &str, location: Location) -> Place {
    if location.span().byte_offset().is_some() {
        return location.into();
    }
    let line = usize::try_from(location.line()).unwrap_or(0).saturating_sub(1);
    let column = usize::try_from(location.column()).unwrap_or(0).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let inside = text[start..].char_indices().nth(column).map_or(text.len() - start, |(offset, _)| offset);
    Place { offset: start + inside, len: 0 }
}

/// A place that can be seen: never empty, and never the blank after what is wrong.
fn to_word(text: &str, place: Place) -> Place {
    let offset = place.offset.min(text.len());
    if place.len > 0 {
        return Place { offset, ..place };
    }
    if text[offset..].starts_with(|c: char| !c.is_whitespace()) {
        let len = text[offset..].find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(1);
        return Place { offset, len: len.max(1) };
    }
    let before = text[..offset].trim_end();
    let start = before.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
    Place { offset: start, len: before.len() - start }
}

/// The place of a word, when it is what is written there.
fn find(text: &str, place: Place, word: &str) -> Place {
    match text.get(place.offset..) {
        Some(rest) if rest.starts_with(word) => Place { offset: place.offset, len: word.len() },
        _ => place,
    }
}

fn suggest(word: &str, expected: &[&'static str], all: &str) -> String {
    let list = expected.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(word, expected.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {}{} {list}", all[..1].to_uppercase(), &all[1..]),
        None => format!("{all} {list}"),
    }
}

fn kind(unexpected: &str) -> String {
    match unexpected {
        "map" => "keys with values".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" => "nothing".to_owned(),
        other => other.to_owned(),
    }
}

fn plain(expected: &str) -> &str {
    match expected {
        "string scalar" | "scalar" => "a single value",
        "sequence start" | "sequence" => "a list",
        "mapping start" | "mapping" => "keys with values",
        other => other,
    }
}

fn shape(expected: &str) -> String {
    match plain(expected) {
        "a list" => "write `[a, b]`, or one line with `- ` for each entry".to_owned(),
        "keys with values" => "write `{ key: value }`, or one line `key: value` for each".to_owned(),
        "a single value" => "write one text or number here".to_owned(),
        _ => String::new(),
    }
}

fn scalar(ty: &str) -> String {
    match ty {
        "bool" => "true or false".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        ty if ty.starts_with('u') => "a whole number from 0".to_owned(),
        ty if ty.starts_with('i') => "a whole number".to_owned(),
        ty => format!("a {ty}"),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("this cannot be read").to_owned()
}
