//! A batch that is written from one array: each chunk merged with what was stored, and encoded. Knows no store: the caller
//! has the stored bytes, and takes the new ones.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::codec::array_to_bytes::sharding::Sharding;
use crate::error::{Error, Result};
use crate::memory::{DecodedChunk, Scratch, SharedView, Slot};
use crate::pipeline::encode::{Encoded, OldShard, Writer, WrittenCell, lay_out};
use crate::pipeline::layout::Layout;
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::{Batch, ChunkFormat, Projections, estimate};
use crate::selection::{Axis, covers};
use crate::store::Size;

/// What becomes of a chunk's object.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// These parts, one after another, are its new bytes.
    Set(&'a [&'a [u8]]),
    /// The key is erased.
    Erase,
}

/// A batch, and the array that it is written from.
#[derive(Debug)]
pub struct Write {
    format: Arc<ChunkFormat>,
    batch: Batch,
    value: SharedView,
    validate: bool,
    layouts: Vec<Layout>,
}

/// What one chunk's write needs.
#[derive(Debug)]
pub struct ChunkPlan {
    /// The chunk.
    pub chunk: usize,
    /// Whether something that is stored may remain, so that it must be fetched first.
    pub needs_old: bool,
    /// For a shard, what is written to its subchunks.
    pub shard: Option<ShardPlan>,
}

/// One shard of a batch, written subchunk by subchunk.
#[derive(Debug)]
pub struct ShardWrite {
    /// The chunk.
    pub chunk: usize,
    /// Whether the stored shard must be fetched first.
    pub needs_old: bool,
    plan: ShardPlan,
    /// Subchunks not yet encoded.
    left: AtomicUsize,
    /// The encoded subchunks; `None` inside for an empty one.
    new: Vec<OnceLock<Option<Vec<u8>>>>,
}

impl ShardWrite {
    /// Number of subchunks that are written.
    pub fn len(&self) -> usize {
        self.plan.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }
}

impl Write {
    /// A write of `batch` from `value`, whose projections were checked against it.
    ///
    /// # Errors
    /// `Value` when a chunk shape does not fit the chain.
    pub fn new(format: Arc<ChunkFormat>, batch: Batch, value: SharedView, validate: bool) -> Result<Self> {
        let layouts = Layout::of_specs(&format, &batch.specs)?;
        Ok(Self { format, batch, value, validate, layouts })
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.batch.chunks.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.batch.chunks.is_empty()
    }

    /// What the chunks have in common.
    pub fn format(&self) -> &ChunkFormat {
        &self.format
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The layout of `chunk`.
    pub fn layout(&self, chunk: usize) -> &Layout {
        &self.layouts[self.batch.chunks[chunk].spec]
    }

    /// How long the stored form of `chunk` may be.
    pub fn size(&self, chunk: usize) -> Size {
        let len = self.layout(chunk).len;
        Size::new(if self.format.chain.as_shard().is_some() { 2 * len } else { len }, 0)
    }

    /// What the write of `chunk` needs.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn plan(&self, chunk: usize) -> Result<ChunkPlan> {
        let axes: Vec<&[Axis]> = self.batch.projections_of(chunk).collect();
        let layout = self.layout(chunk);
        let Some(sharding) = self.format.chain.as_shard() else {
            // An edge chunk may be complete although the selection leaves out what lies beyond the array's edge.
            let covered = self.batch.is_complete(chunk) || axes.iter().any(|axes| covers(axes, &layout.shape));
            return Ok(ChunkPlan { chunk, needs_old: !covered, shard: None });
        };
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        let shard = ShardPlan::new(sharding, &layout.shape, projections, self.format.item_size)?;
        Ok(ChunkPlan { chunk, needs_old: !shard.overwrites_all(), shard: Some(shard) })
    }

