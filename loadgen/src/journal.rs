//! The journal of `produce`: what the brokers have acknowledged, so that a judge can tell what must have come out.
//!
//! Lines of text, because anybody can look into them with what every machine has (`cut`, `awk`, pandas), and appending to them needs
//! no index; a message takes about 55 bytes, a thousandth of what it has itself. The first line is a JSON object that tells topic and
//! packets, from which every alert can be made again by its number. Each further line is one message, in the order of the
//! acknowledgements; fields are separated by tabs:
//!
//! `number  partition  offset  timestamp (ms since 1970, UTC)  CRC-32 of the payload (8 hexadecimal digits)  key (JSON; null: none)`
//!
//! **Invariant:** lines are only ever added. A last line without its end is one whose writer was killed: what it recorded, and what
//! was acknowledged after it, can't be known.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::packets::PacketArgs;
use crate::produce::Key;

/// Version of the format.
const VERSION: u32 = 1;

/// The first line: what was sent where.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Header {
    /// Version of the format.
    journal: u32,
    /// Topic that was filled.
    pub(crate) topic: String,
    /// Key of the messages.
    pub(crate) key: Key,
    /// Packets, with the version of their schema said.
    pub(crate) packets: PacketArgs,
}

impl Header {
    /// What is sent to a topic.
    pub(crate) fn new(topic: &str, key: Key, packets: &PacketArgs) -> Result<Self, Error> {
        let mut packets = packets.clone();
        if let Some(from) = &mut packets.from {
            *from = std::path::absolute(&*from).map_err(Error::file("find", &*from))?;
        } else {
            packets.schema = Some(packets.schema()?.version().to_owned());
        }
        Ok(Self { journal: VERSION, topic: topic.to_owned(), key, packets })
    }
}

/// A message that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Running number.
    pub(crate) number: u64,
    /// Partition.
    pub(crate) partition: i32,
    /// Offset in it.
    pub(crate) offset: i64,
    /// Time of the message, ms since 1970, UTC.
    pub(crate) timestamp: i64,
    /// CRC-32 (IEEE) of the payload.
    pub(crate) checksum: u32,
    /// Key.
    pub(crate) key: Option<&'a str>,
}

/// A journal that is being written.
pub(crate) struct Journal {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Journal {
    /// Begins a journal, or goes on with one that was begun with the same header.
    pub(crate) fn open(path: &Path, header: &Header) -> Result<Self, Error> {
        let failed = |action| Error::file(action, path);
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(failed("open the journal"))?;
        let length = file.metadata().map_err(failed("read the journal"))?.len();
        if length > 0 {
            let found = Reader::open(path)?.header;
            if found != *header {
                let problem = format!(
                    "was begun for other messages: {}, not {}",
                    serde_json::to_string(&found).expect("a header is JSON"),
                    serde_json::to_string(header).expect("a header is JSON"),
                );
                return Err(wrong(path, 1, problem, "give each topic and each kind of packets a journal of its own"));
            }
            let mut last = [0];
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(failed("read the journal"))?;
            if last != *b"\n" {
                let problem =
                    "ends in the middle of its last line, so that its writer was killed and not all that was sent is in it";
                return Err(wrong(path, 0, problem.to_owned(), "begin a new topic with a new journal"));
            }
        }
        let mut journal = Self { path: path.to_owned(), out: BufWriter::with_capacity(1 << 16, file) };
        if length == 0 {
            let line = serde_json::to_string(header).expect("a header is JSON");
            writeln!(journal.out, "{line}").map_err(failed("write the journal"))?;
            journal.flush()?;
        }
        Ok(journal)
    }

    /// Adds a message.
    pub(crate) fn add(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        let Record { number, partition, offset, timestamp, checksum, key } = record;
        write!(self.out, "{number}\t{partition}\t{offset}\t{timestamp}\t{checksum:08x}\t")?;
        serde_json::to_writer(&mut self.out, key)?;
        self.out.write_all(b"\n")
    }

    /// Hands what was added to the system, so that it survives the end of this process.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(Error::file("write the journal", &self.path))
    }

    /// As [`Journal::flush`], and down to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.out.get_ref().sync_all().map_err(Error::file("write the journal", &self.path))
    }
}

/// A journal that is being read.
pub(crate) struct Reader {
    path: PathBuf,
    lines: BufReader<File>,
    line: Vec<u8>,
    number: usize,
    key: Option<String>,
    torn: bool,
    /// Its first line.
    pub(crate) header: Header,
}

