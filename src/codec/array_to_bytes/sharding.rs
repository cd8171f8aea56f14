//! The sharding codec: the layout, index and order of subchunks. No I/O: callers read and write the bytes.
//!
//! Specification: Zarr v3 `sharding_indexed`. The index holds (offset, length) for each subchunk in C order, both
//! 2^64 − 1 for a missing one.

use std::sync::Arc;

use crate::codec::array_to_array::transpose::Transpose;
use crate::codec::{Chain, Serializer, Step};
use crate::error::{Error, Result};
use crate::selection::Grid;

const MISSING: u64 = u64::MAX;

/// The order of subchunks in a shard (zarr's `subchunk_write_order`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrder {
    /// Z-order, zarr's default.
    Morton,
    /// C order; zarr's "unordered" is the same.
    Lexicographic,
    /// F order.
    Colexicographic,
}

/// A sharding codec and its inner chain.
#[derive(Debug)]
pub struct Sharding {
    /// Shape of one subchunk.
    pub chunk_shape: Vec<usize>,
    /// The codec chain of one subchunk.
    pub inner: Chain,
    /// Whether index entries are stored big-endian.
    pub index_big_endian: bool,
    /// The transposition of the index, an array of the grid's shape with one more dimension of 2.
    pub index_transpose: Transpose,
    /// Bytes-to-bytes steps of the index, all of fixed size.
    pub index_steps: Vec<Arc<dyn Step>>,
    /// Whether the index precedes the subchunks.
    pub index_at_start: bool,
    /// The order of the subchunks in a shard that is written.
    pub order: WriteOrder,
}

/// Where one subchunk lies in its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// A decoded shard index: the extent of each subchunk in C order, `None` if it is missing.
#[derive(Debug, Clone)]
pub struct Index {
    entries: Vec<Option<Extent>>,
}

impl Index {
    /// An index without subchunks.
    pub fn empty(len: usize) -> Self {
        Self { entries: vec![None; len] }
    }

    /// The extent of subchunk `number`; `None` if it is missing.
    pub(crate) fn get(&self, number: usize) -> Option<Extent> {
        self.entries[number]
    }
}

impl Sharding {
    /// The grid of subchunks of a shard of `shape`.
    ///
    /// # Errors
    /// `Value` when the shapes do not divide.
    pub fn grid(&self, shape: &[usize]) -> Result<Grid> {
        Grid::new(shape, &self.chunk_shape)
    }

    /// An upper bound of the length of a shard with `subchunks` subchunks of `decoded` bytes in total: longer ones are
    /// refused.
    pub(crate) fn longest(&self, decoded: usize, subchunks: usize) -> usize {
        /// Bytes of headers and checksums around each subchunk.
        const AROUND: usize = 1 << 10;
        let inner = match &self.inner.serializer {
            Serializer::Sharding(nested) => {
                let each = self.inner.transpose.apply(&self.chunk_shape).and_then(|shape| nested.grid(&shape));
                nested.longest(decoded, subchunks.saturating_mul(each.map_or(1, |grid| grid.len())))
            }
            Serializer::Bytes | Serializer::Vlen(_) => decoded,
        };
        // Twice, for dead space that partial writes left. The index is far shorter than the allowance around subchunks.
        self.inner.bound(inner).saturating_mul(2).saturating_add(subchunks.saturating_mul(AROUND))
    }

    /// Stored length of the index of `subchunks` subchunks.
    pub(crate) fn index_size(&self, subchunks: usize) -> usize {
        self.index_steps
            .iter()
            .fold(16 * subchunks, |size, step| step.encoded_size(size).expect("index steps have a fixed size: checked"))
    }

    /// Decodes the index from exactly its stored bytes.
    ///
    /// # Errors
    /// `Value` when there are too few bytes or a checksum does not match. The checksum of the index is always checked:
    /// it protects offsets, not data.
    pub fn decode_index(&self, stored: &[u8], grid: &Grid) -> Result<Index> {
        let subchunks = grid.len();
        let expected = self.index_size(subchunks);
        if stored.len() != expected {
            return Err(Error::value(format!(
                "the stored shard is too short to hold its index: read {} bytes of index, expected {expected}",
                stored.len()
            )));
        }
        let mut bytes = stored;
        for step in self.index_steps.iter().rev() {
            bytes = step.decode_view(bytes, true).expect("index steps strip a checksum: checked")?;
        }
        if bytes.len() != 16 * subchunks {
            return Err(Error::value(format!(
                "the shard index decodes to {} bytes, expected {}",
                bytes.len(),
                16 * subchunks
            )));
        }
        let number = |bytes: &[u8]| {
            let bytes: [u8; 8] = bytes.try_into().expect("halves of sixteen bytes");
            if self.index_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
        };
        let entries = self
            .index_positions(grid)?
            .into_iter()
            .map(|[offset, len]| {
                let (offset, len) = (number(&bytes[8 * offset..][..8]), number(&bytes[8 * len..][..8]));
                // zarr-python tests only the offset for a missing subchunk on its bulk paths, and both numbers
                // elsewhere; writers set both.
                (offset != MISSING || len != MISSING).then_some(Extent { offset, len })
            })
            .collect();
        Ok(Index { entries })
    }

