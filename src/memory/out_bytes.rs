//! Output of known length: decoders and file reads are passed this instead of a slice. It can only be written, so it may lie in
//! uninitialised memory, or in a NumPy array that other threads write elsewhere.
#![allow(unsafe_code)] // Bytes are written through an address, which the constructor's caller guarantees once.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Bytes to be filled. By construction all of them can be written as long as the value lives, and no other thread reads or
/// writes them at the same time. A function that takes it is therefore safe, and the wrapper of a C library only has to respect
/// the length. Code that writes through the address must write initialised bytes.
#[derive(Debug)]
pub struct OutBytes<'a> {
    ptr: *mut u8,
    len: usize,
    bytes: PhantomData<&'a mut [MaybeUninit<u8>]>,
}

impl OutBytes<'_> {
    /// The `len` bytes at `ptr`.
    ///
    /// # Safety
    /// They can be written for as long as `'a`, by one thread at a time, and no reference to them is used meanwhile.
    pub(super) unsafe fn new(ptr: *mut u8, len: usize) -> Self {
        Self { ptr, len, bytes: PhantomData }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to be filled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte, for a call into C.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.ptr
    }

    /// The same place for a shorter time, for one of several attempts to fill it.
    pub fn reborrow(&mut self) -> OutBytes<'_> {
        OutBytes { ..*self }
    }

    /// The first `len` bytes, and the rest.
    pub fn split_at(self, len: usize) -> (Self, Self) {
        assert!(len <= self.len, "out bytes of length {} has no {len} bytes", self.len);
        // SAFETY: `len` is at most the length, so the address stays inside the place or at its end; the two parts do
        // not
        // overlap, and `self` is gone.
        unsafe { (Self::new(self.ptr, len), Self::new(self.ptr.add(len), self.len - len)) }
    }

    /// Fills the place with `bytes`, which are as many.
    pub fn copy_from(&mut self, bytes: &[u8]) {
        assert!(bytes.len() == self.len, "{} bytes do not fill {}", bytes.len(), self.len);
        // SAFETY: the lengths are equal; all of the place can be written, and nothing that is borrowed overlaps it.
        unsafe { self.ptr.copy_from_nonoverlapping(bytes.as_ptr(), self.len) };
    }
}

impl<'a> From<&'a mut [u8]> for OutBytes<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        // SAFETY: an exclusive borrow for `'a`.
        unsafe { Self::new(bytes.as_mut_ptr(), bytes.len()) }
    }
}

impl<'a> From<&'a mut [MaybeUninit<u8>]> for OutBytes<'a> {
    fn from(bytes: &'a mut [MaybeUninit<u8>]) -> Self {
        // SAFETY: an exclusive borrow for `'a`; a place is never read.
        unsafe { Self::new(bytes.as_mut_ptr().cast(), bytes.len()) }
    }
}
