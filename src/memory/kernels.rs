//! One element from one place to another: a type for each width and kind of swap, so that each loop is compiled for it.
//! Leaves out where the places are, and which mover suits (`strided.rs`).
#![allow(unsafe_code)] // Elements are read and written through raw addresses, which Python's arrays are.

use std::marker::PhantomData;
use std::ptr;

use super::block_transpose;

/// Moves one element.
pub(super) trait Move: Copy {
    /// Side, in elements, of the squares that [`Move::square`] takes.
    const SIDE: usize = 1;

    /// Whether it gains from byte shuffles, which plain x86-64 lacks.
    const SHUFFLES: bool = false;

    /// Bytes per element.
    fn size(self) -> usize;

    /// Copies the element at `from` to `to`.
    ///
    /// # Safety
    /// The element can be read at `from` and written at `to`, and the two do not overlap.
    unsafe fn one(self, from: *const u8, to: *mut u8);

    /// Transposes a square: its packed rows at `from`, `step` bytes isolated, become columns at `to`, `out` bytes isolated.
    ///
    /// # Safety
    /// As for [`Move::one`], for each of its elements.
    #[inline]
    unsafe fn square(self, from: *const u8, _step: isize, to: *mut u8, _out: isize) {
        // SAFETY: a square of one is one element.
        unsafe { self.one(from, to) }
    }
}

/// As wide as a machine type.
#[derive(Clone, Copy)]
pub(super) struct Whole<T>(pub PhantomData<T>);

impl<T: Copy> Move for Whole<T> {
    const SIDE: usize = block_transpose::side(size_of::<T>());

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
    unsafe fn square(self, from: *const u8, step: isize, to: *mut u8, out: isize) {
        // SAFETY: the caller vouches for the square.
        unsafe { block_transpose::transpose(size_of::<T>(), from, step, to, out) }
    }
}

/// One to two times as wide as a machine type: its first and its last bytes, which may overlap.
#[derive(Clone, Copy)]
pub(super) struct Ends<T>(pub usize, pub PhantomData<T>);

impl<T: Copy> Move for Ends<T> {
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
pub(super) struct Lines(pub usize);

impl Move for Lines {
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
pub(super) struct Bytes(pub usize);

impl Move for Bytes {
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

/// A machine type whose bytes change order.
pub(super) trait Word: Copy {
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
pub(super) struct Reversed<T>(pub PhantomData<T>);

impl<T: Word> Move for Reversed<T> {
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
pub(super) struct ReversedRun<T>(pub usize, pub PhantomData<T>);

impl<T: Word> Move for ReversedRun<T> {
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
pub(super) struct ReversedFields<'a> {
    /// Bytes per element.
    pub size: usize,
    /// `(offset, unit, count)`, as in [`super::Swap::Fields`].
    pub fields: &'a [(usize, usize, usize)],
}

impl Move for ReversedFields<'_> {
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
