//! The threads of one pool and the jobs that they serve: who joins which job, who is woken, who sleeps.
//! Everything here changes under one lock, which is taken when a participant joins or parts, never per unit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Exit, Shared};

/// A pool of at most `size` threads, started one by one as jobs want them and never joined.
pub(super) struct Workers {
    size: usize,
    state: Mutex<State>,
    wake: Condvar,
    /// Jobs that have no participant. Changed under the lock, read without it between runs.
    unserved: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Every job that is not over, oldest first.
    jobs: VecDeque<Arc<Shared>>,
    /// Participants of all jobs, helping callers included; at most the pool's size.
    running: usize,
    threads: usize,
    asleep: usize,
    /// Threads awake (or about to be) that will look for a job before they sleep.
    looking: usize,
    /// Wake-ups that no sleeper has answered yet.
    calls: usize,
    closed: bool,
}

/// Threads to wake and to start, once the lock is released.
#[derive(Clone, Copy, Default)]
struct Summons {
    wake: usize,
    start: usize,
}

/// How long a thread serves one job while another job has nobody: short enough that a small read beside a large one does
/// not feel it, long enough that changing over costs nothing.
const TURN: Duration = Duration::from_millis(10);

/// Threads that one thread wakes or starts, each of which calls the next. A wake-up costs the waker 11 to 18 µs: two keep
/// the way to a whole pool short; a helping caller, who has units to run at once, wakes only one.
const CALLS: usize = 2;
const CALLS_OF_A_HELPER: usize = 1;

