//! An output without a broker: a folder per topic with Avro object container files, one schema per file.
//!
//! **Invariant:** a file with a visible name is whole, synced and never touched again; numbers go up and nothing is
//! overwritten (see `durable`). A batch is acknowledged when the files with its rows are sealed, so that a crash repeats rows (at least once)
//! and loses none.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::edition::{Edition, Frame};
use super::lot::Lot;
use super::receipt::Receipt;
use super::report::{ReportHandle, count};
use crate::alert::Fault;
use crate::avro;
use crate::durable::{self, Staged, Way};

/// When a file is sealed by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a file.
    pub(super) bytes: u64,
    /// Time since the first tick that saw it open.
    pub(super) age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, age: Duration::from_secs(10) }
    }
}

/// The files of one output.
#[derive(Debug)]
pub(super) struct FileTopic {
    folder: PathBuf,
    topic: Arc<str>,
    /// What files being written are called: hidden, and apart from those of other components.
    prefix: String,
    next: u64,
    pub(super) limits: Limits,
    report: ReportHandle,
    output: usize,
    open: Option<OpenFile>,
    block: Vec<u8>,
}

#[derive(Debug)]
struct OpenFile {
    edition: Arc<Edition>,
    file: Staged,
    records: u64,
    seen: Option<Instant>,
    receipts: Vec<Arc<Receipt>>,
}

impl FileTopic {
    /// Makes the folder and takes away what a crash of the same component left unsealed.
    pub(super) fn open(folder: &Path, component: &str, topic: &str, report: ReportHandle, output: usize) -> Result<Self, Fault> {
        for name in [component, topic] {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.is_empty() || name.starts_with('.') || !name.chars().all(good) {
                let reason =
                    format!("`{name}` cannot be part of a file name: letters, digits, `.`, `_` and `-` only, no `.` in front");
                return Err(Fault::defect(reason));
            }
        }
        let folder = folder.join(topic);
        durable::create_folders(&folder)?;
        let prefix = format!(".{component}-{output}-");
        let wrong = |e: io::Error| Fault::environment(format!("the folder {} cannot be read: {e}", folder.display()));
        let mut next = 1;
        for entry in fs::read_dir(&folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if name.starts_with(&prefix) && name.ends_with(".unsealed") {
                tracing::info!(file = %entry.path().display(), "removed a file that was not sealed; its alerts come again");
                fs::remove_file(entry.path()).map_err(wrong)?;
            } else if let Some(number) = number_of(&name, topic) {
                next = next.max(number + 1);
            }
        }
        let topic = topic.into();
        Ok(Self { folder, topic, prefix, next, limits: Limits::default(), report, output, open: None, block: Vec::new() })
    }

    /// Writes rows of a lot as one block. The receipt is settled when the file is sealed.
    pub(super) fn append(&mut self, lot: &Lot, rows: &[u32]) -> Result<(), Fault> {
        if self.open.as_ref().is_some_and(|open| !Arc::ptr_eq(&open.edition, &lot.edition)) {
            self.seal()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.create(&lot.edition)?,
        };
        self.block.clear();
        let batch = lot.rows();
        for row in rows.iter().map(|r| *r as usize) {
            self.block.extend_from_slice(batch.bytes(batch.rows[row].datum));
            lot.annotations.encode(row, &mut self.block);
        }
        let mut start = Vec::with_capacity(20);
        avro::write_block_start(&mut start, rows.len(), self.block.len());
        self.block.extend_from_slice(&lot.edition.sync);
        open.file
            .write_all(&start)
            .and_then(|()| open.file.write_all(&self.block))
            .map_err(|e| environment(open.file.path(), &e))?;
        open.records += rows.len() as u64;
        lot.receipt.expect(1);
        open.receipts.push(lot.receipt.clone());
        let full = open.file.written() >= self.limits.bytes;
        self.open = Some(open);
        if full { self.seal() } else { Ok(()) }
    }

    fn create(&mut self, edition: &Arc<Edition>) -> Result<OpenFile, Fault> {
        // Hidden, in the folder of the topic: readers of Avro folders pass it over until it is sealed.
        let mut file = Staged::create(&self.folder, &format!("{}{}.unsealed", self.prefix, self.next), Way::Direct)?;
        file.write_all(&edition.header).map_err(|e| environment(file.path(), &e))?;
        Ok(OpenFile { edition: edition.clone(), file, records: 0, seen: None, receipts: Vec::new() })
    }

    /// Seals the file when it is old enough.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let since = *open.seen.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.limits.age { self.seal() } else { Ok(()) }
    }

    /// Makes the open file durable and visible, then settles what it holds.
    pub(super) fn seal(&mut self) -> Result<(), Fault> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let (bytes, first) = (open.file.written(), self.next);
        let name = |n: u32| format!("{}-{:08}.avro", self.topic, first + u64::from(n));
        let path = open.file.publish(&self.folder, name)?;
        let number = path.file_name().and_then(|name| number_of(name.to_str()?, &self.topic));
        self.next = number.unwrap_or(first) + 1;
        tracing::debug!(path = %path.display(), records = open.records, bytes, "sealed a file of an output");
        let counters = self.report.of(self.output);
        count(&counters.messages, open.records);
        count(&counters.bytes, bytes);
        open.receipts.drain(..).for_each(|receipt| receipt.settle(1));
        Ok(())
    }
}

impl Lot {
    /// The frame of lots that go into files: the file is the container.
    pub(super) const IN_FILE: Frame = Frame::Bare;
}

fn number_of(name: &str, topic: &str) -> Option<u64> {
    name.strip_prefix(topic)?.strip_prefix('-')?.strip_suffix(".avro")?.parse().ok()
}

fn environment(path: &Path, error: &io::Error) -> Fault {
    Fault::environment(format!("{} cannot be written: {error}; see to the disk and to who may write there", path.display()))
}
