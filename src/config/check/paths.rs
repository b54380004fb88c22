//! Where paths of a configuration lead.
//!
//! One rule: what is read is looked for in the folder of the file, then in the working directory; what is written is relative
//! to the folder of the file.

use std::path::{Component, Path, PathBuf};

use super::Checker;
use crate::config::at::At;
use crate::config::problem::{ConfigError, Problem};

/// Largest text file that is read, bytes: a thousand times what anyone writes by hand.
const LARGEST: u64 = 16 << 20;

/// What a configuration may refer to outside of itself.
pub struct Surroundings {
    /// The working directory, absolute.
    pub folder: PathBuf,
    /// The system's configuration folder.
    pub system: PathBuf,
    /// Variables of the environment.
    pub variable: fn(&str) -> Option<String>,
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    ///
    /// The working directory is gone.
    pub fn here(file: &Path) -> Result<Self, ConfigError> {
        let folder = std::env::current_dir().map_err(|error| {
            let help = "change to a folder that exists";
            ConfigError::new(vec![Problem::of_file(file, format!("the working directory cannot be read: {error}"), help)])
        })?;
        Ok(Self { folder, system: PathBuf::from("/etc/skysluice"), variable: |name| std::env::var(name).ok() })
    }
}

/// Reads a text file of a sensible size.
///
/// # Errors
///
/// A problem of the file as a whole.
pub fn read(path: &Path) -> Result<String, Problem> {
    let problem = |message: String, help: &str| Problem::of_file(path, message, help);
    let shown = path.display();
    let size = std::fs::metadata(path)
        .map_err(|error| problem(format!("cannot read {shown}: {error}"), "check the path and the rights of its folders"))?
        .len();
    if size > LARGEST {
        return Err(problem(format!("{shown} has {size} bytes, more than any configuration or schema"), ""));
    }
    let bytes = std::fs::read(path)
        .map_err(|error| problem(format!("cannot read {shown}: {error}"), "it must be a file that this user may read"))?;
    String::from_utf8(bytes).map_err(|error| {
        problem(format!("{shown} is not UTF-8 text at byte {}", error.utf8_error().valid_up_to()), "save it as UTF-8")
    })
}

/// Looks for a relative path in two folders.
///
/// # Errors
///
/// The places tried, as a text.
pub fn look(path: &str, first: &Path, second: &Path) -> Result<PathBuf, String> {
    let mut tried: Vec<PathBuf> = Vec::new();
    for folder in [first, second] {
        let place = normal(&folder.join(path));
        if base(&place).exists() {
            return Ok(place);
        }
        if !tried.contains(&place) {
            tried.push(place);
        }
    }
    Err(tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and "))
}

/// The part of a pattern that has no wildcard, which must exist; a path without one is its own.
fn base(path: &Path) -> PathBuf {
    if path.exists() {
        return path.to_owned();
    }
    let plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    path.components().take_while(plain).collect()
}

/// A path without `.` and `..`, by its text alone: what is compared need not exist yet.
#[must_use]
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() && !normal.has_root() {
                    normal.push("..");
                }
            }
            part => normal.push(part),
        }
    }
    normal
}

impl Checker<'_> {
    /// Something that is read: it must exist.
    pub(super) fn input(&mut self, path: &At<String>, what: &str) -> Option<PathBuf> {
        if self.is_empty(path) {
            return None;
        }
        match look(&path.value, &self.folder, &self.around.folder) {
            Ok(found) => Some(found),
            Err(tried) => {
                let message = format!("the {what} `{}` does not exist", path.value);
                self.problem(path.place, message, format!("tried {tried}"));
                None
            }
        }
    }

    /// Something that is written: it need not exist.
    pub(super) fn output(&mut self, path: &At<String>) -> PathBuf {
        self.is_empty(path);
        normal(&self.folder.join(&path.value))
    }

    fn is_empty(&mut self, path: &At<String>) -> bool {
        let empty = path.value.trim().is_empty() || path.value.contains('\0');
        if empty {
            self.problem(path.place, "the path is empty", "write the path of a file or folder");
        }
        empty
    }
}
