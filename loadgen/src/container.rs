//! Looking into an Avro object container, as far as sending it in another framing or under another id needs. Not a decoder: what it
//! doesn't understand it refuses.

use std::ops::Range;

/// Where things are in a container that holds one record, uncompressed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Container {
    /// The datum.
    pub(crate) datum: Range<usize>,
    /// The schema, JSON text.
    pub(crate) schema: Range<usize>,
}

/// Reads forward; `None` where the bytes end or make no sense.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn long(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.long()?).ok()?;
        self.take(length)
    }
}

/// Looks into a container; `None` where it is none, or compressed, or has more or less than one record.
pub(crate) fn open(bytes: &[u8]) -> Option<Container> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(4)? != b"Obj\x01" {
        return None;
    }
    let mut schema = 0..0;
    loop {
        let count = cursor.long()?;
        if count == 0 {
            break;
        }
        if count < 0 {
            cursor.long()?;
        }
        for _ in 0..count.unsigned_abs() {
            let (key, value) = (cursor.bytes()?, cursor.bytes()?);
            match key {
                b"avro.codec" if value != b"null" => return None,
                b"avro.schema" => schema = cursor.at - value.len()..cursor.at,
                _ => {}
            }
        }
    }
    let sync = cursor.take(16)?;
    if cursor.long()? != 1 {
        return None;
    }
    let datum = cursor.bytes()?.len();
    let end = cursor.at;
    (cursor.take(16)? == sync && cursor.at == bytes.len()).then_some(Container { datum: end - datum..end, schema })
}

/// Where a ZTF packet says its candidate id: every place of it, so that it can be given another one of the same length.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CandidatePlaces {
    id: i64,
    /// Beginnings of its binary encoding.
    binary: Vec<usize>,
    /// Beginnings of its digits, in file names.
    text: Vec<usize>,
}

/// What the running number takes of an id.
const SERIAL: i64 = 1_000_000_000;

impl CandidatePlaces {
    /// Finds the places in a packet; `None` where the datum doesn't begin as ZTF's does: three texts and an id of 18 digits or more.
    pub(crate) fn find(packet: &[u8], datum: &Range<usize>) -> Option<Self> {
        let mut cursor = Cursor { bytes: &packet[..datum.end], at: datum.start };
        for _ in 0..3 {
            std::str::from_utf8(cursor.bytes()?).ok()?;
        }
        let id = cursor.long()?;
        let lengths = [id, id - id % SERIAL, id - id % SERIAL + SERIAL - 1].map(|id| (encode(id).len(), id.to_string().len()));
        if id < 100_000_000_000_000_000 || lengths.iter().any(|length| *length != lengths[0]) {
            return None;
        }
        let find = |needle: &[u8]| {
            let found = packet[datum.clone()].windows(needle.len()).enumerate();
            found.filter(|(_, window)| *window == needle).map(|(at, _)| at + datum.start).collect()
        };
        Some(Self { id, binary: find(&encode(id)), text: find(id.to_string().as_bytes()) })
    }

    /// Gives `packet`, of which `skipped` bytes at the beginning were left out, the id that belongs to a running number: unique among
    /// a thousand million.
    pub(crate) fn rename(&self, index: u64, skipped: usize, packet: &mut [u8]) {
        let id = self.id - self.id % SERIAL + (index % SERIAL as u64) as i64;
        for (places, name) in [(&self.binary, encode(id)), (&self.text, id.to_string().into_bytes())] {
            for place in places {
                packet[place - skipped..][..name.len()].copy_from_slice(&name);
            }
        }
    }
}

/// Avro's encoding of a long.
fn encode(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::with_capacity(10);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use skysluice_simulator::{Simulator, SimulatorConfig};

    use super::*;

    #[test]
    fn the_datum_of_a_packet_is_found() {
        let simulator = Simulator::new(SimulatorConfig::default()).unwrap();
        for index in 0..20 {
            let (mut packet, mut datum) = (Vec::new(), Vec::new());
            simulator.packet(index, &mut packet);
            simulator.packet_datum(index, &mut datum);
            let container = open(&packet).unwrap();
            assert_eq!(packet[container.datum], datum);
            assert_eq!(&packet[container.schema], simulator.schema().as_bytes());
            assert_eq!(open(&packet[..packet.len() - 1]), None);
            assert_eq!(open(&datum), None);
        }
        assert_eq!(open(b""), None);
    }

    #[test]
    fn a_packet_gets_another_id_everywhere() {
        let simulator = Simulator::new(SimulatorConfig::default()).unwrap();
        let mut packet = Vec::new();
        let info = simulator.packet(3, &mut packet);
        let datum = open(&packet).unwrap().datum;
        let places = CandidatePlaces::find(&packet, &datum).unwrap();
        // The alert and its candidate; the names of three cut-outs.
        assert_eq!((places.id, places.binary.len(), places.text.len()), (info.id, 2, 3));
        let mut renamed = packet.clone();
        places.rename(77, 0, &mut renamed);
        let again = CandidatePlaces::find(&renamed, &datum).unwrap();
        assert_eq!(again.id, info.id - info.id % SERIAL + 77);
        assert_eq!((again.binary, again.text), (places.binary.clone(), places.text.clone()));
        let mut bare = packet[datum.clone()].to_vec();
        places.rename(77, datum.start, &mut bare);
        assert_eq!(bare, renamed[datum]);
    }

    #[test]
    fn real_packets_are_understood() {
        let data = std::env::var("SKYSLUICE_DATA").unwrap_or(format!("{}/../../shared/data", env!("CARGO_MANIFEST_DIR")));
        let Ok(folder) = std::fs::read_dir(format!("{data}/alerts/ztf")) else {
            eprintln!("skipped: no real packets in {data}");
            return;
        };
        for entry in folder {
            let packet = std::fs::read(entry.unwrap().path()).unwrap();
            let container = open(&packet).unwrap();
            let places = CandidatePlaces::find(&packet, &container.datum).unwrap();
            assert!(places.binary.len() >= 2 && places.text.len() >= 3, "{places:?}");
        }
    }
}
