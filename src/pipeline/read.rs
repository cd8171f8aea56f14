//! A batch that is read into one array. Knows no store: the caller has the bytes, or a way to fetch them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::codec::Chain;
use crate::error::{Error, Result};
use crate::memory::{Scratch, SharedView, Slot, TextArena, swapped};
use crate::pipeline::cells::{self, Cells};
use crate::pipeline::decode::Reader;
use crate::pipeline::layout::Layout;
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::{Batch, ChunkFormat, Projections, estimate};
use crate::selection::{Axis, Lists};
use crate::store::{Fetch, Size, Window};

/// A batch, the array that it fills, and which of its chunks were missing.
#[derive(Debug)]
pub struct Read {
    format: Arc<ChunkFormat>,
    batch: Batch,
    out: SharedView,
    fill: Vec<u8>,
    validate: bool,
    layouts: Vec<Layout>,
    sizes: Vec<Size>,
    missing: Vec<AtomicBool>,
    /// Bytes that references in `out` point to.
    kept: TextArena,
}

impl Read {
    /// A read of `batch` into `out`, whose projections were checked against it.
    ///
    /// # Errors
    /// `Value` when a chunk shape does not fit the chain.
    pub fn new(format: Arc<ChunkFormat>, batch: Batch, out: SharedView, validate: bool) -> Result<Self> {
        let layouts = Layout::of_specs(&format, &batch.specs)?;
        let index = |layout: &Layout| format.chain.index_size(&layout.stored_shape);
        let unbounded = format.has_unbounded_length();
        let sizes = layouts.iter().map(|layout| Size::new(layout.len, index(layout)).or_any(unbounded)).collect();
        let fill = swapped(&format.fill, out.element());
        let missing = batch.chunks.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { format, batch, out, fill, validate, layouts, sizes, missing, kept: TextArena::default() })
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.batch.chunks.len()
    }

    /// Whether there is nothing to read.
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
        self.sizes[self.batch.chunks[chunk].spec]
    }

    /// For every projection, in batch order, whether its chunk is missing.
    pub fn missing_projections(&self) -> Vec<bool> {
        let mut projections = vec![false; self.batch.projections.len()];
        for (chunk, missing) in self.missing.iter().enumerate() {
            if missing.load(Ordering::Relaxed) {
                for number in self.batch.projection_numbers(chunk) {
                    projections[*number] = true;
                }
            }
        }
        projections
    }

    /// What places decoded chunks in the array.
    pub fn reader(&self) -> Reader<'_> {
        Reader { format: &self.format, array: &self.out, fill: &self.fill, validate: self.validate, kept: &self.kept }
    }

    /// What is wanted of a `chunk` that is a shard; `None` for other chunks.
    ///
    /// # Errors
    /// `Value` when its shape does not divide into subchunks.
    pub fn shard_plan(&self, chunk: usize) -> Result<Option<ShardPlan>> {
        let Some(sharding) = self.format.chain.as_shard() else { return Ok(None) };
        let axes: Vec<&[Axis]> = self.batch.projections_of(chunk).collect();
        let projections = Projections { axes: &axes, lists: &self.batch.lists };
        ShardPlan::new(sharding, &self.layout(chunk).shape, projections, self.format.item_size).map(Some)
    }

    /// Reads the chunks `range` from `bytes`, neighbours along the array's last axis together.
    ///
    /// # Errors
    /// The number of the chunk that failed, and its error with the chunk key.
    pub fn chunks(&self, bytes: &impl Fetch, range: Range<usize>) -> std::result::Result<(), (usize, Error)> {
        cells::read(&self.reader(), &Chunks { read: self, bytes }, range)
    }

    /// Fills the places of a `chunk` that is missing.
    pub fn fill_missing(&self, chunk: usize) {
        self.note_missing(chunk);
        let axes: Vec<&[Axis]> = self.batch.projections_of(chunk).collect();
        self.reader().fill(Projections { axes: &axes, lists: &self.batch.lists });
    }

    fn note_missing(&self, chunk: usize) {
        self.missing[chunk].store(true, Ordering::Relaxed);
    }

    /// About how long it takes to decode and place `chunk`, in microseconds.
    pub fn estimate(&self, chunk: usize) -> f64 {
        let axes = self.batch.projections_of(chunk);
        estimate::decode(&self.format.chain, self.layout(chunk), axes, self.format.item_size)
    }
}

/// The chunks of a batch, whose stored bytes come from `bytes`.
struct Chunks<'a, B> {
    read: &'a Read,
    bytes: &'a B,
}

impl<B: Fetch> Cells for Chunks<'_, B> {
    fn chain(&self) -> &Chain {
        &self.read.format.chain
    }

    fn layout(&self, cell: usize) -> &Layout {
        self.read.layout(cell)
    }

    fn are_alike(&self, cell: usize, other: usize) -> bool {
        let chunks = &self.read.batch.chunks;
        chunks[cell].spec == chunks[other].spec
    }

    fn axes(&self, cell: usize) -> impl ExactSizeIterator<Item = &[Axis]> {
        self.read.batch.projections_of(cell)
    }

    fn lists(&self) -> &Lists {
        &self.read.batch.lists
    }

    fn with_window<R>(&self, cell: usize, use_window: impl FnOnce(Option<Window<'_>>) -> Result<R>) -> Result<R> {
        match self.bytes.open(self.read.batch.key(cell), self.read.size(cell))? {
            Some(object) => use_window(Some(Window::whole(&object)?)),
            None => use_window(None),
        }
    }

    fn with_bytes<R>(&self, cell: usize, use_bytes: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
        let mut buffer = Scratch::take(Slot::Stored);
        use_bytes(self.bytes.get(self.read.batch.key(cell), self.read.size(cell), &mut buffer)?)
    }

    fn missing(&self, cell: usize) {
        self.read.note_missing(cell);
    }

    fn explain(&self, cell: usize, error: Error) -> Error {
        let error = match self.read.format.chain.as_shard() {
            // Its subchunks have been named already.
            Some(_) => error,
            None => self.layout(cell).explain(error, &self.read.format),
        };
        error.with_key(self.read.batch.key(cell))
    }
}
