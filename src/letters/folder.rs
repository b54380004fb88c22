//! A folder of Avro object containers (null codec), one for each call that put letters.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use apache_avro::{Reader, Schema, Writer};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::alert::{DeadLetter, Fault, LetterBox};
use crate::avro::{AlertSchema, embedded_schema};
use crate::durable::{self, DurableError, Staged, name_part};

/// The schema of a letter.
const SCHEMA: &str = r#"{"type": "record", "name": "letter", "namespace": "skysluice",
  "doc": "A message, or one record of it, that a stage gave up on.", "fields": [
  {"name": "topic", "type": "string", "doc": "where the message came from"},
  {"name": "partition", "type": "int"},
  {"name": "offset", "type": "long"},
  {"name": "record", "type": ["null", "int"], "doc": "index of the record in the message where only that one is dead"},
  {"name": "timestamp", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "doc": "time of the message"},
  {"name": "key", "type": ["null", "bytes"]},
  {"name": "headers", "type": {"type": "array", "items": {"type": "record", "name": "header", "fields": [
    {"name": "name", "type": "string"},
    {"name": "value", "type": ["null", "bytes"]}]}}},
  {"name": "stage", "type": "string", "doc": "the stage that gave up"},
  {"name": "reason", "type": "string", "doc": "why"},
  {"name": "payload", "type": ["null", "bytes"], "doc": "the message as it came; null for a tombstone"}]}"#;

static LETTER: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse_str(SCHEMA).expect("the schema above is valid; a test reads it"));

/// A dead letter as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLetter {
    /// Topic the message came from.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Index of the record inside the message where only that one is dead.
    pub record: Option<i32>,
    /// Time of the message, milliseconds since 1970, UTC.
    pub timestamp: Option<i64>,
    /// Original key.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub key: Option<Vec<u8>>,
    /// Original headers.
    pub headers: Vec<StoredHeader>,
    /// The stage that gave up.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// Original payload; `None` for a tombstone.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub payload: Option<Vec<u8>>,
}

/// A header of a stored letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHeader {
    /// Its name.
    pub name: String,
    /// Its value, where it has one.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub value: Option<Vec<u8>>,
}

impl From<&DeadLetter> for StoredLetter {
    fn from(letter: &DeadLetter) -> Self {
        let header = |(name, value): &(String, Option<Vec<u8>>)| StoredHeader { name: name.clone(), value: value.clone() };
        StoredLetter {
            topic: letter.origin.topic.to_string(),
            partition: letter.origin.partition,
            offset: letter.offset,
            record: letter.record.map(|r| i32::try_from(r).unwrap_or(i32::MAX)),
            timestamp: letter.timestamp,
            key: letter.key.clone(),
            headers: letter.headers.iter().map(header).collect(),
            stage: letter.stage.to_owned(),
            reason: letter.reason.clone(),
            payload: letter.payload.as_ref().map(|p| p.as_slice().to_vec()),
        }
    }
}

/// A folder of letters could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The disk.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// A file or folder can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a container, or one whose schema is not as simple as that of letters.
    #[error("{} is not a container of dead letters: {why}; move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// Not an Avro container of letters.
    #[error("{} is not a container of dead letters: {source}; move it away", path.display())]
    Avro {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<apache_avro::Error>,
    },
}

impl From<LetterError> for Fault {
    fn from(error: LetterError) -> Fault {
        match error {
            LetterError::Avro { .. } | LetterError::Foreign { .. } => Fault::defect(error.to_string()),
            LetterError::Durable(_) | LetterError::Read { .. } => Fault::environment(error.to_string()),
        }
    }
}

/// A [`LetterBox`] that is a folder. The same letters put again, as after a crash, are kept once.
#[derive(Debug)]
pub struct FolderLetters {
    folder: PathBuf,
    // Two stages may bury at once; the check for a name and its use belong together.
    turn: Mutex<()>,
}

impl FolderLetters {
    /// Opens the folder, creating it where it is missing.
    ///
    /// # Errors
    /// When it can't be created or written.
    pub fn open(folder: &Path) -> Result<FolderLetters, LetterError> {
        durable::create_folders(folder)?;
        durable::check_writable(folder)?;
        Ok(FolderLetters { folder: folder.to_path_buf(), turn: Mutex::new(()) })
    }

