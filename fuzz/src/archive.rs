//! Archives: an input is a whole file.

use std::io::{self, Write};
use std::sync::Arc;

use engine::memory::OutBytes;
use engine::store::zip::{Found, Opened, ZipStore};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use tempfile::tempfile;

use crate::{Target, sample};

const NAMES: [&str; 2] = ["c/0", "c/1"];
/// What an entry may be, in bytes.
const MOST: usize = 1 << 16;

/// What the record at the end says of the directory, as zipfile would be asked.
fn found(bytes: &[u8]) -> Found {
    let end = bytes.windows(4).rposition(|four| four == b"PK\x05\x06").unwrap_or(0);
    let record = bytes[end..].first_chunk::<20>().unwrap_or(&[0; 20]);
    let start = u32::from_le_bytes([record[16], record[17], record[18], record[19]]);
    Found { start: start.into(), names: usize::from(u16::from_le_bytes([record[10], record[11]])) }
}

fn check(bytes: &[u8]) {
    let mut file = tempfile().expect("a temporary file");
    file.write_all(bytes).expect("bytes");
    let Ok(archive) = ZipStore::new(file, "fuzz.zip".into(), found(bytes)) else { return };
    let archive = Arc::new(archive);
    let mut buffer = Vec::new();
    for name in NAMES {
        if let Ok(Some(object)) = archive.get(name, MOST, &mut buffer) {
            assert!(object.len() <= MOST.max(bytes.len()));
        }
        if let Ok(Some(Opened::Stored(object))) = archive.open(name, MOST) {
            let mut part = [0; 8];
            let _ = object.read_into(object.len().saturating_sub(8), OutBytes::from(&mut part[..]));
            let _ = object.check();
        }
    }
}

/// An entry's bytes on their way into the archive: deflated, or as they are.
struct Packer<W>(W, CompressionMethod);

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.1 == CompressionMethod::DEFLATE {
            let mut encoder = DeflateEncoder::new(&mut self.0, Compression::fast());
            encoder.write_all(data)?;
            encoder.finish()?;
        } else {
            self.0.write_all(data)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn archive(method: CompressionMethod) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ZipArchiveWriter::new(&mut bytes);
    for name in NAMES {
        let (mut entry, config) = writer.new_file(name).compression_method(method).start().expect("an entry");
        let mut encoder = config.wrap(Packer(&mut entry, method));
        encoder.write_all(&sample(300)).expect("bytes");
        let (_, descriptor) = encoder.finish().expect("a descriptor");
        entry.finish(descriptor).expect("an end");
    }
    writer.finish().expect("a directory");
    bytes
}

pub fn zip_archive() -> Target {
    let seeds = [CompressionMethod::STORE, CompressionMethod::DEFLATE].map(archive);
    Target { check: Box::new(check), seeds: seeds.into() }
}
