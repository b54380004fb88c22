//! One output: which rows of a batch it sends, and in which frame.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_schema::FieldRef;

use super::condition::{BoundCondition, Condition};
use super::edition::Frame;
use super::files::FileTopic;
use super::report::{ReportHandle, count};
use crate::alert::{AlertBatch, Fault, Verdict};
use crate::config::{Publish, PublishFormat};

/// Where an output goes.
#[derive(Debug)]
pub(super) enum Target {
    /// To the cluster with this place in the sink.
    Kafka(usize),
    /// To files.
    Files(Box<FileTopic>),
}

/// An output with what it has learnt of each edition.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) topic: Arc<str>,
    pub(super) format: PublishFormat,
    pub(super) target: Target,
    condition: Option<Condition>,
    /// By number of the edition.
    fits: Vec<Option<Fit>>,
    pub(super) frames: Vec<Option<Frame>>,
}

#[derive(Debug)]
enum Fit {
    All,
    Where(Box<BoundCondition>),
    Never,
}

/// Annotations of a batch as the condition and the encoder take them.
#[derive(Debug)]
pub(super) struct Annotations {
    pub(super) fields: Vec<FieldRef>,
    pub(super) columns: Vec<ArrayRef>,
}

impl Annotations {
    pub(super) fn of(batch: &AlertBatch) -> Self {
        let (fields, columns) = batch.annotations.iter().map(|a| (a.field.clone(), a.values.clone())).unzip();
        Self { fields, columns }
    }
}

impl Output {
    pub(super) fn open(settings: &Publish, target: Target) -> Result<Self, Fault> {
        let condition = settings.condition.as_deref().map(|text| Condition::parse(&settings.topic, text)).transpose()?;
        Ok(Self {
            topic: settings.topic.as_str().into(),
            format: settings.format.clone(),
            target,
            condition,
            fits: Vec::new(),
            frames: Vec::new(),
        })
    }

    /// The rows of a batch that go here: those that every step has passed and for which the condition is true. A condition
    /// that does not fit the schema sends nothing, which is said once and counted.
    pub(super) fn rows(
        &mut self,
        batch: &AlertBatch,
        edition: usize,
        annotations: &Annotations,
        counters: (&ReportHandle, usize),
    ) -> Vec<u32> {
        let passed = |row: &usize| batch.verdicts[*row] == Verdict::Passed;
        let chosen = |mask: Option<&BooleanArray>| {
            let holds = |row: &usize| mask.is_none_or(|m| m.is_valid(*row) && m.value(*row));
            (0..batch.len()).filter(|row| passed(row) && holds(row)).map(|row| row as u32).collect()
        };
        if self.fits.len() <= edition {
            self.fits.resize_with(edition + 1, || None);
        }
        let fit = self.fits[edition].get_or_insert_with(|| match &self.condition {
            None => Fit::All,
            Some(condition) => match condition.bind(batch, &annotations.fields) {
                Ok(bound) => Fit::Where(Box::new(bound)),
                Err(error) => unfit(&self.topic, batch, &error.to_string()),
            },
        });
        if let Fit::Where(bound) = fit {
            match bound.evaluate(batch, &annotations.columns) {
                Ok(mask) => return chosen(Some(&mask)),
                Err(error) => *fit = unfit(&self.topic, batch, &error.to_string()),
            }
        }
        match fit {
            Fit::All => chosen(None),
            Fit::Where(_) | Fit::Never => {
                let (report, output) = counters;
                let rows = (0..batch.len()).filter(passed).count();
                count(&report.of(output).unfit, rows as u64);
                Vec::new()
            }
        }
    }
}

fn unfit(topic: &str, batch: &AlertBatch, error: &str) -> Fit {
    let schema = &batch.schema.name;
    tracing::warn!(
        topic,
        schema,
        error,
        "the condition of this output does not fit the schema: none of its alerts are sent here"
    );
    Fit::Never
}
