//! Records of an LSST schema by the names of their fields: each gets a plausible value of its type, whatever version the schema has.
//! A record is written once, with random values, as a template; what differs from alert to alert is then put in its place.

use serde_json::Value;

use crate::encode::{Encoder, Unions};
use crate::random::Random;

/// Random bits that change in every float: 15 of the 23 of its fraction, so that it keeps its size.
const CHANGED: u64 = 0x7fff;

/// Types of fields that have no fields of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scalar {
    Integer,
    Float,
    Double,
    Flag,
    Text,
}

/// A field of a record.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    scalar: Scalar,
    nullable: bool,
}

/// What is put into a template for each alert.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Values {
    /// Id of the source: nine bytes as a varint, as all ids.
    pub(crate) id: i64,
    /// Number of the visit: six bytes.
    pub(crate) visit: i64,
    /// Id of the object.
    pub(crate) object: i64,
    /// Id of the solar-system object.
    pub(crate) solar: i64,
    /// Middle of the exposure, MJD, TAI.
    pub(crate) time: f64,
    /// Middle of the first exposure with this object.
    pub(crate) first: f64,
    /// Position, degrees.
    pub(crate) ra: f64,
    /// Position, degrees.
    pub(crate) dec: f64,
    /// Sources of the object, below 64.
    pub(crate) count: u8,
}

/// Which of the values.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Id,
    Visit,
    Object,
    Solar,
    Time,
    First,
    Processed,
    Ra,
    Dec,
    Count,
}

/// What a field is filled with.
enum Filling {
    Null,
    Slot(Slot),
    Integer(i64),
    Float(f32),
    Double(f64),
    Flag(bool),
    Text(String),
}

/// What a record is about, as far as its values show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// Belongs to a solar-system object.
    pub(crate) solar: bool,
    /// Brighter than the template.
    pub(crate) positive: bool,
}

/// A record in Avro's encoding, and where in it something differs from alert to alert.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    floats: Vec<u16>,
    slots: Vec<(Slot, u16)>,
}

/// Days between an exposure and the end of its processing.
const PROCESSING: f64 = 60.0 / 86_400.0;

impl Template {
    /// Writes a record of `schema`, a record or what holds one: a union, an array.
    pub(crate) fn new(schema: &Value, subject: Subject, random: &mut Random) -> Self {
        let mut template = Self { bytes: Vec::new(), floats: Vec::new(), slots: Vec::new() };
        for field in fields(schema) {
            template.write(&field, subject, random);
        }
        template
    }

    fn write(&mut self, field: &Field, subject: Subject, random: &mut Random) {
        let filling = fill(&field.name, field.scalar, subject, random);
        let mut encoder = Encoder::new(&mut self.bytes, Unions::NULL_FIRST);
        if field.nullable {
            if matches!(filling, Filling::Null) {
                encoder.nulls(1);
                return;
            }
            encoder.value();
        }
        let at = encoder.out.len() as u16;
        match filling {
            // Zero, or an empty text, where there can be no null.
            Filling::Null => match field.scalar {
                Scalar::Integer | Scalar::Flag | Scalar::Text => encoder.long(0),
                Scalar::Float => encoder.float(0.0),
                Scalar::Double => encoder.double(0.0),
            },
            Filling::Slot(slot) => {
                let length = match slot {
                    Slot::Id | Slot::Object | Slot::Solar => 9,
                    Slot::Visit => 6,
                    Slot::Count => 1,
                    _ => 8,
                };
                encoder.nulls(length);
                self.slots.push((slot, at));
            }
            Filling::Integer(value) => encoder.long(value),
            Filling::Float(value) => {
                encoder.float(value);
                self.floats.push(at);
            }
            Filling::Double(value) => encoder.double(value),
            Filling::Flag(value) => encoder.out.push(u8::from(value)),
            Filling::Text(value) => encoder.bytes(value.as_bytes()),
        }
    }

