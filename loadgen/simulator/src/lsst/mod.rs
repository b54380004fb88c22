//! LSST's packet: its fields are found in the schema by their names, so that one code writes all versions.
//!
//! Records are copies of prepared ones (`record`) with ids, times and positions of their own; the low bits of every float are drawn
//! for each. An alert belongs to an object, and has its history then, or to a solar-system object.

mod cutout;
mod record;

use serde_json::Value;

use crate::encode::{Encoder, Unions};
use crate::history::{self, Lengths};
use crate::night::{Alert, Image, Nature};
use crate::random::{Random, Stream};
use crate::sky::{self, Place};
use cutout::{Cutouts, Kind};
use record::{Subject, Template, Values};

/// Prepared records of each kind, and of each sign for sources.
const POOL: usize = 64;
/// First id of each kind; those of an alert begin at this times its number.
const SOURCES: i64 = 170_000_000_000_000_000;
const PREVIOUS: i64 = 160_000_000_000_000_000;
const FORCED: i64 = 150_000_000_000_000_000;
const OBJECTS: i64 = 180_000_000_000_000_000;
const SOLAR: i64 = 110_000_000_000_000_000;
/// Ids that an alert may use up.
const STRIDE: i64 = 10_000;
/// Julian date at which MJD begins.
const MJD: f64 = 2_400_000.5;
/// From the start of an exposure, UTC, to its middle, TAI, days.
const MIDDLE: f64 = (15.0 + 37.0) / 86_400.0;

/// A field of the alert.
enum Part {
    Id,
    Null,
    Source,
    Previous,
    Forced,
    Object,
    /// A record of solar-system objects only.
    Solar(Vec<Template>),
    Cutout(Kind),
}

/// Writes packets of LSST.
pub(crate) struct Lsst {
    id: u32,
    parts: Vec<Part>,
    /// Sources of objects, the positive ones first.
    sources: Vec<Template>,
    /// Sources of solar-system objects, the positive ones first.
    moving: Vec<Template>,
    forced: Vec<Template>,
    objects: Vec<Template>,
    cutouts: Cutouts,
}

/// The id of the source of the alert with this number.
pub(crate) fn source_id(index: u64) -> i64 {
    SOURCES + index as i64 * STRIDE
}

/// The id of its object, or of its solar-system object.
pub(crate) fn object_id(alert: &Alert) -> i64 {
    (if alert.nature == Nature::SolarSystem { SOLAR } else { OBJECTS }) + alert.object as i64
}

impl Lsst {
    /// Prepares records and cut-outs for the schema with this id and text.
    pub(crate) fn new(id: u32, schema: &str, seed: u64) -> Self {
        let schema: Value = serde_json::from_str(schema).expect("the schemas of conf are JSON");
        let mut random = Random::new(seed, Stream::Records, 0);
        let mut pool = |schema: &Value, solar: bool| -> Vec<Template> {
            (0..2 * POOL).map(|number| Template::new(schema, Subject { solar, positive: number < POOL }, &mut random)).collect()
        };
        let mut lsst = Self {
            id,
            parts: Vec::new(),
            sources: Vec::new(),
            moving: Vec::new(),
            forced: Vec::new(),
            objects: Vec::new(),
            cutouts: Cutouts::new(seed),
        };
        for field in schema["fields"].as_array().into_iter().flatten() {
            let of = &field["type"];
            let part = match field["name"].as_str().unwrap_or_default() {
                "diaSourceId" => Part::Id,
                "diaSource" => {
                    (lsst.sources, lsst.moving) = (pool(of, false), pool(of, true));
                    Part::Source
                }
                "prvDiaSources" => Part::Previous,
                "prvDiaForcedSources" => {
                    lsst.forced = pool(of, false);
                    Part::Forced
                }
                "diaObject" => {
                    lsst.objects = pool(of, false);
                    Part::Object
                }
                "ssSource" | "MPCORB" | "mpc_orbits" => Part::Solar(pool(of, true)),
                "cutoutDifference" => Part::Cutout(Kind::Difference),
                "cutoutScience" => Part::Cutout(Kind::Science),
                "cutoutTemplate" => Part::Cutout(Kind::Template),
                _ => Part::Null,
            };
            lsst.parts.push(part);
        }
        lsst
    }

