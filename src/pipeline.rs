//! The wiring: the only file that knows all stages. Sinks are built first, the source last.
//!
//! May depend on everything. **Invariant:** exactly one sink accounts for the rows of a batch: the archive where there is one,
//! else the sink of the dead letters, which counts them as skipped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::actor::{
    Edge, End, Generation, Injector, Outcome, SinkActor, SinkParts, SourceActor, SourceParts, StopSignal, Supervision,
    TransformActor, TransformParts, supervise,
};
use crate::alert::{Budget, Fault, LetterBox, Sink};
pub use crate::archive::inventory;
use crate::archive::{ArchiveContext, ArchiveSink, Counts as ArchiveCounts};
use crate::avro::AlertSchema;
use crate::config::{self, DeadLetters, Settings};
use crate::decode::Decode;
use crate::filter::FilterError;
use crate::hold::{Hold, HoldContext};
use crate::ledger::{Breaker, Ledger, Percentiles, SinkId, Totals};
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
/// The same of a sink. Many: while one sink writes out a file the others go on, and what waits is bounded by the byte budget.
const SINK_MAILBOX: usize = 1024;

/// A component that can't be started as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A step does not fit: its expression, its catalogue.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The framing or a schema does not fit.
    #[error("{0}")]
    Decode(String),
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
    hold: Hold,
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
    /// Why the breaker holds the stream and what to do about it, if it does.
    pub held: Option<String>,
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
    /// How long alerts took until readers of a sink find them, by what the sink does: `archived`, `published`. Counted from
    /// the timestamps of messages that come from Kafka, from reading for all others.
    pub latency: Vec<(&'static str, Percentiles)>,
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
        let state = service.home(&config.name);
        let hold = Hold::open(
            Breaker::new(config.breaker.share, u64::from(config.breaker.of)),
            HoldContext {
                component: config.name.clone(),
                folder: state.clone(),
                configuration: settings.fingerprint.clone(),
                file: settings.file.clone(),
            },
        )
        .map_err(Fault::from)?;
        let published = ReportHandle::new(&config.publish);
        Ok(Self {
            config,
            memory,
            fingerprint: settings.fingerprint.clone(),
            supervision,
            hold,
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

    /// The breaker's hold, to tell of it.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Runs until the source ends, a stop is asked for, or nothing helps any more. Blocks the thread.
    #[must_use]
    pub fn run(&self) -> Summary {
        // The arbiters of the generations belong to this system; it needs no turn of its own.
        let _system = actix::System::new();
        let mut outcome = supervise(&self.supervision, |generation| self.build(generation));
        let held = self.hold.told();
        if outcome.end == End::Finished && held.is_some() {
            outcome.end = End::Held;
        }
        let ledger = &self.supervision.ledger;
        Summary {
            name: self.config.name.clone(),
            outcome,
            held,
            totals: ledger.totals(),
            partitions: ledger.partitions(),
            steps: self.chain.report(),
            published: self.published.report(),
            archived: self.archived.clone(),
            latency: [("published", PUBLISH), ("archived", ARCHIVE)]
                .into_iter()
                .filter_map(|(what, sink)| Some((what, ledger.latency(sink)?)))
                .collect(),
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
            let parts = SinkParts { shell, sink, id, accounts: id == accounts, letters, mailbox: SINK_MAILBOX };
            edges.push(Edge::new(SinkActor::start_in(&arbiter, parts)));
            generation.started(stage);
        }

        let (shell, arbiter) = generation.place("process")?;
        let (chain, hold) = (self.chain.clone(), self.hold.clone());
        let process = TransformActor::start_in(
            &arbiter,
            TransformParts {
                shell,
                build: Arc::new(move || Ok(chain.clone())),
                pool: self.pool.clone(),
                window: self.pool.current_num_threads() + 1,
                mailbox: MAILBOX,
                done: Arc::new(move |processed| hold.count(0, processed.letters.iter().filter(|l| l.stage == "process"))),
                edges,
            },
        )?;
        generation.started("process");

        let (shell, arbiter) = generation.place("decode")?;
        let (framing, survey) = (self.config.decode.framing.clone(), self.config.survey.clone());
        let (counted, hold) = (ledger.clone(), self.hold.clone());
        let decode = TransformActor::start_in(
            &arbiter,
            TransformParts {
                shell,
                build: Arc::new(move || Decode::new(&framing, survey.clone()).map_err(|e| Fault::defect(e.to_string()))),
                pool: self.pool.clone(),
                window: self.pool.current_num_threads() + 1,
                mailbox: MAILBOX,
                done: Arc::new(move |decoded| {
                    counted.decoded(&decoded.token, decoded.alerts() as u64);
                    hold.count(decoded.alerts(), decoded.letters.iter());
                }),
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
        let timed = matches!(self.config.source, config::Source::Kafka(_));
        let (hold, finite, stop) = (self.hold.clone(), self.config.source.is_finite(), generation.stop_flag());
        let held = Arc::new(move || hold.is_held());
        let parts = SourceParts { shell, source, edge: Edge::new(decode), timed, held, finite, stop };
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
    Decode::new(&config.decode.framing, config.survey.clone()).map_err(|e| wrong(e.to_string()))?;
    let chain = Chain::new(&config.steps)?;
    if let Some(json) = config.survey.schemas.last() {
        let schema =
            AlertSchema::parse(json).map_err(|e| wrong(format!("known schema of survey {}: {e}", config.survey.name)))?;
        chain.check(&schema.arrow)?;
        let publish = |(index, source): (usize, FilterError)| PrepareError::Publish {
            index,
            topic: config.publish[index].topic.clone(),
            source,
        };
        publish::check(&config.publish, &schema.arrow, &chain.annotation_fields()).map_err(publish)?;
    }
    Ok(chain)
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
