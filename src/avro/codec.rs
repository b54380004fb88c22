//! Decompressing the blocks of a container, never to more than is granted, and compressing them.

use std::io::{self, Read, Write};

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::error::FrameError;

/// A block may grow to this many times its compressed size.
const RATIO: u64 = 100;
/// Or to this many bytes, whatever its compressed size: stamps that are all zero (the edge of a detector, a masked frame)
/// shrink a thousandfold, and the largest packets known, of 0.2 MB, come several to a block.
const FLOOR: u64 = 1 << 20;
/// Largest zstandard window, log2 of bytes: no larger than what an alert may take.
const WINDOW_LOG: u32 = 26;
/// Level of zstandard when compressing: alerts are half pictures that are compressed already, so that higher ones gain a
/// hundredth at twice the cost.
const ZSTD_LEVEL: i32 = 1;
/// The same for xz: its own default.
const XZ_LEVEL: u32 = 6;
/// What an xz decoder may take, bytes: the largest window of its presets, which is as large, and its own state.
const XZ_MEMORY: u64 = (1 << WINDOW_LOG) + (4 << 20);

/// How the blocks of a container are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all.
    Null,
    /// Raw deflate (RFC 1951).
    Deflate,
    /// Snappy, followed by the big-endian CRC-32 of what it decompresses to.
    Snappy,
    /// Zstandard.
    Zstandard,
    /// bzip2.
    Bzip2,
    /// The .xz format.
    Xz,
}

impl Codec {
    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Null => "null",
            Codec::Deflate => "deflate",
            Codec::Snappy => "snappy",
            Codec::Zstandard => "zstandard",
            Codec::Bzip2 => "bzip2",
            Codec::Xz => "xz",
        }
    }

    /// The codec that a header names.
    pub fn named(name: &[u8]) -> Result<Codec, FrameError> {
        match name {
            b"null" => Ok(Codec::Null),
            b"deflate" => Ok(Codec::Deflate),
            b"snappy" => Ok(Codec::Snappy),
            b"zstandard" => Ok(Codec::Zstandard),
            b"bzip2" => Ok(Codec::Bzip2),
            b"xz" => Ok(Codec::Xz),
            other => Err(FrameError::UnknownCodec(String::from_utf8_lossy(&other[..other.len().min(40)]).into_owned())),
        }
    }

    /// Appends what `block` compresses to.
    ///
    /// # Errors
    /// When the library has no memory left.
    pub fn compress(self, block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::Null => out.extend_from_slice(block),
            Codec::Deflate => {
                let mut encoder = flate2::write::DeflateEncoder::new(out, flate2::Compression::default());
                encoder.write_all(block)?;
                encoder.finish()?;
            }
            Codec::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(out, bzip2::Compression::default());
                encoder.write_all(block)?;
                encoder.finish()?;
            }
            Codec::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(out, XZ_LEVEL);
                encoder.write_all(block)?;
                encoder.finish()?;
            }
            Codec::Zstandard => out.extend_from_slice(&zstd::bulk::compress(block, ZSTD_LEVEL)?),
            Codec::Snappy => {
                out.extend_from_slice(&snap::raw::Encoder::new().compress_vec(block)?);
                out.extend_from_slice(&crc32fast::hash(block).to_be_bytes());
            }
        }
        Ok(())
    }

    /// Appends what `block` decompresses to, at most `granted` bytes.
    pub fn decompress(self, block: &[u8], granted: u64, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let limit = granted.min(FLOOR.max(RATIO * block.len() as u64));
        let bomb = || FrameError::Bomb { compressed: block.len(), limit };
        let broken = |what: String| FrameError::Decompress { codec: self.name(), what };
        let read = |reader: &mut dyn Read, out: &mut Vec<u8>| {
            let read = reader.take(limit + 1).read_to_end(out).map_err(|e| broken(e.to_string()))?;
            if read as u64 > limit { Err(bomb()) } else { Ok(()) }
        };
        let nothing_after = |rest: &[u8]| match rest.len() {
            0 => Ok(()),
            left => Err(broken(format!("{left} bytes are left over after the compressed ones"))),
        };
        match self {
            Codec::Null => {
                if block.len() as u64 > granted {
                    return Err(bomb());
                }
                out.extend_from_slice(block);
                Ok(())
            }
            // Some writers leave a part of zlib's checksum behind the block: what is left over is no error here. Not by flate2: what
            // points back to before the block it takes for zeros.
            Codec::Deflate => match decompress_to_vec_with_limit(block, usize::try_from(limit).unwrap_or(usize::MAX)) {
                Ok(plain) => {
                    out.extend_from_slice(&plain);
                    Ok(())
                }
                Err(error) if error.status == TINFLStatus::HasMoreOutput => Err(bomb()),
                Err(error) => Err(broken(error.to_string())),
            },
            Codec::Bzip2 => {
                let mut decoder = bzip2::bufread::BzDecoder::new(block);
                read(&mut decoder, out)?;
                nothing_after(decoder.get_ref())
            }
            Codec::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(|e| broken(e.to_string()))?;
                let mut decoder = liblzma::bufread::XzDecoder::new_stream(block, stream);
                read(&mut decoder, out)?;
                nothing_after(decoder.get_ref())
            }
            Codec::Zstandard => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(block).map_err(|e| broken(e.to_string()))?;
                decoder.window_log_max(WINDOW_LOG).map_err(|e| broken(e.to_string()))?;
                read(&mut decoder, out)
            }
            Codec::Snappy => {
                let (block, sum) = block.split_last_chunk::<4>().ok_or_else(|| broken("its checksum is missing".to_owned()))?;
                let length = snap::raw::decompress_len(block).map_err(|e| broken(e.to_string()))?;
                if length as u64 > limit {
                    return Err(bomb());
                }
                let start = out.len();
                out.resize(start + length, 0);
                snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(|e| broken(e.to_string()))?;
                if crc32fast::hash(&out[start..]) != u32::from_be_bytes(*sum) {
                    return Err(broken("its checksum is wrong".to_owned()));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_deflated_block_that_points_to_before_its_beginning_is_broken() {
        // Three bytes from one back, as the first of the block (fixed codes; RFC 1951, 3.2.6).
        let mut out = Vec::new();
        let error = Codec::Deflate.decompress(&[3, 2, 0], 1 << 20, &mut out).unwrap_err();
        assert!(matches!(error, FrameError::Decompress { codec: "deflate", .. }) && out.is_empty(), "{error}: {out:?}");
    }

    #[test]
    fn what_is_compressed_comes_back() {
        for codec in [Codec::Null, Codec::Deflate, Codec::Snappy, Codec::Zstandard, Codec::Bzip2] {
            for length in [0, 1, 100_000] {
                let block: Vec<u8> = (0..length).map(|i| (i / 7 % 251) as u8).collect();
                let mut compressed = b"before".to_vec();
                codec.compress(&block, &mut compressed).unwrap();
                let mut out = Vec::new();
                codec.decompress(&compressed[6..], 1 << 20, &mut out).unwrap();
                assert!(out == block && compressed.starts_with(b"before"), "{codec:?}, {length} bytes");
            }
        }
    }
}
