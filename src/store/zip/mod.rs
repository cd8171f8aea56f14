//! Objects as entries of a ZIP archive that is open for reading, as zarr-python's `ZipStore` sees them through Python's
//! zipfile, whose checks and error classes are repeated here. No writing, no listing, no codecs of chunks.
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

mod directory;
mod object;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use self::directory::Found;
use self::directory::{Entry, Table};
pub use self::object::Object;
use crate::codec::bytes_to_bytes::{crc32, inflate_entry};
use crate::error::{Error, Kind, Result};
use crate::memory::{Scratch, Slot};
use crate::store::{ByteRange, local};

/// Bytes of a local header before its name.
const HEADER: usize = 30;
/// Room for an extra field in the local header that is longer than the one in the directory, as it usually is by little.
const SLACK: u64 = 32;

/// An open archive and the table of its entries. Reads name their offset, so threads and forked children share it.
#[derive(Debug)]
pub struct ZipStore {
    file: local::Object,
    table: Table,
}

/// An entry that is open for ranged reads.
#[derive(Debug)]
pub enum Opened {
    /// Its bytes lie in the archive as they are.
    Stored(Object),
    /// All its bytes, inflated and checked.
    Inflated(Arc<Vec<u8>>),
}

impl ZipStore {
    /// The archive in `file`, named `path` in messages, whose directory zipfile `found`.
    ///
    /// # Errors
    /// The reason why it is left to zarr-python's own way.
    pub fn new(file: File, path: PathBuf, found: Found) -> std::result::Result<Self, String> {
        let table = file.try_clone().map_err(|error| error.to_string()).and_then(|file| Table::read(file, found))?;
        let file = local::Object::of(file, path).map_err(|error| error.to_string())?;
        Ok(Self { file, table })
    }

    /// All bytes of the object, in `buffer`; `None`: missing. `most` bytes are what it may inflate to.
    ///
    /// # Errors
    /// As zipfile's: `BadZip` for a damaged local header or a checksum that does not match, `Zlib`, `Eof`; `Value` beyond
    /// `most`.
    pub fn get<'b>(&self, key: &str, most: usize, buffer: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        if entry.deflated {
            self.inflate(key, entry, most, buffer)?;
            return Ok(Some(buffer));
        }
        let bytes = self.fetch(key, entry, buffer)?;
        check(key, entry, crc32(0, bytes))?;
        Ok(Some(bytes))
    }

    /// Opens the object for ranged reads; `None`: missing. `most` as for [`ZipStore::get`].
    ///
    /// # Errors
    /// As [`ZipStore::get`]; the checksum of a stored entry is checked when all of it is read.
    pub fn open(self: &Arc<Self>, key: &str, most: usize) -> Result<Option<Opened>> {
        let Some(number) = self.table.numbers.get(key).copied() else { return Ok(None) };
        let entry = &self.table.entries[number];
        if entry.deflated {
            let mut bytes = Vec::new();
            self.inflate(key, entry, most, &mut bytes)?;
            return Ok(Some(Opened::Inflated(Arc::new(bytes))));
        }
        let mut head = Scratch::take(Slot::Archive);
        self.read(entry.header, (HEADER + key.len()) as u64, &mut head)?;
        let start = entry.header + data_offset(key, entry, &head)?;
        Ok(Some(Opened::Stored(Object::new(Arc::clone(self), number, key, start))))
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.table.numbers.get(key).map(|number| &self.table.entries[*number])
    }

    fn inflate(&self, key: &str, entry: &Entry, most: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut packed = Scratch::take(Slot::Archive);
        let bytes = self.fetch(key, entry, &mut packed)?;
        out.clear();
        inflate_entry(bytes, entry.len, most, out)?;
        check(key, entry, crc32(0, out))
    }

    /// The entry's bytes as they lie in the archive, by one read with the local header before them.
    fn fetch<'b>(&self, key: &str, entry: &Entry, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let head = (HEADER + key.len()) as u64;
        let room = entry.end.saturating_sub(entry.header);
        let guess = (head + u64::from(entry.extra) + SLACK).saturating_add(entry.packed);
        // Without enough room before the next entry, only the header is needed to say what is wrong.
        let len = if head.saturating_add(entry.packed) <= room { guess.min(room) } else { head };
        self.read(entry.header, len, buffer)?;
        let start = data_offset(key, entry, buffer)?;
        let end = start + entry.packed;
        if end <= buffer.len() as u64 {
            return Ok(&buffer[start as usize..end as usize]);
        }
        self.read(entry.header + start, entry.packed, buffer)?;
        if (buffer.len() as u64) < entry.packed {
            return Err(ended(buffer.len() as u64, entry.packed));
        }
        Ok(buffer)
    }

    /// Bytes of the archive, fewer where it ends.
    fn read(&self, start: u64, len: u64, buffer: &mut Vec<u8>) -> Result<()> {
        self.file.read(ByteRange::Range { start, len }, buffer)
    }
}

/// Where the bytes of `entry` begin, counted from its local header, of which `head` holds at least the name.
///
/// # Errors
/// `BadZip` where zipfile's `open` raises it.
fn data_offset(key: &str, entry: &Entry, head: &[u8]) -> Result<u64> {
    let Some((fixed, rest)) = head.split_at_checked(HEADER) else { return Err(bad("Truncated file header")) };
    if fixed[..4] != *b"PK\x03\x04" {
        return Err(bad("Bad magic number for file header"));
    }
    let [flags, name_len, extra_len] = [6, 26, 28].map(|at| u16::from_le_bytes([fixed[at], fixed[at + 1]]));
    let name = &rest[..rest.len().min(usize::from(name_len))];
    let utf8 = flags & 1 << 11 != 0;
    if name != key.as_bytes() || usize::from(name_len) != key.len() || !(utf8 || key.is_ascii()) {
        return Err(bad(format!("File name in directory '{key}' and header '{}' differ.", name.escape_ascii())));
    }
    let start = (HEADER + name.len()) as u64 + u64::from(extra_len);
    if start.saturating_add(entry.packed) > entry.end.saturating_sub(entry.header) {
        return Err(bad(format!("Overlapped entries: '{key}' (possible zip bomb)")));
    }
    Ok(start)
}

fn check(key: &str, entry: &Entry, crc: u32) -> Result<()> {
    if crc != entry.crc {
        return Err(bad(format!("Bad CRC-32 for file '{key}'")));
    }
    entry.checked.store(true, Ordering::Relaxed);
    Ok(())
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(Kind::BadZip, message)
}

fn ended(there: u64, needed: u64) -> Error {
    Error::new(Kind::Eof, format!("the archive ends after {there} bytes of an entry, expected {needed}"))
}
