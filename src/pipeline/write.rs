//! Writing a batch to a native store: merge with what is there, encode, set or erase; one unit a chunk, or one a subchunk
//! where few shards hold many.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::codec::array_to_bytes::sharding::Sharding;
use crate::error::{Error, Result};
use crate::memory::{DecodedChunk, Scratch, SharedView, Slot};
use crate::pipeline::decode::{Layout, Projections};
use crate::pipeline::encode::{Encoded, Writer};
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::source::{Size, Store};
use crate::pipeline::{Batch, ChunkFormat, encode};
use crate::selection::{Axis, covers};

/// What became of a chunk of a memory store; `bindings/` carries it out.
#[derive(Debug)]
pub enum Stored {
    /// The new bytes.
    Set(Vec<u8>),
    /// The key goes.
    Erase,
}

/// A batch that is being written.
#[derive(Debug)]
pub struct Write {
    format: Arc<ChunkFormat>,
    batch: Batch,
    store: Store,
    value: SharedView,
    validate: bool,
    layouts: Vec<Layout>,
    stored: Vec<Mutex<Option<Stored>>>,
}

impl Write {
    /// A write of `batch` from `value`, whose projections were checked against it.
    ///
    /// # Errors
    /// `Value` when a chunk shape does not fit the chain.
    pub fn new(
        format: Arc<ChunkFormat>,
        batch: Batch,
        store: Store,
        value: SharedView,
        validate: bool,
    ) -> Result<Self> {
        let layouts = batch
            .specs
            .iter()
            .map(|spec| Layout::new(&format.chain, &spec.shape, format.item_size))
            .collect::<Result<_>>()?;
        let stored = batch.chunks.iter().map(|_| Mutex::new(None)).collect();
        Ok(Self { format, batch, store, value, validate, layouts, stored })
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.batch.chunks.len()
    }

    /// What the chunks have in common.
    pub fn format(&self) -> &ChunkFormat {
        &self.format
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.batch.chunks.is_empty()
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// What a memory store has to do for chunk `number`, once.
    pub fn take_stored(&self, number: usize) -> Option<Stored> {
        self.stored[number].lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn writer(&self, number: usize) -> Writer<'_> {
        Writer {
            format: &self.format,
            value: &self.value,
            validate: self.validate,
            write_empty: self.batch.spec(number).write_empty,
        }
    }

    /// The layout of chunk `number`.
    pub fn layout(&self, number: usize) -> &Layout {
        &self.layouts[self.batch.chunks[number].spec]
    }

    /// Writes the chunks `range`.
    ///
    /// # Errors
    /// The number of the chunk that failed, and its error with the chunk key.
    pub fn chunks(&self, range: Range<usize>) -> std::result::Result<(), (usize, Error)> {
        for number in range {
            self.chunk(number, None).map_err(|error| (number, error.with_key(self.batch.key(number))))?;
        }
        Ok(())
    }

    /// Encodes chunk `number` over its stored bytes `old`, which somebody else got where [`Write::needs_old`] says so.
    ///
    /// # Errors
    /// With the chunk key.
    pub fn chunk_over(&self, number: usize, old: Option<&[u8]>) -> std::result::Result<(), (usize, Error)> {
        self.chunk(number, Some(old)).map_err(|error| (number, error.with_key(self.batch.key(number))))
    }

    /// Whether something of chunk `number` may remain, so that its stored bytes are needed.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn needs_old(&self, number: usize) -> Result<bool> {
        let axes: Vec<&[Axis]> = self.batch.projections_of(number).collect();
        let Some(sharding) = self.format.chain.as_shard() else {
            return Ok(!self.is_complete(number, &axes));
        };
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        let plan = ShardPlan::new(sharding, &self.layout(number).shape, projections, self.format.item_size)?;
        Ok(!plan.overwrites_all())
    }

    fn is_complete(&self, number: usize, axes: &[&[Axis]]) -> bool {
        // An edge chunk may be complete though the selection leaves out what lies beyond the array's edge.
        self.batch.projection_numbers(number).iter().any(|row| self.batch.projections[*row].complete)
            || axes.iter().any(|axes| covers(axes, &self.layout(number).shape))
    }

