//! Building an index, first pass: rows are checked, encoded, and put aside by class and band.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::classes::{Key, power};
use super::error::{Reject, ZoneError};
use super::format::{Meta, Rejects, SourceFile};
use super::grid::{self, quantise};
use super::heap::Heap;
use super::payload::{Layout, Slots, put_position};
use super::spill::{BAND_SHIFT, BANDS, Record, Spill};
use super::temporary::Folder;
use super::write;
use crate::sky;

/// Rows that are encoded at a time: their records stay in the processor's cache from column to column.
const BLOCK: usize = 1024;
/// Rejected rows that are named.
const NAMED: usize = 10;
/// Least memory that a build can keep to.
const LEAST_MEMORY: u64 = 32 << 20;

/// What a row keeps in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Id, exact position and columns: separations are exact.
    #[default]
    Everything,
    /// The row number in the input, 4 bytes; separations are those of the quanta, at most 0.17 mas off.
    RowNumbers,
    /// The quanta alone: 8.5 bytes a source. The id is the row number in the index.
    Positions,
}

/// Where the catalogue has sources at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Footprint {
    /// Estimated from the sources; none where they are too few.
    #[default]
    Estimate,
    /// Not known: [`super::ZoneIndex::covers`] has no answer.
    Unknown,
    /// These HEALPix cells: nested, order 29, ends excluded.
    Given(Vec<Range<u64>>),
}

/// Which sources have their proper motion applied in searches at an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionRule {
    /// Epochs that searches will ask for, Julian years.
    pub epochs: (f64, f64),
    /// Sources that are further than this from their catalogue position at any of the epochs are movers, arcseconds.
    pub tolerance: f64,
}

/// How an index is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the catalogue.
    pub name: String,
    /// Version of the catalogue.
    pub version: String,
    /// Files that the rows come from.
    pub sources: Vec<SourceFile>,
    /// Units of the columns, by their names.
    pub units: BTreeMap<String, String>,
    /// Further words on how it is built, kept in the file.
    pub notes: BTreeMap<String, String>,
    /// Epoch of the positions, Julian year.
    pub epoch: f64,
    /// What a row keeps.
    pub keep: Keep,
    /// Whether and when motions matter; motions are not looked at without.
    pub motion: Option<MotionRule>,
    /// The footprint.
    pub footprint: Footprint,
    /// Whether a row that cannot be taken ends the build; otherwise it is counted and skipped.
    pub strict: bool,
    /// Bytes of memory that the build keeps to, 32 MiB at least, beside the batches it is given.
    pub memory: u64,
    /// Sources of a cell of the directory, on average.
    pub rows_per_cell: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: String::new(),
            version: String::new(),
            sources: Vec::new(),
            units: BTreeMap::new(),
            notes: BTreeMap::new(),
            epoch: 2000.0,
            keep: Keep::Everything,
            motion: None,
            footprint: Footprint::Estimate,
            strict: false,
            memory: 1 << 30,
            rows_per_cell: 8,
        }
    }
}

/// Rows of a catalogue; all parts are of one length.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Ids: `Int64` or `Utf8`.
    pub id: ArrayRef,
    /// Right ascensions, ICRS, degrees; taken modulo 360.
    pub ra: &'a [f64],
    /// Declinations, ICRS, degrees.
    pub dec: &'a [f64],
    /// Proper motions in right ascension (times the cosine of the declination) and in declination, mas per year; NaN: none.
    pub motion: Option<(&'a [f64], &'a [f64])>,
    /// Radii of the sources' own, arcseconds; all batches have them, or none.
    pub radius: Option<&'a [f64]>,
    /// Columns to carry: bool, integers, floats, utf8; of one schema in all batches.
    pub carried: Option<RecordBatch>,
}

impl Batch<'_> {
    fn rows(&self) -> usize {
        self.ra.len()
    }

    /// What does not fit in the batch itself.
    fn contradiction(&self) -> Option<String> {
        let rows = self.rows();
        let lens = [
            ("ids", Some(self.id.len())),
            ("declinations", Some(self.dec.len())),
            ("motions in right ascension", self.motion.map(|m| m.0.len())),
            ("motions in declination", self.motion.map(|m| m.1.len())),
            ("radii", self.radius.map(<[f64]>::len)),
            ("rows of columns", self.carried.as_ref().map(RecordBatch::num_rows)),
        ];
        let odd = lens.iter().find(|(_, len)| len.is_some_and(|len| len != rows));
        if let Some((what, Some(len))) = odd {
            return Some(format!("{rows} right ascensions, but {len} {what}"));
        }
        let kind = self.id.data_type();
        (!matches!(kind, DataType::Int64 | DataType::Utf8)).then(|| format!("ids are {kind}, they can be Int64 or Utf8"))
    }
}

/// How far the second pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sources in their final place.
    pub done: u64,
    /// Sources of the catalogue.
    pub total: u64,
}

