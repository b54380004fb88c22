//! Real packets and catalogues, which are shared beside the repository and never copied into it.

use std::path::{Path, PathBuf};

use super::{root, skip};

/// A packet of a survey.
#[derive(Clone, Debug)]
pub struct Packet {
    /// `SURVEY/FILE`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The folder of shared data; `None` (said, or a failure where required) when there is none.
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("SKYSLUICE_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("../shared/data"),
    };
    if folder.join("alerts").is_dir() {
        return Some(folder);
    }
    skip("data", &format!("no shared data in {}", folder.display()))
}

/// All packets of a survey, sorted by name.
pub fn packets(data: &Path, survey: &str) -> Vec<Packet> {
    let folder = data.join("alerts").join(survey);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|x| x == "avro")).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no packets", folder.display());
    let packet = |path: PathBuf| {
        let name = format!("{survey}/{}", path.file_name().unwrap().to_string_lossy());
        Packet { name, bytes: std::fs::read(&path).unwrap(), path }
    };
    paths.into_iter().map(packet).collect()
}
