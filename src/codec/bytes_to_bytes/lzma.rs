//! xz, LZMA and raw filter chains with any number of streams, read and written as numcodecs does through Python's
//! `lzma` module, with the same error classes. <https://tukaani.org/xz/xz-file-format.txt>
#![allow(unsafe_code)]

mod filters;

use std::cell::Cell;

use liblzma_sys as sys;

use crate::codec::output::{append, fill_beside, too_long};
use crate::codec::{Cost, Step};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

pub use filters::Filter;
use filters::FilterChain;

/// A decoder that takes more bytes (most of them for its dictionary) is not kept between chunks.
const MAX_KEPT_DECODER: u64 = 32 << 20;

thread_local! {
    static DECODER: Cell<Option<LzmaStream>> = const { Cell::new(None) };
}

/// The container, numbered as in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Decodes xz and LZMA; cannot encode.
    Auto,
    /// The format of `.xz` files.
    Xz,
    /// The older format of `.lzma` files.
    Alone,
    /// The bytes of a filter chain, without a container.
    Raw,
}

impl Format {
    /// The format with Python's `number`.
    ///
    /// # Errors
    /// `Value` if there is none.
    pub fn new(number: i32) -> Result<Self> {
        match number {
            0 => Ok(Self::Auto),
            1 => Ok(Self::Xz),
            2 => Ok(Self::Alone),
            3 => Ok(Self::Raw),
            _ => Err(Error::value(format!("invalid container format: {number}"))),
        }
    }
}

/// The `numcodecs.lzma` codec.
#[derive(Debug, Clone)]
pub struct Lzma {
    format: Format,
    check: i32,
    preset: Option<u32>,
    filters: Option<Vec<Filter>>,
}

impl Lzma {
    /// `check` is liblzma's number, or -1 for the format's default; `preset` is 0 to 9, with the highest bit set for
    /// extreme. Conflicting options are refused only when they are used, as in Python.
    pub fn new(format: Format, check: i32, preset: Option<u32>, filters: Option<Vec<Filter>>) -> Self {
        Self { format, check, preset, filters }
    }
}

/// The error for liblzma's `code`, of the class that Python's module raises.
fn refused(code: sys::lzma_ret) -> Error {
    let what = match code {
        sys::LZMA_MEM_ERROR => return Error::new(Kind::Memory, "cannot allocate an lzma context"),
        sys::LZMA_UNSUPPORTED_CHECK => "unsupported integrity check",
        sys::LZMA_FORMAT_ERROR => "input format not supported",
        sys::LZMA_OPTIONS_ERROR => "invalid or unsupported options",
        sys::LZMA_DATA_ERROR => "corrupt input data",
        _ => return Error::new(Kind::Lzma, format!("lzma error {code}")),
    };
    Error::new(Kind::Lzma, what)
}

/// A stream of liblzma, which may be initialised again as another coder.
struct LzmaStream(sys::lzma_stream);

impl Drop for LzmaStream {
    fn drop(&mut self) {
        // SAFETY: zeros, liblzma's initial value, or a stream that liblzma has initialised.
        unsafe { sys::lzma_end(&raw mut self.0) };
    }
}

impl LzmaStream {
    fn new() -> Self {
        // SAFETY: integers and pointers, all zero: liblzma's own initial value.
        Self(unsafe { std::mem::zeroed() })
    }

    /// Codes until the stream ends, the input is used up or the output is full. Moves `input` past the consumed bytes;
    /// returns how many bytes were written and whether the stream has ended.
    fn run(&mut self, action: sys::lzma_action, input: &mut &[u8], mut out: OutBytes<'_>) -> Result<(usize, bool)> {
        let raw = &mut self.0;
        (raw.next_in, raw.avail_in) = (input.as_ptr(), input.len());
        (raw.next_out, raw.avail_out) = (out.as_mut_ptr(), out.len());
        let result = loop {
            let before = (raw.avail_in, raw.avail_out);
            // SAFETY: the stream was initialised; its input can be read and its output written for their lengths.
            match unsafe { sys::lzma_code(&raw mut *raw, action) } {
                sys::LZMA_STREAM_END => break Ok(true),
                sys::LZMA_OK | sys::LZMA_BUF_ERROR | sys::LZMA_GET_CHECK | sys::LZMA_NO_CHECK => {
                    if before == (raw.avail_in, raw.avail_out) {
                        break Ok(false);
                    }
                }
                code => break Err(refused(code)),
            }
        };
        let written = out.len() - raw.avail_out;
        *input = &input[input.len() - raw.avail_in..];
        // The stream keeps no pointers into the caller's memory.
        (raw.next_in, raw.avail_in) = (std::ptr::null(), 0);
        (raw.next_out, raw.avail_out) = (std::ptr::null_mut(), 0);
        result.map(|ended| (written, ended))
    }
}

impl Lzma {
    fn chain(&self) -> Result<Option<FilterChain>> {
        self.filters.as_deref().map(FilterChain::new).transpose()
    }

    /// Initialises `stream` for decoding.
    fn start_decoder(&self, stream: &mut LzmaStream) -> Result<()> {
        let raw = &raw mut stream.0;
        let chain = match (self.format, &self.filters) {
            (Format::Raw, None) => return Err(Error::value("filters must be given for the raw lzma format")),
            (Format::Raw, Some(_)) => self.chain()?,
            (_, Some(_)) => return Err(Error::value("lzma filters can be given for the raw format only")),
            (_, None) => None,
        };
        // Python sets no memory limit either: what a header asks for is allocated, but touched only as bytes arrive.
        // SAFETY: zeros or a stream that was initialised before; liblzma copies the filters.
        let code = unsafe {
            match self.format {
                Format::Auto => sys::lzma_auto_decoder(raw, u64::MAX, 0),
                Format::Xz => sys::lzma_stream_decoder(raw, u64::MAX, 0),
                Format::Alone => sys::lzma_alone_decoder(raw, u64::MAX),
                Format::Raw => sys::lzma_raw_decoder(raw, chain.as_ref().map_or(std::ptr::null(), FilterChain::as_ptr)),
            }
        };
        if code == sys::LZMA_OK { Ok(()) } else { Err(refused(code)) }
    }

