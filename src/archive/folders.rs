//! The root of the archive and the staging folder: created and checked.

use std::path::{Path, PathBuf};

use crate::alert::Fault;
use crate::config;
use crate::durable;

/// Creates and checks the folders; resolves their paths in `config`. Says the staging folder of the component.
pub(super) fn prepare(config: &mut config::Archive, component: &str) -> Result<PathBuf, Fault> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|e| Fault::defect(format!("{} is no path for an archive: {e}", path.display())))
    };
    config.root = absolute(&config.root)?;
    config.staging = absolute(&config.staging)?;
    // Before anything is created, and again below with links resolved.
    outside(&config.root, &config.staging)?;
    durable::create_folders(&config.root)?;
    durable::create_folders(&config.staging)?;
    let resolved = |path: &Path| {
        path.canonicalize().map_err(|e| Fault::environment(format!("cannot resolve the folder {}: {e}", path.display())))
    };
    config.root = resolved(&config.root)?;
    config.staging = resolved(&config.staging)?;
    outside(&config.root, &config.staging)?;
    let staging = config.staging.join(component);
    durable::create_folders(&staging)?;

    let device = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.metadata();
        metadata.map(|m| m.dev()).map_err(|e| Fault::environment(format!("cannot look at the folder {}: {e}", path.display())))
    };
    if device(&config.root)? != device(&staging)? {
        return Err(Fault::defect(format!(
            "the staging folder {} is not on the file system of the archive {}: a file could not appear there whole; choose a staging folder on the same one",
            config.staging.display(),
            config.root.display(),
        )));
    }
    durable::check_writable(&config.root)?;
    durable::check_writable(&staging)?;
    Ok(staging)
}

fn outside(root: &Path, staging: &Path) -> Result<(), Fault> {
    if staging.starts_with(root) {
        return Err(Fault::defect(format!(
            "the staging folder {} lies inside the archive {}, where readers would meet unfinished files; choose one beside it",
            staging.display(),
            root.display(),
        )));
    }
    Ok(())
}
