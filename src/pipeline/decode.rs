//! One chunk's decoded form and the array: decoding into place, scattering, filling, gathering. Bytes come from the caller.

use crate::codec::array_to_bytes::sharding::Sharding;
use crate::codec::bytes_to_bytes::wrong_length;
use crate::codec::{Chain, Serializer};
use crate::error::{Error, Kind, Result};
use crate::memory::{CopyAxis, DecodedChunk, Element, OutBytes, Scratch, Slot, Swap, TextArena, View, Walk};
use crate::pipeline::placement::{Placer, packed_strides, single_run};
use crate::pipeline::source::{Opened, Window};
use crate::pipeline::{ChunkFormat, shard, vlen};
use crate::selection::{Axis, Coord, Lists, count};

/// Length in bytes from which a chunk is worth being read in parts, each of which is a system call.
const SPAN_FROM: usize = 1 << 17;

/// How the elements of a chunk of one shape lie in its packed, stored form.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The chunk shape.
    pub shape: Vec<usize>,
    /// The shape after the chain's transposition.
    pub stored_shape: Vec<usize>,
    /// Bytes to the next index of each chunk dimension in the stored form.
    pub strides: Vec<isize>,
    /// Length of the stored form in bytes.
    pub len: usize,
}

impl Layout {
    /// The layout of chunks of `shape` under `chain`.
    ///
    /// # Errors
    /// `Value` when the shape does not fit the chain's transposition or the address space.
    pub fn new(chain: &Chain, shape: &[usize], item_size: usize) -> Result<Self> {
        let len = shape
            .iter()
            .try_fold(item_size, |size, n| size.checked_mul(*n))
            .filter(|len| isize::try_from(*len).is_ok())
            .ok_or_else(|| Error::value(format!("a chunk of shape {shape:?} does not fit the address space")))?;
        let stored_shape = chain.transpose.apply(shape)?;
        let packed = packed_strides(&stored_shape, item_size);
        let strides = chain.transpose.new_names(shape.len()).into_iter().map(|stored| packed[stored]).collect();
        Ok(Self { shape: shape.to_vec(), stored_shape, strides, len })
    }

    /// `error`, if it is about a value, with what the chunk should hold: "(4 × 8 elements of 2 bytes)".
    #[must_use]
    pub fn explain(&self, error: Error, format: &ChunkFormat) -> Error {
        if !matches!(error.kind, Kind::Value | Kind::TooLong) {
            return error;
        }
        let lengths: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let elements =
            if lengths.is_empty() { "one element".to_owned() } else { format!("{} elements", lengths.join(" × ")) };
        Error { message: format!("{} ({elements} {})", error.message, format.item_words()), ..error }
    }
}

/// The projections of one chunk: their axes, and the lists these refer to.
#[derive(Debug, Clone, Copy)]
pub struct Projections<'a> {
    /// Axes of each projection, in batch order.
    pub axes: &'a [&'a [Axis]],
    /// Their index lists.
    pub lists: &'a Lists,
}

