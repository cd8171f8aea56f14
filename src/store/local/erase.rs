//! Erasing objects, and directory trees in the place of an object.

use std::io;
use std::path::Path;

use super::LocalStore;
use crate::error::{Error, Result};

impl LocalStore {
    /// Removes the object; a directory is removed with its tree, as in zarr-python. A missing object is no error.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn erase(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        let is_tree = erase(&path).map_err(|error| Error::io(&format!("erase {}", path.display()), error))?;
        if is_tree {
            self.handles.clear();
        } else {
            self.handles.forget(key);
        }
        Ok(())
    }
}

/// Removes the file or directory at `path`; returns whether it was a directory.
fn erase(path: &Path) -> io::Result<bool> {
    // Most erased chunks were never written; then this is the only call.
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata?,
    };
    if metadata.is_dir() {
        return std::fs::remove_dir_all(path).map(|()| true);
    }
    if metadata.is_symlink() && path.is_dir() {
        // The message of `shutil.rmtree`.
        return Err(io::Error::other("Cannot call rmtree on a symbolic link"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| false),
    }
}
