//! Reads that bypass the page cache (`O_DIRECT`): whole blocks into an aligned buffer, then the wanted bytes to the
//! output.
#![allow(unsafe_code)] // Views aligned blocks as bytes, and changes the flags of an open file.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file;
use crate::memory::OutBytes;

/// The alignment of offsets, lengths and addresses: enough for every device with sectors of up to 4 KiB. A file system
/// that requires more refuses, and is then read through the page cache.
const BLOCK_BYTES: usize = 1 << 12;
/// Blocks in each thread's buffer (1 MiB).
const BLOCKS: usize = 256;

#[derive(Clone, Copy)]
#[repr(align(4096))]
#[allow(dead_code)] // Its bytes are accessed by address.
struct Block([u8; BLOCK_BYTES]);

#[cfg(test)]
thread_local! {
    /// Refuses the reads of this thread, as a file system with larger blocks does.
    pub(super) static REFUSE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

thread_local! {
    static BUFFER: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Direct I/O on one open file, until it is refused.
#[derive(Debug)]
pub(super) struct Direct {
    is_on: AtomicBool,
    /// The store's flag, set once any file has refused.
    refused: Arc<AtomicBool>,
}

impl Direct {
    /// Opens `path` for direct I/O. `None`, with `refused` set, if its file system has none; `None` if `refused` is
    /// already set.
    pub(super) fn open(path: &Path, refused: &Arc<AtomicBool>) -> io::Result<Option<(File, Self)>> {
        if refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match File::options().read(true).custom_flags(libc::O_DIRECT).open(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                refused.store(true, Ordering::Relaxed);
                Ok(None)
            }
            opened => Ok(Some((opened?, Self { is_on: AtomicBool::new(true), refused: Arc::clone(refused) }))),
        }
    }

    /// Reads from `start` until `out` is full or the file ends; returns the number of bytes read, which may be smaller
    /// only at the end of the file or when direct I/O is refused.
    pub(super) fn read_at(&self, file: &File, start: u64, mut out: OutBytes<'_>) -> io::Result<usize> {
        if self.is_on.load(Ordering::Relaxed) {
            match fill(file, start, out.reborrow()) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    disable(file)?;
                    self.is_on.store(false, Ordering::Relaxed);
                    self.refused.store(true, Ordering::Relaxed);
                }
                filled => return filled,
            }
        }
        file::read_at(file, start, out)
    }
}

/// Switches an open file back to buffered I/O.
fn disable(file: &File) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open as long as `file` is borrowed; both commands take and return plain integers.
    let set = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_DIRECT)
    };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads from `start` until `out` is full or the file ends; returns the number of bytes read. `InvalidInput` if the
/// file system requires another alignment.
fn fill(file: &File, start: u64, mut out: OutBytes<'_>) -> io::Result<usize> {
    #[cfg(test)]
    if REFUSE.get() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(BLOCKS, Block([0; BLOCK_BYTES]));
        // SAFETY: the vector has `BLOCKS` blocks of `BLOCK_BYTES` initialised bytes each, and only this call borrows
        // it.
        let blocks = unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<u8>(), BLOCKS * BLOCK_BYTES) };
        let mut done = 0;
        while done < out.len() {
            let at = start.saturating_add(done as u64);
            let skip = at as usize % BLOCK_BYTES;
            let wanted =
                (out.len() - done).saturating_add(skip).min(BLOCKS * BLOCK_BYTES).next_multiple_of(BLOCK_BYTES);
            let count = file::read_at(file, at - skip as u64, OutBytes::from(&mut blocks[..wanted]))?;
            // After a short read, the next one starts at a block boundary again; at the end it finds nothing new.
            if count <= skip {
                break;
            }
            let len = (count - skip).min(out.len() - done);
            let (_, rest) = out.reborrow().split_at(done);
            rest.split_at(len).0.copy_from(&blocks[skip..skip + len]);
            done += len;
        }
        Ok(done)
    })
}
