//! Selections as zarr-python writes them, in canonical form: the axes of the result, and for each axis where its indices
//! lie on the two sides (chunk and output). Pure arithmetic: no arrays, no I/O, no Python.
//!
//! Every form of `contract.md` reduces to this: a basic or orthogonal selection has one axis for each dimension, a
//! coordinate selection has one axis that moves several dimensions at once.

mod axes;
mod grid;
mod split;

pub use axes::{Axis, Coord, Lists, Span, renamed};
pub use grid::{Grid, Piece, Pieces};
pub use split::split;

use crate::error::{Error, Kind, Result};

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

    #[test]
    fn an_index_outside_is_refused_in_numpys_words() {
        assert_eq!(checked_index(-1, 4, 0).expect("wraps"), 3);
        let error = checked_index(4, 4, 1).expect_err("outside");
        assert_eq!(error.message, "index 4 is out of bounds for axis 1 with size 4");
    }
}
