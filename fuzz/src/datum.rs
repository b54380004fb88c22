//! The target `datum`.

use apache_avro::Schema;

use crate::judge::{self, Verdict};
use crate::known::{self, Known};
use crate::stage::{self, Fate};

pub fn run(data: &[u8]) {
    let Some((byte, datum)) = data.split_first() else { return };
    check(known::chosen(*byte), datum);
}

/// Holds all that is known of a datum.
fn check(known: &Known, datum: &[u8]) {
    let good = known.samples[0].as_slice();
    let fates = stage::decode(&known.bare, &[good, datum, good]);
    stage::unharmed(&fates, &known.good);
    let fate = &fates[1];
    judged(&known.schema, datum, fate);
    if fate.reason.is_none() {
        in_part(known, datum, fate);
        again(known, fate);
    }
}

/// Holds the fate of a datum that was decoded alone against apache-avro.
pub fn judged(schema: &Schema, datum: &[u8], fate: &Fate) {
    match &fate.reason {
        Some(reason) => judge::agree(schema, datum, Err(reason)),
        None => {
            assert_eq!(fate.rows(), 1, "a datum is one row");
            judge::agree(schema, datum, Ok((&fate.records[0], 0)));
        }
    }
}

/// Where only some fields are decoded, they are what they are when all are.
fn in_part(known: &Known, datum: &[u8], whole: &Fate) {
    let part = &stage::decode(&known.some, &[datum])[0];
    assert_eq!(part.reason, None, "decoded whole, but not in part");
    for name in &known.chosen {
        let (part, whole) = (part.records[0].column_by_name(name), whole.records[0].column_by_name(name));
        assert_eq!(part, whole, "the field {name}, decoded with fewer others");
    }
}

/// What is written from the columns says the same.
fn again(known: &Known, fate: &Fate) {
    let rows = known.writer.bind(&fate.records[0]).expect("the columns are those of the schema");
    let mut datum = Vec::new();
    rows.encode(0, &mut datum).expect("what was read can be written");
    match judge::read(&known.schema, &datum) {
        Verdict::Good(value, 0) => judge::compare(&known.schema, &value, &fate.records[0], 0),
        Verdict::Good(_, left) => assert_eq!(left, 0, "bytes left over of what was written"),
        Verdict::Bad(error) => assert!(error.is_empty(), "what was written can't be read: {error}"),
        Verdict::None => {}
    }
}
