//! The buffer that a decoded chunk lives in, which its thread keeps between chunks.
#![allow(unsafe_code)] // An allocation of zeros that may fail.

use std::alloc::{Layout, alloc_zeroed};
use std::cell::Cell;
use std::mem;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use super::scratch::MAX_RETAINED;
use crate::error::{Error, Kind, Result};

thread_local! {
    static DECODED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A decoded chunk, in a buffer that was taken from this thread and goes back to the thread that drops it; a
/// second one taken meanwhile has another buffer. Its bytes are always set, so that a part of it may be decoded without any
/// trust in the decoder: memory fresh from the system is zero, and what was decoded before stays.
#[derive(Debug, Default)]
pub struct DecodedChunk {
    /// All bytes that were ever used.
    bytes: Vec<u8>,
    /// How many of them are the chunk.
    len: usize,
}

impl DecodedChunk {
    /// This thread's chunk, of no bytes.
    pub fn take() -> Self {
        Self { bytes: DECODED.try_with(Cell::take).unwrap_or_default(), len: 0 }
    }

    /// Makes the chunk `len` bytes long and gives them to be written: they hold anything, none of which is kept.
    ///
    /// # Errors
    /// `Memory` if there is no room: the length may come from a damaged file.
    pub fn room(&mut self, len: usize) -> Result<&mut [u8]> {
        if self.bytes.len() < len {
            // Growing in place would copy bytes that are not needed any more.
            *self = Self::default();
            self.bytes = zeroed(len).ok_or_else(|| Error::new(Kind::Memory, format!("cannot allocate {len} bytes")))?;
        }
        self.len = len;
        Ok(&mut self.bytes[..len])
    }
}

impl Drop for DecodedChunk {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if bytes.len() > MAX_RETAINED {
            return;
        }
        // The larger one stays.
        let _ = DECODED.try_with(|retained| {
            let other = retained.take();
            retained.set(if other.len() < bytes.len() { bytes } else { other });
        });
    }
}

impl Deref for DecodedChunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A vector of `len` zeros, at least one; `None` if there is no room. Large ones are the system's own fresh pages,
/// which
/// costs no pass over them; std can do that, or tell of a failure, but not both.
pub(super) fn zeroed(len: usize) -> Option<Vec<u8>> {
    let layout = Layout::array::<u8>(len).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout is not empty.
    let ptr = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    let bytes = ptr::slice_from_raw_parts_mut(ptr.as_ptr(), len);
    // SAFETY: from the global allocator, with the layout of a box of as many bytes, and all of them are set.
    Some(unsafe { Box::from_raw(bytes) }.into_vec())
}
