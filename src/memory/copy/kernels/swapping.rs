//! Kernels that reverse bytes.
#![allow(unsafe_code)] // As the module around it.

use std::marker::PhantomData;
use std::ptr;

use super::Kernel;

/// A machine type whose bytes change order.
pub(in crate::memory::copy) trait Word: Copy {
    /// The same bytes from last to first.
    fn reversed(self) -> Self;
}

macro_rules! word {
    ($($word:ty)*) => { $(impl Word for $word {
        #[inline]
        fn reversed(self) -> Self {
            self.swap_bytes()
        }
    })* };
}
word!(u16 u32 u64);

/// One word, reversed.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct Reversed<T>(pub PhantomData<T>);

impl<T: Word> Kernel for Reversed<T> {
    #[inline]
    fn size(self) -> usize {
        size_of::<T>()
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        // SAFETY: the caller vouches for `size_of::<T>()` bytes on both sides; no alignment is assumed.
        unsafe { to.cast::<T>().write_unaligned(from.cast::<T>().read_unaligned().reversed()) }
    }
}

/// Several words, each reversed.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct ReversedRun<T>(pub usize, pub PhantomData<T>);

impl<T: Word> Kernel for ReversedRun<T> {
    const SHUFFLES: bool = true;

    #[inline]
    fn size(self) -> usize {
        self.0
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        let (from, to, words) = (from.cast::<T>(), to.cast::<T>(), self.0 / size_of::<T>());
        for at in 0..words {
            // SAFETY: the caller vouches for all words of the element on both sides; no alignment is assumed.
            unsafe { to.add(at).write_unaligned(from.add(at).read_unaligned().reversed()) }
        }
    }
}

/// A structure in which some groups of bytes are reversed.
#[derive(Clone, Copy)]
pub(in crate::memory::copy) struct ReversedFields<'a> {
    /// Bytes per element.
    pub size: usize,
    /// `(offset, unit, count)`, as in [`crate::memory::Swap::Fields`].
    pub fields: &'a [(usize, usize, usize)],
}

impl Kernel for ReversedFields<'_> {
    #[inline]
    fn size(self) -> usize {
        self.size
    }

    unsafe fn one(self, from: *const u8, to: *mut u8) {
        // SAFETY: the caller vouches for `size` bytes on both sides.
        unsafe { ptr::copy_nonoverlapping(from, to, self.size) };
        for &(offset, unit, count) in self.fields {
            for at in 0..count {
                let group = offset + at * unit;
                // SAFETY: fields lie within the element, as their maker vouches.
                unsafe { reverse(from.add(group), to.add(group), unit) }
            }
        }
    }
}

/// Writes the `unit` bytes at `from` in reverse.
///
/// # Safety
/// They can be read at `from` and written at `to`, and the two do not overlap.
#[inline]
unsafe fn reverse(from: *const u8, to: *mut u8, unit: usize) {
    // SAFETY: the caller vouches for `unit` bytes on both sides.
    unsafe {
        match unit {
            2 => Reversed::<u16>(PhantomData).one(from, to),
            4 => Reversed::<u32>(PhantomData).one(from, to),
            8 => Reversed::<u64>(PhantomData).one(from, to),
            _ => (0..unit).for_each(|at| *to.add(at) = *from.add(unit - 1 - at)),
        }
    }
}