    fn store(&self, letters: &[DeadLetter]) -> Result<(), LetterError> {
        let Some(one) = letters.first() else { return Ok(()) };
        let (first, last) = letters.iter().fold((one.offset, one.offset), |(a, b), l| (a.min(l.offset), b.max(l.offset)));
        let topic = name_part(&one.origin.topic, 100);
        let name = |n: u32| format!("{topic}-{}-{first}-{last}-{n}.avro", one.origin.partition);
        let stored: Vec<StoredLetter> = letters.iter().map(StoredLetter::from).collect();
        let bytes =
            encode(&stored).map_err(|source| LetterError::Avro { path: self.folder.join(name(0)), source: source.into() })?;

        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for n in 0.. {
            let path = self.folder.join(name(n));
            match fs::read(&path) {
                Ok(there) if there == bytes => return Ok(durable::sync_folder(&self.folder)?),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Err(source) => return Err(LetterError::Read { path, source }),
            }
        }
        let mut staged = Staged::create(&self.folder, &format!(".{}.part", name(0)), durable::Way::Cached)?;
        std::io::Write::write_all(&mut staged, &bytes).map_err(|source| DurableError {
            doing: "write",
            path: staged.path().to_path_buf(),
            source,
        })?;
        staged.publish(&self.folder, name)?;
        Ok(())
    }
}

impl LetterBox for FolderLetters {
    fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
        Ok(self.store(letters)?)
    }
}

/// One container. The synchronisation marker is a hash of the letters, so that equal letters make equal files.
///
/// # Errors
/// None that is known: what a letter holds can be written.
pub fn encode(letters: &[StoredLetter]) -> Result<Vec<u8>, apache_avro::Error> {
    let mut hash = Xxh3::new();
    for letter in letters {
        hash.update(&letter.offset.to_le_bytes());
        hash.update(letter.reason.as_bytes());
        hash.update(letter.payload.as_deref().unwrap_or_default());
    }
    let marker = hash.digest128().to_le_bytes();
    let mut writer = Writer::builder().schema(&LETTER).writer(Vec::new()).marker(marker).build()?;
    for letter in letters {
        writer.append_ser(letter)?;
    }
    writer.into_inner()
}

/// The letters of one container.
///
/// # Errors
/// When the file can't be read or is no container of letters.
pub fn read_file(path: &Path) -> Result<Vec<StoredLetter>, LetterError> {
    let bytes = fs::read(path).map_err(|source| LetterError::Read { path: path.to_path_buf(), source })?;
    decode(&bytes, path)
}

