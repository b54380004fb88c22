//! Questions to a registry over HTTP: a schema by its id, with the schemas that it refers to.

use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::RegistryError;
use crate::avro::{self, MAX_SCHEMA_BYTES};
use crate::config;

/// An answer may take this many bytes: a schema whose every character is escaped, and the rest.
const LONGEST_ANSWER: u64 = 8 * MAX_SCHEMA_BYTES as u64;
/// Schemas that a schema may refer to, all the way down.
const MAX_REFERENCES: usize = 100;
/// What the interface says of an id that it does not have.
const SCHEMA_NOT_FOUND: u64 = 40403;

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The schema: JSON text with everything it refers to.
    Found(Arc<str>),
    /// There is no such id.
    Unknown,
    /// The registry can't be asked now.
    Away(String),
    /// The registry doesn't let us ask.
    Refused(String),
    /// There is something else than an Avro schema, for ever.
    Unusable(String),
}

/// A registry's address and how to be let in.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    /// Value of the header `Authorization`.
    authorization: Option<Secret>,
}

/// A text that is not shown.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A schema as the registry tells it, by id or by subject and version.
#[derive(Deserialize)]
struct Told {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Problem {
    error_code: u64,
}

impl Client {
    /// Makes nothing but the client; nobody is asked.
    pub fn open(settings: &config::Registry) -> Result<Client, RegistryError> {
        let roots = match &settings.ca {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let wrong = |reason: String| RegistryError::Authority { path: path.display().to_string(), reason };
                let text = fs::read(path).map_err(|e| wrong(e.to_string()))?;
                let mut certificates = Vec::new();
                for item in parse_pem(&text) {
                    if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(e.to_string()))? {
                        certificates.push(certificate);
                    }
                }
                if certificates.is_empty() {
                    return Err(wrong("it holds no certificate".to_owned()));
                }
                RootCerts::Specific(Arc::new(certificates))
            }
        };
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Credentials go where the configuration says and nowhere else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .tls_config(tls)
            .user_agent(concat!("skysluice/", env!("CARGO_PKG_VERSION")))
            .accept("application/vnd.schemaregistry.v1+json, application/json")
            .build()
            .new_agent();
        let encoded = |(user, password): &(String, String)| BASE64_STANDARD.encode(format!("{user}:{password}"));
        let authorization = settings.login.as_ref().map(|login| Secret(format!("Basic {}", encoded(login))));
        Ok(Client { agent, url: settings.url.clone(), authorization })
    }

    /// The schema with this id.
    pub fn schema(&self, id: u32) -> Answer {
        let told = match self.get(&format!("/schemas/ids/{id}")) {
            Ok(told) => told,
            Err(answer) => return answer,
        };
        self.whole(id, told).map_or_else(|answer| answer, |json| Answer::Found(json.into()))
    }

    /// One text with everything that a schema refers to.
    fn whole(&self, id: u32, told: Told) -> Result<String, Answer> {
        avro_only(&told)?;
        let mut left = told.references.unwrap_or_default();
        if left.is_empty() {
            return Ok(told.schema);
        }
        let root = format!("id {id}");
        let mut files = vec![(root.clone(), told.schema)];
        while let Some(Reference { subject, version }) = left.pop() {
            let name = format!("subject {subject}, version {version}");
            if files.iter().any(|(known, _)| *known == name) {
                continue;
            }
            if files.len() > MAX_REFERENCES {
                return Err(Answer::Unusable(format!("it refers to more than {MAX_REFERENCES} schemas")));
            }
            let subject = utf8_percent_encode(&subject, NON_ALPHANUMERIC);
            let told = self.get(&format!("/subjects/{subject}/versions/{version}")).map_err(|answer| match answer {
                // A registry keeps what others refer to: if it is not there, it will be again.
                Answer::Unknown => Answer::Away(format!("it has id {id}, but not the {name}, to which that refers")),
                answer => answer,
            })?;
            avro_only(&told)?;
            files.push((name, told.schema));
            left.extend(told.references.unwrap_or_default());
        }
        avro::resolve(&files, &root).map_err(|error| Answer::Unusable(error.to_string()))
    }

    fn get(&self, path: &str) -> Result<Told, Answer> {
        let away = |error: ureq::Error| Answer::Away(error.to_string());
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(Secret(value)) = &self.authorization {
            request = request.header("authorization", value);
        }
        let mut response = request.call().map_err(away)?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec().map_err(away)?;
        match status.as_u16() {
            200 => serde_json::from_slice(&body).map_err(|e| {
                Answer::Away(format!("the answer to {path} is none of a schema registry: {e}; see decode.registry.url"))
            }),
            404 => match serde_json::from_slice::<Problem>(&body) {
                // 40401 and 40402: no such subject, no such version.
                Ok(Problem { error_code: SCHEMA_NOT_FOUND | 40401 | 40402 }) => Err(Answer::Unknown),
                _ => Err(Answer::Away(format!("it has no {path} (404): is decode.registry.url that of a schema registry?"))),
            },
            401 | 403 => Err(Answer::Refused(format!("it answers {status}"))),
            300..=399 => {
                let to = response.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or("nowhere");
                Err(Answer::Away(format!("it answers {status} and points to {to}; write that into decode.registry.url")))
            }
            _ => Err(Answer::Away(format!("it answers {status}"))),
        }
    }
}

fn avro_only(told: &Told) -> Result<(), Answer> {
    match told.kind.as_deref() {
        None | Some("AVRO") => Ok(()),
        Some(other) => Err(Answer::Unusable(format!("it is of type {other}, not AVRO"))),
    }
}
