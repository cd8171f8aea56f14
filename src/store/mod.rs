//! Where objects live: get, byte ranges, set and erase by key. No metadata, no codecs, no listing.

pub mod local;
pub mod zip;

/// Which bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// All of them.
    Whole,
    /// `len` bytes from `start`; fewer where the object ends sooner, as a Python slice.
    Range {
        /// Offset of the first byte.
        start: u64,
        /// Length in bytes.
        len: u64,
    },
    /// The last so many bytes; all of them where the object is shorter.
    Suffix(u64),
}
