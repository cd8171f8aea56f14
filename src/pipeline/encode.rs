//! One chunk's new stored bytes: the old elements, the new ones written over them, the test for emptiness, the codec chain.
//! No stores, no threads.

use crate::codec::array_to_bytes::sharding::{Index, Sharding};
use crate::codec::{Chain, Serializer};
use crate::error::{Result, unless_dropped};
use crate::memory::{CopyAxis, DecodedChunk, TextArena, View, is_empty, repeat};

use crate::pipeline::decode::{Reader, unswapped};
use crate::pipeline::layout::Layout;
use crate::pipeline::placement::{Placer, packed_strides};
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::vlen;
use crate::pipeline::{ChunkFormat, Projections};
use crate::selection::{Axis, Coord, Lists, covers};
use crate::store::{Object, Window};

/// Encodes chunks of one format from one array.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// What the chunks have in common.
    pub format: &'a ChunkFormat,
    /// What is written; its element swaps from memory to stored order, which is the same permutation.
    pub value: &'a View<'a>,
    /// Whether checksums of the old bytes are checked.
    pub validate: bool,
    /// Whether chunks equal to the fill value are stored.
    pub write_empty: bool,
}

/// A chunk or subchunk that is encoded: how it is stored, and what is written to it.
#[derive(Debug, Clone, Copy)]
pub struct WrittenCell<'a> {
    /// Its steps.
    pub chain: &'a Chain,
    /// How its elements lie in its decoded form.
    pub layout: &'a Layout,
    /// What is written to it.
    pub projections: Projections<'a>,
}

/// Where [`Writer::encode`] left the bytes to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded {
    /// Nothing is stored: the key is erased.
    Empty,
    /// The decoded chunk is the stored form.
    Raw,
    /// They are in `out`.
    Out,
}

impl Writer<'_> {
    /// Merges the projections of `cell` over `old` (`None`: missing, or nothing of it remains) and encodes the result.
    ///
    /// # Errors
    /// What decoding `old` raises, what an encoder raises.
    pub fn encode(
        &self,
        cell: WrittenCell<'_>,
        old: Option<&[u8]>,
        decoded: &mut DecodedChunk,
        out: &mut Vec<u8>,
    ) -> Result<Encoded> {
        // The bytes that references in the decoded chunk point to.
        let kept = TextArena::default();
        self.merge(cell, old, decoded, &kept)?;
        let WrittenCell { chain, layout, .. } = cell;
        if !self.write_empty && is_empty(decoded, &self.format.empty) {
            return Ok(Encoded::Empty);
        }
        out.clear();
        match &chain.serializer {
            Serializer::Bytes if chain.steps.is_empty() => Ok(Encoded::Raw),
            Serializer::Bytes => stored(chain.encode(decoded, out)),
            Serializer::Sharding(sharding) => {
                let Some(shard) = self.shard_of_decoded(sharding, &layout.stored_shape, decoded)? else {
                    return Ok(Encoded::Empty);
                };
                stored(chain.encode(&shard, out))
            }
            Serializer::Vlen(vlen) => stored(vlen::encode(decoded, chain, *vlen, out)),
        }
    }

    /// The chunk's new elements, packed in stored form, in `decoded`.
    fn merge(
        &self,
        cell: WrittenCell<'_>,
        old: Option<&[u8]>,
        decoded: &mut DecodedChunk,
        kept: &TextArena,
    ) -> Result<()> {
        let WrittenCell { chain, layout, projections } = cell;
        let decoded = decoded.room(layout.len)?;
        if self.format.vlen.is_some() {
            // References of an earlier chunk are not valid any more.
            repeat(decoded, &self.format.fill);
        }
        if let Some(old) = old {
            if !unless_dropped(self.decode_old(chain, layout, old, decoded, kept))? {
                repeat(decoded, &self.format.fill);
            }
        } else if !projections.axes.iter().any(|axes| covers(axes, &layout.shape)) {
            repeat(decoded, &self.format.fill);
        }
        let mut placer = Placer::default();
        for axes in projections.axes {
            let placement = placer.place(axes, projections.lists, &layout.strides, self.value.strides());
            let walks: Vec<CopyAxis<'_>> = placement
                .axes
                .as_slice()
                .iter()
                .map(|axis| CopyAxis { len: axis.len, from: axis.to, to: axis.from })
                .collect();
            self.value.gather(decoded, placement.array, placement.chunk, &walks);
        }
        Ok(())
    }

    /// Decodes the whole stored chunk `old` into `decoded`, in stored form.
    fn decode_old(
        &self,
        chain: &Chain,
        layout: &Layout,
        old: &[u8],
        decoded: &mut [u8],
        kept: &TextArena,
    ) -> Result<()> {
        let array = View::over(decoded, layout.strides.clone(), unswapped(self.format.item_size));
        let reader =
            Reader { format: self.format, array: &array, fill: &self.format.fill, validate: self.validate, kept };
        let axes = whole_axes(&layout.shape);
        reader.decode(old, chain, layout, Projections { axes: &[&axes], lists: &Lists::default() })
    }

    /// A whole shard from its packed, decoded form (a shard inside other codecs); `None` when all its subchunks are empty.
    fn shard_of_decoded(&self, sharding: &Sharding, shape: &[usize], decoded: &[u8]) -> Result<Option<Vec<u8>>> {
        let item_size = self.format.item_size;
        let value = View::of(decoded, packed_strides(shape, item_size), unswapped(item_size));
        let inner = Writer { value: &value, ..*self };
        let axes = whole_axes(shape);
        let projections = Projections { axes: &[&axes], lists: &Lists::default() };
        inner.new_shard(sharding, shape, None, projections)
    }

    /// A shard's new bytes: `projections` merged over the shard `old`; `None` when no subchunk remains.
    fn new_shard(
        &self,
        sharding: &Sharding,
        shape: &[usize],
        old: Option<&[u8]>,
        projections: Projections<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let plan = ShardPlan::new(sharding, shape, projections, self.format.item_size)?;
        let old = OldShard::new(old.filter(|_| !plan.overwrites_all()), sharding, &plan)?;
        let new =
            (0..plan.len()).map(|number| self.subchunk(sharding, &plan, &old, number)).collect::<Result<Vec<_>>>()?;
        Ok(lay_out(sharding, &plan, &old, &new)?.map(|shard| shard.parts(sharding.index_at_start).concat()))
    }

    /// The new bytes of touched subchunk `number`; `None` if it is empty.
    ///
    /// # Errors
    /// As [`Writer::encode`].
    pub fn subchunk(
        &self,
        sharding: &Sharding,
        plan: &ShardPlan,
        old: &OldShard<'_>,
        number: usize,
    ) -> Result<Option<Vec<u8>>> {
        let axes = plan.axes(number);
        let projections = Projections { axes: &axes, lists: &plan.pieces.lists };
        let covered = axes.iter().any(|axes| covers(axes, &plan.layout.shape));
        let stored = if covered { None } else { old.subchunk(plan.subchunk(number)) };
        if let Some(inner) = sharding.inner.as_shard() {
            return self.new_shard(inner, &plan.layout.shape, stored, projections);
        }
        let cell = WrittenCell { chain: &sharding.inner, layout: &plan.layout, projections };
        let (mut decoded, mut out) = (DecodedChunk::take(), Vec::new());
        Ok(match self.encode(cell, stored, &mut decoded, &mut out)? {
            Encoded::Empty => None,
            Encoded::Raw => Some(decoded.to_vec()),
            Encoded::Out => {
                out.shrink_to_fit();
                Some(out)
            }
        })
    }
}

