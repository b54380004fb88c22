//! What is known of each schema id, and which partition waits for which. Pure: the time is told.
//!
//! An id that the registry does not know is asked for again until the wait is over. Then it is remembered as unknown for a
//! while, and so is the partition: while it keeps bringing unknown ids, each is given one call and no wait, so that a stream
//! of garbage can't stall it again and again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Answer;
use crate::alert::{Admission, TopicPartition};
use crate::config::{AfterWait, UnknownIds};

/// The first pause before an id is asked for again, and the longest; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long an unknown id is remembered at least.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Unknown ids that are remembered, at most.
const MAX_UNKNOWN: usize = 4096;

/// Why a partition waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is being asked for the first time.
    Asked,
    /// The registry does not know the id.
    Unknown,
    /// The registry can't be asked.
    Away(String),
    /// The registry refuses us.
    Refused(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Asked => f.write_str("the registry is being asked"),
            Why::Unknown => f.write_str("the registry does not know the id (yet); it is asked again"),
            Why::Away(what) => write!(f, "the registry cannot be asked: {what}; trying again until it can"),
            Why::Refused(what) => {
                write!(f, "the registry refuses us: {what}; correct decode.registry.user and password, or have access granted")
            }
        }
    }
}

/// A partition that waits.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The partition.
    pub origin: TopicPartition,
    /// The schema id of its next message.
    pub id: u32,
    /// Why it is not there.
    pub why: Why,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for schema {}: {}", self.origin, self.id, self.why)
    }
}

/// What is to be said of a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It waits.
    Waits(Why),
    /// The schema has come.
    GoesOn {
        /// How long it waited.
        after: Duration,
    },
    /// The schema is not waited for any more.
    GaveUp {
        /// How long it waited.
        after: Duration,
    },
}

/// What was decided of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub admission: Admission,
    /// What is to be said.
    pub notice: Option<Notice>,
    /// The partition waits from now on: there is something to ask.
    pub new: bool,
}

impl Admitted {
    fn now(admission: Admission, notice: Option<Notice>) -> Self {
        Self { admission, notice, new: false }
    }
}

/// What the asking thread is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look this id up on disk.
    Look(u32),
    /// Ask the registry for this id.
    Ask(u32),
    /// Nothing before that time.
    At(Instant),
    /// Nothing before someone waits for an id.
    Never,
}

/// What is known of an id.
#[derive(Debug)]
enum State {
    Wanted(Wanted),
    Found(Arc<str>),
    Unusable(String),
    /// The registry does not know it; so it stays until then.
    Unknown(Instant),
}

/// An id that someone waits for.
#[derive(Debug)]
struct Wanted {
    looked: bool,
    /// When the registry is asked (again).
    due: Instant,
    /// When it was asked last.
    asked: Option<Instant>,
    pause: Duration,
    /// Since when the registry is known not to know it.
    unknown: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    id: u32,
    since: Instant,
    said: Option<Why>,
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Book {
    policy: UnknownIds,
    ids: HashMap<u32, State>,
    waiting: HashMap<TopicPartition, Waiting>,
    /// When a partition last went on with an unknown id.
    gave_up: HashMap<TopicPartition, Instant>,
    /// While the registry can't be asked: why, when it is tried again, the pause before that.
    trouble: Option<(Why, Instant, Duration)>,
}

impl Book {
    pub fn new(policy: UnknownIds) -> Self {
        Self { policy, ids: HashMap::new(), waiting: HashMap::new(), gave_up: HashMap::new(), trouble: None }
    }

