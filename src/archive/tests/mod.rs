//! The archive as a sink, without a runtime: what is visible when, what is acknowledged when, and what comes back.

#![allow(clippy::unwrap_used)]

mod backup;
mod columns;
mod group;
mod late;
mod once;
mod sealing;
mod space;
mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_array::builder::{ListBuilder, MapBuilder, StringViewBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    NullArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::ParquetMetaDataReader;

use super::container::ContainerWriter;
use super::footer::files_below;
use super::format::Format;
use super::sink::HourlySink;
use super::*;
use crate::alert::{
    AlertBatch, Annotation, Candidate, DatumRange, Decoded, Fault, FaultKind, Flags, Permit, RowOrigin, Sink, Span, Token,
    TopicPartition, Verdict,
};
use crate::avro::{self, AlertSchema, Wanted};
use crate::config::{self, ColumnChoice, CutoutCodec, FieldPath, HourBy, Layout, MagnitudeUnit, TimeScale, WritePath};
use crate::ledger::{Ledger, SinkId};

/// 2026-11-09 03:00:00 UTC, milliseconds.
const T0: i64 = 1_794_193_200_000;
const HOUR: i64 = 3_600_000;
const FOLDER: &str = "year=2026/month=11/day=9/hour=3";
const NEXT_FOLDER: &str = "year=2026/month=11/day=9/hour=4";
const ARCHIVE: SinkId = SinkId(0);

/// The only place that knows how a schema is made.
fn alert_schema(fingerprint: u64, arrow: &RecordBatch) -> Arc<AlertSchema> {
    AlertSchema::of_columns(fingerprint, &json(fingerprint, ""), arrow.schema())
}

/// What the producer wrote the records with that [`encode`] makes.
fn json(fingerprint: u64, doc: &str) -> String {
    format!(
        r#"{{"type": "record", "name": "alert{fingerprint}", "doc": "{doc}", "fields": [
        {{"name": "partition", "type": "int"}}, {{"name": "offset", "type": "long"}}, {{"name": "record", "type": "int"}},
        {{"name": "stamp", "type": "bytes"}}]}}"#
    )
}

/// Gives each row a datum that tells where it came from.
fn encode(partition: i32, part: &mut AlertBatch, stamp: &[u8]) {
    let mut bytes = Vec::new();
    for row in &mut part.rows {
        let start = bytes.len() as u32;
        for number in [i64::from(partition), row.offset, i64::from(row.record)] {
            avro::write_long(&mut bytes, number);
        }
        avro::write_bytes(&mut bytes, stamp);
        row.datum = DatumRange { buffer: 0, start, end: bytes.len() as u32 };
    }
    part.buffers = vec![Buffer::from(bytes)];
}

fn survey() -> Arc<config::Survey> {
    Arc::new(config::Survey {
        name: "ztf".into(),
        alert_id: Vec::new(),
        object_id: Vec::new(),
        ra: Vec::new(),
        dec: Vec::new(),
        time: Vec::new(),
        time_scale: TimeScale::Jd,
        magnitude: Vec::new(),
        magnitude_unit: MagnitudeUnit::Mag,
        history: Vec::new(),
        cutouts: vec![FieldPath(vec!["cutout".to_owned()])],
        solar_system: Vec::new(),
        none_texts: Vec::new(),
        none_numbers: Vec::new(),
        schemas: Vec::new(),
        fields: BTreeMap::new(),
        schema_ids: BTreeMap::new(),
    })
}

fn row(offset: i64, timestamp: i64) -> RowOrigin {
    RowOrigin { offset, timestamp: Some(timestamp), ..RowOrigin::default() }
}

fn rows(offsets: std::ops::Range<i64>) -> Vec<RowOrigin> {
    offsets.map(|o| row(o, T0 + o)).collect()
}

fn records(rows: &[RowOrigin]) -> RecordBatch {
    let stamp = vec![7_u8; 100];
    RecordBatch::try_from_iter([
        ("candid", Arc::new(rows.iter().map(|r| Some(r.offset * 10)).collect::<Int64Array>()) as ArrayRef),
        ("cutout", Arc::new(BinaryViewArray::from_iter_values(rows.iter().map(|_| &stamp))) as ArrayRef),
    ])
    .unwrap()
}

