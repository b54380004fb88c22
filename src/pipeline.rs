//! The wiring: the only file that knows all stages. Sinks are built first, the source last.
//!
//! May depend on everything. **Invariant:** exactly one sink accounts for the rows of a batch: the archive where there is one,
//! else the sink of the dead letters, which counts them as skipped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::actor::{
    Edge, Generation, Injector, Outcome, SinkActor, SinkParts, SourceActor, SourceParts, StopSignal, Supervision, TransformActor,
    TransformParts, supervise,
};
use crate::alert::{Budget, Fault, LetterBox, Sink};
use crate::archive::{self, ArchiveContext, ArchiveSink, Counts as ArchiveCounts};
pub use crate::archive::{ColumnError, inventory};
use crate::avro::{AlertSchema, Wanted};
use crate::config::{self, DeadLetters, Settings};
use crate::decode::Decode;
use crate::filter::FilterError;
use crate::ledger::{Ledger, SinkId, Totals};
use crate::letters::{FolderLetters, LetterSink};
pub use crate::process::ChainError;
use crate::process::{Chain, ChainReport};
use crate::publish::{self, PublishContext, PublishReport, PublishSink, ReportHandle, TopicLetters};
use crate::source::{self, SourceContext};

const ARCHIVE: SinkId = SinkId(0);
const PUBLISH: SinkId = SinkId(1);
const LETTERS: SinkId = SinkId(2);

/// Batches that a mailbox holds. Few: what waits costs memory and latency, and the window of the pool smooths the rest.
const MAILBOX: usize = 4;

/// A component that can't be started as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A step does not fit: its expression, its catalogue.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The framing or a schema does not fit.
    #[error("{0}")]
    Decode(String),
    /// A path of the columns that are archived does not fit.
    #[error("archive.columns: {0}")]
    Columns(#[from] ColumnError),
    /// An output's condition does not fit.
    #[error("the condition of output {topic}: {source}")]
    Publish {
        /// Place in the list, from 0.
        index: usize,
        /// Topic.
        topic: String,
        /// What does not fit.
        source: FilterError,
    },
    /// The world outside: threads, folders.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// `SKYSLUICE_FAULTS` is not understood.
    #[error(transparent)]
    Inject(#[from] crate::actor::InjectError),
}

/// A pipeline that is checked and ready to run.
pub struct Pipeline {
    config: config::Pipeline,
    /// Bytes that this component may hold: its share of `service.memory`.
    memory: u64,
    fingerprint: String,
    supervision: Supervision,
    pool: Arc<ThreadPool>,
    letters: Arc<dyn LetterBox>,
    chain: Arc<Chain>,
    published: ReportHandle,
    archived: Arc<ArchiveCounts>,
    state: PathBuf,
}

/// What a component did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Name of the component.
    pub name: String,
    /// How its run went.
    pub outcome: Outcome,
    /// The sums.
    pub totals: Totals,
    /// The sums by partition.
    pub partitions: BTreeMap<crate::alert::TopicPartition, Totals>,
    /// What the steps did.
    pub steps: ChainReport,
    /// What was published.
    pub published: PublishReport,
    /// What was archived.
    pub archived: Arc<ArchiveCounts>,
    /// Time from reading to durable in every sink: median, 99th percentile, longest; milliseconds.
    pub latency: [f64; 3],
}

