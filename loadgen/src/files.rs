//! Files below a folder.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// All files below a folder whose names end like this (`parquet`), in the order of their paths; none where there is no folder.
pub(crate) fn below(root: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = root.exists().then(|| root.to_owned()).into_iter().collect();
    while let Some(folder) = folders.pop() {
        let failed = |error| Error::file("read the folder", &folder)(error);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
