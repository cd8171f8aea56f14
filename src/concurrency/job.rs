//! One job: its units, its participants' way through them, its outcome. Which thread takes part is `workers.rs`'s matter.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::feed::Feed;
use super::pool::Process;
use super::ranges::Ranges;
use super::workers::{Workers, locked};
use crate::error::Error;

/// Work of `units()` independent units, each run at most once, and exactly once unless the job is stopped.
pub trait Work: Send + Sync + 'static {
    /// How many units there are; asked once.
    fn units(&self) -> usize;

    /// Runs `units` in order. Runs start at multiples of their length (the last may be shorter), so that which neighbours
    /// are handled together does not depend on the number of threads.
    ///
    /// # Errors
    /// A number by which failures are ordered (the unit that failed, for example), and why; the rest of the run is then not
    /// run. A panic counts as the run's first unit.
    fn run(&self, units: Range<usize>) -> Result<(), (usize, Error)>;

    /// Called exactly once, after the last participant has let go and dropped its reference, by that participant or by
    /// whoever cancelled a job that nobody served. Called with no lock held; may come before `submit` has returned.
    fn finished(self: Arc<Self>, outcome: Outcome);
}

/// How a job ended; neither: every unit has run.
#[derive(Debug)]
pub struct Outcome {
    /// The error of the lowest unit that failed. After an error no new unit starts.
    pub error: Option<(usize, Error)>,
    /// Whether `cancel` (or `shutdown`) came before the end; every unit may have run all the same.
    pub cancelled: bool,
}

/// What a job may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The pool's size. All participants of all jobs with this size, helping callers included, never exceed it.
    pub threads: usize,
    /// Participants of this job at any time: the chunk concurrency.
    pub participants: usize,
    /// Whether the job goes to a pool of its own kind: its units wait for something that may itself need the other pool.
    pub isolated: bool,
    /// Units per run at most; fewer where a participant's share is smaller.
    pub grain: usize,
}

/// A handle to a submitted job; dropping it changes nothing. In a forked child the parent's jobs are over: nothing of
/// them runs there, `finished` is not called there, `is_done` is true and no call blocks.
#[derive(Clone)]
pub struct Job(pub(super) Arc<Shared>);

/// What the participants of a job share.
pub(super) struct Shared {
    process: &'static Process,
    workers: &'static Workers,
    /// Taken at the end, so that what the work holds is not kept alive by a handle.
    work: Mutex<Option<Arc<dyn Work>>>,
    units: UnitsLeft,
    /// Whether it has units to start and no participant. Changed only under the workers' lock.
    pub(super) unserved: AtomicBool,
    /// Participants now. Changed only under the lock of the workers.
    pub(super) members: AtomicUsize,
    stopped: AtomicBool,
    cancelled: AtomicBool,
    failure: Mutex<Option<(usize, Error)>>,
    done: AtomicBool,
    /// Threads inside `wait`: telling nobody would still cost a system call.
    waiters: Mutex<usize>,
    ended: Condvar,
}

/// The units of a job that have not been started.
enum UnitsLeft {
    /// All are known, and shared out.
    Known(Ranges),
    /// They are fed one by one.
    Fed(Feed),
}

/// Why a participant let go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Nothing is left to start.
    Exhausted,
    /// It was asked to leave while units were left.
    Called,
    /// It finds itself in a forked child, where the job, its locks and its other participants do not exist.
    Forked,
}

/// How long a helper spins for the others' last units. Less than what the caller's hand-over to a future costs.
const LINGER: Duration = Duration::from_micros(30);

impl Shared {
    /// A job whose units are all known.
    pub(super) fn new(
        process: &'static Process,
        workers: &'static Workers,
        work: Arc<dyn Work>,
        limits: Limits,
    ) -> Arc<Self> {
        let participants = limits.participants.clamp(1, workers.size());
        let units = UnitsLeft::Known(Ranges::new(work.units(), participants, limits.grain));
        process.active.fetch_add(1, Ordering::Relaxed);
        Self::with_units(process, workers, work, units)
    }

    /// A job whose units are fed. It does not count as active: most of its life it waits for the caller.
    pub(super) fn fed(
        process: &'static Process,
        workers: &'static Workers,
        work: Arc<dyn Work>,
        limits: Limits,
    ) -> Arc<Self> {
        let participants = limits.participants.clamp(1, workers.size());
        Self::with_units(process, workers, work, UnitsLeft::Fed(Feed::new(participants)))
    }

    fn with_units(
        process: &'static Process,
        workers: &'static Workers,
        work: Arc<dyn Work>,
        units: UnitsLeft,
    ) -> Arc<Self> {
        Arc::new(Self {
            process,
            workers,
            units,
            unserved: AtomicBool::new(false),
            work: Mutex::new(Some(work)),
            members: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            failure: Mutex::new(None),
            done: AtomicBool::new(false),
            waiters: Mutex::new(0),
            ended: Condvar::new(),
        })
    }

