//! Reading parts of a shard: its index, then the subchunks that are touched, from any source of bytes.

use std::ops::Range;

use crate::codec::Chain;
use crate::codec::array_to_bytes::sharding::{Extent, Index, Sharding};
use crate::error::{Error, Result};
use crate::memory::{Scratch, Slot};
use crate::pipeline::cells::{self, Cells};
use crate::pipeline::decode::Reader;
use crate::pipeline::layout::Layout;
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::{ChunkFormat, Projections};
use crate::selection::{Axis, Lists};
use crate::store::{UNKNOWN_LENGTH, Window};

/// Reads the index of the shard in `window`.
///
/// # Errors
/// `Value` when it is truncated or damaged.
pub fn read_index(window: Window<'_>, sharding: &Sharding, plan: &ShardPlan) -> Result<Index> {
    let mut buffer = Scratch::take(Slot::Stored);
    let stored = window.request(plan.index_request(sharding)).read(&mut buffer)?;
    plan.feed_index(stored, sharding)
}

/// Reads all that `projections` want of the shard in `window`.
///
/// # Errors
/// As [`read_index`] and [`read_subchunks`].
pub fn read(
    reader: &Reader<'_>,
    window: Window<'_>,
    sharding: &Sharding,
    shape: &[usize],
    projections: Projections<'_>,
) -> Result<()> {
    let plan = ShardPlan::new(sharding, shape, projections, reader.format.item_size)?;
    let index = open(reader, window, sharding, &plan)?;
    read_subchunks(reader, Shard { window, sharding, plan: &plan, index: &index }, 0..plan.len())
}

/// The index of the shard in `window`, after the store's own checksum where zarr would check it.
///
/// # Errors
/// As [`read_index`]; `BadZip`.
pub fn open(reader: &Reader<'_>, window: Window<'_>, sharding: &Sharding, plan: &ShardPlan) -> Result<Index> {
    if reader.validate && plan.is_checked(sharding, window.len) {
        window.check()?;
    }
    read_index(window, sharding, plan)
}

/// A shard whose index was read.
#[derive(Debug, Clone, Copy)]
pub struct Shard<'a> {
    /// Its bytes.
    pub window: Window<'a>,
    /// Its codec.
    pub sharding: &'a Sharding,
    /// What is wanted of it.
    pub plan: &'a ShardPlan,
    /// Where its subchunks lie.
    pub index: &'a Index,
}

/// Reads the touched subchunks `range` of a shard.
///
/// # Errors
/// What decoding a subchunk raises, with its number and place.
pub fn read_subchunks(reader: &Reader<'_>, shard: Shard<'_>, range: Range<usize>) -> Result<()> {
    cells::read(reader, &Subchunks { format: reader.format, shard }, range).map_err(|(_, error)| error)
}

/// The touched subchunks of a shard, by their numbers in its plan.
struct Subchunks<'a> {
    format: &'a ChunkFormat,
    shard: Shard<'a>,
}

impl<'a> Subchunks<'a> {
    fn extent(&self, cell: usize) -> Option<Extent> {
        self.shard.plan.request(cell, self.shard.index)
    }

    fn window(&self, extent: Extent) -> Window<'a> {
        self.shard.window.part(extent.offset, extent.len)
    }
}

impl Cells for Subchunks<'_> {
    fn chain(&self) -> &Chain {
        &self.shard.sharding.inner
    }

    fn layout(&self, _cell: usize) -> &Layout {
        &self.shard.plan.layout
    }

    fn are_alike(&self, _cell: usize, _other: usize) -> bool {
        true
    }

    fn axes(&self, cell: usize) -> impl ExactSizeIterator<Item = &[Axis]> {
        let plan = self.shard.plan;
        plan.pieces(cell).iter().map(|piece| plan.pieces.axes(piece))
    }

    fn lists(&self) -> &Lists {
        &self.shard.plan.pieces.lists
    }

    fn with_window<R>(&self, cell: usize, use_window: impl FnOnce(Option<Window<'_>>) -> Result<R>) -> Result<R> {
        use_window(self.extent(cell).map(|extent| self.window(extent)))
    }

    fn with_bytes<R>(&self, cell: usize, use_bytes: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
        let Some(extent) = self.extent(cell) else { return use_bytes(None) };
        let mut stored = Scratch::take(Slot::Stored);
        use_bytes(Some(self.window(extent).read(&mut stored)?))
    }

    fn missing(&self, _cell: usize) {
        // zarr reports missing chunks, not missing subchunks.
    }

    fn explain(&self, cell: usize, error: Error) -> Error {
        let Shard { sharding, plan, window, .. } = self.shard;
        let error = match sharding.inner.as_shard() {
            // Its own subchunks have been named already.
            Some(_) => error,
            None => plan.layout.explain(error, self.format),
        };
        let of = if window.len == UNKNOWN_LENGTH { String::new() } else { format!(" of a shard of {}", window.len) };
        let place = self
            .extent(cell)
            .map_or_else(|| "missing".to_owned(), |extent| format!("{} bytes at {}{of}", extent.len, extent.offset));
        Error { message: format!("subchunk {} ({place}): {}", plan.subchunk(cell), error.message), ..error }
    }
}
