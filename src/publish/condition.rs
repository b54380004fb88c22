//! The condition of an output: the only place in `publish` that knows the filter expressions.

use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::{FieldRef, Schema};

use crate::alert::{AlertBatch, Fault};
use crate::avro::FieldNames;
use crate::filter::{Bound, Expression, FilterError};

/// A parsed condition.
#[derive(Debug)]
pub(super) struct Condition {
    expression: Expression,
}

/// A condition over the columns of one schema.
#[derive(Debug)]
pub(super) struct BoundCondition {
    bound: Bound,
}

/// The fields and annotations that a condition names.
pub(super) fn paths(text: &str) -> Result<Vec<FieldNames>, FilterError> {
    Ok(Expression::parse(text)?.paths())
}

/// Whether a condition fits a schema.
pub(super) fn check(text: &str, schema: &Schema, annotations: &[FieldRef]) -> Result<(), FilterError> {
    Expression::parse(text)?.bind(schema, annotations).map(drop)
}

impl Condition {
    pub(super) fn parse(topic: &str, text: &str) -> Result<Self, Fault> {
        let expression = Expression::parse(text)
            .map_err(|e| Fault::defect(format!("the condition of the output to {topic} cannot be used: {e}")))?;
        Ok(Self { expression })
    }

    pub(super) fn bind(&self, batch: &AlertBatch, annotations: &[FieldRef]) -> Result<BoundCondition, FilterError> {
        // A field that is not there is told by the names of all that the schema has, not only of those that were decoded.
        self.expression.bind(&batch.schema.arrow, annotations)?;
        Ok(BoundCondition { bound: self.expression.bind(&batch.records.schema(), annotations)? })
    }
}

impl BoundCondition {
    /// True, false or null per row; null means no.
    pub(super) fn evaluate(&self, batch: &AlertBatch, annotations: &[ArrayRef]) -> Result<BooleanArray, FilterError> {
        self.bound.evaluate(&batch.records, annotations)
    }
}
