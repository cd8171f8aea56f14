//! A batch of projections, read into one array or written from one. No Python, no knowledge of zarr's objects.
#![forbid(unsafe_code)]

pub mod decode;
pub mod encode;
pub mod placement;
pub mod plan;
pub mod read;
pub mod requests;
pub mod shard;
pub mod source;
pub mod vlen;
pub mod write;

use crate::codec::Chain;
use crate::memory::FillTest;
use crate::selection::{Axis, Lists, Span};

/// What all chunks of an array have in common: the chain, the size of an element, the fill value. Immutable and shared.
#[derive(Debug)]
pub struct ChunkFormat {
    /// The chunk's steps.
    pub chain: Chain,
    /// Bytes in one element.
    pub item_size: usize,
    /// One element of the fill value, in stored byte order; a reference into `text` where there is one.
    pub fill: Vec<u8>,
    /// For elements of variable length, of which decoded hold references.
    pub text: Option<Text>,
    /// When a chunk counts as empty.
    pub empty: FillTest,
}

/// What is special about elements of variable length.
#[derive(Debug)]
pub struct Text {
    /// The fill value.
    pub fill: Box<[u8]>,
    /// Whether elements are text rather than bytes.
    pub utf8: bool,
}

impl ChunkFormat {
    /// How long an element is, in words: "of 8 bytes".
    pub fn item_words(&self) -> String {
        match self.text {
            None => format!("of {} bytes", self.item_size),
            Some(_) => "of variable length".to_owned(),
        }
    }
}

/// What zarr's `ArraySpec` says about a chunk beyond the format.
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
    /// zarr's word that nothing of the chunk's valid part remains after a write.
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

/// A batch as plain projections.
#[derive(Debug, Default)]
pub struct Batch {
    /// All keys, one after another.
    pub keys: String,
    /// Chunks, in the order of their first projection.
    pub chunks: Vec<Chunk>,
    /// Projection numbers, grouped by chunk, in batch order within a chunk.
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
    /// The chunk key of chunk `number`.
    pub fn key(&self, number: usize) -> &str {
        &self.keys[self.chunks[number].key.range()]
    }

    /// The chunk spec of chunk `number`.
    pub fn spec(&self, number: usize) -> &ChunkSpec {
        &self.specs[self.chunks[number].spec]
    }

    /// Projection numbers of chunk `number`.
    pub fn projection_numbers(&self, number: usize) -> &[usize] {
        &self.order[self.chunks[number].projections.range()]
    }

    /// The axes of every row of chunk `number`, in batch order.
    pub fn projections_of(&self, number: usize) -> impl ExactSizeIterator<Item = &[Axis]> + Clone {
        self.projection_numbers(number).iter().map(|row| &self.axes[self.projections[*row].axes.range()])
    }
}