impl Pipeline {
    /// Checks a component against everything that can be known before it runs: catalogues, expressions, schemas, folders.
    ///
    /// # Errors
    /// What does not fit, with its place.
    pub fn prepare(settings: &Settings, index: usize, stop: StopSignal, pool: Arc<ThreadPool>) -> Result<Self, PrepareError> {
        let config = settings.components[index].clone();
        let service = &settings.service;
        let chain = Arc::new(checked_chain(&config)?);
        let memory = service.memory / settings.components.len().max(1) as u64;
        let supervision = Supervision {
            component: config.name.clone(),
            stop,
            stall: service.stall,
            grace: service.grace,
            restarts: service.restarts,
            ledger: Ledger::default(),
            budget: Budget::new(memory / 2),
            injector: Arc::new(Injector::from_environment()?),
        };
        let letters: Arc<dyn LetterBox> = match &config.dead_letters {
            DeadLetters::Folder(folder) => Arc::new(FolderLetters::open(folder).map_err(Fault::from)?),
            DeadLetters::Topic { brokers, topic, properties } => {
                Arc::new(TopicLetters::open(&config.name, brokers, topic, properties)?)
            }
        };
        let state = service.data.join(&config.name);
        let published = ReportHandle::new(&config.publish);
        Ok(Self {
            config,
            memory,
            fingerprint: settings.fingerprint.clone(),
            supervision,
            pool,
            letters,
            chain,
            published,
            archived: Arc::default(),
            state,
        })
    }

    /// The ledger, to watch the run from outside.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.supervision.ledger.clone()
    }

    /// Runs until the source ends, a stop is asked for, or nothing helps any more. Blocks the thread.
    #[must_use]
    pub fn run(&self) -> Summary {
        // The arbiters of the generations belong to this system; it needs no turn of its own.
        let _system = actix::System::new();
        let outcome = supervise(&self.supervision, |generation| self.build(generation));
        let ledger = &self.supervision.ledger;
        Summary {
            name: self.config.name.clone(),
            outcome,
            totals: ledger.totals(),
            partitions: ledger.partitions(),
            steps: self.chain.report(),
            published: self.published.report(),
            archived: self.archived.clone(),
            latency: ledger.latency(),
        }
    }

    fn build(&self, generation: &mut Generation) -> Result<(), Fault> {
        let ledger = &self.supervision.ledger;
        let mut sinks: Vec<(&'static str, SinkId, Box<dyn Sink>)> = Vec::new();
        if let Some(archive) = &self.config.archive {
            let context = ArchiveContext {
                component: self.config.name.clone(),
                sink: ARCHIVE,
                ledger: ledger.clone(),
                survey: self.config.survey.clone(),
                configuration: self.fingerprint.clone(),
                catalogs: self.chain.catalogs(),
                memory: self.memory / 4,
                counts: self.archived.clone(),
            };
            sinks.push(("archive", ARCHIVE, Box::new(ArchiveSink::open(archive, context)?)));
        }
        if !self.config.publish.is_empty() {
            let context = PublishContext {
                component: self.config.name.clone(),
                sink: PUBLISH,
                ledger: ledger.clone(),
                letters: self.letters.clone(),
                report: self.published.clone(),
            };
            sinks.push(("publish", PUBLISH, Box::new(PublishSink::open(&self.config.publish, context)?)));
        }
        let no_archive = self.config.archive.is_none();
        sinks.push(("letters", LETTERS, Box::new(LetterSink::new(self.letters.clone(), ledger.clone(), LETTERS, no_archive))));
        let accounts = if no_archive { LETTERS } else { ARCHIVE };

        let ids: Vec<SinkId> = sinks.iter().map(|(_, id, _)| *id).collect();
        ledger.start_generation(generation.number, &ids);

        let mut edges = Vec::new();
        for (stage, id, sink) in sinks {
            let (shell, arbiter) = generation.place(stage)?;
            let letters = self.letters.clone();
            let parts = SinkParts { shell, sink, id, accounts: id == accounts, letters, mailbox: MAILBOX };
            edges.push(Edge::new(SinkActor::start_in(&arbiter, parts)));
            generation.started(stage);
        }

        let (shell, arbiter) = generation.place("process")?;
        let chain = self.chain.clone();
        let process = TransformActor::start_in(
            &arbiter,
            TransformParts {
                shell,
                build: Arc::new(move || Ok(chain.clone())),
                pool: self.pool.clone(),
                window: self.pool.current_num_threads() + 1,
                mailbox: MAILBOX,
                done: Arc::new(|_| {}),
                edges,
            },
        )?;
        generation.started("process");

        let (shell, arbiter) = generation.place("decode")?;
        let (framing, survey, counted) = (self.config.decode.framing.clone(), self.config.survey.clone(), ledger.clone());
        let wanted = wanted(&self.config, &self.chain).map_err(|e| Fault::defect(e.to_string()))?;
        let decode = TransformActor::start_in(
            &arbiter,
            TransformParts {
                shell,
                build: Arc::new(move || {
                    Decode::new(&framing, survey.clone(), wanted.clone()).map_err(|e| Fault::defect(e.to_string()))
                }),
                pool: self.pool.clone(),
                window: self.pool.current_num_threads() + 1,
                mailbox: MAILBOX,
                done: Arc::new(move |decoded| counted.decoded(&decoded.token, decoded.alerts() as u64)),
                edges: vec![Edge::new(process)],
            },
        )?;
        generation.started("decode");

        let (shell, arbiter) = generation.place("source")?;
        let context = SourceContext {
            component: self.config.name.clone(),
            limits: self.config.batch,
            ledger: ledger.clone(),
            budget: self.supervision.budget.clone(),
            generation: generation.number,
            state: self.state.clone(),
            queue_bytes: self.memory / 4,
        };
        let source = source::open(&self.config.source, context)?;
        let parts = SourceParts { shell, source, edge: Edge::new(decode), stop: generation.stop_flag() };
        generation.set_source(SourceActor::start_in(&arbiter, parts));
        generation.started("source");
        Ok(())
    }
}

