//! The threads of one pool and the jobs that they serve: which thread joins which job, which is
//! woken, which sleeps. Everything here changes under one lock, which is taken when a participant joins or leaves and when
//! units are pushed to a job that may have another participant, never per unit of a job whose units are known.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Exit, Shared};
use super::lock::locked;

/// A pool of at most `size` threads, started one by one as jobs want them and never joined.
pub(super) struct Workers {
    size: usize,
    state: Mutex<State>,
    wake: Condvar,
    /// Jobs with units to start and no participant. Changed under the lock, read without it between runs.
    unserved: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Every job that has a participant or a unit to start, in the order in which their turns come.
    jobs: VecDeque<Arc<Shared>>,
    /// Open jobs that have neither: threads never look at them.
    idle: VecDeque<Arc<Shared>>,
    /// Participants of all jobs, helping callers included; at most the pool's size.
    running: usize,
    threads: usize,
    asleep: usize,
    /// Threads awake (or about to be) that will look for a job before they sleep.
    looking: usize,
    /// Wake-ups that no sleeper has answered yet.
    wakeups: usize,
    closed: bool,
}

/// Threads to wake and to start, once the lock is released.
#[derive(Clone, Copy, Default)]
struct Recruits {
    wake: usize,
    start: usize,
}

/// How long a thread serves one job while another job has no participant: short enough that a small read beside a large one
/// does not feel it, long enough that changing over costs nothing.
const TURN: Duration = Duration::from_millis(10);

/// Threads that one thread wakes or starts; each of them does the same. A wake-up costs the waker 11 to 18 µs: two keep the
/// way to a whole pool short; a helping caller, which has units to run at once, wakes only one.
const FAN_OUT: usize = 2;
const FAN_OUT_OF_A_HELPER: usize = 1;

