//! Catalogues that are changed while the stream runs: a thread looks after their files and takes up new editions.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Chain, matcher};
use crate::alert::Fault;

/// Time between two looks. A file that was changed is taken up when two looks have seen it alike.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks after the files of a chain until it is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look; a chain without files is left alone.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(chain: &Arc<Chain>) -> Result<Watch, Fault> {
        if chain.entries.is_empty() && chain.lists.is_empty() {
            return Ok(Watch { stop: None, thread: None });
        }
        let (stop, stopped) = channel();
        let chain = chain.clone();
        let look = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                chain.look();
            }
        };
        let thread = std::thread::Builder::new().name("catalogues".to_owned()).spawn(look);
        let thread = thread.map_err(|e| Fault::environment(format!("no thread to look after catalogues: {e}")))?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been told by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Chain {
    /// Looks at the files of all catalogues once, and takes up what is new.
    pub(super) fn look(&self) {
        self.entries.iter().chain(&self.lists).for_each(matcher::Entry::look);
    }
}
