//! What every decoder has to read alike.

use apache_avro::types::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

use crate::structs::{LsstAlert, ZtfAlert};

/// Some fields of a packet.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: i64,
    /// Degrees.
    pub ra: f64,
    /// Previous detections; those that the simulator counts.
    pub previous: Option<usize>,
    /// Bytes of the three cut-outs together, which is the last thing in a packet. The simulator does not say it.
    pub stamps: Option<usize>,
}

impl Seen {
    /// Whether both say the same of what both know.
    pub fn is_part_of(&self, other: &Seen) -> bool {
        let alike = |a: Option<usize>, b: Option<usize>| a.zip(b).is_none_or(|(a, b)| a == b);
        self.id == other.id && self.ra == other.ra && alike(self.previous, other.previous) && alike(self.stamps, other.stamps)
    }
}

const ZTF: [&str; 3] = ["candid", "candidate", "prv_candidates"];
const LSST: [&str; 3] = ["diaSourceId", "diaSource", "prvDiaSources"];
const STAMPS: [&str; 3] = ["cutoutScience", "cutoutTemplate", "cutoutDifference"];

/// Of columns, whoever made them.
pub fn of_columns(is_ztf: bool, records: &RecordBatch) -> Vec<Seen> {
    let [id, source, previous] = if is_ztf { ZTF } else { LSST };
    let ids = records.column_by_name(id).unwrap().as_primitive::<Int64Type>();
    let ra = records.column_by_name(source).unwrap().as_struct().column_by_name("ra").unwrap();
    let ra = ra.as_primitive::<Float64Type>();
    let previous = records.column_by_name(previous).map(|list| list.as_list::<i32>());
    let stamps: Vec<ArrayRef> = STAMPS.iter().filter_map(|name| records.column_by_name(name).cloned()).collect();
    (0..records.num_rows())
        .map(|row| Seen {
            id: ids.value(row),
            ra: ra.value(row),
            previous: previous.map(|list| if list.is_null(row) { 0 } else { list.value_length(row) as usize }),
            stamps: (stamps.len() == 3).then(|| stamps.iter().map(|stamp| stamp_bytes(stamp, row)).sum()),
        })
        .collect()
}

fn stamp_bytes(stamp: &ArrayRef, row: usize) -> usize {
    let bytes = match stamp.as_struct_opt() {
        Some(stamp) => stamp.column_by_name("stampData").unwrap(),
        None => stamp,
    };
    if stamp.is_null(row) {
        return 0;
    }
    match bytes.data_type() {
        DataType::BinaryView => bytes.as_binary_view().value(row).len(),
        _ => bytes.as_binary::<i32>().value(row).len(),
    }
}

/// Of apache-avro's values.
pub fn of_value(is_ztf: bool, value: &Value) -> Seen {
    let [id, source, previous] = if is_ztf { ZTF } else { LSST };
    let stamp = |name: &&str| match field(value, name) {
        Value::Record(_) => bytes(field(field(value, name), "stampData")),
        stamp => bytes(stamp),
    };
    Seen {
        id: if let Value::Long(id) = field(value, id) { *id } else { -1 },
        ra: if let Value::Double(ra) = field(field(value, source), "ra") { *ra } else { f64::NAN },
        previous: Some(if let Value::Array(items) = field(value, previous) { items.len() } else { 0 }),
        stamps: Some(STAMPS.iter().map(stamp).sum()),
    }
}

/// A field of a record, out of its union.
fn field<'a>(record: &'a Value, name: &str) -> &'a Value {
    let Value::Record(fields) = record else { return record };
    match fields.iter().find(|(field, _)| field == name) {
        Some((_, Value::Union(_, inside))) => inside,
        Some((_, value)) => value,
        None => &Value::Null,
    }
}

fn bytes(value: &Value) -> usize {
    if let Value::Bytes(bytes) = value { bytes.len() } else { 0 }
}

impl<T, B: AsRef<[u8]>> From<&ZtfAlert<T, B>> for Seen {
    fn from(alert: &ZtfAlert<T, B>) -> Seen {
        let stamps = [&alert.cutoutScience, &alert.cutoutTemplate, &alert.cutoutDifference];
        Seen {
            id: alert.candid,
            ra: alert.candidate.ra,
            previous: Some(alert.prv_candidates.as_ref().map_or(0, Vec::len)),
            stamps: Some(stamps.into_iter().flatten().map(|stamp| stamp.stampData.as_ref().len()).sum()),
        }
    }
}

impl<T, B: AsRef<[u8]>> From<&LsstAlert<T, B>> for Seen {
    fn from(alert: &LsstAlert<T, B>) -> Seen {
        let stamps = [&alert.cutoutScience, &alert.cutoutTemplate, &alert.cutoutDifference];
        Seen {
            id: alert.diaSourceId,
            ra: alert.diaSource.ra,
            previous: Some(alert.prvDiaSources.as_ref().map_or(0, Vec::len)),
            stamps: Some(stamps.into_iter().flatten().map(|stamp| stamp.as_ref().len()).sum()),
        }
    }
}
