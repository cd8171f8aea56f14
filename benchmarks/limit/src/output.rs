//! The output: fresh memory as `NumPy` takes it (huge pages asked for), written by several threads.

use std::ptr::{NonNull, null_mut};

/// An anonymous mapping.
pub struct Output {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory is owned; `write` leaves it to the caller that no two threads write one byte.
unsafe impl Sync for Output {}

impl Output {
    pub fn new(length: usize) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping touches no other memory; the result is checked below.
        let start = unsafe { libc::mmap(null_mut(), length, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        assert!(start != libc::MAP_FAILED, "no memory for {length} bytes");
        // SAFETY: the range is the mapping just made; the advice changes no content.
        #[cfg(target_os = "linux")]
        unsafe {
            libc::madvise(start, length, libc::MADV_HUGEPAGE)
        };
        Self { start: NonNull::new(start.cast()).expect("a mapping is not null"), length }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has `length` bytes, all zero or written; writers have ended (`&self` after the scope).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// # Safety
    /// No other thread writes `offset..offset + row.len()` at the same time.
    pub unsafe fn write(&self, offset: usize, row: &[u8]) {
        assert!(offset + row.len() <= self.length, "a row outside the output");
        // SAFETY: inside the mapping by the assertion; exclusive by the caller's word.
        unsafe { self.start.as_ptr().add(offset).copy_from_nonoverlapping(row.as_ptr(), row.len()) };
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, unmapped once.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