/// Where the bytes are once the chain has run; a chunk that a codec turns into nothing is not stored, as in zarr.
fn stored(outcome: Result<()>) -> Result<Encoded> {
    Ok(if unless_dropped(outcome)? { Encoded::Out } else { Encoded::Empty })
}

/// The axes that select all of `shape` in natural order, on both sides.
fn whole_axes(shape: &[usize]) -> Vec<Axis> {
    shape
        .iter()
        .enumerate()
        .map(|(dim, len)| {
            let all = Coord::Range { dim, start: 0, step: 1 };
            Axis { len: *len, chunk: all, array: all }
        })
        .collect()
}

/// A stored shard that is written in part; untouched subchunks keep their encoded bytes.
#[derive(Debug)]
pub struct OldShard<'a> {
    bytes: &'a [u8],
    index: Index,
}

impl<'a> OldShard<'a> {
    /// The shard stored as `bytes`, or one without subchunks.
    ///
    /// # Errors
    /// `Value` when its index is truncated or damaged.
    pub fn new(bytes: Option<&'a [u8]>, sharding: &Sharding, plan: &ShardPlan) -> Result<Self> {
        let Some(bytes) = bytes else {
            return Ok(Self { bytes: &[], index: Index::empty(plan.grid.len()) });
        };
        let opened = Object::Bytes(bytes);
        let stored = Window::whole(&opened)?.request(plan.index_request(sharding));
        let stored = stored.in_memory().expect("the shard is in memory");
        Ok(Self { bytes, index: plan.feed_index(stored, sharding)? })
    }

    fn subchunk(&self, number: usize) -> Option<&'a [u8]> {
        let extent = self.index.get(number)?;
        let start = extent.offset.min(self.bytes.len() as u64) as usize;
        let len = extent.len.min((self.bytes.len() - start) as u64) as usize;
        Some(&self.bytes[start..start + len])
    }
}

/// A new shard as the parts it is made of.
#[derive(Debug)]
pub struct NewShard<'a> {
    index: Vec<u8>,
    subchunks: Vec<&'a [u8]>,
}

impl NewShard<'_> {
    /// Its parts in the order of their bytes.
    pub fn parts(&self, index_at_start: bool) -> Vec<&[u8]> {
        let mut parts = Vec::with_capacity(self.subchunks.len() + 1);
        if index_at_start {
            parts.push(self.index.as_slice());
        }
        parts.extend_from_slice(&self.subchunks);
        if !index_at_start {
            parts.push(self.index.as_slice());
        }
        parts
    }
}

/// Puts a shard together from its new subchunks (in the order of `plan`) and the old ones that were not touched; `None`
/// when there is no subchunk at all.
///
/// # Errors
/// What an index codec raises.
pub fn lay_out<'a>(
    sharding: &Sharding,
    plan: &ShardPlan,
    old: &OldShard<'a>,
    new: &'a [Option<impl AsRef<[u8]>>],
) -> Result<Option<NewShard<'a>>> {
    let mut subchunks: Vec<Option<&[u8]>> = (0..plan.grid.len()).map(|number| old.subchunk(number)).collect();
    for (number, new) in new.iter().enumerate() {
        subchunks[plan.subchunk(number)] = new.as_ref().map(AsRef::as_ref);
    }
    let lengths: Vec<Option<usize>> = subchunks.iter().map(|bytes| bytes.map(<[u8]>::len)).collect();
    let Some(layout) = sharding.assemble(&plan.grid, &lengths)? else { return Ok(None) };
    let subchunks = layout.order.iter().map(|number| subchunks[*number].expect("laid out, so present")).collect();
    Ok(Some(NewShard { index: layout.index, subchunks }))
}
