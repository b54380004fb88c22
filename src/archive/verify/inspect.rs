//! One file: every page of every column is decoded, and each row is held against the footer and the folder.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;

use super::super::columns::OWN;
use super::super::footer::OffsetRange;
use super::super::hour::Hour;
use super::super::list::{Listed, Origin, origin};
use super::{Check, Finding, RESTORE};
use crate::config::HourBy;

/// Rows decoded at once: an alert with its history and cut-outs takes some 100 kB.
const BATCH: usize = 128;
/// How a Parquet file begins.
const MAGIC: &[u8; 4] = b"PAR1";

/// What was seen of a file.
#[derive(Debug, Default)]
pub struct Inspected {
    /// Rows decoded.
    pub rows: u64,
    /// Rows by partition.
    pub partitions: BTreeMap<Origin, u64>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Its rows, in order.
    pub runs: Vec<Run>,
}

/// Rows with consecutive offsets and the same index in their messages, of one range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The range, by its place in the footer.
    pub range: usize,
    /// Index of the row in its message.
    pub record: i32,
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
}

/// Reads a file through.
pub fn file(listed: &Listed, check: &Check) -> Inspected {
    let path = &listed.file.path;
    let mut seen = Seen::new(listed);
    match catch_unwind(AssertUnwindSafe(|| read(path, &mut seen, check))) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => seen.find(format!("does not decode: {error}"), RESTORE),
        Err(_) => seen.find("does not decode: the Parquet reader panicked over it".to_owned(), RESTORE),
    }
    seen.finish(check.by)
}

fn read(path: &Path, seen: &mut Seen, check: &Check) -> Result<(), ParquetError> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(ParquetError::General("it does not begin as a Parquet file".to_owned()));
    }
    // With its index, which other readers go by.
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?.with_batch_size(BATCH).build()?;
    for batch in reader {
        let batch = batch?;
        seen.rows += batch.num_rows() as u64;
        if !seen.listed.file.component.is_empty() {
            seen.take(&batch, check);
        }
    }
    Ok(())
}

/// What the rows of a range were.
#[derive(Clone, Debug, Default)]
struct Tally {
    rows: u64,
    offsets: Option<(i64, i64)>,
    times: Option<(i64, i64)>,
}

fn widen(span: &mut Option<(i64, i64)>, value: i64) {
    *span = Some(span.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
}

/// Rows that are not what they have to be: how many, and the first.
#[derive(Default)]
struct Strays {
    count: u64,
    first: String,
}

impl Strays {
    fn add(&mut self, tell: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = tell();
        }
        self.count += 1;
    }
}

struct Seen<'a> {
    listed: &'a Listed,
    rows: u64,
    findings: Vec<Finding>,
    tallies: Vec<Tally>,
    /// By the range and the record: where in `runs` the last one is.
    latest: HashMap<(usize, i32), usize>,
    runs: Vec<Run>,
    outside: Strays,
    /// Rows of another hour by the time of the message, and by the time of observation; `None` where that can't be told.
    ingest: Strays,
    observation: Option<Strays>,
    columns_missing: bool,
}

impl<'a> Seen<'a> {
    fn new(listed: &'a Listed) -> Self {
        Self {
            listed,
            rows: 0,
            findings: Vec::new(),
            tallies: vec![Tally::default(); listed.file.ranges.len()],
            latest: HashMap::new(),
            runs: Vec::new(),
            outside: Strays::default(),
            ingest: Strays::default(),
            observation: Some(Strays::default()),
            columns_missing: false,
        }
    }

    fn find(&mut self, what: String, advice: &str) {
        self.findings.push(Finding::new(what, self.listed.file.path.display(), advice));
    }

    fn take(&mut self, batch: &RecordBatch, check: &Check) {
        let Some(own) = Own::of(batch) else {
            self.columns_missing = true;
            return;
        };
        let observed = match (self.listed.hour, check.by) {
            (None, _) | (_, Some(HourBy::Ingest)) => None,
            _ => (check.observed)(&self.listed.survey, batch),
        };
        if observed.is_none() {
            self.observation = None;
        }
        let mut at = 0;
        for row in 0..batch.num_rows() {
            let (topic, partition, offset) = (own.topic.value(row), own.partition.value(row), own.offset.value(row));
            let received = own.received.is_valid(row).then(|| own.received.value(row));
            let record = own.record.value(row);
            let fits = |range: &OffsetRange| {
                let here = range.partition == partition && range.topic == topic && (range.first..=range.last).contains(&offset);
                here && range.record.is_none_or(|only| i64::from(only) == i64::from(record)) && range.has_time(received)
            };
            let ranges = &self.listed.file.ranges;
            if !ranges.get(at).is_some_and(fits) {
                match ranges.iter().position(fits) {
                    Some(found) => at = found,
                    None => {
                        self.outside.add(|| format!("{topic}[{partition}] offset {offset}"));
                        continue;
                    }
                }
            }
            let tally = &mut self.tallies[at];
            tally.rows += 1;
            widen(&mut tally.offsets, offset);
            if let Some(received) = received {
                widen(&mut tally.times, received);
            }
            self.run(at, own.record.value(row), offset);
            if let Some(hour) = self.listed.hour {
                let place = |hour: Hour| format!("{topic}[{partition}] offset {offset} belongs to {hour}");
                let by_message = Hour::of_millis(received);
                if by_message != hour {
                    self.ingest.add(|| place(by_message));
                }
                if let (Some(strays), Some(times)) = (&mut self.observation, &observed) {
                    let by_observation = Hour::of_millis(times.is_valid(row).then(|| times.value(row).div_euclid(1000)));
                    if by_observation != hour {
                        strays.add(|| place(by_observation));
                    }
                }
            }
        }
    }

