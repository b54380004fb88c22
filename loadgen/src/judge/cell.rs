//! Whether a cell of an archived row holds the value that was sent, nested columns included. How Avro's types become columns is in
//! the documentation of the archive: records are structs, a union of null and one type is that type, any other union a struct with a
//! member for each of its types but null.
//!
//! Columns that are not there are no difference (the archive may be told to keep some only), but noted.

use std::collections::BTreeSet;

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrowPrimitiveType, StructArray};
use arrow_schema::{DataType, TimeUnit};

use super::value::{Difference, bytes};
use super::writer::Writer;

/// Compares rows with what was sent.
#[derive(Default)]
pub(super) struct Comparer {
    /// Values that were compared.
    pub(super) compared: u64,
    /// Paths of the columns that are not there.
    pub(super) absent: BTreeSet<String>,
    path: Vec<&'static str>,
}

impl Comparer {
    /// Compares a row, the columns of which may be more than the record has fields.
    pub(super) fn row(&mut self, writer: &Writer, sent: &Value, rows: &StructArray, row: usize) -> Result<(), Difference> {
        self.path.clear();
        self.members(writer, writer.schema, sent, rows, row)
    }

    fn members(
        &mut self,
        writer: &Writer,
        schema: &'static Schema,
        sent: &Value,
        rows: &StructArray,
        row: usize,
    ) -> Result<(), Difference> {
        let (Schema::Record(record), Value::Record(fields)) = (schema, sent) else {
            return Err(Difference::new("is a record in the archive only"));
        };
        for (field, (name, value)) in record.fields.iter().zip(fields) {
            self.path.push(&field.name);
            match rows.column_by_name(name) {
                Some(column) => {
                    self.cell(writer, &field.schema, value, column, row).map_err(|difference| difference.inside(name))?;
                }
                None => drop(self.absent.insert(self.path.join("."))),
            }
            self.path.pop();
        }
        Ok(())
    }

    fn cell(
        &mut self,
        writer: &Writer,
        schema: &'static Schema,
        sent: &Value,
        column: &dyn Array,
        row: usize,
    ) -> Result<(), Difference> {
        let schema = writer.resolve(schema).map_err(Difference::new)?;
        if let (Schema::Union(union), Value::Union(branch, sent)) = (schema, sent) {
            let branches = union.variants();
            let branch = *branch as usize;
            if branches.get(branch).is_none_or(|branch| *branch == Schema::Null) {
                self.compared += 1;
                return if column.is_null(row) { Ok(()) } else { Err(Difference::values("a value", "null")) };
            }
            let kinds: Vec<usize> = (0..branches.len()).filter(|at| branches[*at] != Schema::Null).collect();
            if kinds.len() == 1 {
                return self.cell(writer, &branches[branch], sent, column, row);
            }
            let members = column.as_struct_opt().ok_or_else(|| unknown(column))?;
            for (member, kind) in kinds.iter().enumerate() {
                let name = format!("member{member}");
                let member = members.column_by_name(&name).ok_or_else(|| Difference::new(format!("has no column {name}")))?;
                if *kind == branch {
                    self.cell(writer, &branches[branch], sent, member, row).map_err(|difference| difference.inside(&name))?;
                } else if member.is_valid(row) {
                    return Err(Difference::values("a value", "null").inside(&name));
                }
            }
            return Ok(());
        }
        self.compared += 1;
        if column.is_null(row) && *sent != Value::Null {
            return Err(Difference::values("null", sent));
        }
        match sent {
            Value::Record(fields) if fields.is_empty() => {
                same(column.as_boolean_opt().map(|column| column.value(row)), true, column)
            }
            Value::Record(_) => {
                let members = column.as_struct_opt().ok_or_else(|| unknown(column))?;
                self.members(writer, schema, sent, members, row)
            }
            Value::Array(sent) => {
                let Schema::Array(array) = schema else { return Err(unknown(column)) };
                let items = match column.data_type() {
                    DataType::List(_) => column.as_list::<i32>().value(row),
                    DataType::LargeList(_) => column.as_list::<i64>().value(row),
                    _ => return Err(unknown(column)),
                };
                if items.len() != sent.len() {
                    return Err(Difference::new(format!("{} items, {} were sent", items.len(), sent.len())));
                }
                for (item, sent) in sent.iter().enumerate() {
                    self.cell(writer, &array.items, sent, &items, item).map_err(|difference| difference.at(item))?;
                }
                Ok(())
            }
            Value::Map(sent) => {
                let (Schema::Map(map), Some(column)) = (schema, column.as_map_opt()) else { return Err(unknown(column)) };
                let entries = column.value(row);
                if entries.len() != sent.len() {
                    return Err(Difference::new(format!("{} entries, {} were sent", entries.len(), sent.len())));
                }
                for entry in 0..entries.len() {
                    let key = text(entries.column(0), entry).ok_or_else(|| unknown(entries.column(0)))?;
                    let sent = sent.get(key).ok_or_else(|| Difference::new("was not sent").inside(key))?;
                    self.cell(writer, &map.types, sent, entries.column(1), entry).map_err(|difference| difference.inside(key))?;
                }
                Ok(())
            }
            _ => leaf(sent, column, row),
        }
    }
}