    /// `fed`: the stored bytes, where somebody else got them.
    #[allow(clippy::option_option, reason = "bytes that are missing are not bytes that nobody got")]
    fn chunk(&self, number: usize, fed: Option<Option<&[u8]>>) -> Result<()> {
        let axes: Vec<&[Axis]> = self.batch.projections_of(number).collect();
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        let (chain, layout, key) = (&self.format.chain, self.layout(number), self.batch.key(number));
        let writer = self.writer(number);
        let mut existing = Scratch::take(Slot::Stored);
        if let Some(sharding) = chain.as_shard() {
            let plan = ShardPlan::new(sharding, &layout.shape, projections, self.format.item_size)?;
            let stored = match fed {
                Some(stored) => stored.filter(|_| !plan.overwrites_all()),
                None if plan.overwrites_all() => None,
                None => self.store.get(number, key, Size::new(2 * layout.len, 0), &mut existing)?,
            };
            let shard = encode::OldShard::new(stored, sharding, &plan)?;
            let parts = (0..plan.len())
                .map(|subchunk| writer.subchunk(sharding, &plan, &shard, subchunk))
                .collect::<Result<Vec<_>>>()?;
            return self.finish_shard(number, sharding, &plan, &shard, &parts);
        }
        let old = match fed {
            _ if self.is_complete(number, &axes) => None,
            Some(stored) => stored,
            None => self.store.get(number, key, Size::new(layout.len, 0), &mut existing)?,
        };
        let (mut decoded, mut out) = (DecodedChunk::take(), Scratch::take(Slot::Encoded));
        match writer.encode(chain, layout, old, projections, &mut decoded, &mut out)? {
            Encoded::Empty => self.erase(number),
            Encoded::DecodedChunk => self.set(number, &[&decoded]),
            Encoded::Out => self.set(number, &[&out]),
        }
    }

    fn set(&self, number: usize, parts: &[&[u8]]) -> Result<()> {
        match &self.store {
            Store::Local(store) => store.set(self.batch.key(number), parts),
            Store::Zip(_) => Err(read_only()),
            Store::Memory(_) => {
                self.keep(number, Stored::Set(parts.concat()));
                Ok(())
            }
        }
    }

    fn erase(&self, number: usize) -> Result<()> {
        match &self.store {
            Store::Local(store) => store.erase(self.batch.key(number)),
            Store::Zip(_) => Err(read_only()),
            Store::Memory(_) => {
                self.keep(number, Stored::Erase);
                Ok(())
            }
        }
    }

    fn keep(&self, number: usize, stored: Stored) {
        *self.stored[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(stored);
    }

    fn finish_shard(
        &self,
        number: usize,
        sharding: &Sharding,
        plan: &ShardPlan,
        old: &encode::OldShard<'_>,
        new: &[Option<impl AsRef<[u8]>>],
    ) -> Result<()> {
        let parts = encode::lay_out(sharding, plan, old, new)?;
        match parts {
            None => self.erase(number),
            Some(layout) => self.set(number, &layout.parts(sharding.index_at_start)),
        }
    }

    /// Whether the chunks are shards few enough that their subchunks should be the units.
    pub fn schedule_subchunks(&self, threads: usize) -> bool {
        threads > 1 && self.format.chain.as_shard().is_some() && self.len() < 8 * threads
    }

    /// Whether chunks are shards, which [`Write::subchunks_over`] can encode by parts.
    pub fn is_shard(&self) -> bool {
        self.format.chain.as_shard().is_some()
    }

    fn sharding(&self) -> &Sharding {
        self.format.chain.as_shard().expect("asked for shards only")
    }

    /// What is written to every shard, subchunk by subchunk; no I/O.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn shards(&self) -> Result<Vec<ShardWrite>> {
        (0..self.len()).map(|number| self.shard(number)).collect()
    }

    /// As [`Write::shards`], for one of them.
    ///
    /// # Errors
    /// As there.
    pub fn shard(&self, number: usize) -> Result<ShardWrite> {
        let axes: Vec<&[Axis]> = self.batch.projections_of(number).collect();
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        let plan = ShardPlan::new(self.sharding(), &self.layout(number).shape, projections, self.format.item_size)?;
        Ok(ShardWrite {
            number,
            left: AtomicUsize::new(plan.len()),
            new: (0..plan.len()).map(|_| OnceLock::new()).collect(),
            old: OnceLock::new(),
            plan,
        })
    }

