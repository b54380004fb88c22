//! Where the conditions and the paths of a configuration are written, so that what is found later, when they are bound to
//! schemas, is still shown at its place in the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::at::Place;
use super::checked::{ColumnChoice, Settings, StepKind};
use super::problem::{ConfigError, Problem, Shown};

/// A condition or a path of a configuration. All counts begin at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// The expression of a `cut`, by component and step.
    Step(usize, usize),
    /// The `where` of an output, by component and entry of `publish`.
    Publish(usize, usize),
    /// A path of the columns of the archive, by component and entry of the list.
    Column(usize, usize),
}

/// Where the conditions are written.
#[derive(Clone, Default)]
pub struct Spots {
    shown: Shown,
    places: BTreeMap<Spot, Place>,
}

impl fmt::Debug for Spots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.places).finish()
    }
}

impl Spots {
    /// The conditions of a file.
    #[must_use]
    pub fn new(shown: Shown, places: BTreeMap<Spot, Place>) -> Self {
        Self { shown, places }
    }
}

impl Settings {
    /// An error of a condition: `offset` is where in the expression it is, in bytes. The word there is marked.
    #[must_use]
    pub fn problem_at(&self, spot: Spot, message: impl Into<String>, help: impl Into<String>, offset: usize) -> ConfigError {
        let condition = self.condition(spot).unwrap_or_default();
        let problem = match self.spots.places.get(&spot) {
            Some(&place) => {
                let place = match spot {
                    Spot::Column(..) => place,
                    Spot::Step(..) | Spot::Publish(..) => inside(self.spots.shown.at(place), place, &condition, offset),
                };
                self.spots.shown.problem(place, message, help)
            }
            // Settings made without a file: the condition itself is all that there is to show.
            None => Problem::of_file(&self.file, format!("{} (in `{condition}`)", message.into()), help),
        };
        ConfigError::new(vec![problem])
    }

    fn condition(&self, spot: Spot) -> Option<Cow<'_, str>> {
        match spot {
            Spot::Step(component, index) => match &self.components.get(component)?.steps.get(index)?.kind {
                StepKind::Cut { condition } => Some(condition.into()),
                // The place of such a step is that of the whole.
                StepKind::Crossmatch { .. }
                | StepKind::Classify { .. }
                | StepKind::Watchlist { .. }
                | StepKind::Region { .. } => None,
            },
            Spot::Publish(component, index) => {
                self.components.get(component)?.publish.get(index)?.condition.as_deref().map(Cow::from)
            }
            Spot::Column(component, index) => match &self.components.get(component)?.archive.as_ref()?.columns {
                ColumnChoice::These(paths) => Some(paths.get(index)?.to_string().into()),
                ColumnChoice::All | ColumnChoice::AllExceptCutouts => None,
            },
        }
    }
}

/// The place of the word at `offset` of a value, or of the whole value where it is written with escapes or over several lines.
fn inside(written: &str, place: Place, value: &str, offset: usize) -> Place {
    let quote = usize::from(written.starts_with(['"', '\'']));
    if !written[quote..].starts_with(value) {
        return place;
    }
    let Some(rest) = value.get(offset..) else { return place };
    let len = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
    Place { offset: place.offset + quote + offset, len: len.max(1) }
}