/// Rows as an alert batch; observed when they were received.
fn part_of(fingerprint: u64, records: RecordBatch, rows: Vec<RowOrigin>) -> AlertBatch {
    let n = rows.len();
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0; n]));
    let observed = TimestampMicrosecondArray::from_iter(rows.iter().map(|r| r.timestamp.map(|t| t.saturating_mul(1000))));
    AlertBatch {
        schema: alert_schema(fingerprint, &records),
        records,
        buffers: Vec::new(),
        candidate: Candidate {
            alert_id: Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.offset))),
            object_id: Arc::new(StringArray::from(vec!["x"; n])),
            ra: numbers.clone(),
            dec: numbers.clone(),
            time: Arc::new(observed.with_timezone("UTC")),
            magnitude: numbers,
        },
        annotations: vec![Annotation {
            field: Arc::new(Field::new("matches", DataType::Int32, false)),
            values: Arc::new(Int32Array::from_iter_values(0..n as i32)),
        }],
        steps: Arc::from(["real".to_owned(), "bright".to_owned()]),
        verdicts: vec![Verdict::Passed; n],
        flags: vec![Flags::default(); n],
        rows,
    }
}

fn part(fingerprint: u64, rows: Vec<RowOrigin>) -> AlertBatch {
    part_of(fingerprint, records(&rows), rows)
}

fn origin(partition: i32) -> Arc<TopicPartition> {
    Arc::new(TopicPartition { topic: "ztf_local".into(), partition })
}

fn batch(partition: i32, span: std::ops::Range<i64>, mut parts: Vec<AlertBatch>) -> Decoded {
    parts.iter_mut().for_each(|part| encode(partition, part, &[7; 100]));
    let token = Token { origin: origin(partition), span: Span { start: span.start, end: span.end }, generation: 1 };
    Decoded { token, parts, letters: Vec::new(), permit: Arc::new(Permit::unbounded()) }
}

/// One part, one schema, the hour of T0.
fn plain(partition: i32, span: std::ops::Range<i64>) -> Decoded {
    batch(partition, span.clone(), vec![part(1, rows(span))])
}

/// What every kind of archive promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parquet,
    Avro,
}

const KINDS: [Kind; 2] = [Kind::Parquet, Kind::Avro];

/// A sink of either kind.
trait Kept: Sink + std::fmt::Debug {
    fn counts(&self) -> Arc<Counts>;
    fn memory(&self) -> u64;
    fn on_disk(&self) -> usize;
}

impl<F: Format> Kept for HourlySink<F> {
    fn counts(&self) -> Arc<Counts> {
        HourlySink::counts(self)
    }

    fn memory(&self) -> u64 {
        HourlySink::memory(self)
    }

    fn on_disk(&self) -> usize {
        HourlySink::on_disk(self)
    }
}

fn means(wanted: Wanted) -> Means {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    Means { pool, way: crate::durable::Way::Direct, cutouts: CutoutCodec::None, wanted }
}

/// A place on disk with a sink that writes there.
struct House {
    kind: Kind,
    config: config::Archive,
    codec: config::Codec,
    ledger: Ledger,
    sink: Option<Box<dyn Kept>>,
    memory: u64,
    survey: Arc<config::Survey>,
    component: &'static str,
    beside: Vec<String>,
    covered: Vec<String>,
    _home: Option<tempfile::TempDir>,
}

impl House {
    fn new() -> House {
        House::of(Kind::Parquet)
    }

    fn of(kind: Kind) -> House {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_path_buf();
        let mut house = House::at(kind, &path, "staging");
        house._home = Some(home);
        house
    }

    fn at(kind: Kind, home: &Path, staging: &str) -> House {
        let config = config::Archive {
            root: home.join("archive"),
            staging: home.join(staging),
            by: HourBy::Ingest,
            roll_size: 1 << 30,
            roll_age: Duration::from_secs(60),
            keep_free: 64 << 20,
            layout: Layout::Hive,
            way: WritePath::Direct,
            cutouts: CutoutCodec::None,
            columns: ColumnChoice::All,
        };
        let ledger = Ledger::default();
        ledger.start_generation(1, &[ARCHIVE]);
        House {
            kind,
            config,
            codec: config::Codec::None,
            ledger,
            sink: None,
            memory: 1 << 30,
            survey: survey(),
            component: "ztf",
            beside: Vec::new(),
            covered: Vec::new(),
            _home: None,
        }
    }

