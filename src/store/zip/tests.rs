//! Archives from rawzip's writer, compared with the written data. Damage as Python's zipfile judges it is in
//! `tests/test_zip_damage.py`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rawzip::{CompressionMethod, ZipArchiveWriter};
use tempfile::TempDir;

use super::{Found, Opened, ZipStore};
use crate::error::Kind;
use crate::memory::OutBytes;

/// Longer than a piece, so that checks read several pieces.
const LONG: usize = 600_001;

/// An archive in its own temporary directory.
pub(in crate::store) struct Fixture {
    _directory: TempDir,
    path: PathBuf,
    found: Found,
}

fn long() -> Vec<u8> {
    (0..LONG).map(|at| (at % 251) as u8).collect()
}

impl Fixture {
    pub(in crate::store) fn new(objects: &[(&str, &[u8])], method: CompressionMethod) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a.zip");
        let mut bytes = Vec::new();
        let mut writer = ZipArchiveWriter::new(&mut bytes);
        for (name, data) in objects {
            let (mut entry, config) = writer.new_file(name).compression_method(method).start().expect("an entry");
            let mut encoder = config.wrap(Packer(&mut entry, method));
            // Called even without bytes: an empty stream is not empty once it is deflated.
            assert_eq!(encoder.write(data).expect("bytes"), data.len());
            let (_, descriptor) = encoder.finish().expect("a descriptor");
            entry.finish(descriptor).expect("an end");
        }
        writer.finish().expect("a directory");
        fs::write(&path, &bytes).expect("a file");
        let start = bytes.windows(4).position(|four| four == b"PK\x01\x02").expect("a directory") as u64;
        Self { _directory: directory, path, found: Found { start, names: objects.len() } }
    }

    pub(in crate::store) fn open(&self) -> Result<Arc<ZipStore>, String> {
        let file = fs::File::open(&self.path).expect("a file");
        ZipStore::new(file, self.path.clone(), self.found).map(Arc::new)
    }

    #[cfg(unix)]
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    fn patch(&self, at: usize, data: &[u8]) {
        let mut bytes = fs::read(&self.path).expect("a file");
        bytes[at..at + data.len()].copy_from_slice(data);
        fs::write(&self.path, bytes).expect("a file");
    }
}

/// An entry's bytes on their way into the archive, deflated or unchanged.
struct Packer<W>(W, CompressionMethod);

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if self.1 == CompressionMethod::DEFLATE {
            let mut encoder = flate2::write::DeflateEncoder::new(&mut self.0, flate2::Compression::fast());
            encoder.write_all(data)?;
            encoder.finish()?;
        } else {
            self.0.write_all(data)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

const METHODS: [CompressionMethod; 2] = [CompressionMethod::STORE, CompressionMethod::DEFLATE];

#[test]
fn test_objects_equal_what_was_written() {
    for method in METHODS {
        let data = long();
        let store = Fixture::new(&[("c/0", b"short"), ("c/1", &data)], method).open().expect("an archive");
        let mut buffer = b"left over".to_vec();
        assert_eq!(store.get("c/0", 99, &mut buffer).expect("a read"), Some(&b"short"[..]));
        assert_eq!(store.get("c/1", LONG, &mut buffer).expect("a read"), Some(&data[..]));
        assert_eq!(store.get("c/2", 99, &mut buffer).expect("a read"), None);
        assert!(store.open("c", 99).expect("an open").is_none());
    }
}

#[test]
fn test_ranges_are_parts_of_the_object() {
    let data = long();
    let store = Fixture::new(&[("a", &data)], CompressionMethod::STORE).open().expect("an archive");
    let Some(Opened::Stored(object)) = store.open("a", 0).expect("an open") else { panic!("not stored") };
    let mut out = vec![0; LONG];
    object.read_into(0, OutBytes::from(&mut out[..])).expect("a read");
    assert_eq!(out, data);
    object.read_into(77, OutBytes::from(&mut out[..1000])).expect("a read");
    assert_eq!(out[..1000], data[77..1077]);
    object.read(LONG as u64 - 9, 9, &mut out).expect("a read");
    assert_eq!(out, data[LONG - 9..]);
}

#[test]
fn test_damage_is_found_by_every_read_of_the_whole_entry() {
    let data = long();
    let archive = Fixture::new(&[("a", &data)], CompressionMethod::STORE);
    archive.patch(400_000, b"\xff\xff");
    let store = archive.open().expect("an archive");
    let is_bad = |outcome: crate::error::Result<()>| matches!(outcome.expect_err("damage").kind, Kind::BadZip);
    let mut buffer = Vec::new();
    assert!(is_bad(store.get("a", 0, &mut buffer).map(drop)));
    let Some(Opened::Stored(object)) = store.open("a", 0).expect("an open") else { panic!("not stored") };
    assert!(is_bad(object.check()));
    assert!(is_bad(object.read(0, LONG as u64, &mut buffer)));
    let mut out = vec![0; LONG];
    assert!(is_bad(object.read_into(0, OutBytes::from(&mut out[..]))));
    object.read_into(1, OutBytes::from(&mut out[..9])).expect("a part, which the checksum does not cover");
}

#[test]
fn test_an_entry_never_inflates_past_the_limit() {
    let zeros = vec![0; 1 << 20];
    let store = Fixture::new(&[("a", &zeros)], CompressionMethod::DEFLATE).open().expect("an archive");
    let mut buffer = Vec::new();
    let error = store.get("a", 1 << 12, &mut buffer).map(drop).expect_err("too long");
    assert!(matches!(error.kind, Kind::TooLong), "{error:?}");
    assert!(buffer.capacity() <= 1 << 16, "{}", buffer.capacity());
}

#[test]
fn test_a_directory_that_zipfile_found_elsewhere_is_refused() {
    let archive = Fixture::new(&[("a", b"one"), ("b", b"two")], CompressionMethod::STORE);
    let Found { start, names } = archive.found;
    for found in [Found { start: start + 1, names }, Found { start, names: 3 }] {
        let refused = Fixture { found, ..Fixture::new(&[("a", b"one"), ("b", b"two")], CompressionMethod::STORE) };
        assert!(refused.open().is_err());
    }
}

#[test]
fn test_entries_that_only_zipfile_can_read_are_refused() {
    // In the directory's record: flags at 8, method at 10, length at 24.
    for (at, data) in [(8, &b"\x01\x08"[..]), (8, b"\x40\x08"), (10, b"\x0c\x00"), (24, b"\x09"), (46, b"\xe4")] {
        let archive = Fixture::new(&[("a", b"one")], CompressionMethod::STORE);
        assert!(archive.open().is_ok());
        archive.patch(archive.found.start as usize + at, data);
        assert!(archive.open().is_err(), "byte {at}");
    }
}
