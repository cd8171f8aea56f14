//! Where encoded bytes come from: an object of a native store, or bytes that are already in memory.

use std::sync::Arc;

use crate::codec::array_to_bytes::sharding::Extent;
use crate::codec::bytes_to_bytes::wrong_length;
use crate::error::{Error, Result};
use crate::memory::{Held, Place};
use crate::store::ByteRange;
use crate::store::local::{LocalStore, Object};

/// The native stores.
#[derive(Debug)]
pub enum Store {
    /// Files below a directory.
    Local(Arc<LocalStore>),
    /// The objects of a memory store, by group number of the batch; `None` for a missing key. `bindings/` keeps their
    /// owners alive until the batch is done.
    Memory(Vec<Option<Held>>),
}

impl Store {
    /// Opens the object of group `number` for ranged reads; `None`: missing.
    pub fn open(&self, number: usize, key: &str) -> Result<Option<Opened<'_>>> {
        Ok(match self {
            Self::Local(store) => store.open(key)?.map(|object| Opened::File(Arc::new(object))),
            Self::Memory(objects) => objects[number].as_ref().map(|held| Opened::Bytes(held.bytes())),
        })
    }

    /// All bytes of the object of group `number`, in `buffer` unless they are in memory anyway; `None`: missing.
    /// `hint` is an upper bound in bytes if the object is well formed.
    pub fn get<'a>(
        &'a self,
        number: usize,
        key: &str,
        hint: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>> {
        Ok(match self {
            Self::Local(store) => store.get(key, hint, buffer)?.then_some(buffer.as_slice()),
            Self::Memory(objects) => objects[number].as_ref().map(Held::bytes),
        })
    }
}

/// An object that is open for ranged reads.
#[derive(Debug, Clone)]
pub enum Opened<'a> {
    /// A file; shared by the threads that read its subchunks.
    File(Arc<Object>),
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
            Opened::Bytes(_) | Opened::Part { .. } => Ok(self.in_memory().unwrap_or_default()),
        }
    }

    /// Fills `place` with the bytes from `from` (counted in this window) on, without a detour.
    ///
    /// # Errors
    /// `Value` naming both lengths when the window ends before.
    pub fn read_into(&self, from: u64, mut place: Place<'_>) -> Result<()> {
        if from.checked_add(place.len() as u64).is_none_or(|end| end > self.len) {
            return Err(wrong_length(self.len as usize, from as usize + place.len()));
        }
        match self.object {
            Opened::File(object) => object.read_into(self.start + from, place),
            Opened::Bytes(_) | Opened::Part { .. } => {
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
            Opened::File(_) => None,
            Opened::Bytes(bytes) => Some(&bytes[self.start as usize..(self.start + self.len) as usize]),
            Opened::Part { start, bytes } => {
                let from = self.start.saturating_sub(*start).min(bytes.len() as u64) as usize;
                let len = self.len.min((bytes.len() - from) as u64) as usize;
                Some(&bytes[from..from + len])
            }
        }
    }
}
