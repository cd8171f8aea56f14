//! Chunks of elements of variable length (text and bytes): decoded to references, placed, and kept; encoded from references.
//! The memory that a chunk leaves behind is bounded by the selected elements.

use crate::codec::Chain;
use crate::codec::array_to_bytes::vlen::Vlen;
use crate::error::{Error, Kind, Result};
use crate::memory::{DecodedChunk, REFERENCE, Reference, Scratch, Slot};
use crate::pipeline::Projections;
use crate::pipeline::decode::Reader;
use crate::pipeline::layout::Layout;
use crate::pipeline::placement::{Placer, each_index};
use crate::selection::covers;

/// How many bytes are decoded before they are looked at: more than text usually has, whose elements take
/// less than 64 times as much as the `decoded` of references to them or as the stored form.
fn unseen(stored: usize, decoded: usize) -> usize {
    stored.saturating_mul(64).saturating_add(decoded.saturating_mul(64)).saturating_add(1 << 28)
}

/// The most bytes that the text of `decoded` bytes of references can have.
pub fn longest(decoded: usize) -> usize {
    Vlen::longest(decoded / REFERENCE)
}

/// Undoes the steps behind the serialized form: `bytes` itself where there are none, else bytes in `buffer`.
///
/// The serialized form has no announced length, and compressors shorten equal characters by factors of ten thousand, so no
/// ratio tells damage from text. Instead, the limit grows as long as the bytes so far are consistent: they must announce as
/// many elements as the chunk has, and must not have ended yet.
fn undo_steps<'a>(
    reader: &Reader<'_>,
    bytes: &'a [u8],
    buffer: &'a mut Vec<u8>,
    chain: &Chain,
    layout: &Layout,
) -> Result<&'a [u8]> {
    let unseen = unseen(bytes.len(), layout.len);
    let mut limit = unseen;
    loop {
        buffer.clear();
        let Err(error) = chain.decode(bytes, buffer, limit, reader.validate) else { break };
        if !matches!(error.kind, Kind::TooLong) {
            return Err(error);
        }
        let more = match Vlen::end(buffer, layout.len / REFERENCE)? {
            // Bytes behind the last element are ignored, as numcodecs does.
            Some(end) => end.saturating_add(unseen),
            None => limit.saturating_mul(8).min(longest(layout.len).saturating_add(unseen)),
        };
        if more <= limit {
            return Err(error);
        }
        limit = more;
    }
    Ok(if chain.decoding_steps().is_empty() { bytes } else { buffer })
}

/// Decodes the stored `bytes` of a chunk and places references to what `projections` select.
pub fn decode(
    reader: &Reader<'_>,
    bytes: &[u8],
    chain: &Chain,
    vlen: Vlen,
    layout: &Layout,
    projections: Projections<'_>,
) -> Result<()> {
    let mut decoded = DecodedChunk::take();
    let room = decoded.room(layout.len)?;
    if projections.axes.iter().any(|axes| covers(axes, &layout.shape)) {
        let mut buffer = Vec::new();
        let decoded = undo_steps(reader, bytes, &mut buffer, chain, layout)?;
        // Uncompressed bytes lie in a buffer of the store, which is used again.
        let text = if chain.steps.is_empty() { decoded.to_vec() } else { buffer };
        vlen.decode(&text, room)?;
        reader.kept.keep(text);
    } else {
        let mut buffer = Scratch::take(Slot::Vlen);
        let text = undo_steps(reader, bytes, &mut buffer, chain, layout)?;
        vlen.decode(text, room)?;
        let copied = copy_selected(reader, text, room, layout, projections)?;
        reader.kept.keep(copied);
    }
    reader.scatter(&decoded, layout, projections);
    Ok(())
}

/// Copies what `projections` select of `text` to a buffer of its own, to which the references in `decoded` then lead.
fn copy_selected(
    reader: &Reader<'_>,
    text: &[u8],
    decoded: &mut [u8],
    layout: &Layout,
    projections: Projections<'_>,
) -> Result<Vec<u8>> {
    let mut placer = Placer::default();
    let mut each = |visit: &mut dyn FnMut(usize)| {
        for axes in projections.axes {
            let placement = placer.place(axes, projections.lists, &layout.strides, reader.array.strides());
            each_index(placement.axes.as_slice(), placement.chunk, 0, &mut |at, _| {
                visit(at as usize);
                Ok(())
            })?;
        }
        Ok(())
    };
    // All room at once: a buffer that grows would move its bytes.
    let mut room = 0usize;
    each(&mut |at| room = room.saturating_add(Reference::read(decoded, at).within(text).map_or(0, <[u8]>::len)))?;
    // Selected twice or not, no text is copied twice.
    let room = room.min(text.len());
    let mut copied = Vec::new();
    copied
        .try_reserve_exact(room)
        .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {room} bytes for text")))?;
    each(&mut |at| {
        if let Some(one) = Reference::read(decoded, at).within(text) {
            let start = copied.len();
            assert!(copied.capacity() - start >= one.len(), "text that was copied would move");
            copied.extend_from_slice(one);
            Reference::to(&copied[start..]).write(decoded, at);
        }
    })?;
    Ok(copied)
}

/// Appends the stored form of `decoded`, which holds references, to `out`.
pub fn encode(decoded: &[u8], chain: &Chain, vlen: Vlen, out: &mut Vec<u8>) -> Result<()> {
    if chain.steps.is_empty() {
        return vlen.encode(decoded, out);
    }
    let mut text = Scratch::take(Slot::Vlen);
    vlen.encode(decoded, &mut text)?;
    chain.encode(&text, out)
}
