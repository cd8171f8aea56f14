//! Which bytes a read needs, and in which requests. Decided here for every store, by data alone: nothing in this module does
//! I/O, waits, or knows what a store is.
//!
//! | what is stored | bytes needed | where |
//! |---|---|---|
//! | a compressed chunk | all of it | [`Access::Whole`] |
//! | an uncompressed chunk | the rows that are selected | [`Access::Rows`], [`RowPlan`] |
//! | a chunk in independent blocks (blosc) | its header, then the blocks that are selected | [`Access::Blocks`], [`BlockPlan`] |
//! | a shard | its index, then the subchunks that are selected; or all of it | [`Access::Shard`], [`ShardPlan`] |
//!
//! A subchunk is planned as a chunk is, inside its own range of bytes. Which ranges become one request depends on what a
//! request costs: [`Coalesce`].

mod blocks;
mod coalesce;
mod rows;
mod shard;

pub use self::blocks::BlockPlan;
pub use self::coalesce::Coalesce;
pub use self::rows::{RowPlan, bounds};
pub use self::shard::ShardPlan;

use crate::codec::array_to_bytes::sharding::Sharding;
use crate::codec::{Chain, Serializer};
use crate::pipeline::Projections;
use crate::pipeline::layout::Layout;

/// What a byte range costs beyond its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeCost {
    /// About a system call, and the length of the object is known without a request.
    SystemCall,
    /// A request: parts of a chunk that is one codec unit are not worth several, and its length would be one more.
    Request,
}

/// How the bytes of one chunk or subchunk are reached.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// All stored bytes at once.
    Whole,
    /// The elements lie in the stored bytes as they are: rows of them.
    Rows,
    /// Independent blocks of an encoded chunk.
    Blocks,
    /// The index of a shard, then subchunks.
    Shard(&'a Sharding),
}

impl<'a> Access<'a> {
    /// The access for what `projections` select of a chunk of `layout`, where a range costs `cost`.
    pub fn of(
        chain: &'a Chain,
        layout: &Layout,
        projections: Projections<'_>,
        item_size: usize,
        cost: RangeCost,
    ) -> Self {
        if let Some(sharding) = chain.as_shard() {
            return Self::Shard(sharding);
        }
        if cost == RangeCost::Request || !matches!(chain.serializer, Serializer::Bytes) {
            return Self::Whole;
        }
        if chain.is_raw() {
            return Self::Rows;
        }
        if BlockPlan::pays(chain, layout, projections, item_size) { Self::Blocks } else { Self::Whole }
    }
}