    fn run(&mut self, range: usize, record: i32, offset: i64) {
        match self.latest.get(&(range, record)) {
            Some(&at) if self.runs[at].last.checked_add(1) == Some(offset) => self.runs[at].last = offset,
            _ => {
                self.latest.insert((range, record), self.runs.len());
                self.runs.push(Run { range, record, first: offset, last: offset });
            }
        }
    }

    fn finish(mut self, by: Option<HourBy>) -> Inspected {
        let file = &self.listed.file;
        let mut partitions: BTreeMap<Origin, u64> = BTreeMap::new();
        for (range, tally) in file.ranges.iter().zip(&self.tallies) {
            *partitions.entry(origin(file, range)).or_default() += tally.rows;
        }
        // What a file that breaks off lacks follows from that.
        if self.findings.is_empty() {
            self.hold_against_footer();
            self.hold_against_folder(by);
        }
        Inspected { rows: self.rows, partitions, findings: self.findings, runs: self.runs }
    }

    fn hold_against_footer(&mut self) {
        let file = &self.listed.file;
        if file.rows != self.rows {
            self.find(format!("{} rows by its footer, {} when read", file.rows, self.rows), RESTORE);
        }
        if file.component.is_empty() {
            return;
        }
        let foreign = "another program has rewritten it: restore it from a copy";
        if self.columns_missing {
            self.find(format!("has no column `{OWN}` that tells where its rows came from"), foreign);
            return;
        }
        let promised: u64 = file.ranges.iter().map(|range| range.rows).sum();
        if promised != self.rows {
            self.find(format!("{promised} rows by its offset ranges, {} when read", self.rows), foreign);
        }
        if self.outside.count > 0 {
            let Strays { count, first } = &self.outside;
            self.find(format!("{count} rows have offsets or times outside the ranges of the footer, first {first}"), foreign);
        }
        for (range, tally) in file.ranges.iter().zip(std::mem::take(&mut self.tallies)) {
            let OffsetRange { topic, partition, first, last, rows, .. } = range;
            let name = format!("range {topic}[{partition}] {first}..{last}");
            if tally.rows != *rows {
                self.find(format!("{name} has {} rows where the footer says {rows}", tally.rows), foreign);
            } else if tally.offsets.is_some_and(|found| found != (*first, *last)) {
                let (low, high) = tally.offsets.unwrap_or_default();
                self.find(format!("{name} has offsets {low}..{high}"), foreign);
            } else if tally.times != range.min_timestamp.zip(range.max_timestamp) {
                self.find(format!("{name} has other times than the footer says"), foreign);
            }
        }
    }

    fn hold_against_folder(&mut self, by: Option<HourBy>) {
        let Some(hour) = self.listed.hour else {
            let advice = "move it into the folder of its hour, year=/month=/day=/hour= below the archive";
            return self.find("lies in no folder of an hour".to_owned(), advice);
        };
        let wrong = match (by, &self.observation) {
            (Some(HourBy::Ingest), _) | (None, None) => Some(&self.ingest),
            (Some(HourBy::Observation), observation) => observation.as_ref(),
            // By one of both times all of it has to belong here.
            (None, Some(observation)) => [&self.ingest, observation].into_iter().min_by_key(|strays| strays.count),
        };
        if let Some(Strays { count, first }) = wrong.filter(|strays| strays.count > 0) {
            let what = format!("{count} rows do not belong to the hour of its folder, {hour}; first {first}");
            let advice = "move the file to the folder of its hour; where its rows are of several hours, restore it from a copy";
            self.find(what, advice);
        }
    }
}

/// The columns that tell where rows came from.
struct Own {
    topic: StringArray,
    partition: Int32Array,
    offset: Int64Array,
    record: Int32Array,
    received: TimestampMillisecondArray,
}

impl Own {
    fn of(batch: &RecordBatch) -> Option<Own> {
        let own = batch.column_by_name(OWN)?.as_struct_opt()?;
        let topic = arrow_cast::cast(own.column_by_name("topic")?, &DataType::Utf8).ok()?;
        Some(Own {
            topic: topic.as_string_opt::<i32>()?.clone(),
            partition: own.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?.clone(),
            offset: own.column_by_name("offset")?.as_primitive_opt::<Int64Type>()?.clone(),
            record: own.column_by_name("record")?.as_primitive_opt::<Int32Type>()?.clone(),
            received: own.column_by_name("received")?.as_primitive_opt::<TimestampMillisecondType>()?.clone(),
        })
    }
}
