//! One element from one place to another: a type for each width and kind of swap, so that each loop is compiled for it.
//! Leaves out where the places are, and which kernel suits (`walk.rs`).
#![allow(unsafe_code)] // Elements are read and written through raw addresses, which Python's arrays are.

use std::marker::PhantomData;
use std::ptr;

#[cfg(target_arch = "x86_64")]
use super::x86_64;

mod swapping;

pub(super) use swapping::{Reversed, ReversedFields, ReversedRun};

/// Moves one element.
pub(in crate::memory::copy) trait Kernel: Copy {
    /// Side, in elements, of the blocks that [`Kernel::transpose_block`] takes.
    const BLOCK_SIDE: usize = 1;

    /// Whether it gains from byte shuffles, which plain x86-64 lacks.
    const SHUFFLES: bool = false;

    /// Bytes per element.
    fn size(self) -> usize;

    /// Copies the element at `from` to `to`.
    ///
    /// # Safety
    /// The element can be read at `from` and written at `to`, and the two do not overlap.
    unsafe fn one(self, from: *const u8, to: *mut u8);

    /// Transposes a block: its packed rows at `from`, `step` bytes apart, become columns at `to`, `out` bytes apart.
    ///
    /// # Safety
    /// As for [`Kernel::one`], for each of its elements.
    #[inline]
    unsafe fn transpose_block(self, from: *const u8, _step: isize, to: *mut u8, _out: isize) {
        // SAFETY: a block of one is one element.
        unsafe { self.one(from, to) }
    }
}

/// Side, in elements of `size` bytes, of the blocks that [`block_transpose`] takes: rows of 16 bytes; one element on
/// other processors than x86-64.
const fn block_side(size: usize) -> usize {
    if cfg!(target_arch = "x86_64") && matches!(size, 1 | 2 | 4 | 8) { 16 / size } else { 1 }
}

/// Makes the columns of the block at `to`, which are `out` bytes apart, of its rows at `from`, `step` bytes apart.
///
/// # Safety
/// Each of the `block_side(size)` rows can be read at `from`, and written at `to`, and the two do not overlap.
#[inline]
pub(super) unsafe fn block_transpose(size: usize, from: *const u8, step: isize, to: *mut u8, out: isize) {
    // SAFETY: as the caller vouches.
    unsafe {
        match size {
            #[cfg(target_arch = "x86_64")]
            1 => x86_64::bytes(from, step, to, out),
            #[cfg(target_arch = "x86_64")]
            2 => x86_64::words(from, step, to, out),
            #[cfg(target_arch = "x86_64")]
            4 => x86_64::doubles(from, step, to, out),
            #[cfg(target_arch = "x86_64")]
            8 => x86_64::quads(from, step, to, out),
            _ => from.copy_to_nonoverlapping(to, size),
        }
    }
}

/// As wide as a machine type.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct Whole<T>(pub PhantomData<T>);

impl<T: Copy> Kernel for Whole<T> {
    const BLOCK_SIDE: usize = block_side(size_of::<T>());

    #[inline]
    fn size(self) -> usize {
        size_of::<T>()
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        // SAFETY: the caller vouches for `size_of::<T>()` bytes on both sides; no alignment is assumed.
        unsafe { to.cast::<T>().write_unaligned(from.cast::<T>().read_unaligned()) }
    }

    #[inline]
    unsafe fn transpose_block(self, from: *const u8, step: isize, to: *mut u8, out: isize) {
        // SAFETY: the caller vouches for the block.
        unsafe { block_transpose(size_of::<T>(), from, step, to, out) }
    }
}

/// One to two times as wide as a machine type: its first and its last bytes, which may overlap.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct Ends<T>(pub usize, pub PhantomData<T>);

impl<T: Copy> Kernel for Ends<T> {
    #[inline]
    fn size(self) -> usize {
        self.0
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        let last = self.0 - size_of::<T>();
        // SAFETY: `dispatch` picks T so that it fits; the caller vouches for as many bytes as the element has.
        unsafe {
            let tail = from.add(last).cast::<T>().read_unaligned();
            to.cast::<T>().write_unaligned(from.cast::<T>().read_unaligned());
            to.add(last).cast::<T>().write_unaligned(tail);
        }
    }
}

/// A few cache lines: 64 bytes at a time, the last of which may overlap those before.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct Lines(pub usize);

impl Kernel for Lines {
    #[inline]
    fn size(self) -> usize {
        self.0
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        let last = self.0 - 64;
        let mut at = 0;
        // SAFETY: `dispatch` uses this from 65 bytes on, so that `last` and each `at` below it leave 64 bytes.
        unsafe {
            while at < last {
                ptr::copy_nonoverlapping(from.add(at), to.add(at), 64);
                at += 64;
            }
            ptr::copy_nonoverlapping(from.add(last), to.add(last), 64);
        }
    }
}

/// Any number of bytes.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct Bytes(pub usize);

impl Kernel for Bytes {
    #[inline]
    fn size(self) -> usize {
        self.0
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        // SAFETY: the caller vouches for this many bytes on both sides.
        unsafe { ptr::copy_nonoverlapping(from, to, self.0) }
    }
}
