//! What a sink of the archive is told by the house around it, and what it tells back.
//!
//! May depend on: `config`, `ledger`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config;
use crate::ledger::{Ledger, SinkId};

/// What the sink is told besides its configuration.
#[derive(Clone, Debug)]
pub struct ArchiveContext {
    /// Name of the component; files of two components may share an archive.
    pub component: String,
    /// Whom it acknowledges as.
    pub sink: SinkId,
    /// Whether its rows count in the sums of the ledger: one sink of a pipeline does.
    pub accounts: bool,
    /// Where it acknowledges.
    pub ledger: Ledger,
    /// The survey, named in the footer.
    pub survey: Arc<config::Survey>,
    /// Fingerprint of the configuration, for the footer.
    pub configuration: String,
    /// Names and versions of the catalogues that are matched against, for the footer.
    pub catalogs: Editions,
    /// Bytes that all files being written may hold in memory together, looked at after each batch.
    pub memory: u64,
    /// Counts what is done, also over several generations of the sink.
    pub counts: Arc<Counts>,
    /// Where a part of a stream comes once more, as dead letters or as a replay: the components that may have archived it. What lies
    /// between two rows may come later and is archived then, and rows that these components have in the archive are left out.
    pub beside: Vec<String>,
    /// Components whose ranges count as this one's own: what lies in one of them is there. For files that do not tell row by row what
    /// they hold.
    pub covered: Vec<String>,
}

/// Tells the editions of catalogues that batches of this moment were matched against: they may change during a run.
#[derive(Clone)]
pub struct Editions(Arc<dyn Fn() -> Vec<String> + Send + Sync>);

impl Editions {
    /// Asks `tell` whenever a file begins or ends.
    pub fn new(tell: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Editions {
        Editions(Arc::new(tell))
    }

    /// The editions now.
    #[must_use]
    pub fn now(&self) -> Vec<String> {
        (self.0)()
    }
}

impl std::fmt::Debug for Editions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Editions").field(&self.now()).finish()
    }
}

/// What a sink has done so far. Shared: it can be read after the sink has moved to its thread.
#[derive(Debug, Default)]
pub struct Counts {
    /// Files published.
    pub files: AtomicU64,
    /// Bytes of them.
    pub bytes: AtomicU64,
    /// Rows in them.
    pub rows: AtomicU64,
    /// Rows left out because they were archived before.
    pub skipped: AtomicU64,
    /// Rows without a usable time, written to the quarantine.
    pub quarantined: AtomicU64,
    /// How often writing has waited for room on the disk.
    pub pauses: AtomicU64,
}
