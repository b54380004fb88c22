//! The chain: the configured steps, in order, on batches of alerts. Adds annotations, says which rows pass.
//!
//! May depend on: `alert`, `avro` (schemas), `config` (steps), `filter`, `catalog`, arrow. It names no other stage. Catalogues
//! are loaded when the chain is built; after that nothing here does I/O.
//!
//! **Invariants:** every row that comes in goes out, with a verdict; a step sees only rows that all steps before it have passed;
//! every batch leaves with the columns of [`Chain::annotation_fields`], whatever its schema and verdicts; counters change only
//! when a whole batch has been through, so that a batch which is replayed after a fault counts once.

mod annotation;
mod error;
mod report;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{FieldRef, Schema};

use crate::alert::{AlertBatch, Annotation, Decoded, Fault, Flags, Transform, Verdict};
use crate::avro::{AlertSchema, Wanted};
use crate::catalog::{Catalog, Hits};
use crate::config::{self, StepKind};
use crate::filter::{Bound, Expression, FilterError};

pub use error::ChainError;
pub use report::{ChainReport, StepReport};

use annotation::Matches;
use report::{Counters, Tally};

/// Largest radius of a cross-match, arcseconds: the whole sky.
const MAX_RADIUS: f64 = 180.0 * 3_600.0;

/// Schemas whose bindings are kept; a stream has a handful.
const MAX_SCHEMAS: usize = 256;

/// The steps of a pipeline, ready to be applied from several threads.
#[derive(Debug)]
pub struct Chain {
    names: Arc<[String]>,
    steps: Vec<Step>,
    fields: Vec<FieldRef>,
    counters: Vec<Counters>,
    bindings: RwLock<Vec<Known>>,
}

#[derive(Debug)]
enum Step {
    /// `annotated` is whether a cross-match comes before it; `reads` whether it names an annotation, so that they are built only
    /// where they are looked at.
    Cut {
        condition: Expression,
        annotated: bool,
        reads: bool,
    },
    Crossmatch {
        catalog: Catalog,
        radius: f64,
    },
}

/// A step tied to a schema, or why it cannot be.
type Binding = Result<Option<Bound>, FilterError>;

/// A schema and the bindings of all steps to it.
type Known = (Arc<AlertSchema>, Arc<[Binding]>);