    /// Whether the next message of a partition may go on, and what is to be said.
    pub fn admit(&mut self, origin: &TopicPartition, id: u32, now: Instant) -> Admitted {
        let impatient = self.is_impatient(origin, now);
        match self.ids.get(&id) {
            Some(State::Found(_) | State::Unusable(_)) => return Admitted::now(Admission::Always, self.go_on(origin, now, true)),
            Some(State::Unknown(until)) if now < *until => {
                return Admitted::now(Admission::Once, self.pass_over(origin, now));
            }
            Some(State::Wanted(wanted)) if wanted.unknown.is_some() && impatient => {
                return Admitted::now(Admission::Once, self.pass_over(origin, now));
            }
            Some(State::Wanted(_)) => {}
            Some(State::Unknown(_)) | None => {
                let wanted = Wanted { looked: false, due: now, asked: None, pause: FIRST_PAUSE, unknown: None };
                self.ids.insert(id, State::Wanted(wanted));
            }
        }
        let why = self.why(id);
        let new = self.waiting.get(origin).is_none_or(|waiting| waiting.id != id);
        if new {
            self.waiting.insert(origin.clone(), Waiting { id, since: now, said: None });
        }
        let waiting = self.waiting.get_mut(origin).expect("put in above where it was not there");
        // Once for each kind: what exactly a network says when it is away changes from call to call.
        let same = |said: &Why| std::mem::discriminant(said) == std::mem::discriminant(&why);
        if why == Why::Asked || waiting.said.as_ref().is_some_and(same) {
            return Admitted { admission: Admission::Hold, notice: None, new };
        }
        waiting.said = Some(why.clone());
        Admitted { admission: Admission::Hold, notice: Some(Notice::Waits(why)), new }
    }

