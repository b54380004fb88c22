//! Makes alert packets like ZTF's and LSST's: the library behind the built-in simulator and the load generator.
//!
//! A ZTF packet is what ZTF sends: an Avro object container without compression, with one record and the schema (names and types
//! only) inside; three gzip-compressed FITS cut-outs; a history of varying length. The schema is embedded with an indentation of one,
//! which makes it about as long as ZTF's with its documentation, and a packet about 77 kB on average. An LSST packet is what Rubin
//! sends: a frame with the schema's id, an Avro datum, and in it three raw FITS cut-outs; 139 kB, 150 kB with a history.
//!
//! What is distinct, so that measurements with these packets are honest: ids, names of new objects, positions, all photometry and
//! histories differ from alert to alert; the noise of every cut-out too, so that neither dictionaries nor compressors find one
//! again (how, and how far: `stamp` and `lsst::cutout`). What is not: the schema (as in reality), texts that are the same in the
//! surveys' own packets, and the coarse pictures of the cut-outs.
//!
//! A packet is a function of configuration and number alone: it doesn't matter which were made before it, or where. The library reads
//! no clock and does no I/O.

mod candidate;
mod config;
mod encode;
mod history;
mod lsst;
mod night;
mod random;
mod schema;
mod sky;
mod stamp;
mod ztf;

pub use config::{SimulatorConfig, SimulatorError, Target};
pub use night::ObjectId;
pub use schema::PacketSchema;

use history::Lengths;
use lsst::Lsst;
use night::{Alert, Nature};
use random::Random;
use ztf::Ztf;

/// Makes alerts.
pub struct Simulator {
    config: SimulatorConfig,
    schema: String,
    survey: Survey,
}

/// Writes the packets of a survey.
enum Survey {
    Ztf(Box<Ztf>),
    Lsst(Box<Lsst>),
}

/// What a packet says, for those who don't want to read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketInfo {
    /// `candid` or `diaSourceId`: unique, and growing with the number of the alert.
    pub id: i64,
    /// Name of the object, or its number.
    pub object_id: ObjectId,
    /// When the packet would be sent, Unix time in milliseconds; never before that of an earlier number.
    pub timestamp_ms: i64,
    /// Right ascension, ICRS, degrees in [0, 360).
    pub ra: f64,
    /// Declination, ICRS, degrees.
    pub dec: f64,
    /// Previous detections in its history.
    pub previous: usize,
    /// Forced photometry points in its history.
    pub forced: usize,
}

impl Simulator {
    /// Prepares the pictures of the cut-outs, which takes some hundredths of a second and 4 MB.
    ///
    /// # Errors
    ///
    /// Where the configuration can't be made: a share that is none, a target that is nowhere.
    pub fn new(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        config.check()?;
        let schema = config.schema.text().into_owned();
        let survey = match config.schema.id() {
            Some(id) => Survey::Lsst(Box::new(Lsst::new(id, &schema, config.seed))),
            None => Survey::Ztf(Box::new(Ztf::new(config.schema, &schema, config.seed))),
        };
        Ok(Self { config, schema, survey })
    }

    /// The schema of all packets, as JSON text, to the byte as it is embedded by ZTF.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Appends the packet of the alert `index` to `out` as its survey sends it: ZTF's is a whole Avro object container, LSST's
    /// 0x00, the schema's id (4 bytes, big-endian) and the datum.
    pub fn packet(&self, index: u64, out: &mut Vec<u8>) -> PacketInfo {
        let (alert, lengths, random) = self.draw(index);
        match &self.survey {
            Survey::Ztf(ztf) => ztf.container(&alert, lengths, random, out),
            Survey::Lsst(lsst) => {
                out.push(0);
                out.extend_from_slice(&lsst.id().to_be_bytes());
                lsst.datum(&alert, lengths, random, out);
            }
        }
        self.info(&alert, lengths)
    }

    /// Appends the datum of the alert `index` alone, for other framings. It is the datum of [`Simulator::packet`].
    pub fn packet_datum(&self, index: u64, out: &mut Vec<u8>) -> PacketInfo {
        let (alert, lengths, random) = self.draw(index);
        match &self.survey {
            Survey::Ztf(ztf) => ztf.datum(&alert, lengths, random, out),
            Survey::Lsst(lsst) => lsst.datum(&alert, lengths, random, out),
        }
        self.info(&alert, lengths)
    }

    /// What the packet of the alert `index` says, without making it.
    pub fn look(&self, index: u64) -> PacketInfo {
        let (alert, lengths, _) = self.draw(index);
        self.info(&alert, lengths)
    }

    /// Draws what a packet is made from.
    fn draw(&self, index: u64) -> (Alert, Lengths, Random) {
        let mut alert = night::draw(&self.config, index);
        if self.config.schema.is_lsst() && alert.nature != Nature::Known {
            // Rubin's sky is the southern one.
            alert.place.dec = -alert.place.dec;
        }
        let mut random = alert.random.clone();
        let mut lengths = Lengths::draw(self.config.mean_history, self.config.mean_forced, &mut random);
        if self.config.schema == PacketSchema::Ztf33 {
            lengths.forced = None;
        }
        if self.config.schema.is_lsst() && alert.nature == Nature::SolarSystem {
            // What moves was somewhere else before.
            lengths = Lengths { previous: None, forced: None };
        }
        (alert, lengths, random)
    }

    fn info(&self, alert: &Alert, lengths: Lengths) -> PacketInfo {
        let (id, object_id) = if self.config.schema.is_lsst() {
            (lsst::source_id(alert.index), ObjectId::number(lsst::object_id(alert).unsigned_abs()))
        } else {
            (alert.candid, ObjectId::name(alert.object))
        };
        PacketInfo {
            id,
            object_id,
            timestamp_ms: alert.timestamp,
            ra: alert.place.ra,
            dec: alert.place.dec,
            previous: lengths.previous.unwrap_or(0),
            forced: lengths.forced.unwrap_or(0),
        }
    }
}
