//! What this instance is called by brokers: the same after a restart, so that it can give up what it left open, and not as any
//! other is called.
//!
//! A random number kept in the component's folder, and the name of the machine, as folders get copied.
//! May depend on: `durable`, `alert`.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::alert::Fault;
use crate::durable::{self, Staged, Way};

const FILE: &str = "instance";

/// The name of the instance whose component keeps its state in `folder`.
///
/// # Errors
/// When the folder can't be read or written.
pub(super) fn name(folder: &Path) -> Result<String, Fault> {
    let path = folder.join(FILE);
    let failed = |what: &str, error: std::io::Error| Fault::environment(format!("can't {what} {}: {error}", path.display()));
    let number = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let number = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
            durable::create_folders(folder)?;
            let mut staged = Staged::create(folder, "instance.part", Way::Cached)?;
            staged.write_all(number.as_bytes()).map_err(|e| failed("write", e))?;
            staged.replace(&path)?;
            number
        }
        Err(error) => return Err(failed("read", error)),
    };
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(durable::name_part(&format!("{}-{number}", machine.trim()), 100))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_instance_keeps_its_name_and_no_other_has_it() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name_of = |folder: &Path| name(&folder.join("night")).unwrap();
        assert_eq!(name_of(one.path()), name_of(one.path()));
        assert_ne!(name_of(one.path()), name_of(other.path()));
    }
}
