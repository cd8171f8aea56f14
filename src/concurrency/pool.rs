//! The entry points: submit a job, open one, run work inline, shut down; and the pools that serve them, one per size, made
//! at first use.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::feed::Feed;
use super::job::{Exit, Job, Shared, Units};
use super::lock::locked;
use super::process::{Process, current};
use super::ranges::Ranges;
use super::work::{Limits, Outcome, Work, run_caught};
use super::workers::Workers;

/// The pools of a process.
#[derive(Default)]
pub(super) struct Pools {
    by_size: Vec<&'static Workers>,
    /// Those of isolated jobs, by size too.
    isolated: Vec<&'static Workers>,
    closed: bool,
}

/// How long `shutdown` waits for running units.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);

/// The pool for jobs with these `limits`.
fn workers(process: &Process, limits: Limits) -> &'static Workers {
    let size = limits.threads.max(1);
    let mut pools = locked(&process.pools);
    let closed = pools.closed;
    let same = if limits.isolated { &mut pools.isolated } else { &mut pools.by_size };
    if let Some(workers) = same.iter().find(|workers| workers.size() == size) {
        return workers;
    }
    let workers: &'static Workers = Box::leak(Box::new(Workers::new(size, closed)));
    same.push(workers);
    workers
}

/// Hands `work` to the pool of `limits.threads` and returns; `finished` is called at the end.
///
/// After `shutdown`, and where no thread can be started, the work runs here and is done when this returns: results stay
/// right while an interpreter exits.
pub(crate) fn submit(work: Arc<dyn Work>, limits: Limits) -> Job {
    start(work, limits, None)
}

/// `submit` and `help` in one: the caller's place is taken before a thread is woken, so a job for two participants wakes one
/// thread, not two. The caller helps only if its pool has no other job in flight: otherwise the threads are awake and go
/// from job to job, and callers that take units would send them to sleep (16 callers: a third slower).
pub(crate) fn submit_and_help(work: Arc<dyn Work>, limits: Limits, budget: Duration) -> Job {
    start(work, limits, Some(budget))
}

fn start(work: Arc<dyn Work>, limits: Limits, budget: Option<Duration>) -> Job {
    let process = current();
    let workers = workers(process, limits);
    let units = Ranges::new(work.units(), limits.participants.clamp(1, workers.size()), limits.grain);
    let job = Job(Shared::new(process, workers, work, Units::Known(units)));
    if !job.0.unstarted() {
        job.0.finish();
        return job;
    }
    let deadline = budget.and_then(|budget| Instant::now().checked_add(budget));
    match workers.admit(&job.0, budget.is_some()) {
        Ok(Some(slot)) => drop(job.help_from(slot, deadline)),
        Ok(None) => {}
        Err(()) => {
            let slot = job.0.units.claim().expect("no other thread knows this job");
            if job.0.participate(slot, || false) != Exit::Forked {
                job.0.finish();
            }
        }
    }
    job
}

/// A job of the pool of `limits.threads` whose units are pushed one by one ([`Job::push`]) until it is closed
/// ([`Job::close`]). While it has none, it occupies no thread and does not count as active.
///
/// After `shutdown` the job is over when this returns, and `finished` was told that it was cancelled.
pub(crate) fn open(work: Arc<dyn Work>, limits: Limits) -> Job {
    let process = current();
    let workers = workers(process, limits);
    let units = Feed::new(limits.participants.clamp(1, workers.size()), limits.grain);
    let job = Job(Shared::new(process, workers, work, Units::Fed(units)));
    if workers.admit(&job.0, false).is_err() {
        job.0.stop(true);
        job.0.finish();
    }
    job
}

/// Runs all of `work` on the calling thread, `grain` units at a time, and returns how it ended; `finished` is not called.
/// No thread is started or woken, and no lock is taken.
pub(crate) fn run_inline(work: &dyn Work, grain: usize) -> Outcome {
    let process = current();
    process.active.fetch_add(1, Ordering::Relaxed);
    let (units, grain) = (work.units(), grain.max(1));
    let runs = (0..units).step_by(grain).map(|start| start..units.min(start.saturating_add(grain)));
    let error = runs.map(|run| run_caught(work, run)).find_map(std::result::Result::err);
    process.active.fetch_sub(1, Ordering::Relaxed);
    Outcome { error, cancelled: false }
}

/// Whether `shutdown` was called: work submitted now would run on its caller.
pub(crate) fn is_shut_down() -> bool {
    locked(&current().pools).closed
}

/// Jobs in flight in this process as of now, inline ones included and open ones without units not: for deciding whether to
/// run work inline.
pub(crate) fn active() -> usize {
    current().active.load(Ordering::Relaxed)
}

/// `shutdown_within` five seconds.
pub(crate) fn shutdown() -> bool {
    shutdown_within(SHUTDOWN_WAIT)
}

/// For interpreter exit: cancels every job, waits up to `limit` for running units, and lets later work run on its caller.
/// True if every job is done. Not while holding what `finished` needs (the GIL).
pub(crate) fn shutdown_within(limit: Duration) -> bool {
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
    // Python ends a thread that waits for the GIL of an exiting interpreter, in the middle of our frames.
    let quiet = || process.active.load(Ordering::SeqCst) == 0 && process.telling.load(Ordering::SeqCst) == 0;
    while !quiet() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        std::thread::sleep(Duration::from_micros(50));
    }
    ended && quiet()
}