/// Checks a component against everything that can be known before it runs, but for folders and brokers.
///
/// # Errors
/// What does not fit, with its place.
pub fn check(settings: &Settings, index: usize) -> Result<(), PrepareError> {
    checked_chain(&settings.components[index]).map(drop)
}

fn checked_chain(config: &config::Pipeline) -> Result<Chain, PrepareError> {
    let wrong = PrepareError::Decode;
    let chain = Chain::new(&config.steps)?;
    let wanted = wanted(config, &chain)?;
    Decode::new(&config.decode.framing, config.survey.clone(), wanted).map_err(|e| wrong(e.to_string()))?;
    let known = |json| AlertSchema::parse(json).map_err(|e| wrong(format!("known schema of survey {}: {e}", config.survey.name)));
    let schemas = config.survey.schemas.iter().map(|json| known(json)).collect::<Result<Vec<_>, _>>()?;
    if let Some(schema) = schemas.last() {
        chain.check(&schema.arrow)?;
        let wrong = |error| unfit_output(config, error);
        publish::check(&config.publish, &schema.arrow, &chain.annotation_fields()).map_err(wrong)?;
    }
    if let Some(archive) = &config.archive {
        archive::check(&archive.columns, &schemas)?;
    }
    Ok(chain)
}

/// The fields that something after decoding reads.
fn wanted(config: &config::Pipeline, chain: &Chain) -> Result<Wanted, PrepareError> {
    let archived = config.archive.as_ref().map(|archive| archive::wanted(&archive.columns, &config.survey));
    let published = publish::wanted(&config.publish).map_err(|error| unfit_output(config, error))?;
    Ok(archived.unwrap_or_default().or(chain.wanted()).or(published))
}

fn unfit_output(config: &config::Pipeline, (index, source): (usize, FilterError)) -> PrepareError {
    PrepareError::Publish { index, topic: config.publish[index].topic.clone(), source }
}

/// The pool in which batches are decoded and processed; 0 threads is one per core.
///
/// # Errors
/// When the threads can't be had.
pub fn pool(threads: usize) -> Result<Arc<ThreadPool>, PrepareError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("work-{i}"))
        .build()
        .map(Arc::new)
        .map_err(|e| PrepareError::Fault(Fault::environment(format!("no threads for decoding: {e}; see the limit on tasks"))))
}