    /// Encodes the chunk of `plan` over its stored bytes `old` (`None`: missing, or not needed) and passes the change to
    /// `put`.
    ///
    /// # Errors
    /// What decoding `old`, encoding or `put` raises, with the chunk key.
    pub fn encode(
        &self,
        plan: &ChunkPlan,
        old: Option<&[u8]>,
        put: impl FnOnce(Change<'_>) -> Result<()>,
    ) -> Result<()> {
        self.encode_chunk(plan, old.filter(|_| plan.needs_old), put).map_err(|error| self.explain(plan.chunk, error))
    }

    fn encode_chunk(
        &self,
        plan: &ChunkPlan,
        old: Option<&[u8]>,
        put: impl FnOnce(Change<'_>) -> Result<()>,
    ) -> Result<()> {
        let writer = self.writer(plan.chunk);
        if let Some(shard) = &plan.shard {
            let old = OldShard::new(old, self.sharding(), shard)?;
            let new = (0..shard.len())
                .map(|subchunk| writer.subchunk(self.sharding(), shard, &old, subchunk))
                .collect::<Result<Vec<_>>>()?;
            return self.finish_shard(shard, &old, &new, put);
        }
        let axes: Vec<&[Axis]> = self.batch.projections_of(plan.chunk).collect();
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        let (mut decoded, mut out) = (DecodedChunk::take(), Scratch::take(Slot::Encoded));
        let cell = WrittenCell { chain: &self.format.chain, layout: self.layout(plan.chunk), projections };
        match writer.encode(cell, old, &mut decoded, &mut out)? {
            Encoded::Empty => put(Change::Erase),
            Encoded::Raw => put(Change::Set(&[&decoded])),
            Encoded::Out => put(Change::Set(&[&out])),
        }
    }

    /// A `plan` for a shard, to be written by parts.
    pub fn shard(&self, plan: ChunkPlan) -> Option<ShardWrite> {
        let ChunkPlan { chunk, needs_old, shard } = plan;
        let plan = shard?;
        let new = (0..plan.len()).map(|_| OnceLock::new()).collect();
        Some(ShardWrite { chunk, needs_old, left: AtomicUsize::new(plan.len()), new, plan })
    }

    /// Encodes the touched subchunks `range` of a shard over its stored bytes `old`; the call that encodes the last one passes
    /// the change to `put`.
    ///
    /// # Errors
    /// As [`Write::encode`].
    pub fn encode_part(
        &self,
        shard: &ShardWrite,
        range: Range<usize>,
        old: Option<&[u8]>,
        put: impl FnOnce(Change<'_>) -> Result<()>,
    ) -> Result<()> {
        let encode = || -> Result<()> {
            let old = OldShard::new(old.filter(|_| shard.needs_old), self.sharding(), &shard.plan)?;
            let writer = self.writer(shard.chunk);
            let count = range.len();
            for subchunk in range {
                let encoded = writer.subchunk(self.sharding(), &shard.plan, &old, subchunk)?;
                shard.new[subchunk].set(encoded).expect("every unit runs once");
            }
            if shard.left.fetch_sub(count, Ordering::AcqRel) != count {
                return Ok(());
            }
            let new: Vec<_> =
                shard.new.iter().map(|slot| slot.get().expect("the last unit saw all others end").as_deref()).collect();
            self.finish_shard(&shard.plan, &old, &new, put)
        };
        encode().map_err(|error| self.explain(shard.chunk, error))
    }

    fn finish_shard(
        &self,
        plan: &ShardPlan,
        old: &OldShard<'_>,
        new: &[Option<impl AsRef<[u8]>>],
        put: impl FnOnce(Change<'_>) -> Result<()>,
    ) -> Result<()> {
        match lay_out(self.sharding(), plan, old, new)? {
            None => put(Change::Erase),
            Some(shard) => put(Change::Set(&shard.parts(self.sharding().index_at_start))),
        }
    }

    fn writer(&self, chunk: usize) -> Writer<'_> {
        Writer {
            format: &self.format,
            value: &self.value,
            validate: self.validate,
            write_empty: self.batch.spec(chunk).write_empty,
        }
    }

    fn sharding(&self) -> &Sharding {
        self.format.chain.as_shard().expect("a shard plan is made for shards alone")
    }

    /// `error` with the key of `chunk`.
    pub fn explain(&self, chunk: usize, error: Error) -> Error {
        error.with_key(self.batch.key(chunk))
    }

    /// About how long it takes to encode `chunk`, in microseconds.
    pub fn estimate(&self, chunk: usize) -> f64 {
        estimate::encode(&self.format.chain, self.layout(chunk))
    }
}
