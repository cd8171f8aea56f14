//! The byte shuffle of numcodecs: the first bytes of all elements, then the second bytes, and so on. Uses the routine
//! of blosc's own shuffle, which has vector instructions on most processors.
#![allow(unsafe_code)]

use crate::codec::output::{append, copy_exactly, reserve, too_long};
use crate::codec::{Step, wrong_length};
use crate::error::{Error, Result};
use crate::memory::OutBytes;

// Not declared by the crate's bindings; blosc calls both on each of its blocks, whatever the length.
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
    /// The codec for elements of `size` bytes; sizes 0 and 1 change nothing.
    pub fn new(size: usize) -> Self {
        Self { size }
    }

    fn check(self, length: usize) -> Result<()> {
        if self.size > 1 && !length.is_multiple_of(self.size) {
            return Err(Error::value(format!(
                "{length} bytes are not a whole number of elements of {} bytes",
                self.size
            )));
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
        let fill = |mut spare: OutBytes<'_>| {
            // SAFETY: `spare` is as long as the input and does not overlap it; the length is a multiple of the size.
            unsafe { blosc_internal_shuffle(self.size, input.len(), input.as_ptr(), spare.as_mut_ptr()) };
            Ok(input.len())
        };
        // SAFETY: the call has written all bytes of all elements.
        unsafe { append(out, input.len(), fill) }
    }

    fn decode_into(&self, input: &[u8], mut out: OutBytes<'_>) -> Result<()> {
        self.check(input.len())?;
        if self.size <= 1 {
            return copy_exactly(input, out);
        }
        if input.len() != out.len() {
            return Err(wrong_length(input.len(), out.len()));
        }
        // SAFETY: as when encoding; `OutBytes` overlaps nothing that is borrowed.
        unsafe { blosc_internal_unshuffle(self.size, input.len(), input.as_ptr(), out.as_mut_ptr()) };
        Ok(())
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        self.check(input.len())?;
        if input.len() > limit {
            return Err(too_long(limit));
        }
        // SAFETY: `decode_into` fills its output or fails.
        unsafe { append(out, input.len(), |spare| self.decode_into(input, spare).map(|()| input.len())) }
    }

    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        Some(decoded)
    }
}

#[cfg(test)]
mod tests;
