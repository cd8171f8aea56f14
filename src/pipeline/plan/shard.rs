//! What one read or write touches of a shard, cut along its grid of subchunks.
//!
//! A partial read takes two requests: its index ([`ShardPlan::index_request`]), then the subchunks that are touched
//! ([`ShardPlan::request`]). A subchunk that is a shard itself adds a round, inside its own range.

use crate::codec::array_to_bytes::sharding::{Extent, Index, Sharding};
use crate::error::Result;
use crate::pipeline::Projections;
use crate::pipeline::layout::Layout;
use crate::selection::{Axis, Grid, Piece, Pieces, covers, is_whole, split};
use crate::store::ByteRange;

/// What one read or write of a shard touches, known before any byte of it is.
#[derive(Debug)]
pub struct ShardPlan {
    /// What is wanted of the subchunks.
    pub pieces: Pieces,
    /// Runs of pieces that share a subchunk: the start of each, and the end of the last.
    starts: Vec<usize>,
    /// Layout of one subchunk.
    pub layout: Layout,
    /// How the shard is divided.
    pub grid: Grid,
}

impl ShardPlan {
    /// Cuts `projections` along the grid of a shard of `shape`.
    ///
    /// # Errors
    /// `Value` when the shape does not divide into subchunks.
    pub fn new(sharding: &Sharding, shape: &[usize], projections: Projections<'_>, item_size: usize) -> Result<Self> {
        let grid = sharding.grid(shape)?;
        let layout = Layout::new(&sharding.inner, &sharding.chunk_shape, item_size)?;
        let pieces = split(projections.axes.iter().copied(), projections.lists, &grid);
        let mut starts = Vec::with_capacity(pieces.pieces.len() + 1);
        let mut start = 0;
        for run in pieces.by_subchunk() {
            starts.push(start);
            start += run.len();
        }
        starts.push(start);
        Ok(Self { pieces, starts, layout, grid })
    }

    /// Whether every subchunk is touched, so that the whole shard is one request.
    pub fn touches_all(&self) -> bool {
        self.len() == self.grid.len()
    }

    /// The first request of a partial read: where the index lies.
    pub fn index_request(&self, sharding: &Sharding) -> ByteRange {
        let len = sharding.index_size(self.grid.len()) as u64;
        if sharding.index_at_start { ByteRange::Range { start: 0, len } } else { ByteRange::Suffix(len) }
    }

    /// Feeds what [`ShardPlan::index_request`] asked for.
    ///
    /// # Errors
    /// As [`Sharding::decode_index`].
    pub fn feed_index(&self, stored: &[u8], sharding: &Sharding) -> Result<Index> {
        sharding.decode_index(stored, &self.grid)
    }

    /// Number of subchunks that are touched.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether nothing is touched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is wanted of touched subchunk `number`, in batch order.
    pub fn pieces(&self, number: usize) -> &[Piece] {
        &self.pieces.pieces[self.starts[number]..self.starts[number + 1]]
    }

    /// The C-order number in the grid of touched subchunk `number`.
    pub fn subchunk(&self, number: usize) -> usize {
        self.pieces(number)[0].subchunk
    }

    /// A follow-up request: where touched subchunk `number` lies in the shard; `None` if it is missing.
    pub fn request(&self, number: usize, index: &Index) -> Option<Extent> {
        index.get(self.subchunk(number))
    }

    /// The axes of each projection's piece of touched subchunk `number`, in batch order.
    pub fn axes(&self, number: usize) -> Vec<&[Axis]> {
        self.pieces(number).iter().map(|piece| self.pieces.axes(piece)).collect()
    }

    /// Whether zarr's own read of a shard of `len` bytes passes all of its bytes through the checksum of an archive entry:
    /// when it reads the whole entry, or its end (zipfile then reads from the beginning), or a beginning that is so short
    /// that zipfile reads on to the end.
    pub fn is_checked(&self, sharding: &Sharding, len: u64) -> bool {
        /// zipfile never reads less.
        const LEAST: usize = 4096;
        self.touches_all() || !sharding.index_at_start || len <= sharding.index_size(self.grid.len()).max(LEAST) as u64
    }

    /// Whether every subchunk of the shard is overwritten completely: nothing stored before remains.
    pub fn overwrites_all(&self) -> bool {
        self.touches_all()
            && (0..self.len()).all(|number| {
                self.pieces(number).iter().any(|piece| covers(self.pieces.axes(piece), &self.layout.shape))
            })
    }

    /// The axes of touched subchunk `number`, if it is wanted as a whole by one projection.
    pub fn whole(&self, number: usize) -> Option<&[Axis]> {
        let [piece] = self.pieces(number) else { return None };
        let axes = self.pieces.axes(piece);
        is_whole(axes, &self.layout.shape).then_some(axes)
    }
}
