//! Objects as entries of a ZIP archive that is open for reading, as zarr-python's `ZipStore` reads them through
//! Python's zipfile, with the same checks and error classes. No writing, no listing, no chunk codecs.
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

mod directory;
mod object;
#[cfg(test)]
pub(super) mod tests;

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
const LOCAL_HEADER: usize = 30;
/// An allowance for the extra field in the local header, which is usually a little longer than the one in the
/// directory.
const SLACK: u64 = 32;

/// An open archive and the table of its entries. Reads name their offset, so threads and forked children may share it.
#[derive(Debug)]
pub struct ZipStore {
    file: local::Object,
    table: Table,
}

/// An entry that is open for ranged reads.
#[derive(Debug)]
pub enum Opened {
    /// Its bytes lie uncompressed in the archive.
    Stored(Object),
    /// All its bytes, inflated and checked.
    Inflated(Arc<Vec<u8>>),
}

impl ZipStore {
    /// The archive in `file`, named `path` in messages, whose directory zipfile `found`.
    ///
    /// # Errors
    /// The reason why zarr-python must read the archive itself.
    pub fn new(file: File, path: PathBuf, found: Found) -> std::result::Result<Self, String> {
        let table = file.try_clone().map_err(|error| error.to_string()).and_then(|file| Table::read(file, found))?;
        let file = local::Object::of(file, path).map_err(|error| error.to_string())?;
        Ok(Self { file, table })
    }

    /// All bytes of the object, in `buffer`; `None` if it is missing. It may inflate to at most `most` bytes.
    ///
    /// # Errors
    /// As in zipfile: `BadZip` for a damaged local header or a checksum that does not match, `Zlib`, `Eof`; `TooLong`
    /// beyond `most`.
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

    /// Opens the object for ranged reads; `None` if it is missing. `most` as for [`ZipStore::get`].
    ///
    /// # Errors
    /// As for [`ZipStore::get`]; the checksum of a stored entry is checked when all of it is read.
    pub fn open(self: &Arc<Self>, key: &str, most: usize) -> Result<Option<Opened>> {
        let Some(number) = self.table.numbers.get(key).copied() else { return Ok(None) };
        let entry = &self.table.entries[number];
        if entry.deflated {
            let mut bytes = Vec::new();
            self.inflate(key, entry, most, &mut bytes)?;
            return Ok(Some(Opened::Inflated(Arc::new(bytes))));
        }
        let mut head = Scratch::take(Slot::Archive);
        self.read(entry.header, (LOCAL_HEADER + key.len()) as u64, &mut head)?;
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

    /// The entry's bytes as they are in the archive, by one read that includes the local header before them.
    fn fetch<'b>(&self, key: &str, entry: &Entry, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let head = (LOCAL_HEADER + key.len()) as u64;
        let available = entry.end.saturating_sub(entry.header);
        let guess = (head + u64::from(entry.extra) + SLACK).saturating_add(entry.packed);
        // If the entry cannot end before the next one begins, the header suffices to find the error.
        let len = if head.saturating_add(entry.packed) <= available { guess.min(available) } else { head };
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

    /// Reads bytes of the archive, as far as it reaches.
    fn read(&self, start: u64, len: u64, buffer: &mut Vec<u8>) -> Result<()> {
        self.file.read(ByteRange::Range { start, len }, buffer)
    }
}

/// Where the bytes of `entry` begin, counted from its local header. `head` holds the local header up to its name.
///
/// # Errors
/// `BadZip` where zipfile's `open` raises it.
fn data_offset(key: &str, entry: &Entry, head: &[u8]) -> Result<u64> {
    let Some((fixed, rest)) = head.split_at_checked(LOCAL_HEADER) else { return Err(bad("Truncated file header")) };
    if fixed[..4] != *b"PK\x03\x04" {
        return Err(bad("Bad magic number for file header"));
    }
    let [flags, name_len, extra_len] = [6, 26, 28].map(|at| u16::from_le_bytes([fixed[at], fixed[at + 1]]));
    let name = &rest[..rest.len().min(usize::from(name_len))];
    let utf8 = flags & 1 << 11 != 0;
    if name != key.as_bytes() || usize::from(name_len) != key.len() || !(utf8 || key.is_ascii()) {
        return Err(bad(format!("File name in directory '{key}' and header '{}' differ.", name.escape_ascii())));
    }
    let start = (LOCAL_HEADER + name.len()) as u64 + u64::from(extra_len);
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

fn ended(got: u64, expected: u64) -> Error {
    Error::new(Kind::Eof, format!("the archive ends after {got} bytes of an entry, expected {expected}"))
}