/// Decodes chunks of one engine into one array.
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
    /// Where the text stays to which references in `array` point.
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

    /// Scatters the packed, stored form `decoded` to the places of `projections`.
    pub fn scatter(&self, decoded: &[u8], layout: &Layout, projections: Projections<'_>) {
        let mut placer = Placer::default();
        for axes in projections.axes {
            let placement = placer.place(axes, projections.lists, &layout.strides, self.array.strides());
            self.array.scatter(decoded, placement.chunk, placement.array, placement.axes.as_slice());
        }
    }

    /// The place of `projections` in the array, if they are one projection that selects the whole chunk and its stored form lies
    /// there as it is.
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
            Serializer::Vlen(vlen) => return vlen::decode(self, bytes, chain, *vlen, layout, projections),
        }
        if chain.steps.is_empty() {
            return self.decode_raw(bytes, layout, projections);
        }
        if let Some(place) = self.direct(layout, projections) {
            return chain.decode_into(bytes, place, self.validate);
        }
        if let Some(outcome) = self.decode_span(bytes, chain, layout, projections) {
            return outcome;
        }
        let mut decoded = DecodedChunk::take();
        chain.decode_into(bytes, decoded.room(layout.len)?.into(), self.validate)?;
        self.scatter(&decoded, layout, projections);
        Ok(())
    }

    fn decode_raw(&self, bytes: &[u8], layout: &Layout, projections: Projections<'_>) -> Result<()> {
        if bytes.len() != layout.len {
            return Err(wrong_length(bytes.len(), layout.len));
        }
        self.scatter(bytes, layout, projections);
        Ok(())
    }

    /// Reads the stored chunk in `window`, or the parts of it that are needed, and places what `projections` select.
    ///
    /// # Errors
    /// As [`Reader::decode`].
    pub fn read_encoded(
        &self,
        window: Window<'_>,
        chain: &Chain,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Result<()> {
        if window.in_memory().is_none() && self.may_read_span(chain, layout, projections) {
            if self.validate {
                window.check()?;
            }
            if let Some(outcome) = self.read_span(window, chain, layout, projections) {
                return outcome;
            }
        }
        let mut stored = Scratch::take(Slot::Stored);
        let bytes = window.read(&mut stored)?;
        self.decode(bytes, chain, layout, projections)
    }

    /// Whether only a part of the stored chunk may have to be read, so that it should be opened rather than read whole.
    pub fn may_read_span(&self, chain: &Chain, layout: &Layout, projections: Projections<'_>) -> bool {
        let ([step], [axes]) = (chain.decoding_steps(), projections.axes) else { return false };
        matches!(chain.serializer, Serializer::Bytes)
            && layout.len >= SPAN_FROM
            && step.span_head(layout.len).is_some()
            && count(axes).saturating_mul(2 * self.format.item_size) < layout.len
    }

    /// Reads and decodes only the blocks that one projection needs, where the only compressor keeps blocks isolated (blosc).
    /// `None` where all has to be read.
    fn read_span(
        &self,
        window: Window<'_>,
        chain: &Chain,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Option<Result<()>> {
        let ([step], [axes]) = (chain.decoding_steps(), projections.axes) else { return None };
        let stored_len = usize::try_from(window.len).ok().filter(|len| *len <= 2 * layout.len)?;
        let head_len = step.span_head(layout.len)?.min(stored_len);
        let mut placer = Placer::default();
        let placement = placer.place(axes, projections.lists, &layout.strides, self.array.strides());
        let (first, last) = span(placement.chunk, placement.axes.as_slice())?;
        let wanted = first..last + self.format.item_size;
        let mut stored = DecodedChunk::take();
        let fetch = || -> Result<bool> {
            let room = stored.room(stored_len)?;
            window.read_into(0, OutBytes::from(&mut room[..head_len]))?;
            let Some(parts) = step.span_parts(&room[..head_len], stored_len, layout.len, wanted) else {
                return Ok(false);
            };
            if parts.iter().map(ExactSizeIterator::len).sum::<usize>() > stored_len / 2 {
                return Ok(false);
            }
            for part in parts {
                window.read_into(part.start as u64, OutBytes::from(&mut room[part]))?;
            }
            Ok(true)
        };
        match { fetch }() {
            Ok(true) => self.decode_span(&stored, chain, layout, projections),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Decodes only the part of a chunk that one projection needs, where its only compressor can do so (blosc).
    fn decode_span(
        &self,
        bytes: &[u8],
        chain: &Chain,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Option<Result<()>> {
        let ([step], [axes]) = (chain.decoding_steps(), projections.axes) else { return None };
        let mut placer = Placer::default();
        let placement = placer.place(axes, projections.lists, &layout.strides, self.array.strides());
        let (first, last) = span(placement.chunk, placement.axes.as_slice())?;
        let len = last - first + self.format.item_size;
        if len > layout.len / 2 {
            return None;
        }
        let mut decoded = DecodedChunk::take();
        let place = match decoded.room(len) {
            Ok(room) => room.into(),
            Err(error) => return Some(Err(error)),
        };
        let outcome = step.decode_span(bytes, layout.len, first, place)?;
        if outcome.is_ok() {
            let from = placement.chunk - first as isize;
            self.array.scatter(&decoded, from, placement.array, placement.axes.as_slice());
        }
        Some(outcome)
    }

    fn decode_shard(
        &self,
        bytes: &[u8],
        chain: &Chain,
        sharding: &Sharding,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Result<()> {
        let subchunks = sharding.grid(&layout.stored_shape)?.len();
        let limit = match self.format.text {
            None => sharding.longest(layout.len, subchunks),
            // As in zarr-python: what a shard has in front of its index does not tell how much is to come.
            Some(_) => vlen::longest(layout.len).saturating_mul(2),
        };
        let limit = limit.saturating_add(sharding.index_size(subchunks)).saturating_add(1 << 16);
        let mut buffer = Scratch::take(Slot::Stored);
        let bytes = chain.decode(bytes, &mut buffer, limit, self.validate)?;
        let opened = Opened::Bytes(bytes);
        let window = Window::whole(&opened)?;
        if chain.transpose.is_identity() {
            return shard::read(self, window, sharding, &layout.stored_shape, projections);
        }
        let names = chain.transpose.new_names(layout.shape.len());
        let mut lists = projections.lists.clone();
        let renamed: Vec<Vec<Axis>> = projections
            .axes
            .iter()
            .map(|axes| {
                axes.iter()
                    .map(|axis| Axis { chunk: crate::selection::renamed(axis.chunk, &names, &mut lists), ..*axis })
                    .collect()
            })
            .collect();
        let axes: Vec<&[Axis]> = renamed.iter().map(Vec::as_slice).collect();
        shard::read(self, window, sharding, &layout.stored_shape, Projections { axes: &axes, lists: &lists })
    }

    /// Reads an uncompressed chunk: only the projections that are needed, where that is cheaper than all of it.
    ///
    /// # Errors
    /// `Value` when the object has another length than the shape needs, even if the part that is wanted exists.
    pub fn read_raw(&self, window: Window<'_>, layout: &Layout, projections: Projections<'_>) -> Result<()> {
        if window.len != layout.len as u64 {
            return Err(wrong_length(window.len as usize, layout.len));
        }
        if let Some(bytes) = window.in_memory() {
            return self.decode_raw(bytes, layout, projections);
        }
        if let Some(place) = self.direct(layout, projections) {
            return window.read_into(0, place);
        }
        if let [axes] = projections.axes {
            if self.validate {
                window.check()?;
            }
            return self.read_raw_row(window, layout, axes, projections.lists);
        }
        let mut decoded = DecodedChunk::take();
        window.read_into(0, decoded.room(layout.len)?.into())?;
        self.scatter(&decoded, layout, projections);
        Ok(())
    }

    fn read_raw_row(&self, window: Window<'_>, layout: &Layout, axes: &[Axis], lists: &Lists) -> Result<()> {
        let mut placer = Placer::default();
        let placement = placer.place(axes, lists, &layout.strides, self.array.strides());
        let mut walks = placement.axes.as_slice().to_vec();
        // Outermost in the file first, so that inner axes share one read.
        walks.sort_by_key(|axis| std::cmp::Reverse(reach(axis.from, axis.len)));
        let (level, span_len) = cheapest_level(&walks, self.format.item_size);
        let (outer, inner) = walks.split_at(level);
        let straight = self.array.element().swap == Swap::None
            && is_run(inner, self.format.item_size)
            && inner.iter().map(|axis| axis.len).product::<usize>() * self.format.item_size == span_len;
        let mut decoded = DecodedChunk::take();
        let room = decoded.room(if straight { 0 } else { span_len })?;
        let lowest: isize = inner.iter().map(|axis| lowest(axis.from, axis.len)).sum();
        each_index(outer, placement.chunk, placement.array, &mut |chunk, array| {
            let start = chunk + lowest;
            if straight {
                return window.read_into(start as u64, self.array.run(array, span_len));
            }
            window.read_into(start as u64, OutBytes::from(&mut *room))?;
            self.array.scatter(room, -lowest, array, inner);
            Ok(())
        })
    }
}

/// Microseconds for decoding `len` bytes of which `wanted` are selected.
pub fn cost(chain: &Chain, len: usize, wanted: usize) -> f64 {
    if chain.is_raw() {
        // Only the projections that are wanted are read, with what lies between them where they are close.
        return wanted.saturating_mul(4).min(len) as f64 / 1024.0 * 0.1;
    }
    len as f64 / 1024.0 * chain.cost_per_kib().decode
}

/// First and last byte offset that the `from` walks reach; `None` for no element at all.
fn span(base: isize, axes: &[CopyAxis<'_>]) -> Option<(usize, usize)> {
    if axes.iter().any(|axis| axis.len == 0) {
        return None;
    }
    let first = base + axes.iter().map(|axis| lowest(axis.from, axis.len)).sum::<isize>();
    let last = first + axes.iter().map(|axis| reach(axis.from, axis.len)).sum::<isize>();
    Some((first as usize, last as usize))
}

/// Byte offset of a walk's lowest index.
fn lowest(walk: Walk<'_>, len: usize) -> isize {
    walk.bounds(len).map_or(0, |(low, _)| low)
}

/// Bytes between the lowest and the highest index of a walk.
fn reach(walk: Walk<'_>, len: usize) -> isize {
    walk.bounds(len).map_or(0, |(low, high)| high - low)
}

/// How many outer axes get a read of their own for each index, and how many bytes each read then spans. A read costs
/// about 250 ns and 80 ns for each KiB (measured on warm files, 2 cores).
fn cheapest_level(walks: &[CopyAxis<'_>], item_size: usize) -> (usize, usize) {
    let mut best = (0, 0);
    let mut best_cost = f64::INFINITY;
    let mut reads = 1.0;
    for level in 0..=walks.len() {
        let span = walks[level..].iter().map(|axis| reach(axis.from, axis.len)).sum::<isize>() as usize + item_size;
        // What does not fit the cache on its way from the file to its places is fetched twice.
        let per_kib = if span > shard::LINE { 120.0 } else { 80.0 };
        let cost = reads * (250.0 + span as f64 * (per_kib / 1024.0));
        if cost < best_cost {
            best_cost = cost;
            best = (level, span);
        }
        if let Some(axis) = walks.get(level) {
            reads *= axis.len as f64;
        }
    }
    best
}

/// Whether the axes walk one run of bytes on both sides, in the same order.
fn is_run(axes: &[CopyAxis<'_>], item_size: usize) -> bool {
    let mut expected = item_size as isize;
    for axis in axes.iter().rev() {
        if axis.len == 1 {
            continue;
        }
        match (axis.from, axis.to) {
            (Walk::Stride(from), Walk::Stride(to)) if from == expected && to == expected => {
                expected *= axis.len as isize;
            }
            _ => return false,
        }
    }
    true
}

/// Calls `visit` with the byte offsets of every index combination of `walks`, in C order.
pub fn each_index(
    walks: &[CopyAxis<'_>],
    from: isize,
    to: isize,
    visit: &mut impl FnMut(isize, isize) -> Result<()>,
) -> Result<()> {
    let Some((axis, rest)) = walks.split_first() else { return visit(from, to) };
    let offset = |walk, i: usize| match walk {
        Walk::Stride(stride) => stride * i as isize,
        Walk::Offsets(offsets) => offsets[i],
    };
    for i in 0..axis.len {
        each_index(rest, from + offset(axis.from, i), to + offset(axis.to, i), visit)?;
    }
    Ok(())
}

/// Whether `next` is the neighbour of `axes` along the array's densest axis, both whole chunks in natural order: such
/// chunks are written together, row by row. The byte distance between the two.
pub fn neighbour(axes: &[Axis], next: &[Axis], array_strides: &[isize]) -> Option<isize> {
    if axes.len() != next.len() {
        return None;
    }
    let mut densest: Option<(isize, isize)> = None;
    let mut distance = None;
    for (a, b) in axes.iter().zip(next) {
        let (Coord::Range { dim, start, step: 1 }, Coord::Range { dim: next_dim, start: next_start, step: 1 }) =
            (a.array, b.array)
        else {
            return None;
        };
        if a.len != b.len || dim != next_dim {
            return None;
        }
        let stride = array_strides[dim];
        let extent = a.len as isize * stride;
        if a.len > 1 && densest.is_none_or(|(smallest, _)| stride.abs() < smallest) {
            densest = Some((stride.abs(), extent));
        }
        if next_start != start {
            if distance.is_some() || next_start != start + a.len {
                return None;
            }
            distance = Some(extent);
        }
    }
    let (_, extent) = densest?;
    distance.filter(|distance| *distance == extent)
}

/// An element that keeps its byte order: stored form to stored form.
pub fn unswapped(item_size: usize) -> Element {
    Element { size: item_size, swap: Swap::None }
}
