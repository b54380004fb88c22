//! The targets over their seeds and changes of them, without libFuzzer; and that they notice what is wrong.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use apache_avro::types::Value;

use crate::judge::{self, Verdict};
use crate::known::KNOWN;
use crate::values::Dice;
use crate::{TARGETS, container, datum, letters, seeds, stage};

/// Changed inputs of each target. An hour of `fuzz/run.sh` makes some million.
const CHANGED: usize = 3000;

/// A seed, changed in one to four places.
fn changed(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.roll() as u8),
            2 => drop(bytes.splice(at..(at + dice.below(9)).min(bytes.len()), [])),
            3 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            // Numbers that lengths and counts are wrong at.
            4 => drop(bytes.splice(at..at, [0xff; 9].into_iter().chain([1]).skip(dice.below(9)))),
            5 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
            _ if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            _ => {}
        }
    }
    bytes
}

/// Runs a target; a panic tells the input, so that it can be made a seed.
fn run(target: &str, call: fn(&[u8]), input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| call(input))).is_err() {
        let path = std::env::temp_dir().join(format!("skysluice-fuzz-{target}"));
        std::fs::write(&path, input).unwrap();
        panic!("{target} panics (see above) with the input in {}", path.display());
    }
}

fn smoke(name: &str) {
    let (_, call) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let seeds = seeds::of(name);
    assert!(seeds.len() > 4, "{} seeds", seeds.len());
    let start = Instant::now();
    seeds.iter().for_each(|seed| run(name, call, seed));
    let mut dice = Dice(20_261_121);
    let mut slowest = Duration::ZERO;
    for _ in 0..CHANGED {
        let input = changed(&seeds, &mut dice);
        let before = Instant::now();
        run(name, call, &input);
        slowest = slowest.max(before.elapsed());
    }
    println!("{name}: {} seeds, {CHANGED} changed in {:?}, the slowest {slowest:?}", seeds.len(), start.elapsed());
    assert!(slowest < Duration::from_secs(10), "an input took {slowest:?}");
}

#[test]
fn containers_changed_by_chance() {
    smoke("container");
}

#[test]
fn data_changed_by_chance() {
    smoke("datum");
}

#[test]
fn frames_changed_by_chance() {
    smoke("frame");
}

#[test]
fn letters_changed_by_chance() {
    smoke("letters");
}

#[test]
fn schemas_changed_by_chance() {
    smoke("schema");
}

/// The message of a panic, which has to come.
fn noticed(wrong: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(wrong)).expect_err("nothing was noticed");
    let text = payload.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| payload.downcast_ref::<&str>().copied().unwrap_or_default().to_owned())
}

/// All values with one leaf changed, which a reader could get wrong.
fn wrong(value: &Value) -> Vec<Value> {
    let inside = |items: &[Value], make: &dyn Fn(Vec<Value>) -> Value| {
        let each = items.iter().enumerate();
        each.flat_map(|(i, item)| wrong(item).into_iter().map(move |other| (i, other)))
            .map(|(i, other)| {
                let mut items = items.to_vec();
                items[i] = other;
                make(items)
            })
            .collect::<Vec<_>>()
    };
    match value {
        Value::Boolean(v) => vec![Value::Boolean(!v)],
        Value::Int(v) => vec![Value::Int(v ^ 1)],
        Value::Long(v) => vec![Value::Long(v ^ 1)],
        Value::Float(v) => vec![Value::Float(f32::from_bits(v.to_bits() ^ 1))],
        Value::Double(v) => vec![Value::Double(f64::from_bits(v.to_bits() ^ 1))],
        Value::Date(v) => vec![Value::Date(v ^ 1)],
        Value::TimestampMicros(v) => vec![Value::TimestampMicros(v ^ 1)],
        Value::String(v) => vec![Value::String(format!("{v}x"))],
        Value::Bytes(v) => vec![Value::Bytes([&v[..], b"x"].concat())],
        Value::Enum(i, symbol) => vec![Value::Enum(i ^ 1, symbol.clone())],
        Value::Union(branch, inner) => wrong(inner).into_iter().map(|other| Value::Union(*branch, Box::new(other))).collect(),
        Value::Array(items) => {
            let mut all = inside(items, &Value::Array);
            all.extend((!items.is_empty()).then(|| Value::Array(items[1..].to_vec())));
            all
        }
        Value::Map(entries) => (!entries.is_empty()).then(|| Value::Map(Default::default())).into_iter().collect(),
        Value::Record(fields) => {
            let (names, values): (Vec<_>, Vec<_>) = fields.iter().cloned().unzip();
            inside(&values, &|values| Value::Record(names.iter().cloned().zip(values).collect()))
        }
        _ => Vec::new(),
    }
}

#[test]
fn any_value_that_is_wrong_is_noticed() {
    let mut count = 0;
    for known in &KNOWN[..4] {
        for sample in &known.samples {
            let fate = &stage::decode(&known.bare, &[sample])[0];
            let Verdict::Good(value, 0) = judge::read(&known.schema, sample) else { panic!("a good sample") };
            judge::compare(&known.schema, &value, &fate.records[0], 0);
            for other in wrong(&value) {
                noticed(|| judge::compare(&known.schema, &other, &fate.records[0], 0));
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count} wrong values");
}

#[test]
fn a_fate_that_is_wrong_is_noticed() {
    let known = &KNOWN[0];
    let (good, other) = (&known.samples[0][..], &known.samples[1][..]);
    let refused = |reason: &str| stage::Fate { records: Vec::new(), reason: Some(reason.to_owned()) };
    let of = |datum: &[u8]| stage::decode(&known.bare, &[datum]).remove(0);
    // A datum taken for another, or with more bytes than it has.
    noticed(|| datum::judged(&known.schema, other, &of(good)));
    let longer = [good, &[0]].concat();
    assert!(noticed(|| datum::judged(&known.schema, &longer, &of(good))).contains("left over"));
    datum::judged(&known.schema, &longer, &of(&longer));
    // A good datum refused, for reasons that are not so or that nobody knows.
    for reason in ["schema does not fit: 1 bytes left over", "the text is not UTF-8", "no reason"] {
        noticed(|| datum::judged(&known.schema, good, &refused(reason)));
    }
    // A neighbour that is another, or gone.
    let fates = [of(good), of(other), of(good)];
    stage::unharmed(&fates, &known.good);
    for spoilt in [[of(other), of(other), of(good)], [of(good), of(other), refused("the datum ends too early")]] {
        assert!(noticed(|| stage::unharmed(&spoilt, &known.good)).contains("the good message"));
    }
}

#[test]
fn the_seeds_reach_what_they_are_for() {
    // Every codec, and containers as they come, are taken; bare data and frames as well.
    let stage = container::stage();
    let whole = seeds::of("container").into_iter().filter(|seed| seed[0] == 0);
    let fates: Vec<_> = whole.map(|seed| stage::decode(&stage, &[&seed[1..]]).remove(0)).collect();
    let taken = fates.iter().filter(|fate| fate.rows() >= 2).count();
    assert!(taken == fates.len() && taken == 36, "{taken} of {}", fates.len());
    for known in KNOWN.iter() {
        assert!(known.samples.iter().all(|sample| stage::decode(&known.bare, &[sample])[0].rows() == 1));
    }
    let headers = seeds::of("letters").pop().unwrap();
    assert!(skysluice::source::letter_of_headers(letters::headers(&headers[1..]), None).is_some());
}