    /// A place for one more participant.
    pub(super) fn claim(&self) -> Option<usize> {
        match &self.units {
            UnitsLeft::Known(ranges) => ranges.claim(),
            UnitsLeft::Fed(feed) => feed.claim(),
        }
    }

    /// Gives a place back.
    pub(super) fn release(&self, slot: usize) {
        match &self.units {
            UnitsLeft::Known(ranges) => ranges.release(slot),
            UnitsLeft::Fed(feed) => feed.release(),
        }
    }

    fn next(&self, slot: usize) -> Option<Range<usize>> {
        match &self.units {
            UnitsLeft::Known(ranges) => ranges.next(slot),
            UnitsLeft::Fed(feed) => feed.next(),
        }
    }

    fn grain(&self) -> usize {
        match &self.units {
            UnitsLeft::Known(ranges) => ranges.grain(),
            UnitsLeft::Fed(_) => 1,
        }
    }

    /// The units that are fed, for a job that is.
    pub(super) fn feed(&self) -> Option<&Feed> {
        match &self.units {
            UnitsLeft::Known(_) => None,
            UnitsLeft::Fed(feed) => Some(feed),
        }
    }

    /// Whether no unit will ever start again.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || !self.unstarted() && self.feed().is_none_or(Feed::is_closed)
    }

    /// How many more participants are of use.
    pub(super) fn wanted(&self) -> usize {
        if self.stopped.load(Ordering::Acquire) {
            0
        } else {
            match &self.units {
                UnitsLeft::Known(ranges) => ranges.wanted(),
                UnitsLeft::Fed(feed) => feed.wanted(),
            }
        }
    }

    /// Whether units are left that may still start.
    pub(super) fn unstarted(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
            && match &self.units {
                UnitsLeft::Known(ranges) => ranges.unstarted(),
                UnitsLeft::Fed(feed) => feed.unstarted(),
            }
    }

    /// Runs units from the place `slot` until none is left, or `leave` (asked between runs) says so.
    pub(super) fn participate(&self, slot: usize, mut leave: impl FnMut() -> bool) -> Exit {
        let Some(work) = locked(&self.work).clone() else { return Exit::Exhausted };
        while !self.stopped.load(Ordering::Acquire) {
            let Some(units) = self.next(slot) else { break };
            let mut start = units.start;
            while start < units.end && !self.stopped.load(Ordering::Acquire) {
                let run = start..units.end.min(start.saturating_add(self.grain()));
                start = run.end;
                let result = run_caught(&*work, run);
                // The unit may have forked, and here the child comes out of it: another thread of the parent could have
                // held any lock of the job.
                if !self.process.is_here() {
                    return Exit::Forked;
                }
                if let Err(failure) = result {
                    self.fail(failure);
                }
            }
            if leave() {
                return Exit::Called;
            }
        }
        Exit::Exhausted
    }

    /// Stops the job with `failure`, unless one with a lower number is known.
    fn fail(&self, failure: (usize, Error)) {
        self.stopped.store(true, Ordering::Release);
        // Dropped with no lock held: a third-party exception may run any code then.
        let other = keep_lowest(&mut locked(&self.failure), failure);
        drop(other);
    }

    /// Ends a job that no pool takes any more.
    pub(super) fn cancelled_before_start(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.stopped.store(true, Ordering::Release);
        self.finish();
    }

    /// Tells the work how it ended. Called once, by the thread that took the job out of its list.
    pub(super) fn finish(&self) {
        self.process.telling.fetch_add(1, Ordering::SeqCst);
        // Before the work is told: a caller that goes on from there must not count the job that it has just finished.
        if self.feed().is_none() {
            self.process.active.fetch_sub(1, Ordering::SeqCst);
        }
        let error = locked(&self.failure).take();
        let outcome = Outcome { error, cancelled: self.cancelled.load(Ordering::Acquire) };
        if let Some(work) = locked(&self.work).take() {
            // A panic here has nobody left to be told to; the panic hook has printed it.
            let _ = catch_unwind(AssertUnwindSafe(|| work.finished(outcome)));
        }
        if !self.process.is_here() {
            return;
        }
        self.process.telling.fetch_sub(1, Ordering::SeqCst);
        self.done.store(true, Ordering::Release);
        if *locked(&self.waiters) > 0 {
            self.ended.notify_all();
        }
    }
}

impl Job {
    /// A job without units yet: they are fed by [`Job::push`], and it ends once [`Job::close`] was called and all have run,
    /// or once it is stopped. After `shutdown` it is over at once, as if cancelled.
    pub fn open(work: Arc<dyn Work>, limits: Limits) -> Self {
        super::pool::open(work, limits)
    }

