//! One job: its units, how participants run them, its outcome. Which threads take part is decided in `workers.rs`.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::feed::Feed;
use super::latch::Latch;
use super::lock::locked;
use super::process::Process;
use super::ranges::Ranges;
use super::work::{Outcome, Work, run_caught};
use super::workers::Workers;
use crate::error::Error;

/// A handle to a submitted or open job; dropping it changes nothing. In a forked child the parent's jobs are over: nothing
/// of them runs there, `finished` is not called there, `is_done` is true and no call does anything or blocks.
#[derive(Clone)]
pub(crate) struct Job(pub(super) Arc<Shared>);

/// What the participants of a job share.
pub(super) struct Shared {
    process: &'static Process,
    workers: &'static Workers,
    /// Taken at the end, so that what the work holds is not kept alive by a handle.
    work: Mutex<Option<Arc<dyn Work>>>,
    pub(super) units: Units,
    /// Participants now. Changed only under the lock of the workers, as are the next two.
    pub(super) members: AtomicUsize,
    /// Whether the workers count it among the jobs without a participant.
    pub(super) unserved: AtomicBool,
    /// Whether it counts as a job in flight: an open job does not while it has neither units to start nor participants.
    active: AtomicBool,
    stopped: AtomicBool,
    cancelled: AtomicBool,
    failure: Mutex<Option<(usize, Error)>>,
    /// Set once `finished` has returned.
    done: Latch<()>,
}

/// Where the units of a job come from.
pub(super) enum Units {
    /// All were known at the start, and are shared out.
    Known(Ranges),
    /// They are pushed until the job is closed.
    Fed(Feed),
}

/// Why a participant left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Nothing is left to start.
    Exhausted,
    /// It was asked to leave while units may be left.
    Yielded,
    /// It finds itself in a forked child, where the job, its locks and its other participants do not exist.
    Forked,
}

impl Units {
    /// A place for a participant; `None` if every place is taken.
    pub(super) fn claim(&self) -> Option<usize> {
        match self {
            Self::Known(ranges) => ranges.claim(),
            // Its participants all take from the front: they need no place of their own.
            Self::Fed(feed) => feed.claim().then_some(0),
        }
    }

    /// Hands a place back.
    pub(super) fn release(&self, slot: usize) {
        match self {
            Self::Known(ranges) => ranges.release(slot),
            Self::Fed(feed) => feed.release(),
        }
    }

    fn wanted(&self) -> usize {
        match self {
            Self::Known(ranges) => ranges.wanted(),
            Self::Fed(feed) => feed.wanted(),
        }
    }

    fn unstarted(&self) -> bool {
        match self {
            Self::Known(ranges) => ranges.unstarted(),
            Self::Fed(feed) => feed.unstarted(),
        }
    }

    /// Whether no unit is left and none will come.
    fn exhausted(&self) -> bool {
        match self {
            Self::Known(ranges) => !ranges.unstarted(),
            Self::Fed(feed) => feed.exhausted(),
        }
    }

    /// The holder of a place is about to ask for its first units.
    fn begin(&self) {
        if let Self::Fed(feed) = self {
            feed.begin();
        }
    }

    fn next(&self, slot: usize) -> Option<Range<usize>> {
        match self {
            Self::Known(ranges) => ranges.next(slot),
            Self::Fed(feed) => feed.next(),
        }
    }

    fn grain(&self) -> usize {
        match self {
            Self::Known(ranges) => ranges.grain(),
            Self::Fed(feed) => feed.grain(),
        }
    }
}

/// How long a helper spins for the last units of other participants: less than it costs the caller to await a future.
const LINGER: Duration = Duration::from_micros(30);

