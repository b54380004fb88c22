//! The supervised shell around the stages: mailboxes with a true bound, panics that cost one alert, generations that are
//! rebuilt from the watermark, and a watchdog.
//!
//! May depend on: actix, rayon, `alert`, `ledger`. With `pipeline.rs` it is the only place that names actix. It knows stages
//! only by the traits of `alert`.
//!
//! What actix 0.13 does by itself, and what is done here instead:
//! - `do_send` and every clone of an `Addr` pass the bound of a mailbox: an [`Edge`] owns its one `Addr`, tries, and where the
//!   mailbox is full waits until its mail has been handled before anything else is read. An edge holds capacity + 1 mails.
//! - `SyncArbiter` is unbounded and loses threads on a panic: work goes to a rayon pool behind an ordered window.
//! - A panic in a handler takes the actor and its queued mail along: every call of a stage is caught.
//! - Futures of an actor's context stand still while it waits (`ctx.wait`): what it waits for runs beside it in the arbiter.
//! - An actor that is gone is not missed by anyone: each holds an [`Alive`] that tells when it is dropped.
//!
//! **Invariant:** mail leaves a transforming actor in the order in which it came.
//! **Invariant:** a batch that a shell gives up on is either dead-lettered or stays open in the ledger, so it is read again.

mod event;
mod generation;
mod inject;
mod mail;
mod policy;
mod signals;
mod sink;
mod source;
mod supervise;
mod suspects;
#[cfg(test)]
mod tests;
mod transform;
mod watch;

pub use event::{Alive, Event, Shell};
pub use generation::Generation;
pub use inject::{InjectError, Injector};
pub use mail::{Edge, Mail};
pub use policy::{Backoff, Decision};
pub use signals::StopSignal;
pub use sink::{SinkActor, SinkParts};
pub use source::{SourceActor, SourceParts};
pub use supervise::{End, Outcome, Supervision, supervise};
pub use suspects::Suspects;
pub use transform::{Replay, TransformActor, TransformParts};
pub use watch::{Watch, Watches};
