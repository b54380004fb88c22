//! Outputs against batches made by hand; Kafka against the mock cluster of the client library.

#![allow(clippy::unwrap_used)]

mod files;
mod kafka;
mod letters;
mod once;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, Schema as ArrowSchema};

use super::*;
use crate::alert::{
    AlertBatch, Annotation, Candidate, DatumRange, DeadLetter, Flags, Permit, RowOrigin, Span, Token, TopicPartition, Verdict,
};
use crate::avro::AlertSchema;

const ALERT: &str = r#"{"type":"record","name":"alert","namespace":"test","fields":[
    {"name":"objectId","type":"string"},{"name":"rb","type":["null","float"],"default":null}]}"#;

/// The same with another field.
const WIDER: &str = r#"{"type":"record","name":"alert","namespace":"test","fields":[
    {"name":"objectId","type":"string"},{"name":"rb","type":["null","float"],"default":null},{"name":"matches","type":"int"}]}"#;

/// The only place that makes an [`AlertSchema`].
fn alert_schema(json: &str) -> Arc<AlertSchema> {
    let fields = vec![Field::new("objectId", DataType::Utf8, false), Field::new("rb", DataType::Float32, true)];
    let arrow = Arc::new(ArrowSchema::new(fields));
    AlertSchema::of_columns(0x0123_4567_89ab_cdef, json, arrow)
}

const ORIGIN: (&str, i32) = ("upstream", 3);
const SINK: SinkId = SinkId(1);

fn value(json: &str, offset: i64) -> Value {
    let rb = Value::Union(1, Box::new(Value::Float(offset as f32)));
    let mut fields = vec![("objectId".into(), Value::String(format!("ZTF{offset}"))), ("rb".into(), rb)];
    if json == WIDER {
        fields.push(("matches".into(), Value::Int(7)));
    }
    Value::Record(fields)
}

/// What a published record must read as.
fn published(offset: i64) -> Value {
    let Value::Record(mut fields) = value(ALERT, offset) else { panic!("a record") };
    fields.push(("matches".into(), Value::Int(offset as i32)));
    let separation = if offset % 2 == 0 {
        Value::Union(1, Box::new(Value::Double(offset as f64 / 10.0)))
    } else {
        Value::Union(0, Box::new(Value::Null))
    };
    fields.push(("separation".into(), separation));
    Value::Record(fields)
}

fn token(start: i64, count: i64) -> Token {
    let (topic, partition) = ORIGIN;
    let origin = Arc::new(TopicPartition { topic: topic.into(), partition });
    Token { origin, span: Span { start, end: start + count }, generation: 1 }
}

/// Alerts with offsets from `start`, with the annotations `matches` and `separation`. The message of a row is `<datum>`.
fn batch(schema: &Arc<AlertSchema>, start: i64, count: i64) -> Decoded {
    let avro = Schema::parse_str(&schema.json).unwrap();
    let writer = GenericDatumWriter::builder(&avro).build().unwrap();
    let offsets: Vec<i64> = (start..start + count).collect();
    let (mut arena, mut rows) = (Vec::new(), Vec::new());
    for offset in &offsets {
        let first = arena.len() as u32;
        arena.push(b'<');
        arena.extend(writer.write_value_to_vec(value(&schema.json, *offset)).unwrap());
        arena.push(b'>');
        let end = arena.len() as u32;
        rows.push(RowOrigin {
            offset: *offset,
            record: 0,
            timestamp: Some(1_700_000_000_000 + offset),
            datum: DatumRange { buffer: 0, start: first + 1, end: end - 1 },
            message: DatumRange { buffer: 0, start: first, end },
            key: None,
            headers: vec![("survey".into(), Some(b"x".to_vec()))],
        });
    }
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(offsets.iter().map(|o| format!("ZTF{o}"))));
    let rb: ArrayRef = Arc::new(Float32Array::from_iter_values(offsets.iter().map(|o| *o as f32)));
    let none: ArrayRef = Arc::new(Float64Array::new_null(rows.len()));
    let matches: ArrayRef = Arc::new(Int32Array::from_iter_values(offsets.iter().map(|o| *o as i32)));
    let separation = offsets.iter().map(|o| (o % 2 == 0).then_some(*o as f64 / 10.0));
    let separation: ArrayRef = Arc::new(separation.collect::<Float64Array>());
    let annotation = |name: &str, values: ArrayRef, nullable| Annotation {
        field: Arc::new(Field::new(name, values.data_type().clone(), nullable)),
        values,
    };
    let part = AlertBatch {
        schema: schema.clone(),
        records: RecordBatch::try_new(schema.arrow.clone(), vec![ids.clone(), rb]).unwrap(),
        buffers: vec![Buffer::from_vec(arena)],
        candidate: Candidate {
            alert_id: ids.clone(),
            object_id: ids,
            ra: none.clone(),
            dec: none.clone(),
            time: Arc::new(TimestampMicrosecondArray::new_null(rows.len())),
            magnitude: none,
        },
        annotations: vec![annotation("matches", matches, false), annotation("separation", separation, true)],
        steps: ["cut".to_owned()].into(),
        verdicts: vec![Verdict::Passed; rows.len()],
        flags: vec![Flags::default(); rows.len()],
        rows,
    };
    Decoded { token: token(start, count), parts: vec![part], letters: vec![], permit: Arc::new(Permit::unbounded()) }
}