fn leaf(sent: &Value, column: &dyn Array, row: usize) -> Result<(), Difference> {
    match sent {
        Value::Null if column.is_null(row) || *column.data_type() == DataType::Null => Ok(()),
        Value::Boolean(sent) => same(column.as_boolean_opt().map(|column| column.value(row)), *sent, column),
        Value::Int(sent) => same(number::<Int32Type>(column, row), *sent, column),
        Value::Long(sent) => same(number::<Int64Type>(column, row), *sent, column),
        // Bit by bit: not-a-number is equal to itself, and minus zero is not zero.
        Value::Float(sent) => match number::<Float32Type>(column, row) {
            Some(found) if found.to_bits() == sent.to_bits() => Ok(()),
            found => Err(found.map_or_else(|| unknown(column), |found| Difference::values(found, sent))),
        },
        Value::Double(sent) => match number::<Float64Type>(column, row) {
            Some(found) if found.to_bits() == sent.to_bits() => Ok(()),
            found => Err(found.map_or_else(|| unknown(column), |found| Difference::values(found, sent))),
        },
        Value::Bytes(sent) | Value::Fixed(_, sent) => bytes(binary(column, row).ok_or_else(|| unknown(column))?, sent),
        Value::String(sent) | Value::Enum(_, sent) => same(text(column, row), sent.as_str(), column),
        Value::Date(sent) => same(number::<Date32Type>(column, row), *sent, column),
        Value::TimeMillis(sent) => same(number::<Time32MillisecondType>(column, row), *sent, column),
        Value::TimeMicros(sent) => same(number::<Time64MicrosecondType>(column, row), *sent, column),
        Value::TimestampMillis(sent) | Value::LocalTimestampMillis(sent) => instant(*sent, TimeUnit::Millisecond, column, row),
        Value::TimestampMicros(sent) | Value::LocalTimestampMicros(sent) => instant(*sent, TimeUnit::Microsecond, column, row),
        Value::TimestampNanos(sent) | Value::LocalTimestampNanos(sent) => instant(*sent, TimeUnit::Nanosecond, column, row),
        Value::Decimal(sent) => same(number::<Decimal128Type>(column, row), decimal(sent)?, column),
        Value::Uuid(sent) => match text(column, row) {
            Some(found) => same(Some(found), sent.to_string().as_str(), column),
            None => bytes(binary(column, row).ok_or_else(|| unknown(column))?, sent.as_bytes()),
        },
        Value::Duration(sent) => bytes(binary(column, row).ok_or_else(|| unknown(column))?, &<[u8; 12]>::from(*sent)),
        _ => Err(unknown(column)),
    }
}