    /// The id of the schema.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Appends the datum.
    pub(crate) fn datum(&self, alert: &Alert, lengths: Lengths, mut random: Random, out: &mut Vec<u8>) {
        out.reserve(self.room(lengths));
        let solar = alert.nature == Nature::SolarSystem;
        let object = object_id(alert);
        let now = Values {
            id: source_id(alert.index),
            object,
            solar: object,
            ra: alert.place.ra,
            dec: alert.place.dec,
            first: time(&alert.image) - 29.9,
            count: 1 + lengths.previous.unwrap_or(0).min(62) as u8,
            ..exposed(&alert.image)
        };
        let sign = usize::from(!alert.positive) * POOL;
        let encoder = &mut Encoder::new(out, Unions::NULL_FIRST);
        for part in &self.parts {
            match part {
                Part::Id => encoder.long(now.id),
                Part::Null => encoder.nulls(1),
                Part::Source => {
                    let pool = if solar { &self.moving } else { &self.sources };
                    pick(&pool[sign..sign + POOL], &mut random).append(&now, &mut random, encoder.out);
                }
                Part::Object if solar => encoder.nulls(1),
                Part::Previous => self.previous(alert, lengths.previous, &now, &mut random, encoder),
                Part::Forced => self.forced(alert, lengths.forced, &now, &mut random, encoder),
                Part::Object => {
                    encoder.value();
                    pick(&self.objects, &mut random).append(&now, &mut random, encoder.out);
                }
                Part::Solar(pool) if solar => {
                    encoder.value();
                    pick(pool, &mut random).append(&now, &mut random, encoder.out);
                }
                Part::Solar(_) => encoder.nulls(1),
                Part::Cutout(kind) => {
                    encoder.value();
                    encoder.long(kind.len() as i64);
                    self.cutouts.append(*kind, alert, &mut random, encoder.out);
                }
            }
        }
    }

    /// Bytes that a datum takes as a rule.
    fn room(&self, lengths: Lengths) -> usize {
        let record = |pool: &[Template]| pool[0].len() + 32;
        let history = lengths.previous.unwrap_or(0) * record(&self.sources) + lengths.forced.unwrap_or(0) * record(&self.forced);
        Kind::ALL.map(Kind::len).iter().sum::<usize>() + history + (4 << 10)
    }

    /// Writes `prvDiaSources`, the oldest first.
    fn previous(&self, alert: &Alert, length: Option<usize>, now: &Values, random: &mut Random, encoder: &mut Encoder<'_>) {
        let narrow = alert.place.dec.to_radians().cos();
        history::array(length, encoder, |number, encoder| {
            let image = history::earlier(alert, number, length.unwrap_or(1), random);
            let Place { ra, dec } = sky::scattered(alert.place, narrow, 0.1, random);
            let id = PREVIOUS + alert.index as i64 * STRIDE + number as i64;
            let values = Values { id, ra, dec, object: now.object, ..exposed(&image) };
            // One in ten has the other sign.
            let sign = usize::from(alert.positive == random.chance(0.1)) * POOL;
            pick(&self.sources[sign..sign + POOL], random).append(&values, random, encoder.out);
        });
    }

    /// Writes `prvDiaForcedSources`, the oldest first, all at the place of the object.
    fn forced(&self, alert: &Alert, length: Option<usize>, now: &Values, random: &mut Random, encoder: &mut Encoder<'_>) {
        history::array(length, encoder, |number, encoder| {
            let image = history::earlier(alert, number, length.unwrap_or(1), random);
            let id = FORCED + alert.index as i64 * STRIDE + number as i64;
            let Values { visit, time, .. } = exposed(&image);
            pick(&self.forced, random).append(&Values { id, visit, time, ..*now }, random, encoder.out);
        });
    }
}

/// Middle of the exposure, MJD, TAI.
fn time(image: &Image) -> f64 {
    image.jd - MJD + MIDDLE
}

/// What the exposure says: visit and time.
fn exposed(image: &Image) -> Values {
    let visit = (image.day() * 100_000 + image.fraction() / 10) as i64;
    Values { visit, time: time(image), ..Values::default() }
}

/// Any of them.
fn pick<'a>(pool: &'a [Template], random: &mut Random) -> &'a Template {
    &pool[random.below(pool.len() as u32) as usize]
}
