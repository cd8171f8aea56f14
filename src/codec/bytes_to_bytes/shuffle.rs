//! The byte shuffle of numcodecs: the first bytes of all elements, then the second bytes, and so on. By the routine that
//! blosc has for its own shuffle, with the processor's vectors where it knows them.
#![allow(unsafe_code)]

use crate::codec::output::{append, copy_exactly, reserve, too_long};
use crate::codec::{Step, wrong_length};
use crate::error::{Error, Result};
use crate::memory::OutBytes;

// Not declared by the crate's bindings; both are what blosc calls on each block, whatever its length.
unsafe extern "C" {
    fn blosc_internal_shuffle(typesize: usize, length: usize, from: *const u8, to: *mut u8);
    fn blosc_internal_unshuffle(typesize: usize, length: usize, from: *const u8, to: *mut u8);
}
// Links the library, whose symbols these are.
use blosc_src as _;

/// `numcodecs.shuffle`.
#[derive(Debug, Clone, Copy)]
pub struct Shuffle {
    size: usize,
}

impl Shuffle {
    /// Elements of `size` bytes; nothing changes for 0 and 1.
    pub fn new(size: usize) -> Self {
        Self { size }
    }

    fn check(self, length: usize) -> Result<()> {
        if self.size > 1 && !length.is_multiple_of(self.size) {
            return Err(Error::value(format!("{length} bytes are no whole number of elements of {}", self.size)));
        }
        Ok(())
    }
}

impl Step for Shuffle {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.check(input.len())?;
        if self.size <= 1 {
            reserve(out, input.len())?;
            out.extend_from_slice(input);
            return Ok(());
        }
        let fill = |mut place: OutBytes<'_>| {
            // SAFETY: both are as long as the input and do not overlap; the length is a multiple of the size.
            unsafe { blosc_internal_shuffle(self.size, input.len(), input.as_ptr(), place.as_mut_ptr()) };
            Ok(input.len())
        };
        // SAFETY: all bytes of all elements were written.
        unsafe { append(out, input.len(), fill) }
    }

    fn decode_into(&self, input: &[u8], mut place: OutBytes<'_>) -> Result<()> {
        self.check(input.len())?;
        if self.size <= 1 {
            return copy_exactly(input, place);
        }
        if input.len() != place.len() {
            return Err(wrong_length(input.len(), place.len()));
        }
        // SAFETY: as when encoding; a place overlaps nothing that is borrowed.
        unsafe { blosc_internal_unshuffle(self.size, input.len(), input.as_ptr(), place.as_mut_ptr()) };
        Ok(())
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        self.check(input.len())?;
        if input.len() > limit {
            return Err(too_long(limit));
        }
        // SAFETY: `decode_into` fills its place or fails.
        unsafe { append(out, input.len(), |place| self.decode_into(input, place).map(|()| input.len())) }
    }

    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        Some(decoded)
    }
}

#[cfg(test)]
mod tests;