/// The letters in the bytes of one container, whoever wrote it. `path` is what errors name.
///
/// # Errors
/// When they are no container of letters.
pub fn decode(container: &[u8], path: &Path) -> Result<Vec<StoredLetter>, LetterError> {
    // apache-avro recurses as deep as the writer's schema and the data say, which only a foreign file makes deep.
    let written = embedded_schema(container).map_err(|error| error.to_string());
    written
        .and_then(|json| AlertSchema::parse(json).map_err(|error| error.to_string()))
        .map_err(|why| LetterError::Foreign { path: path.to_path_buf(), why })?;
    let failed = |source: apache_avro::Error| LetterError::Avro { path: path.to_path_buf(), source: source.into() };
    let reader = Reader::builder(container).reader_schema(&LETTER).build().map_err(failed)?;
    reader.map(|value| apache_avro::from_value(&value.map_err(failed)?).map_err(failed)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use apache_avro::types::Value;
    use arrow_buffer::Buffer;

    use super::*;
    use crate::alert::TopicPartition;
    use crate::letters::read_folder;

    fn letter(topic: &str, offset: i64, payload: Option<&[u8]>) -> DeadLetter {
        DeadLetter {
            origin: Arc::new(TopicPartition { topic: topic.into(), partition: 2 }),
            offset,
            record: (offset % 2 == 1).then_some(7),
            timestamp: Some(1_700_000_000_000 + offset),
            key: Some(vec![0, 255]),
            headers: vec![("a".into(), Some(vec![1, 2])), ("b".into(), None)],
            payload: payload.map(|p| Buffer::from(p.to_vec())),
            stage: "decode",
            reason: format!("truncated after {offset} bytes"),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn letters_come_back_as_they_were_put() {
        let home = tempfile::tempdir().unwrap();
        let letters = FolderLetters::open(&home.path().join("a/dead")).unwrap();
        let put = [letter("ztf", 10, Some(b"Obj\x01")), letter("ztf", 11, Some(b"")), letter("ztf", 12, None)];
        letters.put(&put).unwrap();
        letters.put(&[]).unwrap();
        assert_eq!(names(&home.path().join("a/dead")), ["ztf-2-10-12-0.avro"]);
        let expected: Vec<StoredLetter> = put.iter().map(StoredLetter::from).collect();
        assert_eq!(read_folder(&home.path().join("a/dead")).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_knows_nothing_of_letters_opens_the_file() {
        let home = tempfile::tempdir().unwrap();
        FolderLetters::open(home.path()).unwrap().put(&[letter("ztf", 11, Some(b"Obj\x01"))]).unwrap();
        let bytes = fs::read(home.path().join("ztf-2-11-11-0.avro")).unwrap();
        let values: Vec<Value> = Reader::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
        let Value::Record(fields) = &values[0] else { panic!("{values:?}") };
        let field = |name: &str| fields.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(field("offset"), Value::Long(11));
        assert_eq!(field("timestamp"), Value::Union(1, Box::new(Value::TimestampMillis(1_700_000_000_011))));
        assert_eq!(field("payload"), Value::Union(1, Box::new(Value::Bytes(b"Obj\x01".to_vec()))));
        assert_eq!(field("record"), Value::Union(1, Box::new(Value::Int(7))));
    }

    #[test]
    fn the_same_letters_put_again_are_kept_once_and_others_beside_them() {
        let home = tempfile::tempdir().unwrap();
        let letters = FolderLetters::open(home.path()).unwrap();
        let first = [letter("ztf", 10, Some(b"x"))];
        letters.put(&first).unwrap();
        letters.put(&first).unwrap();
        let second = [DeadLetter { reason: "another".into(), ..first[0].clone() }];
        letters.put(&second).unwrap();
        letters.put(&second).unwrap();
        assert_eq!(names(home.path()), ["ztf-2-10-10-0.avro", "ztf-2-10-10-1.avro"]);
        assert_eq!(read_folder(home.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_topic_can_not_lead_out_of_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("dead");
        FolderLetters::open(&folder).unwrap().put(&[letter("../../etc/x\0", 1, None)]).unwrap();
        assert_eq!(names(home.path()), ["dead"]);
        assert_eq!(read_folder(&folder).unwrap()[0].topic, "../../etc/x\0");
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error_of_the_environment() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dead");
        fs::write(&path, "").unwrap();
        let fault = Fault::from(FolderLetters::open(&path).unwrap_err());
        assert_eq!(fault.kind, crate::alert::FaultKind::Environment);
        assert!(fault.message.contains("dead"), "{fault}");
    }

    #[test]
    fn a_foreign_container_is_refused_whatever_is_in_it() {
        use crate::avro::{container_start, write_block_start};
        let foreign = |json: &str, block: &[u8]| {
            let mut bytes = container_start(&[("avro.schema", json), ("avro.codec", "null")], &[7; 16]);
            write_block_start(&mut bytes, 1, block.len());
            bytes.extend([block, &[7; 16]].concat());
            decode(&bytes, Path::new("x.avro")).unwrap_err().to_string()
        };
        // A million levels, one byte each: whoever follows them with a stack of 8 MB is dead.
        let list = r#"{"type":"record","name":"letter","fields":[{"name":"topic","type":["null","letter"]}]}"#;
        let told = foreign(list, &[&vec![2; 1 << 20][..], &[0]].concat());
        assert_eq!(
            told,
            "x.avro is not a container of dead letters: the record letter holds itself: recursive types cannot be turned into \
             columns; move it away"
        );
        let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(10_000), "}".repeat(10_000));
        assert!(foreign(&deep, &[0]).contains("nested deeper than 64 levels"));
        let other = r#"{"type":"record","name":"other","fields":[{"name":"topic","type":"string"}]}"#;
        assert!(foreign(other, b"\x02x").contains("is not a container of dead letters"));
        let told = decode(b"PAR1", Path::new("x.avro")).unwrap_err().to_string();
        assert!(told.contains("does not begin with 'Obj\\x01'"), "{told}");
    }

    #[test]
    fn letters_cut_off_anywhere_are_an_error_or_fewer_letters() {
        let letters: Vec<StoredLetter> = (0..3).map(|i| StoredLetter::from(&letter("ztf", i, Some(b"x")))).collect();
        let bytes = encode(&letters).unwrap();
        for end in 0..bytes.len() {
            match decode(&bytes[..end], Path::new("x.avro")) {
                Ok(fewer) => assert!(letters.starts_with(&fewer) && fewer.is_empty(), "cut at {end}"),
                Err(error) => assert!(error.to_string().starts_with("x.avro is not a container"), "{error}"),
            }
        }
        assert_eq!(decode(&bytes, Path::new("x.avro")).unwrap(), letters);
    }
}
