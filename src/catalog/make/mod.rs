//! From tables of sources to a zone index: one file, several, a folder, a HATS directory, with or without a description.
//!
//! Tables are read and parsed by threads of their own, several at a time, and what they read is taken in the order of the files:
//! the same input gives the same index. May depend on: `catalog::{table, zones}`, arrow, rayon, glob, xxhash. Reads the files of
//! the tables and writes the index, nothing else; no clock.
//!
//! **Invariants:** nothing is seen under the target's name before the index is whole; a build that was killed leaves a hidden
//! folder beside it, which the next one removes. What is gathered keeps to [`MakeOptions::memory`]; the program itself and the
//! block that each reader has in hand (16,384 rows) come on top: some 75 MB with two readers and six columns.

mod error;
mod inputs;
mod plan;
mod queue;
mod read;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use error::MakeError;

use super::table::{Descriptor, IdColumn};
use super::zones::{Batch, Builder, Footprint, Keep, Meta, MotionRule, Options};
use plan::Plan;
use queue::Queue;
use read::{Ended, Message, Ready, Stop};

/// The usual ending of the name of a zone index. Files are told by their first bytes, never by it.
pub const ENDING: &str = "skyz";

/// How an index is made.
#[derive(Clone, Debug)]
pub struct MakeOptions {
    /// What a source keeps.
    pub keep: Keep,
    /// Bytes of memory for what is gathered, 64 MiB at least; the program and the blocks in hand come on top.
    pub memory: u64,
    /// The footprint.
    pub footprint: Footprint,
    /// Whether and when proper motions matter, where the table has them.
    pub motion: Option<MotionRule>,
    /// Whether the files of the input are summed: each is read once more for it.
    pub checksums: bool,
    /// Whether an existing file of the target's name is replaced.
    pub replace: bool,
}

impl MakeOptions {
    /// Positions of searches between the beginning of ZTF and the end of LSST.
    pub const EPOCHS: (f64, f64) = (2018.0, 2036.0);

    /// A fifth of the radius that optical surveys are usually matched with, arcseconds.
    pub const TOLERANCE: f64 = 0.3;

    /// Least memory that the work can keep to.
    pub const LEAST_MEMORY: u64 = 64 << 20;
}