/// A class that rows have been found for.
pub(super) struct Found {
    pub key: Key,
    pub rows: u64,
    pub radius: f64,
    pub motion: f64,
    /// Sources in each strip of the least zone height.
    pub strips: Vec<u32>,
}

/// What the first batch decides for all.
pub(super) struct Stock {
    pub layout: Layout,
    pub radius: bool,
    pub heap: Heap,
    pub spill: Spill,
    pub classes: Vec<Found>,
}

/// Writes a zone index: [`Builder::create`], [`Builder::push`] for each batch, [`Builder::finish`].
///
/// Nothing is seen under the target's name before the end; a builder that is dropped leaves nothing behind.
pub struct Builder {
    pub(super) folder: Folder,
    pub(super) target: PathBuf,
    pub(super) options: Options,
    pub(super) rejects: Rejects,
    pub(super) stock: Option<Stock>,
    seen: u64,
}

impl Builder {
    /// Begins; temporary files go to a folder beside the target, where what a killed build left is removed.
    ///
    /// # Errors
    /// When the folder cannot be made, or another process builds the same target.
    pub fn create(target: &Path, mut options: Options) -> Result<Builder, ZoneError> {
        options.memory = options.memory.max(LEAST_MEMORY);
        options.rows_per_cell = options.rows_per_cell.clamp(1, 1 << 16);
        let folder = Folder::create(target)?;
        Ok(Builder { folder, target: target.to_path_buf(), options, rejects: Rejects::default(), stock: None, seen: 0 })
    }

    /// Takes rows.
    ///
    /// # Errors
    /// When the batch does not fit, a row cannot be taken and `strict` is set, the disk refuses, or there are too many rows.
    pub fn push(&mut self, batch: &Batch) -> Result<(), ZoneError> {
        let row = self.seen;
        let unfit = |what: String| ZoneError::Batch { row, what };
        if let Some(what) = batch.contradiction() {
            return Err(unfit(what));
        }
        if self.seen + batch.rows() as u64 > u64::from(u32::MAX) {
            return Err(ZoneError::TooMany);
        }
        let text = *batch.id.data_type() == DataType::Utf8;
        let schema = batch.carried.as_ref().map_or_else(|| Schema::empty().into(), RecordBatch::schema);
        if self.stock.is_none() {
            let layout = Layout::new(schema.clone(), text).map_err(unfit)?;
            self.stock = Some(self.stock_for(layout, batch.radius.is_some())?);
        }
        let stock = self.stock.as_mut().expect("it has just been made");
        if stock.layout.schema.fields() != schema.fields() || stock.layout.text_ids != text {
            return Err(unfit("its columns or the type of its ids are not those of the first batch".to_owned()));
        }
        if stock.radius != batch.radius.is_some() {
            return Err(unfit("either all batches have radii or none has".to_owned()));
        }
        let mut taken = Vec::with_capacity(BLOCK);
        let mut next = 0;
        while next < batch.rows() {
            let count = stock.spill.room(BLOCK.min(batch.rows() - next))?;
            taken.clear();
            for i in next..next + count {
                match check(batch, i) {
                    None => taken.push(i as u32),
                    Some(kind) if self.options.strict => return Err(ZoneError::Rejected { row: row + i as u64, kind }),
                    Some(kind) => reject(&mut self.rejects, kind, row + i as u64),
                }
            }
            stock.take(batch, &taken, row, &self.options).map_err(unfit)?;
            next += count;
        }
        self.seen += batch.rows() as u64;
        Ok(())
    }

    /// Leaves out rows of the input: those behind them keep the numbers that they have in it.
    ///
    /// # Errors
    /// When there are too many rows.
    pub fn skip(&mut self, rows: u64) -> Result<(), ZoneError> {
        self.seen = self.seen.checked_add(rows).filter(|seen| *seen <= u64::from(u32::MAX)).ok_or(ZoneError::TooMany)?;
        Ok(())
    }

    /// Adds a file that rows came from, which need not be known at the beginning.
    pub fn add_source(&mut self, source: SourceFile) {
        self.options.sources.push(source);
    }

    /// Adds a word on how the index is built; see [`Options::notes`].
    pub fn note(&mut self, what: &str, text: &str) {
        self.options.notes.insert(what.to_owned(), text.to_owned());
    }

    /// Adds rows that were refused before they could be pushed, with the places of the first.
    pub fn refused(&mut self, rows: u64, places: &[String]) {
        self.rejects.refused += rows;
        let room = NAMED.saturating_sub(self.rejects.places.len());
        self.rejects.places.extend(places.iter().take(room).cloned());
    }

