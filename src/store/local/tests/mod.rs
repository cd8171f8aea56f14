//! The local store, compared with std's own reads and writes of the same files.

mod caching;
mod faults;
mod reads;
mod writes;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{LocalStore, Object, Options};
use crate::error::{Kind, Result};
use crate::memory::OutBytes;
use crate::store::ByteRange;

/// A store in its own temporary directory.
struct Fixture {
    store: LocalStore,
    directory: TempDir,
}

impl Fixture {
    fn new(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { store: LocalStore::new(directory.path().join("root"), options), directory }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.path().join("root").join(key)
    }

    /// Writes an object in place without the store, as another process does.
    fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("a path below the root")).expect("directories");
        fs::write(path, bytes).expect("a file");
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut bytes = b"left over".to_vec();
        self.store.get(key, 0, &mut bytes).expect("a read").then_some(bytes)
    }

    fn open(&self, key: &str) -> Object {
        self.store.open(key).expect("an open").expect("an object")
    }

    /// Whether writes use unnamed files here; some file systems lack them.
    fn has_unnamed_files(&self) -> bool {
        self.store.set("probe", &[]).expect("a write");
        self.store.erase("probe").expect("an erase");
        #[cfg(target_os = "linux")]
        return self.store.unnamed_files.load(std::sync::atomic::Ordering::Relaxed);
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// All `.partial` names below the root.
    fn partial_names(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.path("")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "partial") {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn read(object: &Object, range: ByteRange) -> Vec<u8> {
    let mut bytes = b"left over".to_vec();
    object.read(range, &mut bytes).expect("a read");
    bytes
}

fn read_into(object: &Object, start: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0xee; len];
    object.read_into(start, OutBytes::from(&mut bytes[..]))?;
    Ok(bytes)
}

/// Bytes that differ between neighbouring offsets and between blocks.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The `errno` of an `Io` error.
fn number<T: std::fmt::Debug>(result: Result<T>) -> Option<i32> {
    match result.expect_err("a refusal").kind {
        Kind::Io(error) => error.raw_os_error(),
        other => panic!("not an Io error: {other:?}"),
    }
}
