//! Selections as zarr-python writes them, in canonical form: the axes of the result, and for each axis where its indices
//! lie on the two sides (chunk and output). Pure arithmetic: no arrays, no I/O, no Python.
//!
//! Every form of `contract.md` reduces to this: a basic or orthogonal selection has one axis for each dimension, a
//! coordinate selection has one axis that moves several dimensions at once.

use crate::error::{Error, Kind, Result};

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
fn part(coord: Coord, from: usize, len: usize, lists: &Lists, into: &mut Lists) -> Coord {
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
fn pick(coord: Coord, picks: &[usize], lists: &Lists, into: &mut Lists) -> Coord {
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

/// A regular division of a chunk into subchunks.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Shape of one subchunk.
    pub chunk: Vec<usize>,
    /// Number of subchunks along each dimension.
    pub counts: Vec<usize>,
}

impl Grid {
    /// The division of `shape` into subchunks of shape `chunk`.
    ///
    /// # Errors
    /// `Value` when the shapes differ in rank or do not divide (sharding specification, `chunk_shape`).
    pub fn new(shape: &[usize], chunk: &[usize]) -> Result<Self> {
        if shape.len() != chunk.len() || shape.iter().zip(chunk).any(|(s, c)| *c == 0 || s % c != 0) {
            return Err(Error::value(format!(
                "the shard shape {shape:?} is not divisible by the subchunk shape {chunk:?}"
            )));
        }
        let counts = shape.iter().zip(chunk).map(|(s, c)| s / c).collect();
        Ok(Self { chunk: chunk.to_vec(), counts })
    }

    /// Number of subchunks.
    pub fn len(&self) -> usize {
        self.counts.iter().product()
    }

    /// Whether there is no subchunk at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// C-order strides of the grid, in subchunks.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.counts.len()];
        for d in (1..self.counts.len()).rev() {
            strides[d - 1] = strides[d] * self.counts[d];
        }
        strides
    }
}

/// One projection cut along a [`Grid`]: which subchunk, and which part of the projection falls into it.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// C-order number of the subchunk in its grid.
    pub subchunk: usize,
    /// Which of the projections given to [`split`] it comes from.
    pub row: usize,
    /// Its axes, in [`Pieces::axes`]; chunk coordinates count from the subchunk's corner.
    pub axes: Span,
}

/// Projections cut along a grid, ordered by subchunk and then by projection.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Axes of all pieces.
    pub axes: Vec<Axis>,
    /// Their index lists.
    pub lists: Lists,
    /// The pieces.
    pub pieces: Vec<Piece>,
}

impl Pieces {
    /// The axes of one piece.
    pub fn axes(&self, piece: &Piece) -> &[Axis] {
        &self.axes[piece.axes.range()]
    }

    /// Runs of pieces that share a subchunk.
    pub fn by_subchunk(&self) -> impl Iterator<Item = &[Piece]> {
        self.pieces.chunk_by(|a, b| a.subchunk == b.subchunk)
    }
}

/// A part of one axis that lies in one line of subchunks.
struct Segment {
    subchunk: usize,
    axis: Axis,
}

/// Cuts every row (the axes of one projection) along `grid`. Each subchunk appears once for each row that touches it.
pub fn split<'a>(rows: impl Iterator<Item = &'a [Axis]>, lists: &Lists, grid: &Grid) -> Pieces {
    let strides = grid.strides();
    let mut pieces = Pieces::default();
    let mut segments: Vec<Vec<Segment>> = Vec::new();
    let mut ordered = true;
    let mut last = 0;
    for (row, axes) in rows.enumerate() {
        segments.clear();
        segments.extend(axes.iter().map(|axis| segments_of(*axis, lists, grid, &strides, &mut pieces.lists)));
        if segments.iter().any(Vec::is_empty) {
            continue;
        }
        let mut digits = vec![0; segments.len()];
        'product: loop {
            let start = pieces.axes.len();
            let mut subchunk = 0;
            for (digit, segments) in digits.iter().zip(&segments) {
                subchunk += segments[*digit].subchunk;
                pieces.axes.push(segments[*digit].axis);
            }
            ordered &= subchunk >= last;
            last = subchunk;
            pieces.pieces.push(Piece { subchunk, row, axes: Span { start, len: digits.len() } });
            for i in (0..digits.len()).rev() {
                digits[i] += 1;
                if digits[i] < segments[i].len() {
                    continue 'product;
                }
                digits[i] = 0;
            }
            break;
        }
    }
    if !ordered {
        // Stable: writes to one subchunk keep the order of their projections.
        pieces.pieces.sort_by_key(|piece| piece.subchunk);
    }
    pieces
}

