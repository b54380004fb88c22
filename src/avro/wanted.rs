//! Which fields are wanted, by their paths, and what of the columns of a schema is kept for them.
//!
//! **Invariant:** what is kept of a type is of the same kind: a record, an array, a map stays where something in it is kept,
//! with its own nulls, and fields keep their order. What has nothing in it that is wanted is gone altogether.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};

/// The names of fields from the outermost to the innermost; in each, `*` stands for any text. Arrays and maps have no name of
/// their own: `prv_candidates`, `magpsf` are the magnitudes of all items. A path stands for all that lies in its field.
pub type FieldNames = Vec<String>;

/// Fields of any schema. `Default` is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What one of these wants is wanted.
    sets: Vec<Set>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Set {
    AllBut(Vec<FieldNames>),
    Only(Vec<FieldNames>),
}

impl Wanted {
    /// Every field.
    #[must_use]
    pub fn everything() -> Wanted {
        Wanted::all_but([])
    }

    /// Every field but these.
    #[must_use]
    pub fn all_but(paths: impl IntoIterator<Item = FieldNames>) -> Wanted {
        Wanted { sets: vec![Set::AllBut(paths.into_iter().collect())] }
    }

    /// These fields and no other.
    #[must_use]
    pub fn only(paths: impl IntoIterator<Item = FieldNames>) -> Wanted {
        Wanted { sets: vec![Set::Only(paths.into_iter().collect())] }
    }

    /// What either wants.
    #[must_use]
    pub fn or(mut self, other: Wanted) -> Wanted {
        self.sets.extend(other.sets);
        self
    }

    /// What is kept of the columns of a schema.
    #[must_use]
    pub fn of(&self, fields: &Fields) -> Kept {
        let sets: Vec<Left<'_>> = self
            .sets
            .iter()
            .map(|set| match set {
                Set::AllBut(paths) if paths.is_empty() => Left::Everything,
                Set::AllBut(paths) => Left::AllBut(paths.iter().map(Vec::as_slice).collect()),
                Set::Only(paths) => Left::Only(paths.iter().map(Vec::as_slice).collect()),
            })
            .collect();
        kept_of_fields(&sets, fields)
    }
}

/// What is left of a set inside a field: the rest of each path that led there.
enum Left<'a> {
    Nothing,
    Everything,
    AllBut(Vec<&'a [String]>),
    Only(Vec<&'a [String]>),
}

impl<'a> Left<'a> {
    fn below(&self, name: &str) -> Left<'a> {
        let (paths, all_but) = match self {
            Left::Nothing => return Left::Nothing,
            Left::Everything => return Left::Everything,
            Left::AllBut(paths) => (paths, true),
            Left::Only(paths) => (paths, false),
        };
        let mut rests = Vec::new();
        for path in paths {
            match path {
                [last] if matches(last, name) => return if all_but { Left::Nothing } else { Left::Everything },
                [first, rest @ ..] if matches(first, name) => rests.push(rest),
                _ => {}
            }
        }
        match (rests.is_empty(), all_but) {
            (true, true) => Left::Everything,
            (true, false) => Left::Nothing,
            (false, true) => Left::AllBut(rests),
            (false, false) => Left::Only(rests),
        }
    }
}

/// Whether `pattern` stands for `name`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What is kept of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is dropped.
    Nothing,
    /// It stays as it is.
    Everything,
    /// What is kept of each field of a record, or of the items of an array, or of the values of a map.
    Parts(Box<[Kept]>),
}

fn kept(sets: &[Left<'_>], data_type: &DataType) -> Kept {
    if sets.iter().any(|set| matches!(set, Left::Everything)) {
        return Kept::Everything;
    }
    if sets.iter().all(|set| matches!(set, Left::Nothing)) {
        return Kept::Nothing;
    }
    match data_type {
        DataType::Struct(fields) => kept_of_fields(sets, fields),
        DataType::List(item) => Kept::of_parts(vec![kept(sets, item.data_type())]),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) if entry.len() == 2 => Kept::of_parts(vec![kept(sets, entry[1].data_type())]),
            _ => Kept::Everything,
        },
        // A path that goes on below a value leads nowhere.
        _ if sets.iter().any(|set| matches!(set, Left::AllBut(_))) => Kept::Everything,
        _ => Kept::Nothing,
    }
}

