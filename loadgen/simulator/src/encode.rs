//! Writing Avro's binary encoding (Avro 1.12 specification, "Binary Encoding") by appending to a buffer. The caller keeps to the
//! order and the types of `ztf.avsc`; nothing here knows them. A union is `["null", T]` in all of that schema.

/// Appends Avro values to a buffer.
pub(crate) struct Encoder<'a> {
    /// The buffer.
    pub(crate) out: &'a mut Vec<u8>,
}

/// The union branch that holds the value, as it is written: index 1, zigzag.
const VALUE: u8 = 2;

impl Encoder<'_> {
    /// `int` or `long`.
    pub(crate) fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        let mut bytes = [0; 10];
        let mut length = 0;
        while rest >= 0x80 {
            bytes[length] = rest as u8 | 0x80;
            rest >>= 7;
            length += 1;
        }
        bytes[length] = rest as u8;
        self.out.extend_from_slice(&bytes[..=length]);
    }

    /// `double`.
    pub(crate) fn double(&mut self, value: f64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// `float`.
    pub(crate) fn float(&mut self, value: f32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// `string` or `bytes`.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.long(value.len() as i64);
        self.out.extend_from_slice(value);
    }

    /// This many nulls, each of its own union.
    pub(crate) fn nulls(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    /// The value branch of a union: its value has to follow.
    pub(crate) fn value(&mut self) {
        self.out.push(VALUE);
    }

    /// `["null", "int"]` or `["null", "long"]` with a value.
    pub(crate) fn some_long(&mut self, value: i64) {
        self.value();
        self.long(value);
    }

    /// `["null", "float"]` with a value.
    pub(crate) fn some_float(&mut self, value: f32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.out.extend_from_slice(&[VALUE, a, b, c, d]);
    }

    /// `["null", "double"]` with a value.
    pub(crate) fn some_double(&mut self, value: f64) {
        self.value();
        self.double(value);
    }

    /// `["null", "string"]` with a value.
    pub(crate) fn some_text(&mut self, value: &[u8]) {
        self.value();
        self.bytes(value);
    }

    /// Several `["null", "float"]` with values.
    pub(crate) fn some_floats<const N: usize>(&mut self, values: [f32; N]) {
        for value in values {
            self.some_float(value);
        }
    }
}

/// Overwrites `text` with `value` in decimal, leading zeros included; digits that have no room are lost.
pub(crate) fn digits(text: &mut [u8], value: u64) {
    let mut rest = value;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_those_of_the_specification() {
        let cases: [(i64, &[u8]); 6] = [
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            Encoder { out: &mut out }.long(value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn digits_fill_their_place() {
        let mut text = *b"ztf_xxxxxx.fits";
        digits(&mut text[4..10], 505);
        assert_eq!(&text, b"ztf_000505.fits");
    }
}
