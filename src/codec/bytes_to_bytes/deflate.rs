//! Shared by gzip, zlib and ZIP: libdeflate where the length is known, zlib where it is not or where something is
//! wrong, since only a streaming decoder meets errors in the order in which Python's modules raise them. No headers.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflate_sys as sys;

use crate::codec::output::{append, reserve, too_long};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// libdeflate's decoding and encoding functions, whose signatures are the same for gzip, zlib and bare streams.
pub(super) type Decode = unsafe extern "C" fn(
    *mut sys::libdeflate_decompressor,
    *const c_void,
    usize,
    *mut c_void,
    usize,
    *mut usize,
    *mut usize,
) -> sys::libdeflate_result;
pub(super) type Encode =
    unsafe extern "C" fn(*mut sys::libdeflate_compressor, *const c_void, usize, *mut c_void, usize) -> usize;
pub(super) type Bound = unsafe extern "C" fn(*mut sys::libdeflate_compressor, usize) -> usize;

/// The libdeflate level for each level of zlib from 0 to 9: the fastest whose output is at most 2 % longer than zlib's.
/// Measured on 64 KiB and 1 MiB of counts, noisy and rounded floats, bytes, text and labels (segmentations of 50:1 and
/// more); only labels of 1 MiB at 6, 8 and 9 are 3 to 4 % longer, where the next level would cost twice the time.
const LEVELS: [c_int; 10] = [0, 2, 4, 4, 4, 6, 7, 8, 9, 9];

struct Decompressor(NonNull<sys::libdeflate_decompressor>);

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the library allocated it, and it is freed once.
        unsafe { sys::libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

struct Compressor(NonNull<sys::libdeflate_compressor>, usize);

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { sys::libdeflate_free_compressor(self.0.as_ptr()) }
    }
}

thread_local! {
    static DECOMPRESSOR: Cell<Option<Decompressor>> = const { Cell::new(None) };
    static COMPRESSOR: Cell<Option<Compressor>> = const { Cell::new(None) };
    static STREAM: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

fn no_memory() -> Error {
    Error::new(Kind::Memory, "cannot allocate a libdeflate context")
}

/// Decodes one stream with its header and trailer to the front of `out`, by `decode`, one of libdeflate's functions.
/// Returns how many bytes were consumed and written, or `None` for anything but success: [`inflate`] finds the cause.
/// More of `out` than the returned length may be written.
pub(super) fn decode_at_once(decode: Decode, input: &[u8], mut out: OutBytes<'_>) -> Result<Option<(usize, usize)>> {
    let kept = match DECOMPRESSOR.take() {
        Some(kept) => kept,
        // SAFETY: no precondition.
        None => Decompressor(NonNull::new(unsafe { sys::libdeflate_alloc_decompressor() }).ok_or_else(no_memory)?),
    };
    let (mut consumed, mut written) = (0, 0);
    // SAFETY: the decompressor is live and this thread's own; the input can be read and the output written for their
    // lengths.
    let result = unsafe {
        decode(
            kept.0.as_ptr(),
            input.as_ptr().cast(),
            input.len(),
            out.as_mut_ptr().cast(),
            out.len(),
            &raw mut consumed,
            &raw mut written,
        )
    };
    DECOMPRESSOR.set(Some(kept));
    Ok((result == sys::libdeflate_result_LIBDEFLATE_SUCCESS).then_some((consumed, written)))
}

/// Appends the encoded form of `input` at zlib's `level`, 0 to 9, by `encode` and `bound`, which are libdeflate's.
pub(super) fn encode_at_once(
    encode: Encode,
    bound: Bound,
    level: usize,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    let kept = if let Some(kept) = COMPRESSOR.take().filter(|kept| kept.1 == level) {
        kept
    } else {
        // SAFETY: no precondition; null for a level out of range.
        let allocated = unsafe { sys::libdeflate_alloc_compressor(LEVELS[level]) };
        Compressor(NonNull::new(allocated).ok_or_else(no_memory)?, level)
    };
    let context = kept.0.as_ptr();
    // SAFETY: the compressor is live and this thread's own.
    let capacity = unsafe { bound(context, input.len()) };
    let fill = |mut spare: OutBytes<'_>| {
        // SAFETY: the compressor as above; the input can be read and `spare` written for their lengths.
        let written =
            unsafe { encode(context, input.as_ptr().cast(), input.len(), spare.as_mut_ptr().cast(), spare.len()) };
        // Zero means that the output was too short, which the bound excludes.
        if written == 0 {
            Err(Error::runtime(format!("libdeflate needs more than {capacity} bytes")))
        } else {
            Ok(written)
        }
    };
    // SAFETY: libdeflate has written as many bytes as it returns.
    let result = unsafe { append(out, capacity, fill) };
    COMPRESSOR.set(Some(kept));
    result
}

