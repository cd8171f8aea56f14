//! zlib streams, as numcodecs reads them through Python's `zlib` module: one stream, and nothing after it is looked at.
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
    /// `level` from 0 to 9, or -1 for 6. Any other is refused when encoding, as numcodecs does: reading needs none.
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

    fn decode_into(&self, input: &[u8], mut place: OutBytes<'_>) -> Result<()> {
        match decode_at_once(sys::libdeflate_zlib_decompress_ex, input, place.reborrow())? {
            Some((_, written)) if written == place.len() => Ok(()),
            _ => fill_beside(place, |out, limit| self.decode_onto(input, out, limit)),
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        // Python's module has one class for all; a stream that ends early is no exception.
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
