//! Zstandard by the reference library, with one encoder and one decoder for each thread. Refuses the bytes that
//! numcodecs refuses. <https://datatracker.ietf.org/doc/html/rfc8878>
#![allow(unsafe_code)]

use std::cell::RefCell;

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, WriteBuf};

use crate::codec::output::{append, fill_beside, reserve, too_long};
use crate::codec::{Cost, Step, wrong_length};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

const MAGIC: u32 = 0xFD2F_B528;
/// The largest window in a frame without a content size that the streaming decoder, and so numcodecs, accepts.
const MAX_WINDOW: u64 = (1 << 27) + 1;
/// The largest window in any other frame: decoding in one call has no bound.
const ANY_WINDOW: u32 = if cfg!(target_pointer_width = "64") { 31 } else { 30 };
/// The most bytes that one byte decodes to: a block has at least four bytes and decodes to at most 128 KiB.
const MAX_RATIO: usize = 1 << 15;
/// An encoding context that has grown past this many bytes is not kept: level 22 on large chunks takes hundreds of
/// megabytes. Neither is a context that failed, since it may be in the middle of a frame.
const MAX_KEPT_CONTEXT: usize = 64 << 20;

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
    /// `level` as in zstd, clamped to the library's range (-131072 to 22); 0 is its default, 3.
    pub fn new(level: i32, checksum: bool) -> Self {
        Self { level, checksum }
    }
}

/// Output bytes in the form that zstd-safe takes.
struct ZstdOutput<'a>(OutBytes<'a>);

// SAFETY: `OutBytes` can be written for its whole length, nothing is claimed to be readable, and the callers of
// `decompress` and `compress2` account for the written bytes by the returned length.
unsafe impl WriteBuf for ZstdOutput<'_> {
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

/// The sum of the content sizes that the frames of `input` announce; `None` if a frame announces none.
///
/// # Errors
/// `Runtime` for anything but a sequence of whole frames, as in numcodecs. Formats older than zstd 1.0 are refused too:
/// this build of the library could decode them, numcodecs' build cannot.
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
    // numcodecs takes an announced length of zero for damage, even in its own encoding of empty input.
    if total == Some(0) { Err(invalid(0)) } else { Ok(total) }
}

/// The window size of a frame without a content size, whose window descriptor is the sixth byte.
fn window(frame: &[u8]) -> u64 {
    let descriptor = frame.get(5).copied().map_or(0, u64::from);
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + (base >> 3) * (descriptor & 7)
}

/// Decodes all frames in one call; returns the decoded length, or the library's error code.
fn decompress(input: &[u8], out: OutBytes<'_>) -> Result<std::result::Result<usize, usize>> {
    DECODER.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = DCtx::try_create();
        }
        let context = slot.as_mut().ok_or_else(no_context)?;
        Ok(context.decompress(&mut ZstdOutput(out), input))
    })
}

/// Decodes frame by frame with its own context, which holds a window that the thread should not keep. `announced`: the
/// frames state their content sizes, which are not trusted, but allow any window.
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
        let encode = |context: &mut CCtx<'static>, spare: OutBytes<'_>| {
            context.set_parameter(CParameter::CompressionLevel(self.level))?;
            context.set_parameter(CParameter::ChecksumFlag(self.checksum))?;
            context.compress2(&mut ZstdOutput(spare), input)
        };
        ENCODER.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = CCtx::try_create();
            }
            let context = slot.as_mut().ok_or_else(no_context)?;
            let bound = zstd_safe::compress_bound(input.len());
            // SAFETY: zstd has written as many bytes as it returns.
            let result = unsafe { append(out, bound, |spare| encode(context, spare).map_err(refused)) };
            if result.is_err() || context.sizeof() > MAX_KEPT_CONTEXT {
                *slot = None;
            }
            result
        })
    }

    fn decode_into(&self, input: &[u8], mut out: OutBytes<'_>) -> Result<()> {
        let len = out.len();
        match announced(input)? {
            // The length itself may be damaged, which is another error than valid bytes of another length.
            Some(total) if total != len as u64 => {
                fill_beside(out, |buffer, limit| self.decode_onto(input, buffer, limit))
            }
            Some(_) => match decompress(input, out)?.map_err(damaged)? {
                got if got == len => Ok(()),
                got => Err(wrong_length(got, len)),
            },
            None => match decompress(input, out.reborrow())? {
                Ok(got) if got == len => Ok(()),
                _ => fill_beside(out, |buffer, limit| decompress_stream(input, buffer, limit, false)),
            },
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let Some(total) = announced(input)? else {
            return decompress_stream(input, out, limit, false);
        };
        let believed = limit.min(input.len().saturating_mul(MAX_RATIO));
        let Some(total) = usize::try_from(total).ok().filter(|total| *total <= believed) else {
            return decompress_stream(input, out, limit, true);
        };
        // SAFETY: zstd has written as many bytes as it returns.
        unsafe { append(out, total, |spare| decompress(input, spare)?.map_err(damaged)) }
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::zstd(self.level)
    }
}

#[cfg(test)]
mod tests;
