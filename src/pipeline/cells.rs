//! Numbered parts of a parent that are decoded one by one: the chunks of a batch, or the subchunks of a shard. Lines of
//! neighbours, missing cells and the choice of access are written once, here, for both.

use std::ops::Range;

use crate::codec::bytes_to_bytes::wrong_length;
use crate::codec::{Chain, Serializer};
use crate::error::{Error, Result, unless_dropped};
use crate::memory::{CopyAxis, DecodedChunk, OutBytes, Walk, repeat};
use crate::pipeline::Projections;
use crate::pipeline::decode::Reader;
use crate::pipeline::layout::Layout;
use crate::pipeline::placement::{Placer, neighbour};
use crate::pipeline::plan::{Access, RangeCost};
use crate::pipeline::shard;
use crate::selection::{Axis, Lists, is_whole};
use crate::store::Window;

/// Scratch for one line of cells, in bytes: what fits the second-level cache.
const LINE: usize = 1 << 20;

/// The chunks of a batch or the subchunks of a shard.
pub trait Cells {
    /// The steps of every cell.
    fn chain(&self) -> &Chain;

    /// How the elements of `cell` lie in its decoded form.
    fn layout(&self, cell: usize) -> &Layout;

    /// Whether two cells have the same layout.
    fn are_alike(&self, cell: usize, other: usize) -> bool;

    /// The axes of each projection of `cell`, in batch order.
    fn axes(&self, cell: usize) -> impl ExactSizeIterator<Item = &[Axis]>;

    /// The index lists of all axes.
    fn lists(&self) -> &Lists;

