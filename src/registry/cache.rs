//! The schemas of a registry on disk: `schemas/HOST-PORT-HASH/ID.avsc`. An id never changes its schema, so what is there is
//! right for ever.
//!
//! The text of a file is the registry's own with a sum of it as first attribute, which Avro's readers pass over: a flipped
//! bit can leave a schema that is one, and that would decode every alert wrongly.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::durable::{DurableError, Staged, Way};

/// What a file begins with, before the sum (xxh3, 16 hexadecimal digits) of the registry's text.
const BEFORE: &str = r#"{"skysluice.xxh3":""#;
/// What follows the sum.
const AFTER: &str = r#"","#;

/// The folder of one registry.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// That of the registry with this address, below `data`.
    pub fn new(data: &Path, url: &str) -> Self {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
        let readable: String = authority.chars().map(legal).take(100).collect();
        // Registries may share a host and a port, with different paths.
        let hash = xxh3_64(url.as_bytes()) as u32;
        Self { folder: data.join("schemas").join(format!("{}-{hash:08x}", readable.trim_matches(['.', '-']))) }
    }

    /// The schema with this id, where it is there and whole.
    pub fn get(&self, id: u32) -> Option<Arc<str>> {
        let path = self.path(id);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a kept schema cannot be read; the registry is asked for it");
                return None;
            }
        };
        let json = unpack(&text);
        if json.is_none() {
            tracing::warn!(path = %path.display(), "a kept schema is damaged and not used; the registry is asked for it");
        }
        json.map(Arc::from)
    }

    /// Keeps a schema, durably. Without it the next start has to ask again: that is said, and nothing else is lost.
    pub fn put(&self, id: u32, json: &str) {
        if let Err(error) = self.write(id, json) {
            tracing::warn!(id, %error, "a schema cannot be kept; the registry is asked for it again after a restart");
        }
    }

    fn write(&self, id: u32, json: &str) -> Result<(), DurableError> {
        // What is no object is no record either: decoding will refuse it, today and after the next start.
        let Some(text) = pack(json) else { return Ok(()) };
        crate::durable::create_folders(&self.folder)?;
        // Components of one process may be told the same schema at the same time.
        let staging = format!(".{id}.avsc.{}.{:?}", std::process::id(), std::thread::current().id());
        let name = format!("{id}.avsc");
        let path = self.path(id);
        if fs::read_to_string(&path).is_ok_and(|there| unpack(&there).is_some()) {
            return Ok(());
        }
        let at = |doing: &'static str, path: &Path, source| DurableError { doing, path: path.to_path_buf(), source };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at("remove the damaged", &path, error)),
            _ => {}
        }
        let mut file = Staged::create(&self.folder, &staging, Way::Cached)?;
        file.write_all(text.as_bytes()).map_err(|error| at("write", file.path(), error))?;
        file.publish_as(&self.folder, &name).map(drop)
    }

    fn path(&self, id: u32) -> PathBuf {
        self.folder.join(format!("{id}.avsc"))
    }
}

/// A schema with its sum.
fn pack(json: &str) -> Option<String> {
    let rest = json.trim_start().strip_prefix('{').filter(|rest| !rest.trim_start().starts_with('}'))?;
    Some(format!("{BEFORE}{:016x}{AFTER}{rest}", xxh3_64(rest.as_bytes())))
}

/// The schema of a file whose sum is right.
fn unpack(text: &str) -> Option<String> {
    let (sum, rest) = text.strip_prefix(BEFORE)?.split_once(AFTER)?;
    (sum == format!("{:016x}", xxh3_64(rest.as_bytes()))).then(|| format!("{{{rest}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const JSON: &str = r#" {"type":"record","name":"a","fields":[{"name":"x","type":"int"}]}"#;

    #[test]
    fn what_was_kept_is_there_again_and_is_a_schema_to_others() {
        let data = tempfile::tempdir().unwrap();
        let cache = Cache::new(data.path(), "https://Registry.example.org:8081/a");
        assert!(cache.get(900).is_none());
        cache.put(900, JSON);
        cache.put(900, JSON);
        let again = Cache::new(data.path(), "https://Registry.example.org:8081/a");
        assert_eq!(&*again.get(900).unwrap(), JSON.trim_start());
        let folder = fs::read_dir(data.path().join("schemas")).unwrap().next().unwrap().unwrap();
        assert!(folder.file_name().to_str().unwrap().starts_with("registry.example.org-8081-"));
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(files, ["900.avsc"]);
        let text = fs::read_to_string(folder.path().join("900.avsc")).unwrap();
        let (read, sent) =
            [text.as_str(), JSON].map(|json| apache_avro::Schema::parse_str(json).unwrap().canonical_form()).into();
        assert_eq!(read, sent);
        assert!(Cache::new(data.path(), "https://registry.example.org:8081/b").get(900).is_none());
    }

    #[test]
    fn a_damaged_file_is_not_used_and_is_made_anew() {
        let data = tempfile::tempdir().unwrap();
        let cache = Cache::new(data.path(), "http://localhost:1");
        cache.put(7, JSON);
        let path = cache.path(7);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(cache.get(7).is_none(), "byte {at}");
        }
        for cut in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(&path, &good[..cut]).unwrap();
            assert!(cache.get(7).is_none(), "cut at {cut}");
        }
        cache.put(7, JSON);
        assert_eq!(fs::read(&path).unwrap(), good);
    }

    #[test]
    fn a_disk_that_cannot_be_written_costs_only_the_cache() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("schemas"), "a file in the place of the folder").unwrap();
        let cache = Cache::new(data.path(), "http://localhost:1");
        cache.put(7, JSON);
        assert!(cache.get(7).is_none());
    }
}
