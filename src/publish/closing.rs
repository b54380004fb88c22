//! Clients of Kafka that are closed beside what goes on.
//!
//! May depend on: nothing of the house. **Invariant:** dropping one does not wait for a broker.

use std::ops::Deref;
use std::thread;

/// A client of the client library. Closing one waits until what it has asked is answered or given up, for minutes where a broker is gone;
/// nobody else is to wait for that.
pub(super) struct Closing<C: Send + 'static>(Option<C>);

impl<C: Send + 'static> Closing<C> {
    pub(super) fn new(client: C) -> Self {
        Self(Some(client))
    }
}

impl<C: Send + 'static> Deref for Closing<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.0.as_ref().expect("taken in drop only")
    }
}

impl<C: Send + 'static> Drop for Closing<C> {
    fn drop(&mut self) {
        let client = self.0.take();
        if let Err(error) = thread::Builder::new().name("kafka-closing".into()).spawn(move || drop(client)) {
            tracing::warn!(%error, "a Kafka client is closed in the foreground: no thread for it");
        }
    }
}
