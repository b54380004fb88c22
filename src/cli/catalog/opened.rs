//! A catalogue that is searched from the command line: an index, or a table of which one is made for the moment.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::RecordBatch;

use super::columns::{carried, described};
use super::{Bar, Failure};
use crate::catalog::Hits;
use crate::catalog::make::{self, MakeOptions};
use crate::catalog::table::{Descriptor, IdColumn, Positions, Rejects, Table, TableError};
use crate::catalog::zones::{Column, Cones, Id, ZoneIndex};

/// Opens an index; what is no file, or none of ours, is said.
pub fn index(path: &Path) -> Result<ZoneIndex, Failure> {
    if path.is_dir() {
        return Err(Failure::Said(format!("{} is a folder: `skysluice catalog ls` shows what is in it", path.display())));
    }
    Ok(ZoneIndex::open(path)?)
}

/// A catalogue to search.
pub struct Opened {
    index: ZoneIndex,
}

impl Opened {
    /// Opens an index, or reads a table: that of a description, or a plain one whose columns are found by their names.
    pub fn open(path: &Path) -> Result<Opened, Failure> {
        let failed = |e: std::io::Error| Failure::Said(format!("catalogue {}: {e}", path.display()));
        if path.is_file() && ZoneIndex::is_index(path).map_err(failed)? {
            return Ok(Opened { index: ZoneIndex::open(path)? });
        }
        let (about, table) = if Descriptor::is_file(path) { described(path)? } else { (plain(path)?, path.to_owned()) };
        let folder = Folder::new().map_err(failed)?;
        let target = folder.0.join("catalog.skyz");
        let mut bar = Bar::new("read", None);
        let options = MakeOptions { checksums: false, ..MakeOptions::default() };
        let made = make::index(&[table], &about, &target, &options, &mut |progress| bar.show(progress));
        bar.clear();
        for warning in made?.warnings {
            eprintln!("warning: {}: {warning}", about.name);
        }
        // The file goes with the folder; who has it open keeps it.
        Ok(Opened { index: ZoneIndex::open(&target)? })
    }

    pub fn name(&self) -> &str {
        &self.index.meta().name
    }

    pub fn columns(&self) -> &[Column] {
        &self.index.meta().columns
    }

    /// Whether the sources have radii of their own.
    pub fn has_radii(&self) -> bool {
        !self.index.is_empty() && self.index.radius(0).is_some()
    }

    pub fn find(&self, cones: &Cones, hits: &mut Hits) {
        self.index.find(cones, hits);
    }

    pub fn id(&self, row: u32) -> Id<'_> {
        self.index.id(row)
    }

    pub fn position(&self, row: u32) -> (f64, f64) {
        self.index.position(row)
    }

    pub fn carried(&self, rows: &[u32]) -> RecordBatch {
        self.index.carried(rows)
    }

    pub fn covers(&self, ra: f64, dec: f64) -> Option<bool> {
        self.index.covers(ra, dec)
    }

    /// Epoch of its positions, and the epochs that its motions are kept for.
    pub fn epochs(&self) -> (f64, Option<(f64, f64)>) {
        (self.index.epoch(), self.index.meta().epochs)
    }
}

/// The description of a table without one, which carries all its columns; where none is one of ids, the number of the row is the
/// id.
pub fn plain(path: &Path) -> Result<Descriptor, Failure> {
    let mut about = Descriptor::plain(path);
    let table = Table::open(path, &about.dialect)?;
    let find = |about: &Descriptor| {
        let positions = Positions::new(&table, &about.columns, &[], Rejects::Count, 1)?;
        Ok::<_, TableError>(positions.own_columns().to_vec())
    };
    let own = match find(&about) {
        Ok(own) => own,
        Err(missing) => {
            about.columns.id = IdColumn::Row;
            // What is missing then is told as it was: it was not the id.
            find(&about).map_err(|_| missing)?
        }
    };
    let others = table.columns().iter().map(|column| carried(&column.name));
    about.carry = others.filter(|column| !own.contains(&column.column) && !column.is_pattern()).collect();
    Ok(about)
}

/// A folder of our own that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skysluice-catalog-{}-{number}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
