//! Reading parts of a shard: its index, then the subchunks that are touched, from any source of bytes.

use crate::codec::array_to_bytes::sharding::{Extent, Index, Sharding};
use crate::codec::bytes_to_bytes::wrong_length;
use crate::error::{Error, Result, unless_dropped};
use crate::memory::{CopyAxis, DecodedChunk, OutBytes, Scratch, Slot, Walk, repeat};
use crate::pipeline::decode::{Layout, Projections, Reader, cost, neighbour};
use crate::pipeline::placement::Placer;
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::source::{UNKNOWN, Window};
use crate::selection::{Axis, Lists};

/// Scratch for one line of subchunks, in bytes: what fits the second-level cache.
pub const LINE: usize = 1 << 20;

/// Reads the index of the shard in `window`.
///
/// # Errors
/// `Value` when it is truncated or damaged.
pub fn read_index(window: Window<'_>, sharding: &Sharding, plan: &ShardPlan) -> Result<Index> {
    let mut buffer = Scratch::take(Slot::Stored);
    let stored = window.request(plan.index_request(sharding)).read(&mut buffer)?;
    plan.feed_index(stored, sharding)
}

/// Reads all that `projections` want of the shard in `window`.
pub fn read(
    reader: &Reader<'_>,
    window: Window<'_>,
    sharding: &Sharding,
    shape: &[usize],
    projections: Projections<'_>,
) -> Result<()> {
    let plan = ShardPlan::new(sharding, shape, projections, reader.format.item_size)?;
    if reader.validate && plan.is_checked(sharding, window.len) {
        window.check()?;
    }
    let index = read_index(window, sharding, &plan)?;
    read_subchunks(reader, Shard { window, sharding, plan: &plan, index: &index }, 0..plan.len())
}

/// A shard whose index was read.
#[derive(Debug, Clone, Copy)]
pub struct Shard<'a> {
    /// Its bytes.
    pub window: Window<'a>,
    /// Its codec.
    pub sharding: &'a Sharding,
    /// What is wanted of it.
    pub plan: &'a ShardPlan,
    /// Where its subchunks lie.
    pub index: &'a Index,
}

/// Reads the touched subchunks `range` of `plan`, neighbours along the array's last axis together.
pub fn read_subchunks(reader: &Reader<'_>, shard: Shard<'_>, range: std::ops::Range<usize>) -> Result<()> {
    let mut at = range.start;
    while at < range.end {
        if let Some((len, distance)) = line_from(reader, shard, at, range.end) {
            read_line(reader, shard, at..at + len, distance)?;
            at += len;
        } else {
            read_subchunk(reader, shard, at)?;
            at += 1;
        }
    }
    Ok(())
}

/// How many subchunks from `at` on form a line (at least two), and their byte distance in the array.
fn line_from(reader: &Reader<'_>, shard: Shard<'_>, at: usize, end: usize) -> Option<(usize, isize)> {
    let Shard { sharding, plan, .. } = shard;
    if sharding.inner.as_shard().is_some()
        || !matches!(sharding.inner.serializer, crate::codec::Serializer::Bytes)
        || plan.layout.len.saturating_mul(2) > LINE
    {
        return None;
    }
    let first = plan.whole(at)?;
    if reader.direct(&plan.layout, Projections { axes: &[first], lists: &plan.pieces.lists }).is_some() {
        return None;
    }
    let most = (LINE / plan.layout.len.max(1)).min(end - at);
    let mut len = 1;
    let mut distance = None;
    let mut before = first;
    while len < most {
        let Some(next) = plan.whole(at + len) else { break };
        let Some(step) = neighbour(before, next, reader.array.strides()) else { break };
        distance = Some(step);
        before = next;
        len += 1;
    }
    distance.map(|distance| (len, distance))
}

