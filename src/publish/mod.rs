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
//! **Invariant:** at least once; where the source is Kafka, what is below an output's mark (`marks.rs`) is not sent again, so that
//! what comes twice after a crash, told by its headers, is what was sent since the last mark. Outputs with transactions commit
//! messages and marks together: readers of what is committed see each once.

mod channel;
mod closing;
mod condition;
mod edition;
mod files;
mod ids;
mod instance;
mod kafka;
mod letters;
mod lot;
mod marks;
mod outlet;
mod output;
mod queue;
mod receipt;
mod report;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use letters::TopicLetters;
pub use report::{OutputReport, PublishReport, ReportHandle};

use arrow_schema::{FieldRef, Schema};

use crate::alert::{Decoded, Fault, LetterBox, Sink, Span, Token, TopicPartition};
use crate::avro::Wanted;
use crate::config::{Publish, PublishFormat, PublishTarget};
use crate::filter::FilterError;
use crate::ledger::{Ledger, SinkId};
use channel::Cluster;
use edition::{Editions, Frame};
use files::FileTopic;
use ids::SchemaIds;
use kafka::KafkaOutputs;
use lot::Lot;
use marks::Marks;
use outlet::Outlet;
use output::{Annotations, Output, Target};
use queue::Refused;
use receipt::Receipt;
use report::count;
use transaction::Transactions;

/// How long taking a batch waits for room in the queues of the clusters, before the batch is kept and worked off by ticks.
const ROOM: Duration = Duration::from_millis(200);
/// How long one call of [`Sink::seal`] waits for the brokers. It is called again until the ledger is settled.
const FLUSH: Duration = Duration::from_millis(500);
/// How often marks are made where they are not made in transactions: what was sent since may come twice after a crash.
const MARK_EVERY: Duration = Duration::from_millis(500);
/// How long the last marks may take.
const LAST_MARK: Duration = Duration::from_millis(200);
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
    /// Consumer group of the source, where its offsets tell what was published already: where it is Kafka.
    pub group: Option<String>,
    /// Consumer group of the source that has set aside what is read here, and may have published part of it.
    pub before: Option<String>,
    /// Folder of this component, where it keeps what it is called by brokers.
    pub state: PathBuf,
}

