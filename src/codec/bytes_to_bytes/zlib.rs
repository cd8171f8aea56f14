//! zlib, read as numcodecs reads it through Python's `zlib` module: one stream, and anything after it is ignored.
//! <https://datatracker.ietf.org/doc/html/rfc1950>

use libdeflate_sys as sys;

use super::deflate::{decode_at_once, encode_at_once, inflate};
use crate::codec::output::fill_beside;
use crate::codec::{Cost, Step};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// The `numcodecs.zlib` codec.
#[derive(Debug, Clone, Copy)]
pub struct Zlib {
    level: i32,
}

impl Zlib {
    /// `level` from 0 to 9, or -1 for 6. Any other is refused only when encoding, as in numcodecs: decoding needs no
    /// level.
    pub fn new(level: i32) -> Self {
        Self { level }
    }
}

impl Step for Zlib {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let level = match self.level {
            -1 => 6,
            level @ 0..=9 => level as usize,
            level => return Err(Error::new(Kind::Zlib, format!("bad compression level {level}, expected -1 to 9"))),
        };
        encode_at_once(sys::libdeflate_zlib_compress, sys::libdeflate_zlib_compress_bound, level, input, out)
    }

    fn decode_into(&self, input: &[u8], mut out: OutBytes<'_>) -> Result<()> {
        match decode_at_once(sys::libdeflate_zlib_decompress_ex, input, out.reborrow())? {
            Some((_, written)) if written == out.len() => Ok(()),
            _ => fill_beside(out, |buffer, limit| self.decode_onto(input, buffer, limit)),
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        // Python's module raises one class for everything, including a stream that ends early.
        inflate(true, input, out, limit).map(drop).map_err(|error| match error.kind {
            Kind::Eof => Error::new(Kind::Zlib, format!("incomplete or truncated stream: {}", error.message)),
            _ => error,
        })
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::deflate(self.level)
    }
}

#[cfg(test)]
mod tests;
