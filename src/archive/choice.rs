//! Which of the survey's columns are archived, and whether the paths that say so lead anywhere.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Fields};

use crate::avro::{AlertSchema, FieldNames, Wanted};
use crate::config::{ColumnChoice, Survey, nearest};

/// A path of `archive.columns` leads to no field.
#[derive(Debug, thiserror::Error)]
#[error("no schema of the survey has a field `{path}`")]
pub struct ColumnError {
    /// Place in the list, from 0.
    pub index: usize,
    /// The path.
    pub path: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// The fields of the survey that the archive holds. What steps add and where a row came from is always archived.
#[must_use]
pub fn wanted(choice: &ColumnChoice, survey: &Survey) -> Wanted {
    match choice {
        ColumnChoice::All => Wanted::everything(),
        ColumnChoice::AllExceptCutouts => Wanted::all_but(survey.cutouts.iter().map(|path| path.0.clone())),
        ColumnChoice::These(paths) => Wanted::only(paths.iter().map(|path| path.0.clone())),
    }
}

/// Holds each path of the choice against the schemas that are known before anything starts.
///
/// # Errors
/// The first path that no schema has a field for.
pub fn check(choice: &ColumnChoice, schemas: &[Arc<AlertSchema>]) -> Result<(), ColumnError> {
    let ColumnChoice::These(paths) = choice else { return Ok(()) };
    let leads = |path: &[String], schema: &AlertSchema| {
        let kept = Wanted::only([path.to_vec()]).of(schema.arrow.fields());
        !kept.fields(schema.arrow.fields()).is_empty()
    };
    for (index, path) in paths.iter().map(|path| &path.0).enumerate() {
        if !schemas.is_empty() && !schemas.iter().any(|schema| leads(path, schema)) {
            let suggestion = schemas.iter().rev().find_map(|schema| meant(path, schema.arrow.fields()));
            return Err(ColumnError { index, path: path.join("."), suggestion });
        }
    }
    Ok(())
}

/// The path with the first name that leads nowhere replaced by the nearest that does.
fn meant(path: &[String], fields: &Fields) -> Option<String> {
    let good = |end: usize| !Wanted::only([path[..end].to_vec()]).of(fields).fields(fields).is_empty();
    let wrong = (0..path.len()).find(|at| !good(at + 1))?;
    let mut inside: Vec<&FieldRef> = fields.iter().collect();
    for name in &path[..wrong] {
        let named = inside.into_iter().filter(|field| field.name() == name);
        inside = named.filter_map(|field| fields_of(field.data_type())).flatten().collect();
    }
    let name = nearest(&path[wrong], inside.into_iter().map(|field| field.name().as_str()))?;
    let mut meant: FieldNames = path.to_vec();
    name.clone_into(&mut meant[wrong]);
    Some(meant.join("."))
}

/// The fields of a record, of the items of an array, of the values of a map.
fn fields_of(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::Struct(fields) => Some(fields),
        DataType::List(item) => fields_of(item.data_type()),
        DataType::Map(entries, _) => fields_of(fields_of(entries.data_type())?.get(1)?.data_type()),
        _ => None,
    }
}
