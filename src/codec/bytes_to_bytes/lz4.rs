//! LZ4 blocks as numcodecs stores them: the decoded length in four little-endian bytes, then one block of the reference
//! library. <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

use lz4_sys as sys;

use crate::codec::output::{append, fill_beside, too_long};
use crate::codec::{Step, wrong_length};
use crate::error::{Error, Result};
use crate::memory::OutBytes;

const HEADER: usize = 4;
/// The longest buffer that numcodecs takes, encoded or decoded.
const MAX_BUFFER: usize = 0x7E00_0000;

// Not declared by the crate's bindings.
unsafe extern "C" {
    fn LZ4_decompress_safe_partial(
        source: *const c_char,
        dest: *mut c_char,
        length: c_int,
        target: c_int,
        capacity: c_int,
    ) -> c_int;
}

/// The `numcodecs.lz4` codec.
#[derive(Debug, Clone, Copy)]
pub struct Lz4 {
    acceleration: i32,
}

impl Lz4 {
    /// `acceleration` of 1, the default, or more; less counts as 1.
    pub fn new(acceleration: i32) -> Self {
        Self { acceleration: acceleration.max(1) }
    }
}

fn damaged(what: &str) -> Error {
    Error::runtime(format!("LZ4 decompression error: {what}"))
}

fn check_size(length: usize) -> Result<()> {
    if length > MAX_BUFFER {
        return Err(Error::value(format!("LZ4 takes buffers of at most {MAX_BUFFER} bytes, not {length}")));
    }
    Ok(())
}

/// The decoded length that `input` announces, and its block.
fn parts(input: &[u8]) -> Result<(usize, &[u8])> {
    check_size(input.len())?;
    let Some((head, block)) = input.split_first_chunk::<HEADER>() else {
        return Err(Error::value(format!("{} bytes cannot hold the {HEADER} bytes of an LZ4 header", input.len())));
    };
    let announced = i32::from_le_bytes(*head);
    match usize::try_from(announced) {
        Ok(length) if length > 0 => Ok((length, block)),
        _ => Err(damaged(&format!("invalid length {announced}"))),
    }
}

/// Decodes `block` to the front of `out`: all of it if `whole`, otherwise as much as fits.
fn decode(block: &[u8], mut out: OutBytes<'_>, whole: bool) -> Result<usize> {
    let (from, length) = (block.as_ptr().cast(), block.len() as c_int);
    let (to, capacity) = (out.as_mut_ptr().cast(), c_int::try_from(out.len()).unwrap_or(c_int::MAX));
    // SAFETY: the input can be read for its length, which `parts` has checked to fit an int, and the output written for
    // `capacity`; the library keeps to both.
    let got = unsafe {
        if whole {
            sys::LZ4_decompress_safe(from, to, length, capacity)
        } else {
            LZ4_decompress_safe_partial(from, to, length, capacity, capacity)
        }
    };
    usize::try_from(got).map_err(|_| damaged(&got.to_string()))
}

impl Step for Lz4 {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        check_size(input.len())?;
        // SAFETY: no precondition.
        let bound = unsafe { sys::LZ4_compressBound(input.len() as c_int) };
        let start = out.len();
        out.extend_from_slice(&(input.len() as u32).to_le_bytes());
        let fill = |mut spare: OutBytes<'_>| {
            // SAFETY: the input can be read and `spare` written for their lengths, which fit an int.
            let got = unsafe {
                sys::LZ4_compress_fast(
                    input.as_ptr().cast(),
                    spare.as_mut_ptr().cast(),
                    input.len() as c_int,
                    bound,
                    self.acceleration,
                )
            };
            let got = usize::try_from(got).unwrap_or(0);
            if got == 0 { Err(Error::runtime("LZ4 compression error: 0")) } else { Ok(got) }
        };
        // SAFETY: LZ4 has written as many bytes as it returns.
        let result = unsafe { append(out, bound as usize, fill) };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        let (announced, block) = parts(input)?;
        if announced != out.len() {
            // The announced length may be damaged, which is another error than a valid block of another length.
            return fill_beside(out, |buffer, limit| self.decode_onto(input, buffer, limit));
        }
        match decode(block, out, true)? {
            got if got == announced => Ok(()),
            got => Err(damaged(&wrong_length(got, announced).message)),
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let (announced, block) = parts(input)?;
        // One byte of a block decodes to at most 255, so a header that announces more is not trusted.
        let most = block.len().saturating_mul(255);
        if announced > most {
            return Err(damaged(&format!("{} bytes cannot decode to {announced}", block.len())));
        }
        if announced <= limit {
            let fill = |spare: OutBytes<'_>| match decode(block, spare, true)? {
                got if got == announced => Ok(got),
                got => Err(damaged(&wrong_length(got, announced).message)),
            };
            // SAFETY: LZ4 has written as many bytes as it returns.
            return unsafe { append(out, announced, fill) };
        }
        let start = out.len();
        // SAFETY: as above.
        unsafe { append(out, limit, |spare| decode(block, spare, false))? };
        let got = out.len() - start;
        Err(if got < limit { damaged(&wrong_length(got, announced).message) } else { too_long(limit) })
    }
}

#[cfg(test)]
mod tests;
