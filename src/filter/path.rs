//! From a path to a column: resolving, reading, and what was probably meant.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, FieldRef, Fields, Schema};

use super::error::FilterError;

/// What an expression is evaluated on.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub records: &'a RecordBatch,
    pub annotations: &'a [ArrayRef],
}

/// The way to a column.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    annotation: bool,
    root: usize,
    below: Vec<usize>,
    path: String,
    pub data_type: DataType,
}

/// A column with the nulls of the records that it lies in.
pub(super) struct Read<'a> {
    pub array: &'a ArrayRef,
    pub nulls: Option<NullBuffer>,
}

impl Slot {
    pub fn resolve(parts: &[String], at: usize, records: &Schema, annotations: &[FieldRef]) -> Result<Slot, FilterError> {
        let unknown = || FilterError::UnknownField {
            path: parts.join("."),
            offset: Some(at),
            suggestion: nearest(&parts.join("."), records, annotations),
        };
        let find = |fields: &[FieldRef], name: &str| fields.iter().position(|f| f.name() == name);
        let (annotation, root, mut field) = match find(annotations, &parts[0]) {
            Some(i) => (true, i, &annotations[i]),
            None => {
                let i = find(records.fields(), &parts[0]).ok_or_else(unknown)?;
                (false, i, &records.fields()[i])
            }
        };
        let mut below = Vec::new();
        for (depth, name) in parts.iter().enumerate().skip(1) {
            let container = match field.data_type() {
                DataType::Struct(fields) => {
                    let i = find(fields, name).ok_or_else(unknown)?;
                    below.push(i);
                    field = &fields[i];
                    continue;
                }
                t if is_list(t) => "array",
                DataType::Map(..) => "map",
                _ => return Err(unknown()),
            };
            return Err(FilterError::InsideArray {
                path: parts.join("."),
                parent: parts[..depth].join("."),
                container,
                offset: Some(at),
            });
        }
        Ok(Slot { annotation, root, below, path: parts.join("."), data_type: field.data_type().clone() })
    }

    pub fn read<'a>(&self, input: Input<'a>) -> Result<Read<'a>, FilterError> {
        let mismatch = |found: String| FilterError::Mismatch { path: self.path.clone(), expected: self.data_type.clone(), found };
        let columns = if self.annotation { input.annotations } else { input.records.columns() };
        let mut array = columns.get(self.root).ok_or_else(|| mismatch("no such column".to_owned()))?;
        let mut nulls = array.logical_nulls();
        for &i in &self.below {
            let record = array.as_struct_opt().ok_or_else(|| mismatch(array.data_type().to_string()))?;
            array = record.columns().get(i).ok_or_else(|| mismatch("no such column".to_owned()))?;
            nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
        }
        if array.data_type() != &self.data_type {
            return Err(mismatch(array.data_type().to_string()));
        }
        Ok(Read { array, nulls })
    }
}

fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::FixedSizeList(..)
    )
}

/// The reachable path that is nearest to what was written, where one is near.
fn nearest(wanted: &str, records: &Schema, annotations: &[FieldRef]) -> Option<String> {
    let mut paths = Vec::new();
    collect(&mut paths, "", records.fields());
    collect(&mut paths, "", &annotations.to_vec().into());
    let wanted = wanted.to_lowercase();
    let last = |p: &str| p.rsplit('.').next().unwrap_or_default().to_owned();
    let limit = wanted.chars().count().div_ceil(3).min(6);
    paths
        .into_iter()
        .map(|path| {
            let lower = path.to_lowercase();
            let whole = strsim::damerau_levenshtein(&lower, &wanted);
            let distance = match whole {
                0 => 0,
                _ if last(&lower) == last(&wanted) => 1,
                _ if wanted.contains('.') => 1 + whole,
                _ => 1 + whole.min(strsim::damerau_levenshtein(&last(&lower), &wanted)),
            };
            (distance, whole, path)
        })
        .min()
        .filter(|(distance, ..)| *distance <= limit + 1)
        .map(|(.., path)| path)
}

fn collect(paths: &mut Vec<String>, prefix: &str, fields: &Fields) {
    for field in fields {
        let path = if prefix.is_empty() { field.name().clone() } else { format!("{prefix}.{}", field.name()) };
        if let DataType::Struct(below) = field.data_type() {
            collect(paths, &path, below);
        }
        paths.push(path);
    }
}
