//! Early classification: an ordered table of conditions, of which the first that is true names the class of an alert.
//!
//! **Invariant:** "nothing known there" and "nobody looked" are two answers: an alert that no catalogue was asked about and for
//! which no condition is true has no class (null), not the class `otherwise`.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef};

use super::bind::Scope;
use super::report::Tally;
use super::{ChainError, annotation};
use crate::alert::{AlertBatch, Verdict};
use crate::config;
use crate::filter::{Bound, Expression};

/// The annotation of a class.
pub(super) fn field(column: &str) -> FieldRef {
    let doc =
        "Class of the alert; null where it was skipped before, or where no catalogue was asked about it and no condition is true";
    annotation::field(column, DataType::Utf8, true, "", doc)
}

/// The table of a step.
#[derive(Debug)]
pub(super) struct Classes {
    /// Place of its annotation.
    pub place: usize,
    /// Places of the annotations that it reads.
    pub reads: Vec<usize>,
    /// Names of the classes, the last that of all others.
    pub names: Vec<String>,
    conditions: Vec<Expression>,
}

impl Classes {
    pub fn new(
        scope: &Scope,
        index: usize,
        column: &str,
        classes: &[config::Class],
        otherwise: &str,
    ) -> Result<Classes, ChainError> {
        let place = scope.fields.iter().zip(scope.born).position(|(field, born)| field.name() == column && *born == index);
        let place = place.expect("the chain has made a field for each step of this kind");
        let (mut reads, mut names, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        for class in classes {
            let (condition, read) = scope.parse(index, &class.condition)?;
            reads.extend(read);
            names.push(class.name.clone());
            conditions.push(condition);
        }
        names.push(otherwise.to_owned());
        Ok(Classes { place, reads, names, conditions })
    }

    pub fn conditions(&self) -> Vec<&Expression> {
        self.conditions.iter().collect()
    }

    /// The class of each row. `tried` says of each row whether a catalogue was asked about it; none where there is none to ask.
    pub fn apply(
        &self,
        batch: &AlertBatch,
        annotations: &[ArrayRef],
        bound: &[Bound],
        tried: Option<&[bool]>,
        tally: &mut Tally,
    ) -> Result<ArrayRef, String> {
        let masks = bound.iter().map(|bound| bound.evaluate(&batch.records, annotations)).collect::<Result<Vec<_>, _>>();
        let masks = masks.map_err(|e| e.to_string())?;
        let mut out = StringBuilder::with_capacity(batch.len(), 12 * batch.len());
        for (row, verdict) in batch.verdicts.iter().enumerate() {
            if *verdict != Verdict::Passed {
                out.append_null();
                continue;
            }
            tally.passed += 1;
            let looked = tried.is_none_or(|tried| tried[row]);
            match masks.iter().position(|mask| mask.is_valid(row) && mask.value(row)) {
                None if !looked => {
                    tally.not_tried += 1;
                    out.append_null();
                }
                class => {
                    let class = class.unwrap_or(self.conditions.len());
                    tally.more[class] += 1;
                    out.append_value(&self.names[class]);
                }
            }
        }
        Ok(Arc::new(out.finish()))
    }
}
