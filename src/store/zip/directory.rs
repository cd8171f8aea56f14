//! The central directory of an archive as a table, or the reason why Python must read the archive. No bytes of entries.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::AtomicBool;

use rawzip::extra_fields::ExtraFieldId;
use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipFileHeaderRecord, ZipLocator};

/// General purpose flags of entries that zipfile refuses or needs a password for: encrypted, patched, strongly
/// encrypted.
const REFUSED_FLAGS: u16 = 1 | 1 << 5 | 1 << 6;

/// The directory's record of one object. Only `end` can be relied on.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where its local header begins.
    pub header: u64,
    /// Where the next entry or the directory begins: an entry that extends further is refused.
    pub end: u64,
    /// Bytes in the archive.
    pub packed: u64,
    /// Bytes of the object.
    pub len: u64,
    /// Bytes of the extra field in the directory, close to the number in the local header.
    pub extra: u16,
    pub deflated: bool,
    pub crc: u32,
    /// Whether all bytes were read once and matched the checksum.
    pub checked: AtomicBool,
}

/// The directory that Python's zipfile found in the same file.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Where the directory begins.
    pub start: u64,
    /// Number of distinct names.
    pub names: usize,
}

/// Entries, and their numbers by name; the last entry wins if several have the same name.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub numbers: HashMap<Box<str>, usize>,
    pub entries: Vec<Entry>,
}

impl Table {
    /// Reads the directory of `file` without moving its position, which is shared with Python's file object.
    ///
    /// # Errors
    /// The reason why zarr-python must read the archive itself: an entry that only zipfile can refuse or decode, or a
    /// directory other than the one that zipfile `found`.
    pub fn read(file: File, found: Found) -> Result<Self, String> {
        let unreadable = |error: rawzip::Error| format!("its directory cannot be read: {error}");
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipLocator::new()
            .locate_in_reader(FileReader::from(file), &mut buffer, size)
            .map_err(|(_, error)| unreadable(error))?;
        if archive.directory_offset() != found.start {
            return Err(format!(
                "its directory is at {}, zipfile finds it at {}",
                archive.directory_offset(),
                found.start
            ));
        }
        let mut table = Self::default();
        let mut entries = archive.entries(&mut buffer);
        while let Some(record) = entries.next_entry().map_err(unreadable)? {
            let name = native_name(&record)?;
            table.numbers.insert(name.into(), table.entries.len());
            table.entries.push(Entry {
                header: record.local_header_offset(),
                end: 0,
                packed: record.compressed_size_hint(),
                len: record.uncompressed_size_hint(),
                extra: u16::try_from(record.extra_fields().remaining_bytes().len()).unwrap_or(u16::MAX),
                deflated: record.compression_method() == CompressionMethod::DEFLATE,
                crc: record.crc32(),
                checked: AtomicBool::new(false),
            });
        }
        if table.numbers.len() != found.names {
            return Err(format!("it has {} distinct names, zipfile finds {}", table.numbers.len(), found.names));
        }
        table.find_ends(found.start)?;
        Ok(table)
    }

    fn find_ends(&mut self, directory: u64) -> Result<(), String> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_unstable_by_key(|number| std::cmp::Reverse(self.entries[*number].header));
        let mut end = directory;
        for number in order {
            let entry = &mut self.entries[number];
            if entry.header == end {
                // Releases of Python treat such archives differently.
                return Err(format!("two entries begin at {end}"));
            }
            entry.end = end;
            end = entry.header;
        }
        Ok(())
    }
}

/// The name of the entry, if zipfile reads name and entry the same way.
///
/// # Errors
/// The reason why it does not.
fn native_name<'a>(record: &ZipFileHeaderRecord<'a>) -> Result<&'a str, String> {
    let path = record.file_path();
    let name = std::str::from_utf8(path.as_bytes()).map_err(|_| "a name is not UTF-8".to_owned())?;
    if (!name.is_ascii() && !record.flags().is_utf8()) || name.contains('\0') {
        return Err(format!("zipfile reads the name {name:?} differently"));
    }
    if record.extra_fields().any(|(id, _)| id == ExtraFieldId::INFO_ZIP_UNICODE_PATH) {
        return Err(format!("entry {name:?} has another name in an extra field"));
    }
    if record.flags().bits() & REFUSED_FLAGS != 0 {
        return Err(format!("entry {name:?} is encrypted or patched"));
    }
    match record.compression_method() {
        CompressionMethod::DEFLATE => Ok(name),
        CompressionMethod::STORE if record.compressed_size_hint() == record.uncompressed_size_hint() => Ok(name),
        CompressionMethod::STORE => Err(format!("entry {name:?} is stored with two different lengths")),
        method => Err(format!("entry {name:?} is compressed by {method}")),
    }
}
