//! Reading the primitive encodings of Avro from bytes, never beyond their end.

use super::error::Flaw;

const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);

/// The lower seven bits of eight bytes, without the gaps between them.
#[inline(always)]
fn sevens(word: u64) -> u64 {
    let word = word & !HIGH_BITS;
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

#[inline(always)]
fn unzigzag(sum: u64) -> i64 {
    (sum >> 1) as i64 ^ -((sum & 1) as i64)
}

/// A place in a buffer. The slice begins where the buffer begins and ends where the datum has to end, so that `at` is also
/// the offset that a view needs.
pub(super) struct Cursor<'a> {
    pub data: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    /// What has not been read.
    #[inline(always)]
    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    /// A zigzag variable-length integer.
    #[inline(always)]
    pub fn long(&mut self) -> Result<i64, Flaw> {
        match self.data.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1))
            }
            Some(_) => self.long_of_many(),
            None => Err(Flaw::Truncated),
        }
    }

    fn long_of_many(&mut self) -> Result<i64, Flaw> {
        let rest = self.rest();
        // Where there are enough bytes, all of them at once: ids have eight and nine.
        if let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            let ends = !word & HIGH_BITS;
            if ends != 0 {
                let last = ends.trailing_zeros();
                self.at += last as usize / 8 + 1;
                return Ok(unzigzag(sevens(word & (u64::MAX >> (63 - last)))));
            }
            if let Some(&byte) = behind.first().filter(|byte| **byte < 0x80) {
                self.at += 9;
                return Ok(unzigzag(sevens(word) | u64::from(byte) << 56));
            }
        }
        let mut sum = 0u64;
        for (i, &byte) in rest.iter().take(10).enumerate() {
            sum |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    return Err(Flaw::Varint);
                }
                self.at += i + 1;
                return Ok(unzigzag(sum));
            }
        }
        Err(if rest.len() < 10 { Flaw::Truncated } else { Flaw::Varint })
    }

    #[inline(always)]
    pub fn int(&mut self) -> Result<i32, Flaw> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| Flaw::Int(value))
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let bytes = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(Flaw::Truncated)?;
        self.at += N;
        Ok(*bytes)
    }

    #[inline(always)]
    pub fn float(&mut self) -> Result<f32, Flaw> {
        self.array().map(f32::from_le_bytes)
    }

    #[inline(always)]
    pub fn double(&mut self) -> Result<f64, Flaw> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline(always)]
    pub fn boolean(&mut self) -> Result<bool, Flaw> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(Flaw::Boolean(other)),
        }
    }

    /// Whether the branch of a union of null and one type is the null one.
    #[inline(always)]
    pub fn is_null(&mut self, null_at: u8) -> Result<bool, Flaw> {
        match self.long()? {
            branch @ (0 | 1) => Ok(branch == i64::from(null_at)),
            branch => Err(Flaw::Branch(branch)),
        }
    }

    /// The next `length` bytes.
    #[inline(always)]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let bytes = self.data.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(Flaw::Truncated)?;
        self.at += length;
        Ok(bytes)
    }

    /// Bytes with their length before them.
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.long()?;
        usize::try_from(length).ok().and_then(|n| self.take(n).ok()).ok_or(Flaw::Length(length))
    }

    /// Bytes with their length before them, as an Arrow view into buffer `buffer`.
    #[inline(always)]
    pub fn view<const TEXT: bool>(&mut self, buffer: u32) -> Result<u128, Flaw> {
        let bytes = self.bytes()?;
        let length = bytes.len();
        let start = self.at - length;
        if length <= 12 {
            // One load and a mask where 16 bytes can be read, which is everywhere but at the very end of a buffer.
            let raw = match self.data[start..].first_chunk::<16>() {
                Some(chunk) => u128::from_le_bytes(*chunk) & ((1u128 << (8 * length)) - 1),
                None => {
                    let mut chunk = [0; 16];
                    chunk[..length].copy_from_slice(bytes);
                    u128::from_le_bytes(chunk)
                }
            };
            const HIGH_BITS: u128 = u128::from_le_bytes([0x80; 16]);
            if TEXT && raw & HIGH_BITS != 0 && std::str::from_utf8(bytes).is_err() {
                return Err(Flaw::Utf8);
            }
            return Ok(raw << 32 | length as u128);
        }
        if TEXT && !bytes.is_ascii() && std::str::from_utf8(bytes).is_err() {
            return Err(Flaw::Utf8);
        }
        let prefix = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Ok(length as u128 | u128::from(prefix) << 32 | u128::from(buffer) << 64 | (start as u128) << 96)
    }

    /// A big-endian two's complement integer, as decimals are written.
    pub fn decimal(bytes: &[u8]) -> Result<i128, Flaw> {
        let sign = if bytes.first().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let (high, low) = bytes.split_at(bytes.len().saturating_sub(16));
        if high.iter().any(|b| *b != sign) || (!high.is_empty() && low[0] & 0x80 != sign & 0x80) {
            return Err(Flaw::Decimal);
        }
        let mut all = [sign; 16];
        all[16 - low.len()..].copy_from_slice(low);
        Ok(i128::from_be_bytes(all))
    }

    /// The count of the next block of an array or a map (0 ends it), with the size of the block, bytes, where it is there:
    /// behind a negative count.
    #[inline]
    pub fn sized_block(&mut self) -> Result<(u64, Option<usize>), Flaw> {
        let count = self.long()?;
        if count >= 0 {
            return Ok((count as u64, None));
        }
        let size = self.long()?;
        if size < 0 || size as u64 > (self.data.len() - self.at) as u64 {
            return Err(Flaw::Length(size));
        }
        count.checked_neg().map(|n| (n as u64, Some(size as usize))).ok_or(Flaw::Count(count))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// As the specification has it, byte after byte.
    fn plainly(data: &[u8]) -> Result<(i64, usize), Flaw> {
        let mut sum = 0u128;
        for (i, byte) in data.iter().enumerate().take(10) {
            sum |= u128::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                let sum = u64::try_from(sum).map_err(|_| Flaw::Varint)?;
                return Ok(((sum / 2) as i64 ^ -((sum % 2) as i64), i + 1));
            }
        }
        Err(if data.len() < 10 { Flaw::Truncated } else { Flaw::Varint })
    }

    fn both(data: &[u8]) {
        let mut cursor = Cursor { data, at: 0 };
        let read = cursor.long();
        assert_eq!(read.map(|value| (value, cursor.at)), plainly(data), "{data:02x?}");
        assert!(read.is_ok() || cursor.at == 0);
    }

    proptest! {
        #[test]
        fn numbers_are_read_alike_however_long_and_wherever_the_bytes_end(
            low in prop::collection::vec(0x80u8.., 0..11), last in 0u8..0x80, behind in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let all = [&low[..], &[last], &behind].concat();
            (0..=all.len()).for_each(|end| both(&all[..end]));
        }
    }

    #[test]
    fn the_largest_and_the_smallest_number() {
        for (data, value) in [([0xff; 9], i64::MIN), ([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], i64::MAX)] {
            let data = [&data[..], &[1]].concat();
            both(&data);
            assert_eq!(Cursor { data: &data, at: 0 }.long(), Ok(value));
        }
    }
}
