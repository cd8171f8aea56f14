//! Bytes-to-bytes codecs: compressors and checksums, one file for each library. No arrays, no stores, no threads.

mod deflate;
#[cfg(test)]
mod samples;

pub mod adler32;
pub mod blosc;
pub mod bz2;
pub mod checksum;
pub mod crc32;
pub mod crc32c;
pub mod fletcher32;
pub mod gzip;
pub mod jenkins_lookup3;
pub mod lz4;
pub mod lzma;
pub mod shuffle;
pub mod zlib;
pub mod zstd;

pub(crate) use deflate::{crc32, inflate_entry};

// For callers outside `codec/` that still name them by this path.
pub(crate) use super::wrong_length;
pub use super::{Cost, PythonCall, Step, copy_exactly};
