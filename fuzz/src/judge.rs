//! apache-avro's reading of a datum, and whether ours agrees with it.
//!
//! Where the two may differ is said here and nowhere else: [`Verdict`] and [`STRICTER`], [`looser`].

use std::collections::{HashMap, HashSet};
use std::sync::Once;

use apache_avro::error::Details;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::types::Value;
use apache_avro::{Schema, Uuid};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// What apache-avro may allocate for one value, bytes.
const JUDGE_BYTES: usize = 64 << 20;

/// Reasons for which we refuse what apache-avro may take: it makes nulls of texts and branches that are cut off, and its numbers
/// of more than 64 bits wrap; it does not look at the sizes of blocks; counts, memory and decimals have bounds of ours.
const STRICTER: [&str; 6] = [
    "ends too early",
    "which is not there",
    "more than 64 bits",
    "do not end where it says",
    "more memory than is granted",
    "does not fit 128 bits",
];

/// Reasons for which apache-avro has to refuse the datum as well.
const BOTH: [&str; 5] =
    ["does not fit an int", "is not UTF-8", "a boolean of", "which the union does not have", "which the enum does not have"];

/// What apache-avro says of a datum.
pub enum Verdict {
    /// A value and how many bytes are left over.
    Good(Value, usize),
    /// Not a datum of the schema.
    Bad(String),
    /// It would not say: its own bounds, or a rule for texts that we leave to others.
    None,
}

/// Errors of apache-avro for what we take on purpose: UUIDs are texts to us, whatever is in them, and decimals of any length bytes.
fn looser(details: &Details) -> bool {
    matches!(
        details,
        Details::MemoryAllocation { .. }
            | Details::ConvertStrToUuid(_)
            | Details::ConvertSliceToUuid(_)
            | Details::ConvertFixedToUuid(_)
            | Details::CompareFixedSizes { .. }
            | Details::BigDecimalLen(_)
            | Details::BigDecimalScale
    )
}

/// Sets the bounds of apache-avro, once.
pub fn bounds() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        apache_avro::util::max_allocation_bytes(JUDGE_BYTES);
    });
}

/// Reads a datum.
pub fn read(schema: &Schema, datum: &[u8]) -> Verdict {
    bounds();
    let mut rest = datum;
    let reader = GenericDatumReader::builder(schema).build();
    match reader.and_then(|reader| reader.read_value(&mut rest)) {
        Ok(value) => Verdict::Good(value, rest.len()),
        Err(error) if looser(error.details()) => Verdict::None,
        Err(error) => Verdict::Bad(error.to_string()),
    }
}

/// Whether an error of apache-avro, reading a whole container, is one of those in which it is stricter than we are.
pub fn is_looser(error: &apache_avro::Error) -> bool {
    // Records of no bytes end its reading.
    looser(error.details()) || matches!(error.details(), Details::ReadBlock)
}

/// Holds what became of a datum that was decoded alone against apache-avro's reading. `row` is that of the datum, or the reason
/// why there is none.
pub fn agree(schema: &Schema, datum: &[u8], row: Result<(&RecordBatch, usize), &str>) {
    match row {
        Ok((records, row)) => match read(schema, datum) {
            Verdict::Good(value, 0) => compare(schema, &value, records, row),
            Verdict::Good(_, left) => assert_eq!(left, 0, "bytes left over of a datum that was taken"),
            Verdict::Bad(error) => assert!(error.is_empty(), "taken, but apache-avro says: {error}"),
            Verdict::None => {}
        },
        Err(reason) if STRICTER.iter().any(|known| reason.contains(known)) => {}
        Err(reason) if reason.contains("an object container, but") => assert!(datum.starts_with(b"Obj\x01"), "{reason}"),
        Err("the payload is empty") => assert!(datum.is_empty()),
        Err(reason) => {
            let verdict = read(schema, datum);
            if BOTH.iter().any(|known| reason.contains(known)) {
                assert!(!matches!(verdict, Verdict::Good(..)), "apache-avro takes what is refused: {reason}");
            } else if let Some(left) = reason.strip_suffix(" bytes left over") {
                let left = left.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok());
                assert!(!matches!(verdict, Verdict::Good(_, n) if left != Some(n)), "another count of bytes left over: {reason}");
                assert!(!matches!(verdict, Verdict::Bad(_)), "bytes left over of what apache-avro refuses: {reason}");
            } else {
                assert!(reason.contains("a position that is not on the sphere"), "a reason that nobody knows: {reason}");
                assert!(!matches!(verdict, Verdict::Bad(_)), "absurd values of what apache-avro refuses: {reason}");
            }
        }
    }
}

