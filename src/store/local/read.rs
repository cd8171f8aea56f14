//! Reading: whole objects in three system calls, and open objects for byte ranges.
#![allow(unsafe_code)] // Reads into the spare capacity of vectors.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::handle::Handle;
use super::{LocalStore, file};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;
use crate::store::ByteRange;

/// The least initial capacity of a buffer, so that an object of unknown size needs few reads.
const LEAST_ROOM: usize = 1 << 13;
/// A read that fails midway returns the bytes before the failure, which end at a page boundary.
const PAGE: usize = 1 << 12;

impl LocalStore {
    /// Reads the whole object into `buf` (cleared first; its capacity is reused). False if the object is missing.
    /// `hint` is a size in bytes that the object rarely exceeds; then `open`, `read` and `close` are the only calls,
    /// but for a size that is a multiple of 4096 a second `read` distinguishes the end of the file from an error in its
    /// middle.
    ///
    /// # Errors
    /// `Io`; `Memory` if the object does not fit.
    pub(crate) fn get(&self, key: &str, hint: usize, buf: &mut Vec<u8>) -> Result<bool> {
        if self.direct_io || self.handles.is_on() {
            let object = self.open(key)?;
            return object.map_or(Ok(false), |object| object.read(ByteRange::Whole, buf).map(|()| true));
        }
        let path = self.path(key)?;
        let read = self
            .with_descriptor(|| File::open(&path))
            .and_then(|file| read_whole(buf, hint, |start, out| file::read_at(&file, start, out)));
        match read {
            Ok(()) => Ok(true),
            // Opening a directory succeeds; only reading it fails.
            Err(error) if file::is_missing(&error) => Ok(false),
            Err(error) => Err(failed(&path, error)),
        }
    }

    /// Opens the object for ranged reads. `None` if it is missing.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(&self, key: &str) -> Result<Option<Object>> {
        let path = self.path(key)?;
        if let Some(handle) = self.handles.get(key) {
            if handle.is_current() {
                return Ok(Some(Object { handle }));
            }
            self.handles.forget(key);
        }
        let refused = self.direct_io.then_some(&self.direct_io_refused);
        match self.with_descriptor(|| Handle::open(&path, refused)) {
            Ok(handle) => {
                let handle = Arc::new(handle);
                self.handles.keep(key, &handle);
                Ok(Some(Object { handle }))
            }
            Err(error) if file::is_missing(&error) => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }
}

/// An object that is open for reading. It stays the object that was opened, even if its key is replaced or erased.
#[derive(Debug)]
pub struct Object {
    handle: Arc<Handle>,
}

impl Object {
    /// The object in `file`, which the caller opened at `path`.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn of(file: File, path: PathBuf) -> Result<Self> {
        let handle = Handle::of(file, path).map_err(|error| Error::io("open", error))?;
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Length in bytes when it was opened.
    #[allow(clippy::len_without_is_empty, clippy::unnecessary_wraps)] // One length, asked once; on some stores it can fail.
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.handle.len())
    }

    /// Fills all of `out` with the bytes from `start` on.
    ///
    /// # Errors
    /// `Value` naming both lengths when the object ends before; `Io`.
    pub(crate) fn read_into(&self, start: u64, out: OutBytes<'_>) -> Result<()> {
        let expected = out.len();
        let count = self.handle.fill(start, out).map_err(|error| failed(self.handle.path(), error))?;
        if count == expected {
            return Ok(());
        }
        let path = self.handle.path().display();
        Err(Error::value(format!("read {path}: got {count} bytes at offset {start}, expected {expected}")))
    }

    /// Reads `range` into `buf` (cleared first), as far as the object reaches.
    ///
    /// # Errors
    /// `Io`; `Memory` if the bytes do not fit. Whatever the range, allocations exceed the object's own size by at most
    /// a small constant.
    pub(crate) fn read(&self, range: ByteRange, buf: &mut Vec<u8>) -> Result<()> {
        let size = self.handle.len();
        let read = match range {
            ByteRange::Whole => usize::try_from(size)
                .map_err(|_| io::ErrorKind::OutOfMemory.into())
                .and_then(|size| read_whole(buf, size, |start, out| self.handle.read_at(start, out))),
            ByteRange::Range { start, len } => self.read_range(start, len.min(size.saturating_sub(start)), buf),
            ByteRange::Suffix(len) => self.read_range(size.saturating_sub(len), len.min(size), buf),
        };
        read.map_err(|error| failed(self.handle.path(), error))
    }

    fn read_range(&self, start: u64, len: u64, buf: &mut Vec<u8>) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        buf.clear();
        buf.try_reserve(len)?;
        let count = self.handle.fill(start, OutBytes::from(&mut buf.spare_capacity_mut()[..len]))?;
        // SAFETY: the first `count` bytes of the spare capacity of an empty vector have just been read.
        unsafe { buf.set_len(count) };
        Ok(())
    }
}

/// Reads a whole file of about `expected` bytes into `buf` by `read_at`, which reads from an offset into spare capacity
/// and may return early.
fn read_whole(
    buf: &mut Vec<u8>,
    expected: usize,
    read_at: impl Fn(u64, OutBytes<'_>) -> io::Result<usize>,
) -> io::Result<()> {
    buf.clear();
    // One byte more, so that a file of the expected size does not fill the buffer, which shows that it has ended.
    buf.try_reserve(expected.saturating_add(1).max(LEAST_ROOM))?;
    loop {
        if buf.len() == buf.capacity() {
            buf.try_reserve(buf.len())?;
        }
        let start = buf.len() as u64;
        let spare = buf.spare_capacity_mut();
        let asked = spare.len();
        let count = read_at(start, OutBytes::from(spare))?;
        // SAFETY: `count` bytes after the old length have just been written.
        unsafe { buf.set_len(buf.len() + count) };
        if count == 0 || (count < asked && !buf.len().is_multiple_of(PAGE)) {
            return Ok(());
        }
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    let action = format!("read {}", path.display());
    // Without an `errno` the error is not the system's: a buffer could not grow.
    if error.kind() == io::ErrorKind::OutOfMemory && error.raw_os_error().is_none() {
        return Error::new(Kind::Memory, format!("{action}: {error}"));
    }
    Error::io(&action, error)
}
