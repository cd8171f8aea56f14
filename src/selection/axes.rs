//! Axes, and where their indices lie: the canonical form of a selection.

/// A part of one of the vectors in [`Lists`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First entry.
    pub start: usize,
    /// Number of entries.
    pub len: usize,
}

impl Span {
    /// The span as a range for indexing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }
}

/// Index lists of many selections, kept in one place so that an [`Axis`] stays small and `Copy`.
#[derive(Debug, Default, Clone)]
pub struct Lists {
    /// Indices.
    pub at: Vec<usize>,
    /// Dimension and index list, for axes that move several dimensions.
    pub dims: Vec<(usize, Span)>,
}

impl Lists {
    /// Adds a list and returns its place.
    pub fn push(&mut self, at: impl IntoIterator<Item = usize>) -> Span {
        let start = self.at.len();
        self.at.extend(at);
        Span { start, len: self.at.len() - start }
    }

    /// Adds the lists of an axis that moves several dimensions.
    pub fn push_points(&mut self, dims: &[(usize, Span)]) -> Coord {
        let start = self.dims.len();
        self.dims.extend_from_slice(dims);
        Coord::Points { dims: Span { start, len: dims.len() } }
    }
}

/// Where the indices of one axis lie on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coord {
    /// This side has no dimension for the axis: an integer on the other side, or a broadcast value.
    Fixed,
    /// `start`, `start + step`, … along dimension `dim`.
    Range {
        /// The dimension.
        dim: usize,
        /// First index.
        start: usize,
        /// Distance of neighbours.
        step: usize,
    },
    /// The listed indices along dimension `dim`, in order, repeats allowed.
    List {
        /// The dimension.
        dim: usize,
        /// Its indices, in [`Lists::at`].
        at: Span,
    },
    /// Several dimensions move together: entry `i` of every list is one point.
    Points {
        /// Dimensions and their lists, in [`Lists::dims`].
        dims: Span,
    },
}

/// One axis of the result: its length, and where its indices lie in the chunk and in the output (or the written value).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Number of indices.
    pub len: usize,
    /// On the side of the chunk.
    pub chunk: Coord,
    /// On the side of the array that is filled or written from.
    pub array: Coord,
}

/// The entries `from..from + len` of `coord`.
pub(super) fn part(coord: Coord, from: usize, len: usize, lists: &Lists, into: &mut Lists) -> Coord {
    match coord {
        Coord::Fixed => Coord::Fixed,
        Coord::Range { dim, start, step } => Coord::Range { dim, start: start + from * step, step },
        Coord::List { dim, at } => {
            let at = &lists.at[at.start + from..at.start + from + len];
            Coord::List { dim, at: into.push(at.iter().copied()) }
        }
        Coord::Points { dims } => {
            let parts: Vec<_> = lists.dims[dims.range()]
                .iter()
                .map(|&(dim, at)| (dim, into.push(lists.at[at.start + from..at.start + from + len].iter().copied())))
                .collect();
            into.push_points(&parts)
        }
    }
}

/// The entries of `coord` at the positions `picks`.
pub(super) fn pick(coord: Coord, picks: &[usize], lists: &Lists, into: &mut Lists) -> Coord {
    match coord {
        Coord::Fixed => Coord::Fixed,
        Coord::Range { dim, start, step } => Coord::List { dim, at: into.push(picks.iter().map(|i| start + i * step)) },
        Coord::List { dim, at } => {
            let at = &lists.at[at.range()];
            Coord::List { dim, at: into.push(picks.iter().map(|&i| at[i])) }
        }
        Coord::Points { dims } => {
            let parts: Vec<_> = lists.dims[dims.range()]
                .iter()
                .map(|&(dim, at)| (dim, into.push(picks.iter().map(|&i| lists.at[at.start + i]))))
                .collect();
            into.push_points(&parts)
        }
    }
}

/// `coord` with its dimensions renamed: `to[d]` is the new name of dimension `d`.
pub fn renamed(coord: Coord, to: &[usize], lists: &mut Lists) -> Coord {
    match coord {
        Coord::Fixed => Coord::Fixed,
        Coord::Range { dim, start, step } => Coord::Range { dim: to[dim], start, step },
        Coord::List { dim, at } => Coord::List { dim: to[dim], at },
        Coord::Points { dims } => {
            let named: Vec<_> = lists.dims[dims.range()].iter().map(|&(dim, at)| (to[dim], at)).collect();
            lists.push_points(&named)
        }
    }
}
