//! What is done with letters that are processed again: which messages, in which order, through which sinks.
//!
//! A message may have several letters (two reasons, two of its records): it is processed once. Messages go by topic, partition
//! and offset, so that the ledger's watermark tells which are done.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::folder::{LetterError, StoredLetter, read_file};
use super::shelf::keep;
use crate::config::LetterPlace;

/// Which sinks a letter still has to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// All: it never came as far as a sink.
    All,
    /// The archive alone: only that failed, the others have it.
    Archive,
    /// The backup alone.
    Backup,
    /// The outputs alone: the archive has it.
    Publish,
}

impl Route {
    /// The route of letters of a stage.
    #[must_use]
    pub fn of(stage: &str) -> Route {
        match stage {
            "archive" => Route::Archive,
            "backup" => Route::Backup,
            "publish" | "letters" => Route::Publish,
            _ => Route::All,
        }
    }
}

/// A message that is to be processed again.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Where its bytes are.
    pub place: LetterPlace,
    /// All its letters: number of the file in the plan, index in the file.
    pub letters: Vec<(usize, usize)>,
}

/// Messages that go the same way in one run, by topic, partition and offset, no two with the same.
#[derive(Clone, Debug)]
pub struct Round {
    /// Their way.
    pub route: Route,
    /// The messages.
    pub messages: Vec<Planned>,
}

/// All that is to be done with the letters of some containers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One after the other. Usually one for each route; messages of one offset that differ (a topic was made anew) need more.
    pub rounds: Vec<Round>,
    /// Letters in the containers.
    pub letters: usize,
    files: Vec<(Arc<Path>, usize)>,
}

/// What tells two messages of one offset apart.
type Identity = u128;

/// A way, and a topic, partition and offset.
type Key = (Route, Arc<str>, i32, i64);

impl Plan {
    /// The plan for these containers.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn of(paths: Vec<PathBuf>) -> Result<Plan, LetterError> {
        let mut found: BTreeMap<Key, Vec<(Identity, Planned)>> = BTreeMap::new();
        let mut files = Vec::with_capacity(paths.len());
        let mut topics: HashSet<Arc<str>> = HashSet::new();
        for path in paths {
            let path: Arc<Path> = path.into();
            let letters = read_file(&path)?;
            for (index, letter) in letters.iter().enumerate() {
                let known = topics.get(letter.topic.as_str()).cloned();
                let topic = known.unwrap_or_else(|| letter.topic.as_str().into());
                topics.insert(topic.clone());
                let key = (Route::of(&letter.stage), topic.clone(), letter.partition, letter.offset);
                let same = found.entry(key).or_default();
                let identity = identity(letter);
                let record = letter.record.and_then(|record| u32::try_from(record).ok());
                match same.iter_mut().find(|(other, _)| *other == identity) {
                    Some((_, planned)) => planned.add((files.len(), index), record),
                    None => {
                        let place = LetterPlace {
                            file: path.clone(),
                            index,
                            topic,
                            partition: letter.partition,
                            offset: letter.offset,
                            records: record.map(|record| [record].into()),
                        };
                        same.push((identity, Planned { place, letters: vec![(files.len(), index)] }));
                    }
                }
            }
            files.push((path, letters.len()));
        }
        let letters = files.iter().map(|(_, count)| count).sum();
        let mut rounds: BTreeMap<(Route, usize), Vec<Planned>> = BTreeMap::new();
        for ((route, ..), same) in found {
            for (number, (_, planned)) in same.into_iter().enumerate() {
                rounds.entry((route, number)).or_default().push(planned);
            }
        }
        let rounds = rounds.into_iter().map(|((route, _), messages)| Round { route, messages }).collect();
        Ok(Plan { rounds, letters, files })
    }

    /// Letters that are not done, in the order of the containers: number of the container, index in it.
    #[must_use]
    pub fn open(&self, done: &HashSet<(usize, usize)>) -> Vec<(usize, usize)> {
        let all = self.files.iter().enumerate().flat_map(|(number, (_, count))| (0..*count).map(move |index| (number, index)));
        all.filter(|letter| !done.contains(letter)).collect()
    }

    /// Takes the letters that are done out of their containers, and says how many are left.
    ///
    /// # Errors
    /// When a container can't be replaced or removed.
    pub fn finish(&self, done: &HashSet<(usize, usize)>) -> Result<usize, LetterError> {
        let mut left = 0;
        let mut all = self.open(done).into_iter().peekable();
        for (number, (path, count)) in self.files.iter().enumerate() {
            let mut open: Vec<usize> = Vec::new();
            while let Some((_, index)) = all.next_if(|(file, _)| *file == number) {
                open.push(index);
            }
            left += open.len();
            if open.is_empty() {
                keep(path, &[])?;
            } else if open.len() < *count {
                let letters = read_file(path)?;
                let letters: Vec<StoredLetter> = open.iter().filter_map(|index| letters.get(*index).cloned()).collect();
                keep(path, &letters)?;
            }
        }
        Ok(left)
    }
}

