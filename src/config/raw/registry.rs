//! A schema registry as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::source::Property;
use crate::config::at::At;
use crate::config::registry;
use crate::config::units::{Time, show_time};

/// A schema registry with Confluent's interface.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Address, such as `https://registry.example.org:8081`. Redirections are not followed; proxies are taken from the
    /// variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment.
    pub url: At<String>,
    /// User: a text, `{ env: NAME }` or `{ file: PATH }`. Default: nobody logs in.
    pub user: Option<At<Property>>,
    /// Password: a text, `{ env: NAME }` or `{ file: PATH }`.
    pub password: Option<At<Property>>,
    /// File of certificates (PEM), one of which has to have signed that of the registry. Default: those of the system.
    pub ca: Option<At<String>>,
    /// How long one question may take. The default is longer than a registry in another continent takes.
    #[schemars(extend("default" = show_time(registry::Registry::TIMEOUT)))]
    pub timeout: Option<At<Time>>,
    /// What becomes of messages whose id the registry does not know.
    pub unknown: Option<Unknown>,
}

/// What becomes of messages whose schema id the registry does not know.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// How long the partition waits, asking again and again. The default is longer than it takes from a schema's first message
    /// to its registration where the two race.
    #[schemars(extend("default" = show_time(registry::UnknownIds::default().wait)))]
    pub wait: Option<At<Time>>,
    /// What happens then. The default keeps the stream going: the message is kept with its reason. While a partition goes on
    /// bringing unknown ids, each further one is asked for once and not waited for.
    #[schemars(extend("default" = "dead-letter"))]
    pub then: Option<Then>,
}

/// What happens to a message whose id was waited for in vain.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It becomes a dead letter, and the partition goes on.
    DeadLetter,
    /// The partition waits further.
    Hold,
}