    fn stock_for(&self, layout: Layout, radius: bool) -> Result<Stock, ZoneError> {
        let with_payload = self.options.keep == Keep::Everything;
        let record = Record::new(with_payload.then_some(&layout), radius, self.options.motion.is_some());
        // The rest is for the heap's memory, the strips, and the extents.
        let spill = Spill::create(&self.folder.join("records"), record, self.options.memory / 8 * 7)?;
        Ok(Stock { layout, radius, heap: Heap::create(&self.folder.join("heap"))?, spill, classes: Vec::new() })
    }

    /// Sorts what was pushed and gives the index its name; `progress` is called now and then.
    ///
    /// # Errors
    /// When the disk refuses, or so many sources are at one point that sorting them does not keep to the memory.
    pub fn finish(mut self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Meta, ZoneError> {
        let stock = match self.stock.take() {
            Some(stock) => stock,
            None => {
                let layout = Layout::new(Schema::empty().into(), false).map_err(|what| ZoneError::Batch { row: 0, what })?;
                self.stock_for(layout, false)?
            }
        };
        write::index(&self, stock, progress)
    }
}

/// What is wrong with a row.
fn check(batch: &Batch, row: usize) -> Option<Reject> {
    let (ra, dec) = (batch.ra[row], batch.dec[row]);
    if !(ra.is_finite() && dec.is_finite()) {
        return Some(Reject::NotFinite);
    }
    if !(-360.0..=720.0).contains(&ra) || !(-90.0..=90.0).contains(&dec) {
        return Some(Reject::OffSphere);
    }
    if batch.id.is_null(row) {
        return Some(Reject::NoId);
    }
    let sound = |radius: &[f64]| (0.0..=648_000.0).contains(&radius[row]);
    (!batch.radius.is_none_or(sound)).then_some(Reject::Radius)
}

fn reject(rejects: &mut Rejects, kind: Reject, row: u64) {
    *match kind {
        Reject::NotFinite => &mut rejects.not_finite,
        Reject::OffSphere => &mut rejects.off_sphere,
        Reject::NoId => &mut rejects.no_id,
        Reject::Radius => &mut rejects.radius,
    } += 1;
    if rejects.first.len() < NAMED {
        rejects.first.push(row);
    }
}

impl Stock {
    /// Encodes the rows `taken` of a batch whose first row has the number `first`.
    fn take(&mut self, batch: &Batch, taken: &[u32], first: u64, options: &Options) -> Result<(), String> {
        let record = self.spill.record;
        let (records, buckets) = self.spill.append(taken.len());
        for ((bytes, bucket), &row) in records.chunks_exact_mut(record.len).zip(buckets).zip(taken) {
            let i = row as usize;
            let (ra, dec) = (sky::normalise_ra(batch.ra[i]), batch.dec[i]);
            let quanta = quantise(ra, dec);
            Record::put_keys(bytes, quanta, (first + u64::from(row)) as u32);
            if record.stride > 0 {
                put_position(&mut bytes[Record::PAYLOAD..], ra, dec);
            }
            let motion = batch.motion.map_or((0.0, 0.0), |m| (m.0[i], m.1[i]));
            let speed = moves(motion, options);
            let radius = batch.radius.map(|r| r[i]);
            record.put_radius(bytes, radius.unwrap_or(0.0));
            record.put_motion(bytes, if speed > 0.0 { motion } else { (0.0, 0.0) });
            let key = Key { motion: (speed > 0.0).then(|| power(speed)), radius: radius.map(power) };
            let class = class(&mut self.classes, key);
            let found = &mut self.classes[class];
            found.rows += 1;
            found.radius = found.radius.max(radius.unwrap_or(0.0));
            found.motion = found.motion.max(speed);
            found.strips[(quanta.1 >> grid::MIN_SHIFT) as usize] += 1;
            *bucket = (class * BANDS) as u32 + (quanta.1 >> BAND_SHIFT);
        }
        if record.stride > 0 {
            let mut slots = Slots { bytes: records, step: record.len, base: Record::PAYLOAD };
            self.layout.put_ids(&batch.id, taken, &mut slots, &mut self.heap)?;
            if let Some(columns) = &batch.carried {
                self.layout.put_columns(columns, taken, &mut slots, &mut self.heap)?;
            }
        }
        Ok(())
    }
}

fn class(classes: &mut Vec<Found>, key: Key) -> usize {
    if let Some(known) = classes.iter().position(|c| c.key == key) {
        return known;
    }
    let strips = vec![0; grid::zones(grid::MIN_SHIFT)];
    classes.push(Found { key, rows: 0, radius: 0.0, motion: 0.0, strips });
    classes.len() - 1
}

/// The speed (mas per year) of a source that is a mover; 0 of all others.
fn moves((ra, dec): (f64, f64), options: &Options) -> f64 {
    let Some(rule) = &options.motion else { return 0.0 };
    let speed = ra.hypot(dec);
    let years = (rule.epochs.0 - options.epoch).abs().max((rule.epochs.1 - options.epoch).abs());
    if speed.is_finite() && speed / 1000.0 * years > rule.tolerance { speed } else { 0.0 }
}
