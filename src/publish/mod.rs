//! Publishing: each output sends the rows that pass, as the original datum with the annotations appended, to a topic or to
//! files that stand in for one.
//!
//! May depend on: `alert`, `avro`, `config`, `durable`, `filter` (in `condition` alone), `ledger`, rdkafka (in `channel`, `kafka` and
//! `letters`). It names no other stage.
//!
//! A message has as key the object id (else the key that it came with), the time of its source message, and the headers
//! `skysluice.topic`, `.partition`, `.offset`, `.record` (where it came from) and `.fingerprint` (of the producer's schema).
//!
//! **Invariant:** a batch is acknowledged when every message of it is confirmed by the broker, in a sealed file, or a stored
//! dead letter; never before. A broker that is away is waited for, whatever it takes.
//! **Invariant:** at least once. After a crash or a rebuild messages may come twice, told by their headers.

mod channel;
mod condition;
mod edition;
mod files;
mod ids;
mod kafka;
mod letters;
mod lot;
mod output;
mod receipt;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use letters::TopicLetters;
pub use report::{OutputReport, PublishReport, ReportHandle};

use arrow_schema::{FieldRef, Schema};

use crate::alert::{Decoded, Fault, LetterBox, Sink};
use crate::avro::Wanted;
use crate::config::{Publish, PublishFormat, PublishTarget};
use crate::filter::FilterError;
use crate::ledger::{Ledger, SinkId};
use channel::Cluster;
use edition::{Editions, Frame};
use files::FileTopic;
use ids::SchemaIds;
use kafka::{KafkaOutputs, Refused};
use lot::Lot;
use output::{Annotations, Output, Target};
use receipt::Receipt;
use report::count;

/// How long taking a batch waits for room in the queues of the clusters, before the batch is kept and worked off by ticks.
const ROOM: Duration = Duration::from_millis(200);
/// How long one call of [`Sink::seal`] waits for the brokers. It is called again until the ledger is settled.
const FLUSH: Duration = Duration::from_millis(500);
/// How long one look at the delivery reports lasts while waiting.
const LOOK: Duration = Duration::from_millis(2);

/// Binds the conditions of the outputs against a schema that is known before anything starts. Gives each output whose
/// condition does not fit, by its place, and why.
#[must_use]
pub fn misfits(outputs: &[Publish], schema: &Schema, annotations: &[FieldRef]) -> Vec<(usize, FilterError)> {
    let misfit = |(at, output): (usize, &Publish)| {
        let text = output.condition.as_ref()?;
        condition::check(text, schema, annotations).err().map(|e| (at, e))
    };
    outputs.iter().enumerate().filter_map(misfit).collect()
}

/// The fields of the survey that the outputs read besides the candidate view. The datum itself is sent as it came.
///
/// # Errors
/// The place of the first output whose condition is none, and why.
pub fn wanted(outputs: &[Publish]) -> Result<Wanted, (usize, FilterError)> {
    let conditions = outputs.iter().enumerate().filter_map(|(at, output)| Some((at, output.condition.as_deref()?)));
    let paths = conditions.map(|(at, text)| condition::paths(text).map_err(|e| (at, e)));
    Ok(Wanted::only(paths.collect::<Result<Vec<_>, _>>()?.into_iter().flatten()))
}

/// What the sink is told of the house around it.
pub struct PublishContext {
    /// Name of the pipeline; it becomes part of the Kafka client id and of the names of unsealed files.
    pub component: String,
    /// The sink in the ledger.
    pub sink: SinkId,
    /// Where batches are acknowledged.
    pub ledger: Ledger,
    /// Where messages go that nobody takes.
    pub letters: Arc<dyn LetterBox>,
    /// Counts what is done, also over several generations of the sink.
    pub report: ReportHandle,
}

/// Sends alerts to all outputs of a pipeline.
pub struct PublishSink {
    context: PublishContext,
    outputs: Vec<Output>,
    clusters: Vec<KafkaOutputs>,
    editions: Editions,
    ids: HashMap<PathBuf, SchemaIds>,
    report: ReportHandle,
}

impl PublishSink {
    /// Opens the outputs. Brokers need not be there yet.
    ///
    /// # Errors
    /// When a condition or a property of the Kafka client is wrong (a defect) or a folder cannot be used (the environment).
    pub fn open(outputs: &[Publish], context: PublishContext) -> Result<PublishSink, Fault> {
        let report = context.report.clone();
        let mut sink = PublishSink {
            context,
            outputs: Vec::new(),
            clusters: Vec::new(),
            editions: Editions::default(),
            ids: HashMap::new(),
            report,
        };
        for (at, settings) in outputs.iter().enumerate() {
            let target = match &settings.target {
                PublishTarget::Kafka { brokers, properties } => Target::Kafka(sink.cluster(Cluster {
                    component: sink.context.component.clone(),
                    brokers: brokers.clone(),
                    properties: properties.clone(),
                })?),
                PublishTarget::Files { folder } => {
                    let (component, report) = (&sink.context.component, sink.report.clone());
                    Target::Files(Box::new(FileTopic::open(folder, component, &settings.topic, report, at)?))
                }
            };
            if let (Target::Kafka(_), PublishFormat::Confluent { schemas }) = (&target, &settings.format)
                && !sink.ids.contains_key(schemas)
            {
                sink.ids.insert(schemas.clone(), SchemaIds::open(schemas)?);
            }
            sink.outputs.push(Output::open(settings, target)?);
        }
        Ok(sink)
    }

