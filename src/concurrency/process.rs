//! What this process owns: the one pointer from which all state of this module hangs, and the counters of its jobs. A forked
//! child starts from nothing: it neither uses nor frees nor locks what its parent had.
#![allow(unsafe_code)] // One pointer that outlives every thread, and the handler that resets it in a forked child.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::pool::Pools;

/// Everything that is kept between calls. Never freed, so that a thread may hold it at any time.
pub(super) struct Process {
    id: u32,
    pub(super) pools: Mutex<Pools>,
    /// Jobs in flight; open jobs without units are not.
    pub(super) active: AtomicUsize,
    /// Ended jobs whose `finished` is running: its thread may be on its way to or from the GIL.
    pub(super) telling: AtomicUsize,
    pub(super) cpus: OnceLock<usize>,
}

/// The one root: null until first use, and again in a forked child.
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

/// This process's state, made on first use. Starts no thread and takes no lock.
pub(super) fn current() -> &'static Process {
    let id = std::process::id();
    loop {
        let found = PROCESS.load(Ordering::Acquire);
        // SAFETY: null or from `Box::leak` below, published with release; never freed, and changed only through atomics
        // and locks.
        if let Some(process) = unsafe { found.as_ref() }
            // A fork that bypasses the C library (a raw clone) runs no handler, and leaves the parent's state here.
            && process.id == id
        {
            return process;
        }
        watch_forks();
        let fresh = Box::leak(Box::new(Process {
            id,
            pools: Mutex::default(),
            active: AtomicUsize::new(0),
            telling: AtomicUsize::new(0),
            cpus: OnceLock::new(),
        }));
        // If another thread was faster, its state is used and this one (a few words) is leaked.
        let _ = PROCESS.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl Process {
    /// False in a forked child of the process that this state belongs to.
    pub(super) fn is_here(&self) -> bool {
        std::ptr::eq(PROCESS.load(Ordering::Acquire), self)
    }
}

/// Registers the handler that makes a child forget its parent's state; inherited by every child.
#[cfg(unix)]
fn watch_forks() {
    use std::sync::atomic::AtomicBool;
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn forget() {
        PROCESS.store(std::ptr::null_mut(), Ordering::Release);
    }
    if !WATCHED.swap(true, Ordering::AcqRel) {
        // SAFETY: the handler is a static function that only stores to an atomic, which is allowed between fork and exec.
        // It does not run for vfork, whose child shares this memory. If registration fails (no memory), or a fork comes
        // between the swap and this call, the child is still recognized by its process id.
        unsafe { libc::pthread_atfork(None, None, Some(forget)) };
    }
}

#[cfg(not(unix))]
fn watch_forks() {}
