//! Mail and the edge that it goes along. See the module head for why an edge owns its one address.

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Message, Recipient};

/// A batch on its way to a stage.
#[derive(Debug)]
pub struct Mail<T>(pub T);

impl<T: Send> Message for Mail<T> {
    type Result = ();
}

/// The one way to an actor. It can't be cloned: a clone would have a place of its own beyond the bound.
pub struct Edge<T: Send + 'static> {
    to: Recipient<Mail<T>>,
}

/// Starts an actor in an arbiter and waits until its mailbox has its bound: an address is there before that, and would let
/// through what the library's own, larger bound allows.
pub(super) fn start_bounded<A: Actor<Context = Context<A>>>(
    arbiter: &ArbiterHandle,
    mailbox: usize,
    make: impl FnOnce() -> A + Send + 'static,
) -> Addr<A> {
    let (ready, bounded) = crossbeam_channel::bounded(1);
    let addr = A::start_in_arbiter(arbiter, move |ctx| {
        ctx.set_mailbox_capacity(mailbox);
        // Nobody listens any more only when the arbiter outlives the wait.
        let _ = ready.send(());
        make()
    });
    // An arbiter that is gone drops the sender; the actor is missed like any other then.
    let _ = bounded.recv();
    addr
}

/// The actor at the other end is gone.
#[derive(Debug, thiserror::Error)]
#[error("the stage below is gone")]
pub struct Gone;

impl<T: Send + 'static> Edge<T> {
    /// Makes the edge out of the actor's only address.
    pub fn new<A>(addr: Addr<A>) -> Self
    where
        A: Actor + Handler<Mail<T>>,
        A::Context: ToEnvelope<A, Mail<T>>,
    {
        Self { to: addr.recipient() }
    }

    /// Puts mail into the box, or gives it back when the box is full.
    ///
    /// # Errors
    /// [`Gone`] when the actor is.
    pub fn offer(&self, batch: T) -> Result<Option<T>, Gone> {
        match self.to.try_send(Mail(batch)) {
            Ok(()) => Ok(None),
            Err(SendError::Full(Mail(batch))) => Ok(Some(batch)),
            Err(SendError::Closed(_)) => Err(Gone),
        }
    }

    /// Puts mail into the box; when it is full, waits until this mail has been handled.
    ///
    /// # Errors
    /// [`Gone`] when the actor is.
    pub async fn deliver(&self, batch: T) -> Result<(), Gone> {
        match self.offer(batch)? {
            None => Ok(()),
            Some(batch) => self.to.send(Mail(batch)).await.map_err(|_| Gone),
        }
    }
}
