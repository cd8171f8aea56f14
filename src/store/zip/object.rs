//! Ranged reads of an uncompressed entry. Its checksum covers the whole entry, so every read of the whole checks it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::directory::Entry;
use super::{ZipStore, check, ended};
use crate::codec::bytes_to_bytes::crc32;
use crate::error::Result;
use crate::memory::{OutBytes, Scratch, Slot};

/// Bytes that are read and checked at a time: they stay in the second-level cache in between.
const PIECE: usize = 1 << 18;

/// An uncompressed entry whose local header was checked.
#[derive(Debug, Clone)]
pub struct Object {
    archive: Arc<ZipStore>,
    number: usize,
    key: Box<str>,
    /// Where its bytes begin in the archive.
    start: u64,
}

impl Object {
    pub(super) fn new(archive: Arc<ZipStore>, number: usize, key: &str, start: u64) -> Self {
        Self { archive, number, key: key.into(), start }
    }

    fn entry(&self) -> &Entry {
        &self.archive.table.entries[self.number]
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "one length, as of files")]
    pub fn len(&self) -> u64 {
        self.entry().len
    }

    /// Reads `len` bytes from `start` on into `buffer` (cleared first); checks the checksum if these are all bytes.
    ///
    /// # Errors
    /// `Eof` if the archive ends before, `BadZip`, `Io`.
    pub(crate) fn read(&self, start: u64, len: u64, buffer: &mut Vec<u8>) -> Result<()> {
        self.archive.read(self.start + start, len, buffer)?;
        if (buffer.len() as u64) < len {
            return Err(ended(buffer.len() as u64, len));
        }
        if self.is_whole(start, len) { check(&self.key, self.entry(), crc32(0, buffer)) } else { Ok(()) }
    }

    /// Fills `out` with the bytes from `start` on; checks the checksum if these are all bytes.
    ///
    /// # Errors
    /// As for [`Object::read`].
    pub fn read_into(&self, start: u64, out: OutBytes<'_>) -> Result<()> {
        let len = out.len() as u64;
        if self.is_whole(start, len) {
            return self.read_checked(Some(out));
        }
        // A `Value` means that the file has become shorter since it was opened.
        self.archive.file.read_into(self.start + start, out).map_err(|error| match error.kind {
            crate::error::Kind::Value => ended(0, len),
            _ => error,
        })
    }

    /// Checks the checksum, unless it was checked since the archive was opened.
    ///
    /// # Errors
    /// As for [`Object::read`].
    pub fn check(&self) -> Result<()> {
        if self.entry().checked.load(Ordering::Relaxed) { Ok(()) } else { self.read_checked(None) }
    }

    fn is_whole(&self, start: u64, len: u64) -> bool {
        start == 0 && len == self.len()
    }

    /// Reads and checks all bytes once, into `out` if given. `OutBytes` cannot be read back, so they go through a
    /// buffer.
    fn read_checked(&self, mut out: Option<OutBytes<'_>>) -> Result<()> {
        let mut piece = Scratch::take(Slot::Archive);
        let (mut at, mut crc) = (0, 0);
        while at < self.len() {
            let len = (self.len() - at).min(PIECE as u64);
            self.archive.read(self.start + at, len, &mut piece)?;
            if (piece.len() as u64) < len {
                return Err(ended(at + piece.len() as u64, self.len()));
            }
            crc = crc32(crc, &piece);
            if let Some(whole) = out.take() {
                let (mut part, rest) = whole.split_at(piece.len());
                part.copy_from(&piece);
                out = Some(rest);
            }
            at += len;
        }
        check(&self.key, self.entry(), crc)
    }
}