    /// Calls `decode` with this thread's decoder, initialised.
    fn with_decoder<T>(&self, decode: impl FnOnce(&mut LzmaStream) -> Result<T>) -> Result<T> {
        let mut stream = DECODER.take().unwrap_or_else(LzmaStream::new);
        let result = self.start_decoder(&mut stream).and_then(|()| decode(&mut stream));
        // SAFETY: a stream of liblzma. Raw decoders do not report their memory.
        let used = unsafe { sys::lzma_memusage(&raw const stream.0) };
        if self.format != Format::Raw && used <= MAX_KEPT_DECODER {
            DECODER.set(Some(stream));
        }
        result
    }

    /// A new encoder.
    fn encoder(&self) -> Result<LzmaStream> {
        if self.format != Format::Xz && !matches!(self.check, -1 | 0) {
            return Err(Error::value("only the xz format has integrity checks"));
        }
        if self.preset.is_some() && self.filters.is_some() {
            return Err(Error::value("either a preset or filters can be given for lzma, not both"));
        }
        let preset = self.preset.unwrap_or(sys::LZMA_PRESET_DEFAULT);
        let check = if self.check == -1 { sys::LZMA_CHECK_CRC64 } else { self.check as sys::lzma_check };
        let chain = self.chain()?;
        let mut stream = LzmaStream::new();
        let raw = &raw mut stream.0;
        // SAFETY: zeros, liblzma's initial value; it copies options and filters, which outlive the call.
        let code = unsafe {
            match (self.format, &chain) {
                (Format::Auto, _) => return Err(Error::value("the lzma format `auto` is for decoding only")),
                (Format::Xz, None) => sys::lzma_easy_encoder(raw, preset, check),
                (Format::Xz, Some(chain)) => sys::lzma_stream_encoder(raw, chain.as_ptr(), check),
                (Format::Alone, None) => sys::lzma_alone_encoder(raw, &filters::preset(preset)?),
                (Format::Alone, Some(chain)) => sys::lzma_alone_encoder(raw, chain.lone_lzma1()?),
                (Format::Raw, None) => return Err(Error::value("filters must be given for the raw lzma format")),
                (Format::Raw, Some(chain)) => sys::lzma_raw_encoder(raw, chain.as_ptr()),
            }
        };
        if code == sys::LZMA_OK { Ok(stream) } else { Err(refused(code)) }
    }

    /// Appends one decoded stream to `out` and moves `input` past it. False if the input ends first.
    fn decode_one(&self, input: &mut &[u8], out: &mut Vec<u8>, limit: usize) -> Result<bool> {
        self.with_decoder(|stream| {
            let start = out.len();
            loop {
                let produced = out.len() - start;
                if produced > limit {
                    return Err(too_long(limit));
                }
                let room = produced.max(input.len()).max(1 << 14).min((limit - produced).saturating_add(1));
                let mut ended = false;
                let fill = |spare: OutBytes<'_>| {
                    let (written, end) = stream.run(sys::LZMA_RUN, input, spare)?;
                    ended = end;
                    Ok(written)
                };
                // SAFETY: liblzma has written as many bytes as it reports.
                unsafe { append(out, room, fill)? };
                let written = out.len() - start - produced;
                if ended || written < room {
                    return if out.len() - start > limit { Err(too_long(limit)) } else { Ok(ended) };
                }
            }
        })
    }
}

impl Step for Lzma {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut stream = self.encoder()?;
        let mut rest = input;
        // Enough for xz; LZMA may need a little more for incompressible data.
        // SAFETY: no precondition.
        let mut room = unsafe { sys::lzma_stream_buffer_bound(input.len()) }.max(1 << 10);
        loop {
            let mut ended = false;
            let fill = |spare: OutBytes<'_>| {
                let (written, end) = stream.run(sys::LZMA_FINISH, &mut rest, spare)?;
                ended = end;
                Ok(written)
            };
            // SAFETY: liblzma has written as many bytes as it reports.
            unsafe { append(out, room, fill)? };
            if ended {
                return Ok(());
            }
            room = (input.len() / 16).max(1 << 10);
        }
    }

    fn decode_into(&self, input: &[u8], mut out: OutBytes<'_>) -> Result<()> {
        let (len, mut rest) = (out.len(), input);
        match self.with_decoder(|stream| stream.run(sys::LZMA_RUN, &mut rest, out.reborrow())) {
            Ok((written, true)) if written == len && rest.is_empty() => Ok(()),
            _ => fill_beside(out, |buffer, limit| self.decode_onto(input, buffer, limit)),
        }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let (start, mut rest, mut streams) = (out.len(), input, 0);
        loop {
            let before = out.len();
            match self.decode_one(&mut rest, out, limit - (before - start)) {
                Ok(true) if rest.is_empty() => return Ok(()),
                Ok(true) => streams += 1,
                Ok(false) => {
                    let ended = format!("the {} bytes end before the end-of-stream marker", input.len());
                    return Err(Error::new(Kind::Lzma, ended));
                }
                // Trailing bytes that are no stream are ignored.
                Err(Error { kind: Kind::Lzma, .. }) if streams > 0 => {
                    out.truncate(before);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::LZMA
    }
}

#[cfg(test)]
mod tests;