/// Appends one decoded deflate stream to `out`; the stream has zlib's framing if `zlib`, otherwise none. Returns the
/// length consumed.
///
/// # Errors
/// `Zlib` for damage, `TooLong` beyond `limit`, and `Eof` if the input ends before the stream does.
pub(super) fn inflate(zlib: bool, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<usize> {
    STREAM.with_borrow_mut(|slot| {
        let stream = slot.get_or_insert_with(|| Decompress::new(zlib));
        stream.reset(zlib);
        let start = out.len();
        loop {
            let produced = out.len() - start;
            if produced > limit {
                return Err(too_long(limit));
            }
            if out.len() == out.capacity() {
                reserve(out, produced.max(input.len()).max(4096).min((limit - produced).saturating_add(1)))?;
            }
            let consumed = stream.total_in() as usize;
            let status = stream
                .decompress_vec(&input[consumed..], out, FlushDecompress::None)
                .map_err(|error| Error::new(Kind::Zlib, format!("error while decompressing data: {error}")))?;
            let consumed = stream.total_in() as usize;
            if matches!(status, Status::StreamEnd) {
                return if out.len() - start > limit { Err(too_long(limit)) } else { Ok(consumed) };
            }
            if consumed == input.len() && out.len() < out.capacity() {
                return Err(Error::new(Kind::Eof, format!("the {consumed} bytes end before the end-of-stream marker")));
            }
        }
    })
}

/// Continues `crc`, the checksum of gzip and ZIP over the preceding bytes (0 for none), over `data`.
pub(crate) fn crc32(crc: u32, data: &[u8]) -> u32 {
    // SAFETY: a live slice.
    unsafe { sys::libdeflate_crc32(crc, data.as_ptr().cast(), data.len()) }
}

/// Appends one decoded bare stream to `out`: an entry of a ZIP archive that claims to hold `claimed` bytes. As in
/// Python's zipfile, decoding stops after the claimed bytes, and a stream that ends early yields the bytes before its
/// end. The caller compares the entry's checksum, which detects both.
///
/// # Errors
/// `Zlib` for damage, `TooLong` beyond `most` bytes.
pub(crate) fn inflate_entry(input: &[u8], claimed: u64, most: usize, out: &mut Vec<u8>) -> Result<()> {
    /// The most bytes that one byte of deflate decodes to.
    const MAX_RATIO: usize = 1032;
    let start = out.len();
    let claim = usize::try_from(claimed).unwrap_or(usize::MAX);
    // No memory is reserved for a claim that cannot be true.
    if claim <= most.min(input.len().saturating_mul(MAX_RATIO)) {
        let mut whole = false;
        let fill = |spare: OutBytes<'_>| {
            let decoded = decode_at_once(sys::libdeflate_deflate_decompress_ex, input, spare)?;
            whole = decoded.is_some();
            Ok(decoded.map_or(0, |(_, written)| written))
        };
        // SAFETY: libdeflate has written as many bytes as it returns.
        unsafe { append(out, claim, fill) }?;
        if whole {
            return Ok(());
        }
    }
    match inflate(false, input, out, most.min(claim)) {
        Err(Error { kind: Kind::TooLong, .. }) if claim <= most => out.truncate(start.saturating_add(claim)),
        // The decoder has room for one byte more than is claimed.
        Err(Error { kind: Kind::Eof, .. }) => out.truncate(start.saturating_add(claim)),
        outcome => return outcome.map(drop),
    }
    Ok(())
}
