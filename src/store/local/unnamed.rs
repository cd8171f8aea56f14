//! Writes through an unnamed file (`O_TMPFILE`): a kill in the middle leaves nothing behind, and nothing is listed
//! before it is whole.
#![allow(unsafe_code)] // `linkat` with a flag has no form in std.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{EACCES, EINVAL, EISDIR, ELOOP, ENOSYS, EOPNOTSUPP, EPERM, EXDEV};

use super::write::{Partial, directory};
use super::{LocalStore, file};

impl LocalStore {
    /// Writes the object at `path`. False, and nothing done, where there are no unnamed files.
    ///
    /// A new object takes its name at once. An object that exists cannot be replaced by linking: the file is linked as a
    /// `.partial` file and renamed, so that name exists for an instant, and only a kill in that instant leaves it (whole).
    pub(super) fn write_unnamed(&self, path: &Path, parts: &[&[u8]]) -> io::Result<bool> {
        if !self.unnamed_files.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut options = File::options();
        options.write(true).custom_flags(libc::O_TMPFILE);
        let file = match self.with_descriptor(|| options.open(directory(path))) {
            Err(error) if matches!(error.raw_os_error(), Some(EINVAL | EISDIR | ENOSYS | EOPNOTSUPP)) => {
                return Ok(self.without_unnamed());
            }
            // ext4 says EPERM in a directory that has just been removed; a named file meets the true cause.
            Err(error) if error.raw_os_error() == Some(EPERM) => return Ok(false),
            opened => opened?,
        };
        file::write_all(&file, parts)?;
        match link(&file, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut partial = Partial::new(path);
                if let Err(error) = link(&file, partial.path()) {
                    partial.keep();
                    return Err(error);
                }
                partial.rename(path)?;
            }
            // A file system without links, or a sandbox: a named file may still work.
            Err(error)
                if matches!(error.raw_os_error(), Some(EACCES | EINVAL | ELOOP | EOPNOTSUPP | EPERM | EXDEV)) =>
            {
                return Ok(self.without_unnamed());
            }
            // Without /proc every link looks like one into a missing directory.
            Err(_) if !Path::new("/proc/self/fd").exists() => return Ok(self.without_unnamed()),
            Err(error) => return Err(error),
        }
        // Too late to keep the old object; but what fails only now is a remote disk, and few remote file systems have
        // unnamed files.
        file::close(file)?;
        Ok(true)
    }

    fn without_unnamed(&self) -> bool {
        self.unnamed_files.store(false, Ordering::Relaxed);
        false
    }
}

/// Gives an unnamed file the name `path`.
fn link(file: &File, path: &Path) -> io::Result<()> {
    /// Cleared where a process may not link by descriptor: before Linux 6.10 that needed a capability.
    static BY_DESCRIPTOR: AtomicBool = AtomicBool::new(true);

    let to = CString::new(path.as_os_str().as_bytes())?;
    let by_descriptor = BY_DESCRIPTOR.load(Ordering::Relaxed);
    if by_descriptor {
        match link_at(file.as_raw_fd(), c"", &to, libc::AT_EMPTY_PATH) {
            // Not permitted, or a missing directory: the longer way tells which.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            linked => return linked,
        }
    }
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let linked = link_at(libc::AT_FDCWD, &from, &to, libc::AT_SYMLINK_FOLLOW);
    if by_descriptor && !linked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        BY_DESCRIPTOR.store(false, Ordering::Relaxed);
    }
    linked
}

fn link_at(descriptor: libc::c_int, from: &CStr, to: &CStr, flags: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: both strings end in NUL and outlive the call.
        if unsafe { libc::linkat(descriptor, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