    /// The positions of each subchunk's offset and length in the decoded index, counted in numbers.
    fn index_positions(&self, grid: &Grid) -> Result<Vec<[usize; 2]>> {
        if self.index_transpose.is_identity() {
            return Ok((0..grid.len()).map(|subchunk| [2 * subchunk, 2 * subchunk + 1]).collect());
        }
        let shape: Vec<usize> = grid.counts.iter().copied().chain([2]).collect();
        let stored = Grid { chunk: Vec::new(), counts: self.index_transpose.apply(&shape)? }.strides();
        let names = self.index_transpose.new_names(shape.len());
        let strides = grid.strides();
        let pair = stored[names[shape.len() - 1]];
        Ok((0..grid.len())
            .map(|subchunk| {
                let start = (0..grid.counts.len())
                    .map(|dim| subchunk / strides[dim] % grid.counts[dim] * stored[names[dim]])
                    .sum::<usize>();
                [start, start + pair]
            })
            .collect())
    }

    /// The stored form of `index`.
    ///
    /// # Errors
    /// The error of an index codec.
    pub fn encode_index(&self, index: &Index, grid: &Grid) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 16 * index.entries.len()];
        for (entry, positions) in index.entries.iter().zip(self.index_positions(grid)?) {
            let Extent { offset, len } = entry.unwrap_or(Extent { offset: MISSING, len: MISSING });
            for (number, position) in [offset, len].into_iter().zip(positions) {
                let stored = if self.index_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
                bytes[8 * position..][..8].copy_from_slice(&stored);
            }
        }
        for step in &self.index_steps {
            let mut encoded = Vec::with_capacity(bytes.len() + 16);
            step.encode(&bytes, &mut encoded)?;
            bytes = encoded;
        }
        Ok(bytes)
    }

    /// Lays out subchunks of these encoded lengths (`None`: missing) as one shard: the index if it comes first, the
    /// subchunks in the returned order, the index if it comes last. `None` if every subchunk is missing.
    pub fn assemble(&self, grid: &Grid, lengths: &[Option<usize>]) -> Result<Option<Assembly>> {
        let index_size = self.index_size(lengths.len()) as u64;
        let mut index = Index::empty(lengths.len());
        let mut order = Vec::with_capacity(lengths.len());
        let mut offset = if self.index_at_start { index_size } else { 0 };
        for number in subchunk_order(self.order, &grid.counts) {
            // zarr-python drops a subchunk of zero bytes like a missing one.
            if let Some(len) = lengths[number].filter(|len| *len > 0) {
                index.entries[number] = Some(Extent { offset, len: len as u64 });
                offset += len as u64;
                order.push(number);
            }
        }
        if order.is_empty() {
            return Ok(None);
        }
        Ok(Some(Assembly { index: self.encode_index(&index, grid)?, order }))
    }
}

/// The index of a shard and the order of its subchunks.
#[derive(Debug)]
pub struct Assembly {
    /// The encoded index.
    pub index: Vec<u8>,
    /// The subchunks in the order of their bytes.
    pub order: Vec<usize>,
}

/// The C-order numbers of the subchunks of a grid of `counts`, in `order`.
fn subchunk_order(order: WriteOrder, counts: &[usize]) -> Vec<usize> {
    let total: usize = counts.iter().product();
    let mut strides = vec![1; counts.len()];
    for d in (1..counts.len()).rev() {
        strides[d - 1] = strides[d] * counts[d];
    }
    match order {
        WriteOrder::Lexicographic => (0..total).collect(),
        WriteOrder::Colexicographic => (0..total)
            .map(|mut n| {
                counts.iter().zip(&strides).fold(0, |number, (count, stride)| {
                    let digit = n % count;
                    n /= count;
                    number + digit * stride
                })
            })
            .collect(),
        WriteOrder::Morton => morton(counts, &strides, total),
    }
}

/// Z-order as zarr-python defines it: bits are taken from the dimensions in turn, the first dimension lowest, each
/// dimension only for as many bits as its count needs; codes outside the grid are skipped.
fn morton(counts: &[usize], strides: &[usize], total: usize) -> Vec<usize> {
    let bits: Vec<u32> = counts.iter().map(|count| usize::BITS - count.saturating_sub(1).leading_zeros()).collect();
    // (code, C-order number), sorted by code: no code outside the grid is visited.
    let mut numbered: Vec<(u128, usize)> = Vec::with_capacity(total);
    let mut digits = vec![0usize; counts.len()];
    let deepest = bits.iter().copied().max().unwrap_or(0);
    for _ in 0..total {
        let mut code = 0u128;
        let mut position = 0;
        for bit in 0..deepest {
            for (digit, width) in digits.iter().zip(&bits) {
                if bit < *width {
                    code |= ((digit >> bit & 1) as u128) << position;
                    position += 1;
                }
            }
        }
        numbered.push((code, digits.iter().zip(strides).map(|(d, s)| d * s).sum()));
        for d in (0..digits.len()).rev() {
            digits[d] += 1;
            if digits[d] < counts[d] {
                break;
            }
            digits[d] = 0;
        }
    }
    numbered.sort_unstable();
    numbered.into_iter().map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_orders_equal_zarr_pythons() {
        // zarr.core.indexing.morton_order_coords((2, 3)) and ((3, 2, 2)), as C-order numbers.
        assert_eq!(subchunk_order(WriteOrder::Morton, &[2, 2]), [0, 2, 1, 3]);
        assert_eq!(subchunk_order(WriteOrder::Colexicographic, &[2, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(subchunk_order(WriteOrder::Morton, &[]), [0]);
    }
}