fn kept_of_fields(sets: &[Left<'_>], fields: &Fields) -> Kept {
    let below = |field: &FieldRef| {
        let sets: Vec<_> = sets.iter().map(|set| set.below(field.name())).collect();
        kept(&sets, field.data_type())
    };
    Kept::of_parts(fields.iter().map(below).collect())
}

impl Kept {
    fn of_parts(parts: Vec<Kept>) -> Kept {
        let all = |same: Kept| parts.iter().all(|part| *part == same);
        match () {
            () if all(Kept::Everything) => Kept::Everything,
            () if all(Kept::Nothing) => Kept::Nothing,
            () => Kept::Parts(parts.into()),
        }
    }

    /// What is kept of the part with this number.
    #[must_use]
    pub fn part(&self, number: usize) -> &Kept {
        match self {
            Kept::Parts(parts) => parts.get(number).unwrap_or(&Kept::Nothing),
            whole => whole,
        }
    }

    /// The fields that are kept, with what is kept of each.
    #[must_use]
    pub fn fields(&self, fields: &Fields) -> Fields {
        match self {
            Kept::Everything => fields.clone(),
            _ => fields.iter().enumerate().filter_map(|(i, field)| self.part(i).field(field)).collect(),
        }
    }

    fn field(&self, field: &FieldRef) -> Option<FieldRef> {
        let with = |data_type| Some(Arc::new(Field::clone(field).with_data_type(data_type)));
        match (self, field.data_type()) {
            (Kept::Nothing, _) => None,
            (Kept::Parts(_), DataType::Struct(fields)) => with(DataType::Struct(self.fields(fields))),
            (Kept::Parts(parts), DataType::List(item)) => with(DataType::List(parts.first()?.field(item)?)),
            (Kept::Parts(parts), DataType::Map(entries, sorted)) => {
                let DataType::Struct(entry) = entries.data_type() else { return None };
                let value = parts.first()?.field(entry.get(1)?)?;
                let entry = DataType::Struct(Fields::from(vec![entry.first()?.clone(), value]));
                with(DataType::Map(Arc::new(Field::clone(entries).with_data_type(entry)), *sorted))
            }
            _ => Some(field.clone()),
        }
    }

    /// What is kept of columns, in the order of [`Kept::fields`]. Values are shared, not copied.
    ///
    /// # Errors
    /// When the columns are not those of the schema that it was made for.
    pub fn columns(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        columns.iter().enumerate().filter_map(|(i, column)| self.part(i).column(column).transpose()).collect()
    }

    fn column(&self, column: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
        let parts = match self {
            Kept::Nothing => return Ok(None),
            Kept::Everything => return Ok(Some(column.clone())),
            Kept::Parts(parts) => parts,
        };
        let mismatch = || ArrowError::SchemaError(format!("a column of {} has no parts to choose from", column.data_type()));
        let of_one = |values: &ArrayRef| parts.first().unwrap_or(&Kept::Nothing).column(values)?.ok_or_else(mismatch);
        let kept: ArrayRef = match column.data_type() {
            DataType::Struct(fields) => {
                let record = column.as_struct();
                let (fields, columns) = (self.fields(fields), self.columns(record.columns())?);
                Arc::new(StructArray::try_new_with_length(fields, columns, record.nulls().cloned(), record.len())?)
            }
            DataType::List(item) => {
                let list = column.as_list::<i32>();
                let item = parts.first().and_then(|kept| kept.field(item)).ok_or_else(mismatch)?;
                let values = of_one(list.values())?;
                Arc::new(ListArray::try_new(item, list.offsets().clone(), values, list.nulls().cloned())?)
            }
            DataType::Map(..) => {
                let map = column.as_map();
                let value = of_one(map.values())?;
                let field = Field::new("", column.data_type().clone(), true).into();
                let Some(DataType::Map(entries, sorted)) = self.field(&field).map(|field| field.data_type().clone()) else {
                    return Err(mismatch());
                };
                let DataType::Struct(entry) = entries.data_type() else { return Err(mismatch()) };
                let length = map.entries().len();
                let entry = StructArray::try_new_with_length(entry.clone(), vec![map.keys().clone(), value], None, length)?;
                Arc::new(MapArray::try_new(entries, map.offsets().clone(), entry, map.nulls().cloned(), sorted)?)
            }
            _ => return Err(mismatch()),
        };
        Ok(Some(kept))
    }
}
