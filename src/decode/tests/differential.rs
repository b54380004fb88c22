//! Random schemas and values, written by apache-avro and read by both.

use std::collections::HashMap;

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema, Uuid};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::oracle::{Names, compare};
use super::{Dice, bare, batch, read, write};
use crate::alert::Transform;
use crate::avro::RecordWriter;

/// Makes schemas; names are numbered, named types are sometimes used again.
struct Schemas {
    dice: Dice,
    names: usize,
    known: Vec<String>,
}

impl Schemas {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn record(&mut self, depth: usize, fields: usize) -> Json {
        let name = self.name();
        let mut kept: Vec<Json> = Vec::new();
        for _ in 0..fields {
            // Neighbours of one type are read together. A type with a name can't be written twice.
            let kind = self.any(depth, true);
            let copies = if kind.to_string().contains("\"name\"") { 1 } else { [1, 1, 2, 5][self.dice.below(4)] };
            for _ in 0..copies {
                kept.push(json!({"name": self.name(), "type": kind, "default": "of the wrong type"}));
            }
        }
        let fields = kept;
        self.known.push(name.clone());
        json!({"type": "record", "name": name, "fields": fields})
    }

    fn any(&mut self, depth: usize, union: bool) -> Json {
        let plain = ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "string", "double"];
        let logical = [
            ("int", "date"),
            ("int", "time-millis"),
            ("long", "time-micros"),
            ("long", "timestamp-millis"),
            ("long", "timestamp-micros"),
            ("long", "timestamp-nanos"),
            ("long", "local-timestamp-millis"),
            ("long", "local-timestamp-micros"),
            ("long", "local-timestamp-nanos"),
            ("string", "uuid"),
        ];
        let deep = depth > 0;
        match self.dice.below(16) {
            0..=4 => json!(plain[self.dice.below(plain.len())]),
            5 => {
                let (base, logical) = logical[self.dice.below(logical.len())];
                json!({"type": base, "logicalType": logical})
            }
            6 => {
                let (name, size) = (self.name(), self.dice.below(20));
                self.known.push(name.clone());
                json!({"type": "fixed", "name": name, "size": size})
            }
            7 => match self.dice.below(5) {
                0 => json!({"type": "fixed", "name": self.name(), "size": 12, "logicalType": "duration"}),
                1 => json!({"type": "fixed", "name": self.name(), "size": 16, "logicalType": "uuid"}),
                2 => {
                    json!({"type": "fixed", "name": self.name(), "size": 7, "logicalType": "decimal", "precision": 15, "scale": 3})
                }
                3 => json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}),
                _ => json!({"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 10}),
            },
            8 => {
                let name = self.name();
                self.known.push(name.clone());
                let symbols: Vec<_> = (0..1 + self.dice.below(70)).map(|i| format!("s{i}")).collect();
                json!({"type": "enum", "name": name, "symbols": symbols})
            }
            9 if !self.known.is_empty() => json!(self.known[self.dice.below(self.known.len())]),
            10 if deep => {
                let fields = self.dice.below(5);
                self.record(depth - 1, fields)
            }
            11 if deep => json!({"type": "array", "items": self.any(depth - 1, true)}),
            12 if deep => json!({"type": "map", "values": self.any(depth - 1, true)}),
            13 | 14 if union => {
                let other = self.not_null(depth);
                if self.dice.below(2) == 0 { json!(["null", other]) } else { json!([other, "null"]) }
            }
            15 if union => self.union(depth),
            _ => json!("float"),
        }
    }

    fn not_null(&mut self, depth: usize) -> Json {
        loop {
            let one = self.any(depth, false);
            if one != json!("null") {
                return one;
            }
        }
    }

    /// A union of one to five branches of kinds that may stand together.
    fn union(&mut self, depth: usize) -> Json {
        let keep_all = self.dice.below(2) == 0 || depth > 0;
        // A type must not be thrown away with its branch while others refer to it: branches that may go stand alone.
        let known = self.known.clone();
        let alone = |this: &mut Self| {
            if !keep_all {
                this.known.clear()
            }
        };
        let mut branches = vec![json!("null"), json!("long"), json!("string"), json!("double"), json!("boolean")];
        alone(self);
        branches.push(json!({"type": "array", "items": self.any(depth.saturating_sub(1), true)}));
        alone(self);
        branches.push(json!({"type": "map", "values": self.any(depth.saturating_sub(1), true)}));
        alone(self);
        branches.push(self.record(depth.saturating_sub(1), 3));
        branches.push(json!({"type": "fixed", "name": self.name(), "size": 3}));
        branches.push(json!({"type": "enum", "name": self.name(), "symbols": ["a", "b", "c"]}));
        for i in (1..branches.len()).rev() {
            let j = if keep_all && i > 5 { i } else { self.dice.below(i.min(5) + 1) };
            branches.swap(i, j);
        }
        if !keep_all {
            let kept = 1 + self.dice.below(4);
            branches.truncate(kept);
            self.known = known;
        }
        json!(branches)
    }
}

