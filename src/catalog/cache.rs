//! Indexes of tables that are too large for memory: made when such a table is first opened, found again as long as table and
//! description stay as they are.
//!
//! **Invariant:** the name of an index tells what it was made of: path, sizes and times of the files, description, columns. So
//! an index that is there is right, and one that is not wanted any more is removed by the next one of the same table.

use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::make::{self, ENDING, MakeOptions};
use super::table::Descriptor;
use super::zones::ZoneIndex;
use super::{CatalogError, Opening};

/// Memory of a build: what a service can spare before it takes alerts.
const MEMORY: u64 = 256 << 20;

/// The index of a table, when it has been made. With `limit` rows at most a table needs none.
pub(super) fn ready(opening: &Opening, descriptor: &Descriptor, limit: usize) -> Result<Option<ZoneIndex>, CatalogError> {
    let Some(folder) = opening.cache.as_deref().filter(|_| limit <= super::open::SMALL) else { return Ok(None) };
    let place = place(folder, opening, descriptor)?.file;
    if !place.exists() {
        return Ok(None);
    }
    match ZoneIndex::open(&place) {
        Ok(index) => Ok(Some(index)),
        Err(error) => {
            tracing::warn!("{error}; it is made again");
            Ok(None)
        }
    }
}

/// Makes the index of a table; with it come warnings about the table.
pub(super) fn build(opening: &Opening, descriptor: &Descriptor, folder: &Path) -> Result<(ZoneIndex, Vec<String>), CatalogError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CatalogError::Open { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let place = place(folder, opening, descriptor)?;
    let table = descriptor.path.as_deref().unwrap_or(&opening.path);
    tracing::info!(table = %table.display(), index = %place.file.display(), "a large table: its index is made once");
    let options = MakeOptions { memory: MEMORY, checksums: false, replace: true, ..MakeOptions::default() };
    let made = make::index(&[table.to_owned()], descriptor, &place.file, &options, &mut |_| {})?;
    let older = |name: &str| name.starts_with(&place.of_table) && name.ends_with(&format!(".{ENDING}"));
    for entry in std::fs::read_dir(folder).map_err(failed(folder))?.flatten() {
        if older(&entry.file_name().to_string_lossy()) && entry.path() != place.file {
            // Whoever has it open keeps it.
            std::fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
        }
    }
    Ok((ZoneIndex::open(&place.file)?, made.warnings))
}

/// Where the index of a table is kept.
struct Place {
    file: PathBuf,
    /// What the names of all indexes of this table begin with.
    of_table: String,
}

fn place(folder: &Path, opening: &Opening, descriptor: &Descriptor) -> Result<Place, CatalogError> {
    let table = descriptor.path.as_deref().unwrap_or(&opening.path);
    let mut whose = Xxh3Default::new();
    whose.write(table.canonicalize().unwrap_or_else(|_| table.to_owned()).as_os_str().as_encoded_bytes());
    // Two names for one table may carry different columns.
    whose.write(format!("{:?}", (&descriptor.columns, &descriptor.carry, &descriptor.dialect)).as_bytes());
    let mut what = Xxh3Default::new();
    // Another format of indexes, or another way of making them, is another content.
    what.write(format!("1 {:?} {descriptor:?}", MakeOptions::default()).as_bytes());
    stamp(table, &mut what)?;
    let of_table = format!("{}-{:08x}-", descriptor.name.replace(['/', '\\'], "_"), whose.finish() as u32);
    Ok(Place { file: folder.join(format!("{of_table}{:016x}.{ENDING}", what.finish())), of_table })
}

/// Sizes and times of a file, or of all files of a folder.
fn stamp(path: &Path, hash: &mut impl Hasher) -> Result<(), CatalogError> {
    let failed = |source| CatalogError::Open { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_dir() {
        hash.write_u64(about.len());
        hash.write_i64(about.mtime());
        hash.write_i64(about.mtime_nsec());
        return Ok(());
    }
    let mut below: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    below.sort();
    for entry in below {
        hash.write(entry.as_os_str().as_encoded_bytes());
        stamp(&entry, hash)?;
    }
    Ok(())
}
