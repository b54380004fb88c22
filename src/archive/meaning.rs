//! What columns mean, in the schema that a file shows to Arrow's readers: metadata `unit` and `doc` of each field, nested ones
//! too, from the survey's profile.
//!
//! May depend on: `config` (the profile), arrow. **Invariant:** what a field says of itself already is kept; types and names
//! stay as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};

use crate::config::Meaning;

/// Keys of a field's metadata.
const UNIT: &str = "unit";
const DOC: &str = "doc";

/// The schema with what the profile says of its fields. A path goes through lists and the values of maps.
pub(super) fn described(schema: &Schema, meanings: &BTreeMap<String, Meaning>) -> Schema {
    let fields: Fields = schema.fields().iter().map(|field| described_field(field, field.name(), meanings)).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn described_field(field: &FieldRef, path: &str, meanings: &BTreeMap<String, Meaning>) -> FieldRef {
    let field = Field::clone(field).with_data_type(described_type(field.data_type(), path, meanings));
    Arc::new(match meanings.get(path) {
        Some(meaning) => with(field, meaning),
        None => field,
    })
}

/// Items have no name of their own: what is said of a list is said of the list.
fn described_item(item: &FieldRef, path: &str, meanings: &BTreeMap<String, Meaning>) -> FieldRef {
    Arc::new(Field::clone(item).with_data_type(described_type(item.data_type(), path, meanings)))
}

fn described_type(data_type: &DataType, path: &str, meanings: &BTreeMap<String, Meaning>) -> DataType {
    let inside = |field: &FieldRef| described_field(field, &format!("{path}.{}", field.name()), meanings);
    match data_type {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::List(item) => DataType::List(described_item(item, path, meanings)),
        DataType::LargeList(item) => DataType::LargeList(described_item(item, path, meanings)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(described_item(item, path, meanings), *length),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else { return data_type.clone() };
            let pair: Fields = pair.iter().map(|part| described_item(part, path, meanings)).collect();
            DataType::Map(Arc::new(Field::clone(entries).with_data_type(DataType::Struct(pair))), *sorted)
        }
        other => other.clone(),
    }
}

fn with(field: Field, meaning: &Meaning) -> Field {
    let mut metadata = field.metadata().clone();
    for (key, value) in [(UNIT, &meaning.unit), (DOC, &meaning.doc)] {
        if let Some(value) = value
            && !metadata.contains_key(key)
        {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    field.with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(unit: &str, doc: &str) -> Meaning {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        Meaning { unit: text(unit), doc: text(doc) }
    }

    #[test]
    fn meanings_reach_into_records_and_lists_and_never_replace_what_is_said() {
        let own = Field::new("mag", DataType::Float32, true).with_metadata([(DOC.to_owned(), "kept".to_owned())]);
        let record = DataType::Struct(Fields::from(vec![Field::new("jd", DataType::Float64, false), own]));
        let list = DataType::List(Arc::new(Field::new("item", record.clone(), true)));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("now", record, false),
            Field::new("before", list, true),
        ]);
        let meanings = BTreeMap::from([
            ("now.jd".to_owned(), meaning("d", "Time")),
            ("now.mag".to_owned(), meaning("mag", "Brightness")),
            ("before".to_owned(), meaning("", "History")),
            ("before.jd".to_owned(), meaning("d", "")),
            ("nothing.here".to_owned(), meaning("d", "")),
        ]);
        let found = described(&schema, &meanings);
        let said = |field: &Field| (field.metadata().get(UNIT).cloned(), field.metadata().get(DOC).cloned());
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(said(found.field(0)), (None, None));
        let DataType::Struct(now) = found.field(1).data_type() else { panic!("a record") };
        assert_eq!(said(&now[0]), (text("d"), text("Time")));
        assert_eq!(said(&now[1]), (text("mag"), text("kept")));
        assert_eq!(said(found.field(2)), (None, text("History")));
        let DataType::List(item) = found.field(2).data_type() else { panic!("a list") };
        let DataType::Struct(before) = item.data_type() else { panic!("a record") };
        assert_eq!((said(item), said(&before[0])), ((None, None), (text("d"), None)));
    }
}
