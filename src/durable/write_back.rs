//! Writing back early: while a large file grows, what was written is synced beside the writer, so that the last sync has little
//! left to do and does not hold up what comes after the file.
//!
//! **Invariant:** a failed sync is never forgotten. The kernel tells of one once for all handles of an open file, so the last
//! sync would not see what an early one was told; it is kept here and given to the next who asks.

use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};

/// Bytes between two early syncs.
const STRIDE: u64 = 32 << 20;

/// The early syncs of one file, one at a time.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    begun: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl WriteBack {
    /// Told how many bytes of the file have been written; begins a sync when it is time and none is running.
    pub fn written(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        if bytes - self.begun < STRIDE || self.running.as_ref().is_some_and(|r| !r.is_finished()) {
            return Ok(());
        }
        self.finish()?;
        self.begun = bytes;
        let file = file.try_clone()?;
        self.running = Some(thread::Builder::new().name("write-back".to_owned()).spawn(move || file.sync_data())?);
        Ok(())
    }

    /// Waits for the sync that is running.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("an early sync panicked")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failed_early_sync_is_told_to_the_next_who_asks() {
        let file = tempfile::tempfile().unwrap();
        let mut back = WriteBack { begun: 0, running: Some(thread::spawn(|| Err(io::Error::other("the disk is gone")))) };
        while !back.running.as_ref().unwrap().is_finished() {
            thread::yield_now();
        }
        assert!(back.written(&file, STRIDE - 1).is_ok());
        assert_eq!(back.written(&file, STRIDE).unwrap_err().to_string(), "the disk is gone");
        assert!(back.written(&file, STRIDE).is_ok());
        assert!(back.finish().is_ok() && back.running.is_none());
    }
}
