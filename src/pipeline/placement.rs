//! From the axes of a projection to byte walks: where its elements lie in a decoded chunk and in the array.

use crate::error::Result;
use crate::memory::{CopyAxis, Walk};
use crate::selection::{Axis, Coord, Lists};

/// C-order strides, in bytes, of a packed array of `shape`.
pub fn packed_strides(shape: &[usize], item_size: usize) -> Vec<isize> {
    let mut strides = vec![item_size as isize; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d] as isize;
    }
    strides
}

/// One side of a projection resolved to bytes: the offset of the first element, and a walk for every axis.
#[derive(Debug, Clone, Copy)]
enum Resolved {
    Stride(isize),
    /// A part of the offsets buffer.
    Offsets(usize, usize),
}

/// Resolves projections to byte walks; keeps its buffers between calls.
#[derive(Debug, Default)]
pub struct Placer {
    offsets: Vec<isize>,
    resolved: Vec<(usize, Resolved, Resolved)>,
}

/// A resolved projection: byte offsets of the first element on both sides and the walks of the axes.
pub struct Placement<'a> {
    /// Byte offset of the first element in the chunk.
    pub chunk: isize,
    /// Byte offset of the first element in the array.
    pub array: isize,
    /// `from` is the chunk, `to` the array.
    pub axes: AxisBuffer<'a>,
}

/// The axes of one copy, without an allocation for the usual ranks.
pub struct AxisBuffer<'a> {
    small: [CopyAxis<'a>; 8],
    large: Vec<CopyAxis<'a>>,
    len: usize,
}

impl<'a> AxisBuffer<'a> {
    fn new() -> Self {
        let none = CopyAxis { len: 1, from: Walk::Stride(0), to: Walk::Stride(0) };
        Self { small: [none; 8], large: Vec::new(), len: 0 }
    }

    /// Adds an axis at the end.
    pub fn push(&mut self, axis: CopyAxis<'a>) {
        if self.len < self.small.len() {
            self.small[self.len] = axis;
        } else {
            if self.large.is_empty() {
                self.large.extend_from_slice(&self.small);
            }
            self.large.push(axis);
        }
        self.len += 1;
    }

    /// The axes.
    pub fn as_slice(&self) -> &[CopyAxis<'a>] {
        if self.large.is_empty() { &self.small[..self.len] } else { &self.large }
    }
}

impl Placer {
    /// Resolves `axes`, whose coordinates are in range for arrays with these strides.
    pub fn place<'s>(
        &'s mut self,
        axes: &[Axis],
        lists: &Lists,
        chunk_strides: &[isize],
        array_strides: &[isize],
    ) -> Placement<'s> {
        self.offsets.clear();
        self.resolved.clear();
        let (mut chunk, mut array) = (0, 0);
        for axis in axes {
            let from = resolve(axis.chunk, axis.len, lists, chunk_strides, &mut self.offsets, &mut chunk);
            let to = resolve(axis.array, axis.len, lists, array_strides, &mut self.offsets, &mut array);
            self.resolved.push((axis.len, from, to));
        }
        let mut buffer = AxisBuffer::new();
        let offsets = &self.offsets;
        let walk = |resolved| match resolved {
            Resolved::Stride(stride) => Walk::Stride(stride),
            Resolved::Offsets(start, len) => Walk::Offsets(&offsets[start..start + len]),
        };
        for &(len, from, to) in &self.resolved {
            buffer.push(CopyAxis { len, from: walk(from), to: walk(to) });
        }
        Placement { chunk, array, axes: buffer }
    }
}

