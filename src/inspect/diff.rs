//! What differs between two schemas, field by field.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::print::described;
use super::tree::{Field, Tree};
use super::visible;

/// A field that both schemas have, differently.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Its type, in plain words.
    Type(String, String),
    /// Whether it can be null.
    Nullable(bool, bool),
    /// Its default.
    Default(Option<Value>, Option<Value>),
    /// The order of the fields that both have, of the record or of the records of the array.
    Order(Vec<String>, Vec<String>),
}

/// What differs between two schemas.
#[derive(Debug)]
pub struct Difference {
    names: [(String, u64); 2],
    added: Vec<(String, String)>,
    removed: Vec<(String, String)>,
    changed: Vec<(String, Change)>,
    /// Types that have another name, by the path where they are first used; the record itself has an empty one.
    renamed: Vec<(String, [String; 2])>,
}

impl Difference {
    /// Compares by path, which nothing is guessed about: a field that got another name is one removed and one added.
    #[must_use]
    pub fn between(old: &Tree, new: &Tree) -> Difference {
        let mut out = Difference {
            names: [(old.name.clone(), old.fingerprint), (new.name.clone(), new.fingerprint)],
            added: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
            renamed: Vec::new(),
        };
        let mut seen = HashSet::new();
        let mut rename = |path: &str, a: &str, b: &str, out: &mut Difference| {
            if a != b && seen.insert((a.to_owned(), b.to_owned())) {
                out.renamed.push((path.to_owned(), [a.to_owned(), b.to_owned()]));
            }
        };
        rename("", &old.name, &new.name, &mut out);
        out.order("", &old.fields, &new.fields);
        let (before, after) = (old.all(), new.all());
        let olds: HashMap<&str, &Field> = before.iter().map(|f| (f.path.as_str(), *f)).collect();
        let news: HashSet<&str> = after.iter().map(|f| f.path.as_str()).collect();
        for field in after {
            let Some(was) = olds.get(field.path.as_str()) else {
                out.added.push((field.path.clone(), described(field)));
                continue;
            };
            let mut change = |change| out.changed.push((field.path.clone(), change));
            if was.words != field.words {
                change(Change::Type(was.words.clone(), field.words.clone()));
            }
            if was.nullable != field.nullable {
                change(Change::Nullable(was.nullable, field.nullable));
            }
            if was.default != field.default {
                change(Change::Default(was.default.clone(), field.default.clone()));
            }
            if let (Some(a), Some(b)) = (&was.type_name, &field.type_name) {
                rename(&field.path, a, b, &mut out);
            }
            out.order(&field.path, &was.fields, &field.fields);
        }
        for field in before.into_iter().filter(|f| !news.contains(f.path.as_str())) {
            out.removed.push((field.path.clone(), described(field)));
        }
        out
    }

    fn order(&mut self, path: &str, old: &[Field], new: &[Field]) {
        let shared = |fields: &[Field], others: &[Field]| -> Vec<String> {
            let others: HashSet<&str> = others.iter().map(|f| f.name.as_str()).collect();
            fields.iter().map(|f| f.name.clone()).filter(|name| others.contains(name.as_str())).collect()
        };
        let (old, new) = (shared(old, new), shared(new, old));
        if old != new {
            self.changed.push((path.to_owned(), Change::Order(old, new)));
        }
    }

    /// Whether the fields are the same. Names of types do not count.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// For people: a line a difference.
    #[must_use]
    pub fn text(&self) -> String {
        let [(old, a), (new, b)] = &self.names;
        let mut out = format!("{} ({a:016x}) -> {} ({b:016x})\n", visible(old), visible(new));
        for (path, what) in &self.removed {
            let _ = writeln!(out, "- {}   {what}", visible(path));
        }
        for (path, what) in &self.added {
            let _ = writeln!(out, "+ {}   {what}", visible(path));
        }
        for (path, change) in &self.changed {
            let path = if path.is_empty() { "the record" } else { path };
            let _ = writeln!(out, "~ {}   {}", visible(path), visible(&change.to_string()));
        }
        if !self.renamed.is_empty() {
            let names: Vec<String> = self.renamed.iter().map(|(_, [a, b])| format!("{a} -> {b}")).collect();
            let _ = writeln!(out, "types with another name, which is no difference of fields: {}", visible(&names.join(", ")));
        }
        let count = (self.removed.len(), self.added.len(), self.changed.len());
        let _ = match count {
            (0, 0, 0) => writeln!(out, "the fields are the same"),
            (removed, added, changed) => writeln!(out, "{removed} removed, {added} added, {changed} changed"),
        };
        out
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let name = |i: usize| json!({ "name": self.names[i].0, "fingerprint": format!("{:016x}", self.names[i].1) });
        let fields = |list: &[(String, String)]| -> Vec<Value> {
            list.iter().map(|(path, what)| json!({ "path": path, "type": what })).collect()
        };
        let changed: Vec<Value> = self
            .changed
            .iter()
            .map(|(path, change)| {
                let (what, from, to) = match change {
                    Change::Type(a, b) => ("type", json!(a), json!(b)),
                    Change::Nullable(a, b) => ("nullable", json!(a), json!(b)),
                    // A default of null is not the same as none, which is left out.
                    Change::Default(a, b) => {
                        let given = |d: &Option<Value>| d.as_ref().map_or(json!({}), |d| json!({ "value": d }));
                        ("default", given(a), given(b))
                    }
                    Change::Order(a, b) => ("order", json!(a), json!(b)),
                };
                json!({ "path": path, "what": what, "from": from, "to": to })
            })
            .collect();
        let renamed: Vec<Value> = self.renamed.iter().map(|(path, [a, b])| json!({ "path": path, "from": a, "to": b })).collect();
        json!({
            "same": self.is_same(), "from": name(0), "to": name(1),
            "removed": fields(&self.removed), "added": fields(&self.added), "changed": changed, "types_renamed": renamed,
        })
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let null = |nullable: &bool| if *nullable { "can be null" } else { "never null" };
        let default = |d: &Option<Value>| d.as_ref().map_or("none".to_owned(), Value::to_string);
        match self {
            Change::Type(a, b) => write!(f, "type: {a} -> {b}"),
            Change::Nullable(a, b) => write!(f, "null: {} -> {}", null(a), null(b)),
            Change::Default(a, b) => write!(f, "default: {} -> {}", default(a), default(b)),
            Change::Order(a, b) => {
                // The first place where they part is enough to find it by.
                let i = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0);
                let at = |names: &[String]| names.get(i).cloned().unwrap_or_default();
                write!(f, "order of fields: number {} of those in both was {}, is {}", i + 1, at(a), at(b))
            }
        }
    }
}