impl Chain {
    /// Parses the conditions and loads the catalogues.
    ///
    /// # Errors
    /// The first step that cannot work, with its place in the chain.
    pub fn new(steps: &[config::Step]) -> Result<Chain, ChainError> {
        if steps.len() > usize::from(u16::MAX) {
            return Err(ChainError::TooMany { steps: steps.len() });
        }
        let matcher = steps.iter().position(|s| matches!(s.kind, StepKind::Crossmatch { .. }));
        let fields = if matcher.is_some() { annotation::fields() } else { Vec::new() };
        let built = steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let name = || step.name.clone();
                Ok(match &step.kind {
                    StepKind::Cut { condition } => {
                        let condition = Expression::parse(condition).map_err(|source| ChainError::Condition {
                            index,
                            name: name(),
                            source,
                        })?;
                        let annotated = matcher.is_some_and(|m| m < index);
                        let read = fields.iter().find(|f| condition.mentions(f.name()));
                        if let (Some(field), Some(m), false) = (read, matcher, annotated) {
                            return Err(ChainError::TooEarly {
                                index,
                                name: name(),
                                annotation: field.name().clone(),
                                matcher: steps[m].name.clone(),
                            });
                        }
                        Step::Cut { annotated, reads: read.is_some(), condition }
                    }
                    StepKind::Crossmatch { catalog, id, radius } => {
                        if !(*radius > 0.0 && *radius <= MAX_RADIUS) {
                            return Err(ChainError::Radius { index, name: name(), radius: *radius });
                        }
                        let catalog = Catalog::load_csv(catalog, id).map_err(|source| ChainError::Catalog {
                            index,
                            name: name(),
                            source,
                        })?;
                        for warning in catalog.warnings() {
                            tracing::warn!(step = step.name, "{warning}");
                        }
                        Step::Crossmatch { catalog, radius: *radius }
                    }
                })
            })
            .collect::<Result<Vec<_>, ChainError>>()?;
        Ok(Chain {
            names: steps.iter().map(|s| s.name.clone()).collect(),
            counters: built.iter().map(|_| Counters::default()).collect(),
            steps: built,
            fields,
            bindings: RwLock::default(),
        })
    }

    /// Binds every condition against a schema that is known before anything starts.
    ///
    /// # Errors
    /// The first step that does not fit the schema.
    pub fn check(&self, schema: &Schema) -> Result<(), ChainError> {
        self.misfits(schema).into_iter().next().map_or(Ok(()), Err)
    }

    /// Every step that does not fit a schema.
    #[must_use]
    pub fn misfits(&self, schema: &Schema) -> Vec<ChainError> {
        let bindings = self.bind(schema, schema).into_iter().enumerate();
        let misfit = |(index, binding): (usize, Binding)| {
            let source = binding.err()?;
            Some(ChainError::Condition { index, name: self.names[index].clone(), source })
        };
        bindings.filter_map(misfit).collect()
    }

    /// The columns that every batch leaves with: name, type, nullability; `unit` and `doc` in the metadata. The same for the
    /// life of the chain.
    #[must_use]
    pub fn annotation_fields(&self) -> Vec<FieldRef> {
        self.fields.clone()
    }

    /// The fields of the survey that the steps read besides the candidate view.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let paths = |step: &Step| match step {
            Step::Cut { condition, .. } => condition.paths(),
            Step::Crossmatch { .. } => Vec::new(),
        };
        Wanted::only(self.steps.iter().flat_map(paths))
    }

    /// Names of the catalogues that are matched against, in the order of the steps.
    #[must_use]
    pub fn catalogs(&self) -> Vec<String> {
        let name = |step: &Step| match step {
            Step::Crossmatch { catalog, .. } => Some(catalog.id().to_owned()),
            Step::Cut { .. } => None,
        };
        self.steps.iter().filter_map(name).collect()
    }

    /// What each step has done so far.
    #[must_use]
    pub fn report(&self) -> ChainReport {
        let steps = self.names.iter().zip(&self.steps).zip(&self.counters);
        ChainReport {
            steps: steps
                .map(|((name, step), counters)| match step {
                    Step::Cut { .. } => counters.report(name, "cut", None),
                    Step::Crossmatch { catalog, .. } => counters.report(name, "crossmatch", Some(catalog.id())),
                })
                .collect(),
        }
    }

    /// Binds every step to the columns that batches of a schema have, of all that it would have. What is not decoded is
    /// wanted by no step; what is in neither is told by the names of all.
    fn bind(&self, schema: &Schema, decoded: &Schema) -> Vec<Binding> {
        let bind = |condition: &Expression, annotations: &[FieldRef]| {
            condition.bind(schema, annotations)?;
            condition.bind(decoded, annotations).map(Some)
        };
        let shadowed = self.fields.iter().find(|f| schema.column_with_name(f.name()).is_some());
        self.steps
            .iter()
            .map(|step| match (step, shadowed) {
                (_, Some(field)) => Err(FilterError::Shadowed { name: field.name().clone() }),
                (Step::Cut { condition, annotated: true, .. }, _) => bind(condition, &self.fields),
                (Step::Cut { condition, .. }, _) => bind(condition, &[]),
                (Step::Crossmatch { .. }, _) => Ok(None),
            })
            .collect()
    }

    /// Bindings for the schema of a batch, made once. What does not fit is told once.
    fn bindings(&self, schema: &Arc<AlertSchema>) -> Arc<[Binding]> {
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

    fn part(&self, part: &AlertBatch, tallies: &mut [Tally]) -> Result<AlertBatch, Fault> {
        let bindings = self.bindings(&part.schema);
        let mut out = part.clone();
        out.steps = self.names.clone();
        let mut matches = Matches::new(out.len());
        for (index, (step, tally)) in self.steps.iter().zip(tallies).enumerate() {
            let fault = |what: String| Fault::defect(format!("step `{}`: {what}", self.names[index]));
            #[allow(clippy::cast_possible_truncation, reason = "Chain::new bounds the number of steps")]
            let skipped = Verdict::Skipped(index as u16);
            match (step, &bindings[index]) {
                (_, Err(_)) => {
                    for (verdict, flags) in out.verdicts.iter_mut().zip(&mut out.flags) {
                        if *verdict == Verdict::Passed {
                            *verdict = skipped;
                            flags.set(Flags::STEP_ERROR);
                            tally.errors += 1;
                        }
                    }
                }
                (Step::Cut { reads, .. }, Ok(Some(bound))) => {
                    let annotations = if *reads {
                        matches.arrays(&out.candidate, &self.steps).map_err(|e| fault(e.to_string()))?
                    } else {
                        Vec::new()
                    };
                    let mask = bound.evaluate(&out.records, &annotations).map_err(|e| fault(e.to_string()))?;
                    let nans = || bound.nans(&out.records, &annotations).map_err(|e| fault(e.to_string()));
                    cut(&mut out.verdicts, skipped, &mask, nans, tally)?;
                }
                (Step::Crossmatch { catalog, radius }, _) => {
                    let hits = crossmatch(&out, catalog, *radius, tally).map_err(fault)?;
                    matches.add(index, hits);
                }
                (Step::Cut { .. }, Ok(None)) => return Err(fault("has no condition".to_owned())),
            }
        }
        if !self.fields.is_empty() {
            let arrays = matches
                .arrays(&out.candidate, &self.steps)
                .map_err(|e| Fault::defect(format!("cannot build the columns of matches: {e}")))?;
            let fields = self.fields.iter().cloned();
            out.annotations.extend(fields.zip(arrays).map(|(field, values)| Annotation { field, values }));
        }
        Ok(out)
    }
}

