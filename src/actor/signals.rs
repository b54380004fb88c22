//! SIGTERM and SIGINT: the first asks for a clean stop, the second ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether a stop was asked for. Clones share the wish.
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    asked: Arc<AtomicBool>,
    /// The same of those that end together.
    together: Arc<AtomicBool>,
}

impl StopSignal {
    /// Listens to SIGTERM and SIGINT. The second signal ends the process with 128 + its number.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn listen() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGTERM, SIGINT] {
            // Armed by the first signal, so it must be registered before the flag that the first one sets.
            flag::register_conditional_shutdown(signal, 128 + signal, stop.asked.clone())?;
            flag::register(signal, stop.asked.clone())?;
        }
        Ok(stop)
    }

    /// The same signal for some that end together, by [`StopSignal::end_together`].
    #[must_use]
    pub fn together(&self) -> Self {
        Self { asked: self.asked.clone(), together: Arc::default() }
    }

    /// Asks those for a stop that have this signal, and no others.
    pub fn end_together(&self) {
        self.together.store(true, Ordering::Release);
    }

    /// Asks for a stop, as a signal would.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) || self.together.load(Ordering::Acquire)
    }
}
