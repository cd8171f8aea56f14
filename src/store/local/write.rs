//! Atomic writes: a reader sees the old object or the new one, even after a kill at any instant. Safe against a kill
//! but not against a loss of power, as in zarr-python.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{LocalStore, file, path};
use crate::error::{Error, Result};

/// How often a write is restarted because its directory was missing or was removed concurrently.
const ATTEMPTS: usize = 32;

impl LocalStore {
    /// Replaces the object by the concatenation of `parts`.
    ///
    /// # Errors
    /// `Io`; the old object is then unchanged, and no part of the new one is left.
    pub(crate) fn set(&self, key: &str, parts: &[&[u8]]) -> Result<()> {
        let path = self.path(key)?;
        if path.file_name().is_none() {
            return Err(Error::value(format!("{} has an empty name", path.display())));
        }
        let written = self.replace(&path, parts);
        self.handles.forget(key);
        written.map_err(|error| Error::io(&format!("write {}", path.display()), error))
    }

    fn replace(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        use io::ErrorKind::{AlreadyExists, Interrupted, NotADirectory, NotFound};
        let mut attempts = ATTEMPTS;
        loop {
            let error = match self.write_beside(path, parts) {
                Err(error) if attempts > 0 && matches!(error.kind(), NotFound | NotADirectory | Interrupted) => error,
                done => return done,
            };
            attempts -= 1;
            if error.kind() == Interrupted {
                continue;
            }
            // Created only after a failure: a directory is created once, its objects are written many times.
            match std::fs::create_dir_all(directory(path)) {
                // Removed while it was being created: std saw that it exists, then that it is no directory.
                Err(error) if attempts > 0 && matches!(error.kind(), NotFound | AlreadyExists) => {}
                // A file in the way raises the error of zarr-python's own `mkdir`.
                created => created?,
            }
        }
    }

    fn write_beside(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.write_unnamed(path, parts)? {
            return Ok(());
        }
        // Declared before the file, so that the file is closed before its name is removed.
        let mut partial = Partial::new(path);
        let file = self.with_descriptor(|| File::options().write(true).create_new(true).open(partial.path()));
        let file = match file {
            // The name may be another writer's file, which must not be removed.
            Err(error) => {
                partial.keep();
                return Err(error);
            }
            Ok(file) => file,
        };
        file::write_all(&file, parts)?;
        // Before the rename, since a network file system may report a full disk only now.
        file::close(file)?;
        partial.rename(path)
    }
}

/// The directory that holds `path`.
pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A name that exists only during a write: removed when dropped, unless it has become the object's name.
pub(super) struct Partial(Option<PathBuf>);

impl Partial {
    /// A new name beside `path`.
    pub(super) fn new(path: &Path) -> Self {
        Self(Some(path::partial(path)))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Leaves the name in place when this is dropped.
    pub(super) fn keep(&mut self) {
        self.0 = None;
    }

    /// Renames this to the object at `path`.
    pub(super) fn rename(mut self, path: &Path) -> io::Result<()> {
        rename(self.path(), path)?;
        self.keep();
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // The write has already failed, and its error is the one to report.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Renames `from` to `to`, replacing `to`. Windows refuses briefly while another process reads `to` or has just
/// replaced it; the retries last as long as zarr-python's.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(windows)]
    for milliseconds in [1, 5, 20, 50, 200] {
        match std::fs::rename(from, to) {
            // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION.
            Err(error) if matches!(error.raw_os_error(), Some(5 | 32)) => {
                std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            }
            renamed => return renamed,
        }
    }
    std::fs::rename(from, to)
}
