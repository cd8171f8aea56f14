//! One axis of a copy, and where its indices are on both sides. Arithmetic only.

/// How an index along one axis becomes an offset in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Walk<'a> {
    /// Index times this; 0 repeats one place.
    Stride(isize),
    /// One offset per index.
    Offsets(&'a [isize]),
}

/// One axis of a copy, on both sides.
#[derive(Clone, Copy, Debug)]
pub struct CopyAxis<'a> {
    /// How many indices; an `Offsets` walk has as many.
    pub len: usize,
    /// Where an index is in the source.
    pub from: Walk<'a>,
    /// Where an index is in the target.
    pub to: Walk<'a>,
}

impl Walk<'_> {
    /// Lowest and highest offset of the first `len` indices; `None` if there are fewer or a number does not fit.
    pub fn bounds(self, len: usize) -> Option<(isize, isize)> {
        match self {
            Self::Stride(stride) => {
                let last = stride.checked_mul(isize::try_from(len).ok()? - 1)?;
                Some((last.min(0), last.max(0)))
            }
            Self::Offsets(offsets) => {
                let mut offsets = offsets.get(..len)?.iter();
                let first = *offsets.next()?;
                Some(offsets.fold((first, first), |(low, high), at| (low.min(*at), high.max(*at))))
            }
        }
    }

    /// The offset of `index`.
    #[inline]
    pub(super) fn at(self, index: usize) -> isize {
        match self {
            Self::Stride(stride) => stride * index as isize,
            Self::Offsets(offsets) => offsets[index],
        }
    }
}

impl CopyAxis<'_> {
    /// Both strides, unless one side is a list.
    pub(super) fn strides(&self) -> Option<(isize, isize)> {
        match (self.from, self.to) {
            (Walk::Stride(from), Walk::Stride(to)) => Some((from, to)),
            _ => None,
        }
    }

    /// Whether the targets are elements of `size` bytes side by side.
    pub(super) fn is_packed(&self, size: usize) -> bool {
        matches!(self.to, Walk::Stride(step) if step == size as isize)
    }

    /// Widths of the steps, target first; a list in the source counts as narrow.
    pub(super) fn widths(&self) -> (usize, usize) {
        let width = |walk| if let Walk::Stride(stride) = walk { isize::unsigned_abs(stride) } else { 0 };
        (width(self.to), width(self.from))
    }
}