impl Workers {
    pub(super) fn new(size: usize, closed: bool) -> Self {
        let state = Mutex::new(State { closed, ..State::default() });
        Self { size, state, wake: Condvar::new(), unserved: AtomicUsize::new(0) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Takes `job` in and recruits participants; with `joins`, the caller is the first of them, and its place is returned.
    /// It joins only if no other job is in flight (see `submit_and_help`).
    ///
    /// # Errors
    /// The pool is closed: the job is the caller's.
    pub(super) fn admit(&'static self, job: &Arc<Shared>, joins: bool) -> Result<Option<usize>, ()> {
        let mut state = locked(&self.state);
        if state.closed {
            return Err(());
        }
        if !job.unstarted() {
            state.idle.push_back(Arc::clone(job));
            return Ok(None);
        }
        state.jobs.push_back(Arc::clone(job));
        self.count(job);
        let slot = if joins && state.jobs.len() == 1 { self.enter(&mut state, job) } else { None };
        self.recruit(state, if slot.is_some() { FAN_OUT_OF_A_HELPER } else { FAN_OUT });
        Ok(slot)
    }

    /// Recruits participants for units that were pushed to `job`.
    pub(super) fn feed(&'static self, job: &Arc<Shared>) {
        let mut state = locked(&self.state);
        // A job that is over has left the lists, and has nothing to start.
        if job.unstarted() && take_out(&mut state.idle, job) {
            job.activate();
            state.jobs.push_back(Arc::clone(job));
        }
        self.count(job);
        self.recruit(state, FAN_OUT);
    }

    /// A place in `job` for the calling thread, if one is free and the pool has room for another participant.
    #[cfg(test)]
    pub(super) fn join(&self, job: &Arc<Shared>) -> Option<usize> {
        let mut state = locked(&self.state);
        // A job that was pushed to is joined once it is in the list; one that is over has nothing left to start.
        if job.unstarted() && job.is_active() { self.enter(&mut state, job) } else { None }
    }

    /// The caller's participation ends; the last to leave a job with nothing left to start finishes it.
    pub(super) fn leave(&'static self, job: &Arc<Shared>, slot: usize) {
        let mut state = locked(&self.state);
        let over = self.exit(&mut state, job, slot);
        self.recruit(state, FAN_OUT);
        if over {
            job.finish();
        }
    }

    /// Takes out a job that is over and has no participant; true if this call did, whose caller must then finish the job.
    pub(super) fn withdraw(&self, job: &Arc<Shared>) -> bool {
        let mut state = locked(&self.state);
        let removed = job.members.load(Ordering::Relaxed) == 0 && job.is_over() && state.remove(job);
        if removed {
            self.count(job);
        }
        removed
    }

    /// Refuses new jobs from now on; the jobs that are not over.
    pub(super) fn close(&self) -> Vec<Arc<Shared>> {
        let mut state = locked(&self.state);
        state.closed = true;
        state.jobs.iter().chain(&state.idle).cloned().collect()
    }

    fn enter(&self, state: &mut State, job: &Shared) -> Option<usize> {
        if state.running >= self.size {
            return None;
        }
        let slot = job.units.claim()?;
        state.running += 1;
        job.members.fetch_add(1, Ordering::Relaxed);
        self.count(job);
        Some(slot)
    }

    /// True if the job is over and was taken out of the list.
    fn exit(&self, state: &mut State, job: &Arc<Shared>, slot: usize) -> bool {
        // Before the units are looked at: see `Feed::push`.
        job.units.release(slot);
        state.running -= 1;
        let last = job.members.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && job.is_over() {
            return state.remove(job);
        }
        if last && !job.unstarted() && take_out(&mut state.jobs, job) {
            job.deactivate();
            state.idle.push_back(Arc::clone(job));
        }
        self.count(job);
        false
    }

    /// Counts `job` among the unserved ones exactly if it is one. Under the lock, after every change to it.
    fn count(&self, job: &Shared) {
        let unserved = job.members.load(Ordering::Relaxed) == 0 && job.unstarted();
        match (job.unserved.swap(unserved, Ordering::Relaxed), unserved) {
            (false, true) => drop(self.unserved.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.unserved.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// Wakes or starts as many threads, up to `most`, as would find a place and are not on their way already.
    fn recruit(&'static self, mut state: MutexGuard<'_, State>, most: usize) {
        let number = state.threads;
        let recruits = state.recruits(self.size, most);
        drop(state);
        for _ in 0..recruits.wake {
            self.wake.notify_one();
        }
        for number in number..number + recruits.start {
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
                self.leave(&job, slot);
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

    /// A thread's loop: run the oldest job with a free place, sleep when there is none.
    fn serve(&'static self) {
        let mut state = locked(&self.state);
        loop {
            let Some((job, slot)) = self.take_from(&mut state) else {
                state = self.sleep(state);
                continue;
            };
            state.looking -= 1;
            self.recruit(state, FAN_OUT);
            let joined = Instant::now();
            let leave = || self.unserved.load(Ordering::Relaxed) > 0 && joined.elapsed() > TURN;
            let exit = job.participate(slot, leave);
            if exit == Exit::Forked {
                // The child's only thread comes out of a unit that forked; the pool is the parent's.
                return;
            }
            state = locked(&self.state);
            if exit == Exit::Yielded && take_out(&mut state.jobs, &job) {
                // It had its turn: the jobs behind it go first now.
                state.jobs.push_back(Arc::clone(&job));
            }
            if self.exit(&mut state, &job, slot) {
                // `finished` may take long (it waits for the GIL), so another thread is recruited for what waits here.
                self.recruit(state, FAN_OUT);
                job.finish();
                state = locked(&self.state);
            }
            state.looking += 1;
        }
    }

    /// Until a recruiter wakes this thread. Without spinning first: 20 µs of it, with or without yielding, showed no
    /// consistent gain on two busy CPUs (a little faster under 16 callers, slower under one).
    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.looking -= 1;
        state.asleep += 1;
        while state.wakeups == 0 {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // The recruiter has moved this thread from `asleep` to `looking`.
        state.wakeups -= 1;
        state
    }
}

impl State {
    fn recruits(&mut self, size: usize, most: usize) -> Recruits {
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
        self.wakeups += wake;
        self.threads += start;
        self.looking += wake + start;
        Recruits { wake, start }
    }

    /// Takes `job` out of whichever list holds it; false if none does.
    fn remove(&mut self, job: &Arc<Shared>) -> bool {
        take_out(&mut self.jobs, job) || take_out(&mut self.idle, job)
    }
}

fn take_out(jobs: &mut VecDeque<Arc<Shared>>, job: &Arc<Shared>) -> bool {
    let found = jobs.iter().position(|other| Arc::ptr_eq(other, job));
    found.and_then(|index| jobs.remove(index)).is_some()
}
