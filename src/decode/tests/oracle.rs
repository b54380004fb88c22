//! Comparing columns with apache-avro's own reading, value by value.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::types::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// Named types of a schema.
pub struct Names<'a>(HashMap<Name, &'a Schema>);

impl<'a> Names<'a> {
    pub fn of(schema: &'a Schema) -> Names<'a> {
        let resolved = ResolvedSchema::new(schema).unwrap();
        Names(resolved.get_names().iter().map(|(name, schema)| (name.clone(), *schema)).collect())
    }

    fn get(&self, schema: &'a Schema) -> &'a Schema {
        match schema {
            Schema::Ref { name } => self.0[name],
            other => other,
        }
    }
}

/// Holds one row of a batch against a record of apache-avro; gives how many leaves were compared.
pub fn compare<'a>(schema: &'a Schema, names: &Names<'a>, value: &Value, records: &RecordBatch, row: usize) -> usize {
    let (Schema::Record(record), Value::Record(fields)) = (schema, value) else { panic!("no record") };
    assert_eq!(records.num_columns(), record.fields.len());
    let mut leaves = 0;
    for (i, (field, (name, value))) in record.fields.iter().zip(fields).enumerate() {
        assert_eq!(records.schema().field(i).name(), name);
        leaves += same(&field.schema, names, value, records.column(i).as_ref(), row, name);
    }
    leaves
}

fn same<'a>(schema: &'a Schema, names: &Names<'a>, value: &Value, array: &dyn Array, row: usize, path: &str) -> usize {
    let schema = names.get(schema);
    if let Value::Union(branch, inner) = value {
        let Schema::Union(union) = schema else { panic!("{path}: no union") };
        let branches = union.variants();
        let there: Vec<_> = branches.iter().enumerate().filter(|(_, b)| !matches!(b, Schema::Null)).map(|(i, _)| i).collect();
        if matches!(**inner, Value::Null) {
            if branches.len() > 1 {
                assert!(array.is_null(row), "{path}: not null");
            }
            return 1;
        }
        if there.len() == 1 {
            return same(&branches[*branch as usize], names, inner, array, row, path);
        }
        assert!(array.is_valid(row), "{path}: null");
        let members = array.as_struct();
        assert_eq!(members.num_columns(), there.len());
        let mut leaves = 0;
        for (member, index) in there.iter().enumerate() {
            let column = members.column(member).as_ref();
            assert_eq!(members.column_names()[member], format!("member{member}"));
            if *index == *branch as usize {
                leaves += same(&branches[*index], names, inner, column, row, path);
            } else {
                assert!(column.is_null(row), "{path}: member {member} is set");
            }
        }
        return leaves;
    }
    if matches!(value, Value::Null) {
        assert_eq!(array.data_type(), &DataType::Null);
        assert!(row < array.len());
        return 1;
    }
    assert!(array.is_valid(row), "{path}: null for {value:?}");
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
        Value::Uuid(v) if array.data_type() == &DataType::Utf8View => {
            assert_eq!(array.as_string_view().value(row), v.to_string(), "{path}");
        }
        Value::Uuid(v) => assert_eq!(array.as_fixed_size_binary().value(row), v.as_bytes(), "{path}"),
        Value::Duration(v) => {
            let bytes: [u8; 12] = v.into();
            assert_eq!(array.as_fixed_size_binary().value(row), bytes, "{path}");
        }
        Value::Decimal(v) => {
            let bytes = Vec::<u8>::try_from(v).unwrap();
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
        Value::Array(items) => {
            let Schema::Array(inner) = schema else { panic!("{path}: no array") };
            let list = array.as_list::<i32>();
            let (start, length) = (list.value_offsets()[row] as usize, list.value_length(row) as usize);
            assert_eq!(length, items.len(), "{path}");
            let each = items.iter().enumerate();
            return each.map(|(i, v)| same(&inner.items, names, v, list.values().as_ref(), start + i, path)).sum::<usize>() + 1;
        }
        Value::Map(entries) => {
            let Schema::Map(inner) = schema else { panic!("{path}: no map") };
            let map = array.as_map();
            let (start, length) = (map.value_offsets()[row] as usize, map.value_length(row) as usize);
            assert_eq!(length, entries.len(), "{path}");
            let keys = map.keys().as_string_view();
            let each = start..start + length;
            return each
                .map(|i| same(&inner.types, names, &entries[keys.value(i)], map.values().as_ref(), i, path))
                .sum::<usize>()
                + 1;
        }
        Value::Record(fields) if fields.is_empty() => assert!(array.as_boolean().value(row), "{path}"),
        Value::Record(fields) => {
            let Schema::Record(record) = schema else { panic!("{path}: no record") };
            let columns = array.as_struct();
            let each = record.fields.iter().zip(fields).enumerate();
            return each
                .map(|(i, (field, (name, v)))| {
                    assert_eq!(columns.column_names()[i], name);
                    same(&field.schema, names, v, columns.column(i).as_ref(), row, &format!("{path}.{name}"))
                })
                .sum();
        }
        other => panic!("{path}: {other:?} was not expected"),
    }
    1
}
