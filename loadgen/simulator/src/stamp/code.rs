//! A deflate code (RFC 1951) for stamps in which every pixel takes exactly 27 bits, whatever its value:
//!
//! - A pixel is a big-endian float in [128, 256): its bytes are 0x43, the integer part less 128 (below 0x80), and two bytes of
//!   fraction, which are kept at 0x80 and above.
//! - The Huffman code gives 0x43 two bits, the other bytes below 0x80 and the end of the block nine, those from 0x80 eight.
//!   The code is complete, as inflaters demand: 1/4 + 128/512 + 128/256 = 1.
//! - The code of a byte 0x80 + v is 0x40 + v, so that flipping bits of v flips bits of the code: what is exclusive-or on pixels
//!   is exclusive-or on the compressed stream too (and on the CRC-32, which is linear).
//!
//! So a valid gzip member can be made by exclusive-or of prepared ones, without running a compressor.

/// First byte of every pixel: the sign and the exponent of a float in [128, 256).
pub(crate) const TOP: u8 = 0x43;
/// Bits of a pixel in the compressed stream.
pub(crate) const PIXEL_BITS: usize = 27;

/// Symbol that ends a block.
const END_OF_BLOCK: usize = 256;
/// Where a code of each length (2, 8, 9, unused) stands in the code of code lengths, which gives each two bits.
const LENGTH_SYMBOLS: [usize; 4] = [0, 2, 8, 9];
/// The order in which RFC 1951 (3.2.7) sends the lengths of that code.
const LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Appends bits, the least significant first.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    /// Begins after whole bytes.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// Bits written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() * 8 + self.count as usize
    }

    /// Appends the `width` (at most 32) low bits of `value`.
    pub(crate) fn put(&mut self, value: u32, width: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// The bytes, the last one filled with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

/// Length of the code of a symbol.
fn length(symbol: usize) -> u32 {
    match symbol {
        symbol if symbol == usize::from(TOP) => 2,
        0x80..=0xff => 8,
        _ => 9,
    }
}

/// The canonical code (RFC 1951, 3.2.2) of a symbol, in the order in which it is sent.
fn code(symbol: usize) -> u32 {
    let code = match symbol {
        symbol if symbol == usize::from(TOP) => 0,
        0x80..=0xff => 0x40 + (symbol as u32 - 0x80),
        END_OF_BLOCK => 0x1ff,
        _ => 0x180 + symbol as u32 - u32::from(symbol > usize::from(TOP)),
    };
    code.reverse_bits() >> (32 - length(symbol))
}

/// Opens a block that is not the last one and sends the code.
pub(crate) fn open_block(bits: &mut Bits) {
    bits.put(0, 1);
    bits.put(0b10, 2);
    bits.put((END_OF_BLOCK + 1 - 257) as u32, 5);
    bits.put(0, 5);
    // Up to and with length 2, which is the last but three of the order.
    bits.put(16 - 4, 4);
    for symbol in &LENGTH_ORDER[..16] {
        bits.put(if LENGTH_SYMBOLS.contains(symbol) { 2 } else { 0 }, 3);
    }
    let send = |bits: &mut Bits, length: u32| {
        let code = match length {
            2 => 0b01,
            8 => 0b10,
            9 => 0b11,
            _ => 0b00u32,
        };
        bits.put(code.reverse_bits() >> 30, 2);
    };
    for symbol in 0..=END_OF_BLOCK {
        send(bits, length(symbol));
    }
    // One distance code without bits: the block has literals only.
    send(bits, 0);
}

/// Closes the block and aligns the stream to a byte by an empty stored block.
pub(crate) fn close_block(bits: &mut Bits) {
    bits.put(code(END_OF_BLOCK), length(END_OF_BLOCK));
    bits.put(0, 3);
    bits.put(0, (8 - bits.count) % 8);
    bits.put(0xffff_0000, 32);
}

/// Appends a pixel.
pub(crate) fn put_pixel(bits: &mut Bits, pixel: [u8; 4]) {
    for byte in pixel {
        bits.put(code(byte.into()), length(byte.into()));
    }
}

/// Appends the pattern that, by exclusive-or, changes the low seven bits of the two fraction bytes of a pixel.
pub(crate) fn put_flip(bits: &mut Bits, flip: [u8; 2]) {
    bits.put(0, PIXEL_BITS as u32 - 16);
    for flip in flip {
        bits.put(code(usize::from(0x80 | flip)) ^ code(0x80), 8);
    }
}