    /// Encodes the touched subchunks `range` of a shard; whoever encodes the last one stores the shard.
    ///
    /// # Errors
    /// With the chunk key.
    pub fn subchunks(&self, shard: &ShardWrite, range: Range<usize>) -> Result<()> {
        self.read_and_encode(shard, range).map_err(|error| error.with_key(self.batch.key(shard.number)))
    }

    /// As [`Write::subchunks`], over the shard's stored bytes `old`, which somebody else got.
    ///
    /// # Errors
    /// The chunk's number, and its error with the chunk key.
    pub fn subchunks_over(
        &self,
        shard: &ShardWrite,
        range: Range<usize>,
        old: Option<&[u8]>,
    ) -> std::result::Result<(), (usize, Error)> {
        let old = old.filter(|_| !shard.plan.overwrites_all());
        let number = shard.number;
        self.encode_subchunks(shard, range, old).map_err(|error| (number, error.with_key(self.batch.key(number))))
    }

    fn read_and_encode(&self, shard: &ShardWrite, range: Range<usize>) -> Result<()> {
        let mut failure = None;
        let old = shard.old.get_or_init(|| {
            let read = || {
                if shard.plan.overwrites_all() {
                    return Ok(None);
                }
                let mut buffer = Vec::new();
                let size = Size::new(2 * self.layout(shard.number).len, 0);
                let key = self.batch.key(shard.number);
                Ok(self.store.get(shard.number, key, size, &mut buffer)?.map(<[u8]>::to_vec))
            };
            read().map_err(|error: Error| failure = Some(error)).ok()
        });
        if let Some(error) = failure {
            return Err(error);
        }
        // Failed for whoever came first.
        let Some(old) = old else { return Ok(()) };
        self.encode_subchunks(shard, range, old.as_deref())
    }

    fn encode_subchunks(&self, shard: &ShardWrite, range: Range<usize>, old: Option<&[u8]>) -> Result<()> {
        let sharding = self.sharding();
        let old = encode::OldShard::new(old, sharding, &shard.plan)?;
        let writer = self.writer(shard.number);
        let count = range.len();
        for subchunk in range {
            let encoded = writer.subchunk(sharding, &shard.plan, &old, subchunk)?;
            shard.new[subchunk].set(encoded).expect("every unit runs once");
        }
        if shard.left.fetch_sub(count, Ordering::AcqRel) == count {
            let new: Vec<_> =
                shard.new.iter().map(|slot| slot.get().expect("the last unit saw all others end").as_deref()).collect();
            self.finish_shard(shard.number, sharding, &shard.plan, &old, &new)?;
        }
        Ok(())
    }

    /// About how long the work takes on one thread, in microseconds.
    pub fn estimate(&self) -> f64 {
        let per_object = if matches!(self.store, Store::Local(_)) { 60.0 } else { 1.0 };
        (0..self.len()).map(|number| per_object + self.estimate_encode(number)).sum()
    }

    /// About how long it takes to encode chunk `number`, in microseconds.
    pub fn estimate_encode(&self, number: usize) -> f64 {
        let per_kib = if self.format.chain.is_raw() { 0.5 } else { self.format.chain.cost_per_kib().encode };
        self.layout(number).len as f64 / 1024.0 * per_kib
    }
}

/// One shard of a batch, written subchunk by subchunk.
#[derive(Debug)]
pub struct ShardWrite {
    number: usize,
    /// What is written to it.
    pub plan: ShardPlan,
    /// Subchunks not yet encoded.
    left: AtomicUsize,
    /// The encoded subchunks; `None` inside for an empty one.
    new: Vec<OnceLock<Option<Vec<u8>>>>,
    /// The stored shard before; `None` altogether if reading it failed.
    #[allow(clippy::option_option, reason = "a shard that is missing is not one that could not be read")]
    old: OnceLock<Option<Option<Vec<u8>>>>,
}

/// Python refuses before a batch is made; this is for whoever comes by another way.
fn read_only() -> Error {
    Error::value("the archive was opened for reading")
}
