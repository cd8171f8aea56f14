//! The regular division of a shard into subchunks, and the pieces that projections are cut into along it.

use super::axes::{Axis, Lists, Span};
use crate::error::{Error, Result};

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
    /// Which of the projections given to [`super::split`] it comes from.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_that_does_not_divide_is_refused() {
        assert!(Grid::new(&[5], &[2]).is_err());
        assert!(Grid::new(&[4], &[0]).is_err());
        assert!(Grid::new(&[4, 4], &[2]).is_err());
    }
}
