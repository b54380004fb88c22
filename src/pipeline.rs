//! The wiring: the only file that knows all stages. Sinks are built first, the source last.
//!
//! May depend on everything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::actor::{
    Edge, End, Generation, Injector, Outcome, SinkActor, SinkParts, SourceActor, SourceParts, StopSignal, Supervision,
    TransformActor, TransformParts, supervise,
};
use crate::alert::{
    AlertBatch, Budget, Fault, Gate, LetterBox, Permit, RawBatch, RawMessage, SchemasById, Span, Token, TopicPartition, Transform,
};
use crate::archive;
pub use crate::archive::{
    ColumnError, Counts as ArchiveCounts, Hour, WantedHours, column_types, export, inventory, list, read_row, read_schema, verify,
};
use crate::avro::{AlertSchema, Wanted};
use crate::config::{self, DeadLetters, Framing, Settings};
use crate::decode::{self, Decode};
use crate::filter::FilterError;
use crate::hold::{Hold, HoldContext};
use crate::ledger::{Breaker, Ledger, Percentiles, SinkId, Totals};
use crate::letters::FolderLetters;
pub use crate::process::ChainError;
use crate::process::{Chain, ChainReport, Watch};
use crate::publish::{self, PublishReport, ReportHandle, TopicLetters};
use crate::registry::{self, Registry};
use crate::source::{self, SourceContext};
pub use crate::source::{NewestError, newest};
use crate::state::{self, StateError};
use crate::sums::Keeper;

mod late;
mod letters;
mod replay;
mod sinks;

pub use late::{names, with_late};
pub use letters::{Doomed, Found, LetterStore, Requeued, requeue, requeue_name};
pub use replay::{Range, replay, replay_name};
use sinks::Sinks;

