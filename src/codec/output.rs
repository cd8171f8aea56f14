//! Where decoded and encoded bytes go: growth of a `Vec` that fails instead of aborting, and the slow way around a
//! one-call decoder. No formats.
#![allow(unsafe_code)]

use super::step::wrong_length;
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// The error of an output that would pass `limit` bytes.
pub(super) fn too_long(limit: usize) -> Error {
    Error::new(Kind::TooLong, format!("decodes to more than {limit} bytes, the most that is expected here"))
}

/// Room for `additional` more bytes in `out`.
///
/// # Errors
/// `Memory` where the allocator has none; a `Vec` that grows by itself would end the process.
pub(super) fn reserve(out: &mut Vec<u8>, additional: usize) -> Result<()> {
    out.try_reserve(additional)
        .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {additional} bytes beside {}", out.len())))
}

/// Appends to `out` what `fill` writes to the front of a place of `capacity` bytes; `fill` returns how much that is.
///
/// # Safety
/// `fill` has written every byte of the length that it returns.
pub(super) unsafe fn append(
    out: &mut Vec<u8>,
    capacity: usize,
    fill: impl FnOnce(OutBytes<'_>) -> Result<usize>,
) -> Result<()> {
    reserve(out, capacity)?;
    let written = fill(OutBytes::from(&mut out.spare_capacity_mut()[..capacity]))?;
    assert!(written <= capacity, "a library reported {written} bytes in a place of {capacity}");
    // SAFETY: within the capacity by the assertion, and initialised by the caller's promise.
    unsafe { out.set_len(out.len() + written) };
    Ok(())
}

/// Fills `place` by `decode`, which appends to a `Vec` up to a limit: for input that a one-call decoder refused or that
/// announces another length, where only decoding tells which error zarr-python would raise. Follows overlong output to twice the expected
/// length and 1 MiB, since damage further on decides the error's class.
pub(super) fn fill_beside(place: OutBytes<'_>, decode: impl FnOnce(&mut Vec<u8>, usize) -> Result<()>) -> Result<()> {
    let mut beside = Vec::new();
    decode(&mut beside, place.len().saturating_mul(2).saturating_add(1 << 20))?;
    copy_exactly(&beside, place)
}

/// Copies `bytes` to `place`.
///
/// # Errors
/// `Value` if the lengths differ.
pub fn copy_exactly(bytes: &[u8], mut place: OutBytes<'_>) -> Result<()> {
    if bytes.len() != place.len() {
        return Err(wrong_length(bytes.len(), place.len()));
    }
    place.copy_from(bytes);
    Ok(())
}
