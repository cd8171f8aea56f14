//! Blosc by the C library that numcodecs uses, through its context calls on one thread: the same bytes as numcodecs,
//! except that long blocks may differ under another version of zstd (numcodecs has 1.5.6, this build 1.5.7).
//! <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::ops::Range;

use blosc_src as sys;

use crate::codec::output::{append, copy_exactly, fill_beside, reserve, too_long};
use crate::codec::{Cost, Step};
use crate::error::{Error, Result};
use crate::memory::OutBytes;

const HEADER: usize = sys::BLOSC_MIN_HEADER_LENGTH as usize;
/// A run of this many 0xFF bytes overflows the match length of the blosclz decoder, which then writes out of bounds
/// (c-blosc issue 405). No encoder produces one: its match would be longer than any buffer.
const OVERFLOWING_RUN: usize = 8_000_000;

/// The `blosc` codec.
#[derive(Debug, Clone, Copy)]
pub struct Blosc {
    compressor: &'static CStr,
    clevel: i32,
    shuffle: i32,
    blocksize: i32,
    typesize: usize,
}

impl Blosc {
    /// `shuffle` is 0 for none, 1 for bytes, 2 for bits, and -1 for bits if `typesize` is 1, otherwise bytes.
    /// `typesize`, in bytes, is the configured one or else the item size of the encoded array. A `blocksize` of 0 lets
    /// blosc choose. `clevel` and `shuffle` are checked only when encoding, as in numcodecs: decoding needs neither.
    ///
    /// # Errors
    /// `Value` for a compressor that is not built in, such as snappy, and for a `typesize` of 0.
    pub fn new(cname: &str, clevel: i32, shuffle: i32, blocksize: i32, typesize: usize) -> Result<Self> {
        let compressor = match cname {
            "blosclz" => c"blosclz",
            "lz4" => c"lz4",
            "lz4hc" => c"lz4hc",
            "zlib" => c"zlib",
            "zstd" => c"zstd",
            _ => {
                let built_in = "expected one of blosclz, lz4, lz4hc, zlib, zstd";
                return Err(Error::value(format!("blosc compressor {cname:?} is not supported; {built_in}")));
            }
        };
        if typesize == 0 {
            return Err(Error::value("blosc typesize 0 is less than 1"));
        }
        Ok(Self { compressor, clevel, shuffle, blocksize, typesize })
    }
}

/// The fields of a checked header.
struct Header {
    nbytes: usize,
    blocksize: usize,
    typesize: usize,
    /// The data follows the header uncompressed.
    copied: bool,
}

fn damaged(what: &str) -> Error {
    Error::runtime(format!("error during blosc decompression: {what}"))
}

/// The header of `input`, after checking everything that the C library takes on trust.
///
/// # Errors
/// `Runtime` for input that numcodecs refuses, and for input shorter than its header says: the library would read past
/// its end.
fn header(input: &[u8]) -> Result<Header> {
    let Some(head) = input.first_chunk::<HEADER>() else {
        return Err(damaged(&format!("{} bytes cannot hold the header of {HEADER}", input.len())));
    };
    let field = |at: usize| i32::from_le_bytes([0, 1, 2, 3].map(|i| head[at + i]));
    let cbytes = usize::try_from(field(12)).unwrap_or(0);
    let mut nbytes = 0;
    // SAFETY: the call reads only the header, whose bytes `head` borrows.
    let valid = unsafe { sys::blosc_cbuffer_validate(head.as_ptr().cast(), cbytes, &raw mut nbytes) } == 0;
    if !valid || cbytes > input.len() {
        return Err(damaged(&format!("{} bytes, but the header announces {cbytes}", input.len())));
    }
    let (flags, typesize) = (head[2], usize::from(head[3]));
    let blocksize = usize::try_from(field(8)).unwrap_or(0);
    let sound = nbytes > 0 && typesize > 0 && flags & 8 == 0;
    if !sound || blocksize == 0 || blocksize > nbytes || blocksize > sys::BLOSC_MAX_BLOCKSIZE as usize {
        return Err(damaged(&format!(
            "{nbytes} bytes in blocks of {blocksize}, typesize {typesize}, flags {flags:#x}"
        )));
    }
    let copied = flags & sys::BLOSC_MEMCPYED as u8 != 0;
    let fits = if copied { nbytes + HEADER == cbytes } else { nbytes.div_ceil(blocksize) <= (cbytes - HEADER) / 4 };
    if !fits {
        return Err(damaged(&format!("{cbytes} bytes cannot hold {nbytes} in blocks of {blocksize}")));
    }
    if !copied && u32::from(flags >> 5) == sys::BLOSC_BLOSCLZ_FORMAT && has_overflowing_run(&input[..cbytes]) {
        return Err(damaged("a match length out of bounds"));
    }
    Ok(Header { nbytes, blocksize, typesize, copied })
}

