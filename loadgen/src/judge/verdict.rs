//! The verdict: as a table for people, and as a line of JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::tally::{Tally, Wrong};

/// What kind of place was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The archive.
    Archive,
    /// An output topic.
    Output {
        /// Read as those do who read committed transactions only.
        committed: bool,
        /// Messages that may be there again; `None` is any number.
        allowed: Option<u64>,
    },
    /// Dead letters. They may be there again: storing them is tried again.
    Letters,
}

/// A place that was looked at.
#[derive(Clone, Debug)]
pub(super) struct Place {
    kind: Kind,
    name: String,
    /// Whether it has to hold every message.
    complete: bool,
}

impl Place {
    pub(super) fn new(kind: Kind, name: String, complete: bool) -> Self {
        Self { kind, name, complete }
    }

    /// Its path or topic.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How often this may be wrong.
    fn allowed(&self, wrong: Wrong) -> u64 {
        match (self.kind, wrong) {
            (Kind::Output { allowed, .. }, Wrong::Twice) => allowed.unwrap_or(u64::MAX),
            (Kind::Letters, Wrong::Twice) => u64::MAX,
            _ => 0,
        }
    }

    /// Whether it is looked for at all.
    fn has(&self, wrong: Wrong) -> bool {
        match wrong {
            Wrong::Lost => self.complete,
            Wrong::Disordered => matches!(self.kind, Kind::Output { .. }),
            _ => true,
        }
    }

    fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Archive => "archive",
            Kind::Output { .. } if self.complete => "output",
            Kind::Output { .. } => "partial",
            Kind::Letters => "letters",
        }
    }
}

/// What is told of the journal and the archive.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) journal: String,
    pub(super) topic: String,
    pub(super) packets: String,
    pub(super) messages: u64,
    /// The first and the last.
    pub(super) numbers: Option<(u64, u64)>,
    pub(super) torn: bool,
    /// Columns that the archive doesn't have.
    pub(super) absent: Vec<String>,
}

/// What has become of the messages.
pub(crate) struct Verdict {
    told: Told,
    places: Vec<(Place, Tally)>,
}

impl Verdict {
    pub(super) fn new(told: Told, places: Vec<(Place, Tally)>) -> Self {
        Self { told, places }
    }

    /// What is wrong, and how often: more than what is allowed.
    fn offences(&self) -> Vec<String> {
        let all = self.places.iter().flat_map(|(place, tally)| Wrong::ALL.map(|wrong| (place, wrong, tally.wrong(wrong).count)));
        let worse = all.filter(|(place, wrong, count)| *count > place.allowed(*wrong));
        worse.map(|(place, wrong, count)| format!("{count} {} in {} {}", wrong.name(), place.kind(), place.name)).collect()
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.offences().is_empty()
    }

    /// Rows of the archive.
    pub(crate) fn rows(&self) -> u64 {
        self.places.iter().filter(|(place, _)| place.kind == Kind::Archive).map(|(_, tally)| tally.found).sum()
    }

    /// Messages too many in the outputs.
    pub(crate) fn output_duplicates(&self) -> u64 {
        let outputs = self.places.iter().filter(|(place, _)| matches!(place.kind, Kind::Output { .. }));
        outputs.map(|(_, tally)| tally.wrong(Wrong::Twice).count).sum()
    }

    /// One line of JSON.
    pub(crate) fn line(&self) -> Value {
        let Told { journal, topic, packets, messages, numbers, torn, absent } = &self.told;
        json!({
            "line": "verdict",
            "clean": self.is_clean(),
            "wrong": self.offences(),
            "journal": {
                "file": journal, "topic": topic, "packets": packets, "messages": messages,
                "first": numbers.map(|(first, _)| first), "last": numbers.map(|(_, last)| last), "torn": torn,
            },
            "columns_left_out": absent,
            "places": self.places.iter().map(|(place, tally)| one(place, tally)).collect::<Vec<_>>(),
        })
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // A text takes any write.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Told { journal, topic, packets, messages, numbers, torn, absent } = &self.told;
        write!(text, "{journal}: {messages} messages of {packets} to topic {topic}")?;
        if let Some((first, last)) = numbers {
            write!(text, ", numbers {first} to {last}")?;
        }
        writeln!(text)?;
        if *torn {
            writeln!(
                text,
                "  its last line lacks its end: the writer was killed, and what it had sent last may seem to be nobody's"
            )?;
        }
        let name = |place: &Place| format!("{} {}", place.kind(), place.name);
        let width = self.places.iter().map(|(place, _)| name(place).chars().count()).max().unwrap_or(0);
        write!(text, "{:width$}  {:>10} {:>12}", "", "found", "compared")?;
        Wrong::ALL.iter().try_for_each(|wrong| write!(text, " {:>12}", wrong.name().replace('_', " ")))?;
        writeln!(text)?;
        for (place, tally) in &self.places {
            write!(text, "{:width$}  {:>10} {:>12}", name(place), tally.found, tally.compared)?;
            for wrong in Wrong::ALL {
                let count = if place.has(wrong) { tally.wrong(wrong).count.to_string() } else { "–".to_owned() };
                write!(text, " {count:>12}")?;
            }
            writeln!(text)?;
        }
        for (place, tally) in &self.places {
            for wrong in Wrong::ALL {
                let fault = tally.wrong(wrong);
                for first in &fault.first {
                    writeln!(text, "  {} {}: {first}", place.kind(), wrong.name().replace('_', " "))?;
                }
                if fault.count > fault.first.len() as u64 && !fault.first.is_empty() {
                    writeln!(text, "  {} {}: ... {} in all", place.kind(), wrong.name().replace('_', " "), fault.count)?;
                }
            }
        }
        if !absent.is_empty() {
            writeln!(text, "columns that the archive doesn't have: {}", absent.join(", "))?;
        }
        let offences = self.offences();
        if offences.is_empty() { writeln!(text, "verdict: clean") } else { writeln!(text, "verdict: {}", offences.join(", ")) }
    }
}

fn one(place: &Place, tally: &Tally) -> Value {
    let mut line = Map::new();
    line.insert("kind".to_owned(), place.kind().into());
    line.insert("name".to_owned(), place.name.clone().into());
    if let Kind::Output { committed, .. } = place.kind {
        line.insert("committed".to_owned(), committed.into());
    } else if tally.files > 0 {
        line.insert("files".to_owned(), tally.files.into());
    }
    line.insert("found".to_owned(), tally.found.into());
    line.insert("compared".to_owned(), tally.compared.into());
    let mut first = Map::new();
    for wrong in Wrong::ALL.into_iter().filter(|wrong| place.has(*wrong)) {
        let fault = tally.wrong(wrong);
        line.insert(wrong.name().to_owned(), fault.count.into());
        if !fault.first.is_empty() {
            first.insert(wrong.name().to_owned(), fault.first.clone().into());
        }
    }
    line.insert("first".to_owned(), first.into());
    Value::Object(line)
}
