//! Opening a catalogue: a zone index is mapped; a table, or the one that a description names, is read into memory while it is
//! small, and indexed once into a file of the cache when it is not.

use std::path::{Path, PathBuf};

use super::memory::Memory;
use super::table::{Carried, Descriptor};
use super::zones::ZoneIndex;
use super::{Catalog, CatalogError, Held, cache};
use crate::config::Engine;

/// Sources up to which a table is kept in memory when nothing else is asked for: there the tree is as fast as the zones, and is
/// built in a tenth of a second.
pub(super) const SMALL: usize = 100_000;

/// The usual name of the column of radii.
const RADIUS: &str = "radius";

/// Sources that are kept in memory at most, whatever is asked for.
const LARGEST: usize = 50_000_000;

/// Which catalogue is to be opened, and how.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// A zone index, a table, or a description of one.
    pub path: PathBuf,
    /// Name in annotations; otherwise that of the index or the description, or of the file without its ending.
    pub id: Option<String>,
    /// What the search runs on.
    pub engine: Engine,
    /// Columns that a table without a description brings along. An index and a description say it themselves.
    pub carry: Vec<Carried>,
    /// Folder for indexes of large tables; without one a large table is refused.
    pub cache: Option<PathBuf>,
    /// Whether sources have to have radii of their own: in the column `radius` where a description names no other.
    pub radii: bool,
}

impl Opening {
    /// A file as it is.
    #[must_use]
    pub fn of(path: &Path) -> Opening {
        Opening { path: path.to_owned(), ..Opening::default() }
    }

    /// The files whose change makes another catalogue of it.
    #[must_use]
    pub fn watched(&self) -> Vec<PathBuf> {
        let mut watched = vec![self.path.clone()];
        // A description that is wrong is told when it is opened.
        watched.extend(self.description().ok().and_then(|d| d.path).filter(|path| *path != self.path));
        watched
    }

    /// Whether the catalogue itself says which columns it carries.
    #[must_use]
    pub fn says_columns(&self) -> bool {
        Descriptor::is_file(&self.path) || is_index(&self.path).unwrap_or(false)
    }

    /// The description of a table: its own file, or what is assumed of a table without one.
    ///
    /// # Errors
    /// When the description is wrong or names no file.
    pub(super) fn description(&self) -> Result<Descriptor, CatalogError> {
        let mut descriptor = match Descriptor::is_file(&self.path) {
            true => Descriptor::load(&self.path)?,
            false => Descriptor { carry: self.carry.clone(), ..Descriptor::plain(&self.path) },
        };
        if descriptor.path.is_none() {
            return Err(CatalogError::NoPath { path: self.path.clone() });
        }
        if self.radii {
            descriptor.columns.radius.get_or_insert_with(|| RADIUS.to_owned());
        }
        Ok(descriptor)
    }
}

impl Catalog {
    /// Opens a catalogue.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or does not fit the engine that is asked for.
    pub fn open(opening: &Opening) -> Result<Catalog, CatalogError> {
        if is_index(&opening.path)? {
            let index = ZoneIndex::open(&opening.path)?;
            return match opening.engine {
                Engine::Auto | Engine::Zones => Ok(indexed(index, opening)),
                Engine::KdTree => {
                    let reason = "it is a zone index, which has no k-d tree: name the table, or leave `engine` out".to_owned();
                    Err(CatalogError::Unfit { path: opening.path.clone(), reason })
                }
            };
        }
        let descriptor = opening.description()?;
        let limit = match opening.engine {
            Engine::Auto => SMALL,
            Engine::Zones => 0,
            Engine::KdTree => LARGEST,
        };
        if let Some(index) = cache::ready(opening, &descriptor, limit)? {
            return Ok(indexed(index, opening));
        }
        if let Some(catalog) = in_memory(opening, &descriptor, limit)? {
            return Ok(catalog);
        }
        match &opening.cache {
            Some(folder) if opening.engine != Engine::KdTree => {
                let (index, warnings) = cache::build(opening, &descriptor, folder)?;
                Ok(Catalog { warnings, ..indexed(index, opening) })
            }
            _ => Err(CatalogError::Large { path: opening.path.clone(), rows: limit }),
        }
    }
}

fn indexed(index: ZoneIndex, opening: &Opening) -> Catalog {
    let id = opening.id.clone().unwrap_or_else(|| index.meta().name.clone());
    let warnings = if index.is_empty() { vec!["it holds no source: nothing will match".to_owned()] } else { Vec::new() };
    Catalog { id, held: Held::Zones(Box::new(index)), warnings }
}

/// Reads a table into memory; nothing when it has more rows than that.
fn in_memory(opening: &Opening, descriptor: &Descriptor, limit: usize) -> Result<Option<Catalog>, CatalogError> {
    if limit == 0 {
        return Ok(None);
    }
    let file = descriptor.path.as_deref().unwrap_or(&opening.path);
    let (table, mut positions) = descriptor.positions(file)?;
    if table.rows().is_some_and(|rows| rows > limit as u64) {
        return Ok(None);
    }
    let (mut parts, mut rows) = (Vec::new(), 0);
    for part in &mut positions {
        let part = part?;
        rows += part.ra.len();
        if rows > limit {
            return Ok(None);
        }
        parts.push(part);
    }
    let warnings = positions.report().warnings();
    let epoch = positions.epoch().unwrap_or(2000.0);
    let memory = Memory::new(parts, epoch, descriptor.version.clone().unwrap_or_default())?;
    let id = opening.id.clone().unwrap_or_else(|| descriptor.name.clone());
    Ok(Some(Catalog { id, held: Held::Memory(Box::new(memory)), warnings }))
}

/// Whether a file begins as a zone index does.
fn is_index(path: &Path) -> Result<bool, CatalogError> {
    let about = std::fs::metadata(path).map_err(|source| CatalogError::Open { path: path.to_owned(), source })?;
    let found = if about.is_dir() { Ok(false) } else { ZoneIndex::is_index(path) };
    found.map_err(|source| CatalogError::Open { path: path.to_owned(), source })
}
