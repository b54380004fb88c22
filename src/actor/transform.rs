//! The shell of a transforming stage: work goes to a rayon pool, results leave in the order in which the batches came.
//!
//! The window is a channel of answers still to come, as wide as the pool is kept busy. A full window stops the reading of mail,
//! a full mailbox below stops the forwarding, so the bound of the whole is mailbox + window + 1.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use rayon::ThreadPool;
use tokio::sync::{mpsc, oneshot};

use super::mail::start_bounded;
use super::{Alive, Edge, Event, Mail, Shell};
use crate::alert::{Decoded, Fault, FaultKind, RawBatch, Span, Token, Transform};

/// What the shell must be able to do with a batch to replay it alert by alert.
pub trait Replay: Clone + Send + Sync + 'static {
    /// Token of the whole batch.
    fn token(&self) -> &Token;
    /// The batch cut into single alerts, all with the token of the whole.
    fn singles(&self) -> Vec<Self>;
    /// The offsets in hand.
    fn span(&self) -> Span;
    /// The single alert as a dead letter.
    fn bury(self, stage: &'static str, reason: &str) -> Decoded;
}

impl Replay for RawBatch {
    fn token(&self) -> &Token {
        &self.token
    }

    fn singles(&self) -> Vec<Self> {
        RawBatch::singles(self)
    }

    fn span(&self) -> Span {
        span_of(self.messages.iter().map(|m| m.offset), self.token.span)
    }

    fn bury(self, stage: &'static str, reason: &str) -> Decoded {
        let letters = self.messages.iter().flat_map(|m| self.letters(m, stage, reason)).collect();
        Decoded { token: self.token, parts: Vec::new(), letters, permit: self.permit }
    }
}

impl Replay for Decoded {
    fn token(&self) -> &Token {
        &self.token
    }

    fn singles(&self) -> Vec<Self> {
        Decoded::singles(self)
    }

    fn span(&self) -> Span {
        span_of(self.parts.iter().flat_map(|p| p.rows.iter().map(|r| r.offset)), self.token.span)
    }

    fn bury(mut self, stage: &'static str, reason: &str) -> Decoded {
        for part in std::mem::take(&mut self.parts) {
            for row in 0..part.len() {
                self.letters.push(part.letter(row, &self.token, stage, reason.to_owned()));
            }
        }
        self
    }
}

fn span_of(offsets: impl Iterator<Item = i64> + Clone, whole: Span) -> Span {
    match (offsets.clone().min(), offsets.max()) {
        (Some(first), Some(last)) => Span { start: first, end: last + 1 },
        _ => whole,
    }
}

/// Builds the stage, at the start and after a failure.
pub type Build<T> = Arc<dyn Fn() -> Result<T, Fault> + Send + Sync>;

/// What a transforming actor is made of.
pub struct TransformParts<T: Transform> {
    /// Name, supervisor, heartbeat.
    pub shell: Shell,
    /// Builds the stage.
    pub build: Build<T>,
    /// Where the work is done.
    pub pool: Arc<ThreadPool>,
    /// Batches at work or waiting for an earlier one.
    pub window: usize,
    /// Bound of the mailbox.
    pub mailbox: usize,
    /// Told of each result before it goes on.
    pub done: Arc<dyn Fn(&Decoded) + Send + Sync>,
    /// The stages below.
    pub edges: Vec<Edge<Decoded>>,
}

type Answer<I> = oneshot::Receiver<(I, Result<Decoded, Fault>)>;

/// The actor.
pub struct TransformActor<T: Transform>
where
    T::In: Replay,
{
    shell: Shell,
    stage: Arc<T>,
    pool: Arc<ThreadPool>,
    window: mpsc::Sender<Answer<T::In>>,
    forwarder: Option<Forwarder<T>>,
    _alive: Alive,
}

struct Forwarder<T: Transform>
where
    T::In: Replay,
{
    shell: Shell,
    answers: mpsc::Receiver<Answer<T::In>>,
    build: Build<T>,
    done: Arc<dyn Fn(&Decoded) + Send + Sync>,
    edges: Vec<Edge<Decoded>>,
}

impl<T> TransformActor<T>
where
    T: Transform + 'static,
    T::In: Replay,
{
    /// Builds the stage and starts the actor in an arbiter.
    ///
    /// # Errors
    /// When the stage can't be built.
    pub fn start_in(arbiter: &ArbiterHandle, parts: TransformParts<T>) -> Result<Addr<Self>, Fault> {
        let stage = Arc::new((parts.build)()?);
        let alive = Alive::new(&parts.shell);
        Ok(start_bounded(arbiter, parts.mailbox, move || {
            let (window, answers) = mpsc::channel(parts.window.max(1));
            let forwarder =
                Forwarder { shell: parts.shell.clone(), answers, build: parts.build, done: parts.done, edges: parts.edges };
            Self { shell: parts.shell, stage, pool: parts.pool, window, forwarder: Some(forwarder), _alive: alive }
        }))
    }
}