    /// Bytes of the record.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the record with these values; its floats change a little too.
    pub(crate) fn append(&self, values: &Values, random: &mut Random, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let record = &mut out[start..];
        for four in self.floats.chunks(4) {
            let mut bits = random.bits();
            for at in four {
                let [low, high, ..] = (bits & CHANGED).to_le_bytes();
                let at = usize::from(*at);
                record[at] ^= low;
                record[at + 1] ^= high;
                bits >>= 16;
            }
        }
        for (slot, at) in &self.slots {
            let place = &mut record[usize::from(*at)..];
            match slot {
                Slot::Id => place[..9].copy_from_slice(&varint::<9>(values.id)),
                Slot::Object => place[..9].copy_from_slice(&varint::<9>(values.object)),
                Slot::Solar => place[..9].copy_from_slice(&varint::<9>(values.solar)),
                Slot::Visit => place[..6].copy_from_slice(&varint::<6>(values.visit)),
                Slot::Count => place[0] = values.count * 2,
                Slot::Time => place[..8].copy_from_slice(&values.time.to_le_bytes()),
                Slot::First => place[..8].copy_from_slice(&values.first.to_le_bytes()),
                Slot::Processed => place[..8].copy_from_slice(&(values.time + PROCESSING).to_le_bytes()),
                Slot::Ra => place[..8].copy_from_slice(&values.ra.to_le_bytes()),
                Slot::Dec => place[..8].copy_from_slice(&values.dec.to_le_bytes()),
            }
        }
    }
}

/// A number as Avro's varint of `N` bytes: it is neither shorter nor longer.
fn varint<const N: usize>(value: i64) -> [u8; N] {
    let bits = (value as u64) << 1;
    debug_assert!(value > 0 && bits >> (7 * (N - 1)) != 0 && bits >> (7 * N) == 0, "{value} has no varint of {N} bytes");
    std::array::from_fn(|byte| {
        let seven = (bits >> (7 * byte)) as u8 & 0x7f;
        if byte + 1 < N { seven | 0x80 } else { seven }
    })
}

/// The fields of the record in a type: the record itself, or the one in a union or an array.
fn fields(schema: &Value) -> Vec<Field> {
    match schema {
        Value::Array(branches) => branches.iter().map(fields).find(|fields| !fields.is_empty()).unwrap_or_default(),
        Value::Object(object) if object.contains_key("items") => fields(&object["items"]),
        Value::Object(object) => object.get("fields").and_then(Value::as_array).into_iter().flatten().map(field).collect(),
        _ => Vec::new(),
    }
}

fn field(schema: &Value) -> Field {
    let (name, of) = (schema["name"].as_str().unwrap_or_default().to_owned(), &schema["type"]);
    let branches = of.as_array().map_or(std::slice::from_ref(of), Vec::as_slice);
    let scalar = branches.iter().find_map(|branch| match branch["type"].as_str().or(branch.as_str())? {
        "int" | "long" => Some(Scalar::Integer),
        "float" => Some(Scalar::Float),
        "double" => Some(Scalar::Double),
        "boolean" => Some(Scalar::Flag),
        "string" => Some(Scalar::Text),
        _ => None,
    });
    let scalar = scalar.expect("records inside LSST's alert have numbers, flags and texts only");
    Field { name, scalar, nullable: of.is_array() }
}

