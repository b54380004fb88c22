//! An Avro file of the backup being written, and reading back what it says of itself.
//!
//! The records are the producer's own bytes, in an object container with the producer's schema. What is known last, the
//! ranges of offsets and the length of the file, stands in its header: a file that goes to disk early keeps room for it,
//! filled with spaces, and gets it when it is complete.
//!
//! **Invariant:** a datum is never decoded and encoded again; a reader of the backup gets what a reader of the stream got.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::BooleanArray;

use super::context::ArchiveContext;
use super::footer::{FileSummary, OffsetRange, ReadError, key};
use super::format::Format;
use crate::alert::{AlertBatch, Fault, Permit, TopicPartition};
use crate::avro::{self, AlertSchema, Codec, FrameError, MAX_SCHEMA_BYTES};
use crate::config;
use crate::durable::{DurableError, Staged, Way};

/// Bytes of records at which a block is ended: readers hold one at a time.
const BLOCK: usize = 1 << 20;

/// Bytes of ended blocks that are kept in memory before the file is begun on disk.
const BEGIN: usize = 4 << 20;

/// Bytes of a header that a file on disk keeps for its ranges: some 300 of them.
const ROOM: usize = 64 << 10;

/// Bytes of a file that are read first to find its header, and at most.
const HEAD: (u64, u64) = (256 << 10, (MAX_SCHEMA_BYTES + (16 << 20)) as u64);

/// What is common to the files of a schema.
pub struct Header {
    alerts: Arc<AlertSchema>,
    codec: Codec,
    sync: [u8; 16],
    metadata: Vec<(&'static str, String)>,
}

impl Header {
    /// The header with these ranges, which take `room` bytes, of a file of `bytes` bytes.
    fn bytes(&self, ranges: &str, room: usize, bytes: u64) -> Vec<u8> {
        let ranges = format!("{ranges}{}", " ".repeat(room.saturating_sub(ranges.len())));
        let length = format!("{bytes:<20}");
        let mut metadata: Vec<(&str, &str)> = vec![("avro.schema", &self.alerts.json), ("avro.codec", self.codec.name())];
        metadata.extend(self.metadata.iter().map(|(key, value)| (*key, value.as_str())));
        metadata.extend([(key::BYTES, length.as_str()), (key::RANGES, ranges.as_str())]);
        avro::container_start(&metadata, &self.sync)
    }
}

/// A file being written.
pub struct ContainerWriter {
    header: Arc<Header>,
    staging: PathBuf,
    name: String,
    /// Records of the block in hand, one after the other.
    block: Vec<u8>,
    records: usize,
    /// Blocks that are ended and not on disk.
    ended: Vec<u8>,
    staged: Option<Staged>,
}

impl ContainerWriter {
    fn end_block(&mut self) -> Result<(), Fault> {
        if self.records == 0 {
            return Ok(());
        }
        let mut compressed = Vec::new();
        let data = match self.header.codec {
            Codec::Null => &self.block,
            codec => {
                let failed = |e| Fault::defect(format!("compressing a block for the backup by {}: {e}", codec.name()));
                codec.compress(&self.block, &mut compressed).map_err(failed)?;
                &compressed
            }
        };
        avro::write_block_start(&mut self.ended, self.records, data.len());
        self.ended.extend_from_slice(data);
        self.ended.extend_from_slice(&self.header.sync);
        self.block.clear();
        self.records = 0;
        if self.staged.is_some() || self.ended.len() >= BEGIN { self.write_ended() } else { Ok(()) }
    }

    /// Writes the blocks that are ended, to a file that is begun where there is none.
    fn write_ended(&mut self) -> Result<(), Fault> {
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => {
                let staged = none.insert(Staged::create(&self.staging, &self.name, Way::Direct)?);
                put(staged, &self.header.bytes("", ROOM, 0))?;
                staged
            }
        };
        put(staged, &self.ended)?;
        self.ended.clear();
        // From now on one block at a time comes here.
        self.ended.shrink_to(2 * BLOCK);
        Ok(())
    }
}

fn put(staged: &mut Staged, bytes: &[u8]) -> Result<(), Fault> {
    staged.write_all(bytes).map_err(|source| {
        let path = staged.path().to_path_buf();
        DurableError { doing: "write", path, source }.into()
    })
}

/// Avro: the records as the producer encoded them.
impl Format for ContainerWriter {
    const ENDING: &'static str = "avro";
    const RANGES: usize = ROOM;
    type Settings = config::Codec;
    type Shape = Header;
    type Rows<'a> = &'a AlertBatch;