impl Default for MakeOptions {
    fn default() -> Self {
        MakeOptions {
            keep: Keep::Everything,
            memory: 1 << 30,
            footprint: Footprint::Estimate,
            motion: Some(MotionRule { epochs: Self::EPOCHS, tolerance: Self::TOLERANCE }),
            checksums: true,
            replace: false,
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Rows are read.
    Reading {
        /// So many, of all tables.
        rows: u64,
        /// Rows of all tables, where they say it beforehand.
        of: Option<u64>,
    },
    /// All rows are read; they are brought into their order.
    Placing {
        /// Sources in their place.
        done: u64,
        /// All sources.
        total: u64,
    },
}

/// An index that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What the index says of itself.
    pub meta: Meta,
    /// Rows of the tables.
    pub read: u64,
    /// Sources of the index.
    pub sources: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What an operator should know, in sentences.
    pub warnings: Vec<String>,
}

/// Makes the index `target` of the tables that `inputs` stand for (files, folders, HATS directories, names with wildcards), as the
/// description says.
///
/// # Errors
/// When a table cannot be read, or a row of it where bad rows are refused (file and line or row are named); when the tables do
/// not fit each other; when the target exists and is not to be replaced; when the disk refuses. Then the target is as it was.
pub fn index(
    inputs: &[PathBuf],
    descriptor: &Descriptor,
    target: &Path,
    options: &MakeOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Made, MakeError> {
    if target.is_dir() {
        return Err(MakeError::Asked(format!("{} is a folder: give the name of a file in it", target.display())));
    }
    if !options.replace && target.exists() {
        return Err(MakeError::Exists { path: target.to_owned() });
    }
    let plan = Plan::new(inputs::tables(inputs, &descriptor.dialect)?, descriptor, options)?;
    let work = Work { plan: &plan, target, options };
    match work.run(plan.whole_ids, progress) {
        Err(Stop::NotWhole(place)) => {
            let mut made = work.run(false, progress).map_err(Stop::told)?;
            made.warnings.push(format!("ids are kept as texts: that of {place} is no number of 63 bits"));
            Ok(made)
        }
        other => other.map_err(Stop::told),
    }
}

struct Work<'a> {
    plan: &'a Plan,
    target: &'a Path,
    options: &'a MakeOptions,
}

/// What has been pushed so far.
#[derive(Default)]
struct Tally {
    /// Rows of the tables before the one that is read, bad ones too.
    before: u64,
    /// Rows of the input that the builder has seen or skipped.
    passed: u64,
    kept: u64,
    warnings: Vec<String>,
    more_warnings: u64,
}

/// Warnings that are told one by one.
const TOLD: usize = 20;

impl Work<'_> {
    fn run(&self, whole_ids: bool, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Made, Stop> {
        let Work { plan, options, .. } = self;
        let memory = options.memory.max(MakeOptions::LEAST_MEMORY);
        let readers = rayon::current_num_threads().clamp(1, plan.tables.len());
        let builder = Options {
            name: plan.descriptor.name.clone(),
            version: plan.descriptor.version.clone().unwrap_or_default(),
            sources: Vec::new(),
            units: plan.units.clone(),
            notes: self.notes(),
            epoch: plan.epoch.unwrap_or(2000.0),
            keep: options.keep,
            motion: plan.motion,
            footprint: options.footprint.clone(),
            strict: true,
            // The rest: what waits between reading and writing, and the hashes of ids.
            memory: memory / 16 * 13,
            ..Options::default()
        };
        let mut builder = Builder::create(self.target, builder).map_err(|e| Stop::Failed(e.into()))?;
        let queue = Queue::new(plan.tables.len(), (memory / 16) as usize);
        let wish = read::Wish { plan, whole_ids, compared: (memory / 16 / 20) as usize / readers, checksums: options.checksums };
        let mut tally = Tally::default();
        let filled = std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| read::work(&wish, &queue));
            }
            let filled = self.fill(&mut builder, &queue, &mut tally, whole_ids, progress);
            queue.close();
            filled
        });
        filled?;
        let mut placing = |p: super::zones::Progress| progress(Progress::Placing { done: p.done, total: p.total });
        let meta = builder.finish(&mut placing).map_err(|e| Stop::Failed(e.into()))?;
        let bytes = std::fs::metadata(self.target).map_or(0, |about| about.len());
        let mut warnings = plan.warnings.clone();
        warnings.extend(tally.warnings);
        if tally.more_warnings > 0 {
            warnings.push(format!("{} more warnings of other files", tally.more_warnings));
        }
        Ok(Made { meta, read: tally.before, sources: tally.kept, bytes, warnings })
    }

    /// What the index keeps of the description.
    fn notes(&self) -> BTreeMap<String, String> {
        let about = &self.plan.descriptor;
        let words = [("title", &about.title), ("url", &about.url), ("licence", &about.licence), ("citation", &about.citation)];
        words.into_iter().filter_map(|(key, word)| Some((key.to_owned(), word.clone()?))).collect()
    }

    /// Pushes what the readers hand over.
    fn fill(
        &self,
        builder: &mut Builder,
        queue: &Queue<Message>,
        tally: &mut Tally,
        whole_ids: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), Stop> {
        let mut open = self.plan.tables.len();
        while open > 0 {
            match queue.take().ok_or(Stop::Failed(MakeError::Lost))? {
                Message::Part(ready) if whole_ids && !ready.whole_ids => return Err(Stop::NotWhole(ready.place)),
                Message::Part(ready) => {
                    self.push(builder, &ready, tally)?;
                    let rows = tally.before + ready.rows.last().copied().unwrap_or(0);
                    progress(Progress::Reading { rows, of: self.plan.rows });
                }
                Message::End(ended) => {
                    open -= 1;
                    self.close(builder, *ended, tally);
                }
                Message::Failed(error) => return Err(Stop::Failed(error)),
            }
        }
        Ok(())
    }

    fn push(&self, builder: &mut Builder, ready: &Ready, tally: &mut Tally) -> Result<(), Stop> {
        tally.kept += ready.rows.len() as u64;
        let numbered = self.options.keep == Keep::RowNumbers;
        let all = 0..ready.rows.len();
        let runs = if numbered { ready.runs() } else { vec![all] };
        let failed = |e: super::zones::ZoneError| Stop::Failed(e.into());
        for run in runs.into_iter().filter(|run| !run.is_empty()) {
            if numbered {
                let number = tally.before + ready.rows[run.start] - 1;
                builder.skip(number - tally.passed).map_err(failed)?;
                tally.passed = number + run.len() as u64;
            }
            let ids = ready.ids.slice(run.start, run.len());
            let id = match self.plan.descriptor.columns.id {
                IdColumn::Row if tally.before > 0 => read::later(&ids, tally.before),
                _ => ids,
            };
            let (start, end) = (run.start, run.end);
            let batch = Batch {
                id,
                ra: &ready.ra[start..end],
                dec: &ready.dec[start..end],
                motion: ready.motion.as_ref().map(|[ra, dec]| (&ra[start..end], &dec[start..end])),
                radius: ready.radius.as_ref().map(|radius| &radius[start..end]),
                carried: Some(ready.carried.slice(start, run.len())),
            };
            builder.push(&batch).map_err(failed)?;
        }
        Ok(())
    }

    /// A table is at its end.
    fn close(&self, builder: &mut Builder, ended: Ended, tally: &mut Tally) {
        let Ended { report, source } = ended;
        let several = self.plan.tables.len() > 1;
        let named = |text: &String| if several { format!("{}: {text}", source.name) } else { text.clone() };
        let places: Vec<String> = report.rejected.first.iter().map(named).collect();
        builder.refused(report.rejected.count, &places);
        for warning in report.warnings() {
            if tally.warnings.len() < TOLD {
                tally.warnings.push(named(&warning));
            } else {
                tally.more_warnings += 1;
            }
        }
        tally.before += report.rows;
        builder.add_source(source);
    }
}
