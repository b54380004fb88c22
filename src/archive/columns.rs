//! The columns of a file: the survey's, the steps', and where each row came from.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, encode_arrow_schema};
use parquet::basic::{Compression, LogicalType, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnDescriptor, ColumnPath, SchemaDescriptor};

use super::context::{ArchiveContext, Editions};
use super::footer::key;
use super::history::History;
use super::writer::{Means, guarded};
use super::{flat, meaning, page, points};
use crate::alert::{AlertBatch, Fault, Verdict};
use crate::avro::{AlertSchema, Kept};
use crate::config::{CutoutCodec, FieldPath};

/// Name of the column that says where a row came from.
pub(super) const OWN: &str = "skysluice";

/// Name of the field of it by which the rows of a row group are sorted.
pub(super) const HEALPIX: &str = "healpix29";

/// Order of the HEALPix cells of that field: the finest, 0.4 mas.
const ORDER: u8 = 29;

/// Rows of a page of what is sought by, at most: what tells a reader that looks for one place where to read. Other columns have
/// larger pages: small ones cost a head each and compress badly.
const PAGE_ROWS: usize = 512;

/// Distinct objects that the filter of a row group is made for; it has one row in a thousand wrong then.
const OBJECTS: u64 = 4096;

/// The columns of a file.
#[derive(Debug)]
pub struct Columns {
    alerts: Arc<AlertSchema>,
    /// What batches bring of the survey's columns, and what is archived of that.
    survey: SchemaRef,
    archived: Kept,
    annotations: Vec<FieldRef>,
    own: Fields,
    /// Columns of the file.
    pub file: SchemaRef,
    /// The same as Parquet has them.
    pub parquet: SchemaDescriptor,
    /// How they are written, with all of the footer that is known beforehand.
    pub properties: Arc<WriterProperties>,
    /// What files are written with.
    pub means: Means,
    /// Tells what batches are matched against.
    pub editions: Editions,
}

impl Columns {
    /// Columns for the rows of `part`: what is wanted of the survey's, all that the steps added, and our own.
    ///
    /// # Errors
    /// When two columns would have one name, or a type can't be stored.
    pub fn of(part: &AlertBatch, context: &ArchiveContext, means: &Means) -> Result<Columns, Fault> {
        let survey = part.records.schema();
        let archived = means.wanted.of(survey.fields());
        let annotations: Vec<FieldRef> = part.annotations.iter().map(|a| a.field.clone()).collect();
        let own = own_fields();
        let added = annotations.iter().cloned().chain([Arc::new(Field::new(OWN, DataType::Struct(own.clone()), false))]);
        let mut fields: Vec<FieldRef> = archived.fields(survey.fields()).iter().cloned().collect();
        for field in added {
            // Several readers take names that differ in case alone for the same column.
            if let Some(other) = fields.iter().find(|f| f.name().eq_ignore_ascii_case(field.name())) {
                return Err(Fault::defect(format!(
                    "the archive can't hold two columns `{}` and `{}` for schema {:016x}: rename the step or catalogue that adds the second",
                    other.name(),
                    field.name(),
                    part.schema.fingerprint,
                )));
            }
            fields.push(field);
        }
        let file: SchemaRef = Arc::new(Schema::new(fields));
        let parquet = guarded("laying out the columns", || ArrowSchemaConverter::new().convert(&file))?;
        let properties = Arc::new(properties(&file, &parquet, &part.schema, context, means.cutouts)?);
        let (alerts, means) = (part.schema.clone(), means.clone());
        Ok(Columns {
            alerts,
            survey,
            archived,
            annotations,
            own,
            file,
            parquet,
            properties,
            means,
            editions: context.catalogs.clone(),
        })
    }

    /// Whether the rows of `part` have these columns.
    pub fn fit(&self, part: &AlertBatch) -> bool {
        (Arc::ptr_eq(&self.alerts, &part.schema) || self.alerts.fingerprint == part.schema.fingerprint)
            && (Arc::ptr_eq(&self.survey, part.records.schema_ref()) || self.survey == *part.records.schema_ref())
            && self.annotations.len() == part.annotations.len()
            && self.annotations.iter().zip(&part.annotations).all(|(a, b)| Arc::ptr_eq(a, &b.field) || *a == b.field)
    }

