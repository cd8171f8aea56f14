//! Two axes of which the source is densest along one and the target along the other: tiles, so that both sides use
//! whole cache lines; inside tiles, blocks that go through registers (`x86_64.rs`).
#![allow(unsafe_code)] // As `walk.rs`, of which this is a part.

use super::kernels::Kernel;
use super::loop_nest::SHORT;
use super::walk::stepped;

/// An axis with equal steps on both sides, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Stepped {
    pub len: usize,
    pub from: isize,
    pub to: isize,
}

impl Stepped {
    /// Both addresses `count` steps on.
    #[inline]
    fn step(self, count: usize, from: *const u8, to: *mut u8) -> (*const u8, *mut u8) {
        (from.wrapping_offset(self.from * count as isize), to.wrapping_offset(self.to * count as isize))
    }
}

/// Bytes of one tile along the source's dense axis: two cache lines, because processors fetch them in pairs.
const SOURCE: usize = 128;

/// Bytes of one tile along the target's dense axis.
const TARGET: usize = 64;

/// Walks the plane of two axes; the source is densest along `outer`, the target along `inner`, or `inner` is short.
///
/// # Safety
/// As for [`super::walk::copy`].
pub(super) unsafe fn tiled<K: Kernel>(kernel: K, outer: Stepped, inner: Stepped, from: *const u8, to: *mut u8) {
    let (mut rows, mut columns) = ((SOURCE / kernel.size()).max(1), (TARGET / kernel.size()).max(1));
    // Where one side is short (colours), the other makes up for it.
    if outer.len < rows {
        columns = rows * columns / outer.len;
        rows = outer.len;
    } else if inner.len < columns {
        rows = rows * columns / inner.len;
        columns = inner.len;
    }
    let part = |axis: Stepped, start, most: usize| Stepped { len: most.min(axis.len - start), ..axis };
    for row in (0..outer.len).step_by(rows) {
        let (from, to) = outer.step(row, from, to);
        for column in (0..inner.len).step_by(columns) {
            let (from, to) = inner.step(column, from, to);
            // SAFETY: within both lengths; the caller vouches for each element.
            unsafe { tile(kernel, part(outer, row, rows), part(inner, column, columns), from, to) };
        }
    }
}

/// Walks one tile.
///
/// # Safety
/// As for [`super::walk::copy`].
#[inline]
unsafe fn tile<K: Kernel>(kernel: K, outer: Stepped, inner: Stepped, from: *const u8, to: *mut u8) {
    let element = kernel.size() as isize;
    let side = if outer.from == element && inner.to == element { K::BLOCK_SIDE } else { 1 };
    // Whole blocks first, then what is left beside and below them.
    let (rows, columns) = if side > 1 { (outer.len / side * side, inner.len / side * side) } else { (0, 0) };
    // SAFETY: within both lengths; the caller vouches for each element.
    unsafe {
        for row in (0..rows).step_by(side) {
            let (from, to) = outer.step(row, from, to);
            for column in (0..columns).step_by(side) {
                let (from, to) = inner.step(column, from, to);
                kernel.transpose_block(from, inner.from, to, outer.to);
            }
        }
        if columns == 0 && inner.len < outer.len.min(SHORT) {
            for column in 0..inner.len {
                let (from, to) = inner.step(column, from, to);
                stepped(kernel, outer, from, to);
            }
            return;
        }
        for row in 0..outer.len {
            let done = if row < rows { columns } else { 0 };
            let (from, to) = outer.step(row, from, to);
            let (from, to) = inner.step(done, from, to);
            stepped(kernel, Stepped { len: inner.len - done, ..inner }, from, to);
        }
    }
}