/// Holds a row against a record of apache-avro, value by value.
pub fn compare(schema: &Schema, value: &Value, records: &RecordBatch, row: usize) {
    let (Schema::Record(record), Value::Record(fields)) = (schema, value) else {
        assert_eq!(format!("{value:?}"), "a record");
        return;
    };
    let resolved = ResolvedSchema::new(schema).expect("the schema was read with");
    let judge = Judge { names: resolved.get_names() };
    assert_eq!(records.num_columns(), record.fields.len());
    for (i, (field, (name, value))) in record.fields.iter().zip(fields).enumerate() {
        assert_eq!(records.schema().field(i).name(), name);
        judge.same(&field.schema, value, records.column(i).as_ref(), row, name);
    }
}

struct Judge<'a> {
    names: &'a HashMap<Name, &'a Schema>,
}

impl Judge<'_> {
    fn same(&self, schema: &Schema, value: &Value, array: &dyn Array, row: usize, path: &str) {
        let schema = match schema {
            Schema::Ref { name } => match self.names.get(name) {
                Some(schema) => schema,
                None => return,
            },
            other => other,
        };
        match (schema, value) {
            (Schema::Union(union), Value::Union(branch, inner)) => {
                let branches = union.variants();
                let there: Vec<usize> = (0..branches.len()).filter(|i| !matches!(branches[*i], Schema::Null)).collect();
                let branch = *branch as usize;
                if matches!(branches[branch], Schema::Null) {
                    assert!(branches.len() == 1 || array.is_null(row), "{path}: not null");
                } else if there.len() == 1 {
                    self.same(&branches[branch], inner, array, row, path);
                } else {
                    assert!(array.is_valid(row), "{path}: null");
                    let members = array.as_struct();
                    assert_eq!(members.num_columns(), there.len(), "{path}");
                    for (member, index) in there.iter().enumerate() {
                        let column = members.column(member).as_ref();
                        if *index == branch {
                            self.same(&branches[*index], inner, column, row, path);
                        } else {
                            assert!(column.is_null(row), "{path}: member {member} is set");
                        }
                    }
                }
            }
            (Schema::Null, Value::Null) => assert!(array.data_type() == &DataType::Null && row < array.len(), "{path}"),
            (Schema::Array(inner), Value::Array(items)) => {
                let list = array.as_list::<i32>();
                let (start, length) = (list.value_offsets()[row] as usize, list.value_length(row) as usize);
                assert!(array.is_valid(row) && length == items.len(), "{path}: {length} items and not {}", items.len());
                for (i, item) in items.iter().enumerate() {
                    self.same(&inner.items, item, list.values().as_ref(), start + i, path);
                }
            }
            (Schema::Map(inner), Value::Map(entries)) => {
                let map = array.as_map();
                let (start, length) = (map.value_offsets()[row] as usize, map.value_length(row) as usize);
                let keys = map.keys().as_string_view();
                // Of entries with one key apache-avro keeps the last; we keep them all.
                let mut seen = HashSet::new();
                for i in (start..start + length).rev().filter(|i| seen.insert(keys.value(*i))) {
                    let entry = entries.get(keys.value(i));
                    assert!(entry.is_some(), "{path}: the key {:?}", keys.value(i));
                    entry.into_iter().for_each(|entry| self.same(&inner.types, entry, map.values().as_ref(), i, path));
                }
                assert!(array.is_valid(row) && seen.len() == entries.len(), "{path}: {} keys", seen.len());
            }
            (Schema::Record(_), Value::Record(fields)) if fields.is_empty() => {
                assert!(array.is_valid(row) && array.as_boolean().value(row), "{path}");
            }
            (Schema::Record(record), Value::Record(fields)) => {
                assert!(array.is_valid(row), "{path}: null");
                let columns = array.as_struct();
                for (i, (field, (name, value))) in record.fields.iter().zip(fields).enumerate() {
                    assert_eq!(columns.column_names()[i], name);
                    self.same(&field.schema, value, columns.column(i).as_ref(), row, &format!("{path}.{name}"));
                }
            }
            _ => {
                assert!(array.is_valid(row), "{path}: null for {value:?}");
                leaf(value, array, row, path);
            }
        }
    }
}

