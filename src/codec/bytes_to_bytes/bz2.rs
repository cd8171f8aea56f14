//! bzip2 with any number of streams, read as numcodecs reads it through Python's `bz2` module, with the same error
//! classes.
//! <https://sourceware.org/bzip2/manual/manual.html>
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::io;

use libbz2_rs_sys as sys;

use crate::codec::output::{append, fill_beside, too_long};
use crate::codec::{Cost, Step};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// The most bytes that one call takes: the library counts in 32 bits.
const MAX_CALL: usize = c_uint::MAX as usize;
/// The most bytes that a block decodes to: it has up to 900,000 bytes, five of which stand for at most 259.
const MAX_DECODED_BLOCK: usize = 900_000 / 5 * 259;

/// The `numcodecs.bz2` codec.
#[derive(Debug, Clone, Copy)]
pub struct Bz2 {
    level: i32,
}

impl Bz2 {
    /// `level` from 1 to 9. Any other is refused only when encoding, as in numcodecs: decoding needs no level.
    pub fn new(level: i32) -> Self {
        Self { level }
    }
}

/// The error for the library's `code`, of the class that Python's module raises.
fn refused(code: c_int) -> Error {
    match code {
        sys::BZ_MEM_ERROR => Error::new(Kind::Memory, "cannot allocate a bzip2 context"),
        sys::BZ_PARAM_ERROR => Error::value(format!("bzip2 refused its parameters ({code})")),
        sys::BZ_DATA_ERROR | sys::BZ_DATA_ERROR_MAGIC | sys::BZ_IO_ERROR => {
            Error::io("bzip2", io::Error::new(io::ErrorKind::InvalidData, format!("invalid data stream ({code})")))
        }
        sys::BZ_UNEXPECTED_EOF => Error::new(Kind::Eof, "a bzip2 stream ends early"),
        _ => Error::runtime(format!("bzip2 error {code}")),
    }
}

type End = unsafe extern "C" fn(*mut sys::bz_stream) -> c_int;

/// A stream in progress. Boxed, since the library remembers its address.
struct Bz2Stream {
    raw: Box<sys::bz_stream>,
    end: End,
}

impl Drop for Bz2Stream {
    fn drop(&mut self) {
        // SAFETY: initialised by the function that `end` pairs with, and ended once.
        unsafe { (self.end)(&raw mut *self.raw) };
    }
}

impl Bz2Stream {
    fn new(end: End, start: impl FnOnce(*mut sys::bz_stream) -> c_int) -> Result<Self> {
        let mut raw = Box::new(sys::bz_stream {
            next_in: std::ptr::null(),
            avail_in: 0,
            total_in_lo32: 0,
            total_in_hi32: 0,
            next_out: std::ptr::null_mut(),
            avail_out: 0,
            total_out_lo32: 0,
            total_out_hi32: 0,
            state: std::ptr::null_mut(),
            bzalloc: None,
            bzfree: None,
            opaque: std::ptr::null_mut(),
        });
        match start(&raw mut *raw) {
            sys::BZ_OK => Ok(Self { raw, end }),
            code => Err(refused(code)),
        }
    }

    fn decoder() -> Result<Self> {
        // SAFETY: a stream without state; no allocator means the library's own.
        Self::new(sys::BZ2_bzDecompressEnd, |raw| unsafe { sys::BZ2_bzDecompressInit(raw, 0, 0) })
    }

    fn encoder(level: c_int) -> Result<Self> {
        // SAFETY: as above.
        Self::new(sys::BZ2_bzCompressEnd, |raw| unsafe { sys::BZ2_bzCompressInit(raw, level, 0, 0) })
    }

    /// Calls `step` until the stream ends, the input is used up or the output is full. Moves `input` past the consumed
    /// bytes; returns how many bytes were written and whether the stream has ended. `step` is told whether it sees all
    /// of the remaining input.
    fn run(
        &mut self,
        step: impl Fn(*mut sys::bz_stream, bool) -> c_int,
        input: &mut &[u8],
        mut out: OutBytes<'_>,
    ) -> Result<(usize, bool)> {
        let mut written = 0;
        loop {
            let (given, room) = (input.len().min(MAX_CALL), (out.len() - written).min(MAX_CALL));
            let raw = &mut *self.raw;
            raw.next_in = input.as_ptr().cast();
            raw.avail_in = given as c_uint;
            raw.next_out = out.as_mut_ptr().wrapping_add(written).cast();
            raw.avail_out = room as c_uint;
            let code = step(&raw mut *raw, given == input.len());
            let (consumed, produced) = (given - raw.avail_in as usize, room - raw.avail_out as usize);
            *input = &input[consumed..];
            written += produced;
            match code {
                sys::BZ_STREAM_END => return Ok((written, true)),
                sys::BZ_OK | sys::BZ_RUN_OK | sys::BZ_FINISH_OK if consumed + produced == 0 => {
                    return Ok((written, false));
                }
                sys::BZ_OK | sys::BZ_RUN_OK | sys::BZ_FINISH_OK => {}
                code => return Err(refused(code)),
            }
        }
    }