impl Transform for Chain {
    type In = Decoded;

    fn apply(&self, batch: &Decoded) -> Result<Decoded, Fault> {
        let mut tallies = vec![Tally::default(); self.steps.len()];
        let parts = batch.parts.iter().map(|p| self.part(p, &mut tallies)).collect::<Result<_, _>>()?;
        for (counters, tally) in self.counters.iter().zip(&tallies) {
            counters.add(tally);
        }
        Ok(Decoded { token: batch.token.clone(), parts, letters: batch.letters.clone(), permit: batch.permit.clone() })
    }
}

/// Rows of a cross-match that were tried, and what was found for each.
struct Searched {
    rows: Vec<u32>,
    hits: Hits,
}

/// Skips the rows where the mask is not true. Skipped rows count as unknown where the mask is null, or false with a NaN among
/// the fields that the condition reads.
fn cut(
    verdicts: &mut [Verdict],
    skipped: Verdict,
    mask: &BooleanArray,
    nans: impl Fn() -> Result<Option<BooleanBuffer>, Fault>,
    tally: &mut Tally,
) -> Result<(), Fault> {
    let mut fell = Vec::new();
    for (row, verdict) in verdicts.iter_mut().enumerate().filter(|(_, v)| **v == Verdict::Passed) {
        if mask.is_valid(row) && mask.value(row) {
            tally.passed += 1;
        } else {
            *verdict = skipped;
            fell.push(row);
        }
    }
    tally.skipped += fell.len() as u64;
    if !fell.is_empty() {
        let nans = nans()?;
        let unknown = |row: &&usize| mask.is_null(**row) || nans.as_ref().is_some_and(|n| n.value(**row));
        tally.unknown += fell.iter().filter(unknown).count() as u64;
    }
    Ok(())
}

/// Searches around the rows that pass and have a position.
fn crossmatch(batch: &AlertBatch, catalog: &Catalog, radius: f64, tally: &mut Tally) -> Result<Searched, String> {
    let floats = |array: &arrow_array::ArrayRef, name: &str| {
        array.as_primitive_opt::<Float64Type>().cloned().ok_or_else(|| format!("{name} is {}, not Float64", array.data_type()))
    };
    let (ra, dec) = (floats(&batch.candidate.ra, "right ascension")?, floats(&batch.candidate.dec, "declination")?);
    let mut rows = Vec::with_capacity(batch.len());
    let mut positions = Vec::with_capacity(batch.len());
    for (row, _) in (0u32..).zip(&batch.verdicts).filter(|(_, v)| **v == Verdict::Passed) {
        tally.passed += 1;
        let i = row as usize;
        if ra.is_valid(i) && dec.is_valid(i) && crate::sky::is_position(ra.value(i), dec.value(i)) {
            rows.push(row);
            positions.push((ra.value(i), dec.value(i)));
        } else {
            tally.not_tried += 1;
        }
    }
    let mut hits = Hits::default();
    catalog.search(&positions, radius, &mut hits);
    tally.matches += hits.total() as u64;
    tally.matched += (0..hits.queries()).filter(|q| !hits.of(*q).is_empty()).count() as u64;
    Ok(Searched { rows, hits })
}
