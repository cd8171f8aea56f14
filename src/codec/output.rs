//! Where decoded and encoded bytes go: growing a `Vec` so that failure is an error and not an abort, and the slow path
//! beside a one-call decoder. No formats.
#![allow(unsafe_code)]

use super::step::wrong_length;
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// The error for output that would exceed `limit` bytes.
pub(super) fn too_long(limit: usize) -> Error {
    Error::new(Kind::TooLong, format!("decodes to more than {limit} bytes, the most expected here"))
}

/// Reserves room for `additional` more bytes in `out`.
///
/// # Errors
/// `Memory` if the allocator has none; a `Vec` that grows by itself would abort the process.
pub(super) fn reserve(out: &mut Vec<u8>, additional: usize) -> Result<()> {
    out.try_reserve(additional).map_err(|_| {
        Error::new(Kind::Memory, format!("cannot allocate {additional} bytes more than the {} in use", out.len()))
    })
}

/// Appends to `out` the bytes that `fill` writes at the front of `capacity` spare bytes; `fill` returns how many.
///
/// # Safety
/// `fill` must have written every byte of the length that it returns.
pub(super) unsafe fn append(
    out: &mut Vec<u8>,
    capacity: usize,
    fill: impl FnOnce(OutBytes<'_>) -> Result<usize>,
) -> Result<()> {
    reserve(out, capacity)?;
    let written = fill(OutBytes::from(&mut out.spare_capacity_mut()[..capacity]))?;
    assert!(written <= capacity, "a library reported {written} bytes in an output of {capacity}");
    // SAFETY: the assertion keeps this within the capacity, and the caller promises that the bytes are initialised.
    unsafe { out.set_len(out.len() + written) };
    Ok(())
}

/// Fills `out` by `decode`, which appends to a `Vec` up to a limit: for input that a one-call decoder refused or that
/// announces another length, where only decoding tells which error zarr-python would raise. Overlong output is followed
/// to twice the expected length plus 1 MiB, since damage further on decides the error's class.
pub(super) fn fill_beside(out: OutBytes<'_>, decode: impl FnOnce(&mut Vec<u8>, usize) -> Result<()>) -> Result<()> {
    let mut beside = Vec::new();
    decode(&mut beside, out.len().saturating_mul(2).saturating_add(1 << 20))?;
    copy_exactly(&beside, out)
}

/// Copies `bytes` to `out`.
///
/// # Errors
/// `Value` if the lengths differ.
pub fn copy_exactly(bytes: &[u8], mut out: OutBytes<'_>) -> Result<()> {
    if bytes.len() != out.len() {
        return Err(wrong_length(bytes.len(), out.len()));
    }
    out.copy_from(bytes);
    Ok(())
}
