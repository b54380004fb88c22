//! What is to be said of a schema: what is read although it is wrong, what a survey's profile finds in it and what not.

use std::collections::HashSet;
use std::fmt;

use arrow_schema::{DataType, Fields, Schema};

use super::tree::{Field, Tree};
use super::visible;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Wrong in the schema; read nonetheless.
    Repaired,
    /// Something is not there that can be done without.
    Lacking,
    /// Does not work.
    Wrong,
}

/// One thing to be said of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub grade: Grade,
    /// Where: a path, a part of the survey's profile, a step.
    pub place: String,
    /// What it is.
    pub what: String,
    /// What to do; empty where there is nothing.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "good",
            Grade::Repaired => "repaired",
            Grade::Lacking => "lacking",
            Grade::Wrong => "WRONG",
        };
        write!(f, "{grade:<9} {}: {}", visible(&self.place), visible(&self.what))?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n{:<9} {}", "", visible(&self.advice)) }
    }
}

/// What the product mends while it reads the schema.
#[must_use]
pub fn repairs(tree: &Tree) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for field in tree.all() {
        // A record that is used in several places is told once.
        if !field.owner.is_empty() && !seen.insert((field.owner.as_str(), field.name.as_str())) {
            continue;
        }
        if let Some(written) = &field.written {
            out.push(Finding {
                grade: Grade::Repaired,
                place: field.path.clone(),
                what: format!(
                    "the record {} has the name `{written}` twice: this earlier one is `{}` here",
                    field.owner, field.name
                ),
                advice: format!("`{written}` means the last of that name; the producer should give each field a name of its own"),
            });
        }
        if let (Some(default), false) = (&field.default, field.default_fits) {
            out.push(Finding {
                grade: Grade::Repaired,
                place: field.path.clone(),
                what: format!("the default {default} is not a value of its type ({}); it is passed over", type_of(field)),
                advice: "alerts are read all the same; other Avro readers may refuse this schema, so tell its producer"
                    .to_owned(),
            });
        }
    }
    out
}

fn type_of(field: &Field) -> String {
    if field.nullable { format!("{} or null", field.words) } else { field.words.clone() }
}

/// Something that a survey's profile looks for.
#[derive(Clone, Debug)]
pub struct Need {
    /// What it is, in words: `right ascension`.
    pub what: &'static str,
    /// Paths: the first that is there is used, or each of them.
    pub paths: Vec<Vec<String>>,
    /// What there has to be.
    pub kind: NeedKind,
    /// Whether alerts without it are flagged.
    pub essential: bool,
}

/// What a path of a profile has to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedKind {
    /// A single value, at one of the paths.
    Value,
    /// Bytes, at each of the paths.
    Bytes,
    /// An array, at each of the paths.
    List,
}

/// What a schema has of a profile, and what not.
#[must_use]
pub fn needs(schema: &Schema, survey: &str, needs: &[Need]) -> Vec<Finding> {
    needs.iter().filter(|need| !need.paths.is_empty()).flat_map(|need| one(schema, survey, need)).collect()
}

fn one(schema: &Schema, survey: &str, need: &Need) -> Vec<Finding> {
    let finding = |grade, what: String, advice: String| Finding { grade, place: need.what.to_owned(), what, advice };
    let missing = if need.essential { Grade::Wrong } else { Grade::Lacking };
    let paths: Vec<(String, Option<&DataType>)> =
        need.paths.iter().map(|path| (path.join("."), column(schema.fields(), path))).collect();
    let fitting = |found: &Option<&DataType>| found.is_some_and(|t| need.kind.fits(t));
    if need.kind == NeedKind::Value {
        let names = |which: &dyn Fn(&Option<&DataType>) -> bool| {
            let names: Vec<_> = paths.iter().filter(|(_, found)| which(found)).map(|(path, _)| path.as_str()).collect();
            names.join(", ")
        };
        let there = names(&fitting);
        if !there.is_empty() {
            return vec![finding(Grade::Good, there, String::new())];
        }
        let advice = match need.essential {
            true => {
                format!("alerts would be flagged; give survey `{survey}` the path that this schema has, or name another survey")
            }
            false => String::new(),
        };
        let odd = names(&|found| found.is_some());
        let what = match odd.is_empty() {
            true => format!("none of {} is in the schema", names(&|_| true)),
            false => format!("{odd} is there, but holds no single value"),
        };
        return vec![finding(missing, what, advice)];
    }
    let each = |(path, found): &(String, Option<&DataType>)| match found {
        Some(t) if need.kind.fits(t) => finding(Grade::Good, path.clone(), String::new()),
        Some(_) => finding(missing, format!("{path} is there, but is not {}", need.kind.words()), String::new()),
        None => finding(missing, format!("{path} is not in the schema"), String::new()),
    };
    paths.iter().map(each).collect()
}

impl NeedKind {
    fn fits(self, column: &DataType) -> bool {
        match self {
            NeedKind::Value => !column.is_nested() && !is_bytes(column),
            NeedKind::Bytes => is_bytes(column),
            NeedKind::List => matches!(column, DataType::List(_)),
        }
    }

    fn words(self) -> &'static str {
        match self {
            NeedKind::Value => "a value",
            NeedKind::Bytes => "bytes",
            NeedKind::List => "an array",
        }
    }
}

fn is_bytes(column: &DataType) -> bool {
    matches!(column, DataType::BinaryView | DataType::Binary | DataType::FixedSizeBinary(_))
}

/// The column at a path through records.
fn column<'a>(fields: &'a Fields, path: &[String]) -> Option<&'a DataType> {
    let (first, rest) = path.split_first()?;
    let (_, field) = fields.find(first)?;
    match (rest, field.data_type()) {
        ([], found) => Some(found),
        (rest, DataType::Struct(fields)) => column(fields, rest),
        _ => None,
    }
}

/// Whether a schema has all that is essential to a profile: it is probably of that survey.
#[must_use]
pub fn guess(schema: &Schema, all: &[Need]) -> bool {
    needs(schema, "", all).iter().all(|finding| finding.grade != Grade::Wrong)
}
