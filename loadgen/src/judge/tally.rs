//! What was found at one place (the archive, an output topic, the dead letters), counted for each message that was sent.

use super::sent::Sent;

/// Examples that are kept of each kind of fault.
const EXAMPLES: usize = 5;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is nowhere.
    Lost,
    /// It is there more than once.
    Twice,
    /// It says something else than what was sent.
    Altered,
    /// It names another place or time of its source message than the journal.
    Misplaced,
    /// Nobody sent it.
    Foreign,
    /// It came before an earlier one of the same key.
    Disordered,
    /// It can't be read.
    Unreadable,
}

impl Wrong {
    /// All of them, in the order of tables.
    pub(super) const ALL: [Self; 7] =
        [Self::Lost, Self::Twice, Self::Altered, Self::Misplaced, Self::Foreign, Self::Disordered, Self::Unreadable];

    /// Its name in tables and lines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Twice => "duplicated",
            Self::Altered => "altered",
            Self::Misplaced => "misplaced",
            Self::Foreign => "foreign",
            Self::Disordered => "out_of_order",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How often something is wrong, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// How often.
    pub(super) count: u64,
    /// The first few, told.
    pub(super) first: Vec<String>,
}

/// What was found at one place.
#[derive(Default)]
pub(super) struct Tally {
    /// How often each message was found, and what is wrong with it.
    each: Vec<Each>,
    faults: [Fault; 7],
    /// Files that were read.
    pub(super) files: u64,
    /// Rows, messages or letters that were read.
    pub(super) found: u64,
    /// Values that were compared.
    pub(super) compared: u64,
}

/// What was found of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Each {
    /// How often; 255 and more are 255.
    pub(super) times: u8,
    /// What is wrong with it: a bit for each of [`Wrong::ALL`].
    pub(super) wrong: u8,
}

impl Tally {
    /// Nothing found yet of so many messages.
    pub(super) fn new(messages: usize) -> Self {
        Self { each: vec![Each::default(); messages], ..Self::default() }
    }

    /// Counts a message that was found. Returns whether it was the first time.
    pub(super) fn hit(&mut self, who: usize) -> bool {
        let each = &mut self.each[who];
        each.times = each.times.saturating_add(1);
        each.times == 1
    }

    /// What was found of a message.
    pub(super) fn of(&self, who: usize) -> Each {
        self.each[who]
    }

    /// Notes what is wrong; with a message that was sent, where it is known which.
    pub(super) fn fault(&mut self, wrong: Wrong, who: Option<usize>, tell: impl FnOnce() -> String) {
        if let Some(who) = who {
            self.each[who].wrong |= 1 << wrong as u8;
        }
        let fault = &mut self.faults[wrong as usize];
        fault.count += 1;
        if fault.first.len() < EXAMPLES {
            fault.first.push(tell());
        }
    }

    /// How often this is wrong.
    pub(super) fn wrong(&self, wrong: Wrong) -> &Fault {
        &self.faults[wrong as usize]
    }

    /// Closes the count: what was never found is lost unless `excused`, what was found again is there twice.
    pub(super) fn close(&mut self, sent: &Sent, complete: bool, excused: impl Fn(usize) -> bool) {
        for who in 0..sent.len() {
            match self.each[who].times {
                0 if complete && !excused(who) => self.fault(Wrong::Lost, Some(who), || sent.name(who)),
                0 | 1 => {}
                times => {
                    let name = || format!("{} is there {times} times", sent.name(who));
                    self.fault(Wrong::Twice, Some(who), name);
                    // A count of those too many, not of those that are affected.
                    self.faults[Wrong::Twice as usize].count += u64::from(times) - 2;
                }
            }
        }
    }
}

/// Which message something is: by the place of its source message that it names, and by the alert's own id.
pub(super) fn identify(
    sent: &Sent,
    tally: &mut Tally,
    origin: &Origin<'_>,
    id: Option<i64>,
    here: &dyn Fn() -> String,
) -> Option<usize> {
    let by_place = origin.offset.and_then(|offset| sent.at(origin.topic?, origin.partition?, offset));
    let by_id = id.and_then(|id| sent.with_id(id));
    let Some(who) = by_id.or(by_place) else {
        tally.fault(Wrong::Foreign, None, || {
            format!("{}: {origin}, id {}", here(), id.map_or("none".to_owned(), |id| id.to_string()))
        });
        return None;
    };
    if by_place != Some(who) {
        tally.fault(Wrong::Misplaced, Some(who), || format!("{}: {} says that it is from {origin}", here(), sent.name(who)));
    } else if origin.record.is_some_and(|record| record != 0) || origin.timestamp != Some(sent.timestamp(who)) {
        tally.fault(Wrong::Misplaced, Some(who), || {
            format!("{}: {} of {} ms says that it is from {origin}", here(), sent.name(who), sent.timestamp(who))
        });
    }
    Some(who)
}

/// Where something says that it came from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin<'a> {
    /// Topic.
    pub(super) topic: Option<&'a str>,
    /// Partition of it.
    pub(super) partition: Option<i32>,
    /// Offset in the partition.
    pub(super) offset: Option<i64>,
    /// Index of the record in the message; those of the load generator have one.
    pub(super) record: Option<i32>,
    /// Time of the message, ms since 1970, UTC.
    pub(super) timestamp: Option<i64>,
}

impl std::fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |number: Option<i64>| number.map_or("none".to_owned(), |number| number.to_string());
        let (topic, record) = (self.topic.unwrap_or("none"), self.record.filter(|record| *record != 0));
        let (partition, offset) = (text(self.partition.map(i64::from)), text(self.offset));
        write!(f, "topic {topic}, partition {partition}, offset {offset}, {} ms", text(self.timestamp))?;
        record.map_or(Ok(()), |record| write!(f, ", record {record}"))
    }
}