    fn context(&self) -> ArchiveContext {
        ArchiveContext {
            component: self.component.into(),
            sink: ARCHIVE,
            accounts: true,
            ledger: self.ledger.clone(),
            survey: self.survey.clone(),
            configuration: "c0ffee".into(),
            catalogs: Editions::new(|| vec!["gcvs 5.1".into()]),
            counts: Arc::default(),
            memory: self.memory,
            beside: self.beside.clone(),
            covered: self.covered.clone(),
        }
    }

    fn open(&self) -> Result<Box<dyn Kept>, Fault> {
        let context = self.context();
        Ok(match self.kind {
            Kind::Parquet => {
                Box::new(ArchiveSink::open(&self.config, means(choice::wanted(&self.config.columns, &self.survey)), context)?)
            }
            Kind::Avro => Box::new(BackupSink::open(&self.config, self.codec, context)?),
        })
    }

    fn sink(&mut self) -> &mut dyn Kept {
        if self.sink.is_none() {
            self.sink = Some(self.open().unwrap());
        }
        self.sink.as_deref_mut().unwrap()
    }

    fn accept(&mut self, batch: &Decoded) {
        self.ledger.begin(&batch.token, batch.alerts() as u64);
        self.ledger.decoded(&batch.token, batch.alerts() as u64);
        self.sink().accept(batch).unwrap();
    }

    fn seal(&mut self) {
        self.sink().seal().unwrap();
    }

    /// As after a SIGKILL: unfinished files stay in staging.
    fn crash(&mut self) {
        self.ledger = Ledger::default();
        self.ledger.start_generation(1, &[ARCHIVE]);
        self.sink = None;
        fs::write(self.config.staging.join(self.component).join("00000001.part"), "PAR1 half").unwrap();
    }

    fn files(&self) -> Vec<FileSummary> {
        match self.kind {
            Kind::Parquet => inventory(&self.config.root).unwrap(),
            Kind::Avro => files_below(&self.config.root, "avro", ContainerWriter::read).unwrap(),
        }
    }

    /// Folders of the files with the number of their rows.
    fn folders(&self) -> Vec<(String, u64)> {
        let folder = |f: &FileSummary| f.path.parent().unwrap().strip_prefix(self.root()).unwrap().display().to_string();
        self.files().iter().map(|f| (folder(f), f.rows)).collect()
    }

    fn root(&self) -> PathBuf {
        self.config.root.canonicalize().unwrap()
    }

    fn staged(&self) -> usize {
        let parts = fs::read_dir(self.config.staging.join(self.component)).unwrap();
        parts.filter(|e| e.as_ref().unwrap().file_name() != "lock").count()
    }

    /// Every row of the archive: partition, offset, record.
    fn rows(&self) -> Vec<(i32, i64, i32)> {
        let mut all = Vec::new();
        for file in self.files() {
            if self.kind == Kind::Avro {
                all.extend(backup::records(&file.path).into_iter().map(|(p, o, r, _)| (p, o, r)));
                continue;
            }
            for batch in read(&file.path) {
                let own = batch["skysluice"].as_struct();
                let partition = own["partition"].as_primitive::<Int32Type>();
                let offset = own["offset"].as_primitive::<Int64Type>();
                let record = own["record"].as_primitive::<Int32Type>();
                all.extend((0..batch.num_rows()).map(|i| (partition.value(i), offset.value(i), record.value(i))));
            }
        }
        all.sort_unstable();
        all
    }

    fn assert_settled(&self, watermark: i64) {
        assert_eq!(self.ledger.watermark(&origin(0)), Some(watermark));
        assert_eq!((self.ledger.open(None), self.ledger.totals().imbalance), (0, 0));
    }
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn offsets(partition: i32, range: std::ops::Range<i64>) -> Vec<(i32, i64, i32)> {
    range.map(|o| (partition, o, 0)).collect()
}
