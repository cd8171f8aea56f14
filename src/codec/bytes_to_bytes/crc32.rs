//! The CRC-32 of gzip by libdeflate, which gzip needs already.
//! <https://datatracker.ietf.org/doc/html/rfc1952#section-8>
#![allow(unsafe_code)]

use libdeflate_sys as sys;

use super::checksum::Algorithm;

/// `numcodecs.crc32`.
#[derive(Debug, Clone, Copy)]
pub struct Crc32;

impl Algorithm for Crc32 {
    const NAME: &'static str = "crc32";

    fn sum(&self, data: &[u8]) -> u32 {
        // SAFETY: a live slice.
        unsafe { sys::libdeflate_crc32(0, data.as_ptr().cast(), data.len()) }
    }
}
