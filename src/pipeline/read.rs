//! Reading a batch from a native store: one unit a chunk, or one a subchunk where few shards hold many.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::codec::array_to_bytes::sharding::{Index, Sharding};
use crate::codec::bytes_to_bytes::wrong_length;
use crate::codec::{Chain, Serializer};
use crate::error::{Error, Result, unless_dropped};
use crate::memory::{DecodedChunk, OutBytes, Scratch, SharedView, Slot, TextArena, repeat, swapped};
use crate::pipeline::decode::{Layout, Projections, Reader, cost, neighbour};
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::source::{Opened, Size, Store, Window};
use crate::pipeline::{Batch, ChunkFormat, shard};
use crate::selection::{Axis, count, is_whole};

/// A batch that is being read.
#[derive(Debug)]
pub struct Read {
    format: Arc<ChunkFormat>,
    batch: Batch,
    store: Store,
    out: SharedView,
    fill: Vec<u8>,
    validate: bool,
    layouts: Vec<Layout>,
    sizes: Vec<Size>,
    missing: Vec<AtomicBool>,
    /// Text to which references in `out` point.
    kept: TextArena,
}

impl Read {
    /// A read of `batch` into `out`, whose projections were checked against it.
    ///
    /// # Errors
    /// `Value` when a chunk shape does not fit the chain.
    pub fn new(format: Arc<ChunkFormat>, batch: Batch, store: Store, out: SharedView, validate: bool) -> Result<Self> {
        let layouts = batch
            .specs
            .iter()
            .map(|spec| Layout::new(&format.chain, &spec.shape, format.item_size))
            .collect::<Result<Vec<_>>>()?;
        let index = |layout: &Layout| match &format.chain.serializer {
            Serializer::Sharding(sharding) => {
                sharding.grid(&layout.stored_shape).map_or(0, |grid| sharding.index_size(grid.len()))
            }
            Serializer::Bytes | Serializer::Vlen(_) => 0,
        };
        let unknown = format.text.is_some() || format.chain.python_call().is_some();
        let sizes = layouts.iter().map(|layout| Size::new(layout.len, index(layout)).or_any(unknown)).collect();
        let fill = swapped(&format.fill, out.element());
        let missing = batch.chunks.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { format, batch, store, out, fill, validate, layouts, sizes, missing, kept: TextArena::default() })
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.batch.chunks.len()
    }

    /// What the chunks have in common.
    pub fn format(&self) -> &ChunkFormat {
        &self.format
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.batch.chunks.is_empty()
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// For every projection, in batch order, whether its chunk is missing.
    pub fn missing_projections(&self) -> Vec<bool> {
        let mut projections = vec![false; self.batch.projections.len()];
        for (number, missing) in self.missing.iter().enumerate() {
            if missing.load(Ordering::Relaxed) {
                for row in self.batch.projection_numbers(number) {
                    projections[*row] = true;
                }
            }
        }
        projections
    }

    /// Bytes in one element.
    pub fn item_size(&self) -> usize {
        self.format.item_size
    }

    /// The chunk's steps.
    pub fn chain(&self) -> &Chain {
        &self.format.chain
    }

    /// What places decoded chunks in the array.
    pub fn reader(&self) -> Reader<'_> {
        Reader { format: &self.format, array: &self.out, fill: &self.fill, validate: self.validate, kept: &self.kept }
    }

    /// The layout of chunk `number`.
    pub fn layout(&self, number: usize) -> &Layout {
        &self.layouts[self.batch.chunks[number].spec]
    }

    fn size(&self, number: usize) -> Size {
        self.sizes[self.batch.chunks[number].spec]
    }

    /// Reads the chunks `range`, neighbours along the array's last axis together.
    ///
    /// # Errors
    /// The number of the chunk that failed, and its error with the chunk key.
    pub fn chunks(&self, range: Range<usize>) -> std::result::Result<(), (usize, Error)> {
        let mut at = range.start;
        while at < range.end {
            let (len, outcome) = match self.line_from(at, range.end) {
                Some((len, distance)) => (len, self.line(at..at + len, distance)),
                None => (1, self.chunk(at).map_err(|error| (at, error))),
            };
            outcome.map_err(|(number, error)| (number, self.explain(number, error)))?;
            at += len;
        }
        Ok(())
    }

    fn explain(&self, number: usize, error: Error) -> Error {
        let error = match self.format.chain.as_shard() {
            // Its subchunks have been named already.
            Some(_) => error,
            None => self.layout(number).explain(error, &self.format),
        };
        error.with_key(self.batch.key(number))
    }

    fn chunk(&self, number: usize) -> Result<()> {
        let mut single = [&[][..]];
        let many: Vec<&[Axis]>;
        let mut axes = self.batch.projections_of(number);
        let axes: &[&[Axis]] = if axes.len() == 1 {
            single[0] = axes.next().expect("a chunk has a row");
            &single
        } else {
            many = axes.collect();
            &many
        };
        let projections = Projections { axes, lists: &self.batch.lists };
        let (reader, layout, chain) = (self.reader(), self.layout(number), &self.format.chain);
        let key = self.batch.key(number);
        let lone = chain.as_shard();
        if lone.is_some() || chain.is_raw() || reader.may_read_span(chain, layout, projections) {
            let Some(opened) = self.store.open(number, key, self.size(number))? else {
                return self.missing(number, projections);
            };
            let window = Window::whole(&opened)?;
            return match lone {
                Some(sharding) => shard::read(&reader, window, sharding, &layout.shape, projections),
                None if chain.is_raw() => reader.read_raw(window, layout, projections),
                None => {
                    self.unless_missing(number, projections, reader.read_encoded(window, chain, layout, projections))
                }
            };
        }
        let mut buffer = Scratch::take(Slot::Stored);
        match self.store.get(number, key, self.size(number), &mut buffer)? {
            None => self.missing(number, projections),
            Some(bytes) => self.unless_missing(number, projections, reader.decode(bytes, chain, layout, projections)),
        }
    }

    /// Decodes and places chunk `number` from its stored bytes, which somebody else got; `None`: it is missing.
    ///
    /// # Errors
    /// As [`Read::chunks`].
    pub fn fed(&self, number: usize, stored: Option<&[u8]>) -> std::result::Result<(), (usize, Error)> {
        let axes: Vec<&[Axis]> = self.batch.projections_of(number).collect();
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        let (reader, layout, chain) = (self.reader(), self.layout(number), &self.format.chain);
        let outcome = match stored {
            None => self.missing(number, projections),
            Some(bytes) => self.unless_missing(number, projections, reader.decode(bytes, chain, layout, projections)),
        };
        outcome.map_err(|error| (number, self.explain(number, error)))
    }

    /// A chunk of which a codec makes nothing counts as missing, as in zarr.
    fn unless_missing(&self, number: usize, projections: Projections<'_>, outcome: Result<()>) -> Result<()> {
        if unless_dropped(outcome)? { Ok(()) } else { self.missing(number, projections) }
    }

    #[allow(clippy::unnecessary_wraps)]
    fn missing(&self, number: usize, projections: Projections<'_>) -> Result<()> {
        self.missing[number].store(true, Ordering::Relaxed);
        self.reader().fill(projections);
        Ok(())
    }

    /// The axes of chunk `number`, if one projection wants all of it.
    fn whole(&self, number: usize) -> Option<&[Axis]> {
        let mut projections = self.batch.projections_of(number);
        let axes = projections.next().filter(|_| projections.len() == 0)?;
        is_whole(axes, &self.layout(number).shape).then_some(axes)
    }

    /// How many chunks from `at` on lie side by side in the array (at least two), and their distance there in bytes.
    fn line_from(&self, at: usize, end: usize) -> Option<(usize, isize)> {
        let layout = self.layout(at);
        if !matches!(self.format.chain.serializer, Serializer::Bytes) || layout.len.saturating_mul(2) > shard::LINE {
            return None;
        }
        let first = self.whole(at)?;
        if self.reader().direct(layout, Projections { axes: &[first], lists: &self.batch.lists }).is_some() {
            return None;
        }
        let most = (shard::LINE / layout.len.max(1)).min(end - at);
        let (mut len, mut before, mut distance) = (1, first, None);
        while len < most && self.batch.chunks[at + len].spec == self.batch.chunks[at].spec {
            let Some(next) = self.whole(at + len) else { break };
            let Some(step) = neighbour(before, next, self.out.strides()) else { break };
            distance = Some(step);
            before = next;
            len += 1;
        }
        distance.map(|distance| (len, distance))
    }

    fn line(&self, range: Range<usize>, distance: isize) -> std::result::Result<(), (usize, Error)> {
        let (first, count, layout) = (range.start, range.len(), self.layout(range.start));
        let mut decoded = DecodedChunk::take();
        let room = decoded.room(count * layout.len).map_err(|error| (first, error))?;
        for number in range {
            let decoded = &mut room[(number - first) * layout.len..][..layout.len];
            let found = self.decode_into(number, OutBytes::from(&mut *decoded)).map_err(|error| (number, error))?;
            if !found {
                self.missing[number].store(true, Ordering::Relaxed);
                repeat(decoded, &self.format.fill);
            }
        }
        let axes = self.whole(first).expect("a line starts with a whole chunk");
        shard::scatter_line(&self.reader(), layout, axes, &self.batch.lists, room, count, distance);
        Ok(())
    }

    /// Decodes chunk `number` into `place`; false if it is missing.
    fn decode_into(&self, number: usize, place: OutBytes<'_>) -> Result<bool> {
        let key = self.batch.key(number);
        if self.format.chain.is_raw() {
            let Some(opened) = self.store.open(number, key, self.size(number))? else { return Ok(false) };
            let window = Window::whole(&opened)?;
            if window.len != place.len() as u64 {
                return Err(wrong_length(window.len as usize, place.len()));
            }
            window.read_into(0, place)?;
            return Ok(true);
        }
        let mut stored = Scratch::take(Slot::Stored);
        let Some(bytes) = self.store.get(number, key, self.size(number), &mut stored)? else {
            return Ok(false);
        };
        unless_dropped(self.format.chain.decode_into(bytes, place, self.validate))
    }

    /// Whether the chunks are shards few enough that their subchunks should be the units.
    pub fn schedule_subchunks(&self, threads: usize) -> bool {
        threads > 1 && self.format.chain.as_shard().is_some() && self.len() < 8 * threads
    }

    /// What is wanted of every shard, subchunk by subchunk; no I/O.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn shards(&self) -> Result<Vec<ShardRead>> {
        (0..self.len())
            .map(|number| {
                let axes: Vec<&[Axis]> = self.batch.projections_of(number).collect();
                let projections = Projections { axes: &axes, lists: &self.batch.lists };
                let shape = &self.layout(number).shape;
                let plan = ShardPlan::new(self.sharding(), shape, projections, self.format.item_size)?;
                Ok(ShardRead { number, plan, opened: OnceLock::new() })
            })
            .collect()
    }

    fn sharding(&self) -> &Sharding {
        self.format.chain.as_shard().expect("asked for shards only")
    }

    /// Reads the touched subchunks `range` of a shard; whoever comes first reads its index.
    ///
    /// # Errors
    /// With the chunk key.
    pub fn subchunks(&self, shard: &ShardRead, range: Range<usize>) -> Result<()> {
        let mut failure = None;
        let opened = shard.opened.get_or_init(|| {
            self.open_shard(shard).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        });
        if let Some(error) = failure {
            return Err(error.with_key(self.batch.key(shard.number)));
        }
        // Missing and filled, or failed for whoever came first.
        let Some((file, index)) = opened else { return Ok(()) };
        let read = || {
            let opened = match file {
                Some(file) => file.clone(),
                None => self
                    .store
                    .open(shard.number, self.batch.key(shard.number), self.size(shard.number))?
                    .expect("an object in memory is held for the whole batch"),
            };
            let window = Window::whole(&opened)?;
            let parts = shard::Shard { window, sharding: self.sharding(), plan: &shard.plan, index };
            shard::read_subchunks(&self.reader(), parts, range)
        };
        read().map_err(|error: Error| error.with_key(self.batch.key(shard.number)))
    }

    fn open_shard(&self, shard: &ShardRead) -> Result<Option<OpenShard>> {
        let Some(opened) = self.store.open(shard.number, self.batch.key(shard.number), self.size(shard.number))? else {
            let axes: Vec<&[Axis]> = self.batch.projections_of(shard.number).collect();
            self.missing(shard.number, Projections { axes: &axes, lists: &self.batch.lists })?;
            return Ok(None);
        };
        let window = Window::whole(&opened)?;
        if self.validate && shard.plan.is_checked(self.sharding(), window.len) {
            window.check()?;
        }
        let index = shard::read_index(window, self.sharding(), &shard.plan)?;
        // Bytes in memory are opened again by each unit: they borrow from the store.
        let file = match opened {
            Opened::File(object) => Some(Opened::File(object)),
            Opened::Entry(object) => Some(Opened::Entry(object)),
            Opened::Inflated(bytes) => Some(Opened::Inflated(bytes)),
            Opened::Bytes(_) | Opened::Part { .. } => None,
        };
        Ok(Some((file, index)))
    }

    /// About how long the work takes on one thread, in microseconds.
    pub fn estimate(&self) -> f64 {
        let per_object = match self.store {
            Store::Local(_) => 6.0,
            Store::Zip(_) => 2.0,
            Store::Memory(_) => 0.5,
        };
        (0..self.len()).map(|number| per_object + self.estimate_decode(number)).sum()
    }

    /// About how long it takes to decode and place chunk `number`, in microseconds.
    pub fn estimate_decode(&self, number: usize) -> f64 {
        let (layout, chain) = (self.layout(number), &self.format.chain);
        match chain.as_shard() {
            None => {
                let wanted: usize = self.batch.projections_of(number).map(count).sum();
                cost(chain, layout.len, wanted * self.format.item_size)
            }
            Some(sharding) => {
                let touched: usize = self.batch.projections_of(number).map(|axes| touched(axes, sharding)).sum();
                let subchunks = sharding.grid(&layout.shape).map_or(1, |grid| grid.len());
                subchunks as f64 * 0.002
                    + touched.min(subchunks) as f64 * shard::estimate(sharding, self.format.item_size)
            }
        }
    }
}

/// About how many subchunks the axes touch.
fn touched(axes: &[Axis], sharding: &Sharding) -> usize {
    axes.iter()
        .map(|axis| match axis.chunk {
            crate::selection::Coord::Range { dim, step, .. } => {
                (axis.len * step / sharding.chunk_shape[dim] + 1).min(axis.len)
            }
            _ => axis.len,
        })
        .product()
}

type OpenShard = (Option<Opened<'static>>, Index);

/// One shard of a batch, read subchunk by subchunk.
#[derive(Debug)]
pub struct ShardRead {
    number: usize,
    /// What is wanted of it.
    pub plan: ShardPlan,
    /// The open file (`None`: bytes in memory) and the index; `None` altogether for a missing shard.
    opened: OnceLock<Option<OpenShard>>,
}