    /// Calls `use_window` with the stored bytes of `cell`, open for ranges; with `None` if it is missing.
    fn with_window<R>(&self, cell: usize, use_window: impl FnOnce(Option<Window<'_>>) -> Result<R>) -> Result<R>;

    /// Calls `use_bytes` with all stored bytes of `cell`; with `None` if it is missing.
    fn with_bytes<R>(&self, cell: usize, use_bytes: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R>;

    /// Is told that `cell` is missing, before it is filled.
    fn missing(&self, cell: usize);

    /// `error` with the name of `cell`, and with what it should hold.
    fn explain(&self, cell: usize, error: Error) -> Error;
}

/// Reads the cells `range`, neighbours along the array's last axis together.
///
/// # Errors
/// The number of the cell that failed, and its error as [`Cells::explain`] puts it.
pub fn read(reader: &Reader<'_>, cells: &impl Cells, range: Range<usize>) -> std::result::Result<(), (usize, Error)> {
    let mut at = range.start;
    while at < range.end {
        let (len, outcome) = match line_from(reader, cells, at, range.end) {
            Some((len, distance)) => (len, read_line(reader, cells, at..at + len, distance)),
            None => (1, read_cell(reader, cells, at).map_err(|error| (at, error))),
        };
        outcome.map_err(|(cell, error)| (cell, cells.explain(cell, error)))?;
        at += len;
    }
    Ok(())
}

/// Calls `use_projections` with the projections of `cell`; a single one costs no allocation.
pub fn with_projections<R>(cells: &impl Cells, cell: usize, use_projections: impl FnOnce(Projections<'_>) -> R) -> R {
    let mut axes = cells.axes(cell);
    let lists = cells.lists();
    if axes.len() == 1 {
        let single = [axes.next().expect("its length is one")];
        return use_projections(Projections { axes: &single, lists });
    }
    let many: Vec<&[Axis]> = axes.collect();
    use_projections(Projections { axes: &many, lists })
}

fn read_cell(reader: &Reader<'_>, cells: &impl Cells, cell: usize) -> Result<()> {
    with_projections(cells, cell, |projections| {
        let (chain, layout) = (cells.chain(), cells.layout(cell));
        let access = Access::of(chain, layout, projections, reader.format.item_size, RangeCost::SystemCall);
        let outcome = match access {
            Access::Whole => cells.with_bytes(cell, |bytes| {
                bytes.map(|bytes| reader.decode(bytes, chain, layout, projections)).transpose()
            }),
            access => cells.with_window(cell, |window| {
                let read = |window| match access {
                    Access::Shard(sharding) => shard::read(reader, window, sharding, &layout.shape, projections),
                    Access::Rows => reader.read_rows(window, layout, projections),
                    Access::Whole | Access::Blocks => reader.read_blocks(window, chain, layout, projections),
                };
                window.map(read).transpose()
            }),
        };
        // zarr takes a chunk for missing that a codec turns into nothing.
        let mut found = None;
        if unless_dropped(outcome.map(|outcome| found = outcome))? && found.is_some() {
            return Ok(());
        }
        cells.missing(cell);
        reader.fill(projections);
        Ok(())
    })
}

/// The axes of `cell`, if one projection wants all of it.
fn whole(cells: &impl Cells, cell: usize) -> Option<&[Axis]> {
    let mut axes = cells.axes(cell);
    let first = axes.next().filter(|_| axes.len() == 0)?;
    is_whole(first, &cells.layout(cell).shape).then_some(first)
}

/// How many cells from `at` on lie side by side in the array (at least two), and their distance there in bytes.
fn line_from(reader: &Reader<'_>, cells: &impl Cells, at: usize, end: usize) -> Option<(usize, isize)> {
    let layout = cells.layout(at);
    if !matches!(cells.chain().serializer, Serializer::Bytes) || layout.len.saturating_mul(2) > LINE {
        return None;
    }
    let first = whole(cells, at)?;
    if reader.direct(layout, Projections { axes: &[first], lists: cells.lists() }).is_some() {
        return None;
    }
    let most = (LINE / layout.len.max(1)).min(end - at);
    let (mut len, mut before, mut distance) = (1, first, None);
    while len < most && cells.are_alike(at, at + len) {
        let Some(next) = whole(cells, at + len) else { break };
        let Some(step) = neighbour(before, next, reader.array.strides()) else { break };
        distance = Some(step);
        before = next;
        len += 1;
    }
    distance.map(|distance| (len, distance))
}

/// Decodes a line of whole cells side by side and writes it row by row: whole cache lines of the array.
fn read_line(
    reader: &Reader<'_>,
    cells: &impl Cells,
    range: Range<usize>,
    distance: isize,
) -> std::result::Result<(), (usize, Error)> {
    let (first, count, layout) = (range.start, range.len(), cells.layout(range.start));
    let mut line = DecodedChunk::take();
    let room = line.room(count * layout.len).map_err(|error| (first, error))?;
    for cell in range {
        let decoded = &mut room[(cell - first) * layout.len..][..layout.len];
        let found = decode_whole(reader, cells, cell, OutBytes::from(&mut *decoded)).map_err(|error| (cell, error))?;
        if !found {
            cells.missing(cell);
            repeat(decoded, &reader.format.fill);
        }
    }
    let axes = whole(cells, first).expect("a line starts with a whole cell");
    let mut placer = Placer::default();
    let mut placement = placer.place(axes, cells.lists(), &layout.strides, reader.array.strides());
    placement.axes.push(CopyAxis { len: count, from: Walk::Stride(layout.len as isize), to: Walk::Stride(distance) });
    reader.array.scatter(room, placement.chunk, placement.array, placement.axes.as_slice());
    Ok(())
}

/// Decodes all of `cell` into `out`; false if it is missing.
fn decode_whole(reader: &Reader<'_>, cells: &impl Cells, cell: usize, out: OutBytes<'_>) -> Result<bool> {
    let chain = cells.chain();
    if chain.is_raw() {
        return cells.with_window(cell, |window| {
            let Some(window) = window else { return Ok(false) };
            if window.len != out.len() as u64 {
                return Err(wrong_length(window.len as usize, out.len()));
            }
            window.read_into(0, out).map(|()| true)
        });
    }
    cells.with_bytes(cell, |bytes| match bytes {
        None => Ok(false),
        Some(bytes) => unless_dropped(chain.decode_into(bytes, out, reader.validate)),
    })
}