fn resolve(
    coord: Coord,
    len: usize,
    lists: &Lists,
    strides: &[isize],
    offsets: &mut Vec<isize>,
    base: &mut isize,
) -> Resolved {
    match coord {
        Coord::Fixed => Resolved::Stride(0),
        Coord::Range { dim, start, step } => {
            *base += start as isize * strides[dim];
            Resolved::Stride(step as isize * strides[dim])
        }
        // One index is a place, not a walk.
        Coord::List { dim, at } if len == 1 => {
            *base += lists.at[at.start] as isize * strides[dim];
            Resolved::Stride(0)
        }
        Coord::List { dim, at } => {
            let start = offsets.len();
            offsets.extend(lists.at[at.range()].iter().map(|&i| i as isize * strides[dim]));
            Resolved::Offsets(start, len)
        }
        Coord::Points { dims } if len == 1 => {
            let point = lists.dims[dims.range()].iter();
            *base += point.map(|&(dim, at)| lists.at[at.start] as isize * strides[dim]).sum::<isize>();
            Resolved::Stride(0)
        }
        Coord::Points { dims } => {
            let start = offsets.len();
            offsets.resize(start + len, 0);
            for &(dim, at) in &lists.dims[dims.range()] {
                for (offset, &i) in offsets[start..].iter_mut().zip(&lists.at[at.range()]) {
                    *offset += i as isize * strides[dim];
                }
            }
            Resolved::Offsets(start, len)
        }
    }
}

/// If the axes select all of a packed chunk and it lies in the array as one run of bytes in the same order: the byte
/// offset of that run. Such a chunk is decoded in place.
pub fn single_run(axes: &[Axis], shape: &[usize], chunk_strides: &[isize], array_strides: &[isize]) -> Option<isize> {
    if !crate::selection::is_whole(axes, shape) {
        return None;
    }
    let mut offset = 0;
    for axis in axes {
        if let Coord::Range { dim, start, step } = axis.array {
            offset += start as isize * array_strides[dim];
            if axis.len > 1 {
                let Coord::Range { dim: chunk_dim, .. } = axis.chunk else { return None };
                if step as isize * array_strides[dim] != chunk_strides[chunk_dim] {
                    return None;
                }
            }
        } else if axis.len > 1 || axis.array != Coord::Fixed {
            return None;
        }
    }
    Some(offset)
}

/// Calls `visit` with the byte offsets of every index combination of `walks`, in C order.
pub fn each_index(
    walks: &[CopyAxis<'_>],
    from: isize,
    to: isize,
    visit: &mut impl FnMut(isize, isize) -> Result<()>,
) -> Result<()> {
    let Some((axis, rest)) = walks.split_first() else { return visit(from, to) };
    let offset = |walk, i: usize| match walk {
        Walk::Stride(stride) => stride * i as isize,
        Walk::Offsets(offsets) => offsets[i],
    };
    for i in 0..axis.len {
        each_index(rest, from + offset(axis.from, i), to + offset(axis.to, i), visit)?;
    }
    Ok(())
}

/// Whether `next` is the neighbour of `axes` along the array's densest axis, both whole chunks in natural order: such
/// chunks are written together, row by row. The byte distance between the two.
pub fn neighbour(axes: &[Axis], next: &[Axis], array_strides: &[isize]) -> Option<isize> {
    if axes.len() != next.len() {
        return None;
    }
    let mut densest: Option<(isize, isize)> = None;
    let mut distance = None;
    for (a, b) in axes.iter().zip(next) {
        let (Coord::Range { dim, start, step: 1 }, Coord::Range { dim: next_dim, start: next_start, step: 1 }) =
            (a.array, b.array)
        else {
            return None;
        };
        if a.len != b.len || dim != next_dim {
            return None;
        }
        let stride = array_strides[dim];
        let extent = a.len as isize * stride;
        if a.len > 1 && densest.is_none_or(|(smallest, _)| stride.abs() < smallest) {
            densest = Some((stride.abs(), extent));
        }
        if next_start != start {
            if distance.is_some() || next_start != start + a.len {
                return None;
            }
            distance = Some(extent);
        }
    }
    let (_, extent) = densest?;
    distance.filter(|distance| *distance == extent)
}
