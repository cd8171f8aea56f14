//! The transpose codec as a permutation of dimensions; no elements are moved here.
//!
//! Specification: Zarr v3 transpose codec. `order[i]` is the chunk dimension that becomes stored dimension `i`.

use crate::error::{Error, Result};

/// A permutation of the dimensions of a chunk; empty for the identity in any rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transpose {
    order: Vec<usize>,
}

impl Transpose {
    /// The permutation that changes nothing.
    pub fn identity() -> Self {
        Self { order: Vec::new() }
    }

    /// The permutation `order`.
    ///
    /// # Errors
    /// `Value` when `order` is not a permutation.
    pub fn new(order: Vec<usize>) -> Result<Self> {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(i, d)| i != *d) {
            return Err(Error::value(format!("transpose order {order:?} is not a permutation of its dimensions")));
        }
        if order.is_sorted() {
            return Ok(Self::identity());
        }
        Ok(Self { order })
    }

    /// This transposition followed by `next`.
    ///
    /// # Errors
    /// `Value` when the ranks differ.
    pub fn then(self, next: Self) -> Result<Self> {
        if self.is_identity() {
            return Ok(next);
        }
        if next.is_identity() {
            return Ok(self);
        }
        if self.order.len() != next.order.len() {
            return Err(Error::value(format!("transpose orders {:?} and {:?} differ in rank", self.order, next.order)));
        }
        Self::new(next.order.iter().map(|&i| self.order[i]).collect())
    }

    /// Whether this changes nothing.
    pub(crate) fn is_identity(&self) -> bool {
        self.order.is_empty()
    }

    /// The shape after the transposition.
    ///
    /// # Errors
    /// `Value` when the rank differs from the order's.
    pub(crate) fn apply(&self, shape: &[usize]) -> Result<Vec<usize>> {
        if self.is_identity() {
            return Ok(shape.to_vec());
        }
        if self.order.len() != shape.len() {
            return Err(Error::value(format!(
                "transpose order {:?} needs {} dimensions, the chunk has {}",
                self.order,
                self.order.len(),
                shape.len()
            )));
        }
        Ok(self.order.iter().map(|&d| shape[d]).collect())
    }

    /// For each chunk dimension, the stored dimension that it becomes.
    pub(crate) fn new_names(&self, rank: usize) -> Vec<usize> {
        let mut names: Vec<usize> = (0..rank).collect();
        for (stored, &dim) in self.order.iter().enumerate() {
            names[dim] = stored;
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_two_transpositions_compose_as_in_numpy() {
        let first = Transpose::new(vec![1, 2, 0]).expect("permutation");
        let second = Transpose::new(vec![2, 1, 0]).expect("permutation");
        let both = first.clone().then(second.clone()).expect("same rank");
        let shape = [2, 3, 5];
        let step = second.apply(&first.apply(&shape).expect("rank")).expect("rank");
        assert_eq!(both.apply(&shape).expect("rank"), step);
    }

    #[test]
    fn test_anything_but_a_permutation_is_refused() {
        assert!(Transpose::new(vec![0, 0]).is_err());
        assert!(Transpose::new(vec![1, 2]).is_err());
        assert!(Transpose::new(vec![1, 0]).expect("permutation").apply(&[1, 2, 3]).is_err());
    }
}