impl<T> Actor for TransformActor<T>
where
    T: Transform + 'static,
    T::In: Replay,
{
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        if let Some(forwarder) = self.forwarder.take() {
            // Not a future of the context: those stand still while the actor waits, and it waits for this one.
            actix::spawn(forwarder.run());
        }
    }
}

impl<T> Handler<Mail<T::In>> for TransformActor<T>
where
    T: Transform + 'static,
    T::In: Replay,
{
    type Result = ();

    fn handle(&mut self, Mail(batch): Mail<T::In>, ctx: &mut Self::Context) {
        let (answer, question) = oneshot::channel();
        let (stage, shell) = (self.stage.clone(), self.shell.clone());
        self.pool.spawn(move || {
            let result = guarded(&*stage, &batch, &shell);
            // The forwarder is gone only when the generation is.
            let _ = answer.send((batch, result));
        });
        if let Err(mpsc::error::TrySendError::Full(question)) = self.window.try_send(question) {
            let window = self.window.clone();
            let wait = async move {
                let _ = window.send(question).await;
            };
            ctx.wait(wait.into_actor(self));
        }
    }
}

fn guarded<T: Transform>(stage: &T, batch: &T::In, shell: &Shell) -> Result<Decoded, Fault>
where
    T::In: Replay,
{
    catch(|| {
        shell.injector.strike(shell.stage, batch.span())?;
        stage.apply(batch)
    })
}

/// Runs a call of a stage; a panic comes back as a defect with its message.
pub(super) fn catch<R>(call: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
    // What a panic leaves half done is thrown away: transforms are rebuilt, sinks end with their generation.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(Fault::defect(format!("panic: {}", text_of(&*panic)))))
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl<T> Forwarder<T>
where
    T: Transform + 'static,
    T::In: Replay,
{
    async fn run(mut self) {
        let watch = self.shell.watch.clone();
        while let Some(question) = self.answers.recv().await {
            let answer = {
                let _busy = watch.busy();
                question.await
            };
            // A pool drops a job unanswered only when it is torn down.
            let Ok((batch, result)) = answer else { return };
            let decoded = match self.settle(batch, result).await {
                Ok(decoded) => decoded,
                Err(fault) => return self.shell.fail(fault),
            };
            (self.done)(&decoded);
            for (i, edge) in self.edges.iter().enumerate() {
                if edge.deliver(decoded.clone()).await.is_err() {
                    let below = format!("the stage below {} (edge {i}) is gone", self.shell.stage);
                    return self.shell.fail(Fault::defect(below));
                }
            }
        }
    }

    async fn settle(&mut self, batch: T::In, mut result: Result<Decoded, Fault>) -> Result<Decoded, Fault> {
        let mut wait = Duration::from_millis(50);
        loop {
            let fault = match result {
                Ok(decoded) => return Ok(decoded),
                Err(fault) => fault,
            };
            let stage = Arc::new((self.build)()?);
            if fault.kind == FaultKind::Defect {
                tracing::warn!(stage = self.shell.stage, batch = %batch.token().origin, start = batch.span().start, cause = %fault,
                    "stage rebuilt, its batch is replayed alert by alert");
                return Ok(self.replay(&*stage, batch));
            }
            tracing::warn!(stage = self.shell.stage, cause = %fault, "held back, trying again");
            actix::clock::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(10));
            result = guarded(&*stage, &batch, &self.shell);
        }
    }

    fn replay(&self, stage: &T, batch: T::In) -> Decoded {
        let began = Instant::now();
        let mut whole: Option<Decoded> = None;
        let mut dead = 0;
        for single in batch.singles() {
            let _busy = self.shell.watch.busy();
            let done = guarded(stage, &single, &self.shell).unwrap_or_else(|fault| {
                dead += 1;
                single.bury(self.shell.stage, &fault.message)
            });
            match &mut whole {
                None => whole = Some(done),
                Some(whole) => {
                    whole.parts.extend(done.parts);
                    whole.letters.extend(done.letters);
                }
            }
        }
        let _ = self.shell.events.send(Event::Rebuilt { stage: self.shell.stage, dead, took: began.elapsed() });
        whole.unwrap_or_else(|| batch.bury(self.shell.stage, "the batch held no alert"))
    }
}
