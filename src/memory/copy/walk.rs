//! Copies between strided places: picks the loop for the axes that are left and walks it.
//! Leaves out the normalisation of axes (`loop_nest.rs`), single elements (`kernels.rs`) and transposition
//! (`tiles.rs`).
#![allow(unsafe_code)] // The walk computes raw addresses from offsets that `view.rs` has checked.
#![allow(clippy::inline_always)] // Only what is inlined into `innermost_avx2` is compiled for AVX2.

use std::marker::PhantomData;

use super::axes::{CopyAxis, Walk};
use super::fill::fill;
use super::kernels::{Bytes, Ends, Kernel, Lines, Reversed, ReversedFields, ReversedRun, Whole};
use super::loop_nest::{LoopNest, Plane};
use super::tiles::{Stepped, tiled};
use crate::memory::element::{Element, Swap, swap_in_place};

/// Up to this many bytes a broadcast element is swapped once and then filled in.
const BROADCAST: usize = 1024;

/// Copies the elements that `axes` walk, swapped as `element` says: selection, transposition and byte order in one
/// pass.
///
/// `from` and `to` are the addresses of index 0 in every axis; elements need no alignment. No axes: one element. Where
/// a target is a list, writes happen in C order of `axes`, so that the last of several to one place wins.
///
/// # Safety
/// Every element walked can be read on the side of `from` and written on the side of `to`, and no element of one side
/// overlaps an element of the other. Not for safety: where different indices of `Stride` axes are one target, any of
/// them may win.
pub(in crate::memory) unsafe fn copy(from: *const u8, to: *mut u8, axes: &[CopyAxis<'_>], element: &Element) {
    let structured = matches!(element.swap, Swap::Fields(_));
    let Some(mut nest) = LoopNest::new(axes.iter().copied(), element.size, structured) else { return };
    let from = from.wrapping_offset(nest.from);
    let to = to.wrapping_offset(nest.to);
    let (size, plane) = (nest.size, nest.plane);
    let axes = nest.axes();
    // SAFETY: the caller vouches for every element; a broadcast has one that can be read, and all targets.
    unsafe {
        if size <= BROADCAST && !axes.is_empty() && axes.iter().all(|axis| matches!(axis.from, Walk::Stride(0))) {
            let mut one = vec![0; size];
            from.copy_to_nonoverlapping(one.as_mut_ptr(), size);
            swap_in_place(&mut one, element);
            fill(to, axes, &one);
        } else {
            PlannedCopy { from, to, axes, plane }.run_elements(size, &element.swap);
        }
    }
}

/// The walk of a copy that waits for its kernel.
pub(super) struct PlannedCopy<'a> {
    pub from: *const u8,
    pub to: *mut u8,
    pub axes: &'a [CopyAxis<'a>],
    pub plane: Plane,
}

impl PlannedCopy<'_> {
    /// Walks with the fastest kernel for elements of `size` bytes.
    ///
    /// # Safety
    /// As for [`copy`].
    pub unsafe fn run_elements(self, size: usize, swap: &Swap) {
        // SAFETY: as the caller vouches; every kernel moves `size` bytes.
        unsafe {
            match swap {
                Swap::None | Swap::Uniform(0 | 1) => match size {
                    1 => self.run(Whole::<u8>(PhantomData)),
                    2 => self.run(Whole::<u16>(PhantomData)),
                    4 => self.run(Whole::<u32>(PhantomData)),
                    8 => self.run(Whole::<u64>(PhantomData)),
                    16 => self.run(Whole::<u128>(PhantomData)),
                    3 => self.run(Ends::<u16>(size, PhantomData)),
                    5..=7 => self.run(Ends::<u32>(size, PhantomData)),
                    9..=15 => self.run(Ends::<u64>(size, PhantomData)),
                    17..=32 => self.run(Ends::<u128>(size, PhantomData)),
                    33..=64 => self.run(Ends::<[u128; 2]>(size, PhantomData)),
                    65..=256 => self.run(Lines(size)),
                    _ => self.run(Bytes(size)),
                },
                Swap::Uniform(2) if size == 2 => self.run(Reversed::<u16>(PhantomData)),
                Swap::Uniform(4) if size == 4 => self.run(Reversed::<u32>(PhantomData)),
                Swap::Uniform(8) if size == 8 => self.run(Reversed::<u64>(PhantomData)),
                Swap::Uniform(2) => self.run(ReversedRun::<u16>(size, PhantomData)),
                Swap::Uniform(4) => self.run(ReversedRun::<u32>(size, PhantomData)),
                Swap::Uniform(8) => self.run(ReversedRun::<u64>(size, PhantomData)),
                Swap::Uniform(unit) => self.run(ReversedFields { size, fields: &[(0, *unit, size / unit)] }),
                Swap::Fields(fields) => self.run(ReversedFields { size, fields }),
            }
        }
    }

    /// Walks with `kernel`.
    ///
    /// # Safety
    /// As for [`copy`], for elements of the size that `kernel` moves.
    pub unsafe fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: as the caller vouches.
        unsafe { nest(kernel, self.axes, self.plane, self.from, self.to) }
    }
}

