//! Projections cut along a grid of subchunks.

use super::axes::{Axis, Coord, Lists, Span, part, pick};
use super::grid::{Grid, Piece, Pieces};

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
}
