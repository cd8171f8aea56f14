//! Objects as files under a root directory, as zarr-python's `LocalStore` keeps them.
//! No meaning of keys, no listing, no codecs. The store caches no bytes, so the next call sees the writes of other
//! processes.

#[cfg(target_os = "linux")]
mod direct;
mod erase;
mod file;
mod handle;
mod handles;
mod path;
mod read;
#[cfg(all(test, unix))]
mod tests;
#[cfg(target_os = "linux")]
mod unnamed;
mod write;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::handles::Handles;
pub use self::read::Object;

/// The settings of a user (`codec_pipeline.direct_io`, `codec_pipeline.file_handle_cache_size`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether reads bypass the page cache (`O_DIRECT`, Linux only). Writes stay buffered: the unaligned tail of an
    /// object would need the page cache anyway, and the kernel keeps the two coherent.
    pub direct_io: bool,
    /// How many files stay open between calls; 0 for none. Unix only: on Windows an open file blocks its replacement.
    pub handle_cache: usize,
}

/// A directory of objects. Shared freely between threads; a forked child may continue to use it.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    direct_io: bool,
    /// Set by the first file that refuses direct I/O; shared with the handles, since the refusal may come at the first
    /// read.
    direct_io_refused: Arc<AtomicBool>,
    handles: Handles,
    /// Cleared when the file system refuses an unnamed file.
    #[cfg(target_os = "linux")]
    unnamed_files: AtomicBool,
}

impl LocalStore {
    /// A store over `root`, which need not exist: the first write creates it.
    pub fn new(root: PathBuf, options: Options) -> Self {
        Self {
            root,
            direct_io: options.direct_io && cfg!(target_os = "linux"),
            direct_io_refused: Arc::new(AtomicBool::new(options.direct_io && !cfg!(target_os = "linux"))),
            handles: Handles::new(if cfg!(unix) { options.handle_cache } else { 0 }),
            #[cfg(target_os = "linux")]
            unnamed_files: AtomicBool::new(true),
        }
    }

    /// Whether direct I/O was requested and refused; reads are then buffered.
    pub fn direct_io_refused(&self) -> bool {
        self.direct_io_refused.load(Ordering::Relaxed)
    }

    /// Runs `open`; if the process has too many open files, closes all cached files and runs it once more.
    fn with_descriptor<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if file::too_many_open(&error) && self.handles.clear() => open(),
            opened => opened,
        }
    }
}
