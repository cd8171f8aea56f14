//! What this process owns: one pool per size, made at first use, and the entry points that use it. A forked child starts
//! from nothing: it neither uses nor frees nor locks what its parent had.
#![allow(unsafe_code)] // One pointer that outlives every thread, and the handler that resets it in a forked child.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::job::{Exit, Job, Limits, Outcome, Shared, Work, run_caught};
use super::workers::{Workers, locked};

/// Everything that the room keeps between calls. Never freed, so that a thread may hold it at any time.
pub(super) struct Process {
    id: u32,
    pools: Mutex<Pools>,
    /// Jobs in flight.
    pub(super) active: AtomicUsize,
    /// Ended jobs whose work is being told: its thread may be on its way to or from the GIL.
    pub(super) telling: AtomicUsize,
    pub(super) cpus: OnceLock<usize>,
}

#[derive(Default)]
struct Pools {
    by_size: Vec<&'static Workers>,
    /// Those of jobs that stay isolated.
    isolated: Vec<&'static Workers>,
    closed: bool,
}

/// How long `shutdown` waits for running units.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);

/// The one root of the room's state: null until first use, and again in a forked child.
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

/// This process's state, made on first use. Starts no thread and takes no lock.
pub(super) fn current() -> &'static Process {
    let id = std::process::id();
    loop {
        let found = PROCESS.load(Ordering::Acquire);
        // SAFETY: null or from `Box::leak` below, published with release; never freed and never changed but through
        // atomics and locks.
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
        // Where another thread was faster, its state is taken and this one (a few words) stays behind.
        let _ = PROCESS.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl Process {
    /// False in a forked child of the process that this state belongs to.
    pub(super) fn is_here(&self) -> bool {
        std::ptr::eq(PROCESS.load(Ordering::Acquire), self)
    }

    fn workers(&self, size: usize, isolated: bool) -> &'static Workers {
        let mut pools = locked(&self.pools);
        let closed = pools.closed;
        let same = if isolated { &mut pools.isolated } else { &mut pools.by_size };
        if let Some(workers) = same.iter().find(|workers| workers.size() == size) {
            return workers;
        }
        let workers: &'static Workers = Box::leak(Box::new(Workers::new(size, closed)));
        same.push(workers);
        workers
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
        // between the swap and this call, the process id still tells the child.
        unsafe { libc::pthread_atfork(None, None, Some(forget)) };
    }
}

#[cfg(not(unix))]
fn watch_forks() {}

/// Hands `work` to the pool of `limits.threads` and returns; `finished` tells the end.
///
/// After `shutdown`, and where no thread can be started, the work runs here and is done when this returns: answers stay
/// right while an interpreter exits.
pub fn submit(work: Arc<dyn Work>, limits: Limits) -> Job {
    start(work, limits, None)
}

/// `submit` and `help` in one: the caller's place is taken before anybody is woken, so a job for two participants wakes one
/// thread, not two. It only helps where its pool has no other job: with several in flight the threads are awake and go from
/// job to job, and callers in between would send them to sleep (16 callers: a third slower).
pub fn submit_and_help(work: Arc<dyn Work>, limits: Limits, budget: Duration) -> Job {
    start(work, limits, Some(budget))
}

/// A job whose units are fed; see [`Job::open`].
pub(super) fn open(work: Arc<dyn Work>, limits: Limits) -> Job {
    let process = current();
    let workers = process.workers(limits.threads.max(1), limits.isolated);
    let job = Job(Shared::fed(process, workers, work, limits));
    if workers.admit(&job.0, false).is_err() {
        job.0.cancelled_before_start();
    }
    job
}

fn start(work: Arc<dyn Work>, limits: Limits, budget: Option<Duration>) -> Job {
    let process = current();
    let workers = process.workers(limits.threads.max(1), limits.isolated);
    let job = Job(Shared::new(process, workers, work, limits));
    if !job.0.unstarted() {
        job.0.finish();
        return job;
    }
    let deadline = budget.and_then(|budget| Instant::now().checked_add(budget));
    match workers.admit(&job.0, budget.is_some()) {
        Ok(Some(slot)) => drop(job.help_from(slot, deadline)),
        Ok(None) => {}
        Err(()) => {
            let slot = job.0.claim().expect("nobody else knows this job");
            if job.0.participate(slot, || false) != Exit::Forked {
                job.0.finish();
            }
        }
    }
    job
}

/// Runs all of `work` on the calling thread, `grain` units at a time, and returns how it ended; `finished` is not called.
/// No thread is started or woken, and no lock is taken.
pub fn run_inline(work: &dyn Work, grain: usize) -> Outcome {
    let process = current();
    process.active.fetch_add(1, Ordering::Relaxed);
    let (units, grain) = (work.units(), grain.max(1));
    let runs = (0..units).step_by(grain).map(|start| start..units.min(start.saturating_add(grain)));
    let error = runs.map(|run| run_caught(work, run)).find_map(std::result::Result::err);
    process.active.fetch_sub(1, Ordering::Relaxed);
    Outcome { error, cancelled: false }
}

/// Whether `shutdown` was called: what is submitted now would run on its caller.
pub fn is_shut_down() -> bool {
    locked(&current().pools).closed
}

/// Jobs in flight in this process, inline ones included: an instant's picture, for deciding about inline work.
pub fn active() -> usize {
    current().active.load(Ordering::Relaxed)
}

/// `shutdown_within` five seconds.
pub fn shutdown() -> bool {
    shutdown_within(SHUTDOWN_WAIT)
}

/// For interpreter exit: cancels every job, waits up to `limit` for running units, and lets later work run on its caller.
/// True if every job is done. Call it without what `finished` needs (the GIL).
pub fn shutdown_within(limit: Duration) -> bool {
    let process = current();
    let pools = {
        let mut pools = locked(&process.pools);
        pools.closed = true;
        [pools.by_size.as_slice(), &pools.isolated].concat()
    };
    let jobs = pools.iter().flat_map(|workers| workers.close()).map(Job).collect::<Vec<_>>();
    jobs.iter().for_each(Job::cancel);
    let deadline = Instant::now().checked_add(limit);
    let ended = jobs.iter().all(|job| job.wait_until(deadline));
    // A thread that waits for the GIL of an interpreter that ends is ended by Python in the middle of our frames.
    let quiet = || process.active.load(Ordering::SeqCst) == 0 && process.telling.load(Ordering::SeqCst) == 0;
    while !quiet() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        std::thread::sleep(Duration::from_micros(50));
    }
    ended && quiet()
}