impl Reader {
    /// Opens a journal and reads its first line.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::file("open the journal", path))?;
        let (mut lines, mut line) = (BufReader::with_capacity(1 << 20, file), Vec::new());
        lines.read_until(b'\n', &mut line).map_err(Error::file("read the journal", path))?;
        let header: Header = serde_json::from_slice(&line).map_err(|error| {
            wrong(path, 1, format!("is no header: {error}"), "name a file that `produce --journal` has written")
        })?;
        if header.journal != VERSION {
            let problem = format!("is of version {}, not {VERSION}", header.journal);
            return Err(wrong(path, 1, problem, "read it with the program that has written it"));
        }
        Ok(Self { path: path.to_owned(), lines, line, number: 1, key: None, torn: false, header })
    }

    /// The next message; `None` at the end.
    pub(crate) fn read_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        self.line.clear();
        self.lines.read_until(b'\n', &mut self.line).map_err(Error::file("read the journal", &self.path))?;
        self.number += 1;
        match self.line.pop() {
            None => return Ok(None),
            Some(b'\n') => {}
            // Even what looks whole may lack the end of a number.
            Some(_) => {
                self.torn = true;
                return Ok(None);
            }
        }
        let (path, number) = (&self.path, self.number);
        let record = parse(&self.line, &mut self.key);
        let unlike = || wrong(path, number, "is no message".to_owned(), "the file was changed by something else: restore it");
        record.ok_or_else(unlike).map(Some)
    }

    /// Whether the last line, which [`Reader::read_record`] leaves out, lacks its end.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }
}

fn parse<'a>(line: &[u8], key: &'a mut Option<String>) -> Option<Record<'a>> {
    let mut fields = std::str::from_utf8(line).ok()?.splitn(6, '\t');
    let mut next = || fields.next();
    let number = next()?.parse().ok()?;
    let (partition, offset, timestamp) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    let checksum = Some(next()?).filter(|digits| digits.len() == 8).and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
    *key = serde_json::from_str(next()?).ok()?;
    Some(Record { number, partition, offset, timestamp, checksum, key: key.as_deref() })
}

fn wrong(path: &Path, line: usize, problem: String, advice: &'static str) -> Error {
    Error::Journal { path: path.to_owned(), line, problem, advice }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::packets::tests::args;

    fn record(number: u64, key: Option<&str>) -> Record<'_> {
        Record { number, partition: 3, offset: number as i64 - 5, timestamp: 1_700_000_000_000, checksum: 0xab, key }
    }

    fn read(path: &Path) -> (Vec<String>, bool) {
        let mut reader = Reader::open(path).unwrap();
        let mut found = Vec::new();
        while let Some(record) = reader.read_record().unwrap() {
            found.push(format!("{record:?}"));
        }
        (found, reader.is_torn())
    }

    #[test]
    fn what_is_written_in_several_runs_is_read_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let header = Header::new("night", Key::Object, &args(None)).unwrap();
        let records =
            [record(7, Some("ZTF26a")), record(8, None), record(9, Some("tab\t, line\n, \"quote\"")), record(10, Some(""))];
        for part in records.chunks(3) {
            let mut journal = Journal::open(&path, &header).unwrap();
            part.iter().for_each(|record| journal.add(record).unwrap());
            journal.sync().unwrap();
        }
        assert_eq!(read(&path), (records.iter().map(|record| format!("{record:?}")).collect(), false));
        let found = Reader::open(&path).unwrap().header;
        assert_eq!(found, header);
        assert_eq!(found.packets.schema.as_deref(), Some("4.01"));
    }

    #[test]
    fn a_torn_line_is_left_out_told_and_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let header = Header::new("night", Key::Object, &args(None)).unwrap();
        let mut journal = Journal::open(&path, &header).unwrap();
        [1, 2].iter().for_each(|number| journal.add(&record(*number, Some("a"))).unwrap());
        journal.flush().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let line = whole.iter().rposition(|byte| *byte == b'2').unwrap();
        for end in line + 1..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!((read(&path).0.len(), read(&path).1), (1, true), "cut at {end}");
            let error = Journal::open(&path, &header).err().unwrap().to_string();
            assert!(error.contains("in the middle of its last line") && error.contains("new topic"), "{error}");
        }
        std::fs::write(&path, &whole[..10]).unwrap();
        assert!(Reader::open(&path).err().unwrap().to_string().contains("is no header"));
    }

    #[test]
    fn another_journal_or_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let header = Header::new("night", Key::Object, &args(None)).unwrap();
        Journal::open(&path, &header).unwrap();
        let other = Header::new("night", Key::Object, &PacketArgs { seed: 1, ..args(None) }).unwrap();
        let error = Journal::open(&path, &other).err().unwrap().to_string();
        assert!(error.contains("begun for other messages"), "{error}");
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"1\t2\tthree\n").unwrap();
        let error = Reader::open(&path).unwrap().read_record().unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("is no message"), "{error}");
    }
}
