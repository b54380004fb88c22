//! The manifest of a file source: which file has which offset, for good.
//!
//! One path per line, the line number (from 0) is the offset. Lines are only ever appended, so a file keeps its offset whatever
//! is added later.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::positions::{fault, sync_folder};
use crate::alert::Fault;

/// Reads the manifest, appends those of `found` that are new, in order, and gives all paths by offset.
pub(super) fn update(manifest: &Path, found: Vec<PathBuf>) -> Result<Vec<PathBuf>, Fault> {
    let text = match fs::read_to_string(manifest) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) => return Err(fault(manifest, "can't read", &e)),
    };
    // A line without its end was being written when the process died. No offset of that run has been handed out before the
    // whole was durable, so it may be cut off.
    let whole = text.rfind('\n').map_or(0, |i| i + 1);
    let mut paths: Vec<PathBuf> = text[..whole].lines().map(PathBuf::from).collect();
    let known: HashSet<&PathBuf> = paths.iter().collect();
    let new: Vec<PathBuf> = found.into_iter().filter(|p| !known.contains(p)).collect();
    if !new.is_empty() || whole < text.len() {
        let mut lines = String::new();
        for path in &new {
            match path.to_str() {
                Some(name) if !name.contains(['\n', '\r']) => lines.extend([name, "\n"]),
                _ => {
                    return Err(Fault::environment(format!(
                        "{}: the name is not UTF-8 or has a line break in it; rename the file",
                        path.display()
                    )));
                }
            }
        }
        append(manifest, whole as u64, &lines).map_err(|e| fault(manifest, "can't write", &e))?;
    }
    paths.extend(new);
    Ok(paths)
}

fn append(manifest: &Path, whole: u64, lines: &str) -> std::io::Result<()> {
    let file: File = OpenOptions::new().create(true).append(true).open(manifest)?;
    file.set_len(whole)?;
    (&file).write_all(lines.as_bytes())?;
    file.sync_all()?;
    sync_folder(manifest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_file_keeps_its_offset_and_new_ones_follow() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("m");
        assert_eq!(update(&manifest, paths(&["/b", "/d"])).unwrap(), paths(&["/b", "/d"]));
        assert_eq!(update(&manifest, paths(&["/a", "/b", "/c"])).unwrap(), paths(&["/b", "/d", "/a", "/c"]));
        assert_eq!(fs::read_to_string(&manifest).unwrap(), "/b\n/d\n/a\n/c\n");
    }

    #[test]
    fn a_torn_line_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("m");
        fs::write(&manifest, "/a\n/bb").unwrap();
        assert_eq!(update(&manifest, paths(&["/a", "/bbb"])).unwrap(), paths(&["/a", "/bbb"]));
        assert_eq!(fs::read_to_string(&manifest).unwrap(), "/a\n/bbb\n");
    }

    #[test]
    fn a_name_that_would_break_the_lines_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(update(&folder.path().join("m"), paths(&["/a\nb"])).unwrap_err().message.contains("rename"));
    }
}