fn read_line(reader: &Reader<'_>, shard: Shard<'_>, range: std::ops::Range<usize>, distance: isize) -> Result<()> {
    let Shard { window, sharding, plan, index } = shard;
    let (first, count) = (range.start, range.len());
    let mut decoded = DecodedChunk::take();
    let room = decoded.room(count * plan.layout.len)?;
    for number in range {
        let decoded = &mut room[(number - first) * plan.layout.len..][..plan.layout.len];
        let subchunk = plan.subchunk(number);
        let present = match plan.request(number, index) {
            Some(extent) => {
                unless_dropped(decode_into(reader, window, sharding, extent, OutBytes::from(&mut *decoded)))
                    .map_err(|error| at_subchunk(plan.layout.explain(error, reader.format), subchunk, extent, window))?
            }
            None => false,
        };
        if !present {
            repeat(decoded, &reader.format.fill);
        }
    }
    let axes = plan.whole(first).expect("a line starts with a whole subchunk");
    scatter_line(reader, &plan.layout, axes, &plan.pieces.lists, room, count, distance);
    Ok(())
}

/// Scatters `count` packed chunks that lie one after another in `decoded` to places `distance` bytes isolated in the array,
/// row by row: the first chunk's axes with one axis more.
pub fn scatter_line(
    reader: &Reader<'_>,
    layout: &Layout,
    axes: &[Axis],
    lists: &Lists,
    decoded: &[u8],
    count: usize,
    distance: isize,
) {
    let mut placer = Placer::default();
    let mut placement = placer.place(axes, lists, &layout.strides, reader.array.strides());
    placement.axes.push(CopyAxis { len: count, from: Walk::Stride(layout.len as isize), to: Walk::Stride(distance) });
    reader.array.scatter(decoded, placement.chunk, placement.array, placement.axes.as_slice());
}

/// Decodes a whole subchunk whose serializer is the bytes codec into `place`.
fn decode_into(
    reader: &Reader<'_>,
    window: Window<'_>,
    sharding: &Sharding,
    extent: Extent,
    place: OutBytes<'_>,
) -> Result<()> {
    let window = window.part(extent);
    if sharding.inner.is_raw() {
        if window.len != place.len() as u64 {
            return Err(wrong_length(window.len as usize, place.len()));
        }
        return window.read_into(0, place);
    }
    let mut stored = Scratch::take(Slot::Stored);
    let bytes = window.read(&mut stored)?;
    sharding.inner.decode_into(bytes, place, reader.validate)
}

fn read_subchunk(reader: &Reader<'_>, shard: Shard<'_>, number: usize) -> Result<()> {
    let Shard { window, sharding, plan, index } = shard;
    let subchunk = plan.subchunk(number);
    let single;
    let many;
    let axes: &[&[Axis]] = if let [piece] = plan.pieces(number) {
        single = [plan.pieces.axes(piece)];
        &single
    } else {
        many = plan.axes(number);
        &many
    };
    let projections = Projections { axes, lists: &plan.pieces.lists };
    let Some(extent) = plan.request(number, index) else {
        reader.fill(projections);
        return Ok(());
    };
    let part = window.part(extent);
    let outcome = if let Some(inner) = sharding.inner.as_shard() {
        read(reader, part, inner, &plan.layout.shape, projections)
    } else if sharding.inner.is_raw() {
        reader.read_raw(part, &plan.layout, projections)
    } else {
        reader.read_encoded(part, &sharding.inner, &plan.layout, projections)
    };
    let present = unless_dropped(outcome)
        .map_err(|error| at_subchunk(plan.layout.explain(error, reader.format), subchunk, extent, window))?;
    if !present {
        reader.fill(projections);
    }
    Ok(())
}

/// About how long it takes to decode and place one subchunk, in microseconds.
pub fn estimate(sharding: &Sharding, item_size: usize) -> f64 {
    let subchunk = sharding.chunk_shape.iter().product::<usize>() * item_size;
    1.0 + cost(&sharding.inner, subchunk, subchunk)
}

fn at_subchunk(error: Error, subchunk: usize, extent: Extent, window: Window<'_>) -> Error {
    let of = if window.len == UNKNOWN { String::new() } else { format!(" of a shard of {}", window.len) };
    Error {
        message: format!("subchunk {subchunk} ({} bytes at {}{of}): {}", extent.len, extent.offset, error.message),
        ..error
    }
}
