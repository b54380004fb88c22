//! The target `letters`.

use std::path::Path;

use skysluice::alert::Header;
use skysluice::letters::{By, Groups, Route, Selection, StoredLetter, decode, encode, normal};
use skysluice::source::letter_of_headers;

use crate::judge;

/// Names of headers that a byte means; others are texts of the input.
pub const NAMES: [&str; 10] = [
    "skysluice.stage",
    "skysluice.reason",
    "skysluice.topic",
    "skysluice.partition",
    "skysluice.offset",
    "skysluice.record",
    "skysluice.timestamp",
    "skysluice.omitted",
    "skysluice.",
    "schema",
];

pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode & 1 == 0 {
        container(rest);
    } else {
        of_headers(headers(rest), (mode & 2 != 0).then_some(1_794_193_200_000));
    }
}

fn container(bytes: &[u8]) {
    judge::bounds();
    match decode(bytes, Path::new("letters.avro")) {
        Ok(letters) => told(&letters),
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("letters.avro is not a container of dead letters: "), "{said}");
        }
    }
}

fn of_headers(headers: Vec<Header>, time: Option<i64>) {
    let last = |name: &str| headers.iter().rposition(|(known, _)| known == name);
    let (count, stage) = (headers.len(), last(NAMES[0]));
    match letter_of_headers(headers, time) {
        None => {}
        Some((letter, _)) => {
            // What comes before the last stage is the message's own.
            assert_eq!(Some(letter.headers.len()), stage);
            assert!(letter.headers.len() < count && letter.key.is_none() && letter.payload.is_none());
            told(&[letter]);
        }
    }
}

/// All that is done with letters without touching a disk.
fn told(letters: &[StoredLetter]) {
    let bytes = encode(letters).expect("what was read can be written");
    let again = decode(&bytes, Path::new("letters.avro")).expect("what was written can be read");
    assert_eq!(again, letters, "letters, written and read again");
    let mut counted = [By::All, By::Reason, By::Stage, By::Topic].map(Groups::new);
    for letter in letters {
        let plain = normal(&letter.reason);
        assert!(plain.len() <= letter.reason.len(), "{plain:?} is longer than {:?}", letter.reason);
        let selection = Selection {
            reason: Some(letter.reason.clone()),
            stage: Some(letter.stage.clone()),
            topic: Some(letter.topic.clone()),
            partition: Some(letter.partition),
            offset: Some(letter.offset),
            before: None,
        };
        assert!(selection.picks(letter), "a letter is picked by what it says itself");
        let _ = Route::of(&letter.stage);
        counted.iter_mut().for_each(|groups| groups.add(letter));
    }
    for groups in &counted {
        assert_eq!(groups.sorted().iter().map(|group| group.count).sum::<u64>(), letters.len() as u64);
    }
}

/// Headers: a byte for the name (or its length, from 128 on), one for the length of the value (255: there is none), and both.
pub fn headers(mut rest: &[u8]) -> Vec<Header> {
    fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, left) = rest.split_at(length.min(rest.len()));
        *rest = left;
        taken
    }
    let mut all = Vec::new();
    while let [name, length, ..] = *rest {
        rest = &rest[2..];
        let name = match name.checked_sub(128) {
            Some(length) => String::from_utf8_lossy(take(&mut rest, usize::from(length))).into_owned(),
            None => NAMES[usize::from(name) % NAMES.len()].to_owned(),
        };
        let value = (length != 255).then(|| take(&mut rest, usize::from(length)).to_vec());
        all.push((name, value));
    }
    all
}