fn instant(sent: i64, unit: TimeUnit, column: &dyn Array, row: usize) -> Result<(), Difference> {
    let found = match unit {
        TimeUnit::Second => None,
        TimeUnit::Millisecond => number::<TimestampMillisecondType>(column, row),
        TimeUnit::Microsecond => number::<TimestampMicrosecondType>(column, row),
        TimeUnit::Nanosecond => number::<TimestampNanosecondType>(column, row),
    };
    same(found, sent, column)
}

fn decimal(sent: &Decimal) -> Result<i128, Difference> {
    let bytes = Vec::try_from(sent).map_err(|error| Difference::new(error.to_string()))?;
    let fill = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
    let mut all = [fill; 16];
    let kept = bytes.len().min(16);
    all[16 - kept..].copy_from_slice(&bytes[bytes.len() - kept..]);
    Ok(i128::from_be_bytes(all))
}

/// The number in a column of this type.
pub(super) fn number<T: ArrowPrimitiveType>(column: &dyn Array, row: usize) -> Option<T::Native> {
    column.as_primitive_opt::<T>().map(|column| column.value(row))
}

/// The text in a column of any type for texts.
pub(super) fn text(column: &dyn Array, row: usize) -> Option<&str> {
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(column.as_string_view().value(row)),
        DataType::Dictionary(_, _) => {
            let column = column.as_dictionary_opt::<Int32Type>()?;
            text(column.values(), usize::try_from(column.keys().value(row)).ok()?)
        }
        _ => None,
    }
}

