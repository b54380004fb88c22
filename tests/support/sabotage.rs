//! Changing what a run has left: archived files row by row and value by value, messages of a topic.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Float32Array, Int64Array, ListArray, RecordBatch, StructArray, UInt32Array};
use arrow_buffer::NullBuffer;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::kafka::Kafka;

/// All files below a folder, by path.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

/// All rows of a Parquet file.
pub fn read(file: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

/// Changes a Parquet file.
pub fn rewrite(file: &Path, change: impl FnOnce(&RecordBatch) -> RecordBatch) {
    let rows = change(&read(file));
    let mut writer = ArrowWriter::try_new(fs::File::create(file).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// The rows, each as often as `times` says.
pub fn pick(rows: &RecordBatch, times: impl Fn(usize) -> usize) -> RecordBatch {
    let picked: UInt32Array = (0..rows.num_rows()).flat_map(|row| vec![row as u32; times(row)]).collect();
    arrow_select::take::take_record_batch(rows, &picked).unwrap()
}

/// The rows without a column.
pub fn without(rows: &RecordBatch, name: &str) -> RecordBatch {
    let kept: Vec<usize> = (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != name).collect();
    rows.project(&kept).unwrap()
}

/// The rows with another column at a path, which goes through lists.
fn with(rows: &RecordBatch, path: &[&str], change: &dyn Fn(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let all = StructArray::from(rows.clone());
    RecordBatch::from(below(&(Arc::new(all) as ArrayRef), path, change).as_struct())
}

fn below(array: &ArrayRef, path: &[&str], change: &dyn Fn(&ArrayRef) -> ArrayRef) -> ArrayRef {
    let Some((name, rest)) = path.split_first() else { return change(array) };
    if let Some(list) = array.as_list_opt::<i32>() {
        let arrow_schema::DataType::List(item) = list.data_type() else { panic!("a list") };
        let values = below(list.values(), path, change);
        return Arc::new(ListArray::new(item.clone(), list.offsets().clone(), values, list.nulls().cloned()));
    }
    let members = array.as_struct();
    let columns = members.fields().iter().zip(members.columns());
    let columns = columns.map(|(field, column)| if field.name() == name { below(column, rest, change) } else { column.clone() });
    Arc::new(StructArray::new(members.fields().clone(), columns.collect(), members.nulls().cloned()))
}

/// The rows with the first value of a column of floats slightly changed.
pub fn change_float(rows: &RecordBatch, path: &[&str]) -> RecordBatch {
    with(rows, path, &|column| {
        let column = column.as_primitive::<Float32Type>();
        let first = (0..column.len()).find(|at| column.is_valid(*at)).unwrap();
        let changed = column.iter().enumerate().map(|(at, v)| if at == first { v.map(f32::next_up) } else { v });
        Arc::new(changed.collect::<Float32Array>())
    })
}

/// The rows with the first value of a column of floats made null.
pub fn change_null(rows: &RecordBatch, path: &[&str]) -> RecordBatch {
    with(rows, path, &|column| {
        let values = column.as_primitive::<Float32Type>().values().clone();
        let nulls: NullBuffer = (0..column.len()).map(|at| at > 0 && column.is_valid(at)).collect::<Vec<bool>>().into();
        Arc::new(Float32Array::new(values, Some(nulls)))
    })
}

/// The rows with the last bit of the first of a column of long integers changed.
pub fn change_long(rows: &RecordBatch, path: &[&str]) -> RecordBatch {
    with(rows, path, &|column| {
        let mut values = column.as_primitive::<Int64Type>().values().to_vec();
        values[0] ^= 1 << 40;
        Arc::new(Int64Array::new(values.into(), column.nulls().cloned()))
    })
}

/// The rows with the first two of a column of long integers swapped.
pub fn swap(rows: &RecordBatch, path: &[&str]) -> RecordBatch {
    with(rows, path, &|column| {
        let mut values = column.as_primitive::<Int64Type>().values().to_vec();
        values.swap(0, 1);
        Arc::new(Int64Array::new(values.into(), column.nulls().cloned()))
    })
}

/// The rows with one bit changed in the middle of the first of a column of bytes.
pub fn change_byte(rows: &RecordBatch, path: &[&str]) -> RecordBatch {
    with(rows, path, &|column| {
        let mut values: Vec<Option<Vec<u8>>> = column.as_binary::<i32>().iter().map(|v| v.map(<[u8]>::to_vec)).collect();
        let stamp = values[0].as_mut().unwrap();
        let middle = stamp.len() / 2;
        stamp[middle] ^= 1;
        Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>())
    })
}

/// Produces messages that were read: same partitions, keys, headers and times.
pub fn produce(kafka: &Kafka, topic: &str, messages: &[OwnedMessage]) {
    let mut config = kafka.client();
    config.set("message.max.bytes", "10485760").set("enable.idempotence", "true");
    let producer: BaseProducer = config.create().unwrap();
    send(&producer, topic, messages);
}

/// Produces messages in a transaction, which is committed, aborted or left open.
pub fn transaction(kafka: &Kafka, topic: &str, id: &str, messages: &[OwnedMessage], commit: Option<bool>) -> BaseProducer {
    let mut config = kafka.client();
    config.set("message.max.bytes", "10485760").set("transactional.id", format!("{topic}-{id}"));
    let producer: BaseProducer = config.create().unwrap();
    let limit = Duration::from_secs(60);
    producer.init_transactions(limit).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, topic, messages);
    match commit {
        Some(true) => producer.commit_transaction(limit).unwrap(),
        Some(false) => producer.abort_transaction(limit).unwrap(),
        None => {}
    }
    producer
}

fn send(producer: &BaseProducer, topic: &str, messages: &[OwnedMessage]) {
    for message in messages {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(message.partition());
        record.key = message.key();
        record.payload = message.payload();
        record.timestamp = message.timestamp().to_millis();
        record.headers = message.headers().cloned();
        while let Err((error, again)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(50));
            record = again;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}