/// Whether `input` has a run of [`OVERFLOWING_RUN`]. Any such run reaches a multiple of its length, so only
/// the bytes around those are read.
fn has_overflowing_run(input: &[u8]) -> bool {
    let ones = |byte: &&u8| **byte == 0xFF;
    (OVERFLOWING_RUN..input.len()).step_by(OVERFLOWING_RUN).any(|at| {
        let (before, after) = input.split_at(at);
        before.iter().rev().take_while(ones).count() + after.iter().take_while(ones).count() >= OVERFLOWING_RUN
    })
}

/// Decodes all of `input`, whose `header` was checked, into `out`, which has the length that the header says.
fn decode(input: &[u8], header: &Header, mut out: OutBytes<'_>) -> Result<()> {
    if header.copied {
        return copy_exactly(&input[HEADER..HEADER + header.nbytes], out);
    }
    // SAFETY: `header` has checked that the input is as long as the library will believe, and that blocks and offsets
    // fit; the library checks the offsets and lengths of the blocks against both. `OutBytes` can be written for its
    // whole length, which is passed to the library.
    let got = unsafe { sys::blosc_decompress_ctx(input.as_ptr().cast(), out.as_mut_ptr().cast(), out.len(), 1) };
    // Fewer bytes than announced: the blocks are no multiple of the typesize and leave gaps.
    if usize::try_from(got) == Ok(header.nbytes) { Ok(()) } else { Err(damaged(&got.to_string())) }
}

/// Fills `out` with the items of `input` from number `first` on. The `header` of `input` was checked, blocks and `out`
/// hold whole items, and the items lie within the decoded buffer.
fn decode_items(input: &[u8], header: &Header, first: usize, mut out: OutBytes<'_>) -> Result<()> {
    let items = out.len() / header.typesize;
    // SAFETY: as in `decode`; the items lie within the decoded buffer and have the length of `out`, and the call keeps
    // its state on the stack.
    let got =
        unsafe { sys::blosc_getitem(input.as_ptr().cast(), first as c_int, items as c_int, out.as_mut_ptr().cast()) };
    if usize::try_from(got) == Ok(out.len()) { Ok(()) } else { Err(damaged(&got.to_string())) }
}

