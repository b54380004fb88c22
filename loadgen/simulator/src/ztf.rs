//! ZTF's packet: an Avro object container without compression, with one record and the schema inside.
//!
//! In one container of eight the metadata keys come in the other order, as they do in real nights, and each has its own sync marker.

use crate::candidate;
use crate::encode::{self, Encoder, Unions};
use crate::history::{self, Lengths};
use crate::night::Alert;
use crate::random::Random;
use crate::schema::PacketSchema;
use crate::stamp::{KINDS, Kind, Stamps};

/// Bytes of an alert without cut-outs and schema that are reserved at once.
const ROOM: usize = 24 << 10;
/// Bytes of the length of a record in a container: enough for 1 MiB.
const LENGTH: usize = 3;

/// Writes packets of ZTF.
pub(crate) struct Ztf {
    schema: PacketSchema,
    unions: Unions,
    stamps: Stamps,
    /// Magic and metadata of a container, in the usual order of its keys and in the other one.
    heads: [Vec<u8>; 2],
}

impl Ztf {
    /// Prepares the pictures of the cut-outs.
    pub(crate) fn new(schema: PacketSchema, text: &str, seed: u64) -> Self {
        let unions = if schema == PacketSchema::Ztf33 { Unions::VALUE_FIRST } else { Unions::NULL_FIRST };
        let text: (&[u8], &[u8]) = (b"avro.schema", text.as_bytes());
        let codec: (&[u8], &[u8]) = (b"avro.codec", b"null");
        let head = |entries: [(&[u8], &[u8]); 2]| {
            let mut out = b"Obj\x01".to_vec();
            let mut encoder = Encoder::new(&mut out, unions);
            encoder.long(2);
            for (key, value) in entries {
                encoder.bytes(key);
                encoder.bytes(value);
            }
            encoder.long(0);
            out
        };
        Self { schema, unions, stamps: Stamps::new(seed), heads: [head([text, codec]), head([codec, text])] }
    }

    /// Appends a whole container.
    pub(crate) fn container(&self, alert: &Alert, lengths: Lengths, mut random: Random, out: &mut Vec<u8>) {
        let (head, sync) = self.beginning(&mut random);
        out.reserve(head.len() + self.room());
        out.extend_from_slice(head);
        out.extend_from_slice(&sync);
        // One record, and room for its length.
        out.push(2);
        let at = out.len();
        out.resize(at + LENGTH, 0);
        self.write(alert, lengths, random, out);
        // Zigzag; the continuation bits are set whether needed or not, so that the length always has its room.
        let length = (out.len() - at - LENGTH) * 2;
        out[at..at + LENGTH].copy_from_slice(&[length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8 & 0x7f]);
        out.extend_from_slice(&sync);
    }

    /// Appends the datum of [`Ztf::container`] alone.
    pub(crate) fn datum(&self, alert: &Alert, lengths: Lengths, mut random: Random, out: &mut Vec<u8>) {
        // Drawn here too, so that the datum is the same.
        self.beginning(&mut random);
        out.reserve(self.room());
        self.write(alert, lengths, random, out);
    }

    /// What a container begins with, and its sync marker.
    fn beginning(&self, random: &mut Random) -> (&[u8], [u8; 16]) {
        let head = &self.heads[usize::from(random.below(8) == 0)];
        let mut sync = [0; 16];
        sync[..8].copy_from_slice(&random.bits().to_le_bytes());
        sync[8..].copy_from_slice(&random.bits().to_le_bytes());
        (head, sync)
    }

    /// Bytes that a datum takes at most as a rule.
    fn room(&self) -> usize {
        KINDS.iter().map(|kind| self.stamps.len(*kind)).sum::<usize>() + ROOM
    }

    /// Writes the datum.
    fn write(&self, alert: &Alert, lengths: Lengths, mut random: Random, out: &mut Vec<u8>) {
        let mut encoder = Encoder::new(out, self.unions);
        encoder.bytes(self.schema.version().as_bytes());
        encoder.bytes(b"ZTF (www.ztf.caltech.edu)");
        encoder.bytes(crate::ObjectId::name(alert.object).as_bytes());
        encoder.long(alert.candid);
        let nearest = candidate::write(alert, lengths.previous.unwrap_or(0), &mut random, &mut encoder);
        if self.schema == PacketSchema::Ztf402 {
            encoder.some_float(random.between(200.0, 900.0));
        }
        history::previous(alert, lengths.previous, &nearest, &mut random, &mut encoder);
        if self.schema != PacketSchema::Ztf33 {
            history::forced(alert, lengths.forced, &nearest, &mut random, &mut encoder);
        }
        for kind in KINDS {
            self.cutout(kind, alert, random.bits(), &mut encoder);
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
