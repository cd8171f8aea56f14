//! One file that is open for reading.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[cfg(target_os = "linux")]
use super::direct::Direct;
use super::file;
use crate::memory::OutBytes;

/// An open file, and its identity when it was opened.
#[derive(Debug)]
pub(super) struct Handle {
    file: File,
    path: PathBuf,
    identity: Identity,
    #[cfg(target_os = "linux")]
    direct: Option<Direct>,
}

impl Handle {
    /// Opens `path`; for direct I/O if there is a flag to report a refusal by, and it is not set.
    pub(super) fn open(path: &Path, refused: Option<&Arc<AtomicBool>>) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let (file, direct) = match refused.map_or(Ok(None), |refused| Direct::open(path, refused))? {
            Some((file, direct)) => (file, Some(direct)),
            None => (File::open(path)?, None),
        };
        #[cfg(not(target_os = "linux"))]
        let file = {
            let _ = refused;
            File::open(path)?
        };
        let handle = Self::of(file, path.to_owned())?;
        #[cfg(target_os = "linux")]
        let handle = Self { direct, ..handle };
        Ok(handle)
    }

    /// `file`, which the caller opened at `path`.
    pub(super) fn of(file: File, path: PathBuf) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self {
            file,
            path,
            identity: Identity::of(&metadata),
            #[cfg(target_os = "linux")]
            direct: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length in bytes when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.identity.len
    }

    /// Whether the path still leads to this file, unchanged since it was opened.
    pub(super) fn is_current(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| Identity::of(&metadata) == self.identity)
    }

    /// Reads from `start` until `out` is full or the file ends; returns the number of bytes read.
    pub(super) fn fill(&self, start: u64, mut out: OutBytes<'_>) -> io::Result<usize> {
        let mut done = 0;
        while done < out.len() {
            let (_, rest) = out.reborrow().split_at(done);
            let count = self.read_at(start.saturating_add(done as u64), rest)?;
            if count == 0 {
                break;
            }
            done += count;
        }
        Ok(done)
    }

    /// One read at `start`, which may be short; 0 at the end of the file.
    pub(super) fn read_at(&self, start: u64, out: OutBytes<'_>) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if let Some(direct) = &self.direct {
            return direct.read_at(&self.file, start, out);
        }
        file::read_at(&self.file, start, out)
    }
}

/// The properties that must be unchanged for a path to lead to the same bytes as before.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    len: u64,
    /// Device, inode, and both times with their nanoseconds.
    #[cfg(unix)]
    rest: (u64, u64, i64, i64, i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as M;
        Self {
            len: metadata.len(),
            #[cfg(unix)]
            rest: (
                M::dev(metadata),
                M::ino(metadata),
                M::mtime(metadata),
                M::mtime_nsec(metadata),
                M::ctime(metadata),
                M::ctime_nsec(metadata),
            ),
        }
    }
}
