//! Avro object containers by hand (Avro specification 1.12, "Object Container Files"), so that tests can take them apart and
//! put them together wrongly on purpose.

use std::ops::Range;

/// A container that was taken apart.
#[derive(Clone, Debug)]
pub struct Container {
    /// `avro.schema`.
    pub schema: String,
    /// `avro.codec`.
    pub codec: String,
    /// Bytes of the header with its sync marker.
    pub header: usize,
    /// Records and bytes of each block, compressed as it is.
    pub blocks: Vec<(i64, Range<usize>)>,
}

impl Container {
    /// Takes a whole container apart.
    pub fn parse(bytes: &[u8]) -> Container {
        assert!(bytes.starts_with(b"Obj\x01"));
        let mut at = 4;
        let (mut schema, mut codec) = (String::new(), "null".to_owned());
        loop {
            let count = read_long(bytes, &mut at);
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let key = read_bytes(bytes, &mut at);
                let value = String::from_utf8_lossy(read_bytes(bytes, &mut at)).into_owned();
                match key {
                    b"avro.schema" => schema = value,
                    b"avro.codec" => codec = value,
                    _ => {}
                }
            }
        }
        at += 16;
        let header = at;
        let mut blocks = Vec::new();
        while at < bytes.len() {
            let count = read_long(bytes, &mut at);
            let size = usize::try_from(read_long(bytes, &mut at)).unwrap();
            blocks.push((count, at..at + size));
            at += size + 16;
        }
        Container { schema, codec, header, blocks }
    }

    /// Bytes of the one datum of an uncompressed container.
    pub fn datum(&self) -> Range<usize> {
        assert_eq!((self.codec.as_str(), self.blocks.len()), ("null", 1));
        assert_eq!(self.blocks[0].0, 1);
        self.blocks[0].1.clone()
    }
}

/// A container of one block that says whatever it is told to say.
pub fn build(schema: &str, codec: &str, count: i64, block: &[u8]) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    write_long(&mut out, 2);
    for (key, value) in [("avro.schema", schema), ("avro.codec", codec)] {
        write_bytes(&mut out, key.as_bytes());
        write_bytes(&mut out, value.as_bytes());
    }
    write_long(&mut out, 0);
    let sync = [0x5c; 16];
    out.extend(sync);
    write_long(&mut out, count);
    write_bytes(&mut out, block);
    out.extend(sync);
    out
}

/// A message in Confluent's frame.
pub fn confluent(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], datum].concat()
}

/// Appends a long: zigzag, seven bits a byte.
pub fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes or a text with their length.
pub fn write_bytes(out: &mut Vec<u8>, value: &[u8]) {
    write_long(out, i64::try_from(value.len()).unwrap());
    out.extend(value);
}

fn read_long(bytes: &[u8], at: &mut usize) -> i64 {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value >> 1).cast_signed() ^ -((value & 1).cast_signed());
        }
        shift += 7;
    }
}

fn read_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let length = usize::try_from(read_long(bytes, at)).unwrap();
    *at += length;
    &bytes[*at - length..*at]
}