impl Workers {
    pub(super) fn new(size: usize, closed: bool) -> Self {
        let state = Mutex::new(State { closed, ..State::default() });
        Self { size, state, wake: Condvar::new(), unserved: AtomicUsize::new(0) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Takes `job` in and calls for participants; with `joins`, the caller is the first of them and gets its place.
    /// It joins only where no other job is in flight (see `submit_and_help`).
    ///
    /// # Errors
    /// The pool is closed: the caller keeps the job.
    pub(super) fn admit(&'static self, job: &Arc<Shared>, joins: bool) -> Result<Option<usize>, ()> {
        let mut state = locked(&self.state);
        if state.closed {
            return Err(());
        }
        state.jobs.push_back(Arc::clone(job));
        self.mark_unserved(job, job.unstarted());
        let slot = if joins && state.jobs.len() == 1 { self.enter(&mut state, job) } else { None };
        self.call(state, if slot.is_some() { CALLS_OF_A_HELPER } else { CALLS });
        Ok(slot)
    }

    /// A place in `job` for the calling thread, if one is free and the pool has room for another participant.
    pub(super) fn join(&self, job: &Arc<Shared>) -> Option<usize> {
        let mut state = locked(&self.state);
        // A job that is over has nothing left to start.
        if job.unstarted() { self.enter(&mut state, job) } else { None }
    }

    /// The caller's participation ends; the last to leave a job with nothing left to start finishes it.
    pub(super) fn part(&'static self, job: &Arc<Shared>, slot: usize) {
        let mut state = locked(&self.state);
        let over = self.leave(&mut state, job, slot);
        self.call(state, CALLS);
        if over {
            job.finish();
        }
    }

    /// Takes out a stopped job that nobody serves; true if this call did, which must then finish it.
    pub(super) fn withdraw(&self, job: &Arc<Shared>) -> bool {
        let mut state = locked(&self.state);
        let idle = job.members.load(Ordering::Relaxed) == 0 && state.remove(job);
        if idle {
            self.mark_unserved(job, false);
        }
        idle
    }

    /// Feeds `count` units to `job` and calls for participants.
    pub(super) fn push(&'static self, job: &Arc<Shared>, count: usize) {
        let state = locked(&self.state);
        if let Some(feed) = job.feed() {
            feed.push(count);
            self.mark_unserved(job, job.members.load(Ordering::Relaxed) == 0 && job.unstarted());
        }
        self.call(state, CALLS);
    }

    /// Closes the feed of `job`; true if it is over thereby, and was taken out of the list: the caller must finish it.
    pub(super) fn close_feed(&self, job: &Arc<Shared>) -> bool {
        let mut state = locked(&self.state);
        if let Some(feed) = job.feed() {
            feed.close();
        }
        job.members.load(Ordering::Relaxed) == 0 && job.is_over() && state.remove(job)
    }

    /// Counts the jobs that have units to start and no participant. Only under the lock.
    fn mark_unserved(&self, job: &Shared, unserved: bool) {
        match (job.unserved.swap(unserved, Ordering::Relaxed), unserved) {
            (false, true) => drop(self.unserved.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.unserved.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// Refuses new jobs from now on; the jobs that are not over.
    pub(super) fn close(&self) -> Vec<Arc<Shared>> {
        let mut state = locked(&self.state);
        state.closed = true;
        state.jobs.iter().cloned().collect()
    }

    fn enter(&self, state: &mut State, job: &Shared) -> Option<usize> {
        if state.running >= self.size {
            return None;
        }
        let slot = job.claim()?;
        state.running += 1;
        job.members.fetch_add(1, Ordering::Relaxed);
        self.mark_unserved(job, false);
        Some(slot)
    }

    /// True if the job is over and was taken out of the list.
    fn leave(&self, state: &mut State, job: &Arc<Shared>, slot: usize) -> bool {
        job.release(slot);
        state.running -= 1;
        let last = job.members.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && job.is_over() {
            return state.remove(job);
        }
        self.mark_unserved(job, last && job.unstarted());
        false
    }

    /// Calls as many threads, up to `most`, as would find a place and are not on their way already.
    fn call(&'static self, mut state: MutexGuard<'_, State>, most: usize) {
        let number = state.threads;
        let summons = state.summon(self.size, most);
        drop(state);
        for _ in 0..summons.wake {
            self.wake.notify_one();
        }
        for number in number..number + summons.start {
            self.start(number);
        }
    }

    fn start(&'static self, number: usize) {
        let name = format!("zarrs-{number}");
        // The handle is dropped: the thread is never joined, and the process does not wait for it.
        if std::thread::Builder::new().name(name).spawn(|| self.serve()).is_ok() {
            return;
        }
        let mut state = locked(&self.state);
        state.threads -= 1;
        state.looking -= 1;
        if state.threads == 0 {
            // No thread can be had at all (a limit on processes): the caller does the work.
            drop(state);
            while let Some((job, slot)) = self.take() {
                if job.participate(slot, || false) == Exit::Forked {
                    return;
                }
                self.part(&job, slot);
            }
        }
    }

    /// The oldest job that wants a participant, joined.
    fn take(&self) -> Option<(Arc<Shared>, usize)> {
        let mut state = locked(&self.state);
        self.take_from(&mut state)
    }

    fn take_from(&self, state: &mut State) -> Option<(Arc<Shared>, usize)> {
        if state.running >= self.size {
            return None;
        }
        let job = state.jobs.iter().find(|job| job.wanted() > 0).map(Arc::clone)?;
        let slot = self.enter(state, &job)?;
        Some((job, slot))
    }

    /// A thread's life: serve the oldest job that wants somebody, sleep when none does.
    fn serve(&'static self) {
        let mut state = locked(&self.state);
        loop {
            let Some((job, slot)) = self.take_from(&mut state) else {
                state = self.sleep(state);
                continue;
            };
            state.looking -= 1;
            self.call(state, CALLS);
            let joined = Instant::now();
            let leave = || self.unserved.load(Ordering::Relaxed) > 0 && joined.elapsed() > TURN;
            let parted = job.participate(slot, leave);
            if parted == Exit::Forked {
                // The child's only thread comes out of a unit that forked; there is no workers to go back to.
                return;
            }
            state = locked(&self.state);
            if parted == Exit::Called && state.remove(&job) {
                // It had its turn: the jobs behind it go first now.
                state.jobs.push_back(Arc::clone(&job));
            }
            if self.leave(&mut state, &job, slot) {
                // `finished` may take long (it waits for the GIL), so another thread is called for what waits here.
                self.call(state, CALLS);
                job.finish();
                state = locked(&self.state);
            }
            state.looking += 1;
        }
    }

    /// Until somebody calls. Without spinning first: 20 µs of it, with or without yielding, showed no consistent gain on
    /// two busy CPUs (a little faster under 16 callers, slower under one).
    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.looking -= 1;
        state.asleep += 1;
        while state.calls == 0 {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Whoever called has moved this thread from `asleep` to `looking`.
        state.calls -= 1;
        state
    }
}

impl State {
    fn summon(&mut self, size: usize, most: usize) -> Summons {
        let room = size - self.running;
        let mut wanted = 0;
        for job in &self.jobs {
            if wanted >= room {
                break;
            }
            wanted += job.wanted();
        }
        let missing = wanted.min(room).saturating_sub(self.looking).min(most);
        let wake = missing.min(self.asleep);
        let start = (missing - wake).min(size - self.threads);
        self.asleep -= wake;
        self.calls += wake;
        self.threads += start;
        self.looking += wake + start;
        Summons { wake, start }
    }

    fn remove(&mut self, job: &Arc<Shared>) -> bool {
        let found = self.jobs.iter().position(|other| Arc::ptr_eq(other, job));
        found.and_then(|index| self.jobs.remove(index)).is_some()
    }
}

/// Locks. No code that can panic runs under a lock of this room, so a poisoned one is whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
