//! Writes through an unnamed file (`O_TMPFILE`): a kill in the middle leaves nothing behind, and no incomplete object
//! is ever listed.
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
    /// Writes the object at `path`. False, with nothing done, if the file system has no unnamed files.
    ///
    /// A new object is linked to its name directly. An existing object cannot be replaced by linking: the file is
    /// linked as a `.partial` file and renamed. That name exists for an instant; a kill in that instant leaves the
    /// complete file there.
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
            // ext4 returns EPERM in a directory that has just been removed; a named file then meets the true cause.
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
            // Without /proc, every link fails as if the directory were missing.
            Err(_) if !Path::new("/proc/self/fd").exists() => return Ok(self.without_unnamed()),
            Err(error) => return Err(error),
        }
        // An error here comes too late to keep the old object; but only remote disks fail so late, and few remote file
        // systems have unnamed files.
        file::close(file)?;
        Ok(true)
    }

    fn without_unnamed(&self) -> bool {
        self.unnamed_files.store(false, Ordering::Relaxed);
        false
    }
}

/// Links an unnamed file to the name `path`.
fn link(file: &File, path: &Path) -> io::Result<()> {
    /// Cleared if this process may not link by descriptor, which required a capability before Linux 6.10.
    static BY_DESCRIPTOR: AtomicBool = AtomicBool::new(true);

    let to = CString::new(path.as_os_str().as_bytes())?;
    let by_descriptor = BY_DESCRIPTOR.load(Ordering::Relaxed);
    if by_descriptor {
        match link_at(file.as_raw_fd(), c"", &to, libc::AT_EMPTY_PATH) {
            // Either not permitted or a missing directory: linking by way of /proc tells which.
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
