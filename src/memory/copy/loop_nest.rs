//! The axes of a copy in the order in which they are walked: axes of length 1 gone, neighbours merged, the best axis
//! innermost. Arithmetic only.

use super::axes::{CopyAxis, Walk};

/// Up to this many axes live on the stack.
const FEW: usize = 8;

/// Axes, without allocation while they are few.
struct Axes<'a> {
    few: [CopyAxis<'a>; FEW],
    len: usize,
    many: Vec<CopyAxis<'a>>,
}

impl<'a> Axes<'a> {
    fn new() -> Self {
        let none = CopyAxis { len: 0, from: Walk::Stride(0), to: Walk::Stride(0) };
        Self { few: [none; FEW], len: 0, many: Vec::new() }
    }

    fn push(&mut self, axis: CopyAxis<'a>) {
        if self.len < FEW {
            self.few[self.len] = axis;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(axis);
        }
        self.len += 1;
    }

    fn slice(&mut self) -> &mut [CopyAxis<'a>] {
        let axes = if self.many.is_empty() { &mut self.few[..] } else { &mut self.many[..] };
        &mut axes[..self.len]
    }
}

/// A copy ready to be walked, outermost axis first.
pub(super) struct LoopNest<'a> {
    axes: Axes<'a>,
    /// Offset of the first element in the source.
    pub from: isize,
    /// Offset of the first element in the target.
    pub to: isize,
    /// Bytes moved at once: an element, or a run of them that is contiguous on both sides.
    pub size: usize,
    /// How the innermost two axes are walked.
    pub plane: Plane,
}

/// How the innermost two axes are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plane {
    /// Exactly in order, because targets may repeat.
    Ordered,
    /// In any order; both sides agree on the innermost axis.
    Rows,
    /// In any order, best in tiles: the source is densest along the outer of the two, or the inner is short.
    Tiled,
}

/// From this many bytes on an element fills cache lines by itself, so the order of axes on the source side is no
/// matter.
const LINE: usize = 64;

/// An axis below this length is not worth a loop of its own.
pub(super) const SHORT: usize = 8;

impl<'a> LoopNest<'a> {
    /// `None` if there is nothing to copy. `whole`: the bytes of one element must stay together, whatever follows it.
    pub fn new(axes: impl Iterator<Item = CopyAxis<'a>>, size: usize, whole: bool) -> Option<Self> {
        if size == 0 {
            return None;
        }
        let mut nest = Self { axes: Axes::new(), from: 0, to: 0, size, plane: Plane::Rows };
        for axis in axes {
            match axis.len {
                0 => return None,
                1 => {
                    nest.from += axis.from.at(0);
                    nest.to += axis.to.at(0);
                }
                _ => nest.axes.push(axis),
            }
        }
        if nest.axes.slice().iter().any(|axis| matches!(axis.to, Walk::Offsets(_))) {
            nest.plane = Plane::Ordered;
        } else {
            nest.turn_forward();
            nest.axes.slice().sort_unstable_by_key(|axis| std::cmp::Reverse(axis.widths()));
        }
        nest.merge();
        if !whole {
            nest.absorb();
        }
        if nest.plane == Plane::Rows && nest.size < LINE {
            nest.choose_plane();
        }
        Some(nest)
    }

    /// The axes that are left, outermost first.
    pub fn axes(&mut self) -> &[CopyAxis<'a>] {
        self.axes.slice()
    }

    /// Walks axes from their other end where the target runs backwards.
    fn turn_forward(&mut self) {
        for axis in self.axes.slice() {
            if let Some((from, to)) = axis.strides()
                && to < 0
            {
                self.from += axis.from.at(axis.len - 1);
                self.to += axis.to.at(axis.len - 1);
                axis.from = Walk::Stride(-from);
                axis.to = Walk::Stride(-to);
            }
        }
    }

    /// Makes one axis of neighbours that are one run of equal steps on both sides.
    fn merge(&mut self) {
        let axes = self.axes.slice();
        let mut last = 0;
        for next in 1..axes.len() {
            let inner = axes[next];
            let outer = axes[last];
            let (Some(wide), Some(narrow)) = (outer.strides(), inner.strides()) else {
                last += 1;
                axes[last] = inner;
                continue;
            };
            let len = inner.len as isize;
            if wide == (narrow.0 * len, narrow.1 * len) {
                axes[last] = CopyAxis { len: outer.len * inner.len, ..inner };
            } else {
                last += 1;
                axes[last] = inner;
            }
        }
        self.axes.len = self.axes.len.min(last + 1);
    }

    /// Takes an innermost axis that is contiguous on both sides into the element.
    fn absorb(&mut self) {
        let size = self.size as isize;
        if let Some(axis) = self.axes.slice().last()
            && axis.strides() == Some((size, size))
        {
            self.size *= axis.len;
            self.axes.len -= 1;
        }
    }

    /// Brings the axis along which the source is densest next to the innermost one.
    fn choose_plane(&mut self) {
        let axes = self.axes.slice();
        let Some((last, outer)) = axes.split_last() else { return };
        let Some((last_from, _)) = last.strides() else { return };
        let steps = outer.iter().enumerate().filter_map(|(at, axis)| Some((axis.strides()?.0.unsigned_abs(), at)));
        if let Some((step, at)) = steps.filter(|&(step, _)| step > 0).min()
            && step < last_from.unsigned_abs()
        {
            let outer = axes.len() - 1;
            axes[at..outer].rotate_left(1);
            self.plane = Plane::Tiled;
        } else if last.len < SHORT && outer.last().is_some_and(|axis| axis.strides().is_some()) {
            self.plane = Plane::Tiled;
        }
    }
}
