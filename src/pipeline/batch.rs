//! A batch of projections as plain data: which part of which chunk goes where in one array.

use crate::selection::{Axis, Lists, Span};

/// What zarr's `ArraySpec` says about a chunk beyond its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSpec {
    /// The full chunk shape, at the edge too.
    pub shape: Vec<usize>,
    /// Whether chunks that equal the fill value are stored.
    pub write_empty: bool,
}

/// One projection: a part of a chunk, and its place in the array.
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    /// Its axes in [`Batch::axes`].
    pub axes: Span,
    /// zarr's `is_complete_chunk`: nothing of the chunk's valid part remains after a write.
    pub complete: bool,
}

/// All projections of one chunk key.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    /// The key in [`Batch::keys`].
    pub key: Span,
    /// Which [`ChunkSpec`].
    pub spec: usize,
    /// Its projections in [`Batch::order`].
    pub projections: Span,
}

/// The axes of one chunk's (or one subchunk's) projections, and the lists that these refer to.
#[derive(Debug, Clone, Copy)]
pub struct Projections<'a> {
    /// Axes of each projection, in batch order.
    pub axes: &'a [&'a [Axis]],
    /// Their index lists.
    pub lists: &'a Lists,
}

/// A batch, in the order in which zarr passed it.
#[derive(Debug, Default)]
pub struct Batch {
    /// All keys, one after another.
    pub keys: String,
    /// Chunks, in the order of their first projection.
    pub chunks: Vec<Chunk>,
    /// Numbers of projections, by chunk, in batch order within a chunk.
    pub order: Vec<usize>,
    /// Projections in batch order.
    pub projections: Vec<Projection>,
    /// Axes of all projections.
    pub axes: Vec<Axis>,
    /// Their index lists.
    pub lists: Lists,
    /// Distinct chunk specs.
    pub specs: Vec<ChunkSpec>,
}

impl Batch {
    /// The key of `chunk`.
    pub fn key(&self, chunk: usize) -> &str {
        &self.keys[self.chunks[chunk].key.range()]
    }

    /// The spec of `chunk`.
    pub fn spec(&self, chunk: usize) -> &ChunkSpec {
        &self.specs[self.chunks[chunk].spec]
    }

    /// The numbers of the projections of `chunk`.
    pub fn projection_numbers(&self, chunk: usize) -> &[usize] {
        &self.order[self.chunks[chunk].projections.range()]
    }

    /// The axes of every projection of `chunk`, in batch order.
    pub fn projections_of(&self, chunk: usize) -> impl ExactSizeIterator<Item = &[Axis]> + Clone {
        self.projection_numbers(chunk).iter().map(|number| &self.axes[self.projections[*number].axes.range()])
    }

    /// Whether zarr says of a projection of `chunk` that it covers the valid part of the chunk.
    pub fn is_complete(&self, chunk: usize) -> bool {
        self.projection_numbers(chunk).iter().any(|number| self.projections[*number].complete)
    }
}

/// Collects the projections of a batch and brings those of one key together.
#[derive(Debug)]
pub struct BatchBuilder {
    /// The batch so far. The caller appends axes, lists and specs itself and then calls [`BatchBuilder::push`].
    pub batch: Batch,
    chunk_of: Vec<usize>,
    table: Vec<u32>,
    mask: usize,
}

impl BatchBuilder {
    /// A builder for `count` projections onto an array of `rank` dimensions.
    pub fn with_capacity(count: usize, rank: usize) -> Self {
        let mut batch = Batch::default();
        batch.projections.reserve(count);
        batch.chunks.reserve(count);
        batch.axes.reserve(count * rank.max(1));
        let size = (2 * count).next_power_of_two();
        Self { batch, chunk_of: Vec::with_capacity(count), table: vec![u32::MAX; size], mask: size - 1 }
    }

    /// Adds a projection of the chunk at `key` whose axes are those from `first_axis` on.
    pub fn push(&mut self, key: &str, spec: usize, first_axis: usize, complete: bool) {
        let axes = Span { start: first_axis, len: self.batch.axes.len() - first_axis };
        let chunk = self.chunk_at(key, spec);
        self.batch.chunks[chunk].projections.len += 1;
        self.chunk_of.push(chunk);
        self.batch.projections.push(Projection { axes, complete });
    }

    /// The batch, its projections ordered by chunk.
    pub fn finish(self) -> Batch {
        let Self { mut batch, chunk_of, .. } = self;
        if batch.chunks.len() == batch.projections.len() {
            batch.order = (0..batch.projections.len()).collect();
            for (number, chunk) in batch.chunks.iter_mut().enumerate() {
                chunk.projections.start = number;
            }
            return batch;
        }
        let mut start = 0;
        for chunk in &mut batch.chunks {
            chunk.projections.start = start;
            start += chunk.projections.len;
        }
        let mut next: Vec<usize> = batch.chunks.iter().map(|chunk| chunk.projections.start).collect();
        batch.order = vec![0; batch.projections.len()];
        for (projection, chunk) in chunk_of.iter().enumerate() {
            batch.order[next[*chunk]] = projection;
            next[*chunk] += 1;
        }
        batch
    }

    /// The chunk at `key`. zarr's own indexers name each key once; batches made by other callers may repeat keys.
    fn chunk_at(&mut self, key: &str, spec: usize) -> usize {
        let batch = &mut self.batch;
        // FNV-1a: keys are short, and a caller can only slow itself down by colliding keys.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut slot = (hash ^ hash >> 29) as usize & self.mask;
        loop {
            match self.table[slot] {
                u32::MAX => break,
                chunk if batch.key(chunk as usize) == key => return chunk as usize,
                _ => slot = (slot + 1) & self.mask,
            }
        }
        let start = batch.keys.len();
        batch.keys.push_str(key);
        let number = batch.chunks.len();
        let (key, projections) = (Span { start, len: key.len() }, Span { start: 0, len: 0 });
        batch.chunks.push(Chunk { key, spec, projections });
        self.table[slot] = u32::try_from(number).expect("fewer than 2^32 chunks in a batch");
        number
    }
}
