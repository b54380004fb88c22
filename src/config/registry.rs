//! A schema registry as it is used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A schema registry with Confluent's interface.
#[derive(Clone)]
pub struct Registry {
    /// `http://` or `https://`, host, port and path, without a slash at its end.
    pub url: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// File of the certificates (PEM) that its certificate may be signed by; those of the system where absent.
    pub ca: Option<PathBuf>,
    /// How long one question may take.
    pub timeout: Duration,
    /// What becomes of messages whose id the registry does not know.
    pub unknown: UnknownIds,
}

impl Registry {
    /// How long one question may take where nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("url", &self.url)
            .field("login", &self.login.as_ref().map(|(user, _)| (user, "(hidden)")))
            .field("ca", &self.ca)
            .field("timeout", &self.timeout)
            .field("unknown", &self.unknown)
            .finish()
    }
}

/// What becomes of messages whose schema id the registry does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownIds {
    /// How long their partition waits for the id to become known.
    pub wait: Duration,
    /// What happens then.
    pub then: AfterWait,
}

impl Default for UnknownIds {
    fn default() -> Self {
        Self { wait: Duration::from_secs(60), then: AfterWait::DeadLetter }
    }
}

/// What happens to a message whose id was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterWait {
    /// It becomes a dead letter, and the partition goes on.
    DeadLetter,
    /// The partition waits further.
    Hold,
}