const ARCHIVE: SinkId = SinkId(0);
const PUBLISH: SinkId = SinkId(1);
const LETTERS: SinkId = SinkId(2);
const BACKUP: SinkId = SinkId(3);

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
    /// The data folder is not for this program.
    #[error(transparent)]
    State(#[from] StateError),
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
    registry: Option<Arc<Registry>>,
    chain: Arc<Chain>,
    published: ReportHandle,
    archived: Arc<ArchiveCounts>,
    backed_up: Arc<ArchiveCounts>,
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
    pub partitions: BTreeMap<TopicPartition, Totals>,
    /// Offsets of messages that the broker no longer kept when they were to be read, by partition.
    pub expired: BTreeMap<TopicPartition, Vec<Span>>,
    /// What the steps did.
    pub steps: ChainReport,
    /// What was published.
    pub published: PublishReport,
    /// What was archived, where there is an archive.
    pub archived: Option<Arc<ArchiveCounts>>,
    /// What was backed up, where there is a backup.
    pub backed_up: Option<Arc<ArchiveCounts>>,
    /// How long alerts took until readers of a sink find them, by what the sink does: `archived`, `backed_up`, `published`.
    /// Counted from the timestamps of messages that come from Kafka, from reading for all others.
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
        state::check(&service.data)?;
        let chain = Arc::new(checked_chain(&config, &service.indexes())?);
        // Where something is refused, nothing is left behind.
        state::take(&service.data)?;
        let (memory, pool) = (late::memory(settings, index), late::threads(&config, pool)?);
        let supervision = Supervision {
            component: config.name.clone(),
            stop,
            stall: service.stall,
            grace: service.grace,
            restarts: service.restarts,
            ledger: Ledger::default(),
            budget: Budget::new(memory / 2),
            injector: Arc::new(Injector::from_environment(&config.name)?),
        };
        let letters: Arc<dyn LetterBox> = match &config.dead_letters {
            DeadLetters::Folder(folder) => Arc::new(FolderLetters::open(folder).map_err(Fault::from)?),
            DeadLetters::Topic { brokers, topic, properties } => {
                Arc::new(TopicLetters::open(&config.name, brokers, topic, properties)?)
            }
        };
        let registry = match (&config.decode.registry, &config.decode.framing) {
            (Some(registry), Framing::Confluent(known)) => {
                let known = known.keys().copied().collect();
                let started = Registry::start(registry, &config.name, known, &service.data);
                Some(Arc::new(started.map_err(|e| PrepareError::Decode(e.to_string()))?))
            }
            _ => None,
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
            registry,
            chain,
            published,
            archived: Arc::default(),
            backed_up: Arc::default(),
            state,
        })
    }

    /// The ledger, to watch the run from outside.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.supervision.ledger.clone()
    }

    /// What is counted of the archive, or of the backup where there is no archive, to watch the run from outside.
    #[must_use]
    pub fn kept(&self) -> Arc<ArchiveCounts> {
        if self.config.archive.is_some() { self.archived.clone() } else { self.backed_up.clone() }
    }

    /// The registry of schemas, to see from outside which partitions wait for it.
    #[must_use]
    pub fn registry(&self) -> Option<Arc<Registry>> {
        self.registry.clone()
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
        let _watch = match Watch::start(&self.chain) {
            Ok(watch) => Some(watch),
            Err(fault) => {
                tracing::warn!("{fault}; catalogues stay as they are until the next start");
                None
            }
        };
        let published = self.published.clone();
        let published = move || published.report().outputs.into_iter().map(|output| (output.topic, output.messages)).collect();
        let _sums = Keeper::start(&self.config.name, &self.state, self.ledger(), published);
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
            expired: ledger.expired(),
            steps: self.chain.report(),
            published: self.published.report(),
            archived: self.config.archive.as_ref().map(|_| self.archived.clone()),
            backed_up: self.config.backup.as_ref().map(|_| self.backed_up.clone()),
            latency: [("published", PUBLISH), ("archived", ARCHIVE), ("backed_up", BACKUP)]
                .into_iter()
                .filter_map(|(what, sink)| Some((what, ledger.latency(sink)?)))
                .collect(),
        }
    }

    fn build(&self, generation: &mut Generation) -> Result<(), Fault> {
        let ledger = &self.supervision.ledger;
        let Sinks { sinks, accounts } = self.sinks(generation)?;
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
        let registry = self.registry.clone();
        let wanted = wanted(&self.config, &self.chain).map_err(|e| Fault::defect(e.to_string()))?;
        let build = move || {
            let decode = Decode::new(&framing, survey.clone(), wanted.clone()).map_err(|e| Fault::defect(e.to_string()))?;
            Ok(match &registry {
                Some(registry) => decode.with_schemas(registry.clone() as Arc<dyn SchemasById>),
                None => decode,
            })
        };
        let decode = TransformActor::start_in(
            &arbiter,
            TransformParts {
                shell,
                build: Arc::new(build),
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
            gate: self.registry.clone().map(|registry| registry as Arc<dyn Gate>),
        };
        generation.opens("source");
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
    state::check(&settings.service.data)?;
    checked_chain(&settings.components[index], &settings.service.indexes()).map(drop)
}

fn checked_chain(config: &config::Pipeline, indexes: &Path) -> Result<Chain, PrepareError> {
    let wrong = PrepareError::Decode;
    let chain = Chain::new(&config.steps, Some(indexes))?;
    let wanted = wanted(config, &chain)?;
    Decode::new(&config.decode.framing, config.survey.clone(), wanted).map_err(|e| wrong(e.to_string()))?;
    if let Some(registry) = &config.decode.registry {
        registry::check(registry).map_err(|e| wrong(e.to_string()))?;
    }
    let known = |json| AlertSchema::parse(json).map_err(|e| wrong(format!("known schema of survey {}: {e}", config.survey.name)));
    let schemas = config.survey.schemas.iter().map(|json| known(json)).collect::<Result<Vec<_>, _>>()?;
    // A condition that fits one of them is meant for it: a stream may still carry an older schema.
    let misfits: Vec<_> = schemas.iter().map(|schema| misfits_of(config, &chain, schema)).collect();
    if !misfits.iter().any(Vec::is_empty)
        && let Some(error) = misfits.into_iter().last().and_then(|of_newest| of_newest.into_iter().next())
    {
        return Err(error);
    }
    if let Some(archive) = &config.archive {
        archive::check(&archive.columns, &schemas)?;
    }
    Ok(chain)
}

/// Tells the times of observation of archived rows as decoding saw them, by the profiles of the surveys.
pub fn observed(
    surveys: BTreeMap<String, Arc<config::Survey>>,
) -> impl Fn(&str, &RecordBatch) -> Option<TimestampMicrosecondArray> + Sync {
    move |survey, records| decode::observed(surveys.get(survey)?, records).ok().flatten()
}

/// Every condition of a component, of its steps and of its outputs, that does not fit a schema.
///
/// # Errors
/// When the steps cannot work whatever the schema.
pub fn misfits(settings: &Settings, index: usize, schema: &AlertSchema) -> Result<Vec<PrepareError>, PrepareError> {
    let config = &settings.components[index];
    Ok(misfits_of(config, &Chain::new(&config.steps, Some(&settings.service.indexes()))?, schema))
}

fn misfits_of(config: &config::Pipeline, chain: &Chain, schema: &AlertSchema) -> Vec<PrepareError> {
    let outputs = publish::misfits(&config.publish, &schema.arrow, &chain.annotation_fields());
    let output = |error| unfit_output(config, error);
    let steps = chain.misfits(&schema.arrow).into_iter().map(PrepareError::Chain);
    steps.chain(outputs.into_iter().map(output)).collect()
}

/// Decodes one message as a component would: all its alerts, or why it would be a dead letter.
///
/// # Errors
/// The reason that the dead letter would have.
pub fn decode_alone(framing: &config::Framing, survey: Arc<config::Survey>, payload: Vec<u8>) -> Result<Vec<AlertBatch>, String> {
    let decode = Decode::new(framing, survey, Wanted::everything()).map_err(|e| e.to_string())?;
    let end = u32::try_from(payload.len()).map_err(|_| "a message of more than 4 GiB".to_owned())?;
    let origin = Arc::new(TopicPartition { topic: "alone".into(), partition: 0 });
    let batch = RawBatch {
        token: Token { origin, span: Span { start: 0, end: 1 }, generation: 0 },
        arena: arrow_buffer::Buffer::from_vec(payload),
        messages: vec![RawMessage { payload: Some(0..end), ..RawMessage::default() }],
        permit: Arc::new(Permit::unbounded()),
    };
    let decoded = decode.apply(&batch).map_err(|fault| fault.to_string())?;
    match decoded.letters.into_iter().next() {
        Some(letter) => Err(letter.reason),
        None => Ok(decoded.parts),
    }
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
