//! What all tables of a catalogue have in common, found out before the first row is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use rayon::prelude::*;

use super::{MakeError, MakeOptions};
use crate::catalog::table::{Descriptor, IdColumn, TableError};
use crate::catalog::zones::{Keep, MotionRule};

/// What is going to be read, and as what.
pub(super) struct Plan {
    /// The tables, in their order; at least one.
    pub tables: Vec<PathBuf>,
    /// How each of them is read.
    pub descriptor: Descriptor,
    /// The carried columns, in types that an index can hold, without metadata.
    pub schema: Arc<Schema>,
    pub units: BTreeMap<String, String>,
    pub epoch: Option<f64>,
    pub motion: Option<MotionRule>,
    /// Whether the ids of all tables are whole numbers, as far as their heads tell.
    pub whole_ids: bool,
    /// Rows of all tables, where all say it beforehand.
    pub rows: Option<u64>,
    pub warnings: Vec<String>,
}

/// What the head of a table says.
struct Look {
    columns: Vec<(String, DataType, Option<String>)>,
    epoch: Option<f64>,
    motion: bool,
    radius: bool,
    whole_ids: bool,
    rows: Option<u64>,
}

fn look(path: &Path, descriptor: &Descriptor) -> Result<Look, TableError> {
    let (table, positions) = descriptor.positions(path)?;
    let column = |field: &Arc<Field>| (field.name().clone(), stored(field.data_type()), field.metadata().get("unit").cloned());
    Ok(Look {
        columns: positions.carried().fields().iter().map(column).collect(),
        epoch: positions.epoch(),
        motion: positions.has_motion(),
        radius: positions.has_radius(),
        whole_ids: positions.ids_are_whole(),
        rows: table.rows(),
    })
}

/// The type that a column has in an index: times become texts.
fn stored(kind: &DataType) -> DataType {
    if kind.is_integer() || matches!(kind, DataType::Boolean | DataType::Float32 | DataType::Float64) {
        kind.clone()
    } else {
        DataType::Utf8
    }
}

impl Plan {
    pub fn new(tables: Vec<PathBuf>, descriptor: &Descriptor, options: &MakeOptions) -> Result<Plan, MakeError> {
        let mut descriptor = descriptor.clone();
        let mut warnings = Vec::new();
        if options.keep != Keep::Everything {
            // Then neither is kept: they need not even be there.
            descriptor.columns.id = IdColumn::Row;
            if !descriptor.carry.is_empty() {
                warnings.push("no columns are carried: the index keeps no more than positions of its sources".to_owned());
                descriptor.carry.clear();
            }
        }
        let looks = tables.par_iter().map(|path| look(path, &descriptor)).collect::<Result<Vec<Look>, _>>()?;
        let Some(first) = looks.first() else { return Err(MakeError::Asked("there is no table to read".to_owned())) };
        let mut columns = first.columns.clone();
        for (look, path) in looks.iter().zip(&tables).skip(1) {
            let mixed = |what: String| MakeError::Mixed { first: tables[0].clone(), other: path.clone(), what };
            merge(&mut columns, &look.columns).map_err(mixed)?;
            if look.epoch != first.epoch {
                return Err(mixed("their positions are of different epochs: give `epoch` where the files are wrong".to_owned()));
            }
        }
        let motion = first.motion.then_some(options.motion).flatten();
        if first.motion && first.epoch.is_none() {
            warnings.push("no epoch is given: the positions are taken for those of 2000.0".to_owned());
        }
        if first.radius && motion.is_some() {
            warnings.push("the sources have radii and proper motions: both are applied".to_owned());
        }
        let unit = |(name, _, unit): &(String, DataType, Option<String>)| Some((name.clone(), unit.clone()?));
        Ok(Plan {
            units: columns.iter().filter_map(unit).collect(),
            schema: Arc::new(Schema::new(
                columns.into_iter().map(|(name, kind, _)| Field::new(name, kind, true)).collect::<Vec<_>>(),
            )),
            epoch: first.epoch,
            motion,
            whole_ids: looks.iter().all(|look| look.whole_ids),
            rows: looks.iter().map(|look| look.rows).sum(),
            warnings,
            descriptor,
            tables,
        })
    }
}

/// Brings the columns of another table into those known so far. A number with a point somewhere is one everywhere; what is a
/// text in one table only is not guessed at.
fn merge(known: &mut [(String, DataType, Option<String>)], other: &[(String, DataType, Option<String>)]) -> Result<(), String> {
    if known.len() != other.len() {
        return Err(format!("{} columns to carry are in one, {} in the other: name them one by one", known.len(), other.len()));
    }
    for ((name, kind, unit), (also, given, other_unit)) in known.iter_mut().zip(other) {
        if name != also {
            return Err(format!("the columns to carry are in another order, `{name}` and `{also}`: name them one by one"));
        }
        if unit.is_some() && other_unit.is_some() && unit != other_unit {
            let (one, two) = (unit.as_deref().unwrap_or_default(), other_unit.as_deref().unwrap_or_default());
            return Err(format!(
                "`{name}` is in {one} in one and in {two} in the other: give its `unit` where the files are wrong"
            ));
        }
        if kind == given {
            continue;
        }
        let float = |kind: &DataType| matches!(kind, DataType::Float32 | DataType::Float64);
        *kind = match (kind.is_numeric(), given.is_numeric()) {
            (true, true) if float(kind) || float(given) => DataType::Float64,
            (true, true) if *kind != DataType::UInt64 && *given != DataType::UInt64 => DataType::Int64,
            _ => {
                return Err(format!(
                    "`{name}` is {kind} in one and {given} in the other: give its type (`dialect: {{ types: {{ {name}: float }} }}`) \
                     or carry it not"
                ));
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_several_tables_become_one() {
        let columns = |kinds: &[DataType]| -> Vec<(String, DataType, Option<String>)> {
            kinds.iter().enumerate().map(|(i, kind)| (format!("c{i}"), kind.clone(), None)).collect()
        };
        use DataType::{Float32, Float64, Int32, Int64, UInt64, Utf8};
        let mut known = columns(&[Int64, Float32, Utf8, Int32]);
        assert_eq!(merge(&mut known, &columns(&[Float64, Float32, Utf8, Int64])), Ok(()));
        assert_eq!(known, columns(&[Float64, Float32, Utf8, Int64]));
        for (one, other, told) in [(Utf8, Float64, "`c0` is Utf8 in one and Float64"), (UInt64, Int64, "`c0` is UInt64")] {
            let error = merge(&mut columns(&[one]), &columns(&[other])).err().unwrap_or_default();
            assert!(error.contains(told), "{error}");
        }
        assert!(merge(&mut columns(&[Utf8]), &columns(&[Utf8, Utf8])).is_err());
    }
}