    fn shape(settings: &config::Codec, part: &AlertBatch, context: &ArchiveContext) -> Result<Header, Fault> {
        let codec = match settings {
            config::Codec::None => Codec::Null,
            config::Codec::Deflate => Codec::Deflate,
            config::Codec::Snappy => Codec::Snappy,
            config::Codec::Zstandard => Codec::Zstandard,
        };
        let metadata = vec![
            (key::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            (key::COMPONENT, context.component.clone()),
            (key::CONFIGURATION, context.configuration.clone()),
            (key::SURVEY, context.survey.name.clone()),
            (key::FINGERPRINT, format!("{:016x}", part.schema.fingerprint)),
        ];
        Ok(Header { alerts: part.schema.clone(), codec, sync: avro::sync_marker(&part.schema.json), metadata })
    }

    fn fits(shape: &Header, part: &AlertBatch) -> bool {
        Arc::ptr_eq(&shape.alerts, &part.schema) || shape.alerts.json == part.schema.json
    }

    fn rows<'a>(_: &Header, part: &'a AlertBatch, _: &TopicPartition, _: &Arc<Permit>) -> Result<&'a AlertBatch, Fault> {
        Ok(part)
    }

    fn create(staging: &Path, name: &str, shape: &Arc<Header>) -> Result<Self, Fault> {
        Ok(ContainerWriter {
            header: shape.clone(),
            staging: staging.to_path_buf(),
            name: name.to_owned(),
            block: Vec::new(),
            records: 0,
            ended: Vec::new(),
            staged: None,
        })
    }

    fn shaped(&self) -> &Arc<Header> {
        &self.header
    }

    fn write(&mut self, rows: &&AlertBatch, keep: Option<&BooleanArray>) -> Result<(), Fault> {
        for (i, row) in rows.rows.iter().enumerate() {
            if keep.is_some_and(|mask| !mask.value(i)) {
                continue;
            }
            self.block.extend_from_slice(rows.bytes(row.datum));
            self.records += 1;
            if self.block.len() >= BLOCK {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.end_block()?;
        self.write_ended()?;
        (self.block, self.ended) = (Vec::new(), Vec::new());
        Ok(())
    }

    fn memory(&self) -> u64 {
        (self.block.capacity() + self.ended.capacity()) as u64
    }

    fn bytes(&self) -> u64 {
        self.staged.as_ref().map_or(0, Staged::written) + (self.ended.len() + self.block.len()) as u64
    }

    fn on_disk(&self) -> bool {
        self.staged.is_some()
    }

    fn finish(mut self, ranges: &[OffsetRange]) -> Result<Staged, Fault> {
        let json = serde_json::to_string(ranges).map_err(|e| Fault::defect(format!("offset ranges as JSON: {e}")))?;
        self.end_block()?;
        if let Some(mut staged) = self.staged.take() {
            if json.len() > ROOM {
                let path = staged.path().display();
                return Err(Fault::defect(format!("{path}: {} bytes of offset ranges, and room for {ROOM}", json.len())));
            }
            staged.begin_with(self.header.bytes(&json, ROOM, staged.written()));
            return Ok(staged);
        }
        let length = (self.header.bytes(&json, json.len(), 0).len() + self.ended.len()) as u64;
        let mut staged = Staged::create(&self.staging, &self.name, Way::Direct)?;
        put(&mut staged, &self.header.bytes(&json, json.len(), length))?;
        put(&mut staged, &self.ended)?;
        Ok(staged)
    }

    fn read(path: &Path) -> Result<FileSummary, ReadError> {
        let failed = |source| ReadError::Io { path: path.to_path_buf(), source };
        let unfit = |source| ReadError::Avro { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let head = head(&file, bytes).map_err(failed)?.map_err(unfit)?;
        let value = |key: &str| head.iter().find(|(k, _)| k == key).map(|(_, value)| value.trim_end());
        // Without a length Skysluice didn't write it.
        if let Some(whole) = value(key::BYTES).and_then(|text| text.parse().ok())
            && whole != bytes
        {
            return Err(ReadError::Cut { path: path.to_path_buf(), bytes, whole });
        }
        let ranges: Option<Vec<OffsetRange>> = value(key::RANGES)
            .map(serde_json::from_str)
            .transpose()
            .map_err(|source| ReadError::Ranges { path: path.to_path_buf(), source })?;
        let ranges = ranges.unwrap_or_default();
        Ok(FileSummary {
            path: path.to_path_buf(),
            rows: ranges.iter().map(|r| r.rows).sum(),
            bytes,
            component: value(key::COMPONENT).unwrap_or_default().to_owned(),
            fingerprint: value(key::FINGERPRINT).unwrap_or_default().to_owned(),
            ranges,
        })
    }
}

/// The texts among the metadata of a container of `length` bytes.
fn head(file: &File, length: u64) -> io::Result<Result<Vec<(String, String)>, FrameError>> {
    let mut head = Vec::new();
    let mut wanted = HEAD.0;
    loop {
        file.take(wanted - head.len() as u64).read_to_end(&mut head)?;
        if !avro::container_magic(&head) {
            return Ok(Err(FrameError::Header("it does not begin as a container does")));
        }
        let mut found = Vec::new();
        let parsed = avro::metadata(&head, |key, value| {
            if let (Ok(key), Ok(value)) = (std::str::from_utf8(key), std::str::from_utf8(value)) {
                found.push((key.to_owned(), value.to_owned()));
            }
            Ok(())
        });
        match parsed {
            Err(FrameError::Truncated(_)) if wanted < length.min(HEAD.1) => wanted *= 4,
            parsed => return Ok(parsed.map(|_| found)),
        }
    }
}
