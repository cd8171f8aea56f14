//! Zstandard by the reference library, with one context of each kind in each thread.
//! Which bytes are refused follows numcodecs. <https://datatracker.ietf.org/doc/html/rfc8878>
#![allow(unsafe_code)]

use std::cell::RefCell;

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, WriteBuf};

use crate::codec::output::{append, fill_beside, reserve, too_long};
use crate::codec::{Cost, Step, wrong_length};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

const MAGIC: u32 = 0xFD2F_B528;
/// The streaming decoder, and so numcodecs, refuses larger windows in a frame without a content size.
const MAX_WINDOW: u64 = (1 << 27) + 1;
/// What decodes in one call has no such bound.
const ANY_WINDOW: u32 = if cfg!(target_pointer_width = "64") { 31 } else { 30 };
/// The most that a byte can make: a block is at least four of them and makes at most 128 KiB.
const RATIO: usize = 1 << 15;
/// An encoding context that has grown past this is not kept: level 22 on large chunks takes hundreds of megabytes.
/// Nor is one that failed, which may be in the middle of a frame.
const KEPT_CONTEXT: usize = 64 << 20;

thread_local! {
    static DECODER: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
    static ENCODER: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
}

/// The `zstd` codec.
#[derive(Debug, Clone, Copy)]
pub struct Zstd {
    level: i32,
    checksum: bool,
}

impl Zstd {
    /// `level` as in zstd, clamped to what the library has (-131072 to 22); 0 is its default, 3.
    pub fn new(level: i32, checksum: bool) -> Self {
        Self { level, checksum }
    }
}

/// A place as zstd-safe takes outputs.
struct Target<'a>(OutBytes<'a>);

// SAFETY: every place can be written for its length, nothing is claimed to be readable, and whoever made the place
// accounts for what was written.
unsafe impl WriteBuf for Target<'_> {
    fn as_slice(&self) -> &[u8] {
        &[]
    }
    fn capacity(&self) -> usize {
        self.0.len()
    }
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
    unsafe fn filled_until(&mut self, _n: usize) {}
}

fn damaged(code: usize) -> Error {
    Error::runtime(format!("zstd decompression error: {}", zstd_safe::get_error_name(code)))
}

fn no_context() -> Error {
    Error::new(Kind::Memory, "cannot allocate a zstd context")
}

/// How many bytes the frames of `input` announce together; `None` if one of them does not say.
///
/// # Errors
/// `Runtime` for anything but a sequence of whole frames. numcodecs refuses the same, and its zstd lacks the
/// formats from before 1.0 too, which this build of the library would decode.
fn announced(input: &[u8]) -> Result<Option<u64>> {
    let invalid = |at: usize| Error::runtime(format!("zstd decompression error: invalid frame at byte {at}"));
    let mut total = Some(0_u64);
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        let magic = rest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if magic != MAGIC && magic & !0xF != 0x184D_2A50 {
            return Err(invalid(at));
        }
        let length = zstd_safe::find_frame_compressed_size(rest).map_err(|_| invalid(at))?;
        let content = zstd_safe::get_frame_content_size(&rest[..length]).map_err(|_| invalid(at))?;
        total = total.zip(content).map(|(total, content)| total.saturating_add(content));
        if content.is_none() && window(rest) > MAX_WINDOW {
            return Err(Error::runtime("zstd decompression error: frame requires too much memory"));
        }
        at += length;
    }
    // numcodecs takes an announced length of zero for damage, and so even what it encodes from nothing.
    if total == Some(0) { Err(invalid(0)) } else { Ok(total) }
}

/// The window size of a frame without a content size: its descriptor is the sixth byte.
fn window(frame: &[u8]) -> u64 {
    let descriptor = frame.get(5).copied().map_or(0, u64::from);
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + (base >> 3) * (descriptor & 7)
}

/// Decodes all frames in one call and returns the length, or the library's error code.
fn decompress(input: &[u8], place: OutBytes<'_>) -> Result<std::result::Result<usize, usize>> {
    DECODER.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = DCtx::try_create();
        }
        let context = slot.as_mut().ok_or_else(no_context)?;
        Ok(context.decompress(&mut Target(place), input))
    })
}

/// Decodes frames as their bytes arrive, whatever is `announced`, with a context of its own: it holds a window, which the
/// thread should not keep.
fn decompress_stream(input: &[u8], out: &mut Vec<u8>, limit: usize, announced: bool) -> Result<()> {
    let mut context = DCtx::try_create().ok_or_else(no_context)?;
    if announced {
        context.set_parameter(DParameter::WindowLogMax(ANY_WINDOW)).map_err(damaged)?;
    }
    let mut source = InBuffer::around(input);
    let start = out.len();
    loop {
        let produced = out.len() - start;
        if produced > limit {
            return Err(too_long(limit));
        }
        if out.len() == out.capacity() {
            reserve(out, produced.max(DCtx::out_size()).min((limit - produced).saturating_add(1)))?;
        }
        let position = out.len();
        let mut target = OutBuffer::around_pos(out, position);
        let hint = context.decompress_stream(&mut target, &mut source).map_err(damaged)?;
        let full = target.pos() == target.capacity();
        if source.pos() == input.len() && hint == 0 {
            return if out.len() - start > limit { Err(too_long(limit)) } else { Ok(()) };
        }
        if source.pos() == input.len() && !full {
            return Err(Error::runtime("zstd decompression error: the input ends within a frame"));
        }
    }
}

impl Step for Zstd {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let refused = |code| Error::runtime(format!("zstd compression error: {}", zstd_safe::get_error_name(code)));
        let encode = |context: &mut CCtx<'static>, place: OutBytes<'_>| {
            context.set_parameter(CParameter::CompressionLevel(self.level))?;
            context.set_parameter(CParameter::ChecksumFlag(self.checksum))?;
            context.compress2(&mut Target(place), input)
        };
        ENCODER.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = CCtx::try_create();
            }
            let context = slot.as_mut().ok_or_else(no_context)?;
            let bound = zstd_safe::compress_bound(input.len());
            // SAFETY: zstd has written as many bytes as it returns.
            let result = unsafe { append(out, bound, |place| encode(context, place).map_err(refused)) };
            if result.is_err() || context.sizeof() > KEPT_CONTEXT {
                *slot = None;
            }
            result
        })
    }

    fn decode_into(&self, input: &[u8], mut place: OutBytes<'_>) -> Result<()> {
        let len = place.len();
        match announced(input)? {
            // Damage may be in the length itself, which is another error than sound bytes of another length.
            Some(total) if total != len as u64 => fill_beside(place, |out, limit| self.decode_onto(input, out, limit)),
            Some(_) => match decompress(input, place)?.map_err(damaged)? {
                got if got == len => Ok(()),
                got => Err(wrong_length(got, len)),
            },
            None => match decompress(input, place.reborrow())? {
                Ok(got) if got == len => Ok(()),
                _ => fill_beside(place, |out, limit| decompress_stream(input, out, limit, false)),
            },
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let Some(total) = announced(input)? else {
            return decompress_stream(input, out, limit, false);
        };
        let believed = limit.min(input.len().saturating_mul(RATIO));
        let Some(total) = usize::try_from(total).ok().filter(|total| *total <= believed) else {
            return decompress_stream(input, out, limit, true);
        };
        // SAFETY: zstd has written as many bytes as it returns. Memory reserved beyond them is never touched.
        unsafe { append(out, total, |place| decompress(input, place)?.map_err(damaged)) }
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::zstd(self.level)
    }
}

#[cfg(test)]
mod tests;
