//! About how long it takes to decode or encode chunks and subchunks on one thread, in microseconds. What a thread hands over
//! to another, and what it does itself, is decided by these numbers alone.

use crate::codec::Chain;
use crate::codec::array_to_bytes::sharding::Sharding;
use crate::pipeline::layout::Layout;
use crate::selection::{Axis, Coord, count};

/// To decode and place what `axes` select of a chunk or subchunk of `layout`.
pub fn decode<'a>(chain: &Chain, layout: &Layout, axes: impl Iterator<Item = &'a [Axis]>, item_size: usize) -> f64 {
    let Some(sharding) = chain.as_shard() else {
        return bytes(chain, layout.len, axes.map(count).sum::<usize>() * item_size);
    };
    let touched: usize = axes.map(|axes| touched(axes, sharding)).sum();
    let subchunks = sharding.grid(&layout.shape).map_or(1, |grid| grid.len());
    // The first term: cutting the selection along the grid.
    subchunks as f64 * 0.002 + touched.min(subchunks) as f64 * subchunk(sharding, item_size)
}

/// To decode and place one whole subchunk.
pub fn subchunk(sharding: &Sharding, item_size: usize) -> f64 {
    let len = sharding.chunk_shape.iter().product::<usize>() * item_size;
    1.0 + bytes(&sharding.inner, len, len)
}

/// To encode a chunk of `layout`.
pub fn encode(chain: &Chain, layout: &Layout) -> f64 {
    let per_kib = if chain.is_raw() { 0.5 } else { chain.cost_per_kib().encode };
    layout.len as f64 / 1024.0 * per_kib
}

/// To decode `len` bytes of which `wanted` are selected.
fn bytes(chain: &Chain, len: usize, wanted: usize) -> f64 {
    if chain.is_raw() {
        // Only the rows that are wanted are read, with what lies between them where they are close.
        return wanted.saturating_mul(4).min(len) as f64 / 1024.0 * 0.1;
    }
    len as f64 / 1024.0 * chain.cost_per_kib().decode
}

/// About how many subchunks the axes touch.
fn touched(axes: &[Axis], sharding: &Sharding) -> usize {
    axes.iter()
        .map(|axis| match axis.chunk {
            Coord::Range { dim, step, .. } => (axis.len * step / sharding.chunk_shape[dim] + 1).min(axis.len),
            _ => axis.len,
        })
        .product()
}
