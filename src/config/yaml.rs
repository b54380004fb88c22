//! From YAML to the raw structs, with errors in the words of a configuration.

use serde::de::DeserializeOwned;
use serde_saphyr::Error;

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
    let mut place = error.location().map(Place::from).unwrap_or_default();
    let (message, help) = match error {
        Error::AliasError { error, .. } => return translate(text, shown, error),
        Error::SerdeUnknownField { field, expected, .. } => {
            place = find(text, place, field);
            (format!("unknown key `{field}`"), suggest(field, expected, "here there can be"))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            place = find(text, place, variant);
            (format!("`{variant}` is not known here"), suggest(variant, expected, "there are"))
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
        Error::MultipleDocuments { .. } => {
            ("a configuration is one document".to_owned(), "remove what follows `---`".to_owned())
        }
        Error::Eof { .. } => ("the file is empty".to_owned(), "conf/skysluice.yaml shows every key".to_owned()),
        Error::ExternalMessage { msg, .. } => {
            (format!("this is not YAML: {msg}"), "check indentation, quotes and brackets here and above".to_owned())
        }
        Error::Budget { .. } => ("the file is larger than any configuration".to_owned(), String::new()),
        other => (first_line(&other.render()), String::new()),
    };
    if place.len == 0 {
        place.len = 1;
    }
    shown.problem(place, message, help)
}

/// The place of a word at or after a place: errors of keys are reported at their mapping or at the value.
fn find(text: &str, place: Place, word: &str) -> Place {
    let at = |offset: usize| Place { offset, len: word.len() };
    if text[place.offset.min(text.len())..].starts_with(word) {
        return at(place.offset);
    }
    place
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