    /// Outputs to the same cluster share a producer.
    fn cluster(&mut self, cluster: Cluster) -> Result<usize, Fault> {
        if let Some(at) = self.clusters.iter().position(|c| c.is(&cluster)) {
            return Ok(at);
        }
        self.clusters.push(KafkaOutputs::open(cluster, self.report.clone())?);
        Ok(self.clusters.len() - 1)
    }

    fn dispatch(&mut self, batch: &Arc<Decoded>, part: usize, receipt: &Arc<Receipt>) -> Result<(), Fault> {
        let rows = &batch.parts[part];
        let annotations = Annotations::of(rows);
        let number = self.editions.number(rows, &annotations.fields);
        let mut encoder = None;
        for at in 0..self.outputs.len() {
            let chosen = self.outputs[at].rows(rows, number, &annotations, (&self.report, at));
            if chosen.is_empty() {
                continue;
            }
            let edition = match self.editions.get(number) {
                Ok(edition) => edition.clone(),
                Err(error) => {
                    let topic = &self.outputs[at].topic;
                    let reason = format!("alerts of schema {} cannot be published to {topic}: {error}", rows.schema.name);
                    let letter = |row: &u32| rows.letter(*row as usize, receipt.token(), "publish", reason.clone());
                    self.context.letters.put(&chosen.iter().map(letter).collect::<Vec<_>>())?;
                    count(&self.report.of(at).refused, chosen.len() as u64);
                    continue;
                }
            };
            let encoder = match &encoder {
                Some(encoder) => encoder,
                None => encoder.insert(Arc::new(
                    edition
                        .encoder
                        .bind(&annotations.columns)
                        .map_err(|e| Fault::defect(format!("publishing {}: {e}", receipt.token().origin)))?,
                )),
            };
            let frame = self.frame(at, number, &edition.json)?;
            let output = &mut self.outputs[at];
            let lot = Lot {
                batch: batch.clone(),
                part,
                receipt: receipt.clone(),
                output: at,
                topic: output.topic.clone(),
                edition,
                frame,
                annotations: encoder.clone(),
            };
            match &mut output.target {
                Target::Kafka(cluster) => self.clusters[*cluster].add(Arc::new(lot), chosen),
                Target::Files(files) => files.append(&lot, &chosen)?,
            }
        }
        Ok(())
    }

    /// The frame of an output for an edition; the first time it may give out a schema id.
    fn frame(&mut self, output: usize, edition: usize, json: &str) -> Result<Frame, Fault> {
        let output = &mut self.outputs[output];
        if output.frames.len() <= edition {
            output.frames.resize(edition + 1, None);
        }
        if let Some(frame) = output.frames[edition] {
            return Ok(frame);
        }
        let frame = match (&output.target, &output.format) {
            (Target::Files(_), _) => Lot::IN_FILE,
            (_, PublishFormat::Container) => Frame::Container,
            (_, PublishFormat::Bare) => Frame::Bare,
            (_, PublishFormat::Confluent { schemas }) => {
                let ids = self
                    .ids
                    .get_mut(schemas)
                    .ok_or_else(|| Fault::defect(format!("the schemas folder {} was not opened", schemas.display())))?;
                Frame::Confluent(ids.id(json)?)
            }
        };
        output.frames[edition] = Some(frame);
        Ok(frame)
    }

    /// Works on all clusters until `enough` holds for each, or the time is up.
    fn drive(&mut self, enough: fn(&KafkaOutputs) -> bool, limit: Duration) -> Result<(), Fault> {
        let end = Instant::now() + limit;
        let mut wait = Duration::ZERO;
        loop {
            let mut refused = Vec::new();
            for cluster in &mut self.clusters {
                refused.extend(cluster.work(wait)?);
            }
            self.bury(refused)?;
            if self.clusters.iter().all(enough) || Instant::now() >= end {
                return Ok(());
            }
            wait = LOOK;
        }
    }

    fn bury(&self, refused: Vec<Refused>) -> Result<(), Fault> {
        if refused.is_empty() {
            return Ok(());
        }
        let letters: Vec<_> = refused.iter().map(|r| r.letter.clone()).collect();
        self.context.letters.put(&letters)?;
        refused.into_iter().for_each(Refused::settle);
        Ok(())
    }
}

impl Sink for PublishSink {
    fn accept(&mut self, batch: &Decoded) -> Result<(), Fault> {
        let batch = Arc::new(batch.clone());
        let receipt = Receipt::new(batch.token.clone(), self.context.sink, self.context.ledger.clone());
        for part in 0..batch.parts.len() {
            self.dispatch(&batch, part, &receipt)?;
        }
        receipt.settle(1);
        self.drive(KafkaOutputs::handed_over, ROOM)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        for output in &mut self.outputs {
            if let Target::Files(files) = &mut output.target {
                files.tick(now)?;
            }
        }
        self.drive(KafkaOutputs::handed_over, Duration::ZERO)
    }

    fn is_waiting(&self) -> bool {
        !self.clusters.iter().all(KafkaOutputs::done)
    }

    fn seal(&mut self) -> Result<(), Fault> {
        for output in &mut self.outputs {
            if let Target::Files(files) = &mut output.target {
                files.seal()?;
            }
        }
        self.drive(KafkaOutputs::done, FLUSH)
    }
}
