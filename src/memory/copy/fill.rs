//! One element written to many places. Built on the copy of a short packed run of it.
#![allow(unsafe_code)] // As `walk.rs`.

use super::axes::{CopyAxis, Walk};
use super::kernels::Kernel;
use super::loop_nest::LoopNest;
use super::walk::PlannedCopy;
use crate::memory::element::Swap;

/// Bytes of the pattern laid out before they are copied: enough for the rows that are common, little enough for the
/// stack.
const RUN: usize = 1024;

/// Writes `pattern`, one element in the target's byte order, to every element that the `to` side of `axes` walks.
///
/// # Safety
/// Every element walked can be written.
pub(in crate::memory) unsafe fn fill(to: *mut u8, axes: &[CopyAxis<'_>], pattern: &[u8]) {
    let size = pattern.len();
    let still = axes.iter().map(|axis| CopyAxis { from: Walk::Stride(0), ..*axis });
    let Some(mut nest) = LoopNest::new(still, size, true) else { return };
    let to = to.wrapping_offset(nest.to);
    let plane = nest.plane;
    let axes = nest.axes();
    let walking = |axes, from| PlannedCopy { from, to, axes, plane };
    // SAFETY: the caller vouches for the targets; the sources are `pattern` and `run`, of which each kernel reads no
    // more
    // than there is: one element, a piece, nothing.
    unsafe {
        let (bytes, outer) = match axes.split_last() {
            Some((last, outer)) if last.is_packed(size) => (last.len * size, outer),
            _ => return walking(axes, pattern.as_ptr()).run_elements(size, &Swap::None),
        };
        if bytes > RUN && pattern.iter().all(|byte| *byte == pattern[0]) {
            return walking(outer, pattern.as_ptr()).run(Byte { byte: pattern[0], bytes });
        }
        if size > RUN {
            return walking(axes, pattern.as_ptr()).run_elements(size, &Swap::None);
        }
        let mut run = [0; RUN];
        let piece = bytes.min(RUN / size * size);
        run[..piece].chunks_exact_mut(size).for_each(|one| one.copy_from_slice(pattern));
        if piece == bytes {
            walking(outer, run.as_ptr()).run_elements(bytes, &Swap::None);
        } else {
            walking(outer, run.as_ptr()).run(RepeatedRun { piece, bytes });
        }
    }
}

/// Writes `pattern` again and again to `bytes`, as often as it fits.
pub fn repeat(bytes: &mut [u8], pattern: &[u8]) {
    let len = bytes.len().checked_div(pattern.len()).unwrap_or(0);
    let axis = CopyAxis { len, from: Walk::Stride(0), to: Walk::Stride(pattern.len() as isize) };
    // SAFETY: the bytes are borrowed exclusively, and `len` patterns fit.
    unsafe { fill(bytes.as_mut_ptr(), &[axis], pattern) };
}

/// The same byte throughout.
#[derive(Clone, Copy)]
struct Byte {
    byte: u8,
    bytes: usize,
}

impl Kernel for Byte {
    fn size(self) -> usize {
        self.bytes
    }

    #[inline]
    unsafe fn one(self, _: *const u8, to: *mut u8) {
        // SAFETY: the caller vouches for this many bytes.
        unsafe { to.write_bytes(self.byte, self.bytes) }
    }
}

/// Whole pieces, and of the last one as much as is left.
#[derive(Clone, Copy)]
struct RepeatedRun {
    piece: usize,
    bytes: usize,
}

impl Kernel for RepeatedRun {
    fn size(self) -> usize {
        self.bytes
    }

    #[inline]
    unsafe fn one(self, from: *const u8, to: *mut u8) {
        for at in (0..self.bytes).step_by(self.piece) {
            // SAFETY: `from` has a piece, and the caller vouches for `bytes` at `to`.
            unsafe { to.add(at).copy_from_nonoverlapping(from, self.piece.min(self.bytes - at)) }
        }
    }
}