impl Shared {
    pub(super) fn new(
        process: &'static Process,
        workers: &'static Workers,
        work: Arc<dyn Work>,
        units: Units,
    ) -> Arc<Self> {
        let shared = Self {
            process,
            workers,
            work: Mutex::new(Some(work)),
            members: AtomicUsize::new(0),
            unserved: AtomicBool::new(false),
            active: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            failure: Mutex::new(None),
            done: Latch::new(),
            units,
        };
        if let Units::Known(_) = shared.units {
            shared.activate();
        }
        Arc::new(shared)
    }

    /// How many more participants are of use.
    pub(super) fn wanted(&self) -> usize {
        if self.stopped.load(Ordering::Acquire) { 0 } else { self.units.wanted() }
    }

    /// Whether units are left that may still start.
    pub(super) fn unstarted(&self) -> bool {
        !self.stopped.load(Ordering::Acquire) && self.units.unstarted()
    }

    /// Whether no unit will start any more.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.units.exhausted()
    }

    /// Whether it counts as a job in flight.
    #[cfg(test)]
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts it among the jobs in flight.
    pub(super) fn activate(&self) {
        if !self.active.swap(true, Ordering::Relaxed) {
            self.process.active.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts it no longer among the jobs in flight.
    pub(super) fn deactivate(&self) {
        if self.active.swap(false, Ordering::Relaxed) {
            self.process.active.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Starts no new unit; the job is then over once its participants have left.
    pub(super) fn stop(&self, cancelled: bool) {
        self.cancelled.fetch_or(cancelled, Ordering::Release);
        self.stopped.store(true, Ordering::Release);
    }

    /// Keeps `failure` if its number is the lowest, and stops.
    fn fail(&self, failure: (usize, Error)) {
        let other = keep_lowest(&mut locked(&self.failure), failure);
        // After it is kept: once the job is stopped, another thread may finish it.
        self.stop(false);
        // With no lock held: dropping an exception of Python code may run anything.
        drop(other);
    }

    /// Runs units from the place `slot` until none is left, or until `leave` (asked between runs) is true.
    pub(super) fn participate(&self, slot: usize, mut leave: impl FnMut() -> bool) -> Exit {
        self.units.begin();
        let Some(work) = locked(&self.work).clone() else { return Exit::Exhausted };
        while !self.stopped.load(Ordering::Acquire) {
            let Some(units) = self.units.next(slot) else { break };
            let mut start = units.start;
            while start < units.end && !self.stopped.load(Ordering::Acquire) {
                let run = start..units.end.min(start.saturating_add(self.units.grain()));
                start = run.end;
                let result = run_caught(&*work, run);
                // The unit may have forked, and this may be the child: another thread of the parent may have held any lock
                // of the job at that time.
                if !self.process.is_here() {
                    return Exit::Forked;
                }
                if let Err(failure) = result {
                    self.fail(failure);
                }
            }
            if leave() {
                return Exit::Yielded;
            }
        }
        Exit::Exhausted
    }

    /// Tells the work how it ended. Called once, by the thread that took the job out of the lists of its workers.
    pub(super) fn finish(&self) {
        self.process.telling.fetch_add(1, Ordering::SeqCst);
        // Before the work is told: a caller that goes on from there must not count the job that it has just finished.
        self.deactivate();
        let error = locked(&self.failure).take();
        let outcome = Outcome { error, cancelled: self.cancelled.load(Ordering::Acquire) };
        if let Some(work) = locked(&self.work).take() {
            // The panic hook has reported it, and there is no one left to tell.
            let _ = catch_unwind(AssertUnwindSafe(|| work.finished(outcome)));
        }
        if !self.process.is_here() {
            return;
        }
        self.process.telling.fetch_sub(1, Ordering::SeqCst);
        self.done.set(()).expect("a job is finished once, by the thread that took it out of the lists");
    }
}

impl Job {
    /// `count` more units of an open job may run; they are numbered from 0 in the order in which they are pushed. Does
    /// nothing once the job is closed or over, nor for a job whose units were known at the start.
    ///
    /// Wakes or starts threads if more participants are of use; where none can be started, the units run here.
    pub(crate) fn push(&self, count: usize) {
        let Units::Fed(feed) = &self.0.units else { return };
        if count > 0 && !self.is_over() && feed.push(count) {
            self.0.workers.feed(&self.0);
        }
    }

    /// No more units will be pushed: the job ends once those that were have run. `finished` is then told, by this call if
    /// no participant is left to do it. Does nothing to a job that is closed or over.
    pub(crate) fn close(&self) {
        let Units::Fed(feed) = &self.0.units else { return };
        if !self.is_done() {
            feed.close();
            self.withdraw();
        }
    }

    /// As if a unit had failed with `error`: the failure with the lowest number is kept, no new unit starts, and
    /// `finished` is told once running units have ended, by this call if there are none. Does nothing to a job that is
    /// done.
    pub(crate) fn fail(&self, number: usize, error: Error) {
        if !self.is_done() {
            self.0.fail((number, error));
            self.withdraw();
        }
    }

    /// No new unit starts; running ones finish; then `finished` is told `cancelled: true` (by this call if no participant
    /// is left to do it). Does nothing to a job that is done.
    pub(crate) fn cancel(&self) {
        if !self.is_done() {
            self.0.stop(true);
            self.withdraw();
        }
    }

    fn withdraw(&self) {
        if self.0.workers.withdraw(&self.0) {
            self.0.finish();
        }
    }

    /// Whether the job was stopped or is done, so that no unit pushed from now on would run.
    fn is_over(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire) || !self.0.process.is_here()
    }

    /// Whether the job was stopped before its end: a unit failed, or it was cancelled, or this is a forked child.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire) || !self.0.process.is_here()
    }

    /// Whether `finished` has returned.
    pub(crate) fn is_done(&self) -> bool {
        self.0.done.is_set() || !self.0.process.is_here()
    }

    /// Blocks until the job is done. Not from inside a unit, and not while holding what `finished` needs (the GIL).
    #[cfg(test)]
    pub(crate) fn wait(&self) {
        self.wait_until(None);
    }

    /// Blocks until the job is done or `deadline` has passed; true if it is done.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        self.is_done() || self.0.done.wait_until(deadline)
    }

    /// Takes part for about `budget` (the clock is read between runs), then leaves; true if the job is done.
    ///
    /// Returns at once if no place is free or the pool already runs as many participants as it may. When nothing is left to
    /// start, it waits a few microseconds for the last units of other participants.
    #[cfg(test)]
    pub(crate) fn help(&self, budget: Duration) -> bool {
        if self.is_done() || budget.is_zero() {
            return self.is_done();
        }
        let deadline = Instant::now().checked_add(budget);
        match self.0.workers.join(&self.0) {
            Some(slot) => self.help_from(slot, deadline),
            None => self.is_done(),
        }
    }

    /// `help` from a claimed place.
    pub(super) fn help_from(&self, slot: usize, deadline: Option<Instant>) -> bool {
        let late = |limit: Option<Instant>| limit.is_some_and(|limit| Instant::now() >= limit);
        let exit = self.0.participate(slot, || late(deadline));
        if exit == Exit::Forked {
            return true;
        }
        self.0.workers.leave(&self.0, slot);
        // Not while other jobs are in flight: their participants have a better use for the CPU.
        if exit == Exit::Exhausted && self.0.process.active.load(Ordering::Relaxed) <= 1 {
            let linger = Instant::now().checked_add(LINGER);
            while !self.is_done() && !late(linger) && !late(deadline) {
                std::hint::spin_loop();
            }
        }
        self.is_done()
    }
}

/// Keeps the failure with the lower number in `kept` and returns the other.
fn keep_lowest(kept: &mut Option<(usize, Error)>, failure: (usize, Error)) -> Option<(usize, Error)> {
    if kept.as_ref().is_none_or(|(unit, _)| failure.0 < *unit) { kept.replace(failure) } else { Some(failure) }
}