    /// The rows of `part` as they are written.
    ///
    /// # Errors
    /// When a column is not of the type or length that the batch promised.
    pub fn assemble(&self, part: &AlertBatch, topic: &str, partition: i32) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = self.archived.columns(part.records.columns())?;
        columns.extend(part.annotations.iter().map(|a| a.values.clone()));
        columns.push(Arc::new(self.own(part, topic, partition)?));
        RecordBatch::try_new(self.file.clone(), columns)
    }

    fn own(&self, part: &AlertBatch, topic: &str, partition: i32) -> Result<StructArray, ArrowError> {
        let rows = part.len();
        let topic = DictionaryArray::<Int32Type>::try_new(
            Int32Array::from_value(0, rows),
            Arc::new(StringArray::from_iter_values([topic])),
        )?;
        let skipped_by: Int32Array = part
            .verdicts
            .iter()
            .map(|v| match v {
                Verdict::Passed => None,
                Verdict::Skipped(step) => Some(i32::from(*step)),
            })
            .collect();
        let steps = StringArray::from_iter_values(part.steps.iter());
        let flags: ArrayRef = if part.flags.iter().all(|f| f.0 == 0) {
            new_null_array(&DataType::Utf8, rows)
        } else {
            let names = |f: &crate::alert::Flags| (f.0 != 0).then(|| f.names().collect::<Vec<_>>().join(","));
            Arc::new(part.flags.iter().map(names).collect::<StringArray>())
        };
        let received: TimestampMillisecondArray = part.rows.iter().map(|r| r.timestamp).collect();
        // A message is shorter than 4 GiB and a record longer than a byte, or its decoder would not have let it through.
        let record = part.rows.iter().map(|r| i32::try_from(r.record).unwrap_or(i32::MAX));
        StructArray::try_new(
            self.own.clone(),
            vec![
                Arc::new(topic),
                Arc::new(Int32Array::from_value(partition, rows)),
                Arc::new(Int64Array::from_iter_values(part.rows.iter().map(|r| r.offset))),
                Arc::new(Int32Array::from_iter_values(record)),
                Arc::new(received.with_timezone("UTC")),
                Arc::new(healpix(part)?),
                Arc::new(part.verdicts.iter().map(|v| Some(*v == Verdict::Passed)).collect::<BooleanArray>()),
                Arc::new(DictionaryArray::<Int32Type>::try_new(skipped_by, Arc::new(steps))?),
                flags,
            ],
            None,
        )
    }
}

fn own_fields() -> Fields {
    let text = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let field = |name, data_type, nullable, doc: &str| {
        Field::new(name, data_type, nullable).with_metadata([("doc".to_owned(), doc.to_owned())])
    };
    Fields::from(vec![
        field("topic", text(), false, "topic of the message"),
        field("partition", DataType::Int32, false, "partition of the topic"),
        field("offset", DataType::Int64, false, "offset of the message in the partition"),
        field("record", DataType::Int32, false, "index of the alert in the message"),
        field("received", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true, "time of the message"),
        field(
            HEALPIX,
            DataType::Int64,
            true,
            "HEALPix cell of the position, order 29, nested; rows of a row group are sorted by it",
        ),
        field("passed", DataType::Boolean, false, "whether every step passed it"),
        field("skipped_by", text(), true, "the step that skipped it"),
        field("flags", DataType::Utf8, true, "what is odd about it, comma-separated"),
    ])
}