/// Walks all axes.
///
/// # Safety
/// As for [`copy`].
unsafe fn nest<K: Kernel>(kernel: K, axes: &[CopyAxis<'_>], plane: Plane, from: *const u8, to: *mut u8) {
    // SAFETY: each offset is that of an element walked; the caller vouches for them all.
    unsafe {
        match axes {
            [outer, rest @ ..] if rest.len() > 1 => {
                for index in 0..outer.len {
                    let (from, to) = step(outer, index, from, to);
                    nest(kernel, rest, plane, from, to);
                }
            }
            #[cfg(target_arch = "x86_64")]
            _ if K::SHUFFLES && is_x86_feature_detected!("avx2") => innermost_avx2(kernel, axes, plane, from, to),
            _ => innermost(kernel, axes, plane, from, to),
        }
    }
}

/// Walks the last two axes, or as many as there are.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn innermost<K: Kernel>(kernel: K, axes: &[CopyAxis<'_>], plane: Plane, from: *const u8, to: *mut u8) {
    // SAFETY: each offset is that of an element walked; the caller vouches for them all.
    unsafe {
        match axes {
            [outer, inner, ..] => match (plane, outer.strides(), inner.strides()) {
                (Plane::Tiled, Some(wide), Some(narrow)) => {
                    let outer = Stepped { len: outer.len, from: wide.0, to: wide.1 };
                    tiled(kernel, outer, Stepped { len: inner.len, from: narrow.0, to: narrow.1 }, from, to);
                }
                _ => {
                    for index in 0..outer.len {
                        let (from, to) = step(outer, index, from, to);
                        line(kernel, inner, from, to);
                    }
                }
            },
            [only] => line(kernel, only, from, to),
            [] => kernel.one(from, to),
        }
    }
}

/// [`innermost`], compiled for AVX2. The whole walk, because a call for each row costs a quarter of the speed.
///
/// # Safety
/// As for [`copy`]; and the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn innermost_avx2<K: Kernel>(kernel: K, axes: &[CopyAxis<'_>], plane: Plane, from: *const u8, to: *mut u8) {
    // SAFETY: as the caller vouches.
    unsafe { innermost(kernel, axes, plane, from, to) }
}

/// Both addresses at `index` of `axis`.
#[inline]
fn step(axis: &CopyAxis<'_>, index: usize, from: *const u8, to: *mut u8) -> (*const u8, *mut u8) {
    (from.wrapping_offset(axis.from.at(index)), to.wrapping_offset(axis.to.at(index)))
}

/// Walks one axis.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn line<K: Kernel>(kernel: K, axis: &CopyAxis<'_>, from: *const u8, to: *mut u8) {
    // SAFETY: each offset is that of an element walked; the caller vouches for them all.
    unsafe {
        match (axis.from, axis.to) {
            (Walk::Stride(wide), Walk::Stride(narrow)) => {
                stepped(kernel, Stepped { len: axis.len, from: wide, to: narrow }, from, to);
            }
            (Walk::Offsets(offsets), Walk::Stride(stride)) => {
                for (index, &offset) in offsets[..axis.len].iter().enumerate() {
                    kernel.one(from.wrapping_offset(offset), to.wrapping_offset(stride * index as isize));
                }
            }
            (Walk::Stride(stride), Walk::Offsets(offsets)) => {
                for (index, &offset) in offsets[..axis.len].iter().enumerate() {
                    kernel.one(from.wrapping_offset(stride * index as isize), to.wrapping_offset(offset));
                }
            }
            (Walk::Offsets(sources), Walk::Offsets(targets)) => {
                for (&source, &target) in sources[..axis.len].iter().zip(&targets[..axis.len]) {
                    kernel.one(from.wrapping_offset(source), to.wrapping_offset(target));
                }
            }
        }
    }
}

/// Walks elements at equal steps.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
pub(super) unsafe fn stepped<K: Kernel>(kernel: K, axis: Stepped, mut from: *const u8, mut to: *mut u8) {
    for _ in 0..axis.len {
        // SAFETY: the caller vouches for each element; the addresses after the last one are never used.
        unsafe { kernel.one(from, to) };
        from = from.wrapping_offset(axis.from);
        to = to.wrapping_offset(axis.to);
    }
}
