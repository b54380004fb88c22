//! `skysluice catalog info`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use indicatif::{DecimalBytes, HumanCount};
use serde_json::{Value, json};

use super::show::{self, Shown};
use super::{Failure, opened};
use crate::catalog::zones::{Meta, ZoneIndex};
use crate::inspect::visible;

/// Source files that are told of one by one.
const FILES: usize = 10;

/// Arguments of `info`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The index.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// First rows that are shown.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: u32,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Shows an index.
pub fn run(args: &Args) -> Result<String, Failure> {
    let index = opened::index(&args.index)?;
    let rows: Vec<u32> = (0..args.rows.min(index.len() as u32)).collect();
    Ok(match args.json {
        true => format!("{:#}\n", as_json(&args.index, &index, &rows)),
        false => as_text(&args.index, &index, &rows),
    })
}

/// Bytes of the file for each source.
fn each(index: &ZoneIndex) -> Option<f64> {
    (!index.is_empty()).then(|| index.bytes() as f64 / index.len() as f64)
}

fn as_text(path: &Path, index: &ZoneIndex, rows: &[u32]) -> String {
    let meta = index.meta();
    let word = |key: &str| meta.build.get(key).map(|text| visible(text));
    let mut out = visible(&meta.name);
    if !meta.version.is_empty() {
        out += &format!(", version {}", visible(&meta.version));
    }
    if let Some(title) = word("title") {
        out += &format!(": {title}");
    }
    out.push('\n');
    // Writing to a string cannot fail.
    let mut line = |what: &str, text: String| {
        let _ = writeln!(out, "  {what:<10} {text}");
    };
    let size = each(index).map_or_else(String::new, |each| format!(", {each:.1} bytes a source"));
    line("file", format!("{}, {}{size}", path.display(), DecimalBytes(index.bytes())));
    line("sources", format!("{}, {}", HumanCount(index.len() as u64), ids(meta)));
    let error = index.position_error();
    let exact = if error > 0.0 { format!("right to {:.2} mas", error * 1e3) } else { "exact".to_owned() };
    line("positions", format!("ICRS, epoch {:.1}, {exact}{}", index.epoch(), radii(index)));
    line("motion", motion(index));
    line("footprint", footprint(index));
    line("left out", rejects(meta));
    for (key, what) in [("licence", "licence"), ("citation", "citation"), ("url", "from")] {
        if let Some(text) = word(key) {
            line(what, text);
        }
    }
    let (zones, cells) = index.zones_and_cells();
    let program = word("program").unwrap_or_default();
    line("built by", format!("{program}: {} zones, {} cells", HumanCount(zones), HumanCount(cells)));
    let sections: Vec<String> = index.sections().iter().map(|(name, len)| format!("{name} {}", DecimalBytes(*len))).collect();
    line("sections", sections.join(", "));
    if !meta.columns.is_empty() {
        let of = |cell: fn(&crate::catalog::zones::Column) -> String| meta.columns.iter().map(cell).collect::<Vec<_>>();
        let columns = [
            Shown::texts("column", of(|c| c.name.clone())),
            Shown::texts("type", of(|c| c.kind.clone())),
            Shown::texts("unit", of(|c| c.unit.clone())),
        ];
        out += &format!("\n{}", show::table(&columns));
    }
    let files = &meta.sources[..meta.sources.len().min(FILES)];
    if !files.is_empty() {
        let columns = [
            Shown::texts("made of", files.iter().map(|f| f.name.clone())),
            Shown::numbers("bytes", files.iter().map(|f| HumanCount(f.bytes).to_string())),
            Shown::texts("checksum", files.iter().map(|f| f.checksum.clone())),
        ];
        out += &format!("\n{}", show::table(&columns));
        if meta.sources.len() > FILES {
            out += &format!("and {} more files; --json names them\n", meta.sources.len() - FILES);
        }
    }
    if !rows.is_empty() {
        out += &format!("\nfirst rows\n{}", show::table(&show::rows(index, rows)));
    }
    out
}

fn ids(meta: &Meta) -> &'static str {
    match meta.id.as_str() {
        "int64" => "ids are numbers",
        "utf8" => "ids are texts",
        "row" => "the id is the number of the row in the input, from 0",
        _ => "no ids: the number of the row in the index, from 0",
    }
}

fn radii(index: &ZoneIndex) -> &'static str {
    let with = !index.is_empty() && index.radius(0).is_some();
    if with { "; each source has a radius of its own" } else { "" }
}

fn motion(index: &ZoneIndex) -> String {
    match index.meta().epochs {
        None => "none: sources stay where they are".to_owned(),
        Some((from, to)) => format!(
            "{} sources move by more than {} arcsec between {from} and {to}: they are found where they are then",
            HumanCount(index.movers()),
            index.meta().tolerance
        ),
    }
}

fn footprint(index: &ZoneIndex) -> String {
    match (index.sky_share(), index.meta().footprint_order) {
        (Some(share), Some(order)) => {
            format!("{:.2} % of the sky ({:.0} square degrees), HEALPix order {order}", share * 100.0, share * 41_252.961_25)
        }
        _ => "not known: there are too few sources to tell it from them".to_owned(),
    }
}

fn rejects(meta: &Meta) -> String {
    let rejects = &meta.rejects;
    let mut text = format!("{} rows", HumanCount(rejects.total()));
    let first = rejects.places.iter().take(3).map(|place| visible(place)).collect::<Vec<_>>();
    if !first.is_empty() {
        text += &format!(": {}", first.join("; "));
        if rejects.total() > first.len() as u64 {
            text += "; ...";
        }
    }
    text
}

fn as_json(path: &Path, index: &ZoneIndex, rows: &[u32]) -> Value {
    let meta = index.meta();
    let (zones, cells) = index.zones_and_cells();
    let carried = index.carried(rows);
    let first: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(i, &row)| {
            let (ra, dec) = index.position(row);
            let radius = index.radius(row);
            json!({ "id": show::id(index.id(row)), "ra": ra, "dec": dec, "radius_arcsec": radius, "columns": show::columns(&carried, i) })
        })
        .collect();
    let sections: Vec<Value> = index.sections().iter().map(|(name, len)| json!({ "name": name, "bytes": len })).collect();
    json!({
        "file": path, "name": meta.name, "version": meta.version, "sources": index.len(), "movers": index.movers(),
        "bytes": index.bytes(), "bytes_per_source": each(index), "epoch": index.epoch(), "ids": meta.id,
        "position_error_arcsec": index.position_error(), "zones": zones, "cells": cells,
        "footprint": { "sky_share": index.sky_share(), "order": meta.footprint_order },
        "motion": meta.epochs.map(|epochs| json!({ "epochs": epochs, "tolerance_arcsec": meta.tolerance })),
        "columns": meta.columns, "files": meta.sources,
        "rejects": { "total": meta.rejects.total(), "first": meta.rejects.places },
        "build": meta.build, "sections": sections, "first_rows": first,
    })
}
