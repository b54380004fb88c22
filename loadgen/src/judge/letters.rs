//! Dead letters, in a folder of Avro containers or in a topic: which messages they account for, and whether they hold what was sent.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use apache_avro::Reader;
use apache_avro::types::Value;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::output::{header, headers_of, origin};
use super::sent::{Again, Sent};
use super::tally::{Origin, Tally, Wrong, identify};
use crate::error::Error;
use crate::files;

/// What letters account for.
pub(super) struct Letters<'a> {
    sent: &'a Sent,
    again: &'a mut Again,
    /// What was found.
    pub(super) tally: Tally,
    /// For each message, the sinks that a letter excuses.
    excused: Vec<u8>,
}

/// A sink that may lack what is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// The archive.
    Archive = 1,
    /// The outputs.
    Outputs = 2,
}

/// What is compared of a letter.
struct Letter<'a> {
    origin: Origin<'a>,
    stage: &'a str,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    /// The payload was too large for the topic of letters.
    omitted: bool,
}

impl<'a> Letters<'a> {
    /// No letters yet.
    pub(super) fn new(sent: &'a Sent, again: &'a mut Again) -> Self {
        Self { sent, again, tally: Tally::new(sent.len()), excused: vec![0; sent.len()] }
    }

    /// Reads all letters of a folder, and of the folders in it, where those lie that are being processed again.
    pub(super) fn folder(&mut self, folder: &Path) -> Result<(), Error> {
        for path in files::below(folder, "avro")? {
            self.tally.files += 1;
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            if let Err(problem) = self.file(&path, &name)? {
                self.tally.fault(Wrong::Unreadable, None, || format!("{name}: {problem}"));
            }
        }
        Ok(())
    }

    /// Reads a file; the inner error is the file's fault.
    fn file(&mut self, path: &Path, name: &str) -> Result<Result<(), String>, Error> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        let reader = match Reader::new(BufReader::new(file)) {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error.to_string())),
        };
        for (number, letter) in reader.enumerate() {
            let fields = match letter {
                Ok(Value::Record(fields)) => fields,
                Ok(_) => return Ok(Err("holds no letters".to_owned())),
                Err(error) => return Ok(Err(format!("from letter {number} on: {error}"))),
            };
            let Some(letter) = of_fields(&fields) else { return Ok(Err("holds no letters".to_owned())) };
            self.letter(&letter, &|| format!("{name} letter {number}"))?;
        }
        Ok(Ok(()))
    }

    /// Takes in a message of a topic of letters.
    pub(super) fn message(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let headers = headers_of(message);
        let origin = Origin { timestamp: header(&headers, "timestamp").and_then(|text| text.parse().ok()), ..origin(&headers) };
        let letter = Letter {
            origin,
            stage: header(&headers, "stage").unwrap_or_default(),
            key: message.key(),
            payload: message.payload(),
            omitted: header(&headers, "omitted").is_some(),
        };
        let (partition, offset) = (message.partition(), message.offset());
        self.letter(&letter, &|| format!("partition {partition} offset {offset}"))
    }

    fn letter(&mut self, letter: &Letter<'_>, here: &dyn Fn() -> String) -> Result<(), Error> {
        self.tally.found += 1;
        // The record is told where the message could be taken apart; those of the load generator hold one.
        let Some(who) = identify(self.sent, &mut self.tally, &letter.origin, None, here) else { return Ok(()) };
        self.tally.hit(who);
        self.excused[who] |= match letter.stage {
            "archive" => Sink::Archive as u8,
            "publish" => Sink::Outputs as u8,
            // What came before them, so that neither has it.
            _ => Sink::Archive as u8 | Sink::Outputs as u8,
        };
        let sent = self.sent;
        let original = self.again.make(sent, who)?;
        let payload = letter.omitted || letter.payload.map(crc32fast::hash) == Some(sent.checksum(who));
        if !payload || letter.key != original.key.map(str::as_bytes) {
            let what = if payload { "key" } else { "bytes" };
            self.tally
                .fault(Wrong::Altered, Some(who), || format!("{}: {} has other {what} than were sent", here(), sent.name(who)));
        }
        Ok(())
    }

    /// Gives up what was found: the count, and for each message the sinks that need not have it.
    pub(super) fn done(self) -> (Tally, Vec<u8>) {
        (self.tally, self.excused)
    }
}

/// The fields of a letter in a folder.
fn of_fields(fields: &[(String, Value)]) -> Option<Letter<'_>> {
    let field = |name: &str| {
        let (_, value) = fields.iter().find(|(field, _)| field == name)?;
        Some(if let Value::Union(_, value) = value { value } else { value })
    };
    let number = |name: &str| match field(name)? {
        Value::Int(number) => Some(i64::from(*number)),
        Value::Long(number) | Value::TimestampMillis(number) => Some(*number),
        _ => None,
    };
    let text = |name: &str| if let Value::String(text) = field(name)? { Some(text.as_str()) } else { None };
    let bytes = |name: &str| if let Value::Bytes(bytes) = field(name)? { Some(bytes.as_slice()) } else { None };
    let short = |name: &str| number(name).and_then(|number| i32::try_from(number).ok());
    let origin = Origin {
        topic: Some(text("topic")?),
        partition: Some(short("partition")?),
        offset: Some(number("offset")?),
        record: short("record"),
        timestamp: number("timestamp"),
    };
    Some(Letter { origin, stage: text("stage")?, key: bytes("key"), payload: bytes("payload"), omitted: false })
}