fn segments_of(axis: Axis, lists: &Lists, grid: &Grid, strides: &[usize], into: &mut Lists) -> Vec<Segment> {
    if axis.len == 0 {
        return Vec::new();
    }
    match axis.chunk {
        Coord::Fixed => {
            vec![Segment { subchunk: 0, axis: Axis { array: part(axis.array, 0, axis.len, lists, into), ..axis } }]
        }
        Coord::Range { dim, start, step } => {
            let size = grid.chunk[dim];
            let mut segments = Vec::with_capacity(axis.len * step / size + 2);
            let mut done = 0;
            while done < axis.len {
                let at = start + done * step;
                let number = at / size;
                let len =
                    if step == 0 { axis.len } else { (((number + 1) * size - at).div_ceil(step)).min(axis.len - done) };
                segments.push(Segment {
                    subchunk: number * strides[dim],
                    axis: Axis {
                        len,
                        chunk: Coord::Range { dim, start: at - number * size, step },
                        array: part(axis.array, done, len, lists, into),
                    },
                });
                done += len;
            }
            segments
        }
        Coord::List { dim, at } => {
            let size = grid.chunk[dim];
            let at = &lists.at[at.range()];
            buckets(at.len(), |i| at[i] / size)
                .into_iter()
                .map(|(number, picks)| Segment {
                    subchunk: number * strides[dim],
                    axis: Axis {
                        len: picks.len(),
                        chunk: Coord::List { dim, at: into.push(picks.iter().map(|&i| at[i] - number * size)) },
                        array: pick(axis.array, &picks, lists, into),
                    },
                })
                .collect()
        }
        Coord::Points { dims } => {
            let dims = &lists.dims[dims.range()];
            let number =
                |i: usize| dims.iter().map(|&(dim, at)| lists.at[at.start + i] / grid.chunk[dim] * strides[dim]).sum();
            buckets(axis.len, number)
                .into_iter()
                .map(|(subchunk, picks)| {
                    let inner: Vec<_> = dims
                        .iter()
                        .map(|&(dim, at)| {
                            (dim, into.push(picks.iter().map(|&i| lists.at[at.start + i] % grid.chunk[dim])))
                        })
                        .collect();
                    Segment {
                        subchunk,
                        axis: Axis {
                            len: picks.len(),
                            chunk: into.push_points(&inner),
                            array: pick(axis.array, &picks, lists, into),
                        },
                    }
                })
                .collect()
        }
    }
}

/// Groups `0..len` by `key`: (key, positions in order), keys increasing.
fn buckets(len: usize, key: impl Fn(usize) -> usize) -> Vec<(usize, Vec<usize>)> {
    let keys: Vec<usize> = (0..len).map(key).collect();
    let mut order: Vec<usize> = (0..len).collect();
    if !keys.is_sorted() {
        order.sort_by_key(|&i| keys[i]);
    }
    order.chunk_by(|&a, &b| keys[a] == keys[b]).map(|picks| (keys[picks[0]], picks.to_vec())).collect()
}

/// Whether the axes select every element of `shape` exactly once and in C order, each dimension by its own axis.
pub fn is_whole(axes: &[Axis], shape: &[usize]) -> bool {
    let mut next = 0;
    for axis in axes {
        match axis.chunk {
            Coord::Fixed if axis.len == 1 => {}
            Coord::Range { dim, start: 0, step }
                if dim == next && axis.len == shape[dim] && (step == 1 || axis.len == 1) =>
            {
                next += 1;
            }
            _ => return false,
        }
    }
    next == shape.len()
}

/// Whether the axes select every element of `shape` at least once, each dimension by a range: nothing of what was there
/// before can remain after a write.
pub fn covers(axes: &[Axis], shape: &[usize]) -> bool {
    let mut covered = 0;
    for axis in axes {
        if axis.len == 0 {
            return false;
        }
        if let Coord::Range { dim, start: 0, step } = axis.chunk
            && axis.len == shape[dim]
            && (step == 1 || axis.len == 1)
        {
            covered += 1;
        }
    }
    covered == shape.len()
}

/// Number of elements that the axes select.
pub fn count(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.len).product()
}