impl Planned {
    fn add(&mut self, letter: (usize, usize), record: Option<u32>) {
        self.letters.push(letter);
        self.place.records = match (self.place.records.take(), record) {
            (Some(known), Some(record)) => {
                let mut all = known.to_vec();
                all.push(record);
                all.sort_unstable();
                all.dedup();
                Some(all.into())
            }
            // One of the letters speaks of the whole message.
            _ => None,
        };
    }
}

fn identity(letter: &StoredLetter) -> Identity {
    let mut hash = Xxh3::new();
    for part in [&letter.key, &letter.payload] {
        hash.update(&part.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
        hash.update(part.as_deref().unwrap_or_default());
    }
    hash.update(&[u8::from(letter.timestamp.is_some())]);
    hash.update(&letter.timestamp.unwrap_or(0).to_le_bytes());
    hash.digest128()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::letters::digest::tests::letter;
    use crate::letters::shelf::{read_folder, write};

    fn plan(files: &[Vec<StoredLetter>]) -> (tempfile::TempDir, Plan) {
        let home = tempfile::tempdir().unwrap();
        let write = |(i, letters): (usize, &Vec<StoredLetter>)| write(home.path(), |n| format!("{i}-{n}.avro"), letters).unwrap();
        let paths = files.iter().enumerate().map(write).collect();
        (home, Plan::of(paths).unwrap())
    }

    /// A message in brief: topic, offset, records, number of its letters.
    type Brief = (String, i64, Option<Vec<u32>>, usize);

    fn brief(round: &Round) -> Vec<Brief> {
        let records = |m: &Planned| m.place.records.as_ref().map(|r| r.to_vec());
        round.messages.iter().map(|m| (m.place.topic.to_string(), m.place.offset, records(m), m.letters.len())).collect()
    }

    fn message(topic: &str, offset: i64, records: Option<&[u32]>, letters: usize) -> Brief {
        (topic.to_owned(), offset, records.map(<[u32]>::to_vec), letters)
    }

    fn with(stage: &str, record: Option<i32>, letter: StoredLetter) -> StoredLetter {
        StoredLetter { stage: stage.into(), record, ..letter }
    }

    #[test]
    fn messages_go_by_offset_and_each_once() {
        let other = StoredLetter { reason: "another reason".into(), ..letter("a", 3) };
        let (_home, plan) = plan(&[vec![letter("b", 9), letter("a", 7)], vec![letter("a", 3), other]]);
        assert_eq!(brief(&plan.rounds[0]), [message("a", 3, None, 2), message("a", 7, None, 1), message("b", 9, None, 1)]);
        assert_eq!((plan.rounds.len(), plan.letters), (1, 4));
    }

    #[test]
    fn records_of_a_message_come_together_and_the_whole_covers_them() {
        let (_home, plan) = plan(&[
            vec![with("process", Some(2), letter("a", 5)), with("process", Some(0), letter("a", 5))],
            vec![with("process", Some(1), letter("a", 6)), with("decode", None, letter("a", 6))],
        ]);
        assert_eq!(brief(&plan.rounds[0]), [message("a", 5, Some(&[0, 2]), 2), message("a", 6, None, 2)]);
    }

    #[test]
    fn a_letter_passes_only_the_sinks_that_lack_it() {
        let (_home, plan) = plan(&[vec![
            with("publish", Some(0), letter("a", 1)),
            with("archive", Some(0), letter("a", 1)),
            with("backup", Some(0), letter("a", 3)),
            with("decode", None, letter("a", 2)),
        ]]);
        let routes: Vec<_> = plan.rounds.iter().map(|r| (r.route, r.messages[0].place.offset)).collect();
        assert_eq!(routes, [(Route::All, 2), (Route::Archive, 1), (Route::Backup, 3), (Route::Publish, 1)]);
    }

    #[test]
    fn two_messages_of_one_offset_have_rounds_of_their_own() {
        let anew = StoredLetter { timestamp: Some(1), ..letter("a", 3) };
        let (_home, plan) = plan(&[vec![letter("a", 3), anew, letter("a", 4)]]);
        let counts: Vec<_> = plan.rounds.iter().map(|r| (r.route, r.messages.len())).collect();
        assert_eq!(counts, [(Route::All, 2), (Route::All, 1)]);
    }

    #[test]
    fn what_is_done_leaves_its_file_and_what_is_not_stays() {
        let (home, plan) = plan(&[vec![letter("a", 1), letter("a", 2)], vec![letter("a", 3)]]);
        assert_eq!(plan.finish(&HashSet::from([(0, 0), (1, 0)])).unwrap(), 1);
        let left: Vec<i64> = read_folder(home.path()).unwrap().iter().map(|l| l.offset).collect();
        assert_eq!((left, std::fs::read_dir(home.path()).unwrap().count()), (vec![2], 1));
    }
}
