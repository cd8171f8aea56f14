//! One decoded chunk and the array: decoding into place, scattering, filling. The caller has the stored bytes.

use crate::codec::array_to_bytes::sharding::Sharding;
use crate::codec::bytes_to_bytes::wrong_length;
use crate::codec::{Chain, Serializer};
use crate::error::Result;
use crate::memory::{DecodedChunk, Element, OutBytes, Scratch, Slot, Swap, TextArena, View};
use crate::pipeline::layout::Layout;
use crate::pipeline::placement::{Placer, single_run};
use crate::pipeline::plan::bounds;
use crate::pipeline::{ChunkFormat, Projections, shard, vlen};
use crate::selection::{Axis, renamed};
use crate::store::{Object, Window};

/// Decodes chunks of one format into one array.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// What the chunks have in common.
    pub format: &'a ChunkFormat,
    /// What is filled.
    pub array: &'a View<'a>,
    /// The fill value in the array's byte order.
    pub fill: &'a [u8],
    /// Whether checksums are checked.
    pub validate: bool,
    /// Where the bytes stay that references in `array` point to.
    pub kept: &'a TextArena,
}

impl Reader<'_> {
    /// Writes the fill value to every element of `projections`.
    pub fn fill(&self, projections: Projections<'_>) {
        // The chunk side is not looked at; NumPy has at most 64 dimensions.
        let unused = [0; 64];
        let mut placer = Placer::default();
        for axes in projections.axes {
            let placement = placer.place(axes, projections.lists, &unused, self.array.strides());
            self.array.fill(placement.array, placement.axes.as_slice(), self.fill);
        }
    }

    /// Scatters a chunk's packed, stored form to the places of `projections`.
    pub fn scatter(&self, decoded: &[u8], layout: &Layout, projections: Projections<'_>) {
        let mut placer = Placer::default();
        for axes in projections.axes {
            let placement = placer.place(axes, projections.lists, &layout.strides, self.array.strides());
            self.array.scatter(decoded, placement.chunk, placement.array, placement.axes.as_slice());
        }
    }

    /// The bytes of the array where a chunk is decoded in place: `projections` are one that selects the whole chunk, and its
    /// stored form lies in the array as it is.
    pub fn direct(&self, layout: &Layout, projections: Projections<'_>) -> Option<OutBytes<'_>> {
        let [axes] = projections.axes else { return None };
        if self.array.element().swap != Swap::None {
            return None;
        }
        let offset = single_run(axes, &layout.shape, &layout.strides, self.array.strides())?;
        Some(self.array.run(offset, layout.len))
    }

    /// Decodes the stored `bytes` of a chunk and places what `projections` select.
    ///
    /// # Errors
    /// `Value` when the bytes decode to another length than the shape needs; else what the codec raises.
    pub fn decode(&self, bytes: &[u8], chain: &Chain, layout: &Layout, projections: Projections<'_>) -> Result<()> {
        match &chain.serializer {
            Serializer::Bytes => {}
            Serializer::Sharding(sharding) => return self.decode_shard(bytes, chain, sharding, layout, projections),
            Serializer::Vlen(codec) => return vlen::decode(self, bytes, chain, *codec, layout, projections),
        }
        if chain.steps.is_empty() {
            return self.decode_raw(bytes, layout, projections);
        }
        if let Some(out) = self.direct(layout, projections) {
            return chain.decode_into(bytes, out, self.validate);
        }
        if let Some(outcome) = self.decode_span(bytes, chain, layout, projections) {
            return outcome;
        }
        let mut decoded = DecodedChunk::take();
        chain.decode_into(bytes, decoded.room(layout.len)?.into(), self.validate)?;
        self.scatter(&decoded, layout, projections);
        Ok(())
    }

    /// Places what `projections` select of an uncompressed chunk.
    ///
    /// # Errors
    /// `Value` when the bytes have another length than the shape needs.
    pub fn decode_raw(&self, bytes: &[u8], layout: &Layout, projections: Projections<'_>) -> Result<()> {
        if bytes.len() != layout.len {
            return Err(wrong_length(bytes.len(), layout.len));
        }
        self.scatter(bytes, layout, projections);
        Ok(())
    }

    /// Decodes only the part of a chunk that one projection needs, where its only step can do so (blosc).
    pub fn decode_span(
        &self,
        bytes: &[u8],
        chain: &Chain,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Option<Result<()>> {
        let ([step], [axes]) = (chain.decoding_steps(), projections.axes) else { return None };
        let mut placer = Placer::default();
        let placement = placer.place(axes, projections.lists, &layout.strides, self.array.strides());
        let (first, last) = bounds(placement.chunk, placement.axes.as_slice())?;
        let len = last - first + self.format.item_size;
        if len > layout.len / 2 {
            return None;
        }
        let mut decoded = DecodedChunk::take();
        let out = match decoded.room(len) {
            Ok(room) => room.into(),
            Err(error) => return Some(Err(error)),
        };
        let outcome = step.decode_span(bytes, layout.len, first, out)?;
        if outcome.is_ok() {
            let from = placement.chunk - first as isize;
            self.array.scatter(&decoded, from, placement.array, placement.axes.as_slice());
        }
        Some(outcome)
    }

    /// Decodes a shard that has other codecs around it: the steps are undone as a whole, then the shard is read in memory.
    fn decode_shard(
        &self,
        bytes: &[u8],
        chain: &Chain,
        sharding: &Sharding,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Result<()> {
        let subchunks = sharding.grid(&layout.stored_shape)?.len();
        let limit = match self.format.vlen {
            None => sharding.longest(layout.len, subchunks),
            // As in zarr-python: the bytes in front of a shard's index do not tell how many are to come.
            Some(_) => vlen::longest(layout.len).saturating_mul(2),
        };
        let limit = limit.saturating_add(sharding.index_size(subchunks)).saturating_add(1 << 16);
        let mut buffer = Scratch::take(Slot::Stored);
        let bytes = chain.decode(bytes, &mut buffer, limit, self.validate)?;
        let object = Object::Bytes(bytes);
        let window = Window::whole(&object)?;
        if chain.transpose.is_identity() {
            return shard::read(self, window, sharding, &layout.stored_shape, projections);
        }
        let names = chain.transpose.new_names(layout.shape.len());
        let mut lists = projections.lists.clone();
        let transposed: Vec<Vec<Axis>> = projections
            .axes
            .iter()
            .map(|axes| {
                axes.iter().map(|axis| Axis { chunk: renamed(axis.chunk, &names, &mut lists), ..*axis }).collect()
            })
            .collect();
        let axes: Vec<&[Axis]> = transposed.iter().map(Vec::as_slice).collect();
        shard::read(self, window, sharding, &layout.stored_shape, Projections { axes: &axes, lists: &lists })
    }
}

/// An element that keeps its byte order: stored form to stored form.
pub fn unswapped(item_size: usize) -> Element {
    Element { size: item_size, swap: Swap::None }
}
