//! Elements of variable length as elements of a fixed one: a *reference* says where the bytes are and how many. Decoded
//! chunks,
//! views, fills and copies then work as for any other element. Owns the only code that follows a reference.
//! Leaves out how text is stored (`codec/array_to_bytes/vlen.rs`) and Python's objects.
#![allow(unsafe_code)] // A reference is an address; who makes an engine of them vouches for it once.

mod array;

use std::slice;
use std::sync::{Mutex, PoisonError};

pub use array::{References, Referrer};

/// Bytes of one reference in a decoded chunk.
pub const REFERENCE: usize = 16;

/// Where the bytes of one element are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Address of the first byte; 0 for the two references to nothing.
    address: u64,
    /// Number of bytes.
    len: u64,
}

impl Reference {
    /// What nothing was written to: zeros, as fresh memory is.
    pub const UNTOUCHED: Self = Self { address: 0, len: 0 };
    /// Python's `None` in a value: stored without bytes, but equal to no fill value.
    pub const ABSENT: Self = Self { address: 0, len: 1 };

    /// A reference to `bytes`.
    pub fn to(bytes: &[u8]) -> Self {
        Self { address: bytes.as_ptr().expose_provenance() as u64, len: bytes.len() as u64 }
    }

    /// The reference at byte `at` of a decoded chunk.
    pub fn read(chunk: &[u8], at: usize) -> Self {
        let half = |at: usize| u64::from_ne_bytes(chunk[at..at + 8].try_into().expect("eight bytes"));
        Self { address: half(at), len: half(at + 8) }
    }

    /// Writes it to byte `at` of a decoded chunk.
    pub fn write(self, chunk: &mut [u8], at: usize) {
        chunk[at..at + REFERENCE].copy_from_slice(&self.bytes());
    }

    /// Its form in a decoded chunk.
    pub fn bytes(self) -> [u8; REFERENCE] {
        let mut bytes = [0; REFERENCE];
        bytes[..8].copy_from_slice(&self.address.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.len.to_ne_bytes());
        bytes
    }

    /// The bytes it refers to, if they are a part of `text`.
    pub fn within(self, text: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(self.address).ok()?.checked_sub(text.as_ptr().addr())?;
        text.get(start..start.checked_add(usize::try_from(self.len).ok()?)?)
    }
}

/// Proof, given once by the builder of a variable-length format, that every reference in its decoded chunks is valid.
#[derive(Clone, Copy, Debug)]
pub struct ValidReferences(());

impl ValidReferences {
    /// The proof.
    ///
    /// # Safety
    /// Every chunk passed to [`ValidReferences::text`] consists of results of [`Reference::bytes`], each of them untouched,
    /// absent, or made by [`Reference::to`] from bytes that do not change as long as the chunk is used: those of a stored
    /// chunk lie in [`TextArena`], those of a value in [`References`], the fill value in the chunk format.
    pub unsafe fn new() -> Self {
        Self(())
    }

    /// The bytes of every element of `chunk`, `None` for an absent one.
    pub fn text(self, chunk: &[u8]) -> impl Iterator<Item = Option<&[u8]>> + Clone {
        chunk.chunks_exact(REFERENCE).map(|one| {
            let reference = Reference::read(one, 0);
            if reference == Reference::ABSENT {
                return None;
            }
            // SAFETY: as the maker of this word vouches.
            Some(unsafe { follow(reference) })
        })
    }
}

/// The bytes that a reference points to; none for the references to nothing.
///
/// # Safety
/// They are there, and stay as they are for `'a`.
unsafe fn follow<'a>(reference: Reference) -> &'a [u8] {
    if reference.address == 0 {
        return &[];
    }
    let start = std::ptr::with_exposed_provenance(reference.address as usize);
    // SAFETY: made by `Reference::to` of a slice of this length, which the caller vouches is still there.
    unsafe { slice::from_raw_parts(start, reference.len as usize) }
}

/// Decoded chunks to which references point, until it is dropped.
#[derive(Debug, Default)]
pub struct TextArena(Mutex<Vec<Vec<u8>>>);

impl TextArena {
    /// Keeps `buffer`, whose bytes stay at their address.
    pub fn keep(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
