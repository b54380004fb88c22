//! How messages are framed, and where their schemas are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Checker, read};
use crate::config::at::{At, Place};
use crate::config::checked::{Decode, Framing, Survey};
use crate::config::raw;
use crate::config::registry::{AfterWait, Registry, UnknownIds};
use crate::config::survey;

impl Checker<'_> {
    pub(super) fn decode(&mut self, raw: Option<&At<raw::Decode>>, survey: Option<&Survey>) -> Option<Decode> {
        let Some(At { value: raw, place }) = raw else {
            return Some(Decode { framing: Framing::Container, registry: None });
        };
        let framing = raw.framing.as_ref().map_or(raw::Format::Container, |framing| framing.value);
        let given = [
            (raw.schemas.as_ref().map(|given| given.place), "schemas", raw::Format::Confluent),
            (raw.registry.as_ref().map(|given| given.place), "registry", raw::Format::Confluent),
            (raw.schema.as_ref().map(|given| given.place), "schema", raw::Format::Bare),
        ];
        for (given, key, belongs) in given {
            if let Some(given) = given
                && framing != belongs
            {
                let wanted = if belongs == raw::Format::Bare { "bare" } else { "confluent" };
                let help = format!("write `framing: {wanted}`, or remove `{key}`");
                self.problem(given, format!("`{key}` belongs to the framing `{wanted}`"), help);
                return None;
            }
        }
        let place = raw.framing.as_ref().map_or(*place, |framing| framing.place);
        let registry = match &raw.registry {
            Some(registry) => Some(self.registry(&registry.value)?),
            None => None,
        };
        let framing = match framing {
            raw::Format::Container => Framing::Container,
            raw::Format::Confluent => {
                let mut schemas = survey.map(|survey| survey.schema_ids.clone()).unwrap_or_default();
                if let Some(folder) = &raw.schemas {
                    schemas.extend(self.schemas(folder)?);
                }
                if schemas.is_empty()
                    && registry.is_none()
                    && let Some(survey) = survey
                {
                    let help = "add `registry: { url: ADDRESS }`, or `schemas: FOLDER` with files named by schema id, such as `900.avsc`";
                    let message =
                        format!("the framing `confluent` needs schemas, and the survey `{}` knows none by id", survey.name);
                    self.problem(place, message, help);
                    return None;
                }
                Framing::Confluent(schemas)
            }
            raw::Format::Bare => {
                let Some(file) = &raw.schema else {
                    self.problem(place, "the framing `bare` needs a schema", "add `schema: FILE` with the JSON text of a schema");
                    return None;
                };
                let path = self.input(file, "schema")?;
                Framing::Bare(self.schema(file.place, &path)?)
            }
        };
        Some(Decode { framing, registry })
    }

    fn registry(&mut self, raw: &raw::Registry) -> Option<Registry> {
        let before = self.problems.len();
        let url = raw.url.value.trim().trim_end_matches('/');
        if let Err((message, help)) = address(url) {
            self.problem(raw.url.place, message, help);
        }
        let mut login = |key: &str, given: &Option<At<raw::Property>>| {
            given.as_ref().map(|At { value, place }| (self.property(key, value, *place), *place))
        };
        let login = match (login("user", &raw.user), login("password", &raw.password)) {
            (None, None) => None,
            (Some((user, _)), Some((password, _))) => user.zip(password),
            (Some((_, place)), None) => {
                self.problem(place, "a user without a password", "add `password: { file: PATH }`, or remove `user`");
                None
            }
            (None, Some((_, place))) => {
                self.problem(place, "a password without a user", "add `user: NAME`, or remove `password`");
                None
            }
        };
        if let Some((user, _)) = &login
            && user.contains(':')
            && let Some(At { place, .. }) = &raw.user
        {
            self.problem(*place, "the user has a colon, which HTTP's basic login cannot have", "write the user alone");
        }
        let ca = raw.ca.as_ref().and_then(|ca| self.input(ca, "file of certificates"));
        if let Some(given) = &raw.ca
            && !url.starts_with("https://")
        {
            self.problem(given.place, "certificates are used with https alone", "write `url: https://...`, or remove `ca`");
        }
        let default = UnknownIds::default();
        let unknown = raw.unknown.as_ref().map_or(default, |unknown| UnknownIds {
            wait: self.time(unknown.wait.as_ref(), default.wait),
            then: match unknown.then {
                None | Some(raw::Then::DeadLetter) => AfterWait::DeadLetter,
                Some(raw::Then::Hold) => AfterWait::Hold,
            },
        });
        let timeout = self.time_above_zero(raw.timeout.as_ref(), Registry::TIMEOUT);
        (self.problems.len() == before).then(|| Registry { url: url.to_owned(), login, ca, timeout, unknown })
    }

    /// The schemas of a folder by the id in their names.
    fn schemas(&mut self, folder: &At<String>) -> Option<BTreeMap<u32, Arc<str>>> {
        let path = self.input(folder, "folder of schemas")?;
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(folder.place, format!("cannot read the folder {}: {error}", path.display()), "");
                return None;
            }
        };
        let mut schemas = BTreeMap::new();
        for entry in entries.flatten() {
            let file = entry.path();
            let is_schema = file.extension().is_some_and(|ending| ending == "avsc");
            let id = file.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
            if let Some(id) = id.filter(|_| is_schema) {
                schemas.insert(id, self.schema(folder.place, &file)?);
            }
        }
        if schemas.is_empty() {
            let help = "name each file by its schema id, such as `900.avsc`";
            self.problem(folder.place, format!("no schema in {}", path.display()), help);
            return None;
        }
        Some(schemas)
    }

    fn schema(&mut self, place: Place, file: &Path) -> Option<Arc<str>> {
        let text = match read(file) {
            Ok(text) => text,
            Err(problem) => {
                self.problem(place, problem.message, problem.help);
                return None;
            }
        };
        if let Err(reason) = survey::json(&text) {
            let help = "a schema is the JSON text of an Avro record";
            self.problem(place, format!("{} is not JSON: {reason}", file.display()), help);
            return None;
        }
        Some(Arc::from(text))
    }
}

/// What is wrong with the address of a registry, and what to do about it.
fn address(url: &str) -> Result<(), (String, &'static str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let example = "write `https://HOST:PORT`, with a path where it has one";
    let Some(authority) = authority else {
        return Err((format!("`{url}` is no address of a registry"), example));
    };
    if authority.contains('@') {
        // It is not shown: it may hold the password.
        return Err(("the address holds a user".to_owned(), "write `user:` and `password:` beside `url:`"));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '"' | '<' | '>' | '\\');
    if host.is_empty() || url.contains(strange) || port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|p| p > 0)) {
        return Err((format!("`{url}` is no address of a registry"), example));
    }
    Ok(())
}

/// A survey without known schemas takes those that the messages are decoded with: ids grow with versions.
pub(super) fn with_schemas(survey: Arc<Survey>, decode: &Decode) -> Arc<Survey> {
    let schemas: Vec<Arc<str>> = match &decode.framing {
        Framing::Container => return survey,
        Framing::Confluent(schemas) if survey.schemas.is_empty() || !survey.schema_ids.is_empty() => {
            schemas.values().cloned().collect()
        }
        Framing::Bare(schema) if survey.schemas.is_empty() => vec![schema.clone()],
        Framing::Confluent(_) | Framing::Bare(_) => return survey,
    };
    Arc::new(Survey { schemas, ..(*survey).clone() })
}