/// Wraps a negative index as NumPy does and checks it.
///
/// # Errors
/// `Index` in NumPy's words.
pub fn checked_index(index: i64, size: usize, dim: usize) -> Result<usize> {
    let wrapped = if index < 0 { index + size as i64 } else { index };
    usize::try_from(wrapped).ok().filter(|i| *i < size).ok_or_else(|| {
        Error::new(Kind::Index, format!("index {index} is out of bounds for axis {dim} with size {size}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points_of(pieces: &Pieces, grid: &Grid) -> Vec<(Vec<usize>, usize)> {
        // (chunk coordinate, array index) of every element, for a grid over one dimension.
        let mut all = Vec::new();
        for piece in &pieces.pieces {
            for axis in pieces.axes(piece) {
                for i in 0..axis.len {
                    let inside = match axis.chunk {
                        Coord::Range { start, step, .. } => start + i * step,
                        Coord::List { at, .. } => pieces.lists.at[at.start + i],
                        _ => unreachable!("one-dimensional cases only"),
                    };
                    let array = match axis.array {
                        Coord::Range { start, step, .. } => start + i * step,
                        Coord::List { at, .. } => pieces.lists.at[at.start + i],
                        _ => unreachable!("one-dimensional cases only"),
                    };
                    all.push((vec![piece.subchunk * grid.chunk[0] + inside], array));
                }
            }
        }
        all.sort();
        all
    }

    #[test]
    fn a_strided_range_is_cut_without_loss() {
        let grid = Grid::new(&[20], &[4]).expect("divides");
        let axis = Axis {
            len: 7,
            chunk: Coord::Range { dim: 0, start: 1, step: 3 },
            array: Coord::Range { dim: 0, start: 5, step: 1 },
        };
        let pieces = split(std::iter::once(&[axis][..]), &Lists::default(), &grid);
        let expected: Vec<_> = (0..7).map(|i| (vec![1 + 3 * i], 5 + i)).collect();
        assert_eq!(points_of(&pieces, &grid), expected);
        assert!(pieces.pieces.iter().all(|piece| pieces.axes(piece)[0].len > 0));
    }

    #[test]
    fn an_unsorted_list_with_repeats_keeps_its_order_in_each_subchunk() {
        let grid = Grid::new(&[8], &[4]).expect("divides");
        let mut lists = Lists::default();
        let at = lists.push([5, 0, 1, 0, 7]);
        let axis =
            Axis { len: 5, chunk: Coord::List { dim: 0, at }, array: Coord::Range { dim: 0, start: 0, step: 1 } };
        let pieces = split(std::iter::once(&[axis][..]), &lists, &grid);
        let first = pieces.axes(&pieces.pieces[0])[0];
        let Coord::List { at, .. } = first.chunk else { unreachable!("a list stays a list") };
        assert_eq!(&pieces.lists.at[at.range()], &[0, 1, 0]);
        let Coord::List { at, .. } = first.array else { unreachable!("picked positions are a list") };
        assert_eq!(&pieces.lists.at[at.range()], &[1, 2, 3]);
    }

    #[test]
    fn points_are_grouped_by_the_subchunk_they_fall_into() {
        let grid = Grid::new(&[4, 4], &[2, 2]).expect("divides");
        let mut lists = Lists::default();
        let (a, b) = (lists.push([3, 0, 3]), lists.push([3, 1, 2]));
        let chunk = lists.push_points(&[(0, a), (1, b)]);
        let axis = Axis { len: 3, chunk, array: Coord::Range { dim: 0, start: 0, step: 1 } };
        let pieces = split(std::iter::once(&[axis][..]), &lists, &grid);
        let numbers: Vec<_> = pieces.pieces.iter().map(|p| (p.subchunk, pieces.axes(p)[0].len)).collect();
        assert_eq!(numbers, [(0, 1), (3, 2)]);
    }

    #[test]
    fn an_index_outside_is_refused_in_numpys_words() {
        assert_eq!(checked_index(-1, 4, 0).expect("wraps"), 3);
        let error = checked_index(4, 4, 1).expect_err("outside");
        assert_eq!(error.message, "index 4 is out of bounds for axis 1 with size 4");
    }

    #[test]
    fn a_grid_that_does_not_divide_is_refused() {
        assert!(Grid::new(&[5], &[2]).is_err());
        assert!(Grid::new(&[4], &[0]).is_err());
        assert!(Grid::new(&[4, 4], &[2]).is_err());
    }
}
