//! Adler-32 by libdeflate, which zlib needs already. <https://datatracker.ietf.org/doc/html/rfc1950#section-8>
#![allow(unsafe_code)]

use libdeflate_sys as sys;

use super::checksum::Algorithm;

/// `numcodecs.adler32`.
#[derive(Debug, Clone, Copy)]
pub struct Adler32;

impl Algorithm for Adler32 {
    const NAME: &'static str = "adler32";

    fn sum(&self, data: &[u8]) -> u32 {
        // SAFETY: a live slice.
        unsafe { sys::libdeflate_adler32(1, data.as_ptr().cast(), data.len()) }
    }
}
