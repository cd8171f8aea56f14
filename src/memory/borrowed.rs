//! Bytes that an owner outside the engine keeps alive: the objects of a memory store.
#![allow(unsafe_code)] // They are known by address only.

/// Bytes of another owner.
#[derive(Debug)]
pub struct BorrowedBytes {
    ptr: *const u8,
    len: usize,
}

// SAFETY: by the contract of `new` the bytes are there and do not change, whichever thread reads them.
unsafe impl Send for BorrowedBytes {}
// SAFETY: as above.
unsafe impl Sync for BorrowedBytes {}

impl BorrowedBytes {
    /// The `len` bytes at `ptr`.
    ///
    /// # Safety
    /// As long as [`BorrowedBytes::bytes`] is called and what it gives is used, the bytes stay where they are and
    /// do not change.
    pub unsafe fn new(ptr: *const u8, len: usize) -> Self {
        Self { ptr, len }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            // An empty buffer may have no address at all.
            return &[];
        }
        // SAFETY: as the caller of `new` guarantees.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}
