//! Conditions of steps: parsed against the annotations that are known at their place, tied to the schemas that come.

use std::sync::{Arc, PoisonError};

use arrow_schema::{FieldRef, Schema};

use super::annotation::CATALOGS;
use super::matcher::Entry;
use super::{Chain, ChainError};
use crate::avro::AlertSchema;
use crate::config;
use crate::filter::{Bound, Expression, FilterError};

/// Schemas whose bindings are kept; a stream has a handful.
const MAX_SCHEMAS: usize = 256;

/// The conditions of a step tied to a schema, or why one cannot be.
pub(super) type Binding = Result<Vec<Bound>, FilterError>;

/// A schema and the bindings of all steps to it.
pub(super) type Known = (Arc<AlertSchema>, Arc<[Binding]>);

/// What conditions can read beside the alert.
pub(super) struct Scope<'a> {
    pub steps: &'a [config::Step],
    pub entries: &'a [Entry],
    pub fields: &'a [FieldRef],
    /// Of each field the step that makes it first.
    pub born: &'a [usize],
}

impl Scope<'_> {
    /// Parses a condition of a step; with it come the places of the annotations that it reads.
    pub fn parse(&self, index: usize, text: &str) -> Result<(Expression, Vec<usize>), ChainError> {
        let name = || self.steps[index].name.clone();
        let condition = Expression::parse(text).map_err(|source| ChainError::Condition { index, name: name(), source })?;
        let mut reads = Vec::new();
        for path in condition.paths() {
            let Some(place) = self.fields.iter().position(|field| *field.name() == path[0]) else { continue };
            let catalog = |entry: &&Entry| path[0] == CATALOGS && path.get(1) == Some(&entry.field);
            let maker = self.entries.iter().find(catalog).map_or(self.born[place], |entry| entry.step);
            if maker >= index {
                let (annotation, matcher) = (path.join("."), self.steps[maker].name.clone());
                return Err(ChainError::TooEarly { index, name: name(), annotation, matcher });
            }
            if !reads.contains(&place) {
                reads.push(place);
            }
        }
        Ok((condition, reads))
    }
}

impl Chain {
    /// Binds every step to the columns that batches of a schema have, of all that it would have. What is not decoded is
    /// wanted by no step; what is in neither is told by the names of all.
    pub(super) fn bind(&self, schema: &Schema, decoded: &Schema) -> Vec<Binding> {
        let shadowed = self.fields.iter().find(|f| schema.column_with_name(f.name()).is_some());
        let bind = |condition: &Expression| {
            condition.bind(schema, &self.fields)?;
            condition.bind(decoded, &self.fields)
        };
        self.steps
            .iter()
            .map(|step| match shadowed {
                Some(field) => Err(FilterError::Shadowed { name: field.name().clone() }),
                None => step.conditions().into_iter().map(bind).collect(),
            })
            .collect()
    }

    /// Bindings for the schema of a batch, made once. What does not fit is told once.
    pub(super) fn bindings(&self, schema: &Arc<AlertSchema>) -> Arc<[Binding]> {
        let find = |known: &[Known]| known.iter().find(|(s, _)| Arc::ptr_eq(s, schema)).map(|(_, b)| b.clone());
        // A poisoned lock still guards a whole list: entries are made before they are pushed.
        if let Some(known) = find(&self.bindings.read().unwrap_or_else(PoisonError::into_inner)) {
            return known;
        }
        let made: Arc<[Binding]> = self.bind(&schema.arrow, &schema.decoded).into();
        let mut known = self.bindings.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = find(&known) {
            return other;
        }
        for (step, error) in self.names.iter().zip(made.iter()).filter_map(|(n, b)| b.as_ref().err().map(|e| (n, e))) {
            let fingerprint = format!("{:016x}", schema.fingerprint);
            tracing::warn!(
                step,
                schema = schema.name,
                fingerprint,
                "{error}; alerts of this schema are skipped here and flagged"
            );
        }
        if known.len() >= MAX_SCHEMAS {
            known.clear();
        }
        known.push((schema.clone(), made.clone()));
        made
    }
}