    fn decode(&mut self, input: &mut &[u8], out: OutBytes<'_>) -> Result<(usize, bool)> {
        // SAFETY: `run` passes a stream whose input can be read and whose output can be written for their lengths; it
        // was initialised for decoding.
        self.run(|raw, _| unsafe { sys::BZ2_bzDecompress(raw) }, input, out)
    }

    /// Decodes to the end of the block, where its checksum is, and discards the output.
    fn finish_block(&mut self, input: &mut &[u8]) -> Result<()> {
        let mut passing = [0; 1 << 14];
        for _ in 0..MAX_DECODED_BLOCK.div_ceil(passing.len()) {
            let (written, ended) = self.decode(input, OutBytes::from(&mut passing[..]))?;
            if ended || written < passing.len() {
                break;
            }
        }
        Ok(())
    }

    fn encode(&mut self, input: &mut &[u8], out: OutBytes<'_>) -> Result<(usize, bool)> {
        let action = |all| if all { sys::BZ_FINISH } else { sys::BZ_RUN };
        // SAFETY: as above, but initialised for encoding.
        self.run(|raw, all| unsafe { sys::BZ2_bzCompress(raw, action(all)) }, input, out)
    }
}

/// Appends one decoded stream to `out` and moves `input` past it. False if the input ends first.
fn decode_one(input: &mut &[u8], out: &mut Vec<u8>, limit: usize) -> Result<bool> {
    let mut stream = Bz2Stream::decoder()?;
    let start = out.len();
    loop {
        let produced = out.len() - start;
        if produced > limit {
            return Err(stream.finish_block(input).err().unwrap_or_else(|| too_long(limit)));
        }
        let room = produced.max(input.len()).max(1 << 14).min((limit - produced).saturating_add(1));
        let mut ended = false;
        let fill = |spare: OutBytes<'_>| {
            let (written, end) = stream.decode(input, spare)?;
            ended = end;
            Ok(written)
        };
        // SAFETY: bzip2 has written as many bytes as it reports.
        unsafe { append(out, room, fill)? };
        let written = out.len() - start - produced;
        if ended || written < room {
            return if out.len() - start > limit { Err(too_long(limit)) } else { Ok(ended) };
        }
    }
}

impl Step for Bz2 {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if !(1..=9).contains(&self.level) {
            return Err(Error::value(format!("invalid bz2 level {}, expected 1 to 9", self.level)));
        }
        let mut stream = Bz2Stream::encoder(self.level)?;
        // The manual's bound: one percent and 600 bytes more than the input.
        let bound = input.len() + input.len() / 100 + 600;
        let mut rest = input;
        let fill = |spare: OutBytes<'_>| match stream.encode(&mut rest, spare)? {
            (written, true) => Ok(written),
            (written, false) => Err(Error::runtime(format!("bzip2 needs more than {written} of {bound} bytes"))),
        };
        // SAFETY: bzip2 has written as many bytes as it reports.
        unsafe { append(out, bound, fill) }
    }

    fn decode_into(&self, input: &[u8], mut out: OutBytes<'_>) -> Result<()> {
        let (len, mut rest) = (out.len(), input);
        match Bz2Stream::decoder()?.decode(&mut rest, out.reborrow()) {
            Ok((written, true)) if written == len && rest.is_empty() => Ok(()),
            _ => fill_beside(out, |buffer, limit| self.decode_onto(input, buffer, limit)),
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let (start, mut rest, mut streams) = (out.len(), input, 0);
        while !rest.is_empty() {
            let before = out.len();
            match decode_one(&mut rest, out, limit - (before - start)) {
                Ok(true) => streams += 1,
                Ok(false) => {
                    return Err(Error::value(format!("the {} bytes end before the end-of-stream marker", input.len())));
                }
                // Trailing bytes that are no stream are ignored.
                Err(Error { kind: Kind::Io(_), .. }) if streams > 0 => {
                    out.truncate(before);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::BZ2
    }
}

#[cfg(test)]
mod tests;
