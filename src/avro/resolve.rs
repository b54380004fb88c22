//! Several schema files that name each other's types, made into one text: the Avro tools want a type to be defined where it
//! is first used.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{AvroError, MAX_DEPTH, lenient};

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// One JSON text of the type `root` (its full name, or the name of the file that defines it), with every type that it needs
/// defined where it is first used. `files` are pairs of a name for messages and the JSON text; each defines one named type.
///
/// # Errors
/// When a file is no JSON, is nested too deep, or names a type that none of them defines.
pub fn resolve(files: &[(String, String)], root: &str) -> Result<String, AvroError> {
    let types = load(files)?;
    let start = types.iter().find(|(name, (file, _))| *name == root || *file == root).map(|(name, _)| name.clone());
    let Some(start) = start else {
        let mut known: Vec<_> = types.keys().cloned().collect();
        known.sort();
        return Err(AvroError::NoRoot { root: root.to_owned(), known: known.join(", ") });
    };
    let mut resolver = Resolver { types, defined: HashSet::new() };
    resolver.start(&start).map(|all| all.to_string())
}

/// Full names of the types that no other file uses, sorted: what the schema of an alert can begin with.
///
/// # Errors
/// When a file is no JSON or is nested too deep. Types that none of them defines are told by [`resolve`].
pub fn roots(files: &[(String, String)]) -> Result<Vec<String>, AvroError> {
    let mut resolver = Resolver { types: load(files)?, defined: HashSet::new() };
    let mut names: Vec<String> = resolver.types.keys().cloned().collect();
    names.sort();
    let mut used = HashSet::new();
    for name in &names {
        resolver.defined.clear();
        // What cannot be resolved has still named what it uses up to there.
        let _ = resolver.start(name);
        used.extend(resolver.defined.drain().filter(|other| other != name));
    }
    Ok(names.into_iter().filter(|name| !used.contains(name)).collect())
}

/// Types by their full name, with the file that defines each.
fn load(files: &[(String, String)]) -> Result<HashMap<String, (&str, Value)>, AvroError> {
    let mut types = HashMap::new();
    for (file, json) in files {
        let wrap = |source| AvroError::File { file: file.clone(), source: Box::new(source) };
        lenient::guard(json).map_err(wrap)?;
        let value: Value = serde_json::from_str(json).map_err(|e| wrap(e.into()))?;
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| wrap(AvroError::Field("the file does not define a type with a name".to_owned())))?;
        let name = full_name(name, value.get("namespace").and_then(Value::as_str).unwrap_or_default());
        types.insert(name, (file.as_str(), value));
    }
    Ok(types)
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

struct Resolver<'a> {
    types: HashMap<String, (&'a str, Value)>,
    /// Full names of the types that have been defined so far, in the order of the text.
    defined: HashSet<String>,
}

impl Resolver<'_> {
    /// The type of this name, which is one of `types`, with all that it uses.
    fn start(&mut self, name: &str) -> Result<Value, AvroError> {
        let (file, value) = self.types[name].clone();
        self.defined.insert(name.to_owned());
        self.walk(&value, "", file, MAX_DEPTH)
    }

    fn walk(&mut self, value: &Value, namespace: &str, file: &str, depth: usize) -> Result<Value, AvroError> {
        let depth = depth.checked_sub(1).ok_or(AvroError::TooDeep)?;
        match value {
            Value::String(name) if PRIMITIVES.contains(&name.as_str()) => Ok(value.clone()),
            Value::String(name) => {
                let in_namespace = full_name(name, namespace);
                let full = if self.knows(&in_namespace) { in_namespace } else { name.clone() };
                if !self.knows(&full) {
                    return Err(AvroError::UnknownName { name: full, file: file.to_owned() });
                }
                if !self.defined.insert(full.clone()) {
                    return Ok(Value::String(full));
                }
                let (file, value) = self.types[&full].clone();
                // Each file is inlined once, so that the text stays as long as the files are together.
                self.walk(&value, "", file, depth)
            }
            Value::Array(branches) => {
                let branches = branches.iter().map(|b| self.walk(b, namespace, file, depth));
                branches.collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(all) => {
                let named = all.get("name").and_then(Value::as_str);
                let own = all.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
                let full = named.map(|name| full_name(name, own));
                let kind = all.get("type").and_then(Value::as_str).unwrap_or_default();
                let mut inner = namespace.to_owned();
                if let (Some(full), "record" | "enum" | "fixed" | "error") = (&full, kind) {
                    inner = full.rsplit_once('.').map_or(String::new(), |(namespace, _)| namespace.to_owned());
                    self.defined.insert(full.clone());
                }
                let mut out = all.clone();
                for (key, value) in &mut out {
                    match key.as_str() {
                        "items" | "values" => *value = self.walk(value, &inner, file, depth)?,
                        "type" if !matches!(kind, "record" | "enum" | "fixed" | "array" | "map" | "error") => {
                            *value = self.walk(value, &inner, file, depth)?;
                        }
                        "fields" => {
                            if let Value::Array(fields) = value {
                                for field in fields {
                                    if let Some(field_type) = field.get_mut("type") {
                                        *field_type = self.walk(field_type, &inner, file, depth)?;
                                    }
                                }
                            }
                        }
                        _ => {}
                    }
                }
                Ok(Value::Object(out))
            }
            other => Ok(other.clone()),
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.types.contains_key(name) || self.defined.contains(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(name: &str, field: &str) -> (String, String) {
        let json =
            format!(r#"{{"type": "record", "name": "{name}", "namespace": "s", "fields": [{{"name": "x", "type": {field}}}]}}"#);
        (format!("s.{name}.avsc"), json)
    }

    #[test]
    fn roots_are_the_types_that_no_other_file_uses() {
        let files = [
            file("alert", r#"["null", {"type": "array", "items": "s.source"}]"#),
            file("source", r#""pixel""#),
            file("pixel", r#""int""#),
            file("object", r#""int""#),
        ];
        assert_eq!(roots(&files).unwrap(), ["s.alert", "s.object"]);
        assert!(resolve(&files, "s.alert").unwrap().contains("pixel"));
        let missing = [file("alert", r#"["s.source", "s.nowhere"]"#), file("source", r#""int""#)];
        assert_eq!(roots(&missing).unwrap(), ["s.alert"]);
        assert!(matches!(resolve(&missing, "s.alert"), Err(AvroError::UnknownName { .. })));
    }
}
