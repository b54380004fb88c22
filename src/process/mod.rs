//! The chain: the configured steps, in order, on batches of alerts. Adds annotations, says which rows pass.
//!
//! May depend on: `alert`, `avro` (schemas), `config` (steps), `filter`, `catalog`, arrow. It names no other stage. Catalogues
//! are opened when the chain is built; after that only a [`Watch`] does I/O, on a thread of its own.
//!
//! **Invariants:** every row that comes in goes out, with a verdict; a step sees only rows that all steps before it have passed;
//! every batch leaves with the columns of [`Chain::annotation_fields`], whatever its schema and verdicts; counters change only
//! when a whole batch has been through, so that a batch which is replayed after a fault counts once.

mod annotation;
mod bind;
mod classify;
mod error;
mod matcher;
mod region;
mod report;
mod tried;
mod watch;
mod watchlist;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, RwLock};

use arrow_array::{Array, ArrayRef, BooleanArray, NullArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{FieldRef, Schema};

use crate::alert::{AlertBatch, Annotation, Decoded, Fault, Flags, Transform, Verdict};
use crate::avro::Wanted;
use crate::config::{self, StepKind};
use crate::filter::Expression;

pub use error::ChainError;
pub use report::{CatalogReport, ChainReport, StepReport};
pub use watch::Watch;

use annotation::{Columns, Matches};
use bind::{Binding, Known};
use classify::Classes;
use matcher::{Entry, Found};
use region::Regions;
use report::{Counters, Tally};
use tried::Tried;

/// The steps of a pipeline, ready to be applied from several threads.
#[derive(Debug)]
pub struct Chain {
    names: Arc<[String]>,
    steps: Vec<Step>,
    /// All catalogues of all steps, in their order.
    entries: Vec<Entry>,
    /// All lists of all steps, in their order.
    lists: Vec<Entry>,
    /// What the annotations of matches are made of.
    columns: Columns,
    fields: Vec<FieldRef>,
    /// What makes each of the fields.
    makers: Vec<Maker>,
    counters: Vec<Counters>,
    bindings: RwLock<Vec<Known>>,
}

#[derive(Debug)]
enum Step {
    /// `reads` are the places of the annotations that it names, so that they are built only where they are looked at.
    Cut {
        condition: Expression,
        reads: Vec<usize>,
    },
    /// Searches in these of the chain's catalogues.
    Crossmatch {
        entries: std::ops::Range<usize>,
    },
    Classify(Classes),
    /// Searches in these of the chain's lists.
    Watchlist {
        lists: std::ops::Range<usize>,
        require: bool,
    },
    Region(Regions),
}

impl Step {
    /// Its conditions on alerts, and the annotations that they read.
    fn conditions(&self) -> Vec<&Expression> {
        match self {
            Step::Cut { condition, .. } => vec![condition],
            Step::Crossmatch { .. } | Step::Watchlist { .. } | Step::Region(_) => Vec::new(),
            Step::Classify(classes) => classes.conditions(),
        }
    }
}

/// What makes an annotation, and which of those that it makes.
#[derive(Clone, Copy, Debug)]
enum Maker {
    Matches(usize),
    Lists(usize),
    /// A step, at its turn.
    Step,
}

impl Chain {
    /// Parses the conditions and opens the catalogues; indexes of large tables are kept in `cache`.
    ///
    /// # Errors
    /// The first step that cannot work, with its place in the chain.
    pub fn new(steps: &[config::Step], cache: Option<&Path>) -> Result<Chain, ChainError> {
        if steps.len() > usize::from(u16::MAX) {
            return Err(ChainError::TooMany { steps: steps.len() });
        }
        let (mut entries, mut lists) = (Vec::new(), Vec::new());
        for (index, step) in steps.iter().enumerate() {
            let (opened, matched) = match &step.kind {
                StepKind::Crossmatch { catalogs } => (&mut entries, catalogs),
                StepKind::Watchlist { lists: watched, .. } => (&mut lists, watched),
                _ => continue,
            };
            for matched in matched {
                let entry = Entry::open(matched, index, cache);
                let failed = |source| ChainError::Catalog { index, name: step.name.clone(), source: Box::new(source) };
                opened.push(entry.map_err(failed)?);
            }
        }
        let whose = |reason| ChainError::Columns { index: entries.last().map_or(0, |entry| entry.step), reason };
        let columns = Columns::new(&entries).map_err(whose)?;
        // The fields, what makes each of them, and after which step it is known.
        let (mut fields, mut makers, mut born) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |field: FieldRef, maker: Maker, step: usize| {
            fields.push(field);
            makers.push(maker);
            born.push(step);
        };
        if let Some(first) = entries.first() {
            columns.fields().into_iter().enumerate().for_each(|(i, field)| add(field, Maker::Matches(i), first.step));
        }
        if let Some(first) = lists.first() {
            watchlist::fields().into_iter().enumerate().for_each(|(i, field)| add(field, Maker::Lists(i), first.step));
        }
        for (index, step) in steps.iter().enumerate() {
            if let StepKind::Classify { column, .. } = &step.kind {
                add(classify::field(column), Maker::Step, index);
            }
        }
        let scope = bind::Scope { steps, entries: &entries, fields: &fields, born: &born };
        let mut built = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            built.push(match &step.kind {
                StepKind::Cut { condition } => {
                    let (condition, reads) = scope.parse(index, condition)?;
                    Step::Cut { condition, reads }
                }
                StepKind::Crossmatch { .. } => Step::Crossmatch { entries: of_step(&entries, index) },
                StepKind::Watchlist { require, .. } => Step::Watchlist { lists: of_step(&lists, index), require: *require },
                StepKind::Region { regions, pass } => {
                    let regions = Regions::new(regions, *pass);
                    let failed = |source| ChainError::Region { index, name: step.name.clone(), source: Box::new(source) };
                    Step::Region(regions.map_err(failed)?)
                }
                StepKind::Classify { column, classes, otherwise } => {
                    Step::Classify(Classes::new(&scope, index, column, classes, otherwise)?)
                }
            });
        }
        Ok(Chain {
            names: steps.iter().map(|s| s.name.clone()).collect(),
            counters: built.iter().map(|step| Counters::new(step.numbers())).collect(),
            steps: built,
            entries,
            lists,
            columns,
            fields,
            makers,
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
        let paths = |condition: &Expression| condition.paths();
        Wanted::only(self.steps.iter().flat_map(|step| step.conditions().into_iter().flat_map(paths)))
    }

    /// The editions of the catalogues that batches of this moment were matched against, in the order of the steps.
    #[must_use]
    pub fn catalogs(&self) -> Vec<String> {
        self.entries.iter().chain(&self.lists).flat_map(Entry::editions).collect()
    }

    /// What each step has done so far.
    #[must_use]
    pub fn report(&self) -> ChainReport {
        let steps = self.names.iter().zip(&self.steps).zip(&self.counters);
        ChainReport {
            steps: steps.map(|((name, step), counters)| step.report(name, counters, &self.entries, &self.lists)).collect(),
        }
    }

    fn part(&self, part: &AlertBatch, tallies: &mut [Tally]) -> Result<AlertBatch, Fault> {
        let bindings = self.bindings(&part.schema);
        let mut out = part.clone();
        out.steps = self.names.clone();
        let mut notes = Notes::new(self, out.len());
        for (index, (step, tally)) in self.steps.iter().zip(tallies).enumerate() {
            let fault = |what: String| Fault::defect(format!("step `{}`: {what}", self.names[index]));
            #[allow(clippy::cast_possible_truncation, reason = "Chain::new bounds the number of steps")]
            let skipped = Verdict::Skipped(index as u16);
            let Ok(bound) = &bindings[index] else {
                for (verdict, flags) in out.verdicts.iter_mut().zip(&mut out.flags) {
                    if *verdict == Verdict::Passed {
                        *verdict = skipped;
                        flags.set(Flags::STEP_ERROR);
                        tally.errors += 1;
                    }
                }
                continue;
            };
            match step {
                Step::Cut { reads, .. } => {
                    let annotations = notes.arrays(reads, &out).map_err(&fault)?;
                    let [bound] = bound.as_slice() else { return Err(fault("has no condition".to_owned())) };
                    let mask = bound.evaluate(&out.records, &annotations).map_err(|e| fault(e.to_string()))?;
                    let nans = || bound.nans(&out.records, &annotations).map_err(|e| fault(e.to_string()));
                    cut(&mut out.verdicts, skipped, &mask, nans, tally)?;
                }
                Step::Crossmatch { entries } => {
                    let found = search(&self.entries, entries.clone(), &out, tally).map_err(fault)?;
                    notes.matches.extend(found);
                    notes.forget(|maker| matches!(maker, Maker::Matches(_)));
                }
                Step::Watchlist { lists, require } => {
                    let found = search(&self.lists, lists.clone(), &out, tally).map_err(fault)?;
                    if *require {
                        watchlist::require(&found, &mut out.verdicts, skipped, tally);
                    }
                    notes.lists.extend(found);
                    notes.forget(|maker| matches!(maker, Maker::Lists(_)));
                }
                Step::Region(regions) => {
                    let (tried, _) = Tried::of(&out).map_err(fault)?;
                    regions.apply(&tried, &mut out.verdicts, skipped, tally);
                }
                Step::Classify(classes) => {
                    let annotations = notes.arrays(&classes.reads, &out).map_err(&fault)?;
                    let tried = (!self.entries.is_empty()).then(|| notes.matches.tried());
                    let class = classes.apply(&out, &annotations, bound, tried.as_deref(), tally).map_err(fault)?;
                    notes.made[classes.place] = Some(class);
                }
            }
        }
        let all: Vec<usize> = (0..self.fields.len()).collect();
        let arrays = notes.arrays(&all, &out).map_err(|e| Fault::defect(format!("cannot build annotations: {e}")))?;
        let fields = self.fields.iter().cloned();
        out.annotations.extend(fields.zip(arrays).map(|(field, values)| Annotation { field, values }));
        Ok(out)
    }
}

/// Places of the entries of a step.
fn of_step(entries: &[Entry], step: usize) -> std::ops::Range<usize> {
    entries.partition_point(|entry| entry.step < step)..entries.partition_point(|entry| entry.step <= step)
}

/// Searches in some of the catalogues around the rows that pass and have a position.
fn search(entries: &[Entry], range: std::ops::Range<usize>, batch: &AlertBatch, tally: &mut Tally) -> Result<Vec<Found>, String> {
    let (tried, without) = Tried::of(batch)?;
    let tried = Arc::new(tried);
    tally.passed += tried.rows.len() as u64 + without;
    tally.not_tried += without;
    let mut any = vec![false; tried.rows.len()];
    let mut all = Vec::with_capacity(range.len());
    for (place, entry) in range.enumerate() {
        let found = entries[entry].search(entry, &tried)?;
        let mut with = 0;
        for (query, any) in any.iter_mut().enumerate() {
            let matched = !found.hits.of(query).is_empty();
            *any |= matched;
            with += u64::from(matched);
        }
        let (uncovered, capped) = (found.uncovered.as_ref().map_or(0, Vec::len) as u64, found.capped.len() as u64);
        let numbers = &mut tally.more[report::PER_CATALOG * place..][..report::PER_CATALOG];
        for (number, more) in numbers.iter_mut().zip([with, found.hits.total() as u64, uncovered, capped]) {
            *number += more;
        }
        tally.matches += found.hits.total() as u64;
        all.push(found);
    }
    tally.matched += any.iter().filter(|any| **any).count() as u64;
    Ok(all)
}

/// The annotations of a batch, built where they are first read.
struct Notes<'a> {
    chain: &'a Chain,
    matches: Matches,
    lists: Matches,
    /// By place among the chain's fields.
    made: Vec<Option<ArrayRef>>,
}

impl<'a> Notes<'a> {
    fn new(chain: &'a Chain, rows: usize) -> Notes<'a> {
        Notes { chain, matches: Matches::new(rows), lists: Matches::new(rows), made: vec![None; chain.fields.len()] }
    }

    /// What was made of less than is known now.
    fn forget(&mut self, stale: impl Fn(&Maker) -> bool) {
        for (made, _) in self.made.iter_mut().zip(&self.chain.makers).filter(|(_, maker)| stale(maker)) {
            *made = None;
        }
    }

    /// Arrays by the places of all annotations; those that are not asked for are empty.
    fn arrays(&mut self, wanted: &[usize], batch: &AlertBatch) -> Result<Vec<ArrayRef>, String> {
        let chain = self.chain;
        for &place in wanted {
            if self.made[place].is_some() {
                continue;
            }
            let array = match chain.makers[place] {
                Maker::Matches(which) => self.matches.array(which, &batch.candidate, &chain.entries, &chain.columns),
                Maker::Lists(which) => watchlist::array(which, &self.lists, &chain.lists),
                Maker::Step => return Err(format!("the annotation `{}` is read before it is made", chain.fields[place].name())),
            };
            self.made[place] = Some(array.map_err(|e| e.to_string())?);
        }
        let nothing: ArrayRef = Arc::new(NullArray::new(0));
        Ok(self.made.iter().map(|array| array.as_ref().unwrap_or(&nothing).clone()).collect())
    }
}

impl Transform for Chain {
    type In = Decoded;

    fn apply(&self, batch: &Decoded) -> Result<Decoded, Fault> {
        let mut tallies: Vec<Tally> = self.steps.iter().map(|step| Tally::new(step.numbers())).collect();
        let parts = batch.parts.iter().map(|p| self.part(p, &mut tallies)).collect::<Result<_, _>>()?;
        for (counters, tally) in self.counters.iter().zip(&tallies) {
            counters.add(tally);
        }
        Ok(Decoded { token: batch.token.clone(), parts, letters: batch.letters.clone(), permit: batch.permit.clone() })
    }
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
