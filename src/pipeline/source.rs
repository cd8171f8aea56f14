//! Where encoded bytes come from: an object of a native store, or bytes that are already in memory.

use std::sync::Arc;

use crate::codec::array_to_bytes::sharding::Extent;
use crate::codec::bytes_to_bytes::wrong_length;
use crate::error::{Error, Result};
use crate::memory::{BorrowedBytes, OutBytes};
use crate::store::ByteRange;
use crate::store::local::{LocalStore, Object};
use crate::store::zip::{self, ZipStore};

/// The native stores.
#[derive(Debug)]
pub enum Store {
    /// Files below a directory.
    Local(Arc<LocalStore>),
    /// Entries of an archive.
    Zip(Arc<ZipStore>),
    /// The objects of a memory store, by chunk number of the batch; `None` for a missing key. `bindings/` keeps their
    /// owners alive until the batch is done.
    Memory(Vec<Option<BorrowedBytes>>),
}

impl Store {
    /// Opens the object of chunk `number` for ranged reads; `None`: missing.
    pub fn open(&self, number: usize, key: &str, size: Size) -> Result<Option<Opened<'_>>> {
        Ok(match self {
            Self::Local(store) => store.open(key)?.map(|object| Opened::File(Arc::new(object))),
            Self::Zip(store) => store.open(key, size.most)?.map(|entry| match entry {
                zip::Opened::Stored(object) => Opened::Entry(object),
                zip::Opened::Inflated(bytes) => Opened::Inflated(bytes),
            }),
            Self::Memory(objects) => objects[number].as_ref().map(|held| Opened::Bytes(held.bytes())),
        })
    }

    /// All bytes of the object of chunk `number`, in `buffer` unless they are in memory anyway; `None`: missing.
    pub fn get<'a>(
        &'a self,
        number: usize,
        key: &str,
        size: Size,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>> {
        Ok(match self {
            Self::Local(store) => store.get(key, size.hint, buffer)?.then_some(buffer.as_slice()),
            Self::Zip(store) => store.get(key, size.most, buffer)?,
            Self::Memory(objects) => objects[number].as_ref().map(BorrowedBytes::bytes),
        })
    }
}

/// How long the stored form of a chunk may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Hardly ever exceeded if it is well formed: what a buffer is made for.
    pub hint: usize,
    /// What a compressed archive entry may inflate to.
    pub most: usize,
}

impl Size {
    /// An entry that inflates to no more is never refused: archives may hold shards with much dead space.
    const LEAST: usize = 64 << 20;

    /// For chunks of `len` bytes, of which shards have an index of `index` bytes too.
    pub fn new(len: usize, index: usize) -> Self {
        let most = len.saturating_mul(2).saturating_add(index).saturating_add(1 << 16).max(Self::LEAST);
        Self { hint: len + len / 64 + 1024, most }
    }

    /// The same, if `unknown` without a limit: a chunk says nothing of how long its text is, or what others' codecs make
    /// of it. The archive says how long an entry is, and is believed as far as its bytes can make that.
    #[must_use]
    pub fn or_any(self, unknown: bool) -> Self {
        Self { most: if unknown { usize::MAX } else { self.most }, ..self }
    }
}

/// An object that is open for ranged reads.
#[derive(Debug, Clone)]
pub enum Opened<'a> {
    /// A file; shared by the threads that read its subchunks.
    File(Arc<Object>),
    /// An entry of an archive that is stored as it is.
    Entry(zip::Object),
    /// An entry of an archive that was inflated.
    Inflated(Arc<Vec<u8>>),
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// The bytes from `start` on of an object of unknown length, of which no others were asked for.
    Part {
        /// Where they begin in the object.
        start: u64,
        /// What the store gave: fewer than were asked for where the object ends.
        bytes: &'a [u8],
    },
}

impl Opened<'_> {
    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "one length, asked once; on some stores it can fail")]
    pub fn len(&self) -> Result<u64> {
        match self {
            Self::File(object) => object.len(),
            Self::Entry(object) => Ok(object.len()),
            Self::Inflated(bytes) => Ok(bytes.len() as u64),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Part { .. } => Ok(UNKNOWN),
        }
    }
}

/// The length of an object of which only a part is known.
pub const UNKNOWN: u64 = u64::MAX;

/// A part of an object: the object itself, or a subchunk that is a shard of its own.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    object: &'a Opened<'a>,
    start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl<'a> Window<'a> {
    /// All of `object`.
    pub fn whole(object: &'a Opened<'a>) -> Result<Self> {
        Ok(Self { object, start: 0, len: object.len()? })
    }

    /// The part of this window that `extent` names, as far as it exists: a damaged index then reads as truncated bytes,
    /// and the codec that gets them raises what it raises for those.
    #[must_use]
    pub fn part(&self, extent: Extent) -> Self {
        let start = extent.offset.min(self.len);
        let len = extent.len.min(self.len - start);
        Self { object: self.object, start: self.start + start, len }
    }

    /// The bytes that a request names, as far as they exist.
    #[must_use]
    pub fn request(&self, range: ByteRange) -> Self {
        match range {
            ByteRange::Whole => *self,
            ByteRange::Range { start, len } => self.part(Extent { offset: start, len }),
            ByteRange::Suffix(len) => self.part(Extent { offset: self.len.saturating_sub(len), len }),
        }
    }

    /// Checks what the store itself keeps to check all of the object by, before only parts are read where zarr reads all;
    /// nothing if this window is a part itself, or that was done before.
    pub fn check(&self) -> Result<()> {
        match self.object {
            Opened::Entry(object) if self.start == 0 && self.len == object.len() => object.check(),
            _ => Ok(()),
        }
    }

    /// The bytes, in `buffer` unless they are in memory anyway.
    pub fn read<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        match self.object {
            Opened::File(object) => {
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
            Opened::Entry(object) => object.read(self.start, self.len, buffer).map(|()| buffer.as_slice()),
            Opened::Inflated(_) | Opened::Bytes(_) | Opened::Part { .. } => Ok(self.in_memory().unwrap_or_default()),
        }
    }

    /// Fills `place` with the bytes from `from` (counted in this window) on, without a detour.
    ///
    /// # Errors
    /// `Value` naming both lengths when the window ends before.
    pub fn read_into(&self, from: u64, mut place: OutBytes<'_>) -> Result<()> {
        if from.checked_add(place.len() as u64).is_none_or(|end| end > self.len) {
            return Err(wrong_length(self.len as usize, from as usize + place.len()));
        }
        match self.object {
            Opened::File(object) => object.read_into(self.start + from, place),
            Opened::Entry(object) => object.read_into(self.start + from, place),
            Opened::Inflated(_) | Opened::Bytes(_) | Opened::Part { .. } => {
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
            Opened::File(_) | Opened::Entry(_) => None,
            Opened::Inflated(bytes) => Some(&bytes[self.start as usize..(self.start + self.len) as usize]),
            Opened::Bytes(bytes) => Some(&bytes[self.start as usize..(self.start + self.len) as usize]),
            Opened::Part { start, bytes } => {
                let from = self.start.saturating_sub(*start).min(bytes.len() as u64) as usize;
                let len = self.len.min((bytes.len() - from) as u64) as usize;
                Some(&bytes[from..from + len])
            }
        }
    }
}
