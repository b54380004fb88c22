//! What was sent: the journal in memory, found by number, by place and by id, and every message made again. About 60 bytes a message.

use std::path::Path;

use apache_avro::types::Value;

use super::writer::{Writer, Writers};
use crate::container;
use crate::error::Error;
use crate::journal::{Header, Reader};
use crate::packets::{Framing, Packets};
use crate::produce::Key;

/// All messages of a journal. They are known by their place in it, sorted by number: `who`.
pub(super) struct Sent {
    /// What was sent where.
    pub(super) header: Header,
    /// Whether the journal lacks the end of its last line.
    pub(super) torn: bool,
    numbers: Vec<u64>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    checksums: Vec<u32>,
    /// Sorted by partition and offset.
    places: Vec<u32>,
    /// Ids of the alerts, sorted, where they are known and no two are the same.
    ids: Vec<(i64, u32)>,
    /// Name of the field that holds the id, where `ids` are known.
    pub(super) id_field: Option<&'static str>,
}

impl Sent {
    /// Reads a journal.
    pub(super) fn read(path: &Path, packets: impl FnOnce(&Header) -> Result<Packets, Error>) -> Result<(Self, Packets), Error> {
        let mut reader = Reader::open(path)?;
        let mut records = Vec::new();
        while let Some(record) = reader.read_record()? {
            records.push((record.number, record.partition, record.offset, record.timestamp, record.checksum));
        }
        let wrong = |problem, advice| Err(Error::Journal { path: path.to_owned(), line: 0, problem, advice });
        if u32::try_from(records.len()).is_err() {
            return wrong(format!("has {} messages", records.len()), "more than four thousand million can't be judged at once");
        }
        records.sort_unstable();
        if let Some(twice) = records.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let problem = format!("has the number {} twice", twice[0].0);
            return wrong(problem, "give each run of `produce` on a topic its own --first-index");
        }
        let mut sent = Self {
            header: reader.header.clone(),
            torn: reader.is_torn(),
            numbers: records.iter().map(|record| record.0).collect(),
            partitions: records.iter().map(|record| record.1).collect(),
            offsets: records.iter().map(|record| record.2).collect(),
            timestamps: records.iter().map(|record| record.3).collect(),
            checksums: records.iter().map(|record| record.4).collect(),
            places: (0..records.len() as u32).collect(),
            ids: Vec::new(),
            id_field: None,
        };
        drop(records);
        let (partitions, offsets) = (&sent.partitions, &sent.offsets);
        sent.places.sort_unstable_by_key(|who| (partitions[*who as usize], offsets[*who as usize]));
        let packets = packets(&sent.header)?;
        let id = |(number, who): (&u64, u32)| Some((packets.look(*number)?.id, who));
        if let Some(mut ids) = sent.numbers.iter().zip(0..).map(id).collect::<Option<Vec<_>>>() {
            ids.sort_unstable();
            if ids.windows(2).all(|pair| pair[0].0 < pair[1].0) {
                (sent.ids, sent.id_field) = (ids, Some(sent.header.packets.schema()?.id_field()));
            }
        }
        Ok((sent, packets))
    }

    /// Messages.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The running number of a message.
    pub(super) fn number(&self, who: usize) -> u64 {
        self.numbers[who]
    }

    /// Partition and offset of a message.
    pub(super) fn place(&self, who: usize) -> (i32, i64) {
        (self.partitions[who], self.offsets[who])
    }

    /// Time of a message, ms since 1970, UTC.
    pub(super) fn timestamp(&self, who: usize) -> i64 {
        self.timestamps[who]
    }

    /// CRC-32 of the payload of a message.
    pub(super) fn checksum(&self, who: usize) -> u32 {
        self.checksums[who]
    }

    /// The message at a place of the topic that was filled.
    pub(super) fn at(&self, topic: &str, partition: i32, offset: i64) -> Option<usize> {
        let place = |who: &u32| self.place(*who as usize);
        let found = (topic == self.header.topic).then(|| self.places.binary_search_by_key(&(partition, offset), place).ok());
        found.flatten().map(|at| self.places[at] as usize)
    }

    /// The message of the alert with this id.
    pub(super) fn with_id(&self, id: i64) -> Option<usize> {
        self.ids.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| self.ids[at].1 as usize)
    }

    /// How errors and tables name a message.
    pub(super) fn name(&self, who: usize) -> String {
        let (partition, offset) = self.place(who);
        format!("number {} (partition {partition}, offset {offset})", self.number(who))
    }

    /// The object id of a made-up alert, which is the key that it is published with.
    pub(super) fn object(&self, who: usize, packets: &Packets) -> Option<String> {
        packets.look(self.number(who)).map(|info| info.object_id.to_string())
    }
}

/// Makes messages again.
pub(super) struct Again {
    packets: Packets,
    writers: Writers,
    payload: Vec<u8>,
    key: String,
}

/// A message, made again.
pub(super) struct Original<'a> {
    /// Its alert; `None` where it was broken on purpose.
    pub(super) alert: Option<(Value, &'a Writer)>,
    /// Its key.
    pub(super) key: Option<&'a str>,
}

impl Again {
    /// Makes these packets.
    pub(super) fn new(packets: Packets) -> Self {
        Self { packets, writers: Writers::default(), payload: Vec::new(), key: String::new() }
    }

    /// The packets.
    pub(super) fn packets(&self) -> &Packets {
        &self.packets
    }

    /// Makes a message and decodes its alert. What is made is what was sent: its checksum says so.
    pub(super) fn make(&mut self, sent: &Sent, who: usize) -> Result<Original<'_>, Error> {
        let number = sent.number(who);
        let failed = |problem: String, advice| Error::Again { number, problem, advice };
        self.packets.make(number, &mut self.payload, &mut self.key);
        if crc32fast::hash(&self.payload) != sent.checksum(who) {
            let problem = "its checksum is not that of the journal".to_owned();
            return Err(failed(problem, "judge with the version of the program, and the files, that it was sent with"));
        }
        let key = (sent.header.key == Key::Object).then_some(self.key.as_str());
        if self.packets.is_broken(number) {
            return Ok(Original { alert: None, key });
        }
        let whole = "send packets that are uncompressed Avro containers with one record";
        let datum = match self.packets.framing() {
            Framing::Container => container::open(&self.payload).map(|container| container.datum),
            Framing::Confluent => Some(5..self.payload.len()),
            Framing::Bare => Some(0..self.payload.len()),
        };
        let (Some(datum), Some(schema)) = (datum, self.packets.schema_of(number)) else {
            return Err(failed("it is no container that can be looked into".to_owned(), whole));
        };
        let writer = self.writers.of(schema).map_err(|problem| failed(problem, whole))?;
        let alert = writer.read(&self.payload[datum]).map_err(|problem| failed(problem, whole))?;
        Ok(Original { alert: Some((alert, writer)), key })
    }
}
