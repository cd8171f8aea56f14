//! Ranges of an entry that is stored as it is. Its checksum is about all of it: whoever reads all checks it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::directory::Entry;
use super::{ZipStore, check, ended};
use crate::codec::bytes_to_bytes::crc32;
use crate::error::Result;
use crate::memory::{OutBytes, Scratch, Slot};

/// Bytes that are read and checked at once: they stay in the second-level cache on their way.
const PIECE: usize = 1 << 18;

/// A stored entry whose local header was checked.
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

    /// Reads `len` bytes from `start` on into `buffer` (cleared first), and checks them if they are all.
    ///
    /// # Errors
    /// `Eof` where the archive ends before, `BadZip`, `Io`.
    pub fn read(&self, start: u64, len: u64, buffer: &mut Vec<u8>) -> Result<()> {
        self.archive.read(self.start + start, len, buffer)?;
        if (buffer.len() as u64) < len {
            return Err(ended(buffer.len() as u64, len));
        }
        if self.is_whole(start, len) { check(&self.key, self.entry(), crc32(0, buffer)) } else { Ok(()) }
    }

    /// Fills `place` with the bytes from `start` on, and checks them if they are all.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn read_into(&self, start: u64, place: OutBytes<'_>) -> Result<()> {
        let len = place.len() as u64;
        if self.is_whole(start, len) {
            return self.pass(Some(place));
        }
        // The file knows how long it was when it was opened, and says by a `Value` that it has become shorter.
        self.archive.file.read_into(self.start + start, place).map_err(|error| match error.kind {
            crate::error::Kind::Value => ended(0, len),
            _ => error,
        })
    }

    /// Checks all bytes, unless that was done since the archive was opened.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn check(&self) -> Result<()> {
        if self.entry().checked.load(Ordering::Relaxed) { Ok(()) } else { self.pass(None) }
    }

    fn is_whole(&self, start: u64, len: u64) -> bool {
        start == 0 && len == self.len()
    }

    /// Reads all bytes once, into `place` if there is one. A place cannot be read again, so they go through a buffer.
    fn pass(&self, mut place: Option<OutBytes<'_>>) -> Result<()> {
        let mut piece = Scratch::take(Slot::Archive);
        let (mut at, mut crc) = (0, 0);
        while at < self.len() {
            let len = (self.len() - at).min(PIECE as u64);
            self.archive.read(self.start + at, len, &mut piece)?;
            if (piece.len() as u64) < len {
                return Err(ended(at + piece.len() as u64, self.len()));
            }
            crc = crc32(crc, &piece);
            if let Some(whole) = place.take() {
                let (mut part, rest) = whole.split_at(piece.len());
                part.copy_from(&piece);
                place = Some(rest);
            }
            at += len;
        }
        check(&self.key, self.entry(), crc)
    }
}
