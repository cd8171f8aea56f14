//! gzip with any number of members, read as numcodecs reads it through Python's `gzip` module, with the same error
//! classes.
//! <https://datatracker.ietf.org/doc/html/rfc1952>
use libdeflate_sys as sys;

use super::deflate::{crc32, decode_at_once, encode_at_once, inflate};
use crate::codec::output::fill_beside;
use crate::codec::{Cost, Step};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// The `gzip` codec.
#[derive(Debug, Clone, Copy)]
pub struct Gzip {
    level: i32,
}

impl Gzip {
    /// `level` from 0 to 9, or -1 for 6. Any other is refused only when encoding, as in numcodecs: decoding needs no
    /// level.
    pub fn new(level: i32) -> Self {
        Self { level }
    }
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(Kind::BadGzip, message)
}

/// Returns the first `N` bytes of `input` and moves `input` past them.
fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N]> {
    let ended =
        || Error::new(Kind::Eof, format!("the gzip stream ends early: {} bytes are left, expected {N}", input.len()));
    let (head, rest) = input.split_first_chunk::<N>().ok_or_else(ended)?;
    *input = rest;
    Ok(*head)
}

/// Moves `input` past a member's header, checking no more of it than Python does.
fn skip_header(input: &mut &[u8]) -> Result<()> {
    let magic = &input[..input.len().min(2)];
    if magic != [0x1F, 0x8B] {
        return Err(bad(format!("not a gzipped file ({magic:02x?})")));
    }
    let [_, _, method, flags, ..] = take::<10>(input)?;
    if method != 8 {
        return Err(bad(format!("unknown compression method {method}")));
    }
    let [crc, extra, name, comment] = [2, 4, 8, 16].map(|flag| flags & flag != 0);
    if extra {
        for _ in 0..u16::from_le_bytes(take(input)?) {
            take::<1>(input)?;
        }
    }
    // Name and comment end at a zero byte or at the end of the input, which is no error here.
    for _ in 0..u8::from(name) + u8::from(comment) {
        let end = input.iter().position(|byte| *byte == 0).map_or(input.len(), |zero| zero + 1);
        *input = &input[end..];
    }
    if crc {
        take::<2>(input)?;
    }
    Ok(())
}

/// `input` without the zero bytes that may follow a member.
fn skip_padding(input: &[u8]) -> &[u8] {
    let start = input.iter().position(|byte| *byte != 0).unwrap_or(input.len());
    &input[start..]
}

/// Decodes all members in turn; each error is raised where Python's module raises it.
fn decode_stream(mut input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
    let start = out.len();
    while !input.is_empty() {
        skip_header(&mut input)?;
        let member = out.len();
        let consumed = inflate(false, input, out, limit - (member - start))?;
        input = &input[consumed..];
        let trailer: [u8; 8] = take(&mut input)?;
        let [crc, length] = [0, 4].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|i| trailer[at + i])));
        let data = &out[member..];
        let computed = crc32(0, data);
        if crc != computed {
            return Err(bad(format!("CRC check failed {crc:#x} != {computed:#x}")));
        }
        if length != data.len() as u32 {
            return Err(bad(format!("incorrect length of data produced: {} bytes, stored {length}", data.len())));
        }
        input = skip_padding(input);
    }
    Ok(())
}

/// Decodes all members by libdeflate; whether they fill `out` exactly. If not, [`decode_stream`] finds out why.
fn decode_members(mut input: &[u8], mut out: OutBytes<'_>) -> Result<bool> {
    while !input.is_empty() {
        let decoded = decode_at_once(sys::libdeflate_gzip_decompress_ex, input, out.reborrow())?;
        let Some((consumed, written)) = decoded else { return Ok(false) };
        (_, out) = out.split_at(written);
        input = skip_padding(&input[consumed..]);
    }
    Ok(out.is_empty())
}

impl Step for Gzip {
    /// The header holds no time, so that equal data encodes to equal bytes; Python's module writes the current time.
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let level = match self.level {
            -1 => 6,
            level @ 0..=9 => level as usize,
            level => return Err(Error::value(format!("invalid gzip level {level}, expected 0 to 9"))),
        };
        encode_at_once(sys::libdeflate_gzip_compress, sys::libdeflate_gzip_compress_bound, level, input, out)
    }

    fn decode_into(&self, input: &[u8], mut out: OutBytes<'_>) -> Result<()> {
        if decode_members(input, out.reborrow())? {
            return Ok(());
        }
        fill_beside(out, |buffer, limit| decode_stream(input, buffer, limit))
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        decode_stream(input, out, limit)
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::deflate(self.level)
    }
}

#[cfg(test)]
mod tests;
