//! Writing Avro's binary encoding (Avro 1.12 specification, "Binary Encoding") by appending to a buffer. The caller keeps to the
//! order and the types of its schema; nothing here knows them. A union has two branches, a null and a value, in the same order
//! everywhere in a schema.

/// Which branch of a union holds the null and which the value, as their indices are written (zigzag).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unions {
    null: u8,
    value: u8,
}

impl Unions {
    /// `["null", T]`.
    pub(crate) const NULL_FIRST: Self = Self { null: 0, value: 2 };
    /// `[T, "null"]`.
    pub(crate) const VALUE_FIRST: Self = Self { null: 2, value: 0 };
}

/// Appends Avro values to a buffer.
pub(crate) struct Encoder<'a> {
    /// The buffer.
    pub(crate) out: &'a mut Vec<u8>,
    /// How unions are written.
    pub(crate) unions: Unions,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, unions: Unions) -> Self {
        Self { out, unions }
    }

    /// `int` or `long`.
    pub(crate) fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        if rest < 0x80 {
            self.out.push(rest as u8);
            return;
        }
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
        self.out.resize(self.out.len() + count, self.unions.null);
    }

    /// The value branch of a union: its value has to follow.
    pub(crate) fn value(&mut self) {
        self.out.push(self.unions.value);
    }

    /// An `int` or `long` in a union.
    pub(crate) fn some_long(&mut self, value: i64) {
        self.value();
        self.long(value);
    }

    /// A `float` in a union.
    pub(crate) fn some_float(&mut self, value: f32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.out.extend_from_slice(&[self.unions.value, a, b, c, d]);
    }

    /// A `double` in a union.
    pub(crate) fn some_double(&mut self, value: f64) {
        self.value();
        self.double(value);
    }

    /// A `string` in a union.
    pub(crate) fn some_text(&mut self, value: &[u8]) {
        self.value();
        self.bytes(value);
    }

    /// Several `float`s, each in a union.
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
            Encoder::new(&mut out, Unions::NULL_FIRST).long(value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn unions_have_either_order() {
        for (unions, expected) in [(Unions::NULL_FIRST, [2, 6, 0, 0]), (Unions::VALUE_FIRST, [0, 6, 2, 2])] {
            let mut out = Vec::new();
            let mut encoder = Encoder::new(&mut out, unions);
            encoder.some_long(3);
            encoder.nulls(2);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn digits_fill_their_place() {
        let mut text = *b"ztf_xxxxxx.fits";
        digits(&mut text[4..10], 505);
        assert_eq!(&text, b"ztf_000505.fits");
    }
}