    /// `count` more units may run; they are numbered in the order in which they are fed. Does nothing to a job that is over.
    pub fn push(&self, count: usize) {
        if count > 0 && !self.is_done() {
            self.0.workers.push(&self.0, count);
        }
    }

    /// No more units will come. Does nothing to a job that is over.
    pub fn close(&self) {
        if !self.is_done() && self.0.workers.close_feed(&self.0) {
            self.0.finish();
        }
    }

    /// Stops the job as if a unit had failed: no new unit starts, and of all failures the one with the lowest `number` is
    /// kept.
    pub fn fail(&self, number: usize, error: Error) {
        if self.is_done() {
            return;
        }
        self.0.fail((number, error));
        if self.0.workers.withdraw(&self.0) {
            self.0.finish();
        }
    }

    /// Whether the job was stopped before its end: a unit failed, or it was cancelled, or this is a forked child.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire) || !self.0.process.is_here()
    }

    /// No new unit starts; running ones finish; then `finished` is told `cancelled: true` (by this call where no
    /// participant is left to do it). Nothing happens to a job that is done.
    pub fn cancel(&self) {
        if self.is_done() {
            return;
        }
        self.0.cancelled.store(true, Ordering::Release);
        self.0.stopped.store(true, Ordering::Release);
        if self.0.workers.withdraw(&self.0) {
            self.0.finish();
        }
    }

    /// Whether `finished` has returned.
    pub fn is_done(&self) -> bool {
        self.0.done.load(Ordering::Acquire) || !self.0.process.is_here()
    }

    /// Blocks until the job is done. Not from inside a unit, and not while holding what `finished` needs (the GIL).
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Blocks until the job is done or `deadline` has passed; true if it is done.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if self.is_done() {
            return true;
        }
        let mut waiters = locked(&self.0.waiters);
        *waiters += 1;
        // `done` is stored before the lock is taken there and read under it here, so no wake-up is missed.
        while !self.0.done.load(Ordering::Acquire) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            waiters = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.0.ended.wait_timeout(waiters, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.0.ended.wait(waiters).unwrap_or_else(PoisonError::into_inner),
            };
        }
        *waiters -= 1;
        self.is_done()
    }

    /// Takes part for about `budget` (the clock is read between runs), then lets go; true if the job is done.
    ///
    /// Returns at once where no place is free or the pool already runs as many participants as it may. When nothing is
    /// left to start, it stays a few microseconds for the others' last units.
    pub fn help(&self, budget: Duration) -> bool {
        if self.is_done() || budget.is_zero() {
            return self.is_done();
        }
        let deadline = Instant::now().checked_add(budget);
        match self.0.workers.join(&self.0) {
            Some(slot) => self.help_from(slot, deadline),
            None => self.is_done(),
        }
    }

    /// `help` from a place that is already claimed.
    pub(super) fn help_from(&self, slot: usize, deadline: Option<Instant>) -> bool {
        let late = |limit: Option<Instant>| limit.is_some_and(|limit| Instant::now() >= limit);
        let parted = self.0.participate(slot, || late(deadline));
        if parted == Exit::Forked {
            return true;
        }
        self.0.workers.part(&self.0, slot);
        // Not beside other jobs: their participants have a better use for the CPU.
        if parted == Exit::Exhausted && self.0.process.active.load(Ordering::Relaxed) <= 1 {
            let linger = Instant::now().checked_add(LINGER);
            while !self.is_done() && !late(linger) && !late(deadline) {
                std::hint::spin_loop();
            }
        }
        self.is_done()
    }
}

/// Runs `units`; a panic becomes the error of the first of them.
pub(super) fn run_caught(work: &dyn Work, units: Range<usize>) -> Result<(), (usize, Error)> {
    caught(units.start, || work.run(units))
}

/// Runs `unit`; a panic becomes its error, with `number`.
pub fn caught(number: usize, unit: impl FnOnce() -> Result<(), (usize, Error)>) -> Result<(), (usize, Error)> {
    catch_unwind(AssertUnwindSafe(unit)).unwrap_or_else(|payload| Err((number, panicked(payload))))
}

/// The error of a unit that panicked with `payload`.
fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let said = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        // An unknown payload could panic again when dropped.
        std::mem::forget(payload);
        "with no message".to_owned()
    };
    Error::runtime(format!("panicked: {said}"))
}

/// Keeps the lower one in `kept` and returns the other.
fn keep_lowest(kept: &mut Option<(usize, Error)>, failure: (usize, Error)) -> Option<(usize, Error)> {
    if kept.as_ref().is_none_or(|(unit, _)| failure.0 < *unit) { kept.replace(failure) } else { Some(failure) }
}
