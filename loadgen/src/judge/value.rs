//! Whether a record that was published holds what was sent: value by value, all of it, with more on top.

use apache_avro::types::Value;

/// Where two records differ, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    path: String,
    what: String,
}

impl Difference {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    /// `found` where `sent` was sent.
    pub(super) fn values(found: impl std::fmt::Debug, sent: impl std::fmt::Debug) -> Self {
        Self::new(format!("{}, sent was {}", short(&found), short(&sent)))
    }

    /// The difference, seen from the field around it.
    pub(super) fn inside(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// The difference, seen from the list around it.
    pub(super) fn at(self, item: usize) -> Self {
        self.inside(&format!("[{item}]"))
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.path, self.what)
    }
}

/// The beginning of what is there.
fn short(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// How two sequences of bytes differ, which are too long to be shown.
pub(super) fn bytes(found: &[u8], sent: &[u8]) -> Result<(), Difference> {
    if found == sent {
        return Ok(());
    }
    let at = found.iter().zip(sent).take_while(|(a, b)| a == b).count();
    Err(Difference::new(format!(
        "{} bytes that differ from byte {at} on from the {} bytes that were sent",
        found.len(),
        sent.len()
    )))
}

/// Whether `found` is a record with all fields of `sent`. More fields may be there. Counts the values that were compared.
pub(super) fn contains(found: &Value, sent: &Value, compared: &mut u64) -> Result<(), Difference> {
    let (Value::Record(found), Value::Record(sent)) = (found, sent) else { return same(found, sent, compared) };
    for (at, (name, value)) in sent.iter().enumerate() {
        // Fields stay in their order; one that was put before them is looked for.
        let there = found.get(at).filter(|(there, _)| there == name).or_else(|| found.iter().find(|(there, _)| there == name));
        let Some((_, there)) = there else { return Err(Difference::new("is missing").inside(name)) };
        same(there, value, compared).map_err(|difference| difference.inside(name))?;
    }
    Ok(())
}

fn same(found: &Value, sent: &Value, compared: &mut u64) -> Result<(), Difference> {
    // Branches of a union may be numbered in another way.
    if let (Value::Union(_, found), Value::Union(_, sent)) = (found, sent) {
        return same(found, sent, compared);
    }
    *compared += 1;
    let equal = match (found, sent) {
        (Value::Record(there), Value::Record(all)) => {
            if there.len() != all.len() {
                return Err(Difference::new(format!("{} fields, {} were sent", there.len(), all.len())));
            }
            return contains(found, sent, compared);
        }
        (Value::Array(found), Value::Array(sent)) => {
            if found.len() != sent.len() {
                return Err(Difference::new(format!("{} items, {} were sent", found.len(), sent.len())));
            }
            let mut pairs = found.iter().zip(sent).enumerate();
            return pairs.try_for_each(|(item, (found, sent))| same(found, sent, compared).map_err(|d| d.at(item)));
        }
        (Value::Map(found), Value::Map(sent)) => {
            if found.len() != sent.len() {
                return Err(Difference::new(format!("{} entries, {} were sent", found.len(), sent.len())));
            }
            return sent.iter().try_for_each(|(key, sent)| {
                let there = found.get(key).ok_or_else(|| Difference::new("is missing").inside(key))?;
                same(there, sent, compared).map_err(|difference| difference.inside(key))
            });
        }
        (Value::Bytes(found), Value::Bytes(sent)) => return bytes(found, sent),
        // Bit by bit: not-a-number is equal to itself, and minus zero is not zero.
        (Value::Float(found), Value::Float(sent)) => found.to_bits() == sent.to_bits(),
        (Value::Double(found), Value::Double(sent)) => found.to_bits() == sent.to_bits(),
        _ => found == sent,
    };
    if equal { Ok(()) } else { Err(Difference::values(found, sent)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[(&str, Value)]) -> Value {
        Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn told(found: &Value, sent: &Value) -> String {
        contains(found, sent, &mut 0).map_or_else(|difference| difference.to_string(), |()| "same".to_owned())
    }

    #[test]
    fn more_on_top_is_allowed_and_any_change_below_is_told_with_its_path() {
        let history =
            |flux: f32| Value::Array(vec![Value::Null, record(&[("flux", Value::Union(1, Box::new(Value::Float(flux))))])]);
        let sent = record(&[("id", Value::Long(7)), ("history", history(1.0)), ("stamp", Value::Bytes(vec![1, 2, 3]))]);
        let Value::Record(mut fields) = sent.clone() else { return };
        fields.push(("matches".to_owned(), Value::Int(2)));
        let found = Value::Record(fields.clone());
        let mut compared = 0;
        assert_eq!(contains(&found, &sent, &mut compared), Ok(()));
        assert_eq!(compared, 6);
        fields[1].1 = history(1.5);
        assert_eq!(told(&Value::Record(fields.clone()), &sent), "history[1].flux: Float(1.5), sent was Float(1.0)");
        fields[1].1 = Value::Array(vec![Value::Null]);
        assert_eq!(told(&Value::Record(fields.clone()), &sent), "history: 1 items, 2 were sent");
        fields[1].1 = history(1.0);
        fields[2].1 = Value::Bytes(vec![1, 9, 3]);
        assert_eq!(
            told(&Value::Record(fields.clone()), &sent),
            "stamp: 3 bytes that differ from byte 1 on from the 3 bytes that were sent"
        );
        fields.remove(2);
        assert_eq!(told(&Value::Record(fields), &sent), "stamp: is missing");
        assert_eq!(told(&sent, &found), "matches: is missing");
        let deep = record(&[("candidate", record(&[("a", Value::Int(1)), ("b", Value::Int(1))]))]);
        let fewer = record(&[("candidate", record(&[("a", Value::Int(1))]))]);
        assert_eq!(told(&deep, &fewer), "candidate: 2 fields, 1 were sent");
    }

    #[test]
    fn numbers_are_compared_by_their_bits() {
        let of = |value: f64| record(&[("x", Value::Double(value))]);
        assert_eq!(told(&of(f64::NAN), &of(f64::NAN)), "same");
        assert!(told(&of(0.0), &of(-0.0)).contains("sent was"));
        assert!(told(&record(&[("x", Value::Int(1))]), &record(&[("x", Value::Long(1))])).contains("sent was"));
    }
}
