//! Keys as paths, and the names of writes in progress.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::LocalStore;
use crate::error::{Error, Result};

impl LocalStore {
    /// The path of `key`: pathlib's `root / key`.
    ///
    /// # Errors
    /// `Value` for a NUL byte, like every file function of Python.
    pub(super) fn path(&self, key: &str) -> Result<PathBuf> {
        if key.as_bytes().contains(&0) {
            return Err(Error::value("embedded null byte"));
        }
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + 1 + key.len());
        path.push(&self.root);
        if cfg!(windows) && key.contains('/') {
            // Below a verbatim root (`\\?\C:\...`), Windows treats '/' as part of a name.
            path.push(trimmed(key).replace('/', "\\"));
        } else if !trimmed(key).is_empty() {
            path.push(trimmed(key));
        }
        Ok(path)
    }
}

/// `key` without a trailing "/" or "/.", which pathlib drops; to the system it means "must be a directory".
fn trimmed(mut key: &str) -> &str {
    while let Some(shorter) = key.strip_suffix('/').or_else(|| key.strip_suffix("/.")) {
        if shorter.is_empty() {
            break;
        }
        key = shorter;
    }
    key
}

/// A new name beside `path` for an object that is being written: `<stem>.<32 hex digits>.partial`, as zarr-python names
/// it (`with_suffix`), so that tools that ignore or sweep its leftovers treat ours alike.
pub(super) fn partial(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // A forked child inherits the keys of its parent's hashers, so process and time are hashed too.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let hasher = RandomState::new();
    let [high, low] = [0_u8, 1].map(|half| hasher.hash_one((half, count, std::process::id(), now, path)));
    path.with_extension(format!("{high:016x}{low:016x}.partial"))
}
