//! Building an index, second pass: the sections, each appended in its place, and the first page at the very end.
//!
//! How long each section is follows from what the first pass has counted, so all places are known before the first row is
//! sorted, and units can be written as they come.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use xxhash_rust::xxh3::Xxh3Default;

use super::build::{Builder, Footprint, Found, Keep, Progress, Stock};
use super::classes::Class;
use super::footprint::{self, Cells};
use super::format::{Header, Kind, Meta, PAGE, Section};
use super::sort::{Sorted, Sorter, Unit};
use super::{ZoneError, grid};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;

/// A section that is being appended to.
struct Output<'a> {
    file: &'a File,
    path: &'a Path,
    kind: Kind,
    offset: u64,
    /// Bytes so far.
    len: u64,
    sum: Xxh3Default,
    buffer: Vec<u8>,
}

impl<'a> Output<'a> {
    fn new(file: &'a File, path: &'a Path, kind: Kind, offset: u64) -> Self {
        Output { file, path, kind, offset, len: 0, sum: Xxh3Default::new(), buffer: Vec::new() }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), ZoneError> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.put(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ZoneError> {
        self.sum.update(bytes);
        self.file.write_all_at(bytes, self.offset + self.len).map_err(ZoneError::io("write", self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ZoneError> {
        let buffer = std::mem::take(&mut self.buffer);
        self.put(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// The entry of the table.
    fn finish(mut self) -> Result<Section, ZoneError> {
        self.flush()?;
        Ok(Section { kind: self.kind as u32, offset: self.offset, len: self.len, checksum: self.sum.digest() })
    }
}

/// The directory of all classes, as far as the counts of the first pass give it.
struct Directory {
    classes: Vec<Class>,
    /// First cell of each zone, by class; and what follows.
    zone_first: Vec<u32>,
    zone_base: Vec<u32>,
    cells: u64,
    rows: u64,
}

impl Directory {
    fn plan(found: &[Found], rows_per_cell: u32) -> Result<Directory, ZoneError> {
        let mut out = Directory { classes: Vec::new(), zone_first: Vec::new(), zone_base: Vec::new(), cells: 0, rows: 0 };
        for class in found {
            let held = class.strips.iter().filter(|s| **s > 0).count().max(1) as f64;
            let shift = grid::shift_for(class.rows, rows_per_cell, held / class.strips.len() as f64);
            let first_zone = out.zone_first.len() as u64;
            let (radius, motion) = (class.radius, class.motion);
            out.classes.push(Class { first_row: out.rows, rows: class.rows, first_zone, shift, radius, motion });
            for strips in class.strips.chunks(1 << (shift - grid::MIN_SHIFT)) {
                out.zone_first.push(fits(out.cells)?);
                out.zone_base.push(fits(out.rows)?);
                let rows = strips.iter().map(|s| u64::from(*s)).sum();
                out.cells += grid::cells(rows, rows_per_cell);
                out.rows += rows;
            }
            out.zone_first.push(fits(out.cells)?);
            out.zone_base.push(fits(out.rows)?);
        }
        Ok(out)
    }
}

fn fits(number: u64) -> Result<u32, ZoneError> {
    u32::try_from(number).map_err(|_| ZoneError::TooMany)
}

/// The sections that grow with the units.
struct Growing<'a> {
    offsets: Output<'a>,
    rows: Output<'a>,
    payload: Output<'a>,
    movers: Output<'a>,
    radii: Output<'a>,
    order: Output<'a>,
    /// Rows and cells so far, over all classes.
    row: u32,
    cell: u32,
}

impl Growing<'_> {
    /// Appends a unit of a class.
    fn append(&mut self, class: &Class, directory: &Directory, sorted: &Sorted) -> Result<(), ZoneError> {
        let firsts = &directory.zone_first[class.first_zone as usize..];
        let first = self.row;
        for &[ra, dec] in &sorted.rows {
            let zone = (dec >> class.shift) as usize;
            let cell = firsts[zone] + grid::cell(ra, firsts[zone + 1] - firsts[zone]);
            self.reach(cell)?;
            self.row += 1;
        }
        self.rows.append(bytemuck::cast_slice(&sorted.rows))?;
        self.payload.append(&sorted.payload)?;
        self.radii.append(&sorted.radii)?;
        self.order.append(bytemuck::cast_slice(&sorted.order))?;
        if class.motion > 0.0 {
            for (row, motion) in (u64::from(first)..).zip(sorted.motions.chunks_exact(16)) {
                self.movers.append(&row.to_le_bytes())?;
                self.movers.append(motion)?;
            }
        }
        Ok(())
    }

    /// All cells up to this one begin at the next row, where they have not begun yet.
    #[inline]
    fn reach(&mut self, cell: u32) -> Result<(), ZoneError> {
        while self.cell <= cell {
            self.offsets.append(&self.row.to_le_bytes())?;
            self.cell += 1;
        }
        Ok(())
    }
}

/// Writes the whole index and gives it its name.
pub(super) fn index(builder: &Builder, mut stock: Stock, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Meta, ZoneError> {
    let options = &builder.options;
    stock.spill.finish()?;
    let path = builder.folder.join("index");
    let file = File::options().write(true).create_new(true).open(&path).map_err(ZoneError::io("create", &path))?;

    // The classes in their order, each with its number in the spill.
    let mut numbered: Vec<(usize, Found)> = stock.classes.into_iter().enumerate().collect();
    numbered.sort_by_key(|(_, found)| found.key);
    let (numbers, found): (Vec<usize>, Vec<Found>) = numbered.into_iter().unzip();
    let directory = Directory::plan(&found, options.rows_per_cell)?;
    let (rows, stride) = (directory.rows, stock.spill.record.stride);
    let movers: u64 = found.iter().filter(|c| c.motion > 0.0).map(|c| c.rows).sum();
    let (heap, heap_len) = stock.heap.finish()?;

    let mut end = PAGE as u64;
    let mut place = |kind: Kind, len: u64| {
        let output = Output::new(&file, &path, kind, end);
        end = (end + len).next_multiple_of(PAGE as u64);
        output
    };
    let mut classes = place(Kind::Classes, (directory.classes.len() * super::classes::CLASS) as u64);
    let mut zone_first = place(Kind::ZoneFirst, 4 * directory.zone_first.len() as u64);
    let mut zone_base = place(Kind::ZoneBase, 4 * directory.zone_base.len() as u64);
    let offsets = place(Kind::CellOffsets, 4 * (directory.cells + 1));
    let row_section = place(Kind::Rows, 8 * rows);
    let payload = place(Kind::Payload, rows * stride as u64);
    let mut texts = place(Kind::Heap, heap_len);
    let moving = place(Kind::Movers, 24 * movers);
    let radii = place(Kind::Radii, if stock.radius { 8 * rows } else { 0 });
    let order = place(Kind::Order, if options.keep == Keep::RowNumbers { 4 * rows } else { 0 });
    let mut growing = Growing { offsets, rows: row_section, payload, movers: moving, radii, order, row: 0, cell: 0 };

    for class in &directory.classes {
        classes.append(&class.write())?;
    }
    zone_first.append(bytemuck::cast_slice(&directory.zone_first))?;
    zone_base.append(bytemuck::cast_slice(&directory.zone_base))?;
    copy(&heap, heap_len, &mut texts)?;

    let estimate = matches!(options.footprint, Footprint::Estimate);
    let sorter = Sorter { spill: &stock.spill, footprint: estimate.then(Cells::new), order: options.keep == Keep::RowNumbers };
    let mut report = |done: u64| progress(Progress { done, total: rows });
    for (class, number) in directory.classes.iter().zip(numbers) {
        // Two waves are in memory at a time: one is sorted while the other is written.
        let units = sorter.units(number, class.shift, options.memory / 8 * 3)?;
        waves(&sorter, &units, options.memory / 8 * 3, |sorted| {
            growing.append(class, &directory, sorted)?;
            report(u64::from(growing.row));
            Ok(())
        })?;
    }
    growing.reach(fits(directory.cells)?)?;

    let (footprint_order, ranges) = match &options.footprint {
        Footprint::Unknown => (None, Vec::new()),
        Footprint::Given(ranges) => {
            let ranges = footprint::tidy(ranges.clone());
            (Some(footprint::order(&ranges)), ranges)
        }
        Footprint::Estimate => {
            sorter.footprint.and_then(|cells| cells.estimate(rows)).map_or((None, Vec::new()), |(o, r)| (Some(o), r))
        }
    };
    let mut moc = place(Kind::Moc, 16 * ranges.len() as u64);
    for range in &ranges {
        moc.append(&range.start.to_le_bytes())?;
        moc.append(&range.end.to_le_bytes())?;
    }
    let words = meta(builder, &stock.layout, footprint_order);
    let json = serde_json::to_vec(&words).expect("texts and numbers are always JSON");
    let mut meta = place(Kind::Meta, json.len() as u64);
    meta.append(&json)?;
    let outputs = [
        classes,
        zone_first,
        zone_base,
        growing.offsets,
        growing.rows,
        growing.payload,
        texts,
        growing.movers,
        growing.radii,
        growing.order,
        moc,
        meta,
    ];
    let written = outputs.into_iter().map(Output::finish).collect::<Result<Vec<_>, _>>()?;
    // What the catalogue has nothing of has no section, except the directory.
    let always = [Kind::Classes, Kind::ZoneFirst, Kind::ZoneBase, Kind::CellOffsets, Kind::Rows].map(|k| k as u32);
    let known = footprint_order.is_some();
    let kept = |s: &Section| s.len > 0 || always.contains(&s.kind) || (known && s.kind == Kind::Moc as u32);
    let sections: Vec<Section> = written.into_iter().filter(kept).collect();
    let header = Header {
        rows,
        zones: directory.classes.iter().map(|c| c.zones() as u64).sum(),
        cells: directory.cells,
        zone_height: directory.classes.first().map_or(0, |c| 1 << c.shift),
        epoch: options.epoch,
        stride: stride as u32,
        position_error: grid::POSITION_ERROR,
        file_len: end,
        sections,
    };
    let say = |doing| ZoneError::io(doing, &path);
    file.write_all_at(&header.write(), 0).map_err(say("write"))?;
    file.set_len(end).map_err(say("extend"))?;
    file.sync_all().map_err(say("sync"))?;
    builder.folder.publish(&path, &builder.target)?;
    Ok(words)
}

/// Sorts units in waves that take at most half of `memory` each, and hands them on in their order.
fn waves(
    sorter: &Sorter,
    units: &[Unit],
    memory: u64,
    mut append: impl FnMut(&Sorted) -> Result<(), ZoneError> + Send,
) -> Result<(), ZoneError> {
    let mut rest = units;
    let mut ready: Vec<Sorted> = Vec::new();
    let most = 8 * rayon::current_num_threads();
    loop {
        let mut held = 0;
        let wave = rest.iter().take(most).take_while(|u| {
            held += sorter.memory(u);
            held <= memory
        });
        let count = wave.count().max(usize::from(!rest.is_empty()));
        let (wave, after) = rest.split_at(count);
        let (written, sorted) = rayon::join(
            || ready.iter().try_for_each(&mut append),
            || wave.par_iter().map(|u| sorter.sort(u)).collect::<Result<Vec<_>, _>>(),
        );
        written?;
        (ready, rest) = (sorted?, after);
        if ready.is_empty() {
            return Ok(());
        }
    }
}

/// Copies the heap into its section.
fn copy(from: &File, len: u64, to: &mut Output) -> Result<(), ZoneError> {
    let mut bytes = vec![0; BUFFER];
    let mut at = 0;
    while at < len {
        let count = (len - at).min(BUFFER as u64) as usize;
        let path = PathBuf::from("heap");
        from.read_exact_at(&mut bytes[..count], at).map_err(ZoneError::io("read", &path))?;
        to.append(&bytes[..count])?;
        at += count as u64;
    }
    Ok(())
}

fn meta(builder: &Builder, layout: &super::payload::Layout, footprint_order: Option<u8>) -> Meta {
    let options = &builder.options;
    let mut build = options.notes.clone();
    let mut note = |name: &str, value: String| drop(build.insert(name.to_owned(), value));
    note("program", format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
    note("rows_per_cell", options.rows_per_cell.to_string());
    let kept = options.keep == Keep::Everything;
    let id = match options.keep {
        Keep::Everything if layout.text_ids => "utf8",
        Keep::Everything => "int64",
        Keep::RowNumbers => "row",
        Keep::Positions => "none",
    };
    let unit = |name: &str| options.units.get(name).cloned().unwrap_or_default();
    Meta {
        name: options.name.clone(),
        version: options.version.clone(),
        sources: options.sources.clone(),
        id: id.to_owned(),
        columns: if kept { layout.columns(unit) } else { Vec::new() },
        build,
        rejects: builder.rejects.clone(),
        epochs: options.motion.map(|m| m.epochs),
        tolerance: options.motion.map_or(0.0, |m| m.tolerance),
        footprint_order,
    }
}