/// A plausible value for a field of this name and type.
fn fill(name: &str, scalar: Scalar, subject: Subject, random: &mut Random) -> Filling {
    let slot = match name {
        "diaSourceId" | "diaForcedSourceId" => Some(Slot::Id),
        "visit" => Some(Slot::Visit),
        "diaObjectId" if !subject.solar => Some(Slot::Object),
        "ssObjectId" if subject.solar => Some(Slot::Solar),
        "midpointMjdTai" | "lastDiaSourceMjdTai" => Some(Slot::Time),
        "firstDiaSourceMjdTai" => Some(Slot::First),
        "timeProcessedMjdTai" | "validityStartMjdTai" => Some(Slot::Processed),
        "ra" | "trailRa" | "ephRa" => Some(Slot::Ra),
        "dec" | "trailDec" | "ephDec" => Some(Slot::Dec),
        "nDiaSources" => Some(Slot::Count),
        _ => None,
    };
    if let Some(slot) = slot {
        return Filling::Slot(slot);
    }
    let none = ["diaObjectId", "ssObjectId", "parentDiaSourceId", "timeWithdrawnMjdTai", "mpc_orb_jsonb"];
    // One in ten of the derived figures could not be derived.
    if none.contains(&name) || (scalar == Scalar::Float && name.contains('_') && random.chance(0.1)) {
        return Filling::Null;
    }
    match scalar {
        Scalar::Flag => Filling::Flag(if name == "isNegative" { !subject.positive } else { random.chance(0.02) }),
        Scalar::Integer => Filling::Integer(integer(name, random)),
        Scalar::Float => Filling::Float(float(name, subject, random)),
        Scalar::Double => Filling::Double(match name {
            "epoch" | "epoch_mjd" | "t_p" | "peri_time" => 60_000.0 + 1_000.0 * random.unit(),
            _ => 60.0 * random.unit(),
        }),
        Scalar::Text => Filling::Text(match name {
            "band" => char::from(b"ugrizy"[random.below(6) as usize]).to_string(),
            _ => format!("20{:02} QX{}", random.below(27), 100 + random.below(400)),
        }),
    }
}

fn integer(name: &str, random: &mut Random) -> i64 {
    match name {
        "detector" => random.below(189).into(),
        // Microseconds of 2026.
        "created_at" | "updated_at" | "fitting_datetime" => 1_790_000_000_000_000 + i64::from(random.below(1_000_000_000)),
        "bboxSize" => i64::from(20 + random.below(60)),
        name if name.ends_with("Ndata") => i64::from(300 + random.below(1_500)),
        _ => i64::from(1 + random.below(100)),
    }
}

fn float(name: &str, subject: Subject, random: &mut Random) -> f32 {
    let sign = if subject.positive { 1.0 } else { -1.0 };
    match name {
        // Degrees.
        "raErr" | "decErr" | "trailRaErr" | "trailDecErr" => random.between(5e-6, 4e-5),
        "ra_dec_Cov" => random.between(-1e-10, 1e-10),
        "x" | "y" => random.between(20.0, 4_050.0),
        "snr" => sign * random.between(5.0, 80.0),
        "reliability" | "extendedness" => random.between(0.0, 1.0),
        // Pixels squared, and pixels.
        "ixx" | "iyy" | "ixxPSF" | "iyyPSF" => random.between(2.0, 6.0),
        "ixy" | "ixyPSF" => random.between(-0.8, 0.8),
        // Nanojansky.
        name if name.contains("Flux") && name.contains("Err") => random.between(80.0, 400.0),
        "scienceFlux" | "templateFlux" => random.between(300.0, 60_000.0),
        name if name.contains("Flux") => sign * random.between(500.0, 40_000.0),
        name if name.contains("Angle") => random.between(0.0, 360.0),
        name if name.contains("Chi2") => random.between(200.0, 3_000.0),
        name if name.contains("LnL") => -random.between(100.0, 1_500.0),
        _ => random.between(0.1, 5.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_their_length() {
        for value in [36_028_797_018_963_968, 170_000_000_000_000_000, 180_123_456_789_012_345] {
            let mut expected = Vec::new();
            Encoder::new(&mut expected, Unions::NULL_FIRST).long(value);
            assert_eq!(varint::<9>(value).as_slice(), expected);
        }
        let mut expected = Vec::new();
        Encoder::new(&mut expected, Unions::NULL_FIRST).long(2_026_110_900_123);
        assert_eq!(varint::<6>(2_026_110_900_123).as_slice(), expected);
    }
}
