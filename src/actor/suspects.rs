//! Batches and messages that a sink failed on, remembered across generations.
//!
//! A sink holds state of many batches, so it can't replay one in place: its generation is rebuilt. The batch that it failed on
//! is a suspect then and is cut into single messages when it is read again; the message that fails alone is known as poison
//! for that stage and goes to the dead letters the next time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::alert::{Span, Token, TopicPartition};

/// Shared by the generations of one pipeline.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    spans: Vec<(TopicPartition, Span)>,
    poison: Vec<(&'static str, TopicPartition, Span, String)>,
    buried: u64,
}

impl Suspects {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage failed on this batch of `messages` messages. A message that fails alone is poison only when it was a suspect
    /// already: once may have been the stage's own misfortune.
    pub fn accuse(&self, stage: &'static str, token: &Token, messages: usize, reason: &str) {
        let suspected = self.suspected(token);
        let mut inner = self.inner();
        let entry = ((*token.origin).clone(), token.span);
        if messages <= 1 && suspected {
            inner.poison.push((stage, entry.0, entry.1, reason.to_owned()));
        } else {
            inner.spans.push(entry);
        }
    }

    /// Whether a batch must be cut into single messages.
    #[must_use]
    pub fn suspected(&self, token: &Token) -> bool {
        let inner = self.inner();
        inner.spans.iter().any(|(origin, span)| *origin == *token.origin && span.overlaps(&token.span))
            || inner.poison.iter().any(|(_, origin, span, _)| *origin == *token.origin && span.overlaps(&token.span))
    }

    /// Why a batch (of one message) is poison for a stage, if it is.
    #[must_use]
    pub fn poison(&self, stage: &'static str, token: &Token) -> Option<String> {
        self.inner()
            .poison
            .iter()
            .find(|(s, origin, span, _)| *s == stage && *origin == *token.origin && *span == token.span)
            .map(|(.., reason)| reason.clone())
    }

    /// A message that was poison for a stage has become a dead letter.
    pub fn count_buried(&self) {
        self.inner().buried += 1;
    }

    /// Messages that became dead letters as poison: they are settled, but they are no progress.
    #[must_use]
    pub fn buried(&self) -> u64 {
        self.inner().buried
    }

    /// Forgets what lies below a watermark.
    pub fn forget_below(&self, origin: &TopicPartition, watermark: i64) {
        let mut inner = self.inner();
        inner.spans.retain(|(o, span)| o != origin || span.end > watermark);
        inner.poison.retain(|(_, o, span, _)| o != origin || span.end > watermark);
    }
}