/// Sends alerts to all outputs of a pipeline.
pub struct PublishSink {
    context: PublishContext,
    outputs: Vec<Output>,
    clusters: Vec<Box<dyn Outlet>>,
    editions: Editions,
    ids: HashMap<PathBuf, SchemaIds>,
    report: ReportHandle,
    /// What came of each partition of the source since it was taken up.
    stretches: HashMap<TopicPartition, Span>,
    marked: Instant,
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
            stretches: HashMap::new(),
            marked: Instant::now(),
        };
        for (at, settings) in outputs.iter().enumerate() {
            let target = match &settings.target {
                PublishTarget::Kafka { brokers, properties, transactions } => {
                    let cluster = Cluster {
                        component: sink.context.component.clone(),
                        brokers: brokers.clone(),
                        properties: properties.clone(),
                        transactional_id: if *transactions { Some(sink.transactional_id(brokers)?) } else { None },
                    };
                    let cluster = sink.cluster(cluster)?;
                    if let Some(marks) = &mut sink.clusters[cluster].queue_mut().marks {
                        marks.add_output(at, &settings.topic.as_str().into());
                    }
                    Target::Kafka(cluster)
                }
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
        if let Some(at) = self.clusters.iter().position(|c| *c.cluster() == cluster) {
            return Ok(at);
        }
        let marks =
            self.context.group.as_deref().map(|group| Marks::new(cluster.clone(), group).after(self.context.before.clone()));
        self.clusters.push(match cluster.transactional_id {
            Some(_) => Box::new(Transactions::open(cluster, marks, self.report.clone())?),
            None => Box::new(KafkaOutputs::open(cluster, marks, self.report.clone())?),
        });
        Ok(self.clusters.len() - 1)
    }

    fn transactional_id(&self, brokers: &str) -> Result<String, Fault> {
        let instance = instance::name(&self.context.state)?;
        Ok(format!("skysluice-{}-{instance}-{brokers}", self.context.component))
    }

    /// Tells the clusters how far the partition has come.
    fn follow(&mut self, batch: &Decoded) {
        let Token { origin, span, .. } = &batch.token;
        let stretch = self.stretches.get_mut(&**origin).filter(|stretch| stretch.end == span.start);
        let jumped = stretch.is_none();
        match stretch {
            Some(stretch) => stretch.end = span.end,
            None => {
                self.stretches.insert((**origin).clone(), *span);
            }
        }
        let times = batch.parts.iter().flat_map(|part| part.rows.iter().filter_map(|row| row.timestamp));
        let newest = times.max().unwrap_or(i64::MIN);
        for marks in self.clusters.iter_mut().filter_map(|cluster| cluster.queue_mut().marks.as_mut()) {
            marks.note(origin, span.start, newest, jumped);
        }
    }

    /// Notes in the clusters what is published.
    fn mark(&mut self) -> Result<(), Fault> {
        self.marked = Instant::now();
        let (ledger, sink) = (&self.context.ledger, self.context.sink);
        // Those with transactions make theirs themselves.
        for cluster in self.clusters.iter_mut().filter(|cluster| cluster.cluster().transactional_id.is_none()) {
            if let Some(marks) = &mut cluster.queue_mut().marks {
                // What lies outside of what came here speaks of another time of the partition.
                let reached = self.stretches.iter().filter_map(|(origin, stretch)| {
                    let end = ledger.reached(sink, origin).filter(|end| stretch.start < *end && *end <= stretch.end)?;
                    Some((origin.clone(), end))
                });
                marks.commit(reached)?;
            }
        }
        Ok(())
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
                Target::Kafka(cluster) => self.clusters[*cluster].queue_mut().add(Arc::new(lot), chosen),
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
    fn drive(&mut self, enough: fn(&dyn Outlet) -> bool, limit: Duration, hurry: bool) -> Result<(), Fault> {
        let end = Instant::now() + limit;
        let mut wait = Duration::ZERO;
        loop {
            let mut refused = Vec::new();
            for cluster in &mut self.clusters {
                refused.extend(cluster.work(wait, hurry)?);
            }
            self.bury(refused)?;
            if self.clusters.iter().all(|cluster| enough(&**cluster)) || Instant::now() >= end {
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
        self.follow(batch);
        let batch = Arc::new(batch.clone());
        let receipt = Receipt::new(batch.token.clone(), self.context.sink, self.context.ledger.clone());
        for part in 0..batch.parts.len() {
            self.dispatch(&batch, part, &receipt)?;
        }
        receipt.settle(1);
        self.drive(|outlet| outlet.queue().is_empty(), ROOM, false)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        for output in &mut self.outputs {
            if let Target::Files(files) = &mut output.target {
                files.tick(now)?;
            }
        }
        if now.saturating_duration_since(self.marked) >= MARK_EVERY {
            self.mark()?;
        }
        self.drive(|outlet| outlet.queue().is_empty(), Duration::ZERO, false)
    }

    fn is_waiting(&self) -> bool {
        !self.clusters.iter().all(|cluster| cluster.done())
    }

    fn seal(&mut self) -> Result<(), Fault> {
        for output in &mut self.outputs {
            if let Target::Files(files) = &mut output.target {
                files.seal()?;
            }
        }
        self.drive(|outlet| outlet.done(), FLUSH, true)?;
        self.mark()?;
        // One that is not heard of now is made again with the next batch, or not at all: then more comes twice.
        self.clusters.iter_mut().filter_map(|cluster| cluster.queue_mut().marks.as_mut()).for_each(|marks| {
            marks.settle(FLUSH);
        });
        Ok(())
    }
}

/// A sink that goes because of someone else's fault still says what it has published, so that the next begins there.
impl Drop for PublishSink {
    fn drop(&mut self) {
        // What was confirmed meanwhile; nothing more is sent. What is not noted the sink that comes sends again.
        self.clusters.iter_mut().for_each(|cluster| cluster.take_in(Duration::ZERO));
        if self.mark().is_ok() {
            for marks in self.clusters.iter_mut().filter_map(|cluster| cluster.queue_mut().marks.as_mut()) {
                marks.settle(LAST_MARK);
            }
        }
    }
}
