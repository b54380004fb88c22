//! `skysluice catalog ls`.

use std::path::{Path, PathBuf};

use indicatif::{DecimalBytes, HumanCount};
use serde_json::{Value, json};

use super::show::{self, Shown};
use super::{Failure, opened};
use crate::catalog::table::{Descriptor, IdColumn, Table};
use crate::catalog::zones::ZoneIndex;

/// Rows up to which a k-d tree in memory serves as well as an index.
const TREE: u64 = 2_000_000;

/// Of a description that can be used for any table.
const NO_TABLE: &str = "without a table: give it with --describe";

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folders; a file is looked at by itself.
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Something that can be a catalogue.
struct Entry {
    file: PathBuf,
    kind: &'static str,
    name: String,
    version: String,
    rows: Option<u64>,
    bytes: Option<u64>,
    engine: &'static str,
    /// What keeps it from being one, or is to be known.
    note: String,
}

/// Lists catalogues.
pub fn run(args: &Args) -> Result<String, Failure> {
    let mut entries = Vec::new();
    for folder in &args.folders {
        let failed = |e: std::io::Error| Failure::Said(format!("{}: {e}", folder.display()));
        if !folder.is_dir() {
            let found = std::fs::metadata(folder).map_err(failed).map(|_| entry(folder))?;
            entries.extend(found.or_else(|| Some(stranger(folder))));
            continue;
        }
        let mut paths = Vec::new();
        for file in std::fs::read_dir(folder).map_err(failed)? {
            paths.push(file.map_err(failed)?.path());
        }
        paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_'])));
        paths.sort();
        entries.extend(paths.iter().filter_map(|path| entry(path)));
    }
    Ok(if args.json { format!("{:#}\n", as_json(&entries)) } else { as_text(&entries) })
}

fn stranger(file: &Path) -> Entry {
    let note = "no index, description or table of positions".to_owned();
    Entry { note, ..blank(file, "-") }
}

fn blank(file: &Path, kind: &'static str) -> Entry {
    let bytes = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|about| about.len());
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Entry { file: file.to_owned(), kind, name, version: String::new(), rows: None, bytes, engine: "-", note: String::new() }
}

/// What a file or folder is; none when it can be no catalogue.
fn entry(file: &Path) -> Option<Entry> {
    if file.is_file() && ZoneIndex::is_index(file).ok()? {
        let blank = blank(file, "index");
        return Some(match ZoneIndex::open(file) {
            Ok(index) => {
                let meta = index.meta();
                let (name, version) = (meta.name.clone(), meta.version.clone());
                Entry { name, version, rows: Some(index.len() as u64), engine: "zones", ..blank }
            }
            Err(error) => Entry { note: error.to_string(), ..blank },
        });
    }
    if Descriptor::is_file(file) {
        let about = Descriptor::load(file).ok()?;
        let blank = blank(file, "description");
        let (name, version) = (about.name.clone(), about.version.clone().unwrap_or_default());
        let entry = Entry { name, version, ..blank };
        return Some(match about.path.clone() {
            None => Entry { note: NO_TABLE.to_owned(), bytes: None, ..entry },
            Some(path) => match about.positions(&path) {
                Ok((table, _)) => Entry { rows: table.rows(), bytes: bytes(&table), engine: engine(table.rows()), ..entry },
                Err(error) => Entry { note: error.to_string(), ..entry },
            },
        });
    }
    let about = opened::plain(file).ok()?;
    let table = Table::open(file, &about.dialect).ok()?;
    let id = if about.columns.id == IdColumn::Row { ", no column of ids" } else { "" };
    Some(Entry {
        name: about.name,
        rows: table.rows(),
        bytes: bytes(&table),
        engine: engine(table.rows()),
        note: format!("{}, {} columns{id}", table.format().name(), table.columns().len()),
        ..blank(file, "table")
    })
}

fn bytes(table: &Table) -> Option<u64> {
    table.files().iter().map(|file| std::fs::metadata(file).ok().map(|about| about.len())).sum()
}

/// What a table is searched with when nothing else is asked for.
fn engine(rows: Option<u64>) -> &'static str {
    match rows {
        Some(rows) if rows < TREE => "kdtree",
        Some(_) => "zones",
        None => "auto",
    }
}

fn as_text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "there are no indexes, descriptions or tables of positions\n".to_owned();
    }
    let of = |cell: &dyn Fn(&Entry) -> String| entries.iter().map(cell).collect::<Vec<_>>();
    let file = |e: &Entry| e.file.file_name().map_or_else(|| e.file.display().to_string(), |n| n.to_string_lossy().into_owned());
    let columns = [
        Shown::texts("file", of(&file)),
        Shown::texts("kind", of(&|e| e.kind.to_owned())),
        Shown::texts("name", of(&|e| e.name.clone())),
        Shown::texts("version", of(&|e| e.version.clone())),
        Shown::numbers("rows", of(&|e| e.rows.map_or_else(|| "-".to_owned(), |rows| HumanCount(rows).to_string()))),
        Shown::numbers("size", of(&|e| e.bytes.map_or_else(|| "-".to_owned(), |bytes| DecimalBytes(bytes).to_string()))),
        Shown::texts("engine", of(&|e| e.engine.to_owned())),
    ];
    let mut out = show::table(&columns);
    let free: Vec<String> = entries.iter().filter(|e| e.note == NO_TABLE).map(file).collect();
    if !free.is_empty() {
        out += &format!("descriptions {NO_TABLE}: {}\n", free.join(", "));
    }
    for entry in entries.iter().filter(|e| e.kind != "table" && !e.note.is_empty() && e.note != NO_TABLE) {
        out += &format!("{}: {}\n", file(entry), entry.note);
    }
    out
}

fn as_json(entries: &[Entry]) -> Value {
    let one = |e: &Entry| {
        json!({ "file": e.file, "kind": e.kind, "name": e.name, "version": e.version, "rows": e.rows, "bytes": e.bytes,
            "engine": e.engine, "note": e.note })
    };
    Value::Array(entries.iter().map(one).collect())
}
