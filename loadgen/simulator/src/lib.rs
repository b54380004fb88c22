//! Makes ZTF-like alert packets: the library behind the built-in simulator and the load generator.
//!
//! A packet is what ZTF sends: an Avro object container without compression, with one record and the schema (4.01, names and types
//! only) inside; three gzip-compressed FITS cut-outs; a history of varying length. The schema is embedded with an indentation of one,
//! which makes it about as long as ZTF's with its documentation, and a packet about 77 kB on average. In one container of eight the metadata keys
//! come in the other order, as they do in real nights, and each has its own sync marker.
//!
//! What is distinct, so that measurements with these packets are honest: candidate ids, names of new objects, positions, all
//! photometry and histories are drawn for each alert; half of the bits of every cut-out too, so that neither dictionaries nor
//! compressors find one again within 16 million alerts (how: `stamp`). What is not: the schema (as in reality), texts that are the
//! same in ZTF's own packets, and the coarse pictures of the cut-outs.
//!
//! A packet is a function of configuration and number alone: it doesn't matter which were made before it, or where. The library reads
//! no clock and does no I/O.

mod candidate;
mod config;
mod encode;
mod history;
mod night;
mod random;
mod sky;
mod stamp;

pub use config::{SimulatorConfig, SimulatorError, Target};
pub use night::ObjectId;

use encode::Encoder;
use history::Lengths;
use night::Alert;
use random::Random;
use stamp::{KINDS, Kind, Stamps};

/// The schema, as it is embedded.
const SCHEMA: &str = include_str!("ztf.avsc").trim_ascii_end();
/// Bytes of an alert without cut-outs and schema that are reserved at once.
const ROOM: usize = 24 << 10;
/// Bytes of the length of a record in a container: enough for 1 MiB.
const LENGTH: usize = 3;

/// Makes alerts.
pub struct Simulator {
    config: SimulatorConfig,
    stamps: Stamps,
    /// Magic and metadata of a container, in the usual order of its keys and in the other one.
    heads: [Vec<u8>; 2],
}

/// What a packet says, for those who don't want to read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketInfo {
    /// Candidate id: unique, and growing with the number of the alert.
    pub candid: i64,
    /// Name of the object.
    pub object_id: ObjectId,
    /// When the packet would be sent, Unix time in milliseconds; never before that of an earlier number.
    pub timestamp_ms: i64,
    /// Right ascension, ICRS, degrees in [0, 360).
    pub ra: f64,
    /// Declination, ICRS, degrees.
    pub dec: f64,
}

impl Simulator {
    /// Prepares the pictures of the cut-outs, which takes some hundredths of a second and 4 MB.
    ///
    /// # Errors
    ///
    /// Where the configuration can't be made: a share that is none, a target that is nowhere.
    pub fn new(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        config.check()?;
        let schema: (&[u8], &[u8]) = (b"avro.schema", SCHEMA.as_bytes());
        let codec: (&[u8], &[u8]) = (b"avro.codec", b"null");
        let head = |entries: [(&[u8], &[u8]); 2]| {
            let mut out = b"Obj\x01".to_vec();
            let mut encoder = Encoder { out: &mut out };
            encoder.long(2);
            for (key, value) in entries {
                encoder.bytes(key);
                encoder.bytes(value);
            }
            encoder.long(0);
            out
        };
        Ok(Self { stamps: Stamps::new(config.seed), heads: [head([schema, codec]), head([codec, schema])], config })
    }

    /// The schema of all packets, as JSON text, to the byte as it is embedded.
    pub fn schema(&self) -> &str {
        SCHEMA
    }

    /// Appends the packet of the alert `index` to `out`: a whole Avro object container.
    pub fn packet(&self, index: u64, out: &mut Vec<u8>) -> PacketInfo {
        let alert = night::draw(&self.config, index);
        let mut random = alert.random.clone();
        let head = &self.heads[usize::from(random.below(8) == 0)];
        let mut sync = [0; 16];
        sync[..8].copy_from_slice(&random.bits().to_le_bytes());
        sync[8..].copy_from_slice(&random.bits().to_le_bytes());

        out.reserve(head.len() + self.room());
        out.extend_from_slice(head);
        out.extend_from_slice(&sync);
        // One record, and room for its length.
        out.push(2);
        let at = out.len();
        out.resize(at + LENGTH, 0);
        let info = self.write(&alert, random, out);
        // Zigzag; the continuation bits are set whether needed or not, so that the length always has its room.
        let length = (out.len() - at - LENGTH) * 2;
        out[at..at + LENGTH].copy_from_slice(&[length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8 & 0x7f]);
        out.extend_from_slice(&sync);
        info
    }

    /// Appends the datum of the alert `index` alone, for other framings. It is the datum of [`Simulator::packet`].
    pub fn packet_datum(&self, index: u64, out: &mut Vec<u8>) -> PacketInfo {
        let alert = night::draw(&self.config, index);
        let mut random = alert.random.clone();
        // The container's three draws, so that the datum is the same.
        for _ in 0..3 {
            random.bits();
        }
        out.reserve(self.room());
        self.write(&alert, random, out)
    }

    /// Bytes that a datum takes at most as a rule.
    fn room(&self) -> usize {
        KINDS.iter().map(|kind| self.stamps.len(*kind)).sum::<usize>() + ROOM
    }

    /// Writes the datum.
    fn write(&self, alert: &Alert, mut random: Random, out: &mut Vec<u8>) -> PacketInfo {
        let lengths = Lengths::draw(self.config.mean_history, self.config.mean_forced, &mut random);
        let mut encoder = Encoder { out };
        encoder.bytes(b"4.01");
        encoder.bytes(b"ZTF (www.ztf.caltech.edu)");
        encoder.bytes(alert.object.as_bytes());
        encoder.long(alert.candid);
        let nearest = candidate::write(alert, lengths.previous.unwrap_or(0), &mut random, &mut encoder);
        history::previous(alert, lengths.previous, &nearest, &mut random, &mut encoder);
        history::forced(alert, lengths.forced, &nearest, &mut random, &mut encoder);
        for kind in KINDS {
            self.cutout(kind, alert, random.bits(), &mut encoder);
        }
        PacketInfo {
            candid: alert.candid,
            object_id: alert.object,
            timestamp_ms: alert.timestamp,
            ra: alert.place.ra,
            dec: alert.place.dec,
        }
    }

    /// Writes one of the three cut-outs: file name and stamp.
    fn cutout(&self, kind: Kind, alert: &Alert, picture: u64, encoder: &mut Encoder<'_>) {
        // Nineteen digits and thirteen, as real ids have; `start` keeps it so.
        let mut name = *b"candid0000000000000000000_pid0000000000000_targ_refmsci.fits.gz";
        encode::digits(&mut name[6..25], alert.candid as u64);
        encode::digits(&mut name[29..42], alert.image.pid() as u64);
        let tail: &[u8] = match kind {
            Kind::Science => b"_targ_sci.fits.gz",
            Kind::Template => b"_ref.fits.gz",
            Kind::Difference => b"_targ_refmsci.fits.gz",
        };
        let stem = if kind == Kind::Template { 25 } else { 42 };
        name[stem..stem + tail.len()].copy_from_slice(tail);
        encoder.value();
        encoder.bytes(&name[..stem + tail.len()]);
        encoder.long(self.stamps.len(kind) as i64);
        self.stamps.append(kind, alert.positive, picture, alert.index, alert.unix, encoder.out);
    }
}
