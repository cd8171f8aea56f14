//! Objects that are open for reads of their parts, and windows on them: a chunk, a shard, a subchunk.

use std::sync::Arc;

use crate::codec::bytes_to_bytes::wrong_length;
use crate::error::{Error, Result};
use crate::memory::OutBytes;
use crate::store::{ByteRange, local, zip};

/// How long the stored form of a chunk may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rarely exceeded by a well-formed chunk: the size of a buffer.
    pub hint: usize,
    /// What a compressed archive entry may inflate to.
    pub most: usize,
}

impl Size {
    /// An entry that inflates to no more than this is never refused: archives may hold shards with much dead space.
    const LEAST: usize = 64 << 20;

    /// For chunks of `len` bytes, of which shards have an index of `index` bytes too.
    pub fn new(len: usize, index: usize) -> Self {
        let most = len.saturating_mul(2).saturating_add(index).saturating_add(1 << 16).max(Self::LEAST);
        Self { hint: len + len / 64 + 1024, most }
    }

    /// The same, without a limit if `unknown`: the decoded length does not bound the stored length of variable-length
    /// elements, nor what a Python codec produces. The length that an archive announces is then believed, as far as the
    /// entry's own bytes can produce it.
    #[must_use]
    pub fn or_any(self, unknown: bool) -> Self {
        Self { most: if unknown { usize::MAX } else { self.most }, ..self }
    }
}

/// An object that is open for ranged reads.
#[derive(Debug, Clone)]
pub enum Object<'a> {
    /// A file; shared by the threads that read its subchunks.
    File(Arc<local::Object>),
    /// An entry of an archive that is stored as it is.
    Entry(zip::Object),
    /// An entry of an archive that was inflated.
    Inflated(Arc<Vec<u8>>),
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// The bytes from `start` on of an object of unknown length; no others were asked for.
    Part {
        /// Where they begin in the object.
        start: u64,
        /// What the store returned: fewer than were asked for where the object ends.
        bytes: &'a [u8],
    },
}

impl Object<'_> {
    /// The object without what it borrows; `None` for bytes in memory.
    pub fn into_owned(self) -> Option<Object<'static>> {
        match self {
            Self::File(object) => Some(Object::File(object)),
            Self::Entry(object) => Some(Object::Entry(object)),
            Self::Inflated(bytes) => Some(Object::Inflated(bytes)),
            Self::Bytes(_) | Self::Part { .. } => None,
        }
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "one length, asked once; on some stores it can fail")]
    pub fn len(&self) -> Result<u64> {
        match self {
            Self::File(object) => object.len(),
            Self::Entry(object) => Ok(object.len()),
            Self::Inflated(bytes) => Ok(bytes.len() as u64),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Part { .. } => Ok(UNKNOWN_LENGTH),
        }
    }
}

/// The length of an object of which only a part is known.
pub const UNKNOWN_LENGTH: u64 = u64::MAX;

/// A part of an object: the object itself, or a subchunk that is a shard of its own.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    object: &'a Object<'a>,
    start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl<'a> Window<'a> {
    /// All of `object`.
    pub fn whole(object: &'a Object<'a>) -> Result<Self> {
        Ok(Self { object, start: 0, len: object.len()? })
    }

    /// `len` bytes of this window from `offset` on, as far as they exist: a damaged index then reads as truncated bytes,
    /// for which the codec raises what it always raises for truncated bytes.
    #[must_use]
    pub fn part(&self, offset: u64, len: u64) -> Self {
        let start = offset.min(self.len);
        let len = len.min(self.len - start);
        Self { object: self.object, start: self.start + start, len }
    }

    /// The bytes that a request names, as far as they exist.
    #[must_use]
    pub fn request(&self, range: ByteRange) -> Self {
        match range {
            ByteRange::Whole => *self,
            ByteRange::Range { start, len } => self.part(start, len),
            ByteRange::Suffix(len) => self.part(self.len.saturating_sub(len), len),
        }
    }

    /// Checks the store's own checksum of the whole object (an archive has one), before parts are read of an object that zarr
    /// reads whole. Does nothing if this window is a part itself, or if the check was done before.
    pub fn check(&self) -> Result<()> {
        match self.object {
            Object::Entry(object) if self.start == 0 && self.len == object.len() => object.check(),
            _ => Ok(()),
        }
    }

    /// The bytes, in `buffer` unless they are in memory anyway.
    pub fn read<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        match self.object {
            Object::File(object) => {
                object.read(ByteRange::Range { start: self.start, len: self.len }, buffer)?;
                if buffer.len() as u64 != self.len {
                    return Err(Error::value(format!(
                        "the object changed while it was read: {} bytes at {}, expected {}",
                        buffer.len(),
                        self.start,
                        self.len
                    )));
                }
                Ok(buffer)
            }
            Object::Entry(object) => object.read(self.start, self.len, buffer).map(|()| buffer.as_slice()),
            Object::Inflated(_) | Object::Bytes(_) | Object::Part { .. } => Ok(self.in_memory().unwrap_or_default()),
        }
    }

    /// Fills `place` with the bytes from `from` on (counted in this window), without an intermediate buffer.
    ///
    /// # Errors
    /// `Value` naming both lengths when the window ends before.
    pub fn read_into(&self, from: u64, mut place: OutBytes<'_>) -> Result<()> {
        if from.checked_add(place.len() as u64).is_none_or(|end| end > self.len) {
            return Err(wrong_length(self.len as usize, (from as usize).saturating_add(place.len())));
        }
        match self.object {
            Object::File(object) => object.read_into(self.start + from, place),
            Object::Entry(object) => object.read_into(self.start + from, place),
            Object::Inflated(_) | Object::Bytes(_) | Object::Part { .. } => {
                let bytes = self.in_memory().unwrap_or_default();
                let there = bytes.len().saturating_sub(from as usize).min(place.len());
                if there < place.len() {
                    return Err(wrong_length(bytes.len(), from as usize + place.len()));
                }
                place.copy_from(&bytes[from as usize..][..there]);
                Ok(())
            }
        }
    }

    /// The bytes if they are in memory already.
    pub fn in_memory(&self) -> Option<&'a [u8]> {
        match self.object {
            Object::File(_) | Object::Entry(_) => None,
            Object::Inflated(bytes) => Some(&bytes[self.start as usize..(self.start + self.len) as usize]),
            Object::Bytes(bytes) => Some(&bytes[self.start as usize..(self.start + self.len) as usize]),
            Object::Part { start, bytes } => {
                let from = self.start.saturating_sub(*start).min(bytes.len() as u64) as usize;
                let len = self.len.min((bytes.len() - from) as u64) as usize;
                Some(&bytes[from..from + len])
            }
        }
    }
}
