//! The crc32c checksum, four little-endian bytes after the data; and numcodecs' codec of the same name, which may store
//! them before the data and raises another class.
//! <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/>

use super::checksum::{Algorithm, CHECKSUM_BYTES};
use crate::codec::Step;
use crate::codec::output::{copy_exactly, reserve, too_long};
use crate::error::{Error, Result};
use crate::memory::OutBytes;

/// The `crc32c` codec; it has no configuration.
#[derive(Debug, Clone, Copy)]
pub struct Crc32c;

/// `input` without its checksum, which is compared only if `validate`.
fn strip(input: &[u8], validate: bool) -> Result<&[u8]> {
    let Some((data, stored)) = input.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(Error::value(format!(
            "{} bytes cannot hold the {CHECKSUM_BYTES} bytes of a crc32c checksum",
            input.len()
        )));
    };
    if validate {
        let (stored, computed) = (u32::from_le_bytes(*stored), ::crc32c::crc32c(data));
        if stored != computed {
            return Err(Error::value(format!(
                "crc32c checksum does not match: stored {stored:#010x}, computed {computed:#010x}"
            )));
        }
    }
    Ok(data)
}

impl Step for Crc32c {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        reserve(out, input.len().saturating_add(CHECKSUM_BYTES))?;
        out.extend_from_slice(input);
        out.extend_from_slice(&::crc32c::crc32c(input).to_le_bytes());
        Ok(())
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        copy_exactly(strip(input, true)?, out)
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let data = strip(input, true)?;
        if data.len() > limit {
            return Err(too_long(limit));
        }
        reserve(out, data.len())?;
        out.extend_from_slice(data);
        Ok(())
    }

    fn decode_view<'a>(&self, input: &'a [u8], validate: bool) -> Option<Result<&'a [u8]>> {
        Some(strip(input, validate))
    }

    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        decoded.checked_add(CHECKSUM_BYTES)
    }
}

/// The algorithm of `numcodecs.crc32c`.
#[derive(Debug, Clone, Copy)]
pub struct Castagnoli;

impl Algorithm for Castagnoli {
    const NAME: &'static str = "crc32c";

    fn sum(&self, data: &[u8]) -> u32 {
        ::crc32c::crc32c(data)
    }
}

#[cfg(test)]
mod tests;