/// Keeps dead letters where the test can see them.
#[derive(Default)]
struct Letters(Mutex<Vec<DeadLetter>>);

impl Letters {
    fn reasons(&self) -> Vec<(i64, String)> {
        self.0.lock().unwrap().iter().map(|l| (l.offset, l.reason.clone())).collect()
    }
}

impl LetterBox for Letters {
    fn put(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
        self.0.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }
}

/// A sink with its ledger and its letter box.
struct House {
    sink: PublishSink,
    ledger: Ledger,
    letters: Arc<Letters>,
}

impl House {
    fn open(outputs: &[Publish]) -> House {
        House::with_group(outputs, None, None, Path::new("/nonexistent"))
    }

    /// A house whose source is Kafka, read by a group; `before` has set aside what it reads.
    fn with_group(outputs: &[Publish], group: Option<&str>, before: Option<&str>, state: &Path) -> House {
        let (ledger, letters) = (Ledger::default(), Arc::new(Letters::default()));
        ledger.start_generation(1, &[SINK]);
        let report = ReportHandle::new(outputs);
        let context = PublishContext {
            component: "test".into(),
            sink: SINK,
            ledger: ledger.clone(),
            letters: letters.clone(),
            report,
            group: group.map(str::to_owned),
            before: before.map(str::to_owned),
            state: state.to_owned(),
        };
        House { sink: PublishSink::open(outputs, context).unwrap(), ledger, letters }
    }

    fn accept(&mut self, batch: &Decoded) {
        self.ledger.begin(&batch.token, batch.rows() as u64);
        self.sink.accept(batch).unwrap();
    }

    fn watermark(&self) -> Option<i64> {
        self.ledger.watermark(&token(0, 0).origin)
    }

    /// Ticks until the ledger says that everything below `end` is durable.
    fn settle(&mut self, end: i64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.watermark() != Some(end) {
            assert!(
                Instant::now() < deadline,
                "settled up to {:?}, not {end}: {:?}",
                self.watermark(),
                self.sink.report.report()
            );
            self.sink.tick(Instant::now()).unwrap();
            std::thread::yield_now();
        }
    }
}

fn to_kafka(topic: &str, brokers: &str, format: PublishFormat, properties: &[(&str, &str)]) -> Publish {
    let properties: BTreeMap<_, _> = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let target = PublishTarget::Kafka { brokers: brokers.to_owned(), properties, transactions: false };
    Publish { topic: topic.into(), target, condition: None, format }
}

#[test]
fn a_batch_with_nothing_to_send_is_acknowledged_at_once() {
    let mut house = House::open(&[]);
    house.accept(&batch(&alert_schema(ALERT), 0, 4));
    assert_eq!(house.watermark(), Some(4));
}
