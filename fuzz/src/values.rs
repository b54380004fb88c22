//! Made-up values of any schema, the same for the same seed.

use std::collections::HashMap;

use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema, Uuid};

/// A small, repeatable source of numbers (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.roll() as u8).collect()
    }
}

/// A datum of a schema.
pub fn datum(schema: &Schema, dice: &mut Dice) -> Vec<u8> {
    let resolved = ResolvedSchema::new(schema).expect("the schemas here are whole");
    let value = value(schema, resolved.get_names(), dice);
    write(schema, value)
}

/// A datum as apache-avro writes it.
pub fn write(schema: &Schema, value: Value) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema).build().expect("the schemas here are whole");
    writer.write_value_to_vec(value).expect("the value is one of the schema")
}

fn value(schema: &Schema, names: &HashMap<Name, &Schema>, dice: &mut Dice) -> Value {
    let long = |dice: &mut Dice| (dice.roll() as i64) >> dice.below(64);
    // A place on the sky, whatever the field: else the stage says that the schema does not fit.
    let real = |dice: &mut Dice| dice.below(90_000) as f64 / 1000.0;
    let text = |dice: &mut Dice| "ZTF18abc, ☄ and more".chars().take(dice.below(21)).collect::<String>();
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(dice.below(2) == 0),
        Schema::Int => Value::Int(long(dice) as i32),
        Schema::Long => Value::Long(long(dice)),
        Schema::Float => Value::Float(real(dice) as f32),
        Schema::Double => Value::Double(real(dice)),
        Schema::Bytes => Value::Bytes(dice.bytes(9)),
        Schema::String => Value::String(text(dice)),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, dice.bytes(fixed.size)),
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
        Schema::Uuid(_) => Value::Uuid(Uuid::from_u128(u128::from(dice.roll()) << 64 | u128::from(dice.roll()))),
        Schema::Duration(_) => {
            let mut raw = [0; 12];
            raw.copy_from_slice(&dice.bytes(12));
            Value::Duration(raw.into())
        }
        Schema::Decimal(_) => Value::Decimal(Decimal::from(dice.bytes(6))),
        Schema::Array(array) => Value::Array((0..dice.below(3)).map(|_| value(&array.items, names, dice)).collect()),
        Schema::Map(map) => {
            Value::Map((0..dice.below(3)).map(|i| (format!("{i}{}", text(dice)), value(&map.types, names, dice))).collect())
        }
        Schema::Union(union) => {
            let i = dice.below(union.variants().len());
            Value::Union(i as u32, Box::new(value(&union.variants()[i], names, dice)))
        }
        Schema::Record(record) => {
            Value::Record(record.fields.iter().map(|f| (f.name.clone(), value(&f.schema, names, dice))).collect())
        }
        Schema::Ref { name } => value(names[name], names, dice),
        Schema::BigDecimal => Value::Bytes(Vec::new()),
    }
}
