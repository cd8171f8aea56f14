//! File calls on output bytes instead of slices, and the differences between platforms.
#![allow(unsafe_code)] // Writes by address to NumPy memory that other threads may touch; std takes only slices.

use std::fs::File;
use std::io;

use crate::memory::OutBytes;

/// The most bytes that one call moves: Linux's own bound, and below the `INT_MAX` that macOS accepts.
#[cfg(unix)]
const CALL_BYTES: usize = 0x7fff_f000;

/// Whether the object is missing in zarr-python's sense: no such file, a directory, or a file where a directory should
/// be.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory)
}

/// Whether this process or the system has too many files open.
pub(super) fn too_many_open(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    #[cfg(windows)]
    return error.raw_os_error() == Some(4); // ERROR_TOO_MANY_OPEN_FILES
}

/// One read at `start`, which may be short; 0 at the end of the file.
#[cfg(unix)]
pub(super) fn read_at(file: &File, start: u64, mut out: OutBytes<'_>) -> io::Result<usize> {
    #[cfg(not(target_os = "linux"))]
    use libc::pread;
    #[cfg(target_os = "linux")]
    use libc::pread64 as pread;
    use std::os::fd::AsRawFd;

    // No file extends past the largest signed offset.
    let Ok(offset) = i64::try_from(start) else { return Ok(0) };
    let (ptr, len) = (out.as_mut_ptr(), out.len().min(CALL_BYTES));
    retried(|| {
        // SAFETY: the descriptor is open as long as `file` is borrowed; `OutBytes` can be written for its length, and
        // `len` is at most that.
        unsafe { pread(file.as_raw_fd(), ptr.cast(), len, offset) }
    })
}

/// One read at `start`, which may be short; 0 at the end of the file.
#[cfg(windows)]
pub(super) fn read_at(file: &File, start: u64, mut out: OutBytes<'_>) -> io::Result<usize> {
    use std::os::windows::fs::FileExt;

    if i64::try_from(start).is_err() {
        return Ok(0);
    }
    // std has only a form with a slice, and no slice may alias the output, so the bytes take a detour through a buffer.
    let mut detour = vec![0_u8; out.len().min(1 << 20)];
    let count = file.seek_read(&mut detour, start)?;
    out.reborrow().split_at(count).0.copy_from(&detour[..count]);
    Ok(count)
}

/// Writes all `parts`, in order, at the file's position.
#[cfg(unix)]
pub(super) fn write_all(file: &File, parts: &[&[u8]]) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    /// Linux's and macOS's `IOV_MAX`.
    const CALL_PARTS: usize = 1024;

    let nonempty = parts.iter().filter(|part| !part.is_empty());
    let iovec = |part: &&[u8]| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
    let mut parts: Vec<_> = nonempty.map(iovec).collect();
    let mut rest = parts.as_mut_slice();
    while let Some(&mut first) = rest.first_mut() {
        let mut bytes = 0_usize;
        let fits = |part: &&libc::iovec| {
            bytes = bytes.saturating_add(part.iov_len);
            bytes <= CALL_BYTES
        };
        let count = rest.iter().take(CALL_PARTS).take_while(fits).count();
        let mut written = retried(|| {
            let fd = file.as_raw_fd();
            // SAFETY: the descriptor is open as long as `file` is borrowed. The `iovec`s in `rest` point into borrowed
            // slices, and there are at least `count`, at most 1024, of them. The calls only read through them.
            unsafe {
                match count {
                    0 => libc::write(fd, first.iov_base, CALL_BYTES),
                    _ => libc::writev(fd, rest.as_ptr(), count as libc::c_int),
                }
            }
        })?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(part) = rest.first_mut() {
            let taken = written.min(part.iov_len);
            // SAFETY: `taken` is at most the part's length, so the address stays within the part or at its end.
            part.iov_base = unsafe { part.iov_base.byte_add(taken) };
            part.iov_len -= taken;
            written -= taken;
            if part.iov_len > 0 {
                break;
            }
            rest = &mut rest[1..];
        }
    }
    Ok(())
}

/// Writes all `parts`, in order, at the file's position.
#[cfg(windows)]
pub(super) fn write_all(mut file: &File, parts: &[&[u8]]) -> io::Result<()> {
    use std::io::Write;

    parts.iter().try_for_each(|part| file.write_all(part))
}

/// Closes `file` and reports errors of its writes: network file systems may report a full disk only now.
pub(super) fn close(file: File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::IntoRawFd;
        // SAFETY: `into_raw_fd` hands over the descriptor, so it is closed here and nowhere else.
        if unsafe { libc::close(file.into_raw_fd()) } == 0 {
            return Ok(());
        }
        // An interrupted call has still closed the descriptor, so it must not be repeated.
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
    }
    #[cfg(windows)]
    {
        drop(file);
        Ok(())
    }
}

/// Runs `call`, again whenever a signal interrupts it; returns its count of bytes.
#[cfg(unix)]
fn retried(call: impl Fn() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
