//! Chunks of elements of variable length: decoded to references, placed, and kept; encoded from references. What a chunk
//! leaves in memory is bounded by what was selected of it.

use crate::codec::Chain;
use crate::codec::array_to_bytes::vlen::Vlen;
use crate::error::{Error, Kind, Result};
use crate::memory::{Image, REFERENCE, Reference, Scratch};
use crate::pipeline::image::{Layout, Reader, Rows, each_index};
use crate::pipeline::place::Placer;
use crate::selection::covers;

/// Scratch slot of text between references and compressors.
const TEXT: usize = 4;

/// How many bytes of text are let in before anybody looks at them: more than text mostly has, whose elements take
/// less than 64 times as much as the `images` of references to them or as the stored form.
fn unseen(stored: usize, images: usize) -> usize {
    stored.saturating_mul(64).saturating_add(images.saturating_mul(64)).saturating_add(1 << 28)
}

/// The most bytes that the text of `images` bytes of references can have.
pub fn longest(images: usize) -> usize {
    Vlen::longest(images / REFERENCE)
}

/// Undoes the compressors of text: `bytes` itself where there are none, else bytes in `buffer`.
///
/// Text announces no length, and compressors shorten equal characters ten thousands of times, so no ratio tells damage
/// from text. Instead, more is let in than before as long as what has arrived does not speak against it: it must count
/// as many elements as the chunk has, and they must not have ended.
fn decompress<'a>(
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
        let Err(error) = chain.decompress(bytes, buffer, limit, reader.validate) else { break };
        if !matches!(error.kind, Kind::TooLong) {
            return Err(error);
        }
        let more = match Vlen::end(buffer, layout.len / REFERENCE)? {
            // What follows the last element is ignored, by numcodecs too.
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

/// Decodes the stored `bytes` of a chunk and places references to what `rows` select.
pub fn decode(
    reader: &Reader<'_>,
    bytes: &[u8],
    chain: &Chain,
    vlen: Vlen,
    layout: &Layout,
    rows: Rows<'_>,
) -> Result<()> {
    let mut image = Image::take();
    let room = image.room(layout.len)?;
    if rows.axes.iter().any(|axes| covers(axes, &layout.shape)) {
        let mut buffer = Vec::new();
        let decoded = decompress(reader, bytes, &mut buffer, chain, layout)?;
        // Uncompressed text stays in a buffer of the store, which will be used again.
        let text = if chain.compressors.is_empty() { decoded.to_vec() } else { buffer };
        vlen.decode(&text, room)?;
        reader.kept.keep(text);
    } else {
        let mut buffer = Scratch::take(TEXT);
        let text = decompress(reader, bytes, &mut buffer, chain, layout)?;
        vlen.decode(text, room)?;
        let copied = copy_selected(reader, text, room, layout, rows)?;
        reader.kept.keep(copied);
    }
    reader.scatter(&image, layout, rows);
    Ok(())
}

/// Copies what `rows` select of `text` to a buffer of its own, to which the references in `image` then lead.
fn copy_selected(
    reader: &Reader<'_>,
    text: &[u8],
    image: &mut [u8],
    layout: &Layout,
    rows: Rows<'_>,
) -> Result<Vec<u8>> {
    let mut placer = Placer::default();
    let mut each = |visit: &mut dyn FnMut(usize)| {
        for axes in rows.axes {
            let placement = placer.place(axes, rows.lists, &layout.strides, reader.array.strides());
            each_index(placement.axes.as_slice(), placement.chunk, 0, &mut |at, _| {
                visit(at as usize);
                Ok(())
            })?;
        }
        Ok(())
    };
    // All room at once: a buffer that grows would move what is in it.
    let mut room = 0usize;
    each(&mut |at| room = room.saturating_add(Reference::read(image, at).within(text).map_or(0, <[u8]>::len)))?;
    // Selected twice or not, no text is copied twice.
    let room = room.min(text.len());
    let mut copied = Vec::new();
    copied
        .try_reserve_exact(room)
        .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {room} bytes for text")))?;
    each(&mut |at| {
        if let Some(one) = Reference::read(image, at).within(text) {
            let start = copied.len();
            assert!(copied.capacity() - start >= one.len(), "text that was copied would move");
            copied.extend_from_slice(one);
            Reference::to(&copied[start..]).write(image, at);
        }
    })?;
    Ok(copied)
}

/// Appends the stored form of `image`, which holds references, to `out`.
pub fn encode(image: &[u8], chain: &Chain, vlen: Vlen, out: &mut Vec<u8>) -> Result<()> {
    if chain.compressors.is_empty() {
        return vlen.encode(image, out);
    }
    let mut text = Scratch::take(TEXT);
    vlen.encode(image, &mut text)?;
    chain.compress(&text, out)
}