fn value<'a>(schema: &'a Schema, names: &HashMap<String, &'a Schema>, dice: &mut Dice) -> Value {
    let long = |dice: &mut Dice| (dice.next() as i64) >> dice.below(64);
    let bytes = |dice: &mut Dice, n: usize| (0..n).map(|_| dice.next() as u8).collect::<Vec<_>>();
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(dice.below(2) == 0),
        Schema::Int => Value::Int(long(dice) as i32),
        Schema::Long => Value::Long(long(dice)),
        Schema::Float => Value::Float(f32::from_bits(dice.next() as u32)),
        Schema::Double => Value::Double(f64::from_bits(dice.next())),
        Schema::Bytes => Value::Bytes({
            let n = dice.below(40);
            bytes(dice, n)
        }),
        Schema::String => Value::String(text(dice)),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, bytes(dice, fixed.size)),
        Schema::Enum(symbols) => {
            let i = dice.below(symbols.symbols.len());
            Value::Enum(i as u32, symbols.symbols[i].clone())
        }
        Schema::Date => Value::Date(long(dice) as i32),
        Schema::TimeMillis => Value::TimeMillis(long(dice) as i32),
        Schema::TimeMicros => Value::TimeMicros(long(dice)),
        Schema::TimestampMillis => Value::TimestampMillis(long(dice)),
        Schema::TimestampMicros => Value::TimestampMicros(long(dice)),
        Schema::TimestampNanos => Value::TimestampNanos(long(dice)),
        Schema::LocalTimestampMillis => Value::LocalTimestampMillis(long(dice)),
        Schema::LocalTimestampMicros => Value::LocalTimestampMicros(long(dice)),
        Schema::LocalTimestampNanos => Value::LocalTimestampNanos(long(dice)),
        Schema::Uuid(_) => Value::Uuid(Uuid::from_u128(u128::from(dice.next()) << 64 | u128::from(dice.next()))),
        Schema::Duration(_) => {
            let raw: [u8; 12] = bytes(dice, 12).try_into().unwrap();
            Value::Duration(raw.into())
        }
        Schema::Decimal(_) => Value::Decimal(Decimal::from(bytes(dice, 6))),
        Schema::Array(array) => {
            let n = [0, 0, 1, 3, 9][dice.below(5)];
            Value::Array((0..n).map(|_| value(&array.items, names, dice)).collect())
        }
        Schema::Map(map) => {
            let n = dice.below(4);
            Value::Map((0..n).map(|i| (format!("{i}{}", text(dice)), value(&map.types, names, dice))).collect())
        }
        Schema::Union(union) => {
            let i = dice.below(union.variants().len());
            Value::Union(i as u32, Box::new(value(&union.variants()[i], names, dice)))
        }
        Schema::Record(record) => {
            Value::Record(record.fields.iter().map(|f| (f.name.clone(), value(&f.schema, names, dice))).collect())
        }
        Schema::Ref { name } => value(names[&name.fullname(None)], names, dice),
        other => panic!("{other:?}"),
    }
}