fn leaf(value: &Value, array: &dyn Array, row: usize, path: &str) {
    match value {
        Value::Boolean(v) => assert_eq!(array.as_boolean().value(row), *v, "{path}"),
        Value::Int(v) => assert_eq!(array.as_primitive::<Int32Type>().value(row), *v, "{path}"),
        Value::Long(v) => assert_eq!(array.as_primitive::<Int64Type>().value(row), *v, "{path}"),
        Value::Float(v) => assert_eq!(array.as_primitive::<Float32Type>().value(row).to_bits(), v.to_bits(), "{path}"),
        Value::Double(v) => assert_eq!(array.as_primitive::<Float64Type>().value(row).to_bits(), v.to_bits(), "{path}"),
        Value::Bytes(v) => assert_eq!(array.as_binary_view().value(row), v, "{path}"),
        Value::String(v) => assert_eq!(array.as_string_view().value(row), v, "{path}"),
        Value::Fixed(0, _) => assert_eq!(array.as_binary_view().value(row), b"", "{path}"),
        Value::Fixed(_, v) => assert_eq!(array.as_fixed_size_binary().value(row), v, "{path}"),
        Value::Enum(index, symbol) => {
            let symbols = array.as_dictionary::<Int32Type>();
            assert_eq!(symbols.keys().value(row), *index as i32, "{path}");
            assert_eq!(symbols.values().as_string::<i32>().value(*index as usize), symbol, "{path}");
        }
        Value::Date(v) => assert_eq!(array.as_primitive::<Date32Type>().value(row), *v, "{path}"),
        Value::TimeMillis(v) => assert_eq!(array.as_primitive::<Time32MillisecondType>().value(row), *v, "{path}"),
        Value::TimeMicros(v) => assert_eq!(array.as_primitive::<Time64MicrosecondType>().value(row), *v, "{path}"),
        Value::TimestampMillis(v) | Value::LocalTimestampMillis(v) => {
            assert_eq!(array.as_primitive::<TimestampMillisecondType>().value(row), *v, "{path}");
        }
        Value::TimestampMicros(v) | Value::LocalTimestampMicros(v) => {
            assert_eq!(array.as_primitive::<TimestampMicrosecondType>().value(row), *v, "{path}");
        }
        Value::TimestampNanos(v) | Value::LocalTimestampNanos(v) => {
            assert_eq!(array.as_primitive::<TimestampNanosecondType>().value(row), *v, "{path}");
        }
        // A UUID has several spellings, which are kept.
        Value::Uuid(v) if array.data_type() == &DataType::Utf8View => {
            assert_eq!(Uuid::parse_str(array.as_string_view().value(row)).ok(), Some(*v), "{path}");
        }
        Value::Uuid(v) if array.data_type() == &DataType::BinaryView => {
            assert_eq!(array.as_binary_view().value(row), v.as_bytes(), "{path}");
        }
        Value::Uuid(v) => assert_eq!(array.as_fixed_size_binary().value(row), v.as_bytes(), "{path}"),
        Value::Duration(v) => {
            let bytes: [u8; 12] = v.into();
            assert_eq!(array.as_fixed_size_binary().value(row), bytes, "{path}");
        }
        Value::Decimal(v) => {
            // A decimal of no bytes is zero.
            let bytes = Vec::<u8>::try_from(v).unwrap_or_default();
            match array.data_type() {
                DataType::Decimal128(..) => {
                    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
                    let sum = bytes.iter().fold(if negative { -1i128 } else { 0 }, |sum, b| sum << 8 | i128::from(*b));
                    assert_eq!(array.as_primitive::<Decimal128Type>().value(row), sum, "{path}");
                }
                DataType::BinaryView => assert_eq!(array.as_binary_view().value(row), bytes, "{path}"),
                _ => assert_eq!(array.as_fixed_size_binary().value(row), bytes, "{path}"),
            }
        }
        // Kept as the bytes that it was written with, which apache-avro has taken.
        Value::BigDecimal(_) => assert_eq!(array.data_type(), &DataType::BinaryView, "{path}"),
        other => assert_eq!(format!("{other:?}"), "a value of the schema", "{path}"),
    }
}