impl Step for Blosc {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let refused = |what: &str| Error::runtime(format!("error during blosc compression: {what}"));
        if c_int::try_from(input.len()).is_err() {
            return Err(Error::value(format!(
                "blosc takes buffers of at most {} bytes, not {}",
                c_int::MAX,
                input.len()
            )));
        }
        if !(0..=9).contains(&self.clevel) {
            return Err(refused(&format!("clevel {}, expected 0 to 9", self.clevel)));
        }
        let shuffle = match self.shuffle {
            -1 => 1 + c_int::from(self.typesize == 1),
            shuffle @ 0..=2 => shuffle,
            shuffle => return Err(Error::value(format!("invalid blosc shuffle {shuffle}, expected -1, 0, 1 or 2"))),
        };
        // Above its largest typesize, 255, the library treats the input as single bytes.
        let typesize = self.typesize.min(sys::BLOSC_MAX_TYPESIZE as usize + 1);
        // The same capacity as in numcodecs: how well a block must compress depends on it.
        let fill = |mut spare: OutBytes<'_>| {
            // SAFETY: `input` can be read and `spare` written for their lengths; the name ends with a zero byte, and
            // the context call touches no global state of the library.
            let got = unsafe {
                sys::blosc_compress_ctx(
                    self.clevel,
                    shuffle,
                    typesize,
                    input.len(),
                    input.as_ptr().cast(),
                    spare.as_mut_ptr().cast(),
                    spare.len(),
                    self.compressor.as_ptr(),
                    self.blocksize as usize,
                    1,
                )
            };
            usize::try_from(got).ok().filter(|got| *got > 0).ok_or_else(|| refused(&got.to_string()))
        };
        // SAFETY: blosc has written as many bytes as it returns.
        unsafe { append(out, input.len() + HEADER, fill) }
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        let header = header(input)?;
        if header.nbytes != out.len() {
            // The length itself may be damaged, which is another error than valid bytes of another length.
            return fill_beside(out, |buffer, limit| self.decode_onto(input, buffer, limit));
        }
        decode(input, &header, out)
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let header = header(input)?;
        if header.nbytes > limit {
            // The bytes within the limit may be enough to meet damage, whose error comes first.
            let len = limit - limit % header.typesize;
            if header.copied {
                reserve(out, len)?;
                out.extend_from_slice(&input[HEADER..HEADER + len]);
            } else if header.blocksize.is_multiple_of(header.typesize) {
                // SAFETY: `decode_items` fills its output or fails.
                unsafe { append(out, len, |spare| decode_items(input, &header, 0, spare).map(|()| len)) }?;
            }
            return Err(too_long(limit));
        }
        let fill = |spare: OutBytes<'_>| decode(input, &header, spare).map(|()| header.nbytes);
        // SAFETY: `decode` fills its output or fails.
        unsafe { append(out, header.nbytes, fill) }
    }

    fn decode_span(&self, input: &[u8], decoded_len: usize, start: usize, out: OutBytes<'_>) -> Option<Result<()>> {
        let header = match header(input) {
            Ok(header) if header.nbytes == decoded_len => header,
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
        let Header { blocksize, typesize, .. } = header;
        let end = start.checked_add(out.len()).filter(|end| *end <= decoded_len)?;
        if header.copied {
            return Some(copy_exactly(&input[HEADER + start..HEADER + end], out));
        }
        // Blocks that are no multiple of the typesize have gaps, which decoding the whole refuses.
        let whole_items = [start, end, blocksize].iter().all(|at| at.is_multiple_of(typesize));
        let touched = end.div_ceil(blocksize) - start / blocksize;
        if !whole_items || touched >= decoded_len.div_ceil(blocksize) {
            return None;
        }
        Some(decode_items(input, &header, start / typesize, out))
    }

    /// The header, and the offsets of up to one block for each KiB.
    fn span_head(&self, decoded_len: usize) -> Option<usize> {
        Some(4096 + decoded_len / 256)
    }

    fn span_parts(
        &self,
        head: &[u8],
        encoded_len: usize,
        decoded_len: usize,
        span: Range<usize>,
    ) -> Option<Vec<Range<usize>>> {
        let field = |at: usize| {
            let bytes = head.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(i32::from_le_bytes(bytes)).ok()
        };
        let (flags, typesize) = (*head.get(2)?, usize::from(*head.get(3)?));
        let (nbytes, blocksize, cbytes) = (field(4)?, field(8)?, field(12)?);
        // Anything unusual is left to decoding the whole. blosclz is always searched for damage as a whole.
        let usual = nbytes == decoded_len && cbytes == encoded_len && typesize > 0 && blocksize > 0;
        if !usual || u32::from(flags >> 5) == sys::BLOSC_BLOSCLZ_FORMAT || flags & 8 != 0 {
            return None;
        }
        if flags & sys::BLOSC_MEMCPYED as u8 != 0 {
            let part = HEADER + span.start..(HEADER + span.end).min(encoded_len);
            return Some(std::iter::once(part).collect());
        }
        if ![span.start, span.end, blocksize].iter().all(|at| at.is_multiple_of(typesize)) {
            return None;
        }
        let blocks = nbytes.div_ceil(blocksize);
        let starts = (0..blocks).map(|block| field(HEADER + 4 * block)).collect::<Option<Vec<usize>>>()?;
        // A block ends where the next one in the buffer begins, which need not be the next one in the data.
        let mut ends = starts.clone();
        ends.push(encoded_len);
        ends.sort_unstable();
        let parts = (span.start / blocksize..span.end.div_ceil(blocksize)).map(|block| {
            let start = starts[block];
            let end = ends[ends.partition_point(|end| *end <= start).min(blocks)];
            (start < end && end <= encoded_len).then_some(start..end)
        });
        parts.collect()
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::blosc(self.compressor.to_bytes(), self.clevel)
    }
}

#[cfg(test)]
mod tests;