/// Texts around the length at which a view is stored inline, of one to four bytes a character.
fn text(dice: &mut Dice) -> String {
    let n = [0, 1, 5, 11, 12, 13, 14, 40][dice.below(8)];
    let alphabet = ['a', 'z', '0', 'é', '☄', '🔭'];
    let letters = if dice.below(2) == 0 { 3 } else { 6 };
    (0..n).map(|_| alphabet[dice.below(letters)]).collect()
}

/// A random schema, without what apache-avro refuses too, and data of it, as apache-avro writes them.
pub fn random(seed: u64) -> (Json, Schema, Vec<Vec<u8>>) {
    let mut schemas = Schemas { dice: Dice(seed), names: 0, known: Vec::new() };
    let fields = 1 + schemas.dice.below(8);
    let mut json = schemas.record(4, fields);
    // A bare message of no bytes is refused whatever its schema.
    let first = json!({"name": "first", "type": "int"});
    json["fields"].as_array_mut().unwrap().insert(0, first);
    let mut clean = json.clone();
    strip(&mut clean);
    let schema = Schema::parse(&clean).unwrap_or_else(|e| panic!("{clean}: {e}"));
    let by_name = apache_avro::schema::ResolvedSchema::new(&schema).unwrap();
    let by_name: HashMap<_, _> = by_name.get_names().iter().map(|(n, s)| (n.fullname(None), *s)).collect();
    let dice = &mut schemas.dice;
    let datums: Vec<_> = (0..4).filter_map(|_| write(&schema, value(&schema, &by_name, dice)).ok()).collect();
    drop(by_name);
    (json, schema, datums)
}

/// Every combination that apache-avro itself takes; gives how many alerts and how many values were compared.
fn round_trip(seed: u64) -> (usize, usize) {
    let (json, schema, datums) = random(seed);
    let names = Names::of(&schema);
    let decoded = bare(&json.to_string()).apply(&batch(&datums)).unwrap();
    assert!(decoded.letters.is_empty(), "seed {seed}: {:?}\n{json}", decoded.letters[0].reason);
    if datums.is_empty() {
        return (0, 0);
    }
    let part = &decoded.parts[0];
    part.records.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
    let leaves = datums.iter().enumerate().map(|(row, datum)| {
        let value = read(&schema, datum).unwrap();
        compare(&schema, &names, &value, &part.records, row)
    });
    let leaves = leaves.sum();
    let writer = RecordWriter::new(&part.schema).unwrap();
    let rows = writer.bind(&part.records).unwrap();
    for (row, datum) in datums.iter().enumerate() {
        let mut again = Vec::new();
        rows.encode(row, &mut again).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{json}"));
        // apache-avro keeps bytes of decimals that say nothing; then the values have to be the same.
        if canonical(&json) {
            assert_eq!(again, *datum, "seed {seed}, row {row}\n{json}");
        } else {
            compare(&schema, &names, &read(&schema, &again).unwrap(), &part.records, row);
        }
    }
    (datums.len(), leaves)
}

/// Whether data of the schema have one encoding, as apache-avro writes them.
pub fn canonical(json: &Json) -> bool {
    !json.to_string().contains("\"decimal\"")
}

fn strip(value: &mut Json) {
    match value {
        Json::Object(all) => {
            all.shift_remove("default");
            all.values_mut().for_each(strip);
        }
        Json::Array(all) => all.iter_mut().for_each(strip),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_schemas_and_values_are_read_as_apache_avro_reads_them(seed in any::<u64>()) {
        round_trip(seed);
    }
}

#[test]
fn random_schemas_reach_far_enough_to_mean_something() {
    let (alerts, leaves) = (0..200).map(round_trip).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(alerts > 700 && leaves > 5_000, "{alerts} alerts, {leaves} values");
}