/// The bytes in a column of any type for bytes.
fn binary(column: &dyn Array, row: usize) -> Option<&[u8]> {
    match column.data_type() {
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => Some(column.as_fixed_size_binary().value(row)),
        _ => None,
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: Option<T>, sent: T, column: &dyn Array) -> Result<(), Difference> {
    match found {
        Some(found) if found == sent => Ok(()),
        Some(found) => Err(Difference::values(found, sent)),
        None => Err(unknown(column)),
    }
}

fn unknown(column: &dyn Array) -> Difference {
    Difference::new(format!("a column of type {}, which is none for what was sent", column.data_type()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use apache_avro::types::Record;
    use arrow_array::builder::{Int64Builder, MapBuilder, StringBuilder};
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Float32Array, Int32Array,
        Int64Array, StringArray, TimestampMillisecondArray,
    };

    use super::super::writer::Writers;
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "a.alert", "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "flux", "type": ["float", "null"]},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["star", "rock"]}},
        {"name": "hash", "type": {"type": "fixed", "name": "hash", "size": 2}},
        {"name": "stamp", "type": "bytes"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "cost", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "any", "type": ["null", "int", "string"]},
        {"name": "nothing", "type": {"type": "record", "name": "nothing", "fields": []}},
        {"name": "counts", "type": {"type": "map", "values": "long"}}]}"#;

    /// The columns of one row, as the archive has them.
    fn row() -> Vec<(&'static str, ArrayRef)> {
        let any = StructArray::try_from(vec![
            ("member0", Arc::new(Int32Array::from(vec![None::<i32>])) as ArrayRef),
            ("member1", Arc::new(StringArray::from(vec!["x"])) as ArrayRef),
        ]);
        let mut counts = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        counts.keys().append_value("g");
        counts.values().append_value(3);
        counts.append(true).unwrap();
        vec![
            ("id", Arc::new(Int64Array::from(vec![7]))),
            ("name", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("flux", Arc::new(Float32Array::from(vec![f32::NAN]))),
            ("kind", Arc::new(DictionaryArray::<Int32Type>::from_iter(["rock"]))),
            ("hash", Arc::new(FixedSizeBinaryArray::try_from_iter([[1u8, 2]].iter()).unwrap())),
            ("stamp", Arc::new(BinaryArray::from_vec(vec![b"abc"]))),
            ("time", Arc::new(TimestampMillisecondArray::from(vec![1000]).with_timezone("UTC"))),
            ("cost", Arc::new(Decimal128Array::from(vec![-250]).with_precision_and_scale(9, 2).unwrap())),
            ("any", Arc::new(any.unwrap())),
            ("nothing", Arc::new(BooleanArray::from(vec![true]))),
            ("counts", Arc::new(counts.finish())),
        ]
    }

    /// What is told of a row in which one column is another.
    fn told(other: Option<(&'static str, ArrayRef)>) -> String {
        let mut writers = Writers::default();
        let writer = writers.of(SCHEMA).unwrap();
        let mut sent = Record::new(writer.schema).unwrap();
        sent.put("id", 7i64);
        sent.put("name", Value::Union(0, Box::new(Value::Null)));
        sent.put("flux", Value::Union(0, Box::new(Value::Float(f32::NAN))));
        sent.put("kind", Value::Enum(1, "rock".to_owned()));
        sent.put("hash", Value::Fixed(2, vec![1, 2]));
        sent.put("stamp", Value::Bytes(b"abc".to_vec()));
        sent.put("time", Value::TimestampMillis(1000));
        sent.put("cost", Value::Decimal(Decimal::from([0xff, 0x06])));
        sent.put("any", Value::Union(2, Box::new(Value::String("x".to_owned()))));
        sent.put("nothing", Value::Record(Vec::new()));
        sent.put("counts", Value::Map([("g".to_owned(), Value::Long(3))].into()));
        let mut columns = row();
        if let Some((name, column)) = other {
            columns.iter_mut().find(|(column, _)| *column == name).unwrap().1 = column;
        }
        let rows = StructArray::try_from(columns).unwrap();
        let mut comparer = Comparer::default();
        let outcome = comparer.row(writer, &sent.into(), &rows, 0);
        outcome.map_or_else(|difference| difference.to_string(), |()| format!("{} values", comparer.compared))
    }

    #[test]
    fn all_types_are_compared() {
        assert_eq!(told(None), "12 values");
        let member = |number: Option<i32>, text: Option<&str>| -> ArrayRef {
            let number = Arc::new(Int32Array::from(vec![number])) as ArrayRef;
            let text = Arc::new(StringArray::from(vec![text])) as ArrayRef;
            Arc::new(StructArray::try_from(vec![("member0", number), ("member1", text)]).unwrap())
        };
        let empty = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        let empty = {
            let mut empty = empty;
            empty.append(true).unwrap();
            empty.finish()
        };
        let cases: [(&str, ArrayRef, &str); 13] = [
            ("id", Arc::new(Int64Array::from(vec![8])), "id: 8, sent was 7"),
            ("id", Arc::new(Int32Array::from(vec![7])), "id: a column of type Int32, which is none for what was sent"),
            ("name", Arc::new(StringArray::from(vec![""])), "name: \"a value\", sent was \"null\""),
            ("flux", Arc::new(Float32Array::from(vec![None])), "flux: \"null\", sent was Float(NaN)"),
            ("kind", Arc::new(StringArray::from(vec!["star"])), "kind: \"star\", sent was \"rock\""),
            (
                "hash",
                Arc::new(BinaryArray::from_vec(vec![b"\x01\x03"])),
                "hash: 2 bytes that differ from byte 1 on from the 2 bytes that were sent",
            ),
            (
                "stamp",
                Arc::new(BinaryArray::from_vec(vec![b"ab"])),
                "stamp: 2 bytes that differ from byte 2 on from the 3 bytes that were sent",
            ),
            ("time", Arc::new(TimestampMillisecondArray::from(vec![1001])), "time: 1001, sent was 1000"),
            ("cost", Arc::new(Decimal128Array::from(vec![250])), "cost: 250, sent was -250"),
            ("any", member(Some(1), Some("x")), "any.member0: \"a value\", sent was \"null\""),
            ("any", member(None, Some("y")), "any.member1: \"y\", sent was \"x\""),
            ("nothing", Arc::new(BooleanArray::from(vec![None])), "nothing: \"null\", sent was Record([])"),
            ("counts", Arc::new(empty), "counts: 0 entries, 1 were sent"),
        ];
        for (name, column, expected) in cases {
            assert_eq!(told(Some((name, column))), expected);
        }
    }
}