/// Dictionaries and zstd for text, zstd for numbers where it is found to pay, none for bytes (cut-outs are compressed already or cost
/// more than they gain) and for what steps add as text. Statistics of pages
/// for what the candidate view is made of and for our own fields, of chunks for other columns without repetition, none inside lists,
/// where no reader uses them. A Bloom filter for the id of the object.
fn properties(
    file: &Schema,
    parquet: &SchemaDescriptor,
    alerts: &AlertSchema,
    context: &ArchiveContext,
    cutouts: CutoutCodec,
) -> Result<WriterProperties, Fault> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(page::LEVEL).map_err(defect)?);
    let of_bytes = match cutouts {
        CutoutCodec::None => Compression::UNCOMPRESSED,
        CutoutCodec::Lz4 => Compression::LZ4_RAW,
        CutoutCodec::Zstd => zstd,
    };
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("skysluice version {}", env!("CARGO_PKG_VERSION")))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_compression(zstd)
        .set_key_value_metadata(Some(metadata(file, alerts, context)));
    let survey = &context.survey;
    let is = |path: &ColumnPath, fields: &[&[FieldPath]]| fields.iter().copied().flatten().any(|f| f.0 == path.parts());
    let sought = [&*survey.alert_id, &*survey.object_id, &*survey.ra, &*survey.dec, &*survey.time, &*survey.magnitude];
    let added = |path: &ColumnPath| path.parts()[0] != OWN && alerts.arrow.column_with_name(&path.parts()[0]).is_none();
    for column in parquet.columns() {
        let path = column.path().clone();
        let (content, sought) = (Content::of(column), column.path().parts()[0] == OWN || is(column.path(), &sought));
        if column.max_rep_level() > 0 || matches!(content, Content::Bytes) {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        } else if sought {
            properties = properties
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
                .set_column_data_page_row_count_limit(path.clone(), PAGE_ROWS);
        }
        if is(&path, &[&survey.object_id]) {
            properties = properties
                .set_column_bloom_filter_fpp(path.clone(), 0.001)
                .set_column_bloom_filter_max_ndv(path.clone(), OBJECTS);
        }
        // What steps have added as text is the same few over and over, for which a dictionary is all that is needed: setting up a codec for
        // each column would cost more than everything else about it. Numbers are laid out with a codec of their own choice, but for
        // those with statistics of pages; without dictionaries: runs compress as well in less time.
        let history = || file.field_with_name(&path.parts()[0]).is_ok_and(History::suits);
        if added(&path) || (points::suit(column) && history()) || (flat::suits(column) && !sought) {
            properties = properties.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
        }
        match content {
            Content::Bytes => properties = properties.set_column_compression(path, of_bytes),
            Content::Repeating => properties = properties.set_column_dictionary_enabled(path, true),
            Content::Other => {}
        }
    }
    Ok(properties.build())
}

/// The HEALPix cell of each place, nested scheme (Gorski et al. 2005, ApJ 622, 759); null where there is no place.
fn healpix(part: &AlertBatch) -> Result<Int64Array, ArrowError> {
    let degrees = |column: &ArrayRef| match column.as_primitive_opt::<Float64Type>() {
        Some(column) => Ok(column.clone()),
        None => Err(ArrowError::CastError("a position that is no Float64".to_owned())),
    };
    let layer = cdshealpix::nested::get(ORDER);
    let cell = |(ra, dec): (Option<f64>, Option<f64>)| Some(layer.hash(ra?.to_radians(), dec?.to_radians()) as i64);
    Ok(degrees(&part.candidate.ra)?.iter().zip(&degrees(&part.candidate.dec)?).map(cell).collect())
}

fn defect(error: ParquetError) -> Fault {
    Fault::defect(error.to_string())
}

/// What a column holds, as far as encoding cares.
enum Content {
    /// Cut-outs and other bytes.
    Bytes,
    /// Text and small integers, which repeat.
    Repeating,
    /// Anything else.
    Other,
}

impl Content {
    fn of(column: &ColumnDescriptor) -> Content {
        match (column.physical_type(), column.logical_type_ref()) {
            (Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY, None) => Content::Bytes,
            (Type::BYTE_ARRAY, Some(LogicalType::String)) | (Type::INT32, _) => Content::Repeating,
            _ => Content::Other,
        }
    }
}

fn metadata(file: &Schema, alerts: &AlertSchema, context: &ArchiveContext) -> Vec<KeyValue> {
    let pair = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    vec![
        pair(ARROW_SCHEMA_META_KEY, &encode_arrow_schema(&meaning::described(&plain(file), &context.survey.fields))),
        pair(key::VERSION, env!("CARGO_PKG_VERSION")),
        pair(key::COMPONENT, &context.component),
        pair(key::CONFIGURATION, &context.configuration),
        pair(key::SURVEY, &context.survey.name),
        pair(key::SCHEMA, &alerts.json),
        pair(key::FINGERPRINT, &format!("{:016x}", alerts.fingerprint)),
    ]
}

/// The schema that readers are told: views and dictionaries are how we hold text, not what it is, and not every reader
/// knows them.
fn plain(schema: &Schema) -> Schema {
    Schema::new_with_metadata(plain_fields(schema.fields()), schema.metadata().clone())
}

fn plain_fields(fields: &Fields) -> Fields {
    fields.iter().map(plain_field).collect()
}

fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(plain_type(field.data_type())))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)),
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(plain_field(item), *length),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}
