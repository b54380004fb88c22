//! `skysluice catalog check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{DecimalBytes, HumanCount};
use serde_json::{Value, json};

use super::{Bar, opened};
use crate::catalog::Hits;
use crate::catalog::zones::ZoneIndex;
use crate::cli::{exit, print};

/// Sources of an index that are looked for at their own positions.
const SOUGHT: usize = 100_000;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The indexes.
    #[arg(value_name = "INDEX", required = true)]
    indexes: Vec<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks indexes.
pub fn run(args: &Args) -> ExitCode {
    let mut sound = true;
    let (mut text, mut all) = (String::new(), Vec::new());
    let bar = Bar::new("checked", Some(args.indexes.len() as u64));
    for path in &args.indexes {
        let result = check(path);
        bar.bar.inc(1);
        sound &= result.is_ok();
        let file = path.display();
        match result {
            Ok((index, sought)) => {
                let (sources, bytes, sections) = (index.len() as u64, index.bytes(), index.sections().len());
                all.push(json!({ "file": path, "whole": true, "sources": sources, "bytes": bytes, "sections": sections }));
                text += &format!(
                    "{file}: whole: {} sources, {sections} sections with their checksums, {}; {} sources are found where they are\n",
                    HumanCount(sources),
                    DecimalBytes(bytes),
                    HumanCount(sought as u64)
                );
            }
            Err(reason) => {
                all.push(json!({ "file": path, "whole": false, "reason": reason }));
                // The reason names the file.
                text += &format!("{reason}\n");
            }
        }
    }
    bar.clear();
    let printed = print(&if args.json { format!("{:#}\n", Value::Array(all)) } else { text });
    if sound { printed } else { ExitCode::from(exit::FAILED) }
}

fn check(path: &Path) -> Result<(ZoneIndex, usize), String> {
    let index = opened::index(path).map_err(|e| match e {
        super::Failure::Said(reason) => reason,
        super::Failure::Configuration(error) => error.to_string(),
    })?;
    index.verify().map_err(|e| e.to_string())?;
    let sought = seek(&index).map_err(|row| {
        let file = path.display();
        format!("zone index {file}: the source in row {row} is not found at its own position: build it again, and report this")
    })?;
    Ok((index, sought))
}

/// Looks for sources where they say to be, spread over the index; gives how many, or the row of one that is not there.
fn seek(index: &ZoneIndex) -> Result<usize, u32> {
    let count = index.len().min(SOUGHT);
    let row = |i: usize| (i as u64 * index.len() as u64 / count.max(1) as u64) as u32;
    let mut hits = Hits::default();
    for start in (0..count).step_by(1_024) {
        let rows: Vec<u32> = (start..count.min(start + 1_024)).map(row).collect();
        let positions: Vec<(f64, f64)> = rows.iter().map(|row| index.position(*row)).collect();
        index.search(&positions, 0.001, &mut hits);
        if let Some(query) = (0..rows.len()).find(|q| hits.of(*q).iter().all(|hit| hit.row != rows[*q])) {
            return Err(rows[query]);
        }
    }
    Ok(count)
}
