//! The framing that numcodecs' checksums share: four little-endian bytes before or after the data, checked and
//! stripped. Each algorithm has its own file.

use crate::codec::Step;
use crate::codec::output::{copy_exactly, reserve, too_long};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// Bytes of a stored checksum.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// A checksum algorithm.
pub trait Algorithm: Send + Sync + std::fmt::Debug {
    /// numcodecs' name for it.
    const NAME: &'static str;

    /// The checksum of `data`.
    fn sum(&self, data: &[u8]) -> u32;

    /// The error class if `stored` bytes are too few to decode; `None` if they are enough.
    fn refuses_stored(&self, stored: usize) -> Option<Kind> {
        (stored < CHECKSUM_BYTES).then_some(Kind::Value)
    }

    /// The error class if `data` bytes cannot be encoded; `None` if they can.
    fn refuses_data(&self, data: usize) -> Option<Kind> {
        let _ = data;
        None
    }
}

/// Where the checksum is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// Before the data.
    Start,
    /// After the data.
    End,
}

/// A codec that adds the checksum of `A`.
#[derive(Debug, Clone)]
pub struct Checksum<A> {
    algorithm: A,
    location: Location,
}

impl<A: Algorithm> Checksum<A> {
    /// The checksum of `algorithm` at `location`.
    pub fn new(algorithm: A, location: Location) -> Self {
        Self { algorithm, location }
    }

    /// `input` without its checksum, which is compared only if `validate`.
    fn strip<'a>(&self, input: &'a [u8], validate: bool) -> Result<&'a [u8]> {
        let short = |kind| Error::new(kind, format!("{} bytes are too few for a {} checksum", input.len(), A::NAME));
        if let Some(kind) = self.algorithm.refuses_stored(input.len()) {
            return Err(short(kind));
        }
        let parts = match self.location {
            Location::Start => input.split_first_chunk::<CHECKSUM_BYTES>(),
            Location::End => input.split_last_chunk::<CHECKSUM_BYTES>().map(|(data, stored)| (stored, data)),
        };
        let (stored, data) = parts.ok_or_else(|| short(Kind::Value))?;
        if validate {
            let (stored, computed) = (u32::from_le_bytes(*stored), self.algorithm.sum(data));
            if stored != computed {
                let name = A::NAME;
                return Err(Error::runtime(format!(
                    "{name} checksum does not match: stored {stored:#010x}, computed {computed:#010x}"
                )));
            }
        }
        Ok(data)
    }
}

impl<A: Algorithm> Step for Checksum<A> {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if let Some(kind) = self.algorithm.refuses_data(input.len()) {
            return Err(Error::new(kind, format!("{} has no checksum of {} bytes", A::NAME, input.len())));
        }
        reserve(out, input.len().saturating_add(CHECKSUM_BYTES))?;
        let sum = self.algorithm.sum(input).to_le_bytes();
        if self.location == Location::Start {
            out.extend_from_slice(&sum);
        }
        out.extend_from_slice(input);
        if self.location == Location::End {
            out.extend_from_slice(&sum);
        }
        Ok(())
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        copy_exactly(self.strip(input, true)?, out)
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let data = self.strip(input, true)?;
        if data.len() > limit {
            return Err(too_long(limit));
        }
        reserve(out, data.len())?;
        out.extend_from_slice(data);
        Ok(())
    }

    fn decode_view<'a>(&self, input: &'a [u8], validate: bool) -> Option<Result<&'a [u8]>> {
        Some(self.strip(input, validate))
    }

    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        decoded.checked_add(CHECKSUM_BYTES)
    }
}

#[cfg(test)]
mod tests;