    /// Nothing waits in a partition any more.
    pub fn leave(&mut self, origin: &TopicPartition) {
        self.waiting.remove(origin);
        self.gave_up.remove(origin);
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Next {
        let wanted: Vec<u32> = self.waiting.values().map(|w| w.id).collect();
        // What nobody waits for is not asked for; it is wanted anew when its message comes again.
        self.ids.retain(|id, state| !matches!(state, State::Wanted(_)) || wanted.contains(id));
        // Of those that are due, the one that was asked for longest ago: an id whose answer is of no use keeps no other waiting.
        let mut first: Option<(Instant, Option<Instant>, u32)> = None;
        for (id, state) in &self.ids {
            let State::Wanted(wanted) = state else { continue };
            if !wanted.looked {
                return Next::Look(*id);
            }
            let due = self.trouble.as_ref().map_or(wanted.due, |(_, again, _)| wanted.due.max(*again));
            let this = (due.max(now), wanted.asked, *id);
            first = Some(first.map_or(this, |first| first.min(this)));
        }
        match first {
            None => Next::Never,
            Some((due, _, id)) if due <= now => Next::Ask(id),
            Some((due, ..)) => Next::At(due),
        }
    }

    /// What the disk had of an id.
    pub fn looked(&mut self, id: u32, found: Option<Arc<str>>, now: Instant) {
        match (found, self.ids.get_mut(&id)) {
            (Some(json), _) => drop(self.ids.insert(id, State::Found(json))),
            (None, Some(State::Wanted(wanted))) => (wanted.looked, wanted.due) = (true, now),
            (None, _) => {}
        }
    }

    /// What the registry said of an id.
    pub fn answer(&mut self, id: u32, answer: Answer, now: Instant) {
        if let Some(State::Wanted(wanted)) = self.ids.get_mut(&id) {
            wanted.asked = Some(now);
        }
        let why = match answer {
            Answer::Away(what) => Why::Away(what),
            Answer::Refused(what) => Why::Refused(what),
            answer => {
                self.trouble = None;
                match answer {
                    Answer::Found(json) => drop(self.ids.insert(id, State::Found(json))),
                    Answer::Unusable(why) => drop(self.ids.insert(id, State::Unusable(why))),
                    _ => self.unknown(id, now),
                }
                return;
            }
        };
        let pause = self.trouble.as_ref().map_or(FIRST_PAUSE, |(_, _, pause)| (*pause * 2).min(LONGEST_PAUSE));
        self.trouble = Some((why, now + pause, pause));
    }

    /// The schema of an id.
    pub fn schema(&self, id: u32) -> Result<Arc<str>, String> {
        match self.ids.get(&id) {
            Some(State::Found(json)) => Ok(json.clone()),
            Some(State::Unusable(why)) => Err(format!("schema id {id} cannot be used: {why}")),
            _ => Err(format!("schema id {id} is not known")),
        }
    }

    /// The partitions that wait.
    pub fn holds(&self) -> Vec<Hold> {
        let hold = |(origin, waiting): (&TopicPartition, &Waiting)| Hold {
            origin: origin.clone(),
            id: waiting.id,
            why: self.why(waiting.id),
        };
        let mut holds: Vec<Hold> = self.waiting.iter().map(hold).collect();
        holds.sort_by(|a, b| a.origin.cmp(&b.origin));
        holds
    }

    fn unknown(&mut self, id: u32, now: Instant) {
        let (wait, remembered) = (self.policy.wait, self.remembered());
        let waiting: Vec<_> = self.waiting.iter().filter(|(_, w)| w.id == id).map(|(origin, _)| origin).collect();
        if waiting.is_empty() {
            // Its partition was given away meanwhile: whoever gets the message next begins to wait.
            self.ids.remove(&id);
            return;
        }
        let patient = waiting.iter().any(|origin| !self.is_impatient(origin, now));
        let Some(State::Wanted(wanted)) = self.ids.get_mut(&id) else { return };
        let since = *wanted.unknown.get_or_insert(now);
        let over = now.saturating_duration_since(since) >= wait || !patient;
        if self.policy.then == AfterWait::DeadLetter && over {
            self.ids.insert(id, State::Unknown(now + remembered));
            self.forget(now);
            return;
        }
        wanted.due = now + wanted.pause;
        wanted.pause = (wanted.pause * 2).min(LONGEST_PAUSE);
        if self.policy.then == AfterWait::DeadLetter {
            wanted.due = wanted.due.min(since + wait);
        }
    }

    /// Keeps the number of remembered unknown ids in its bound: those that are over go, then those that are over next.
    fn forget(&mut self, now: Instant) {
        let end = |state: &State| if let State::Unknown(until) = state { Some(*until) } else { None };
        if self.ids.values().filter_map(end).count() <= MAX_UNKNOWN {
            return;
        }
        self.ids.retain(|_, state| end(state).is_none_or(|until| until > now));
        let mut ends: Vec<Instant> = self.ids.values().filter_map(end).collect();
        ends.sort_unstable();
        // Half of them at once, so that it is not done for every id of a stream of garbage.
        if let Some(limit) = ends.len().checked_sub(MAX_UNKNOWN / 2).and_then(|over| ends.get(over).copied()) {
            self.ids.retain(|_, state| end(state).is_none_or(|until| until >= limit));
        }
    }

    fn why(&self, id: u32) -> Why {
        match (&self.trouble, self.ids.get(&id)) {
            (_, Some(State::Wanted(Wanted { looked: false, .. }))) => Why::Asked,
            (Some((why, ..)), _) => why.clone(),
            (None, Some(State::Wanted(Wanted { unknown: Some(_), .. }))) => Why::Unknown,
            (None, _) => Why::Asked,
        }
    }

    fn remembered(&self) -> Duration {
        self.policy.wait.max(REMEMBERED)
    }

    fn is_impatient(&self, origin: &TopicPartition, now: Instant) -> bool {
        let dead = self.policy.then == AfterWait::DeadLetter;
        dead && self.gave_up.get(origin).is_some_and(|last| now.saturating_duration_since(*last) < self.remembered())
    }

    /// The message of a partition goes on without a schema.
    fn pass_over(&mut self, origin: &TopicPartition, now: Instant) -> Option<Notice> {
        self.gave_up.insert(origin.clone(), now);
        self.go_on(origin, now, false)
    }

    fn go_on(&mut self, origin: &TopicPartition, now: Instant, found: bool) -> Option<Notice> {
        let waited = self.waiting.remove(origin).filter(|w| w.said.is_some())?;
        let after = now.saturating_duration_since(waited.since);
        Some(if found { Notice::GoesOn { after } } else { Notice::GaveUp { after } })
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
