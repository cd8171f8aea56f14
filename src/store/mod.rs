//! Where objects live: objects and byte ranges by key. No metadata, no codecs of chunks, no listing.
//!
//! # The contract of a store
//!
//! - A key names one object: a sequence of bytes. A key without an object is *missing*, which is `None` and never an error.
//!   What else the system would say in zarr-python for a missing object (a directory in its place, a file where a directory
//!   should be) is missing too.
//! - [`Fetch::get`] returns all bytes of an object. [`Fetch::open`] returns the object for reads of parts of it: its length
//!   is known, and it stays the object that was opened although its key is replaced or erased meanwhile.
//! - A range that reaches past the end of an object gives fewer bytes; a suffix longer than the object gives all of it.
//! - Nothing is cached that another process may change; each call sees what was stored before it began.
//! - Any number of threads may call at once. A call never waits for Python.
//! - An error names the path or the archive; the caller adds the key.
//! - [`Store::set`] replaces an object in one step: a reader, or a process that is killed, sees the old object or the new one.
//!   [`Store::erase`] of a missing object does nothing. Archives and snapshots are only read.

pub mod local;
pub mod object;
pub mod snapshot;
#[cfg(all(test, unix))]
mod tests;
pub mod zip;

use std::sync::Arc;

pub use self::object::{Object, Size, UNKNOWN_LENGTH, Window};
pub use self::snapshot::Snapshot;
use crate::error::{Error, Result};
use local::LocalStore;
use zip::ZipStore;

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

/// What can be asked for bytes by key.
pub trait Fetch {
    /// Opens the object for reads of parts of it; `None`: missing. `size` is how long it may be.
    ///
    /// # Errors
    /// `Io`; for an archive as [`ZipStore::open`].
    fn open(&self, key: &str, size: Size) -> Result<Option<Object<'_>>>;

    /// All bytes of the object, in `buffer` unless they are in memory anyway; `None`: missing.
    ///
    /// # Errors
    /// As [`Fetch::open`].
    fn get<'a>(&'a self, key: &str, size: Size, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>>;
}

/// The native stores.
#[derive(Debug, Clone)]
pub enum Store {
    /// Files below a directory.
    Local(Arc<LocalStore>),
    /// Entries of an archive that is open for reading.
    Zip(Arc<ZipStore>),
    /// Objects of a memory store.
    Snapshot(Arc<Snapshot>),
}

impl Fetch for Store {
    fn open(&self, key: &str, size: Size) -> Result<Option<Object<'_>>> {
        Ok(match self {
            Self::Local(store) => store.open(key)?.map(|object| Object::File(Arc::new(object))),
            Self::Zip(store) => store.open(key, size.most)?.map(|entry| match entry {
                zip::Opened::Stored(object) => Object::Entry(object),
                zip::Opened::Inflated(bytes) => Object::Inflated(bytes),
            }),
            Self::Snapshot(store) => store.get(key).map(Object::Bytes),
        })
    }

    fn get<'a>(&'a self, key: &str, size: Size, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>> {
        Ok(match self {
            Self::Local(store) => store.get(key, size.hint, buffer)?.then_some(buffer.as_slice()),
            Self::Zip(store) => store.get(key, size.most, buffer)?,
            Self::Snapshot(store) => store.get(key),
        })
    }
}

impl Store {
    /// Makes `parts`, one after another, the object at `key`.
    ///
    /// # Errors
    /// `Io`; `Value` for a store that is only read.
    pub fn set(&self, key: &str, parts: &[&[u8]]) -> Result<()> {
        match self {
            Self::Local(store) => store.set(key, parts),
            Self::Zip(_) | Self::Snapshot(_) => Err(read_only()),
        }
    }

    /// Removes the object at `key`, if there is one.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn erase(&self, key: &str) -> Result<()> {
        match self {
            Self::Local(store) => store.erase(key),
            Self::Zip(_) | Self::Snapshot(_) => Err(read_only()),
        }
    }
}

/// Python refuses before a batch is built; this is for callers that reach the engine without it.
fn read_only() -> Error {
    Error::value("the store was opened for reading")
}

/// Bytes of one object that the caller has fetched already; whichever key is asked for, it is that object.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'b>(pub Option<&'b [u8]>);

impl Fetch for Fetched<'_> {
    fn open(&self, _key: &str, _size: Size) -> Result<Option<Object<'_>>> {
        Ok(self.0.map(Object::Bytes))
    }

    fn get<'a>(&'a self, _key: &str, _size: Size, _buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>> {
        Ok(self.0)
    }
}
